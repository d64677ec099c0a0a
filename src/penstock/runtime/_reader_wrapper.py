"""What wrappers of source readers share: everything they do not change is the reader's own."""

from __future__ import annotations

from typing import Any

from penstock.datastream.connectors.base import SourceReader

__all__ = ["ReaderWrapper"]


class ReaderWrapper(SourceReader):
    """Stands between a source's reader and its task; subclasses say what `poll` does. Task thread only."""

    def __init__(self, reader: SourceReader) -> None:
        self._reader = reader

    def next_poll_ms(self) -> int | None:
        """When the reader wants to be polled."""
        return self._reader.next_poll_ms()

    def snapshot(self) -> list[Any]:
        """The splits still to be read."""
        return self._reader.snapshot()

    def progress(self) -> tuple[float, float] | None:
        """(done, total) where the source knows."""
        return self._reader.progress()

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """A checkpoint with this reader's snapshot is complete."""
        self._reader.notify_checkpoint_complete(checkpoint_id)

    def close(self) -> None:
        """Releases what the reader holds."""
        self._reader.close()

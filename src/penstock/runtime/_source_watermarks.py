"""What stands between a source's reader and its task for the sake of watermarks: splits, and alignment."""

from __future__ import annotations

from typing import Any

from penstock.datastream.connectors.base import ReaderContext, SourceBatch, SourceReader, _EndOfInput
from penstock.runtime._alignment import AlignedReader, AlignmentPort, Member
from penstock.runtime._reader_wrapper import ReaderWrapper
from penstock.runtime._watermarks import WatermarkGenerator

__all__ = ["watermarked_reader"]


def watermarked_reader(
    reader: SourceReader,
    generator: WatermarkGenerator,
    alignment: tuple[str, int, int] | None,
    member: Member,
    port: AlignmentPort,
    context: ReaderContext,
) -> SourceReader:
    """The reader, with a watermark for each of its splits where it tells them, and held back where it is aligned."""
    splits = reader.open_splits()
    if splits is not None and generator.generates:
        reader = _SplitReader(reader, generator, splits, context)
    return reader if alignment is None else AlignedReader(reader, generator, alignment, member, port, context)


class _SplitReader(ReaderWrapper):
    """Tells the generator which split a batch is of. Task thread only."""

    def __init__(
        self, reader: SourceReader, generator: WatermarkGenerator, splits: frozenset[Any], context: ReaderContext
    ) -> None:
        super().__init__(reader)
        self._generator = generator
        self._splits = splits
        self._now_ms = context.now_ms
        generator.set_splits(splits, context.now_ms())

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        """A batch of the reader's."""
        polled = self._reader.poll(max_records)
        splits = self._reader.open_splits()
        if splits is not None and splits is not self._splits:
            self._splits = splits
            self._generator.set_splits(splits, self._now_ms())
        if isinstance(polled, SourceBatch):
            self._generator.enter_split(polled.split, self._now_ms())
        return polled

"""Part files: what a file sink writes, in progress, pending and committed; their states and their formats."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from penstock.datastream.connectors._buckets import PartFileInfo
from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.connectors._output_files import OutputFiles, OutputStream

__all__ = ["BulkPart", "FileWriterState", "OpenPart", "PartFile", "PendingFile", "RowPart", "in_progress_mark"]


def in_progress_mark(lineage: str) -> str:
    """What the names of a writer's files in progress end with."""
    return f".inprogress.{lineage}"


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A finished file that waits for its checkpoint: the committable.

    Attributes:
        in_progress: its path now.
        final: its path once committed.
        size_bytes: its length.
        replaces: files in progress that it was compacted from, to be removed once it is committed.
    """

    in_progress: str
    final: str
    size_bytes: int
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file in progress at a checkpoint, to be gone on with.

    Attributes:
        bucket_id: its bucket.
        in_progress: its path now.
        final: its path once committed.
        size_bytes: its durable length; what is behind it was written after the checkpoint.
        creation_ms: epoch ms.
    """

    bucket_id: str
    in_progress: str
    final: str
    size_bytes: int
    creation_ms: int


@dataclass(frozen=True, slots=True)
class FileWriterState:
    """A writer's snapshot.

    Attributes:
        lineage: marks its files in progress, kept over restarts.
        parts: the files in progress.
        pending: paths of files handed over as committables, those surely committed left out.
        uncompacted: finished files that wait to be compacted.
    """

    lineage: str
    parts: tuple[PartFile, ...] = ()
    pending: tuple[str, ...] = ()
    uncompacted: tuple[PendingFile, ...] = ()


class OpenPart(ABC):
    """A file in progress. Owned by the task thread.

    Attributes:
        file: what it is, `size_bytes` as of its opening.
        info: what rolling policies ask.
    """

    def __init__(self, file: PartFile, now_ms: int) -> None:
        self.file = file
        self.info = PartFileInfo(file.size_bytes, file.creation_ms, now_ms)

    @abstractmethod
    def write(self, elements: Sequence[Any], now_ms: int) -> None:
        """Appends elements."""

    @abstractmethod
    def finish(self) -> PendingFile:
        """Ends the file and makes it durable."""

    @abstractmethod
    def sync(self) -> PartFile:
        """Makes the file durable as it is, to be gone on with."""

    @abstractmethod
    def suspend(self) -> bool:
        """Gives up the file's descriptor until it is written again; False if the format cannot."""

    @abstractmethod
    def close(self) -> None:
        """Closes the file, without a promise about what was written."""


class RowPart(OpenPart):
    """A file of rows one after the other."""

    def __init__(
        self,
        file: PartFile,
        now_ms: int,
        files: OutputFiles,
        encode: Callable[[Sequence[Any]], bytes],
        stream: OutputStream,
    ) -> None:
        super().__init__(file, now_ms)
        self._files = files
        self._encode = encode
        self._stream: OutputStream | None = stream
        self._unsynced = True

    def write(self, elements: Sequence[Any], now_ms: int) -> None:
        self.write_bytes(self._encode(elements), now_ms)

    def write_bytes(self, data: bytes, now_ms: int) -> None:
        """Appends encoded elements."""
        self._opened().write(data)
        self._unsynced = True
        self.info.size_bytes += len(data)
        self.info.last_update_ms = now_ms

    def _opened(self) -> OutputStream:
        if self._stream is None:
            self._stream = self._files.resume(self.file.in_progress, self.info.size_bytes)
        return self._stream

    def finish(self) -> PendingFile:
        stream, self._stream = self._opened(), None
        stream.finish()
        return PendingFile(self.file.in_progress, self.file.final, self.info.size_bytes)

    def sync(self) -> PartFile:
        if self._unsynced:
            suspended = self._stream is None
            self._opened().sync()
            self._unsynced = False
            if suspended:
                self.suspend()
        file = self.file
        return PartFile(file.bucket_id, file.in_progress, file.final, self.info.size_bytes, file.creation_ms)

    def suspend(self) -> bool:
        if not self._files.resumable:
            return False
        self.close()
        return True

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class BulkPart(OpenPart):
    """A file whose format needs its writer to the end, so that each checkpoint ends it."""

    def __init__(
        self, file: PartFile, now_ms: int, stream: OutputStream, create: Callable[[BinaryIO], BulkWriter]
    ) -> None:
        super().__init__(file, now_ms)
        self._stream = stream
        self._writer = create(cast(BinaryIO, _WriteOnly(stream)))

    def write(self, elements: Sequence[Any], now_ms: int) -> None:
        self._writer.add_elements(elements)
        self.info.size_bytes = self._stream.tell()
        self.info.last_update_ms = now_ms

    def finish(self) -> PendingFile:
        self._writer.finish()
        self._stream.finish()
        return PendingFile(self.file.in_progress, self.file.final, self._stream.tell())

    def sync(self) -> PartFile:
        raise NotImplementedError("a bulk file cannot be gone on with; it rolls at each checkpoint")

    def suspend(self) -> bool:
        return False

    def close(self) -> None:
        self._stream.close()


class _WriteOnly(io.RawIOBase):
    """An OutputStream as the file object that format libraries write to; closing it leaves the stream open."""

    def __init__(self, stream: OutputStream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data))
        return len(data)

    def tell(self) -> int:
        return self._stream.tell()

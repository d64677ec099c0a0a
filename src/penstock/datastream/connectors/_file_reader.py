"""The reader of a file source: split after split, local files in blocks, others in a thread; watches for new files."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from zlib import crc32

from penstock.datastream.connectors._compression import decompressed, is_compressed, read_errors
from penstock.datastream.connectors._fetcher import Fetcher
from penstock.datastream.connectors._file_formats import FileFormat, FileRecords, FileSplit
from penstock.datastream.connectors._input_files import FoundFile, find_files, is_local, open_input
from penstock.datastream.connectors.base import END_OF_INPUT, ReaderContext, SourceBatch, SourceReader, _EndOfInput
from penstock.errors import JobError, PenstockError

__all__ = ["FileReader", "Monitoring", "SeenFiles", "owner_of"]

_BATCHES_AHEAD = 4  # blocks a fetcher thread may be ahead of its task


@dataclass(frozen=True, slots=True)
class SeenFiles:
    """The files a monitoring source has found so far; part of its splits, so that it survives a restart."""

    paths: frozenset[str]


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What to watch.

    Attributes:
        paths: the source's input paths.
        interval_ms: time between two looks.
    """

    paths: tuple[str, ...]
    interval_ms: int


def owner_of(path: str, readers: int) -> int:
    """The reader a file belongs to when it is found while the job runs; the same on every machine and run."""
    return crc32(path.encode("utf-8", "surrogateescape")) % readers


class _OpenSplit:
    """A split being read. Owned by the thread that calls `next_batch`.

    Attributes:
        split: as it was when opened.
        position: of the batch returned last, before its first record.
    """

    def __init__(self, file_format: FileFormat, split: FileSplit) -> None:
        self.split = split
        self.position = split
        self._skip = split.skip
        self._raw: BinaryIO | None = None
        self._stream: BinaryIO | None = None
        self._records: FileRecords | None = None
        try:
            self._open(file_format)
        except PenstockError:
            self.close()
            raise
        except read_errors() as error:
            self.close()
            raise _unreadable(split.path, error) from error

    def _open(self, file_format: FileFormat) -> None:
        self._raw = open_input(self.split.path)
        compressed = file_format.decompresses and is_compressed(self.split.path)
        self._stream = decompressed(self.split.path, self._raw) if compressed else self._raw
        seekable = not compressed and self._raw.seekable()
        self._records = file_format.open(self._stream, self.split, seekable)

    def next_batch(self) -> list[Any]:
        """The next records, empty at the end of the split; may block on the file."""
        records = self._records
        assert records is not None
        while True:
            try:
                batch = records.next_batch()
            except read_errors() as error:
                raise _unreadable(self.split.path, error) from error
            if not batch or not self._skip:
                break
            if self._skip < len(batch):
                self.position = dataclasses.replace(self.split, offset=records.offset, skip=records.before + self._skip)
                batch = batch[self._skip :]
                self._skip = 0
                return batch
            self._skip -= len(batch)
        self.position = dataclasses.replace(self.split, offset=records.offset, skip=records.before)
        return batch

    def done_bytes(self) -> float:
        """How much of the split is read, in bytes of the file."""
        total = _length(self.split)
        if self._records is not None and self._records.done_fraction is not None:
            return self._records.done_fraction * total
        try:
            position = self._raw.tell() - self.split.start if self._raw is not None else 0
        except (OSError, ValueError):
            return 0
        return min(max(position, 0), total)

    def close(self) -> None:
        """Closes the file."""
        for resource in (self._records, self._stream, self._raw):
            if resource is not None:
                with contextlib.suppress(OSError):
                    resource.close()


def _unreadable(path: str, error: Exception) -> JobError:
    return JobError(f"The input file {path!r} cannot be read: {type(error).__name__}: {error}")


def _length(split: FileSplit) -> int:
    return max(0, (split.size_bytes if split.end is None else split.end) - split.start)


class FileReader(SourceReader):
    """Reads splits in the order given. Owned by the task thread.

    Local files are read on the task's thread, a block a poll (the kernel reads ahead); the others by a fetcher thread.
    """

    def __init__(
        self,
        file_format: FileFormat,
        splits: Sequence[FileSplit | SeenFiles],
        context: ReaderContext,
        monitoring: Monitoring | None,
    ) -> None:
        self._format = file_format
        self._context = context
        self._waiting = deque(split for split in splits if isinstance(split, FileSplit))
        self._total_bytes = sum(_length(split) for split in self._waiting)
        self._done_bytes = 0
        self._current: _LocalBatches | _FetchedBatches | None = None
        self._batch: list[Any] = []
        self._next = 0  # index into the batch
        self._position: FileSplit | None = None  # of the batch's first record
        seen = frozenset[str]().union(*(known.paths for known in splits if isinstance(known, SeenFiles)))
        self._watch = None if monitoring is None else _Watch(monitoring, seen, context)

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        """Records of one block of one split."""
        while self._next >= len(self._batch):
            if self._current is None and not self._open_next():
                return None if self._watch is not None else END_OF_INPUT
            assert self._current is not None
            batch = self._current.take()
            if batch is None:
                return None
            self._position, self._batch = batch
            self._next = 0
            if not self._batch:
                self._close_current()
        first, stop = self._next, self._next + max_records
        self._next = min(stop, len(self._batch))
        return SourceBatch(self._batch[first:stop])

    def _open_next(self) -> bool:
        if self._watch is not None:
            for file in self._watch.new_files():
                self._waiting.append(FileSplit(file.path, file.size_bytes))
                self._total_bytes += file.size_bytes
        if not self._waiting:
            return False
        split = self._waiting.popleft()
        kind = _LocalBatches if is_local(split.path) else _FetchedBatches
        self._current = kind(self._format, split, self._context.wake)
        self._position = split
        return True

    def _close_current(self) -> None:
        if self._current is not None:
            current, self._current = self._current, None
            self._position = None
            self._done_bytes += _length(current.split)
            current.close()

    def snapshot(self) -> list[Any]:
        """The open split with its position, the splits not begun, and the files seen where new ones are watched for."""
        splits: list[Any] = []
        if self._position is not None:
            splits.append(dataclasses.replace(self._position, skip=self._position.skip + self._next))
        splits.extend(self._waiting)
        if self._watch is not None:
            splits.append(SeenFiles(frozenset(self._watch.seen)))
        return splits

    def next_poll_ms(self) -> int | None:
        """When to look for new files."""
        return self._watch.due_ms() if self._watch is not None and self._current is None else None

    def progress(self) -> tuple[float, float] | None:
        """Bytes read and in all, of the files known; None while watching for more."""
        if self._watch is not None:
            return None
        current = self._current.done_bytes() if self._current is not None else 0
        return self._done_bytes + current, self._total_bytes

    def close(self) -> None:
        """Closes the open file and ends the threads."""
        current, self._current = self._current, None
        if current is not None:
            current.close()
        if self._watch is not None:
            self._watch.close()


class _LocalBatches:
    """Batches of a local split, read when asked for."""

    def __init__(self, file_format: FileFormat, split: FileSplit, wake: Callable[[], None]) -> None:
        self.split = split
        self._open = _OpenSplit(file_format, split)

    def take(self) -> tuple[FileSplit, list[Any]] | None:
        """The next batch with its position, empty at the end of the split."""
        batch = self._open.next_batch()
        return self._open.position, batch

    def done_bytes(self) -> float:
        return self._open.done_bytes()

    def close(self) -> None:
        self._open.close()


class _FetchedBatches:
    """Batches of a split elsewhere, read ahead by a thread."""

    def __init__(self, file_format: FileFormat, split: FileSplit, wake: Callable[[], None]) -> None:
        self.split = split
        self._format = file_format
        self._done_bytes = 0.0
        self._fetcher: Fetcher[tuple[FileSplit, list[Any], float]] = Fetcher(
            f"fetcher of {split.path}", self._fetch, wake, _BATCHES_AHEAD
        )

    def _fetch(self, fetcher: Fetcher[tuple[FileSplit, list[Any], float]]) -> None:
        split = _OpenSplit(self._format, self.split)
        try:
            batch = split.next_batch()
            while batch:
                fetcher.put((split.position, batch, split.done_bytes()))
                batch = split.next_batch()
        finally:
            split.close()

    def take(self) -> tuple[FileSplit, list[Any]] | None:
        """The next batch with its position, empty at the end of the split; None when none is there yet."""
        item = self._fetcher.take()
        if item is not None:
            position, batch, self._done_bytes = item
            return position, batch
        return (self.split, []) if self._fetcher.exhausted else None

    def done_bytes(self) -> float:
        return self._done_bytes

    def close(self) -> None:
        self._fetcher.close()


class _Watch:
    """Looks for new files, in a thread each time. Owned by the task thread."""

    def __init__(self, monitoring: Monitoring, seen: frozenset[str], context: ReaderContext) -> None:
        self.seen = set(seen)
        self._monitoring = monitoring
        self._context = context
        self._due_ms = context.now_ms() + monitoring.interval_ms
        self._looking: Fetcher[list[FoundFile]] | None = None

    def due_ms(self) -> int | None:
        """When to look next, None while looking."""
        return self._due_ms if self._looking is None else None

    def new_files(self) -> list[FoundFile]:
        """The new files of this reader that a finished look has found; starts a look when it is time."""
        if self._looking is None:
            if self._context.now_ms() >= self._due_ms:
                self._looking = Fetcher("file discovery", self._look, self._context.wake, 1)
            return []
        found = self._looking.take()
        if found is None:
            return []
        self.close()
        self._due_ms = self._context.now_ms() + self._monitoring.interval_ms
        new = []
        for file in found:
            mine = owner_of(file.path, self._context.parallelism) == self._context.subtask_index
            if mine and file.path not in self.seen:
                self.seen.add(file.path)
                new.append(file)
        return new

    def _look(self, fetcher: Fetcher[list[FoundFile]]) -> None:
        fetcher.put([file for path in self._monitoring.paths for file in find_files(path)])

    def close(self) -> None:
        """Ends a look under way."""
        if self._looking is not None:
            looking, self._looking = self._looking, None
            looking.close()

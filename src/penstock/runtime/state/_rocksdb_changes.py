"""What was written to a store since a checkpoint held its files: small files that the next checkpoints add to those.

Linking a store's files means to write its memtables out first, and what that sets off (small files, compaction, new files to
upload) costs many times the changes themselves. So an incremental checkpoint links the store's files only now and then: it
*materializes* (the word of Flink's changelog backend). All of them add *segments*, in order: what the cache had changed at
the barrier, and every batch written from then on. A restore opens the files and writes the segments again.

A segment is a sequence of batches: the count of rows and the bytes of all their keys and of all their values (three times 4
bytes), the length of each key, the length of each value or -1 for a deleted key (4 bytes each, all little endian), the keys,
the values.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from typing import Final

__all__ = ["ChangeLog", "Segment", "is_segment", "replay"]

_PREFIX: Final = "changes-"
_SEGMENTS_MAX: Final = 100
_HEADER: Final = struct.Struct("<III")

Rows = Sequence[bytes]
Values = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed file of changes.

    Attributes:
        name: unique and ascending within a store.
        path: where it lies.
        size_bytes: of its keys and values.
    """

    name: str
    path: str
    size_bytes: int


class _SegmentFile:
    """A segment that is being written; its file is made with the first batch."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._size_bytes = 0

    def add(self, keys: Rows, values: Values, size_bytes: int) -> None:
        if self._file is None:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._file = open(self._path, "wb", 0)  # noqa: SIM115 (closed by `close`)
        all_keys = b"".join(keys)
        try:
            lengths = array("i", map(len, values))  # type: ignore[arg-type]
            all_values = b"".join(values)  # type: ignore[arg-type]
        except TypeError:  # some are deleted
            lengths = array("i", [-1 if value is None else len(value) for value in values])
            all_values = b"".join(filter(None, values))
        header = _HEADER.pack(len(keys), len(all_keys), len(all_values))
        for part in (header + _as_bytes(array("i", map(len, keys))) + _as_bytes(lengths) + all_keys, all_values):
            written = self._file.write(part)
            while written < len(part):  # the disk is nearly full
                written += self._file.write(memoryview(part)[written:])
        self._size_bytes += size_bytes

    def close(self) -> Segment | None:
        if self._file is None:
            return None
        self._file.close()
        return Segment(os.path.basename(self._path), self._path, self._size_bytes)


def _as_bytes(lengths: array[int]) -> bytes:
    if sys.byteorder == "big":
        lengths.byteswap()
    return lengths.tobytes()


class ChangeLog:
    """The changes of one store. Owned by the task's thread.

    Recording begins with `begin`. It ends by itself when there is more than is worth keeping, or the disk is full: then the
    next checkpoint has to materialize, which is always right.

    From a barrier on, what changes goes into the next segment, and what the checkpoint of the barrier still has to record
    into one before it.

    Attributes:
        is_recording: whether everything since `begin` is there.
        recording: which one it is; there is another after each `begin`.
    """

    def __init__(self, directory: str, limit_bytes: Callable[[], int]) -> None:
        """A log that does not record yet.

        Args:
            directory: for its files; made when needed.
            limit_bytes: how much it may hold.
        """
        self.is_recording = False
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._limit = 0
        self.recording = 0
        self._number = 0
        self._segments: list[Segment] = []
        self._size_bytes = 0
        self._current: _SegmentFile | None = None
        self._barrier: _SegmentFile | None = None
        self._records_barrier = False

    def record(self, keys: Rows, values: Values, size_bytes: int) -> None:
        """Adds a batch that was written, with about so many bytes."""
        if not self.is_recording:
            return
        try:
            if self._records_barrier and self._barrier is not None:
                self._barrier.add(keys, values, size_bytes)
            else:
                if self._current is None:
                    self._current = self._next()
                self._current.add(keys, values, size_bytes)
        except OSError:
            self.stop()
            return
        self._size_bytes += size_bytes
        if self._size_bytes > self._limit and self._barrier is None:
            self.stop()

    def _next(self) -> _SegmentFile:
        self._number += 1
        return _SegmentFile(f"{self._directory}/{_PREFIX}{self._number:010d}")

    def _close(self, file: _SegmentFile | None) -> Segment | None:
        try:
            segment = None if file is None else file.close()
        except OSError:
            self.stop()
            return None
        if segment is not None:
            self._segments.append(segment)
        return segment

    @property
    def is_short(self) -> bool:
        """Whether one more segment is better than to materialize."""
        return self.is_recording and len(self._segments) < _SEGMENTS_MAX and self._size_bytes <= self._limit

    def begin(self) -> None:
        """The barrier of a checkpoint that materializes: earlier changes are of no use any more."""
        self.stop()
        self.recording += 1
        self.is_recording = True
        self._limit = self._limit_bytes()
        self.begin_barrier()

    def begin_barrier(self) -> list[Segment]:
        """The barrier of a checkpoint that adds to those before; returns the segments so far, which may go any time."""
        current, self._current = self._current, None
        self._close(current)
        self._barrier = self._next()
        return list(self._segments)

    @property
    def is_at_barrier(self) -> bool:
        """Whether the checkpoint of the last barrier still records."""
        return self._barrier is not None

    @contextmanager
    def at_barrier(self) -> Iterator[None]:
        """What is recorded meanwhile belongs to the barrier's checkpoint."""
        self._records_barrier = True
        try:
            yield
        finally:
            self._records_barrier = False

    def end_barrier(self) -> Segment | None:
        """The checkpoint has recorded what it had to; returns its segment, None if there was nothing.

        Raises:
            OSError: recording ended meanwhile.
        """
        is_first = not self._segments
        barrier, self._barrier = self._barrier, None
        segment = self._close(barrier)
        if not self.is_recording:
            raise OSError(errno.ENOSPC, f"the changes of the state could not be written to {self._directory}")
        if segment is not None and is_first:
            self._limit += segment.size_bytes  # what the cache holds comes back with each `begin`
        return segment

    def stop(self) -> None:
        """Ends recording and deletes what there is."""
        self.is_recording = False
        for file in (self._current, self._barrier):
            with suppress(OSError):  # the disk is full: the file goes anyway
                if file is not None:
                    file.close()
        self._current = self._barrier = None
        self._segments.clear()
        self._size_bytes = 0
        shutil.rmtree(self._directory, ignore_errors=True)


def is_segment(name: str) -> bool:
    """Whether a file of a checkpoint is a segment."""
    return name.startswith(_PREFIX)


def replay(path: str) -> Iterator[tuple[list[bytes], list[bytes | None]]]:
    """The batches of a segment, in the order they were written: keys and values, None for a deleted key."""
    with open(path, "rb") as file:
        while header := file.read(_HEADER.size):
            count, keys_bytes, values_bytes = _HEADER.unpack(header)
            key_lengths = struct.unpack(f"<{count}i", file.read(4 * count))
            value_lengths = struct.unpack(f"<{count}i", file.read(4 * count))
            keys, values = file.read(keys_bytes), file.read(values_bytes)
            yield _cut(keys, key_lengths), _cut(values, value_lengths)  # type: ignore[misc]  # a key is never deleted


def _cut(data: bytes, lengths: Iterable[int]) -> list[bytes | None]:
    parts: list[bytes | None] = []
    start = 0
    for length in lengths:
        if length < 0:
            parts.append(None)
        else:
            parts.append(data[start : start + length])
            start += length
    return parts

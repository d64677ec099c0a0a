"""What `cache()` keeps: the elements of a stream in files, written by one job and read by later ones."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    Committer,
    ReaderContext,
    Sink,
    SinkWriter,
    Source,
    SourceBatch,
    SourceReader,
    WriterContext,
    _EndOfInput,
)

__all__ = ["CacheFiles", "CacheSink", "CacheSource"]

PART = "part-"
IN_PROGRESS = ".in-progress-"
COMPLETE = "complete"


class CacheFiles:
    """A directory of elements. It counts only when the job that wrote it has finished; owned by the client.

    Layout: files `part-<id>`, each a series of frames: 8 bytes of length, then the pickle of a list of elements and a
    list of their timestamps. The empty file `complete` says that all parts are there.
    """

    def __init__(self) -> None:
        self.directory: str | None = None
        self._remove: Callable[[], object] | None = None

    def create(self) -> str:
        """An empty directory, in place of what was there; removed with this object at the latest."""
        import shutil
        import tempfile
        import weakref

        self.drop()
        self.directory = tempfile.mkdtemp(prefix="penstock-cache-")
        self._remove = weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        return self.directory

    @property
    def is_complete(self) -> bool:
        """Whether a job wrote it and finished."""
        return self.directory is not None and os.path.exists(os.path.join(self.directory, COMPLETE))

    def drop(self) -> None:
        """Removes the files."""
        if self._remove is not None:
            self._remove()
        self.directory = self._remove = None


class CacheSink(Sink):
    """Writes elements to a directory. Immutable."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def create_writer(self, context: WriterContext, recovered: Sequence[Any] = ()) -> SinkWriter:
        """Writes one part."""
        return _CacheWriter(self._directory)

    def create_committer(self) -> Committer:
        """Makes parts count."""
        return _CacheCommitter(self._directory)


class _CacheWriter(SinkWriter):
    """Task thread only."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._part = os.urandom(16).hex()
        self._file: BinaryIO | None = open(os.path.join(directory, IN_PROGRESS + self._part), "wb")  # noqa: SIM115

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None, watermark: int) -> None:
        """Appends a frame."""
        assert self._file is not None
        stamps = None if timestamps is None else list(timestamps)
        frame = pickle.dumps((list(values), stamps), pickle.HIGHEST_PROTOCOL)
        self._file.write(struct.pack(">Q", len(frame)))
        self._file.write(frame)

    def finish(self) -> list[Any]:
        """The part is whole."""
        self.close()
        return [self._part]

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class _CacheCommitter(Committer):
    """Renames finished parts."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def commit(self, committables: Sequence[Any]) -> None:
        """Makes the parts count; one that counts already is skipped."""
        for part in committables:
            source = os.path.join(self._directory, IN_PROGRESS + part)
            if os.path.exists(source):
                os.replace(source, os.path.join(self._directory, PART + part))


class CacheSource(Source):
    """Reads the elements of a directory. Immutable. A split is (path, frames read)."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    @property
    def boundedness(self) -> Boundedness:
        """Bounded."""
        return Boundedness.BOUNDED

    def plan_splits(self, parallelism: int) -> list[tuple[str, int]]:
        """One split a part."""
        names = sorted(name for name in os.listdir(self._directory) if name.startswith(PART))
        return [(os.path.join(self._directory, name), 0) for name in names]

    def create_reader(self, splits: Sequence[tuple[str, int]], context: ReaderContext) -> SourceReader:
        """Reads the splits one after the other."""
        return _CacheReader(splits)


class _CacheReader(SourceReader):
    """Hands out frames; task thread only."""

    def __init__(self, splits: Sequence[tuple[str, int]]) -> None:
        self._splits = list(splits)
        self._frames: Iterator[tuple[list[Any], list[int] | None]] | None = None
        self._rest: tuple[list[Any], list[int] | None] = ([], None)

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        """The next elements, of one frame at most."""
        while not self._rest[0]:
            if not self._next_frame():
                return END_OF_INPUT
        values, stamps = self._rest
        self._rest = (values[max_records:], None if stamps is None else stamps[max_records:])
        return SourceBatch(values[:max_records], None if stamps is None else stamps[:max_records])

    def snapshot(self) -> list[tuple[str, int]]:
        """The frames to be read; a frame that was read in part is read again, as BATCH jobs take no checkpoints."""
        return list(self._splits)

    def close(self) -> None:
        """Drops what is left."""
        self._frames = None
        self._splits = []

    def _next_frame(self) -> bool:
        while self._splits:
            path, done = self._splits[0]
            if self._frames is None:
                self._frames = _frames(path, done)
            frame = next(self._frames, None)
            if frame is not None:
                self._rest = frame
                self._splits[0] = (path, done + 1)
                return True
            self._splits.pop(0)
            self._frames = None
        return False


def _frames(path: str, skipped: int) -> Iterator[tuple[list[Any], list[int] | None]]:
    with open(path, "rb") as file:
        index = 0
        while header := file.read(8):
            frame = file.read(struct.unpack(">Q", header)[0])
            if index >= skipped:
                yield pickle.loads(frame)
            index += 1

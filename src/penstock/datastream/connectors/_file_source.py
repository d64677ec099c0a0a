"""FileSource and its builder (`pyflink.datastream.connectors.file_system`)."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

from penstock.common.time import Duration
from penstock.common.typeinfo import TypeInformation
from penstock.datastream.connectors._compression import is_compressed
from penstock.datastream.connectors._file_formats import BulkFormat, FileFormat, FileSplit, StreamFormat
from penstock.datastream.connectors._file_reader import FileReader, Monitoring, SeenFiles, owner_of
from penstock.datastream.connectors._input_files import FoundFile, find_files
from penstock.datastream.connectors.base import Boundedness, ReaderContext, Source, SourceReader

__all__ = ["FileEnumeratorProvider", "FileSource", "FileSourceBuilder", "FileSplitAssignerProvider"]

_logger = logging.getLogger(__name__)
_BYTES_A_RECORD = 100  # for estimates only
_SMALLEST_RANGE_BYTES = 16 * 1024 * 1024  # smaller parts of a file are not worth another reader


class FileEnumeratorProvider:
    """How files are found and whether large ones are split among readers; both kinds search recursively."""

    def __init__(self, splitting: bool) -> None:
        self.splitting = splitting

    @staticmethod
    def default_splittable_file_enumerator() -> FileEnumeratorProvider:
        """Splits large files whose format and name (no compression suffix) allow it."""
        return FileEnumeratorProvider(splitting=True)

    @staticmethod
    def default_non_splittable_file_enumerator() -> FileEnumeratorProvider:
        """One split a file, so that one reader reads its records in order."""
        return FileEnumeratorProvider(splitting=False)


class FileSplitAssignerProvider:
    """Which reader gets which split. One machine has one locality: splits go where the fewest bytes are waiting."""

    @staticmethod
    def locality_aware_split_assigner() -> FileSplitAssignerProvider:
        """The default."""
        return FileSplitAssignerProvider()


class FileSourceBuilder:
    """Collects a FileSource's settings; started by the `for_…` methods of FileSource."""

    def __init__(self, file_format: FileFormat, paths: Sequence[str | os.PathLike[str]]) -> None:
        if not paths:
            raise ValueError("FileSource needs at least one path")
        self._format = file_format
        self._paths = tuple(os.fspath(path) for path in paths)
        self._interval_ms: int | None = None
        self._enumerator: FileEnumeratorProvider | None = None

    def monitor_continuously(self, discovery_interval: Duration) -> FileSourceBuilder:
        """Keeps running, and looks for new files under the paths at every interval.

        Raises:
            ValueError: if the interval is not positive.
        """
        interval_ms = discovery_interval.to_millis()
        if interval_ms <= 0:
            raise ValueError(f"the discovery interval must be at least 1 ms, got {discovery_interval!r}")
        self._interval_ms = interval_ms
        return self

    def process_static_file_set(self) -> FileSourceBuilder:
        """Reads the files that are there when the job starts, and ends: the default."""
        self._interval_ms = None
        return self

    def set_file_enumerator(self, file_enumerator: FileEnumeratorProvider) -> FileSourceBuilder:
        """Sets whether large files are split; without it they are where the format allows."""
        self._enumerator = file_enumerator
        return self

    def set_split_assigner(self, split_assigner: FileSplitAssignerProvider) -> FileSourceBuilder:
        """Accepted: there is one assigner."""
        return self

    def build(self) -> FileSource:
        """The source."""
        splitting = self._enumerator is None or self._enumerator.splitting
        return FileSource(self._format, self._paths, splitting, self._interval_ms)


class FileSource(Source):
    """Reads files: local paths, `file://` URLs and any URL fsspec knows; built by `for_record_stream_format`.

    Files with the suffixes .deflate, .gz, .gzip, .bz2, .xz and .zst are decompressed by stream formats. Large
    uncompressed text files are read by several readers, each a range of lines; within a range order is kept. (Flink
    reads a text file with one reader; `FileEnumeratorProvider.default_non_splittable_file_enumerator` does here too.)
    """

    def __init__(
        self, file_format: FileFormat, paths: tuple[str, ...], splitting: bool, interval_ms: int | None
    ) -> None:
        self._format = file_format
        self._paths = paths
        self._splitting = splitting and file_format.splittable and interval_ms is None
        self._interval_ms = interval_ms

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat, *paths: str | os.PathLike[str]) -> FileSourceBuilder:
        """Reads records one after the other, such as lines."""
        return FileSourceBuilder(_checked(stream_format, StreamFormat), paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: BulkFormat, *paths: str | os.PathLike[str]) -> FileSourceBuilder:
        """Reads files decoded in bulk, such as Parquet."""
        return FileSourceBuilder(_checked(bulk_format, BulkFormat), paths)

    @property
    def boundedness(self) -> Boundedness:
        """CONTINUOUS_UNBOUNDED when monitoring, else BOUNDED."""
        return Boundedness.BOUNDED if self._interval_ms is None else Boundedness.CONTINUOUS_UNBOUNDED

    @property
    def produced_type(self) -> TypeInformation | None:
        """The format's type."""
        return self._format.produced_type

    def estimated_records(self) -> int | None:
        """The bytes of the files over that of a usual line; None for a monitored directory."""
        if self.boundedness is not Boundedness.BOUNDED:
            return None
        return sum(file.size_bytes for path in self._paths for file in find_files(path)) // _BYTES_A_RECORD

    def plan_splits(self, parallelism: int) -> list[FileSplit | SeenFiles]:
        """The files that are there now, large ones cut into ranges.

        Raises:
            ConfigurationError: if a path does not exist.
        """
        files: list[FoundFile] = []
        for path in self._paths:
            found = find_files(path)
            if not found:
                _logger.warning("No input files under %r (names starting with . or _ are not read)", path)
            files.extend(found)
        splits: list[FileSplit | SeenFiles] = []
        for file in files:
            splits.extend(self._ranges(file, parallelism))
        if self._interval_ms is not None:
            splits.append(SeenFiles(frozenset(file.path for file in files)))
        return splits

    def _ranges(self, file: FoundFile, parallelism: int) -> list[FileSplit]:
        if not self._splitting or parallelism == 1 or is_compressed(file.path):
            return [FileSplit(file.path, file.size_bytes)]
        parts = max(1, min(parallelism, file.size_bytes // _SMALLEST_RANGE_BYTES))
        edges = [file.size_bytes * part // parts for part in range(parts)]
        ends: list[int | None] = [*edges[1:], None]
        return [FileSplit(file.path, file.size_bytes, start, end) for start, end in zip(edges, ends, strict=True)]

    def deal_out(self, splits: Sequence[Any], parallelism: int) -> list[list[Any]]:
        """Balances bytes among the readers; while monitoring, gives each file to the reader that would find it."""
        readers: list[list[Any]] = [[] for _ in range(parallelism)]
        files = [split for split in splits if isinstance(split, FileSplit)]
        if self._interval_ms is not None:
            for split in files:
                readers[owner_of(split.path, parallelism)].append(split)
            seen = {path for known in splits if isinstance(known, SeenFiles) for path in known.paths}
            for index, reader in enumerate(readers):
                reader.append(SeenFiles(frozenset(path for path in seen if owner_of(path, parallelism) == index)))
            return readers
        loads = [0] * parallelism
        owners: dict[int, int] = {}
        for number in sorted(range(len(files)), key=lambda number: -_bytes_left(files[number])):
            owner = loads.index(min(loads))
            loads[owner] += _bytes_left(files[number]) + 1
            owners[number] = owner
        for number, split in enumerate(files):  # each reader keeps the order in which the files were found
            readers[owners[number]].append(split)
        return readers

    def create_reader(self, splits: Sequence[FileSplit | SeenFiles], context: ReaderContext) -> SourceReader:
        """Reads the splits in order; the file system is touched only when polled."""
        monitoring = None if self._interval_ms is None else Monitoring(self._paths, self._interval_ms)
        return FileReader(self._format, splits, context, monitoring)


def _bytes_left(split: FileSplit) -> int:
    end = split.size_bytes if split.end is None else split.end
    return max(0, end - max(split.start, split.offset or 0))


def _checked(file_format: Any, kind: type[Any]) -> Any:
    if not isinstance(file_format, kind):
        raise TypeError(f"FileSource reads with a {kind.__name__}, got {file_format!r}")
    return file_format

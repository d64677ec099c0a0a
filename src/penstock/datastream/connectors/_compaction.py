"""Putting small files together before they are committed (Flink's `FileCompactStrategy` and `FileCompactor`)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from penstock.datastream.connectors._output_files import OutputFiles, output_error
from penstock.datastream.connectors._part_files import PendingFile, in_progress_mark

__all__ = ["Compaction", "Compactor", "FileCompactStrategy", "FileCompactor"]

_COPY_BYTES = 1024 * 1024


class FileCompactStrategy:
    """When files are put together; made by `FileCompactStrategy.builder()`."""

    def __init__(self, size_threshold: int, num_checkpoints_before_compaction: int, num_compact_threads: int) -> None:
        self.size_threshold = size_threshold
        self.num_checkpoints_before_compaction = num_checkpoints_before_compaction
        self.num_compact_threads = num_compact_threads

    @staticmethod
    def builder() -> FileCompactStrategy.Builder:
        """Starts building."""
        return FileCompactStrategy.Builder()

    class Builder:
        """Collects the conditions, of which at least one is needed."""

        def __init__(self) -> None:
            self._size_threshold = -1
            self._checkpoints = -1
            self._threads = 1

        def build(self) -> FileCompactStrategy:
            """The strategy.

            Raises:
                ValueError: if no condition was set.
            """
            if self._size_threshold < 0 and self._checkpoints <= 0:
                raise ValueError("At least one of size threshold or number of checkpoints must be configured.")
            return FileCompactStrategy(self._size_threshold, self._checkpoints, self._threads)

        def enable_compaction_on_checkpoint(
            self, num_checkpoints_before_compaction: int
        ) -> FileCompactStrategy.Builder:
            """Compacts at every so many checkpoints.

            Raises:
                ValueError: if it is not positive.
            """
            if num_checkpoints_before_compaction <= 0:
                raise ValueError("Number of checkpoints before compaction must be more than 0.")
            self._checkpoints = num_checkpoints_before_compaction
            return self

        def set_size_threshold(self, size_threshold: int) -> FileCompactStrategy.Builder:
            """Compacts once the waiting files of a directory have so many bytes."""
            self._size_threshold = size_threshold
            return self

        def set_num_compact_threads(self, num_compact_threads: int) -> FileCompactStrategy.Builder:
            """Accepted: files are copied by the task itself, at its checkpoint.

            Raises:
                ValueError: if it is not positive.
            """
            if num_compact_threads <= 0:
                raise ValueError("Compact threads should be more than 0.")
            self._threads = num_compact_threads
            return self


class FileCompactor:
    """How files are put together."""

    def __init__(self, file_delimiter: bytes = b"", only_one: bool = False) -> None:
        self.file_delimiter = file_delimiter
        self.only_one = only_one

    @staticmethod
    def concat_file_compactor(file_delimiter: bytes | None = None) -> FileCompactor:
        """One file after the other, with the delimiter in between."""
        return FileCompactor(file_delimiter or b"")

    @staticmethod
    def identical_file_compactor() -> FileCompactor:
        """Each file becomes one compacted file of the same contents."""
        return FileCompactor(only_one=True)


@dataclass(frozen=True, slots=True)
class Compaction:
    """A strategy and a compactor."""

    strategy: FileCompactStrategy
    compactor: FileCompactor


class Compactor:
    """Keeps finished files until it is time, then puts those of one directory together. Owned by the writer.

    The originals stay until the compacted file is committed, so that a crash before then loses nothing.
    """

    def __init__(self, compaction: Compaction, files: OutputFiles, lineage: str) -> None:
        self._compaction = compaction
        self._files = files
        self._lineage = lineage
        self._waiting: list[PendingFile] = []
        self._checkpoints = 0

    def recover(self, files: Sequence[PendingFile]) -> None:
        """Takes over what a snapshot's `waiting` had."""
        self._waiting.extend(files)

    def waiting(self) -> tuple[PendingFile, ...]:
        """The files kept back."""
        return tuple(self._waiting)

    def at_checkpoint(self, finished: Sequence[PendingFile]) -> list[PendingFile]:
        """The files to commit at this checkpoint."""
        self._waiting.extend(finished)
        self._checkpoints += 1
        strategy = self._compaction.strategy
        everything = 0 < strategy.num_checkpoints_before_compaction <= self._checkpoints
        if everything:
            self._checkpoints = 0
        return self._compact(everything)

    def at_end(self, finished: Sequence[PendingFile]) -> list[PendingFile]:
        """All files, compacted."""
        self._waiting.extend(finished)
        return self._compact(everything=True)

    def _compact(self, everything: bool) -> list[PendingFile]:
        by_directory: dict[str, list[PendingFile]] = {}
        for file in self._waiting:
            by_directory.setdefault(file.final.rpartition("/")[0], []).append(file)
        threshold = self._compaction.strategy.size_threshold
        compacted: list[PendingFile] = []
        self._waiting = []
        for files in by_directory.values():
            if not everything and not 0 <= threshold <= sum(file.size_bytes for file in files):
                self._waiting.extend(files)
            elif self._compaction.compactor.only_one:
                compacted.extend(self._merge([file]) for file in files)
            else:
                compacted.append(self._merge(files))
        return compacted

    def _merge(self, parts: list[PendingFile]) -> PendingFile:
        directory, _, name = parts[0].final.rpartition("/")
        name = f"compacted-{name}"
        path = self._files.join(directory, f".{name}{in_progress_mark(self._lineage)}")
        try:
            self._files.remove(path)  # of an attempt that failed before its checkpoint
            stream = self._files.create(path)
            try:
                for index, part in enumerate(parts):
                    if index:
                        stream.write(self._compaction.compactor.file_delimiter)
                    with self._files.open(part.in_progress) as source:
                        shutil.copyfileobj(source, cast(BinaryIO, stream), _COPY_BYTES)
                stream.finish()
            except BaseException:
                stream.close()
                raise
        except OSError as error:
            raise output_error("compact", path, error) from error
        replaces = tuple(part.in_progress for part in parts)
        return PendingFile(path, self._files.join(directory, name), stream.tell(), replaces)

"""Sorted runs on disk: blocks of pickled records in files without names."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from penstock.runtime._tmp_dirs import SpillError, open_temporary, spill_failure

__all__ = ["Run", "RunStore"]

_LENGTH_BYTES: Final = 4


class Run:
    """One sorted run. Owned by the sorter's thread; read once, from the front.

    Attributes:
        level: how often its records were merged.
        size_bytes: what it takes on disk.
    """

    def __init__(self, store: RunStore, file: BinaryIO, directory: str, level: int) -> None:
        self._store = store
        self._file = file
        self._directory = directory
        self._position = 0
        self.level = level
        self.size_bytes = 0

    def append(self, block: list[bytes]) -> None:
        """Writes the next block.

        Raises:
            SpillError: if it cannot be written; a `DiskFullError` when there is no space.
        """
        data = pickle.dumps(block, 5)
        framed = len(data).to_bytes(_LENGTH_BYTES, "big") + data
        try:
            view = memoryview(framed)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise spill_failure(error, self._directory, self._store.spilled_bytes) from error
        self.size_bytes += len(framed)
        self._store.grew(len(framed))

    def read_block(self) -> list[bytes] | None:
        """The next block, None after the last, which frees the disk.

        Raises:
            SpillError: if it cannot be read.
        """
        if self._position >= self.size_bytes:
            self.close()
            return None
        header = self._read(_LENGTH_BYTES)
        block: list[bytes] = pickle.loads(self._read(int.from_bytes(header, "big")))
        return block

    def _read(self, length: int) -> bytes:
        try:
            data = os.pread(self._file.fileno(), length, self._position)
        except OSError as error:
            raise spill_failure(error, self._directory, self._store.spilled_bytes) from error
        if len(data) != length:
            raise SpillError(f"A temporary file in '{self._directory}' ends early: {len(data)} of {length} bytes.")
        self._position += length
        return data

    def close(self) -> None:
        """Frees the disk; the second call does nothing."""
        if not self._file.closed:
            self._file.close()
            self._store.closed(self)


class RunStore:
    """The runs of one sorter. Owned by the sorter's thread.

    Attributes:
        spilled_bytes: on disk now.
        spilled_bytes_peak: the most there were.
        written_bytes: all that was ever written.
    """

    def __init__(self, directories: Sequence[str], block_bytes: int) -> None:
        self._directories = tuple(directories)
        self._block_bytes = block_bytes
        self._runs: set[Run] = set()
        self._made = 0
        self.spilled_bytes = 0
        self.spilled_bytes_peak = 0
        self.written_bytes = 0

    def write(self, records: Iterable[list[bytes]], level: int) -> Run:
        """A new run of records that come in sorted lists.

        Raises:
            SpillError: if it cannot be written; what was written of it is gone.
        """
        file, directory = open_temporary(self._directories, self._made)
        self._made += 1
        run = Run(self, file, directory, level)
        self._runs.add(run)
        try:
            for block in _blocks(records, self._block_bytes):
                run.append(block)
        except BaseException:
            run.close()
            raise
        return run

    def grew(self, size_bytes: int) -> None:
        """A run grew."""
        self.written_bytes += size_bytes
        self.spilled_bytes += size_bytes
        self.spilled_bytes_peak = max(self.spilled_bytes_peak, self.spilled_bytes)

    def closed(self, run: Run) -> None:
        """A run is gone."""
        self.spilled_bytes -= run.size_bytes
        self._runs.discard(run)

    def close(self) -> None:
        """Frees all disk."""
        for run in list(self._runs):
            run.close()


def _blocks(lists: Iterable[list[bytes]], block_bytes: int) -> Iterator[list[bytes]]:
    """Cuts sorted lists into blocks of about `block_bytes` in memory."""
    for records in lists:
        start = 0
        while start < len(records):
            # The first records say how many fit; what follows is measured.
            sample = records[start : start + 16]
            count = max(1, block_bytes // (sum(map(len, sample)) // len(sample) + RECORD_OVERHEAD_BYTES))
            block = records[start : start + count]
            while len(block) > 1 and sum(map(len, block)) + len(block) * RECORD_OVERHEAD_BYTES > 2 * block_bytes:
                del block[len(block) // 2 :]
            yield block
            start += len(block)


RECORD_OVERHEAD_BYTES: Final = 64
"""What a record takes besides its bytes: the header of a bytes object (33), rounding by the allocator (up to 15), its
slot in a list that grew (up to 9), and its share of what sorting a list needs (up to 4), rounded up."""

"""The external sorter: records by key and timestamp, in a budget of bytes, in pure Python.

A record is one `bytes` object that compares as the record should sort:

    encoded key · timestamp (8) · sequence number (8) · input (1) · pickled value

Its size is known exactly, which is what makes the budget exact. Records collect in a list; when the budget is used up
they are sorted and spilled as a run; at the end, or when there are too many runs, runs are merged block by block:
everything up to the smallest last record of the blocks in memory is cut out, sorted as one list (which takes little
more than a merge, as it consists of sorted stretches) and passed on. docs/design/state.md has the measurements.
"""

from __future__ import annotations

import pickle
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from struct import Struct
from typing import Any, Final

from penstock.errors import InvariantError, JobError
from penstock.runtime.sort._runs import RECORD_OVERHEAD_BYTES, Run, RunStore
from penstock.runtime.state._keys import decode_key, encode_key

__all__ = ["ExternalSorter", "SortStatistics"]

_PLACE: Final = Struct(">QQB")
_TIMESTAMP: Final = Struct(">Q")
_SIGN: Final = 1 << 63
_GROUP_RECORDS: Final = 1024
_BUDGET_BYTES_MIN: Final = 64 << 10
_OPEN_RUNS_MAX: Final = 128
_CACHED_KEYS_MAX: Final = 4096
_ENCODED_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class SortStatistics:
    """What a sort took.

    Attributes:
        records: added so far.
        runs: spilled runs, merged ones included.
        memory_bytes_peak: the most that the records in memory took.
        spilled_bytes_peak: the most that lay on disk.
        written_bytes: all that was written to disk.
    """

    records: int
    runs: int
    memory_bytes_peak: int
    spilled_bytes_peak: int
    written_bytes: int


class ExternalSorter:
    """Sorts records by key, then timestamp, then the order they came in. Owned by one thread.

    A context manager: leaving it frees memory and disk, as `close` does.
    """

    def __init__(self, budget_bytes: int, directories: Sequence[str], name: str = "sort") -> None:
        """A sorter that holds at most `budget_bytes` of records in memory.

        Args:
            budget_bytes: the operator's managed memory; at least 64 KiB are used.
            directories: where runs are spilled, in turn.
            name: the operator, for messages.
        """
        self._budget_bytes = max(budget_bytes, _BUDGET_BYTES_MIN)
        self._name = name
        # A merge holds two blocks a run (one read, one cut) in three quarters of the budget.
        self._block_bytes = min(max(self._budget_bytes // 256, 8 << 10), 256 << 10)
        self._fan_in = min(max(2, self._budget_bytes * 3 // 8 // self._block_bytes), _OPEN_RUNS_MAX)
        self._store = RunStore(directories, self._block_bytes)
        self._runs: list[Run] = []
        self._records: list[bytes] = []
        self._held_bytes = 0
        self._peak_bytes = 0
        self._count = 0
        self._run_count = 0
        self._key_cache: dict[str, bytes] = {}
        self._encoded_at_once = 16
        self._reading = False

    def __enter__(self) -> ExternalSorter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ---------------------------------------------------------------------------------

    def add(self, keys: Sequence[Any], timestamps: Sequence[int], values: Sequence[Any], input_index: int = 0) -> None:
        """Takes records: three sequences of one length.

        Args:
            keys: any keys, frozen or not.
            timestamps: epoch ms, or `NO_TIMESTAMP`.
            values: picklable.
            input_index: which input they came from, 0 to 255.

        Raises:
            SpillError: if runs cannot be written; a `DiskFullError` when there is no space.
            JobError: if a value cannot be pickled.
        """
        if self._reading:
            raise InvariantError(f"records were added to '{self._name}' after it was read")
        start = 0
        while start < len(keys):
            end = start + self._encoded_at_once
            self._add(self._encode(keys[start:end], timestamps[start:end], values[start:end], input_index))
            start = end

    def _encode(
        self, keys: Sequence[Any], timestamps: Sequence[int], values: Sequence[Any], input_index: int
    ) -> list[bytes]:
        """Records as bytes: whole columns at a time, so that the loops run in C."""
        try:
            data = list(map(pickle.dumps, values))
        except Exception:
            data = [self._dumps_by_value(value) for value in values]
        numbers = range(self._count, self._count + len(data))
        places = map(_PLACE.pack, map(_SIGN.__add__, timestamps), numbers, repeat(input_index))
        self._count += len(data)
        return list(map(b"".join, zip(map(self._encoded_key, keys), places, data, strict=True)))

    def _add(self, records: list[bytes]) -> None:
        size = sum(map(len, records))
        added = size + len(records) * RECORD_OVERHEAD_BYTES
        if self._held_bytes + added > self._budget_bytes and self._records:
            self._spill()
        self._records += records
        self._held_bytes += added
        self._peak_bytes = max(self._peak_bytes, self._held_bytes)
        # What is encoded before the budget is looked at again: a small part of it.
        self._encoded_at_once = min(_ENCODED_AT_ONCE, max(1, self._budget_bytes // 64 * len(records) // added))

    def _encoded_key(self, key: Any) -> bytes:
        if type(key) is not str:  # 1, 1.0 and True would find each other in the cache
            return encode_key(key)
        data = self._key_cache.get(key)
        if data is None:
            if len(self._key_cache) >= _CACHED_KEYS_MAX:
                self._key_cache.clear()
            data = self._key_cache[key] = encode_key(key)
        return data

    def _dumps_by_value(self, value: Any) -> bytes:
        import cloudpickle

        try:
            data: bytes = cloudpickle.dumps(value, 5)
        except Exception as error:
            raise JobError(
                f"{self._name} cannot sort a record that cannot be pickled: {value!r:.200}: {error}. In BATCH mode the "
                "input of keyed operators is sorted, which takes records to disk."
            ) from error
        return data

    def _spill(self) -> None:
        self._records.sort()
        self._add_run(self._store.write((self._records,), 0))
        self._records = []
        self._held_bytes = 0

    def _add_run(self, run: Run) -> None:
        """Keeps a run, and merges the runs of a level when there are as many as one merge can take."""
        self._run_count += 1
        self._runs.append(run)
        level = [other for other in self._runs if other.level == run.level]
        if len(level) >= self._fan_in:
            self._runs = [other for other in self._runs if other.level != run.level]
            merged = self._store.write(merged_blocks(level), run.level + 1)
            self._add_run(merged)

    # -- reading ---------------------------------------------------------------------------------

    def _sorted_lists(self) -> Iterator[list[bytes]]:
        """All records in order, in lists."""
        if self._reading:
            raise InvariantError(f"'{self._name}' was read twice")
        self._reading = True
        self._key_cache.clear()
        if not self._runs:
            self._records.sort()
            records, self._records = self._records, []
            records.reverse()
            while records:  # from the end, so that what was read is freed
                part = records[-_GROUP_RECORDS:]
                del records[-_GROUP_RECORDS:]
                part.reverse()
                yield part
            return
        if self._records:
            self._spill()
        while len(self._runs) > self._fan_in:
            self._runs.sort(key=lambda run: run.size_bytes)
            first = self._runs[: min(self._fan_in, len(self._runs) - self._fan_in + 1)]
            del self._runs[: len(first)]
            self._run_count += 1
            self._runs.append(self._store.write(merged_blocks(first), max(run.level for run in first) + 1))
        yield from merged_blocks(self._runs)

    def groups(self) -> Iterator[tuple[Any, Iterable[Part]]]:
        """For each key, its records: (input index, timestamps, values) of up to 1,024 consecutive ones of one input.

        The records of a key must be read, or are skipped, before the next key is asked for.

        Raises:
            SpillError: if a run cannot be read.
        """
        reader = _GroupReader(self._sorted_lists())
        while reader.has_record():
            records, start = reader.records, reader.position
            key, length = decode_key(records[start])
            prefix = records[start][:length]
            end = start + 1
            # No encoding of a key is a prefix of another's: what begins with this key has this key.
            while end < len(records) and records[end].startswith(prefix):
                end += 1
            if end < len(records) and end - start <= _GROUP_RECORDS:
                reader.position = end
                yield key, decoded_parts(records[start:end], length)
            else:
                yield key, reader.read_group(prefix)
                reader.skip(prefix)

    def close(self) -> None:
        """Frees memory and disk; the second call does nothing."""
        self._records = []
        self._runs = []
        self._key_cache.clear()
        self._store.close()

    def statistics(self) -> SortStatistics:
        """What it took so far."""
        return SortStatistics(
            self._count,
            self._run_count,
            self._peak_bytes,
            self._store.spilled_bytes_peak,
            self._store.written_bytes,
        )


def merged_blocks(runs: Sequence[Run]) -> Iterator[list[bytes]]:
    """The records of sorted runs as sorted lists; holds one block a run, and what is being passed on."""
    blocks: dict[Run, list[bytes]] = {}
    for run in runs:
        block = run.read_block()
        if block:
            blocks[run] = block
    while len(blocks) > 1:
        limit = min(block[-1] for block in blocks.values())
        taken: list[bytes] = []
        for run, block in list(blocks.items()):
            end = bisect_right(block, limit)
            taken += block[:end]
            if end < len(block):
                del block[:end]
                continue
            following = run.read_block()
            if following:
                blocks[run] = following
            else:
                del blocks[run]
        taken.sort()
        yield taken
    for run, block in blocks.items():
        remaining: list[bytes] | None = block
        while remaining:
            yield remaining
            remaining = run.read_block()


Part = tuple[int, list[int], list[Any]]
"""Consecutive records of one input: its index, their timestamps, their values."""


def decoded_parts(records: list[bytes], key_length: int) -> list[Part]:
    """Records of one key."""
    unpack, loads, start = _PLACE.unpack_from, pickle.loads, key_length + _PLACE.size
    if len(records) == 1:
        timestamp, _, index = unpack(records[0], key_length)
        return [(index, [timestamp - _SIGN], [loads(records[0][start:])])]
    places = [unpack(record, key_length) for record in records]
    timestamps = [place[0] - _SIGN for place in places]
    values = [loads(record[start:]) for record in records]
    parts, first = [], 0
    for end in range(1, len(places)):
        if places[end][2] != places[first][2]:
            parts.append((places[first][2], timestamps[first:end], values[first:end]))
            first = end
    parts.append((places[first][2], timestamps[first:], values[first:]))
    return parts


class _GroupReader:
    """A position in a stream of sorted records.

    Attributes:
        records: the list the position is in.
        position: of the next record.
    """

    def __init__(self, lists: Iterator[list[bytes]]) -> None:
        self._lists = lists
        self.records: list[bytes] = []
        self.position = 0

    def has_record(self) -> bool:
        """Whether there is one more; then the position is at it."""
        while self.position >= len(self.records):
            following = next(self._lists, None)
            self.records, self.position = following or [], 0
            if following is None:
                return False
        return True

    def skip(self, prefix: bytes) -> None:
        """Passes over what is left of a key."""
        while self.has_record() and self.records[self.position].startswith(prefix):
            self.position += 1

    def read_group(self, prefix: bytes) -> Iterator[Part]:
        """The records of a key that may go on in the next list, or is too long to be decoded at once."""
        while self.has_record():
            start = end = self.position
            limit = min(len(self.records), start + _GROUP_RECORDS)
            while end < limit and self.records[end].startswith(prefix):
                end += 1
            if end == start:
                return
            self.position = end
            yield from decoded_parts(self.records[start:end], len(prefix))

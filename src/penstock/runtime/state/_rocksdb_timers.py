"""Timers in RocksDB: a row each, in the order of their times within a key group.

A row is one of a map state (`_timers.timer_state`) whose value says nothing, so that restoring, rescaling and savepoints
treat it like any other. It is written, found and deleted past the cache of objects.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from penstock.runtime.state._keys import decode_key, encode_key, encode_keys, freeze_key
from penstock.runtime.state._rocksdb_maps import RocksDBMapTable
from penstock.runtime.state._rocksdb_store import after_prefix
from penstock.runtime.state._timers import TIMER_DOMAINS, timer_state

if TYPE_CHECKING:
    from penstock.runtime.state._backend import TableSpec
    from penstock.runtime.state._rocksdb import RocksDBBackend
    from penstock.runtime.state._timers import SpilledTimers, StoredTimer, TimerOwner

__all__ = ["RocksDBTimerStore", "RocksDBTimers"]

_RECORDS_ASSUMED: Final = 1000
"""Of a batch whose keys nobody told."""

_FRACTION: Final = 4
"""Timers may take one part in so many of the backend's share, and the cache what they leave."""

_TIME: Final = slice(4, 13)
"""Where the time is in a row's key: behind the key group and the number of the state, an encoded int of 64 bits."""

_ROW_TIMER_BYTES: Final = 500
"""About what a timer of a page takes in memory."""

_ALL: Final = b"\xff\xff"
"""After all rows."""


class RocksDBTimers:
    """The queues of timers of a backend. Owned by the task's thread.

    Attributes:
        records: keys of the batches since the last look.
    """

    def __init__(self, backend: RocksDBBackend) -> None:
        self.records = 0
        self._backend = backend
        self._queues: list[SpilledTimers] = []

    @property
    def heap_bytes(self) -> int:
        """About what all of them take in memory."""
        return sum(queue.heap_bytes for queue in self._queues)

    @property
    def limit_bytes(self) -> int:
        """What each of them may take in memory."""
        used = sum(queue.heap_bytes > 0 for queue in self._queues)
        return self._backend.share_bytes // _FRACTION // max(1, used)

    def keep(self, owner: TimerOwner) -> None:
        """Gives a service's queues a store, or with timers on the heap what another run had in one."""
        settings = self._backend.settings
        for domain in TIMER_DOMAINS:
            spec = timer_state(owner.name, domain)
            store = RocksDBTimerStore(self._backend, self, spec, settings.timer_cache_size)
            if not settings.timers_on_heap:
                self._queues.append(owner.spill_to(domain, store))
            elif store.first_time() is not None:
                rest: int | None = 0
                while rest is not None:
                    timers, rest = store.take()
                    owner.take_back(domain, timers)

    def after_batch(self) -> None:
        """Between batches: moves timers to the store where there are too many in memory."""
        for queue in self._queues:
            queue.after_batch(self.records or _RECORDS_ASSUMED)
        self.records = 0

    def write_deleted(self) -> None:
        """A checkpoint begins: what was deleted must be gone from the store."""
        for queue in self._queues:
            queue.write_deleted()


class RocksDBTimerStore:
    """Timers of one service and time domain in the store of a backend. Owned by the task's thread.

    Attributes:
        cache_size: the most rows of a key group in a page.
    """

    def __init__(self, backend: RocksDBBackend, timers: RocksDBTimers, spec: TableSpec, cache_size: int) -> None:
        self.cache_size = cache_size
        self._backend = backend
        self._timers = timers
        self._spec = spec
        self._made: RocksDBMapTable | None = None
        self._begins: dict[int, bytes] = {}  # where the rows of a key group begin: before are those that were deleted
        self._ahead: dict[int, list[bytes]] = {}  # the first rows of a key group, the very first last
        self._read_to: dict[int, bytes] = {}  # the last of those, or `_ALL`
        self._present = b""

    @property
    def _table(self) -> RocksDBMapTable:
        """The state; made with the first timer, so that jobs whose timers stay in memory have none."""
        if self._made is None:
            self._made = self._backend.table(self._spec)
            self._present = self._made.codec.encode(True)
        return self._made

    @property
    def limit_bytes(self) -> int:
        """What the timers of this queue may take in memory."""
        return self._timers.limit_bytes

    def may_write(self) -> bool:
        """Whether no checkpoint is taken from the store."""
        return not self._backend.is_flushing()

    def settle(self) -> None:
        """Waits until something may be written."""
        self._backend.settle()

    def put(self, timers: Sequence[StoredTimer]) -> None:
        """Writes timers."""
        store, begins, table = self._backend.store, self._begins, self._table
        present = self._present
        size = 0
        for group, row_key in self._row_keys(timers):
            store.put(row_key, present)
            size += len(row_key)
            if row_key < begins.get(group, b""):
                begins[group] = row_key
            if row_key <= self._read_to.get(group, b""):
                self._forget_ahead(group)
        store.write_batch()
        table.note_rows(len(timers), size + len(timers) * len(present))

    def delete(self, timers: Sequence[StoredTimer]) -> None:
        """Deletes timers."""
        store = self._backend.store
        for group, row_key in self._row_keys(timers):
            store.delete(row_key)
            if row_key <= self._read_to.get(group, b""):
                self._forget_ahead(group)
        store.write_batch()
        self._table.note_rows(-len(timers))

    def _row_keys(self, timers: Sequence[StoredTimer]) -> Iterator[tuple[int, bytes]]:
        """Key group and row key of each."""
        head = self._table.head
        keys = [key for _, key, _ in timers]
        encoded = encode_keys(keys)
        groups = self._backend.key_groups.of_encoded(keys, encoded)
        for (timestamp, _, namespace), key, group in zip(timers, encoded, groups, strict=True):
            yield group, head(group) + encode_key(timestamp) + key + encode_key(namespace)

    def first_time(self) -> int | None:
        """The least time of a timer in the store; looks for a state that was restored, but makes none."""
        if self._made is None and self._backend.restored_schema(self._spec.name) is None:
            return None
        firsts = [row_key[_TIME] for group in self._groups() for row_key in self._rows_of(group, 1)]
        return _time_of(min(firsts)) if firsts else None

    def take(self) -> tuple[list[StoredTimer], int | None]:
        """Takes a page of the earliest timers out of the store: merges the key groups, whose first rows it has read."""
        groups, ahead = self._groups(), self._ahead
        room = self.limit_bytes // _ROW_TIMER_BYTES
        count = max(1, min(self.cache_size, room // max(1, len(groups))))
        for group in groups:
            if group not in ahead:
                self._read_ahead(group, count)
        heads = [(rows[-1][_TIME], group) for group, rows in ahead.items() if rows]
        heapq.heapify(heads)
        page: list[bytes] = []
        while heads and len(page) < max(1, min(room, count * len(groups))):
            group = heads[0][1]
            page.append(ahead[group].pop())
            self._begins[group] = page[-1] + b"\x00"
            if not ahead[group] and self._read_to[group] != _ALL:
                self._read_ahead(group, count)
            rows = ahead[group]
            if rows:
                heapq.heapreplace(heads, (rows[-1][_TIME], group))
            else:
                heapq.heappop(heads)
        store = self._backend.store
        for row_key in page:
            store.delete(row_key)
        store.write_batch()
        self._table.note_rows(-len(page))
        return list(map(_timer_of, page)), _time_of(heads[0][0]) if heads else None

    def _read_ahead(self, group: int, count: int) -> None:
        rows = self._rows_of(group, count)
        self._read_to[group] = rows[-1] if len(rows) == count else _ALL
        self._ahead[group] = rows[::-1]

    def _forget_ahead(self, group: int) -> None:
        """The first rows of a key group are other ones now."""
        del self._ahead[group], self._read_to[group]

    def _groups(self) -> range:
        own = self._backend.key_group_range
        return range(own.start, own.end + 1)

    def _rows_of(self, group: int, count: int) -> list[bytes]:
        """The first rows of a key group; no iterator is left open, which would hold write buffers in memory."""
        head = self._table.head(group)
        rows = self._backend.store.scan_keys(self._begins.get(group, head), after_prefix(head))
        found = list(islice(rows, count))
        rows.close()  # type: ignore[attr-defined]  # it is a generator
        return found


def _time_of(encoded: bytes) -> int:
    timestamp: int = decode_key(encoded)[0]
    return timestamp


def _timer_of(row_key: bytes) -> StoredTimer:
    timestamp, position = decode_key(row_key, _TIME.start)
    key, position = decode_key(row_key, position)
    namespace: Any = decode_key(row_key, position)[0]
    return timestamp, freeze_key(key), freeze_key(namespace)

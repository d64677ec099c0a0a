"""Value, reducing and aggregating state in RocksDB: one row a key."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress, islice
from typing import TYPE_CHECKING, Any, Final

from penstock.runtime.state._backend import Key, Namespace, TableSpec, ValueTable
from penstock.runtime.state._codecs import ValueCodec
from penstock.runtime.state._rocksdb_admission import Admission
from penstock.runtime.state._rocksdb_cache import SLOT_BYTES, CachedTable, Partition

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend

__all__ = ["RocksDBValueTable"]

_Passing = tuple[list[bytes], list[Key]]
_NONE_PASSING: _Passing = ([], [])
_WRITTEN_AT_ONCE: Final = 1024


class RocksDBValueTable(CachedTable, ValueTable):
    """One row a key.

    Keys that are not worth a place in the cache *pass*: they are in it from their batch to the next, with which they are
    written under the row keys they were fetched by.
    """

    def __init__(self, backend: RocksDBBackend, spec: TableSpec, number: int, codec: ValueCodec, rows: int = 0) -> None:
        super().__init__(backend, spec, number, codec, rows)
        self._admission = Admission()
        self._fetched = _NONE_PASSING  # by the open batch, to pass
        self._passing = _NONE_PASSING  # of the batch before

    def live(self) -> dict[Key, Any]:
        """The cache of the state of no window."""
        return self._void.entries

    def open_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, Any]:
        """Fetches what is not cached."""
        partition = self._void if namespace is None else self._partition(namespace)
        self._backend.open_batches += 1
        batch = partition.batch = set(keys)
        if partition.frozen:
            self._release(partition, batch)
        self._fetch_batch(partition, batch)
        return partition.entries

    def _missing(self, partition: Partition, keys: set[Key], absent: set[Key]) -> set[Key]:
        """Which keys only the store can tell about; those it has nothing for anyway are added to `absent`."""
        missing = keys.difference(partition.entries)
        if missing:
            missing -= partition.dirty  # deleted, which the store does not know yet
        if missing and not self.may_have_rows(partition.namespace):
            absent |= missing
            missing = set()
        return missing

    def _fetch(self, partition: Partition, key: Key) -> None:
        """Caches what the store has of a key."""
        if self._missing(partition, {key}, set()):
            value = self._backend.store.get(self._row_key(partition, key))
            if value is not None:
                partition.entries[key] = self.codec.decode(value)

    def _fetch_batch(self, partition: Partition, keys: set[Key]) -> None:
        """Caches what the store has of a batch's keys; those it has nothing for are `absent`."""
        entries, absent = partition.entries, partition.absent
        missing = self._missing(partition, keys, absent)
        if not missing:
            if keys:
                self._admission.passes(len(keys), (), len(entries))
            return
        wanted = list(missing)
        rows = self._row_keys(partition, wanted)
        key_of = dict(zip(rows, wanted, strict=True))
        rows.sort()
        found = list(map(key_of.__getitem__, rows))
        if partition is self._void and self._backend.is_evicting:
            self._pass(keys, rows, found)
        values = self._backend.store.get_many(rows)
        if None in values:
            absent.update(key for key, value in zip(found, values, strict=True) if value is None)
            found = [key for key, value in zip(found, values, strict=True) if value is not None]
        present = [value for value in values if value is not None]
        entries.update(zip(found, map(self.codec.decode, present), strict=True))

    def _pass(self, keys: set[Key], rows: list[bytes], found: list[Key]) -> None:
        """Before rows are fetched: what passed with the batch before goes, and whether these are to pass."""
        passing = self._passing[1]
        if passing and not keys.isdisjoint(passing):
            stays = [key not in keys for key in passing]
            self._passing = list(compress(self._passing[0], stays)), list(compress(passing, stays))
        if self._admission.passes(len(keys), rows, len(self._void.entries)):
            self._fetched = rows, found
        if passing and not self._backend.is_flushing():
            self._let_pass()

    def _let_pass(self) -> None:
        """Writes and forgets what passed with an earlier batch; the backend must be settled."""
        (rows, keys), self._passing = self._passing, _NONE_PASSING
        changed = self._no_longer_dirty(self._void, keys)
        self._write_rows(self._void, list(compress(keys, changed)), list(compress(rows, changed)))
        self._forget_keys(self._void, keys)

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Caches what the store has of keys until `end_batch`; what it has nothing for is known till then."""
        batch = set(keys)
        if self._void.frozen:
            self._release(self._void, batch)
        self._fetch_batch(self._void, batch)

    def end_batch(self) -> None:
        """Ends `prefetch`."""
        self._note_absent(self._void)
        self._pass_on()

    def _note_absent(self, partition: Partition) -> None:
        """Of the keys the store had nothing for: those that are there now are new, the others leave no trace."""
        if partition.absent:
            created = partition.absent.intersection(partition.entries)
            partition.new |= created
            partition.dirty -= partition.absent - created - partition.logged
            partition.absent.clear()

    def _pass_on(self) -> None:
        """The batch is over; what did not get away before is cached like everything else."""
        if self._fetched[1]:
            self._passing, self._fetched = self._fetched, _NONE_PASSING
            self._recent.difference_update(self._passing[1])

    def _cached_entries(self) -> int:
        # Few against the cache, they may stay until the next batch.
        count, passing = super()._cached_entries(), len(self._passing[1])
        return count if passing * 8 > count else count - passing

    def evict(self, wanted_bytes: int) -> None:
        """Makes room: what passes first."""
        passing = len(self._passing[1])
        if passing:
            self._let_pass()
            wanted_bytes -= int(passing * (self._entry_bytes + SLOT_BYTES))
        super().evict(wanted_bytes)

    def close_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """The batch's keys are dirty; a key the store never had and that is gone again leaves no trace."""
        partition = self._void if namespace is None else self._partition(namespace)
        self._backend.open_batches -= 1
        batch, entries = partition.batch, partition.entries
        partition.dirty |= batch
        self._note_absent(partition)
        gone = batch.difference(entries)
        if gone:
            self._forget_new(partition, gone)
        self._sample(batch, entries)
        if self._backend.is_evicting and namespace is None:
            self._recent |= batch
            self._pass_on()
        partition.batch = set()
        if namespace is not None:
            self._drop_if_empty(partition)
        self._backend.trim()

    def _forget_new(self, partition: Partition, gone: Iterable[Key]) -> None:
        never_stored = partition.new.intersection(gone) - partition.logged
        partition.new -= never_stored
        partition.dirty -= never_stored

    def get(self, key: Key, namespace: Namespace = None) -> Any:
        """The value, or None."""
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is None:
            if not self.may_have_rows(namespace):
                return None
            partition = self._partition(namespace)
        if key in partition.frozen:
            self._release(partition, (key,))
        value = partition.entries.get(key)
        if value is None and key not in partition.entries and key not in partition.absent:
            self._fetch(partition, key)
            value = partition.entries.get(key)
            self._backend.count_access()
        return value

    def put(self, key: Key, value: Any, namespace: Namespace = None) -> None:
        """Sets the value."""
        partition = self._void if namespace is None else self._partition(namespace)
        if key in partition.frozen:
            self._release(partition, (key,))
        if key not in partition.entries and key not in partition.dirty:
            # Windows come and go: that a key is new spares its deletion. Elsewhere a look-up would cost more.
            if not self.may_have_rows(namespace) or (namespace is not None and not self.contains(key, namespace)):
                partition.new.add(key)
            self._backend.count_access(self, key, value)
        partition.entries[key] = value
        partition.dirty.add(key)
        if self._backend.is_evicting and namespace is None:
            self._recent.add(key)

    def remove(self, key: Key, namespace: Namespace = None) -> None:
        """Forgets the value."""
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is None:
            if not self.may_have_rows(namespace):
                return
            partition = self._partition(namespace)
        if key in partition.frozen:
            self._release(partition, (key,))
        cached = key in partition.entries
        if not cached and key not in partition.dirty and not self._knows_row(key, namespace):
            return
        partition.entries.pop(key, None)
        partition.dirty.add(key)
        self._forget_new(partition, (key,))
        self._drop_if_empty(partition)

    def _knows_row(self, key: Key, namespace: Namespace) -> bool:
        """Whether a deletion must be written for a key that is not cached."""
        if not self.may_have_rows(namespace):
            return False
        return namespace is None or self.contains(key, namespace)

    def contains(self, key: Key, namespace: Namespace = None) -> bool:
        """Whether the key has a value."""
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is not None and (key in partition.entries or key in partition.dirty or key in partition.frozen):
            return key in partition.entries
        if not self.may_have_rows(namespace) or (partition is not None and key in partition.absent):
            return False
        return self._backend.store.get(self._row_key(self._partition(namespace), key)) is not None

    def open_namespace(self, namespace: Namespace) -> dict[Key, Any]:
        """All values of a namespace; those on disk are read."""
        partition = self._partition(namespace)
        if not self.may_have_rows(namespace):
            if partition.frozen:
                self._release(partition, list(partition.frozen))
            return partition.entries
        self._backend.settle()
        found = {key: self.codec.decode(value) for key, _, value, _ in self.rows_of_namespace(namespace)}
        for key in partition.dirty:
            found.pop(key, None)
        found.update(partition.entries)
        return found

    def _log(self, partition: Partition, keys: list[Key]) -> None:
        for start in range(0, len(keys), _WRITTEN_AT_ONCE):
            part = keys[start : start + _WRITTEN_AT_ONCE]
            kept = [key for key in part if key in partition.entries]
            rows = self._row_keys(partition, kept)
            values = list(map(self.codec.encode, map(partition.entries.__getitem__, kept)))
            self._backend.store.only_record(rows, values)
            partition.logged.update(kept)
            if len(kept) < len(part):
                gone = [key for key in part if key not in partition.entries]
                self._write_rows(partition, gone, self._row_keys(partition, gone))
                partition.logged.difference_update(gone)

    def _write(self, partition: Partition, keys: list[Key]) -> None:
        for start in range(0, len(keys), _WRITTEN_AT_ONCE):
            written = keys[start : start + _WRITTEN_AT_ONCE]
            self._write_rows(partition, written, self._row_keys(partition, written))

    def _write_rows(self, partition: Partition, keys: list[Key], rows: list[bytes]) -> None:
        """Writes what the partition has for keys, under these row keys, or deletes what it no longer has."""
        store, entries, new = self._backend.store, partition.entries, partition.new
        kept = [key in entries for key in keys]
        gone = kept.count(False)
        if gone:
            for row, key in zip(rows, keys, strict=True):
                if key in entries:
                    continue
                store.delete(row)
                if key in new:  # a checkpoint has it, the store has not
                    new.discard(key)
                    gone -= 1
            rows, keys = list(compress(rows, kept)), list(compress(keys, kept))
        values = list(map(self.codec.encode, map(entries.__getitem__, keys)))
        size = store.put_many(rows, values)
        added = len(new)
        new.difference_update(keys)
        added -= len(new) + gone
        written = len(keys)
        if written:
            self.writes += written
            self._row_bytes += (size / written - self._row_bytes) * (0.2 if self._row_bytes else 1.0)
        if kept:
            self._count_rows(partition.namespace, added)

    def load(self, namespace: Namespace, keys: list[Key], values: list[Any]) -> None:
        """Writes restored entries straight to the store."""
        partition = Partition(namespace)
        for key, value in zip(keys, values, strict=True):
            self._backend.store.put(self._row_key(partition, key), self.codec.encode(value))
        self._backend.store.write_batch()
        self._count_rows(namespace, len(keys))

    def _clean_cached(self, looked: int, now_ms: int) -> None:
        rule = self.ttl
        assert rule is not None
        for partition in self.partitions():
            for key in [k for k, pair in islice(partition.entries.items(), looked) if rule.is_expired(pair[1], now_ms)]:
                self.remove(key, partition.namespace)

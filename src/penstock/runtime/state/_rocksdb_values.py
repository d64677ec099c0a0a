"""Value, reducing and aggregating state in RocksDB: one row a key."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from penstock.runtime.state._backend import Key, Namespace, ValueTable
from penstock.runtime.state._rocksdb_cache import CachedTable, Partition

__all__ = ["RocksDBValueTable"]


class RocksDBValueTable(CachedTable, ValueTable):
    """One row a key."""

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
        self._fetch(partition, batch, partition.absent)
        return partition.entries

    def _fetch(self, partition: Partition, keys: set[Key], absent: set[Key]) -> None:
        """Caches what the store has of keys, and adds those it has nothing for to `absent`."""
        entries = partition.entries
        missing = keys.difference(entries)
        if missing:
            missing -= partition.dirty  # deleted, which the store does not know yet
        if not missing:
            return
        if not self.may_have_rows(partition.namespace):
            absent |= missing
            return
        wanted = list(missing)
        rows = self._row_keys(partition, wanted)
        order = sorted(range(len(rows)), key=rows.__getitem__)
        decode = self.codec.decode
        for index, value in zip(order, self._backend.store.get_many([rows[i] for i in order]), strict=True):
            if value is None:
                absent.add(wanted[index])
            else:
                entries[wanted[index]] = decode(value)

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Caches what the store has of keys, without a batch."""
        self._fetch(self._void, set(keys), set())

    def close_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """The batch's keys are dirty; a key the store never had and that is gone again leaves no trace."""
        partition = self._void if namespace is None else self._partition(namespace)
        self._backend.open_batches -= 1
        batch, entries = partition.batch, partition.entries
        partition.dirty |= batch
        if partition.absent:
            created = partition.absent.intersection(entries)
            partition.new |= created
            partition.dirty -= partition.absent - created
            partition.absent.clear()
        gone = batch.difference(entries)
        if gone:
            self._forget_new(partition, gone)
        self._sample(batch, entries)
        if self._backend.is_evicting and namespace is None:
            self._recent |= batch
        partition.batch = set()
        if namespace is not None:
            self._drop_if_empty(partition)
        self._backend.trim()

    def _forget_new(self, partition: Partition, gone: Iterable[Key]) -> None:
        never_stored = partition.new.intersection(gone)
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
        if value is None and key not in partition.entries:
            self._fetch(partition, {key}, set())
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
        if not self.may_have_rows(namespace):
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

    def _write(self, partition: Partition, keys: list[Key]) -> None:
        store, entries, encode = self._backend.store, partition.entries, self.codec.encode
        namespace, new = partition.namespace, partition.new
        size = added = 0
        for key, row_key in zip(keys, self._row_keys(partition, keys), strict=True):
            if key in entries:
                value = encode(entries[key])
                store.put(row_key, value)
                size += len(row_key) + len(value)
                if key in new:
                    new.discard(key)
                    added += 1
            else:
                store.delete(row_key)
                added -= 1
        store.write_batch()
        if keys:
            self.writes += len(keys)
            self._row_bytes += (size / len(keys) - self._row_bytes) * (0.2 if self._row_bytes else 1.0)
            self._count_rows(namespace, added)

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

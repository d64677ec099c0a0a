"""Map state in RocksDB: a row an entry, so that one entry is read or written without the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from penstock.runtime.state._backend import Key, MapTable, Namespace, TableSpec
from penstock.runtime.state._codecs import ValueCodec
from penstock.runtime.state._keys import decode_key, encode_key, freeze_key
from penstock.runtime.state._rocksdb_cache import CachedTable, Partition
from penstock.runtime.state._rocksdb_store import after_prefix
from penstock.runtime.state._values import object_size_bytes

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend

__all__ = ["RocksDBMapTable"]

_CACHED_AT_ONCE: Final = 256
"""Maps up to this size are cached as a whole when they are iterated over."""


class _Gone:
    """Marks an entry that is known not to exist."""

    def __repr__(self) -> str:
        return "<gone>"


_GONE: Final = _Gone()
_UNKNOWN: Final = _Gone()


class _CachedMap:
    """What is known of the map of one key.

    Attributes:
        values: map key -> value, or `_GONE`.
        dirty: map keys that changed since they were written.
        complete: whether what is not in `values` does not exist.
        obsolete: whether the rows in the store are to be deleted.
    """

    __slots__ = ("complete", "dirty", "obsolete", "values")

    def __init__(self, *, complete: bool = False, obsolete: bool = False) -> None:
        self.values: dict[Key, Any] = {}
        self.dirty: set[Key] = set()
        self.complete = complete
        self.obsolete = obsolete


class RocksDBMapTable(CachedTable, MapTable):
    """A row an entry. Owned by the task's thread."""

    def __init__(self, backend: RocksDBBackend, spec: TableSpec, number: int, codec: ValueCodec, rows: int = 0) -> None:
        super().__init__(backend, spec, number, codec, rows)
        self._entries_cached = 0

    def adopt(self, namespace: Namespace, entries: dict[Key, Any]) -> None:
        """All maps are complete, and every entry of theirs is dirty."""
        for key, mapping in entries.items():
            cached = entries[key] = _CachedMap(complete=True)
            cached.values = mapping
            cached.dirty = set(mapping)
            self._entries_cached += len(mapping)
        super().adopt(namespace, entries)

    def _cached_entries(self) -> int:
        return self._entries_cached + super()._cached_entries()

    def _find(self, key: Key, namespace: Namespace, *, create: bool) -> tuple[Partition | None, _CachedMap | None]:
        """The partition and what is cached of a key, which is not frozen then."""
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is None:
            if not create and not self.may_have_rows(namespace):
                return None, None
            partition = self._partition(namespace)
        if key in partition.frozen:
            self._release(partition, (key,))
        cached: _CachedMap | None = partition.entries.get(key)
        if cached is None and create:
            cached = partition.entries[key] = _CachedMap(complete=not self.may_have_rows(namespace))
        return partition, cached

    # -- single entries --------------------------------------------------------------------------

    def get(self, key: Key, map_key: Key, namespace: Namespace = None) -> Any:
        """The value of an entry, or None."""
        partition, cached = self._find(key, namespace, create=False)
        if partition is None:
            return None
        if cached is not None:
            value = cached.values.get(map_key, _UNKNOWN)
            if value is not _UNKNOWN:
                return None if value is _GONE else value
            if cached.complete:
                return None
        elif not self.may_have_rows(namespace):
            return None
        stored = self._backend.store.get(self._row_key(partition, key) + encode_key(map_key))
        value = None if stored is None else self.codec.decode(stored)
        if cached is None:
            cached = partition.entries[key] = _CachedMap()
        cached.values[map_key] = _GONE if stored is None else value
        self._entries_cached += 1
        self._sample_entry(map_key, value)
        return value

    def has(self, key: Key, map_key: Key, namespace: Namespace = None) -> bool:
        """Whether there is such an entry."""
        return self.get(key, map_key, namespace) is not None

    def put(self, key: Key, map_key: Key, value: Any, namespace: Namespace = None) -> None:
        """Sets an entry."""
        partition, cached = self._find(key, namespace, create=True)
        assert partition is not None
        assert cached is not None
        if map_key not in cached.values:
            self._entries_cached += 1
        cached.values[map_key] = value
        cached.dirty.add(map_key)
        partition.dirty.add(key)
        self._sample_entry(map_key, value)

    def _sample_entry(self, map_key: Key, value: Any) -> None:
        if self._backend.count_access() and value is not None:
            size = object_size_bytes(map_key) + object_size_bytes(value)
            self._entry_bytes += (size - self._entry_bytes) * 0.2

    def discard(self, key: Key, map_key: Key, namespace: Namespace = None) -> None:
        """Forgets an entry."""
        partition, cached = self._find(key, namespace, create=False)
        if partition is None or (cached is None and not self.may_have_rows(namespace)):
            return
        if cached is None:
            cached = partition.entries[key] = _CachedMap()
        if cached.complete and map_key not in cached.values:
            return
        if map_key not in cached.values:
            self._entries_cached += 1
        cached.values[map_key] = _GONE
        cached.dirty.add(map_key)
        partition.dirty.add(key)

    # -- whole maps ------------------------------------------------------------------------------

    def remove(self, key: Key, namespace: Namespace = None) -> None:
        """Forgets the map."""
        partition, _ = self._find(key, namespace, create=False)
        if partition is None:
            return
        self._uncache(partition, key)
        if self.may_have_rows(namespace):
            partition.entries[key] = _CachedMap(complete=True, obsolete=True)
            partition.dirty.add(key)
        else:
            partition.dirty.discard(key)
            self._drop_if_empty(partition)

    def _uncache(self, partition: Partition, key: Key) -> None:
        cached = partition.entries.pop(key, None)
        if cached is not None:
            self._entries_cached -= len(cached.values)

    def contains(self, key: Key, namespace: Namespace = None) -> bool:
        """Whether there is an entry."""
        return next(self._present(key, namespace), None) is not None

    def items(self, key: Key, namespace: Namespace = None) -> Iterator[tuple[Key, Any]]:
        """The entries as of now."""
        partition, cached = self._find(key, namespace, create=False)
        if partition is None:
            return
        if cached is None or not cached.complete:
            self._cache_small(partition, key)
            cached = partition.entries.get(key)
        if cached is not None and cached.complete:
            yield from [(map_key, value) for map_key, value in cached.values.items() if value is not _GONE]
        else:
            yield from self._present(key, namespace)

    def _cache_small(self, partition: Partition, key: Key) -> None:
        """Caches a map as a whole if it is small."""
        if not self.may_have_rows(partition.namespace):
            return
        rows: list[tuple[Key, bytes]] = []
        for row in self._stored(partition, key):
            if len(rows) == _CACHED_AT_ONCE:
                return
            rows.append(row)
        cached = partition.entries.get(key)
        if cached is None:
            cached = partition.entries[key] = _CachedMap()
        for map_key, value in rows:
            if map_key not in cached.values:
                self._entries_cached += 1
                cached.values[map_key] = self.codec.decode(value)
        cached.complete = True
        self._backend.count_access()

    def _stored(self, partition: Partition, key: Key) -> Iterator[tuple[Key, bytes]]:
        """The rows of a map in the store."""
        prefix = self._row_key(partition, key)
        for row_key, value in self._backend.store.scan(prefix, after_prefix(prefix)):
            yield freeze_key(decode_key(row_key, len(prefix))[0]), value

    def _present(self, key: Key, namespace: Namespace) -> Iterator[tuple[Key, Any]]:
        """The entries of a map of any size: what is cached, then what is only stored."""
        partition, cached = self._find(key, namespace, create=False)
        if partition is None:
            return
        known = dict(cached.values) if cached is not None else {}
        complete = cached.complete if cached is not None else not self.may_have_rows(namespace)
        yield from [(map_key, value) for map_key, value in known.items() if value is not _GONE]
        if not complete:
            for map_key, value in self._stored(partition, key):
                if map_key not in known:
                    yield map_key, self.codec.decode(value)

    # -- the store -------------------------------------------------------------------------------

    def _write(self, partition: Partition, keys: list[Key]) -> None:
        store, encode = self._backend.store, self.codec.encode
        rows = size = count = 0
        for key in keys:
            cached: _CachedMap | None = partition.entries.get(key)
            if cached is None:
                continue
            prefix = self._row_key(partition, key)
            if cached.obsolete:
                for row_key in list(store.scan_keys(prefix, after_prefix(prefix))):
                    store.delete(row_key)
                    rows -= 1
                cached.obsolete = False
            for map_key in cached.dirty:
                value = cached.values[map_key]
                row_key = prefix + encode_key(map_key)
                if value is _GONE:
                    store.delete(row_key)
                    rows -= 1
                    continue
                stored = encode(value)
                store.put(row_key, stored)
                size += len(row_key) + len(stored)
                rows += 1
                count += 1
            cached.dirty.clear()
            self._forget_gone(partition, key, cached)
        store.write_batch()
        if count:
            self.writes += count
            self._row_bytes += (size / count - self._row_bytes) * (0.2 if self._row_bytes else 1.0)
        if keys:
            self._count_rows(partition.namespace, rows)
            self._note_written(partition.namespace)

    def note_rows(self, rows: int, size_bytes: int = 0) -> None:
        """Rows that were written or, if negative, deleted past the cache; bytes of those that were written."""
        self.rows = max(0, self.rows + rows)
        if rows > 0:
            self.writes += rows
            self._row_bytes = size_bytes / rows

    def _note_written(self, namespace: Namespace) -> None:
        # Overwriting an entry counts as a row, so a window's rows are never known to be gone before it is dropped.
        if namespace is not None and not self._all_may_have_rows:
            self._window_rows[namespace] = max(1, self._window_rows.get(namespace, 0))

    def _forget_gone(self, partition: Partition, key: Key, cached: _CachedMap) -> None:
        """A complete map needs no record of what is gone, and an empty one no record at all."""
        if not cached.complete:
            return
        gone = [map_key for map_key, value in cached.values.items() if value is _GONE]
        for map_key in gone:
            del cached.values[map_key]
        self._entries_cached -= len(gone)
        if not cached.values:
            partition.entries.pop(key)

    def _forget_keys(self, partition: Partition, keys: list[Key]) -> None:
        for key in keys:
            self._uncache(partition, key)

    def _forget_cached(self, partition: Partition) -> None:
        for key in list(partition.entries):
            self._uncache(partition, key)
        super()._forget_cached(partition)

    def load(self, namespace: Namespace, keys: list[Key], values: list[Any]) -> None:
        """Writes restored maps, or parts of them, straight to the store."""
        partition = Partition(namespace)
        rows = 0
        for key, mapping in zip(keys, values, strict=True):
            prefix = self._row_key(partition, key)
            for map_key, value in mapping.items():
                self._backend.store.put(prefix + encode_key(map_key), self.codec.encode(value))
                rows += 1
        self._backend.store.write_batch()
        self._count_rows(namespace, rows)

    def decoded_rows(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[Namespace, Key, Any]]:
        """Rows as (namespace, key, one entry as a dict), for a savepoint."""
        for row_key, value in rows:
            namespace, stop = decode_key(row_key, 4)
            key, end = decode_key(row_key, stop)
            entry = {freeze_key(decode_key(row_key, end)[0]): self.codec.decode(value)}
            yield freeze_key(namespace), freeze_key(key), entry

    def rows_to_convert(self, group: int) -> Iterator[tuple[bytes, int, Any, bytes]]:
        """The rows of a key group: (stored key, where the map key begins in it, the map key, stored value)."""
        prefix = self.head(group)
        for row_key, value in self._backend.store.scan(prefix, after_prefix(prefix)):
            start = decode_key(row_key, decode_key(row_key, 4)[1])[1]
            yield row_key, start, decode_key(row_key, start)[0], value

    def _clean_cached(self, looked: int, now_ms: int) -> None:
        rule = self.ttl
        assert rule is not None
        for partition in self.partitions():
            for key, cached in list(partition.entries.items())[:looked]:
                for map_key, pair in list(cached.values.items()):
                    if pair is not _GONE and rule.is_expired(pair[1], now_ms):
                        self.discard(key, map_key, partition.namespace)

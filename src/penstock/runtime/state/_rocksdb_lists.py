"""List state in RocksDB: a list is a sequence of chunks, so that appending never reads.

The cache holds either all elements of a key (*complete*, after it was read or replaced) or only those that were not
written yet. A chunk's key ends in a number that counts up in the store, which keeps chunks in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from penstock.runtime.state._backend import Key, ListTable, Namespace, TableSpec
from penstock.runtime.state._codecs import ValueCodec
from penstock.runtime.state._rocksdb_cache import CachedTable, Partition
from penstock.runtime.state._rocksdb_store import after_prefix

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend

__all__ = ["RocksDBListTable"]

_CHUNKS_MAX: Final = 32
_CHUNK_ELEMENTS_MAX: Final = 4096


class RocksDBListTable(CachedTable, ListTable):
    """Some rows a key. Owned by the task's thread."""

    def __init__(self, backend: RocksDBBackend, spec: TableSpec, number: int, codec: ValueCodec, rows: int = 0) -> None:
        super().__init__(backend, spec, number, codec, rows)
        # By (namespace, key), for cached lists: how many elements are written, and whether all are cached.
        self._written: dict[tuple[Namespace, Key], int] = {}
        self._complete: set[tuple[Namespace, Key]] = set()
        self._obsolete: set[tuple[Namespace, Key]] = set()  # the rows of the key are to be deleted

    def adopt(self, namespace: Namespace, entries: dict[Key, Any]) -> None:
        """All lists are complete."""
        super().adopt(namespace, entries)
        self._complete.update((namespace, key) for key in entries)

    # -- appending -------------------------------------------------------------------------------

    def open_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, list[Any]]:
        """What is cached."""
        partition = self._partition(namespace)
        self._backend.open_batches += 1
        batch = partition.batch = set(keys)
        if partition.frozen:
            self._release(partition, batch)
        partition.absent = batch.difference(partition.entries)
        return partition.entries

    def close_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """The batch's lists are dirty."""
        partition = self._partition(namespace)
        self._backend.open_batches -= 1
        entries = partition.entries
        for key in partition.absent.intersection(entries):
            self._appended_first(partition, key)
        partition.dirty |= partition.batch.intersection(entries)
        self._sample(partition.batch, entries)
        if self._backend.is_evicting and namespace is None:
            self._recent |= partition.batch
        partition.absent, partition.batch = set(), set()
        self._drop_if_empty(partition)
        self._backend.trim()

    def _appended_first(self, partition: Partition, key: Key) -> None:
        """A key that was not cached got its first cached element."""
        if key not in partition.dirty and not self.may_have_rows(partition.namespace):
            partition.new.add(key)
            self._complete.add((partition.namespace, key))

    def append(self, key: Key, element: Any, namespace: Namespace = None) -> None:
        """Adds one element."""
        self.extend(key, (element,), namespace)

    def extend(self, key: Key, elements: Iterable[Any], namespace: Namespace = None) -> None:
        """Adds elements."""
        added = list(elements)
        if not added:
            return
        partition = self._partition(namespace)
        if key in partition.frozen:
            self._release(partition, (key,))
        present = partition.entries.get(key)
        if present is None:
            partition.entries[key] = added
            self._appended_first(partition, key)
        else:
            present.extend(added)
        partition.dirty.add(key)
        self._backend.count_access(self, key, added)

    # -- reading and replacing -------------------------------------------------------------------

    def get(self, key: Key, namespace: Namespace = None) -> list[Any] | None:
        """All elements; what was written is read once and then cached."""
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is None:
            if not self.may_have_rows(namespace):
                return None
            partition = self._partition(namespace)
        if key in partition.frozen:
            self._release(partition, (key,))
        slot = (namespace, key)
        cached: list[Any] | None = partition.entries.get(key)
        if slot in self._complete or slot in self._obsolete or not self.may_have_rows(namespace):
            return cached[:] if cached else None
        chunks = [self.codec.decode_list(value) for _, value in self._rows(partition, key)]
        unwritten = cached[self._written.get(slot, 0) :] if cached is not None else []
        elements = list(chain(*chunks, unwritten))
        if not elements:
            self._drop_if_empty(partition)
            return None
        partition.entries[key] = elements
        self._complete.add(slot)
        self._written[slot] = len(elements) - len(unwritten)
        if len(chunks) > _CHUNKS_MAX and len(elements) < _CHUNK_ELEMENTS_MAX:
            self._obsolete.add(slot)  # many small chunks become one with the next write
            self._written[slot] = 0
            partition.dirty.add(key)
        self._backend.count_access(self, key, elements)
        return elements[:]

    def put(self, key: Key, elements: list[Any], namespace: Namespace = None) -> None:
        """Replaces the list."""
        if not elements:
            self.remove(key, namespace)
            return
        partition = self._partition(namespace)
        self._forget_rows(partition, key)
        partition.entries[key] = list(elements)
        self._complete.add((namespace, key))
        partition.dirty.add(key)
        self._backend.count_access(self, key, elements)

    def remove(self, key: Key, namespace: Namespace = None) -> None:
        """Forgets the list."""
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is None:
            if not self.may_have_rows(namespace):
                return
            partition = self._partition(namespace)
        self._forget_rows(partition, key)
        partition.entries.pop(key, None)
        slot = (namespace, key)
        self._complete.discard(slot)
        partition.new.discard(key)
        if slot in self._obsolete:
            partition.dirty.add(key)
        else:
            partition.dirty.discard(key)
        self._drop_if_empty(partition)

    def _forget_rows(self, partition: Partition, key: Key) -> None:
        """The list is replaced: what is written of it is to be deleted."""
        if key in partition.frozen:
            self._release(partition, (key,))
        slot = (partition.namespace, key)
        self._written.pop(slot, None)
        if key not in partition.new and self.may_have_rows(partition.namespace):
            self._obsolete.add(slot)

    def contains(self, key: Key, namespace: Namespace = None) -> bool:
        """Whether there is an element."""
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is not None and partition.entries.get(key):
            return True
        if (namespace, key) in self._obsolete or not self.may_have_rows(namespace):
            return False
        return next(iter(self._rows(self._partition(namespace), key)), None) is not None

    # -- the store -------------------------------------------------------------------------------

    def _rows(self, partition: Partition, key: Key) -> Iterator[tuple[bytes, bytes]]:
        prefix = self._row_key(partition, key)
        return self._backend.store.scan(prefix, after_prefix(prefix))

    def _write(self, partition: Partition, keys: list[Key]) -> None:
        store, namespace = self._backend.store, partition.namespace
        rows = size = 0
        for key in keys:
            slot = (namespace, key)
            prefix = self._row_key(partition, key)
            if slot in self._obsolete:
                self._obsolete.discard(slot)
                for row_key in list(store.scan_keys(prefix, after_prefix(prefix))):
                    store.delete(row_key)
                    rows -= 1
            elements = partition.entries.get(key)
            if not elements:
                continue
            written = self._written.get(slot, 0)
            for start in range(written, len(elements), _CHUNK_ELEMENTS_MAX):
                value = self.codec.encode_list(elements[start : start + _CHUNK_ELEMENTS_MAX])
                store.put(prefix + self._backend.next_number().to_bytes(8, "big"), value)
                size += len(value)
                rows += 1
            self._written[slot] = len(elements)
            partition.new.discard(key)
            if slot not in self._complete:
                del partition.entries[key]
                del self._written[slot]
        store.write_batch()
        if keys:
            self._row_bytes += (size / len(keys) - self._row_bytes) * (0.2 if self._row_bytes else 1.0)
            self._count_rows(namespace, rows)
            self.writes += max(0, rows)

    def _evict_keys(self, partition: Partition, keys: list[Key]) -> None:
        super()._evict_keys(partition, keys)
        for key in keys:
            self._written.pop((partition.namespace, key), None)
            self._complete.discard((partition.namespace, key))

    def _forget_cached(self, partition: Partition) -> None:
        for key in chain(partition.entries, partition.dirty):
            slot = (partition.namespace, key)
            self._written.pop(slot, None)
            self._complete.discard(slot)
            self._obsolete.discard(slot)
        super()._forget_cached(partition)

    def load(self, namespace: Namespace, keys: list[Key], values: list[Any]) -> None:
        """Writes restored lists, or parts of them, straight to the store."""
        partition = Partition(namespace)
        for key, elements in zip(keys, values, strict=True):
            prefix = self._row_key(partition, key)
            self._backend.store.put(
                prefix + self._backend.next_number().to_bytes(8, "big"), self.codec.encode_list(elements)
            )
        self._backend.store.write_batch()
        self._count_rows(namespace, len(keys))

    def _decoded(self, value: bytes) -> Any:
        return self.codec.decode_list(value)

    def _is_expired_row(self, value: bytes, now_ms: int) -> bool:
        rule = self.ttl
        return rule is not None and all(rule.is_expired(stamp, now_ms) for _, stamp in self.codec.decode_list(value))

    def _clean_cached(self, looked: int, now_ms: int) -> None:
        rule = self.ttl
        assert rule is not None
        for partition in self.partitions():
            for key in list(partition.entries)[:looked]:
                elements = self.get(key, partition.namespace) or []
                alive = [pair for pair in elements if not rule.is_expired(pair[1], now_ms)]
                if len(alive) < len(elements):
                    self.put(key, alive, partition.namespace)

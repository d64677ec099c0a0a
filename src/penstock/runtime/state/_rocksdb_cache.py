"""What the tables of the `rocksdb` backend share: a write-back cache of objects in front of the store.

What a batch reads is fetched with one multi-get and decoded once; what it changes stays an object until it is evicted
or a checkpoint wants it. A *partition* is the cache of one namespace.

At a barrier the changed (*dirty*) keys become *frozen*: they are written slice by slice, and a frozen key that is
touched before its turn is written first. Where the checkpoint consists of the store's files, nothing newer may reach the
store until those are linked, which `RocksDBBackend.settle` sees to. Where it only adds to the changes of an earlier one
(`_rocksdb_changes`), frozen keys are written there: the store need not know single values yet, so they become *logged*.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, islice
from typing import TYPE_CHECKING, Any, Final

from penstock.runtime.state._backend import Key, Namespace, StateTable, TableSpec
from penstock.runtime.state._codecs import ValueCodec, stamp_of
from penstock.runtime.state._keys import decode_key, encode_key, encode_keys, freeze_key
from penstock.runtime.state._rocksdb_store import after_prefix
from penstock.runtime.state._values import object_size_bytes

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend

__all__ = ["SLOT_BYTES", "CachedTable", "Partition"]

PARTITION_BYTES: Final = 700
"""What a partition takes without entries: its object, a dict, and sets."""

SLOT_BYTES: Final = 200
"""What a cached key takes besides its objects: its slots in the dict and in the sets, as they grow."""

_SAMPLED: Final = 3
_SMOOTHING: Final = 0.05
_NAMESPACES_MAX: Final = 100_000
_CLEANED_AT_ONCE: Final = 1000
_EVICTED_AT_ONCE: Final = 20_000
"""About 30 ms of writing; a batch adds less, so the cache keeps to its bytes from batch to batch."""


class Partition:
    """The cache of one namespace. Owned by its table.

    Attributes:
        namespace: None for state of no window.
        encoded: the namespace's part of keys in the store.
        entries: what is cached; key -> what the table holds for it.
        dirty: keys that changed since they were written.
        frozen: keys a snapshot still has to write.
        logged: keys of which a checkpoint has more than the store: as dirty for all but the next checkpoint.
        new: cached keys that the store has nothing for.
        absent: keys of the open batch that the store has nothing for.
        batch: the keys of the open batch.
    """

    __slots__ = ("absent", "batch", "dirty", "encoded", "entries", "frozen", "logged", "namespace", "new")

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.encoded = encode_key(namespace)
        self.entries: dict[Key, Any] = {}
        self.dirty: set[Key] = set()
        self.frozen: set[Key] = set()
        self.logged: set[Key] = set()
        self.new: set[Key] = set()
        self.absent: set[Key] = set()
        self.batch: set[Key] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is cached or waits to be written."""
        return not (self.entries or self.dirty or self.frozen)


class CachedTable(StateTable):
    """What the three tables share. Owned by the task's thread.

    Attributes:
        number: the state's number in the store.
        codec: its values as bytes.
        rows: entries in the store, as far as is known: what is overwritten unseen is not counted.
        writes: entries written so far.
    """

    needs_keys = True

    def __init__(self, backend: RocksDBBackend, spec: TableSpec, number: int, codec: ValueCodec, rows: int = 0) -> None:
        self.spec = spec
        self.number = number
        self.codec = codec
        self.rows = rows
        self.writes = rows
        self._backend = backend
        self._number = number.to_bytes(2, "big")
        self._heads: dict[int, bytes] = {}
        self._void = Partition(None)
        self._windows: dict[Namespace, Partition] = {}
        self._recent: set[Key] = set()
        self._entry_bytes = 500.0
        self._row_bytes = 0.0
        # Rows of each window in the store; when that is not known, every window may have some.
        self._window_rows: dict[Namespace, int] = {}
        self._all_may_have_rows = rows > 0
        self._void_was_written = rows > 0
        self._cleaning_from: bytes | None = None
        self._to_clean = 0

    # -- where things are ------------------------------------------------------------------------

    def _partition(self, namespace: Namespace) -> Partition:
        """The partition of a namespace, made if there is none."""
        if namespace is None:
            return self._void
        partition = self._windows.get(namespace)
        if partition is None:
            partition = self._windows[namespace] = Partition(namespace)
        return partition

    def partitions(self) -> Iterator[Partition]:
        """All of them."""
        yield self._void
        yield from list(self._windows.values())

    def head(self, group: int) -> bytes:
        """What the keys of this state in a key group begin with."""
        head = self._heads.get(group)
        if head is None:
            head = self._heads[group] = group.to_bytes(2, "big") + self._number
        return head

    def _row_key(self, partition: Partition, key: Key) -> bytes:
        return self.head(self._backend.key_groups.of(key)) + partition.encoded + encode_key(key)

    def _row_keys(self, partition: Partition, keys: Sequence[Key]) -> list[bytes]:
        encoded = encode_keys(keys)
        groups = self._backend.key_groups.of_encoded(keys, encoded)
        heads = {group: self.head(group) + partition.encoded for group in set(groups)}
        return [heads[group] + key for group, key in zip(groups, encoded, strict=True)]

    def may_have_rows(self, namespace: Namespace) -> bool:
        """Whether the store may hold anything of a namespace: False saves the look-up."""
        if self._all_may_have_rows:
            return True
        return self._void_was_written if namespace is None else namespace in self._window_rows

    def _count_rows(self, namespace: Namespace, delta: int) -> None:
        self.rows = max(0, self.rows + delta)
        if namespace is None:
            self._void_was_written = True
            return
        if self._all_may_have_rows:
            return
        count = self._window_rows.get(namespace, 0) + delta
        if count > 0:
            self._window_rows[namespace] = count
            if len(self._window_rows) > _NAMESPACES_MAX:
                self._window_rows.clear()
                self._all_may_have_rows = True
        else:
            self._window_rows.pop(namespace, None)

    def adopt(self, namespace: Namespace, entries: dict[Key, Any]) -> None:
        """Goes on with the dict of a heap table, which holds all there is: every key of it is dirty."""
        if namespace is None:
            self._void.entries = entries
            partition = self._void
        else:
            partition = self._windows[namespace] = Partition(namespace)
            partition.entries = entries
            self._all_may_have_rows = True
        partition.dirty = set(entries)
        for key, value in islice(entries.items(), 64):
            self.sample(key, value)

    # -- frozen and dirty ------------------------------------------------------------------------

    def freeze(self, *, logged: bool) -> None:
        """A barrier: what is dirty is to be written as it is; `logged`: and what the store does not have, too."""
        for partition in self.partitions():
            partition.frozen = partition.dirty
            partition.dirty = set()
            if logged:
                partition.frozen |= partition.logged
                partition.logged = set()
        self.guarded = True

    def write_frozen(self, limit: int) -> int:
        """Writes up to `limit` frozen keys; returns how many were left to the caller's limit (0: there may be more)."""
        for partition in self.partitions():
            while partition.frozen and limit > 0:
                keys = list(islice(partition.frozen, limit))
                self._write_frozen(partition, keys)
                partition.frozen.difference_update(keys)
                limit -= len(keys)
            if limit <= 0:
                return 0
            self._drop_if_empty(partition)
        self.guarded = False
        return limit

    def _release(self, partition: Partition, keys: Iterable[Key]) -> None:
        """Before frozen keys change: writes them."""
        waiting = partition.frozen.intersection(keys)
        if waiting:
            self._write_frozen(partition, list(waiting))
            partition.frozen -= waiting

    def _write_frozen(self, partition: Partition, keys: list[Key]) -> None:
        changes = self._backend.changes
        if changes.is_at_barrier:
            self._backend.store.write_batch()
            with changes.at_barrier():
                self._log(partition, keys)
        else:
            self._write(partition, keys)

    def _log(self, partition: Partition, keys: list[Key]) -> None:
        """Records what the partition has for keys; with all but single values the store gets it, too."""
        self._write(partition, keys)

    def unfreeze(self) -> None:
        """A snapshot was given up: what is frozen is only dirty again."""
        for partition in self.partitions():
            partition.dirty |= partition.frozen
            partition.frozen = set()
        self.guarded = False

    def write_dirty(self, partition: Partition) -> None:
        """Writes all the store does not have of a partition; the backend must be settled."""
        self._write(partition, list(partition.dirty | partition.logged))
        partition.dirty, partition.logged = set(), set()

    def write_all(self) -> None:
        """Writes all the store does not have."""
        for partition in self.partitions():
            if partition.dirty or partition.logged:
                self.write_dirty(partition)

    def _drop_if_empty(self, partition: Partition) -> None:
        if partition.namespace is not None and partition.is_empty and not self._backend.open_batches:
            self._windows.pop(partition.namespace, None)

    @abstractmethod
    def _write(self, partition: Partition, keys: list[Key]) -> None:
        """Writes what the partition has for keys, or deletes what it no longer has, into the store."""

    # -- size ------------------------------------------------------------------------------------

    def cached_bytes(self) -> int:
        """Estimated bytes of what is cached."""
        return int(self._cached_entries() * (self._entry_bytes + SLOT_BYTES)) + len(self._windows) * PARTITION_BYTES

    def _cached_entries(self) -> int:
        void = max(len(self._void.entries), len(self._void.dirty))  # what was deleted waits in `dirty` alone
        return void + sum(len(partition.entries) for partition in self._windows.values())

    def _sample(self, keys: Iterable[Key], entries: dict[Key, Any]) -> None:
        """Looks at a few keys of a batch and adapts the estimate."""
        for key in islice(keys, _SAMPLED):
            value = entries.get(key)
            if value is not None:
                size = object_size_bytes(key) + object_size_bytes(value)
                self._entry_bytes += (size - self._entry_bytes) * _SMOOTHING

    def sample(self, key: Key, value: Any) -> None:
        """Looks at one key and adapts the estimate."""
        size = object_size_bytes(key) + object_size_bytes(value)
        self._entry_bytes += (size - self._entry_bytes) * _SMOOTHING

    def uncounted(self) -> int:
        """Entries that are only cached, as far as is known."""
        return sum(len(partition.new) for partition in self.partitions())

    def evict(self, wanted_bytes: int) -> None:
        """Makes room: windows in the order they were made first, then keys that were not used lately."""
        each = self._entry_bytes + SLOT_BYTES
        wanted_bytes = min(wanted_bytes, int(_EVICTED_AT_ONCE * each))
        for partition in list(self._windows.values()):
            if wanted_bytes <= 0:
                return
            wanted_bytes -= int(len(partition.entries) * each) + PARTITION_BYTES
            self._evict_keys(partition, list(partition.entries))
            self._drop_if_empty(partition)
        count = int(wanted_bytes / each) + 1
        entries = self._void.entries
        if len(self._void.dirty) > len(entries):  # what was deleted waits in `dirty` alone
            deleted = self._void.dirty.difference(entries)
            self._write(self._void, list(deleted))
            self._void.dirty -= deleted
            self._void.logged -= deleted
        if wanted_bytes <= 0:
            return
        for _ in range(2):  # a second look finds those that were used lately, if there are no others
            looked = list(islice(entries, count * 2))
            chosen = [key for key in looked if key not in self._recent][:count]
            for key in looked:
                if key in self._recent:
                    self._recent.discard(key)
                    entries[key] = entries.pop(key)
            self._evict_keys(self._void, chosen)
            count -= len(chosen)
            if count <= 0:
                return

    def _evict_keys(self, partition: Partition, keys: list[Key]) -> None:
        changed = self._no_longer_dirty(partition, keys)
        self._write(partition, list(compress(keys, changed)))
        self._forget_keys(partition, keys)

    def _forget_keys(self, partition: Partition, keys: list[Key]) -> None:
        for key in keys:
            partition.entries.pop(key, None)
        partition.new.difference_update(keys)

    def _no_longer_dirty(self, partition: Partition, keys: list[Key]) -> list[bool]:
        """For each key whether it is to be written before it is forgotten."""
        if partition.frozen:
            self._release(partition, keys)
        changed = [key in partition.dirty or key in partition.logged for key in keys]
        partition.dirty.difference_update(keys)
        partition.logged.difference_update(keys)
        return changed

    def mean_row_bytes(self) -> float:
        """Mean bytes of a row, or of a cached entry as long as none was written."""
        return self._row_bytes or self._entry_bytes

    # -- reading all -----------------------------------------------------------------------------

    def rows_of_namespace(self, namespace: Namespace) -> Iterator[tuple[Key, bytes, bytes, int]]:
        """All rows of a namespace in the store: (key, stored key, stored value, where what follows the key begins)."""
        encoded = encode_key(namespace)
        own = self._backend.key_group_range
        for group in range(own.start, own.end + 1):
            prefix = self.head(group) + encoded
            for row_key, value in self._backend.store.scan(prefix, after_prefix(prefix)):
                key, end = decode_key(row_key, len(prefix))
                yield freeze_key(key), row_key, value, end

    def namespaces(self) -> list[Namespace]:
        """Those that hold anything; reads the whole state."""
        self._backend.settle()
        self.write_all()
        self._backend.store.write_batch()
        found: dict[Namespace, None] = {}
        own = self._backend.key_group_range
        for group in range(own.start, own.end + 1):
            position = self.head(group)
            end = after_prefix(position)
            # From one namespace to the next, without reading what is in it.
            while (row_key := next(self._backend.store.scan_keys(position, end), None)) is not None:
                namespace, stop = decode_key(row_key, 4)
                found[freeze_key(namespace)] = None
                position = after_prefix(row_key[:stop])
        return list(found)

    def keys(self, namespace: Namespace = None) -> Iterator[Key]:
        """The keys of a namespace."""
        if self.may_have_rows(namespace):
            self._backend.settle()
            self.write_dirty(self._partition(namespace))
            self._backend.store.write_batch()
            seen: Any = None
            for key, row_key, _, end in self.rows_of_namespace(namespace):
                if row_key[:end] != seen:  # lists and maps have several rows
                    seen = row_key[:end]
                    yield key
            return
        partition = self._partition(namespace)
        for key in list(partition.entries):
            if self.contains(key, namespace):
                yield key

    def drop_namespace(self, namespace: Namespace) -> None:
        """Forgets all keys of a namespace."""
        partition = self._partition(namespace)
        if partition.frozen:
            self._backend.settle()  # which writes it, so that it has rows
        if self.may_have_rows(namespace):
            self._backend.settle()
            rows = 0
            for _, row_key, _, _ in self.rows_of_namespace(namespace):
                self._backend.store.delete(row_key)
                rows += 1
            self._backend.store.write_batch()
            self._count_rows(namespace, -rows)
        if partition.logged:
            for row_key in self._row_keys(partition, list(partition.logged)):
                self._backend.store.delete(row_key)  # from the changes: the store may have nothing
            self._backend.store.write_batch()
        self._forget_cached(partition)
        if namespace is not None and not self._backend.open_batches:
            self._windows.pop(namespace, None)

    def _forget_cached(self, partition: Partition) -> None:
        partition.entries.clear()
        for keys in (partition.dirty, partition.frozen, partition.logged, partition.new, partition.absent):
            keys.clear()

    def forget(self) -> None:
        """Drops all that is cached: the store was emptied."""
        for partition in self.partitions():
            self._forget_cached(partition)
        self._windows.clear()
        self._window_rows.clear()
        self._all_may_have_rows = self._void_was_written = False
        self.rows = 0

    # -- time to live ----------------------------------------------------------------------------

    def clean(self, keys: int, now_ms: int) -> None:
        """Asks for one more row to be looked at: reading costs more here than in memory, where `keys` would be."""
        self._to_clean += self.ttl is not None and self.ttl.clean_stored

    def clean_now(self, now_ms: int) -> None:
        """Looks at the next rows, from where the last look ended, and deletes those whose stamp is too old."""
        if self._to_clean < _CLEANED_AT_ONCE or self.ttl is None:
            return
        looked, self._to_clean = min(self._to_clean, 10 * _CLEANED_AT_ONCE), 0
        self._clean_cached(looked, now_ms)
        own = self._backend.key_group_range
        groups = range(own.start, own.end + 1)
        begin = self._cleaning_from
        for group in groups:
            prefix = self.head(group)
            end = after_prefix(prefix)
            if begin is not None and end <= begin:
                continue
            for row_key, value in self._backend.store.scan(max(prefix, begin or prefix), end):
                if looked <= 0:
                    self._cleaning_from = row_key
                    return
                looked -= 1
                self._clean_row(row_key, value, now_ms)
        self._cleaning_from = None

    def _clean_row(self, row_key: bytes, value: bytes, now_ms: int) -> None:
        """Deletes a row that expired, unless the cache knows better."""
        if self.ttl is None or not self._is_expired_row(value, now_ms):
            return
        namespace, stop = decode_key(row_key, 4)
        key, _ = decode_key(row_key, stop)
        namespace, key = freeze_key(namespace), freeze_key(key)
        partition = self._void if namespace is None else self._windows.get(namespace)
        if partition is None or (key not in partition.entries and key not in partition.dirty):
            self._backend.store.delete(row_key)
            self._count_rows(namespace, -1)

    def decoded_rows(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[Namespace, Key, Any]]:
        """Rows of this state as (namespace, key, what a table holds for the key or a part of it)."""
        for row_key, value in rows:
            namespace, stop = decode_key(row_key, 4)
            yield freeze_key(namespace), freeze_key(decode_key(row_key, stop)[0]), self._decoded(value)

    def _decoded(self, value: bytes) -> Any:
        """What a row holds."""
        return self.codec.decode(value)

    def _is_expired_row(self, value: bytes, now_ms: int) -> bool:
        """Whether nothing in a row is alive."""
        stamp = stamp_of(value)
        return stamp is not None and self.ttl is not None and self.ttl.is_expired(stamp, now_ms)

    def _clean_cached(self, looked: int, now_ms: int) -> None:
        """Forgets cached keys that expired as a whole."""

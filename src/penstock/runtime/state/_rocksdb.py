"""The `rocksdb` backend: state on disk, behind a cache of objects on the heap and RocksDB's own in managed memory."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import InvariantError
from penstock.runtime.state._backend import (
    BackendContext,
    Key,
    KeyedStateBackend,
    KeyedStateHandle,
    Namespace,
    SnapshotReader,
    SnapshotWriter,
    StateKind,
    StateSize,
    StateSnapshot,
    TableSpec,
)
from penstock.runtime.state._codecs import Code, ValueCodec, code_of
from penstock.runtime.state._heap_share import HeapShare
from penstock.runtime.state._keys import encode_key
from penstock.runtime.state._rocksdb_cache import CachedTable
from penstock.runtime.state._rocksdb_changes import ChangeLog
from penstock.runtime.state._rocksdb_directories import delete_directory, owned_directory
from penstock.runtime.state._rocksdb_lists import RocksDBListTable
from penstock.runtime.state._rocksdb_maps import RocksDBMapTable
from penstock.runtime.state._rocksdb_memory import RocksDBMemory, RocksDBTuning
from penstock.runtime.state._rocksdb_snapshot import (
    CanonicalSnapshot,
    FilesSnapshot,
    FrozenSnapshot,
    IncrementalSnapshot,
    Uploaded,
)
from penstock.runtime.state._rocksdb_store import END_OF_STATE, META_KEY, RocksDBStore
from penstock.runtime.state._rocksdb_timers import RocksDBTimers
from penstock.runtime.state._rocksdb_values import RocksDBValueTable
from penstock.runtime.state._schema import adaptation, describe

if TYPE_CHECKING:
    from penstock.conf import Configuration
    from penstock.runtime.state._timers import TimerOwner
    from penstock.runtime.state._ttl import TtlRule

__all__ = ["FORMAT_VERSION", "RocksDBBackend", "RocksDBSettings"]

FORMAT_VERSION: Final = 1
"""Of the keys and values in a store; written into every store and every handle."""

_UNBATCHED_MAX: Final = 1024
_SAMPLED_EACH: Final = 16
_FROZEN_S: Final = 0.005
_CHANGES_BYTES: Final = 64 << 20
_OVERSHOOT: Final = 1.25
"""How far the cache may grow while a checkpoint is being linked, before the task waits for that."""


@dataclass(frozen=True, slots=True)
class RocksDBSettings:
    """What all stores of a process have in common.

    Attributes:
        directories: for the stores' files; subtasks take turns.
        tuning: RocksDB's own options.
        batch_keys: the most keys in one read or write.
        batch_bytes: the most bytes of one write.
        transfer_threads: that upload or download the files of a store.
        incremental: whether checkpoints upload only new files.
        overlap_fraction: after a change of parallelism a store is taken over whole if at least this part of its key
            groups is wanted.
        timers_on_heap: whether timers stay in memory.
        timer_cache_size: the most timers of a key group that are read at once.
    """

    directories: tuple[str, ...]
    tuning: RocksDBTuning = field(default_factory=RocksDBTuning)
    batch_keys: int = 10_000
    batch_bytes: int = 2 << 20
    transfer_threads: int = 4
    incremental: bool = False
    overlap_fraction: float = 0.0
    timers_on_heap: bool = False
    timer_cache_size: int = 128

    @classmethod
    def of(cls, configuration: Configuration) -> RocksDBSettings:
        """What a configuration says.

        Raises:
            penstock.errors.ConfigurationError: if the directories cannot be used.
        """
        from penstock.conf import CheckpointingOptions, RocksDBOptions, StateBackendOptions
        from penstock.runtime._tmp_dirs import tmp_dirs

        local = configuration.get(RocksDBOptions.LOCAL_DIRECTORIES)
        return cls(
            tmp_dirs(local or configuration.get(StateBackendOptions.TMP_DIRS)),
            RocksDBTuning.of(configuration),
            max(1, configuration.get(RocksDBOptions.PREFETCHED_KEYS)),
            configuration.get(RocksDBOptions.WRITE_BATCH_SIZE).bytes,
            max(1, configuration.get(RocksDBOptions.CHECKPOINT_TRANSFER_THREADS)),
            configuration.get(CheckpointingOptions.INCREMENTAL),
            configuration.get(RocksDBOptions.RESTORE_OVERLAP_FRACTION_THRESHOLD),
            configuration.get(RocksDBOptions.TIMER_SERVICE_FACTORY) == "HEAP",
            max(1, configuration.get(RocksDBOptions.TIMER_SERVICE_CACHE_SIZE)),
        )


class RocksDBBackend(KeyedStateBackend):
    """State in a RocksDB store of its own (Flink's `EmbeddedRocksDBStateBackend`). Owned by the task's thread.

    Attributes:
        directory: for its files, deleted by `close`.
        tables: by name.
        open_batches: batches between open and close; nothing is evicted meanwhile.
        is_evicting: whether the cache has been full lately.
        is_incremental: whether checkpoints upload only new files.
        changes: what was written since a checkpoint held the store's files.
    """

    in_memory = False

    def __init__(self, context: BackendContext, settings: RocksDBSettings, lease: Any, pool: HeapShare) -> None:
        """A backend without state.

        Args:
            context: the subtask.
            settings: of the process.
            lease: of the slot's `RocksDBMemory`; given back by `close`.
            pool: the budget of object caches.
        """
        super().__init__(context)
        self.settings = settings
        self.tables: dict[str, CachedTable] = {}
        self.open_batches = 0
        self.is_evicting = False
        self.is_incremental = settings.incremental
        self._lease = lease
        self._pool = pool
        pool.join()
        turn = context.subtask_index % len(settings.directories)
        self.directory = owned_directory(settings.directories[turn], f"{context.file_prefix}-{secrets.token_hex(3)}")
        self._store: RocksDBStore | None = None
        self._restored: dict[str, dict[str, Any]] = {}
        self._numbers = 0
        self._last_number = 0
        self._snapshot: FrozenSnapshot | None = None
        self._snapshots: list[FrozenSnapshot] = []
        self._known_files: dict[str, Any] = {}
        self._uploaded: dict[int, Uploaded] = {}
        self.changes = ChangeLog(f"{self.directory}/changes", self._changes_limit)
        self._base: Uploaded | None = None
        self._accesses = 0
        self._timers = RocksDBTimers(self)
        self._closed = False

    # -- the store -------------------------------------------------------------------------------

    @property
    def memory(self) -> RocksDBMemory:
        """The memory it shares with the other stores of its slot."""
        memory: RocksDBMemory = self._lease.resource
        return memory

    @property
    def store(self) -> RocksDBStore:
        """The store, opened when it is first needed."""
        if self._store is None:
            self._store = self.open_store(f"{self.directory}/db")
            self._store.changes = self.changes
            self._store.put(META_KEY, json.dumps({"format": FORMAT_VERSION}).encode())
            self._store.write_batch()
        return self._store

    def open_store(self, directory: str, *, read_only: bool = False) -> RocksDBStore:
        """Another store with the same memory."""
        settings = self.settings
        return RocksDBStore(
            directory,
            self.memory,
            settings.tuning,
            batch_keys=settings.batch_keys,
            batch_bytes=settings.batch_bytes,
            read_only=read_only,
        )

    def adopt_store(self, store: RocksDBStore, known_files: dict[str, Any]) -> None:
        """Goes on with a restored store."""
        if self._store is not None:
            raise InvariantError(f"{self.place} has a store already")
        self._store = store
        store.changes = self.changes
        self._known_files = known_files

    def _changes_limit(self) -> int:
        """What a restore can write again in a second or two, and checkpoints upload again some day."""
        return max(_CHANGES_BYTES, self.store.size_bytes())

    def next_number(self) -> int:
        """Counts up, also over restores: the order of list chunks."""
        self._last_number += 1
        return self._last_number

    # -- tables ----------------------------------------------------------------------------------

    def table(self, spec: TableSpec) -> Any:
        """Finds or creates a table."""
        table = self.tables.get(spec.name)
        if table is None:
            table = self.tables[spec.name] = self._make_table(spec)
        elif table.spec.kind is not spec.kind:
            raise self.name_in_use(spec)
        return table

    def _make_table(self, spec: TableSpec) -> CachedTable:
        written = self._restored.get(spec.name)
        codes: list[Code] = []
        convert = None
        rows = 0
        if written is None:
            number = self.new_state_number()
        else:
            number, codes, rows = written["number"], written["codes"], max(1, written["rows"])
            adapt = adaptation(written, spec, self.place)
            if adapt is not None:
                convert = adapt.value
                if adapt.map_key is not None:
                    self._convert_map_keys(written, adapt.map_key)
            del self._restored[spec.name]
        codec = ValueCodec(
            spec.name, codes, code_of(spec.type_info), ttl=spec.ttl, born_ms=self.context.now_ms(), convert=convert
        )
        return self.new_table(spec, number, codec, rows)

    def new_table(self, spec: TableSpec, number: int, codec: ValueCodec, rows: int) -> CachedTable:
        """A table of a kind on this store."""
        kinds: dict[StateKind, type[CachedTable]] = {StateKind.LIST: RocksDBListTable, StateKind.MAP: RocksDBMapTable}
        return kinds.get(spec.kind, RocksDBValueTable)(self, spec, number, codec, rows)

    def _convert_map_keys(self, written: dict[str, Any], convert: Any) -> None:
        """Rewrites a map whose keys were pickled and are declared now."""
        table = self.table_of(written)
        assert isinstance(table, RocksDBMapTable)
        own = self.key_group_range
        for group in range(own.start, own.end + 1):
            rows = list(table.rows_to_convert(group))
            for row_key, map_key_start, map_key, value in rows:
                changed = row_key[:map_key_start] + encode_key(convert(map_key))
                if changed != row_key:
                    self.store.delete(row_key)
                    self.store.put(changed, value)
        self.store.write_batch()

    def adopt(self, spec: TableSpec, ttl: TtlRule | None, contents: Iterable[tuple[Namespace, dict[Key, Any]]]) -> None:
        """Goes on with a table of the heap: its dicts become the cache."""
        table = self.table(spec)
        table.ttl = ttl
        for namespace, entries in contents:
            table.adopt(namespace, entries)

    def load_restored(self, written: dict[str, Any], contents: Iterable[tuple[Namespace, dict[Key, Any]]]) -> None:
        """Takes over restored state nobody declared yet."""
        from penstock.runtime.state._rocksdb_restore import loading_table, note_loaded

        table = loading_table(self, written)
        for namespace, entries in contents:
            if entries:
                table.load(namespace, list(entries), list(entries.values()))
        note_loaded(self, table)

    def new_state_number(self) -> int:
        """The number of a new state."""
        self._numbers += 1
        return self._numbers

    def table_of(self, schema: dict[str, Any]) -> CachedTable:
        """The table of a schema, or one only to read what was restored and nobody declared."""
        table = self.tables.get(schema["name"])
        if table is not None:
            return table
        spec = TableSpec(schema["name"], StateKind(schema["kind"]), ttl=schema["ttl"])
        codec = ValueCodec(spec.name, schema["codes"], None, ttl=spec.ttl)
        return self.new_table(spec, schema["number"], codec, max(1, schema["rows"]))

    def schemas(self) -> tuple[dict[str, Any], ...]:
        """What the store holds: each state's schema, with what is needed to read it."""
        own = [
            describe(table.spec)
            | {"number": table.number, "codes": table.codec.codes, "rows": table.rows, "last": self._last_number}
            for table in self.tables.values()
        ]
        return (*own, *self._restored.values())

    def restore_schema(self, schema: dict[str, Any]) -> None:
        """Remembers a state of a restored store."""
        self._restored[schema["name"]] = schema
        self._numbers = max(self._numbers, schema["number"])
        self._last_number = max(self._last_number, schema["last"])

    def restored_schema(self, name: str) -> dict[str, Any] | None:
        """The schema of a restored state nobody declared yet."""
        return self._restored.get(name)

    # -- batches and the cache -------------------------------------------------------------------

    def begin_batch(self, keys: Sequence[Key], opened: Any = None) -> None:
        """Reads ahead what single values have of these keys."""
        self.open_batches += 1
        self._timers.records += len(keys)
        for table in self.tables.values():
            if isinstance(table, RocksDBValueTable) and table is not opened:
                table.prefetch(keys)

    def end_batch(self) -> None:
        """Evicts and cleans up."""
        if self.open_batches:
            self.open_batches -= 1
        for table in self.tables.values():
            if isinstance(table, RocksDBValueTable):
                table.end_batch()
        if not self.open_batches:
            self._timers.after_batch()
        self.trim()
        if not self.open_batches and not self.is_flushing():
            now_ms = self.context.now_ms()
            for table in self.tables.values():
                table.clean_now(now_ms)

    def count_access(self, table: CachedTable | None = None, key: Key = None, value: Any = None) -> bool:
        """Outside batches: now and then looks at the size of what is cached; True when a sample is due."""
        self._accesses += 1
        due = self._accesses % _SAMPLED_EACH == 0
        if due and table is not None:
            table.sample(key, value)
        if self._accesses >= _UNBATCHED_MAX and not self.open_batches:
            self.trim()
        return due

    def trim(self) -> None:
        """Evicts what is too much for the share of the object cache."""
        if self.open_batches:
            return
        self._accesses = 0
        cached = [(table.cached_bytes(), table) for table in self.tables.values()]
        total, limit = sum(size for size, _ in cached), self._cache_limit_bytes()
        if total <= limit:
            self.is_evicting = self.is_evicting and total > limit * 0.9
            return
        self.is_evicting = True
        if self.is_flushing() and total < limit * _OVERSHOOT:
            assert self._snapshot is not None
            self._snapshot.write_frozen(_FROZEN_S)
            return
        if self.is_flushing():
            assert self._snapshot is not None
            self._snapshot.release_store()
        excess = total - limit + limit // 100
        for size, table in sorted(cached, key=lambda pair: pair[0], reverse=True):
            table.evict(excess * size // total + 1)

    def _cache_limit_bytes(self) -> int:
        share = self.share_bytes
        return max(share // 2, share - self._timers.heap_bytes)

    @property
    def share_bytes(self) -> int:
        """Its share of the budget of object caches."""
        return self._pool.share_bytes

    def cached_bytes(self) -> int:
        """Estimated bytes of the objects that are cached."""
        return sum(table.cached_bytes() for table in self.tables.values())

    def keep_timers(self, owner: TimerOwner) -> None:
        """Gives a service's queues a store, or with timers on the heap what another run had in one."""
        self._timers.keep(owner)

    # -- snapshots -------------------------------------------------------------------------------

    def is_flushing(self) -> bool:
        """Whether the store must not be changed now: a snapshot of it is not linked yet."""
        return self._snapshot is not None and self._snapshot.is_flushing

    def settle(self) -> None:
        """Until the store may be changed: an earlier snapshot has what it needs."""
        if self._snapshot is not None:
            self._snapshot.settle()
            self._snapshot = None

    def snapshot(self, checkpoint_id: int, writer: SnapshotWriter, *, canonical: bool = False) -> StateSnapshot:
        """Freezes what is dirty; files are linked and uploaded, or entries encoded, from then on."""
        self.settle()
        self._timers.write_deleted()
        snapshot: FrozenSnapshot
        if canonical:
            snapshot = CanonicalSnapshot(self, writer, checkpoint_id)
        elif self.is_incremental:
            snapshot = IncrementalSnapshot(self, writer, checkpoint_id, self._known_files, self._base_to_add_to())
        else:
            snapshot = FilesSnapshot(self, writer, checkpoint_id)
        self._snapshot = snapshot
        self._snapshots = [other for other in self._snapshots if not other.is_over]
        self._snapshots.append(snapshot)
        self.snapshotting = True
        return snapshot

    def _base_to_add_to(self) -> dict[str, Any] | None:
        """The linked files that the log has all changes since; None where the next checkpoint has to materialize."""
        latest = self._base
        if latest is None or latest.recording != self.changes.recording or not self.changes.is_short:
            return None
        return latest.base

    def frozen_is_written(self) -> None:
        """A snapshot no longer guards values."""
        self.snapshotting = False

    def uploaded(self, checkpoint_id: int, files: Uploaded) -> None:
        """A checkpoint's files; later ones may build on them once it is complete."""
        self._uploaded[checkpoint_id] = files

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """Later checkpoints build on this one's files."""
        files = self._uploaded.pop(checkpoint_id, None)
        if files is not None:
            self._base = files
            self._known_files = files.base | files.segments
            self._uploaded = {number: held for number, held in self._uploaded.items() if number > checkpoint_id}

    def restore(self, handles: Sequence[tuple[KeyedStateHandle, SnapshotReader]]) -> None:
        """Takes over stores, or loads entries."""
        from penstock.runtime.state._rocksdb_restore import restore_backend

        if self.tables or self._store is not None:
            raise InvariantError(f"state of {self.place} restored after it was used")
        restore_backend(self, handles)

    # -- the rest --------------------------------------------------------------------------------

    def sizes(self) -> list[StateSize]:
        """RocksDB's estimate of its entries, divided by what each state wrote; bytes by the mean of recent writes."""
        stored = self._store.estimated_keys() if self._store is not None else 0
        writes = sum(table.writes for table in self.tables.values()) + sum(s["rows"] for s in self._restored.values())
        sizes = []
        for table in self.tables.values():
            entries = max(table.rows, stored * table.writes // max(1, writes)) + table.uncounted()
            sizes.append(StateSize(table.spec.name, entries, int(entries * table.mean_row_bytes())))
        return sizes + [StateSize(schema["name"], schema["rows"], 0) for schema in self._restored.values()]

    def clear(self) -> None:
        """Empties the store."""
        self.settle()
        if any(table.rows or table.may_have_rows(None) for table in self.tables.values()) or self._restored:
            self.store.delete_range(self.key_group_range.start.to_bytes(2, "big"), END_OF_STATE)
        for table in self.tables.values():
            table.forget()

    def close(self) -> None:
        """Closes and deletes the store, and gives the memory back."""
        if self._closed:
            return
        self._closed = True
        for snapshot in self._snapshots:
            snapshot.cancel()
        self.tables.clear()
        self.forget_states()
        try:
            self.changes.stop()
            if self._store is not None:
                self._store.close(delete=False)
        finally:
            delete_directory(self.directory)
            self._pool.leave()
            self._lease.release()

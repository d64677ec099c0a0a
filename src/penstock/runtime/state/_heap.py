"""The `hashmap` backend: state as Python objects on the heap, checked by the heap guard, spilled nowhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from penstock.errors import InvariantError
from penstock.runtime.state._backend import (
    BackendContext,
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
from penstock.runtime.state._canonical import CANONICAL, FILE, ROCKSDB, ChunkEncoder, ChunkFile, read_chunks
from penstock.runtime.state._errors import StateBackendError
from penstock.runtime.state._heap_tables import Captured, HeapListTable, HeapMapTable, HeapTable, HeapValueTable
from penstock.runtime.state._schema import adaptation, describe
from penstock.runtime.state._timers import TIMER_DOMAINS, timer_state, timers_in
from penstock.runtime.state._ttl import TtlRule
from penstock.runtime.state._values import are_immutable

if TYPE_CHECKING:
    from penstock.runtime.state._timers import TimerOwner

__all__ = ["HashMapBackend", "HeapSnapshot", "filtered_chunks"]


class HashMapBackend(KeyedStateBackend):
    """State as Python objects (Flink's `HashMapStateBackend`). Owned by the task's thread."""

    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self._tables: dict[str, HeapTable] = {}
        self._restored: dict[str, tuple[dict[str, Any], HeapTable]] = {}
        self._snapshots: list[HeapSnapshot] = []

    def table(self, spec: TableSpec) -> Any:
        """Finds or creates a table."""
        table = self._tables.get(spec.name)
        if table is None:
            table = self._tables[spec.name] = self._adopt(spec)
        elif table.spec.kind is not spec.kind:
            raise self.name_in_use(spec)
        return table

    def _adopt(self, spec: TableSpec) -> HeapTable:
        """A new table, or the restored one of that name in its declared form."""
        table = new_table(spec)
        if spec.name not in self._restored:
            return table
        written, restored = self._restored[spec.name]
        adapt = adaptation(written, spec, self.place)
        del self._restored[spec.name]
        if adapt is not None:
            now_ms = self.context.now_ms()
            for _, entries in restored.contents():
                for key, value in entries.items():
                    entries[key] = adapt.stored(spec.kind, value, now_ms)
        restored.spec = spec
        return restored

    # -- snapshots -------------------------------------------------------------------------------

    def snapshot(self, checkpoint_id: int, writer: SnapshotWriter, *, canonical: bool = False) -> StateSnapshot:
        """Copies references now, encodes them in slices; checkpoints and savepoints have the same form here."""
        tables: list[tuple[dict[str, Any], HeapTable]] = [
            (describe(table.spec), table) for table in self._tables.values()
        ]
        tables.extend(self._restored.values())  # state this program has not asked for (yet) is kept
        snapshot = HeapSnapshot(self, tables, writer, f"{self.context.file_prefix}-keyed")
        self._snapshots.append(snapshot)
        self.snapshotting = True
        return snapshot

    def _encoded(self, snapshot: HeapSnapshot) -> None:
        """A snapshot needs the values no longer."""
        if snapshot in self._snapshots:
            self._snapshots.remove(snapshot)
        if not self._snapshots:
            self.snapshotting = False
            for table in self._tables.values():
                table.unguard()
            for _, table in self._restored.values():
                table.unguard()

    def _is_captured(self, table: HeapTable, namespace: Namespace) -> None:
        """A snapshot needs a window's dict no longer; another one under way still might."""
        if len(self._snapshots) == 1:
            table.window_is_captured(namespace)

    def _is_immutable(self, table: HeapTable) -> None:
        """Sharing the values of a table does no harm; with several snapshots under way that is not known of all."""
        if len(self._snapshots) == 1:
            table.unguard()
            tables = [*self._tables.values(), *(restored for _, restored in self._restored.values())]
            self.snapshotting = any(other.guarded for other in tables)

    def restore(self, handles: Sequence[tuple[KeyedStateHandle, SnapshotReader]]) -> None:
        """Loads the own key groups; state nobody declares stays and goes into later snapshots."""
        if self._tables:
            raise InvariantError(f"state of {self.place} restored after it was used")
        for handle, reader in handles:
            for written, namespace, keys, values in filtered_chunks(handle, reader, self):
                self._load(written, namespace, keys, values)

    def _load(self, written: dict[str, Any], namespace: Any, keys: list[Any], values: list[Any]) -> None:
        name, kind = written["name"], StateKind(written["kind"])
        if name not in self._restored:
            self._restored[name] = written, new_table(TableSpec(name, kind, ttl=written["ttl"]))
        self._restored[name][1].load(namespace, keys, values)

    def keep_timers(self, owner: TimerOwner) -> None:
        """Gives back what another backend had on disk: here timers are the service's own."""
        for domain in TIMER_DOMAINS:
            found = self._restored.pop(timer_state(owner.name, domain).name, None)
            if found is not None:
                owner.take_back(domain, timers_in(found[1].contents()))

    # -- moving ----------------------------------------------------------------------------------

    def tables(self) -> list[HeapTable]:
        """The tables in use."""
        return list(self._tables.values())

    def restored_tables(self) -> list[tuple[dict[str, Any], HeapTable]]:
        """Restored state nobody declared yet: its schema and a table."""
        return list(self._restored.values())

    # -- the rest --------------------------------------------------------------------------------

    def sizes(self) -> list[StateSize]:
        """Counted entries, sampled bytes."""
        tables = [*self._tables.values(), *(table for _, table in self._restored.values())]
        return [StateSize(table.spec.name, table.entry_count(), table.size_bytes()) for table in tables]

    def clear(self) -> None:
        """Empties the tables."""
        for table in self._tables.values():
            table.clear()

    def close(self) -> None:
        """Drops everything."""
        for snapshot in list(self._snapshots):
            snapshot.cancel()
        self._tables.clear()
        self._restored.clear()
        self.forget_states()


def new_table(spec: TableSpec) -> HeapTable:
    """An empty table of a kind."""
    if spec.kind is StateKind.LIST:
        return HeapListTable(spec)
    if spec.kind is StateKind.MAP:
        return HeapMapTable(spec)
    return HeapValueTable(spec)


def filtered_chunks(
    handle: KeyedStateHandle, reader: SnapshotReader, backend: KeyedStateBackend
) -> Iterator[tuple[dict[str, Any], Any, list[Any], list[Any]]]:
    """The chunks of a handle with only the entries of a backend's own key groups: (schema, namespace, keys, values)."""
    own = backend.key_group_range
    if not own.overlaps(handle.key_groups):
        return
    if handle.format == ROCKSDB:
        from penstock.runtime.state._rocksdb_restore import rocksdb_chunks

        yield from rocksdb_chunks(handle, reader, backend)
        return
    if handle.format != CANONICAL:
        raise StateBackendError(
            f"The keyed state of {backend.place} was checkpointed in the format '{handle.format}', which this "
            "version of Penstock does not read."
        )
    all_own = own.start <= handle.key_groups.start and handle.key_groups.end <= own.end
    for state, namespace, keys, values in read_chunks(handle, reader):
        if not all_own:
            groups = backend.key_groups.of_all(keys)
            kept = [index for index, group in enumerate(groups) if group in own]
            keys, values = [keys[index] for index in kept], [values[index] for index in kept]
        if keys:
            yield handle.states[state], namespace, keys, values


_FILTERED_AT_ONCE = 4096
_PROVEN_AT_ONCE = 20_000
_PROVING_S = 0.004


def _cleaning_rule(table: HeapTable) -> TtlRule | None:
    return table.ttl if table.ttl is not None and table.ttl.clean_snapshots else None


class HeapSnapshot(StateSnapshot):
    """A snapshot of the hashmap backend. Created and advanced by the task's thread, finished by any."""

    def __init__(
        self, backend: HashMapBackend, tables: list[tuple[dict[str, Any], HeapTable]], writer: SnapshotWriter, name: str
    ) -> None:
        self._backend = backend
        self._states = tuple(schema for schema, _ in tables)
        self._tables = [table for _, table in tables]
        self._captured: list[Captured] = [table.capture() for _, table in tables]
        self._rules = [(table.spec.kind, _cleaning_rule(table)) for _, table in tables]
        self._now_ms = backend.context.now_ms()
        self._writer = writer
        self._name = name
        self._file: ChunkFile | None = None
        self._chunks = self._encode()
        self._proofs = self._prove()
        self._proven = False
        self._encoded = False
        self._error: Exception | None = None

    def _prove(self) -> Iterator[None]:
        """Ends the guard of tables whose values cannot be changed in place, long before they are encoded.

        A guarded table costs the task more than encoding it does, and looking at the types of values a twentieth.
        """
        for table, captured in zip(self._tables, self._captured, strict=True):
            proven = isinstance(table, HeapValueTable)
            for index, part in enumerate(captured):
                if len(part) == 2:
                    namespace, entries = part
                    part = captured[index] = namespace, tuple(entries), tuple(entries.values())
                    self._backend._is_captured(table, namespace)
                values = part[2]
                for start in range(0, len(values) if proven else 0, _PROVEN_AT_ONCE):
                    proven = proven and are_immutable(values[start : start + _PROVEN_AT_ONCE])
                    yield
            if proven:
                self._backend._is_immutable(table)

    def _encode(self) -> Iterator[tuple[int, bytes]]:
        for state, captured in enumerate(self._captured):
            encoder = ChunkEncoder(self._states[state]["name"])
            for part in captured:
                assert len(part) == 3
                namespace, keys, values = part
                for data in self._chunks_of(state, encoder, namespace, keys, values):
                    yield state, data
            for data in encoder.flush():
                yield state, data
            captured.clear()

    def _chunks_of(
        self, state: int, encoder: ChunkEncoder, namespace: Any, keys: Sequence[Any], values: Sequence[Any]
    ) -> Iterator[bytes]:
        kind, rule = self._rules[state]
        if rule is None:
            yield from encoder.add(namespace, keys, values)
            return
        for start in range(0, len(keys), _FILTERED_AT_ONCE):
            part = slice(start, start + _FILTERED_AT_ONCE)
            pairs = [
                (key, rule.alive(kind, value, self._now_ms))
                for key, value in zip(keys[part], values[part], strict=True)
            ]
            alive = [(key, value) for key, value in pairs if value is not None]
            yield from encoder.add(namespace, [key for key, _ in alive], [value for _, value in alive])

    def advance(self, max_ms: float | None = None) -> bool:
        """Proves first, whatever the pace: that is little work, and it ends what costs the task more."""
        if max_ms is None and not self._proven:
            self._prove_some(_PROVING_S)
            return False
        return super().advance(max_ms)

    def _prove_some(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        for _ in self._proofs:
            if time.perf_counter() >= deadline:
                return
        self._proven = True

    def work(self, seconds: float) -> bool:
        """Encodes chunks for about this long."""
        if self._encoded:
            return True
        if self._file is None:
            self._file = ChunkFile(self._writer, self._name)
        deadline = time.perf_counter() + seconds
        if not self._proven:
            self._prove_some(seconds)
            if not self._proven:
                return False
        try:
            while not self._file.has_failed:
                if self._file.is_full:
                    return False
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._file.add(*chunk)
                if time.perf_counter() >= deadline:
                    return False
        except StateBackendError as error:
            self._error = error
        self._end()
        return True

    def _end(self) -> None:
        if not self._encoded:
            self._encoded = True
            self._captured = []
            self._chunks = iter(())
            self._proofs = iter(())
            self._backend._encoded(self)
            if self._file is not None:
                self._file.end()

    def finish(self) -> KeyedStateHandle:
        """Waits for the file."""
        if not self._encoded or self._file is None:
            raise InvariantError(f"snapshot '{self._name}' was finished before it was encoded")
        if self._error is not None:
            self._file.cancel()
            raise self._error
        file = self._file.result()
        return KeyedStateHandle(
            CANONICAL, self._backend.key_group_range, self._states, {FILE: file}, tuple(self._file.index)
        )

    def cancel(self) -> None:
        """Gives up."""
        self._end()
        if self._file is not None:
            self._file.cancel()

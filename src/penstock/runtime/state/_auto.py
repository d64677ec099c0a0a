"""The `auto` backend: state on the heap until it passes its share, then in RocksDB, without stopping the job.

The move happens between batches and copies nothing: the dicts of the heap tables become the cache of the RocksDB
tables, with every key dirty, and the cache then shrinks to its size batch by batch like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from penstock.runtime.state._backend import (
    BackendContext,
    Key,
    KeyedStateBackend,
    KeyedStateHandle,
    ListTable,
    MapTable,
    Namespace,
    SnapshotReader,
    SnapshotWriter,
    StateKind,
    StateSize,
    StateSnapshot,
    StateTable,
    TableSpec,
    ValueTable,
)
from penstock.runtime.state._canonical import ROCKSDB
from penstock.runtime.state._heap import HashMapBackend
from penstock.runtime.state._heap_share import HeapShare
from penstock.runtime.state._rocksdb import RocksDBBackend

if TYPE_CHECKING:
    from penstock.runtime.state._timers import TimerOwner

__all__ = ["AutoBackend"]

_log = logging.getLogger(__name__)

_CHECKED_EACH: Final = 32
"""The most batches between two looks at the size of the state, which take some hundred microseconds."""

_OBJECTS_PER_BYTE: Final = 4
"""How much larger Python objects are than their pickles, about: for state that is restored."""


class AutoBackend(KeyedStateBackend):
    """Either of the two backends (Penstock's own). Owned by the task's thread.

    Attributes:
        inner: the backend that holds the state now.
    """

    def __init__(
        self, context: BackendContext, share: HeapShare, make_rocksdb: Callable[[BackendContext], RocksDBBackend]
    ) -> None:
        """A backend on the heap.

        Args:
            context: the subtask.
            share: of the heap, for state of backends that have not moved.
            make_rocksdb: creates the other backend.
        """
        self.inner: HashMapBackend | RocksDBBackend = HashMapBackend(context)
        super().__init__(context)
        self._share = share
        share.join()
        self._has_share = True
        self._make_rocksdb = make_rocksdb
        self._tables: dict[str, _AutoTable] = {}
        self._timers: list[TimerOwner] = []
        self._batches = 0
        self._look_after = 1
        self._size_bytes = 0

    @property
    def snapshotting(self) -> bool:
        """Whether a snapshot still guards values."""
        return self.inner.snapshotting

    @snapshotting.setter
    def snapshotting(self, value: bool) -> None:
        """Only the inner backends decide that."""

    @property
    def in_memory(self) -> bool:  # type: ignore[override]  # a constant of the other backends
        """Whether the state is on the heap still."""
        return self.inner.in_memory

    @property
    def is_on_disk(self) -> bool:
        """Whether the state has moved."""
        return isinstance(self.inner, RocksDBBackend)

    # -- tables ----------------------------------------------------------------------------------

    def table(self, spec: TableSpec) -> Any:
        """A table that goes on when the state moves."""
        inner = self.inner.table(spec)
        table = self._tables.get(spec.name)
        if table is None:
            kinds: dict[StateKind, type[_AutoTable]] = {StateKind.LIST: _AutoListTable, StateKind.MAP: _AutoMapTable}
            table = self._tables[spec.name] = kinds.get(spec.kind, _AutoValueTable)(inner)
        return table

    def state(self, descriptor: Any, windowed: bool = False) -> Any:
        """A state object that works on the inner table itself."""
        view = super().state(descriptor, windowed)
        if isinstance(view.table, _AutoTable):
            view.bind(view.table.inner)
        return view

    # -- moving ----------------------------------------------------------------------------------

    def begin_batch(self, keys: Sequence[Key], opened: Any = None) -> None:
        """Reads ahead, on disk."""
        self.inner.begin_batch(keys, opened.inner if isinstance(opened, _AutoTable) else opened)

    def end_batch(self) -> None:
        """Now and then looks at the size of the state, and moves it."""
        self.inner.end_batch()
        if self.is_on_disk:
            return
        self._batches += 1
        if self._batches >= self._look_after:
            self.move_if_large()

    def move_if_large(self) -> None:
        """Moves the state to RocksDB if it passed its share; not while a snapshot shares values with it."""
        if self.is_on_disk or self.inner.snapshotting:
            return
        size = sum(state.size_bytes for state in self.inner.sizes())
        size += sum(owner.heap_bytes() for owner in self._timers)
        # The next look comes when half of what is left may be gone: a batch of large values can be megabytes.
        growth = max(1, size - self._size_bytes) / max(1, self._batches)
        left = self._share.share_bytes - size
        self._look_after = max(1, min(int(left / 2 / growth), 2 * self._look_after, _CHECKED_EACH))
        self._batches, self._size_bytes = 0, size
        if size > self._share.share_bytes:
            _log.info(
                "State of %s has about %d MiB, its share of the heap is %d MiB: it moves to RocksDB "
                "(state.backend.type: auto).",
                self.place,
                size >> 20,
                self._share.share_bytes >> 20,
            )
            self._move()

    def _move(self) -> None:
        heap = self.inner
        assert isinstance(heap, HashMapBackend)
        disk = self._make_rocksdb(self.context)
        try:
            for written, table in heap.restored_tables():
                disk.load_restored(written, table.contents())
            for table in heap.tables():
                disk.adopt(table.spec, table.ttl, table.contents())
        except BaseException:  # the heap's limit, a full disk: nobody else knows of the store yet
            disk.close()
            raise
        self._go_on_with(disk)

    def _go_on_with(self, disk: RocksDBBackend) -> None:
        self.inner = disk
        for name, table in self._tables.items():
            table.inner = disk.tables[name]
        for view in self._views.values():
            view.bind(disk.tables[view.table.spec.name])
        for owner in self._timers:
            disk.keep_timers(owner)
        self._leave_heap()

    def _leave_heap(self) -> None:
        if self._has_share:
            self._has_share = False
            self._share.leave()

    # -- what is passed on -----------------------------------------------------------------------

    def snapshot(self, checkpoint_id: int, writer: SnapshotWriter, *, canonical: bool = False) -> StateSnapshot:
        """The inner backend's."""
        self.move_if_large()
        return self.inner.snapshot(checkpoint_id, writer, canonical=canonical)

    def keep_timers(self, owner: TimerOwner) -> None:
        """In memory until the state moves, to which they add their size; then with it."""
        self._timers.append(owner)
        self.inner.keep_timers(owner)

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """Passed on."""
        self.inner.checkpoint_completed(checkpoint_id)

    def restore(self, handles: Sequence[tuple[KeyedStateHandle, SnapshotReader]]) -> None:
        """On the heap what will fit there, in RocksDB what was there or is too large."""
        own = [handle for handle, _ in handles if handle.key_groups.overlaps(self.key_group_range)]
        stored = sum(getattr(file, "size_bytes", 0) for handle in own for file in handle.files.values())
        is_large = stored * _OBJECTS_PER_BYTE > self._share.share_bytes
        if is_large or any(handle.format == ROCKSDB for handle in own):
            self._go_on_with(self._make_rocksdb(self.context))
        self.inner.restore(handles)

    def sizes(self) -> list[StateSize]:
        """The inner backend's."""
        return self.inner.sizes()

    def clear(self) -> None:
        """Passed on."""
        self.inner.clear()

    def close(self) -> None:
        """Passed on."""
        self._leave_heap()
        self.forget_states()
        self.inner.close()


class _AutoTable(StateTable):
    """A table whose inner table changes when the state moves.

    Attributes:
        inner: the table of the backend that holds the state now.
    """

    def __init__(self, inner: Any) -> None:
        self.inner: Any = inner
        self.spec = inner.spec

    @property
    def ttl(self) -> Any:
        """The inner table's."""
        return self.inner.ttl

    @ttl.setter
    def ttl(self, rule: Any) -> None:
        self.inner.ttl = rule

    @property
    def guarded(self) -> bool:  # type: ignore[override]  # the inner table decides
        """The inner table's."""
        guarded: bool = self.inner.guarded
        return guarded

    @property
    def needs_keys(self) -> bool:  # type: ignore[override]  # the inner table decides
        """The inner table's."""
        needs_keys: bool = self.inner.needs_keys
        return needs_keys

    def clean(self, keys: int, now_ms: int) -> None:
        """Passed on."""
        self.inner.clean(keys, now_ms)

    def remove(self, key: Key, namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.remove(key, namespace)

    def contains(self, key: Key, namespace: Namespace = None) -> bool:
        """Passed on."""
        found: bool = self.inner.contains(key, namespace)
        return found

    def namespaces(self) -> list[Namespace]:
        """Passed on."""
        found: list[Namespace] = self.inner.namespaces()
        return found

    def keys(self, namespace: Namespace = None) -> Iterator[Key]:
        """Passed on."""
        keys: Iterator[Key] = self.inner.keys(namespace)
        return keys

    def drop_namespace(self, namespace: Namespace) -> None:
        """Passed on."""
        self.inner.drop_namespace(namespace)


class _AutoValueTable(_AutoTable, ValueTable):
    """One value a key."""

    def live(self) -> dict[Key, Any]:
        """The inner table's dict, which moves along."""
        entries: dict[Key, Any] = self.inner.live()
        return entries

    def open_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, Any]:
        """Passed on."""
        entries: dict[Key, Any] = self.inner.open_batch(keys, namespace)
        return entries

    def close_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.close_batch(keys, namespace)

    def get(self, key: Key, namespace: Namespace = None) -> Any:
        """Passed on."""
        return self.inner.get(key, namespace)

    def put(self, key: Key, value: Any, namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.put(key, value, namespace)

    def open_namespace(self, namespace: Namespace) -> dict[Key, Any]:
        """Passed on."""
        entries: dict[Key, Any] = self.inner.open_namespace(namespace)
        return entries


class _AutoListTable(_AutoTable, ListTable):
    """A list a key."""

    def open_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, list[Any]]:
        """Passed on."""
        entries: dict[Key, list[Any]] = self.inner.open_appends(keys, namespace)
        return entries

    def close_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.close_appends(keys, namespace)

    def get(self, key: Key, namespace: Namespace = None) -> list[Any] | None:
        """Passed on."""
        elements: list[Any] | None = self.inner.get(key, namespace)
        return elements

    def append(self, key: Key, element: Any, namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.append(key, element, namespace)

    def extend(self, key: Key, elements: Iterable[Any], namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.extend(key, elements, namespace)

    def put(self, key: Key, elements: list[Any], namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.put(key, elements, namespace)


class _AutoMapTable(_AutoTable, MapTable):
    """A map a key."""

    def get(self, key: Key, map_key: Key, namespace: Namespace = None) -> Any:
        """Passed on."""
        return self.inner.get(key, map_key, namespace)

    def has(self, key: Key, map_key: Key, namespace: Namespace = None) -> bool:
        """Passed on."""
        found: bool = self.inner.has(key, map_key, namespace)
        return found

    def put(self, key: Key, map_key: Key, value: Any, namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.put(key, map_key, value, namespace)

    def discard(self, key: Key, map_key: Key, namespace: Namespace = None) -> None:
        """Passed on."""
        self.inner.discard(key, map_key, namespace)

    def items(self, key: Key, namespace: Namespace = None) -> Iterator[tuple[Key, Any]]:
        """Passed on."""
        items: Iterator[tuple[Key, Any]] = self.inner.items(key, namespace)
        return items

"""The keyed state contract: backends, their tables, and snapshots. Implemented by `hashmap`, `rocksdb` and `auto`.

A *backend* holds the keyed state of one operator subtask. A *table* is one named state of it: for each key, and for
each window where windows are involved, one value. Windows are *namespaces* here, as in Flink; None is the namespace
of state that belongs to no window (Flink's `VoidNamespace`).

Keys given to tables are frozen (`freeze_key`): they can be hashed. What tables hold for a key depends on their kind:
the value, the reduced value, the accumulator (`ValueTable`), a list (`ListTable`), a dict (`MapTable`). With a time
to live the values, list elements and map values are (value, stamp in epoch ms) pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from penstock.conf import Record
from penstock.errors import ConfigurationError
from penstock.runtime.state._key_groups import KeyGroupRange, KeyGroups, key_group_range
from penstock.runtime.state._kinds import StateKind
from penstock.runtime.state._slices import SlicePace

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.runtime.state._timers import TimerOwner
    from penstock.runtime.state._ttl import TtlRule

__all__ = [
    "BackendContext",
    "KeyedStateBackend",
    "KeyedStateHandle",
    "ListTable",
    "MapTable",
    "SnapshotReader",
    "SnapshotWriter",
    "StateKind",
    "StateSize",
    "StateSnapshot",
    "StateTable",
    "TableSpec",
    "ValueTable",
]

Key = Hashable
Namespace = Hashable


class TableSpec(Record):
    """What a table is; written into every snapshot and compared when it is restored.

    Attributes:
        name: the state's name, unique in its backend.
        kind: what it holds for a key.
        type_info: the declared type of the value, list element, map value or accumulator; None is untyped (pickled).
        map_key_type: the declared type of map keys, None elsewhere.
        ttl: whether values carry the stamp of their last use.
    """

    name: str
    kind: StateKind
    type_info: TypeInformation | None = None
    map_key_type: TypeInformation | None = None
    ttl: bool = False


class StateSize(Record):
    """How large a state is, for the ledger and the metrics.

    Attributes:
        name: the state's name.
        entries: values held, over all keys and namespaces; an estimate for state on disk.
        size_bytes: estimated from a sample: Python objects in memory, or encoded bytes on disk.
    """

    name: str
    entries: int
    size_bytes: int


class KeyedStateHandle(Record):
    """Where the keyed state of one subtask is kept in a checkpoint. Picklable; small.

    Attributes:
        format: `canonical` (any backend reads it) or `rocksdb` (its own files).
        key_groups: the groups it covers.
        states: name, kind, type texts and time to live of each state.
        files: handles of the writer, by a name that means something to the format.
        index: where in a file each part lies, as the format defines it.
    """

    format: str
    key_groups: KeyGroupRange
    states: tuple[dict[str, Any], ...]
    files: dict[str, Any]
    index: Any = None


class SnapshotWriter(Protocol):
    """What a snapshot needs of the checkpoint storage; the methods may be called from any thread."""

    def put(self, name: str, data: bytes | Iterable[bytes]) -> Any:
        """Writes one file of this checkpoint and returns its picklable handle; may block."""
        ...

    def put_shared(self, path: str, key: str) -> Any:
        """Uploads a local file that several checkpoints share, once for each key; returns its handle; may block."""
        ...


class SnapshotReader(Protocol):
    """What a restore needs of the checkpoint storage."""

    def read(self, handle: Any, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file, or a range of them."""
        ...

    def download(self, handle: Any, path: str) -> None:
        """Copies a file to a local path."""
        ...


class StateSnapshot(ABC):
    """State as it was at the barrier, written piece by piece while the task goes on.

    The task thread calls `advance` between batches until it returns True; then any thread calls `finish` once.
    `cancel` instead of either gives the snapshot up.
    """

    share: float = 0.03
    """The part of a busy task's time its snapshots may take."""

    _pace: SlicePace | None = None

    def advance(self, max_ms: float | None = None) -> bool:
        """Works a little on the task's thread; True when nothing is left for that thread.

        Args:
            max_ms: for about how long; None takes `share` of a busy task's time and all of an idle one's.
        """
        if max_ms is not None:
            return self.work(max_ms / 1000)
        if self._pace is None:
            self._pace = SlicePace(self.share)
        granted_s = self._pace.begin()
        if not granted_s:
            return False
        try:
            return self.work(granted_s)
        finally:
            self._pace.end()

    @abstractmethod
    def work(self, seconds: float) -> bool:
        """Works for about this long on the task's thread; True when nothing is left for that thread."""

    @abstractmethod
    def finish(self) -> KeyedStateHandle:
        """Waits for the writing to end and returns where the state is. May block; not for the task's thread.

        Raises:
            penstock.errors.PenstockError: whatever the storage raised.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Stops the work and releases what it holds; files already written belong to the writer's `abort`."""


class StateTable(ABC):
    """One named state of a backend. Owned by the task's thread.

    Attributes:
        spec: what it is.
        ttl: how its values expire, None where they do not.
        guarded: True while a snapshot still needs the values as they are: values must then be read with `get` or
            after `open_batch`, which hand out copies of what could be changed in place.
        needs_keys: True while a batch's keys must be given to `open_batch` before its values are read.
    """

    spec: TableSpec
    ttl: TtlRule | None = None
    guarded: bool = False
    needs_keys: bool = False

    @abstractmethod
    def clean(self, keys: int, now_ms: int) -> None:
        """Looks at the next `keys` keys for values that expired by `ttl`, and forgets those."""

    @abstractmethod
    def remove(self, key: Key, namespace: Namespace = None) -> None:
        """Forgets the value of a key; fine if there is none."""

    @abstractmethod
    def contains(self, key: Key, namespace: Namespace = None) -> bool:
        """Whether the key has a value, an element or an entry."""

    @abstractmethod
    def namespaces(self) -> list[Namespace]:
        """The namespaces that hold anything; on disk this reads all of the state."""

    @abstractmethod
    def keys(self, namespace: Namespace = None) -> Iterator[Key]:
        """The keys with a value in a namespace, in no order; nothing may be changed meanwhile."""

    @abstractmethod
    def drop_namespace(self, namespace: Namespace) -> None:
        """Forgets the values of all keys in a namespace: a window is over."""


class ValueTable(StateTable):
    """One value a key: value state, a reduced value, an accumulator."""

    @abstractmethod
    def live(self) -> dict[Key, Any]:
        """The dict behind the state of no window: complete in memory, a cache on disk (absent there means unknown).

        It is the dict `open_batch` returns for no namespace, and the same object as long as the backend lives: a
        generated loop may hold it, and use it between `open_batch` and `close_batch`.
        """

    @abstractmethod
    def open_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, Any]:
        """Makes the values of a batch's keys available in a dict that the caller may read and change for these keys.

        In the dict an absent key has no value. The dict is the live one: no copying either way. It is valid until
        `close_batch`, and values in it may be changed in place.
        """

    @abstractmethod
    def close_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """Ends `open_batch` of the same keys: what the dict now says about them is the state."""

    @abstractmethod
    def get(self, key: Key, namespace: Namespace = None) -> Any:
        """The value, or None; it may be changed in place if it is `put` back."""

    @abstractmethod
    def put(self, key: Key, value: Any, namespace: Namespace = None) -> None:
        """Sets the value, which is not None."""

    @abstractmethod
    def open_namespace(self, namespace: Namespace) -> dict[Key, Any]:
        """All values of a namespace, to fire a window for all keys at once. Read only; followed by `drop_namespace`."""

    def merge_namespaces(
        self, key: Key, target: Namespace, sources: Sequence[Namespace], combine: Callable[[Any, Any], Any]
    ) -> None:
        """Moves a key's values of `sources` into `target`, combined with what is there: sessions became one."""
        result = self.get(key, target)
        for source in sources:
            if source == target:
                continue
            value = self.get(key, source)
            if value is not None:
                result = value if result is None else combine(result, value)
                self.remove(key, source)
        if result is not None:
            self.put(key, result, target)


class ListTable(StateTable):
    """A list a key; appending never reads what is there."""

    @abstractmethod
    def open_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, list[Any]]:
        """A dict in which the caller may append to the lists of a batch's keys, or add a list for a key.

        It need not show earlier elements: on disk it holds only what was not written yet.
        """

    @abstractmethod
    def close_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """Ends `open_appends` of the same keys."""

    @abstractmethod
    def get(self, key: Key, namespace: Namespace = None) -> list[Any] | None:
        """All elements in the order they were added, as a new list; None if there are none."""

    @abstractmethod
    def append(self, key: Key, element: Any, namespace: Namespace = None) -> None:
        """Adds one element."""

    @abstractmethod
    def extend(self, key: Key, elements: Iterable[Any], namespace: Namespace = None) -> None:
        """Adds elements."""

    @abstractmethod
    def put(self, key: Key, elements: list[Any], namespace: Namespace = None) -> None:
        """Replaces the list; an empty one removes the key."""

    def merge_namespaces(self, key: Key, target: Namespace, sources: Sequence[Namespace]) -> None:
        """Appends a key's lists of `sources` to that of `target`, and forgets them."""
        for source in sources:
            if source == target:
                continue
            elements = self.get(key, source)
            if elements is not None:
                self.extend(key, elements, target)
                self.remove(key, source)


class MapTable(StateTable):
    """A map a key, addressed entry by entry. Map keys are frozen like keys."""

    @abstractmethod
    def get(self, key: Key, map_key: Key, namespace: Namespace = None) -> Any:
        """The value of one entry; None if there is none (None itself is not stored)."""

    @abstractmethod
    def has(self, key: Key, map_key: Key, namespace: Namespace = None) -> bool:
        """Whether there is such an entry."""

    @abstractmethod
    def put(self, key: Key, map_key: Key, value: Any, namespace: Namespace = None) -> None:
        """Sets one entry."""

    @abstractmethod
    def discard(self, key: Key, map_key: Key, namespace: Namespace = None) -> None:
        """Forgets one entry; fine if there is none."""

    @abstractmethod
    def items(self, key: Key, namespace: Namespace = None) -> Iterator[tuple[Key, Any]]:
        """The entries as of now: the map may be changed while this is read."""


class BackendContext(Record):
    """Which subtask a backend is for.

    Attributes:
        operator_id: the operator's id, hexadecimal, the same in every run of a program.
        operator_name: for messages.
        subtask_index: from 0.
        parallelism: subtasks of the operator.
        max_parallelism: key groups.
        now_ms: the clock that times to live go by, epoch ms.
    """

    operator_id: str
    operator_name: str
    subtask_index: int
    parallelism: int
    max_parallelism: int
    now_ms: Callable[[], int]

    @property
    def file_prefix(self) -> str:
        """A name for files of this subtask, unique in a checkpoint."""
        return f"{self.operator_id}-{self.subtask_index}"


class KeyedStateBackend(ABC):
    """The keyed state of one operator subtask. Owned by the task's thread; `finish` of a snapshot apart.

    Attributes:
        context: which subtask this is for.
        current_key: the frozen key user code is working for; set by the task before each record.
        current_namespace: the window for state objects created with `windowed=True`; set by the window operator.
        key_groups: key to key group.
        key_group_range: the groups this subtask owns.
        snapshotting: True while a snapshot still guards values.
        in_memory: whether `live()` of a value table is all of it, so that a loop may use it without `open_batch`.
    """

    in_memory: bool = True

    def __init__(self, context: BackendContext) -> None:
        self.context = context
        self.current_key: Any = None
        self.current_namespace: Any = None
        self.snapshotting = False
        self._views: dict[tuple[str, bool], Any] = {}
        self.key_groups = KeyGroups(context.max_parallelism)
        self.key_group_range = key_group_range(context.subtask_index, context.max_parallelism, context.parallelism)

    @abstractmethod
    def table(self, spec: TableSpec) -> Any:
        """Finds or creates a table: a `ValueTable`, `ListTable` or `MapTable` by the kind.

        Raises:
            StateMigrationError: if what was restored under that name has another kind or type.
        """

    def state(self, descriptor: Any, windowed: bool = False) -> Any:
        """The state object (`penstock.datastream.state`) of a descriptor, bound to `current_key`; one for each name.

        Args:
            descriptor: any of the five keyed state descriptors.
            windowed: bound to `current_namespace` too (a window's or trigger's state), else to no window.

        Raises:
            StateMigrationError: as `table`.
            ConfigurationError: if the name is in use for another kind, or reserved.
        """
        from penstock.runtime.state._state_objects import create_state, spec_of

        view = self._views.get((descriptor.name, windowed))
        if view is None:
            from penstock.runtime.state._timers import check_state_name

            check_state_name(descriptor.name, self)
            view = self._views[descriptor.name, windowed] = create_state(self, descriptor, windowed)
        elif view.table.spec.kind is not (spec := spec_of(descriptor)).kind:
            raise self.name_in_use(spec)
        return view

    def name_in_use(self, spec: TableSpec) -> ConfigurationError:
        """The error of a name declared twice; the text begins as PyFlink's does."""
        return ConfigurationError(
            f"The state name '{spec.name}' is already in use and not a {spec.kind.value} state. "
            f"States of one operator ({self.place}) need different names."
        )

    def get_state(self, descriptor: Any, windowed: bool = False) -> Any:
        """Value state; see `state`."""
        return self._state_of(descriptor, StateKind.VALUE, windowed)

    def get_list_state(self, descriptor: Any, windowed: bool = False) -> Any:
        """List state; see `state`."""
        return self._state_of(descriptor, StateKind.LIST, windowed)

    def get_map_state(self, descriptor: Any, windowed: bool = False) -> Any:
        """Map state; see `state`."""
        return self._state_of(descriptor, StateKind.MAP, windowed)

    def get_reducing_state(self, descriptor: Any, windowed: bool = False) -> Any:
        """Reducing state; see `state`."""
        return self._state_of(descriptor, StateKind.REDUCING, windowed)

    def get_aggregating_state(self, descriptor: Any, windowed: bool = False) -> Any:
        """Aggregating state; see `state`."""
        return self._state_of(descriptor, StateKind.AGGREGATING, windowed)

    def _state_of(self, descriptor: Any, kind: StateKind, windowed: bool) -> Any:
        from penstock.runtime.state._state_objects import spec_of

        if spec_of(descriptor).kind is not kind:
            raise ConfigurationError(
                f"{type(descriptor).__name__} '{descriptor.name}' does not describe {kind.value} state ({self.place})."
            )
        return self.state(descriptor, windowed)

    def forget_states(self) -> None:
        """Drops the state objects; they must not be used again."""
        self._views.clear()

    @property
    def place(self) -> str:
        """The subtask, for messages."""
        return f"{self.context.operator_name} ({self.context.subtask_index + 1}/{self.context.parallelism})"

    def key_group_of(self, key: Key) -> int:
        """The key group of a frozen key."""
        return self.key_groups.of(key)

    def begin_batch(self, keys: Sequence[Key], opened: Any = None) -> None:  # nothing to do in memory
        """Before a batch that uses state objects: reads ahead what the store has of these keys.

        Args:
            keys: of the batch, frozen.
            opened: a table the caller opens for them itself.
        """

    def end_batch(self) -> None:  # nothing to do in memory
        """After a batch: keeps caches within their bytes."""

    @abstractmethod
    def snapshot(self, checkpoint_id: int, writer: SnapshotWriter, *, canonical: bool = False) -> StateSnapshot:
        """Takes the state as it is now (between records); `canonical` for savepoints, which any backend can restore."""

    @abstractmethod
    def restore(self, handles: Sequence[tuple[KeyedStateHandle, SnapshotReader]]) -> None:
        """Loads the own key groups out of handles of this operator, before the first `table`; others are skipped."""

    @abstractmethod
    def keep_timers(self, owner: TimerOwner) -> None:
        """Timers of a service, in memory so far: gives it those that were restored here, and a store where it has one."""

    def checkpoint_completed(self, checkpoint_id: int) -> None:  # only incremental backends care
        """A checkpoint is complete: later ones may build on it."""

    @abstractmethod
    def sizes(self) -> list[StateSize]:
        """Entries and estimated bytes of each state."""

    @abstractmethod
    def clear(self) -> None:
        """Forgets all state of all keys, and keeps the tables: in BATCH mode a key is over."""

    @abstractmethod
    def close(self) -> None:
        """Releases memory, leases and local files; the second call does nothing."""

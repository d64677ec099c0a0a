"""The state objects user functions hold: each works on the current key, and where it belongs to a window on that.

One class a kind; the time-to-live variants are in `_ttl_views.py`. The `_Windowed` variants differ only in where
they take the namespace from: state of no window is by far the commoner, and saves the look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from penstock.datastream import state as user_state
from penstock.runtime.state._keys import PLAIN_KEY_TYPES, freeze_key, thaw_key

if TYPE_CHECKING:
    from penstock.runtime.state._backend import KeyedStateBackend, ListTable, MapTable, ValueTable

__all__ = ["AggregatingView", "ListView", "MapView", "ReducingView", "ValueView"]

Coerce = Callable[[Any], Any]


class _View:
    """What the views share. Owned by the task's thread.

    Attributes:
        backend: whose current key (and namespace) it works on.
        table: where the values are; the `auto` backend replaces it.
        windowed: whether it works on the backend's current namespace.
    """

    def __init__(self, backend: KeyedStateBackend, table: Any, windowed: bool) -> None:
        self.backend = backend
        self.table: Any = table
        self.windowed = windowed

    def bind(self, table: Any) -> None:
        """Goes on with another table."""
        self.table = table

    @property
    def namespace(self) -> Any:
        """The window, or None."""
        return self.backend.current_namespace if self.windowed else None

    def clear(self) -> None:
        """Forgets what the key has."""
        self.table.remove(self.backend.current_key, self.namespace)


class ValueView(_View, user_state.ValueState[Any]):
    """Value state."""

    def __init__(self, backend: KeyedStateBackend, table: ValueTable, windowed: bool, coerce: Coerce | None) -> None:
        super().__init__(backend, table, windowed)
        self._coerce = coerce
        self._bind_reader: Callable[[ValueTable], None] | None = None
        if not windowed and type(self) is ValueView:  # a closure, not a method: many programs read one for each record
            vars(self)["value"], self._bind_reader = _reader(backend, table)

    def bind(self, table: ValueTable) -> None:
        """Goes on with another table."""
        self.table = table
        if self._bind_reader is not None:
            self._bind_reader(table)

    def value(self) -> Any:
        """The value, None when there is none."""
        return self.table.get(self.backend.current_key, self.namespace)

    def update(self, value: Any) -> None:
        """Replaces the value; None clears."""
        if value is None:
            self.clear()
            return
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.put(self.backend.current_key, value, self.backend.current_namespace if self.windowed else None)


def _reader(backend: KeyedStateBackend, table: ValueTable) -> tuple[Callable[[], Any], Callable[[ValueTable], None]]:
    """`ValueView.value` of no window, and what has it go on with another table."""
    live = table.live().get

    def value() -> Any:
        found = live(backend.current_key)
        if found is None or table.guarded:
            return table.get(backend.current_key)
        return found

    def bind(other: ValueTable) -> None:
        nonlocal table, live
        table, live = other, other.live().get

    return value, bind


class ListView(_View, user_state.ListState[Any]):
    """List state."""

    table: ListTable

    def __init__(self, backend: KeyedStateBackend, table: ListTable, windowed: bool, coerce: Coerce | None) -> None:
        super().__init__(backend, table, windowed)
        self._coerce = coerce

    def get(self) -> list[Any]:
        """The elements, as a list of the caller's own."""
        return self.table.get(self.backend.current_key, self.namespace) or []

    def add(self, value: Any) -> None:
        """Adds an element."""
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.append(self.backend.current_key, value, self.namespace)

    def add_all(self, values: Iterable[Any]) -> None:
        """Adds several elements."""
        if self._coerce is not None:
            values = map(self._coerce, values)
        self.table.extend(self.backend.current_key, values, self.namespace)

    def update(self, values: Iterable[Any]) -> None:
        """Replaces the list; an empty one clears."""
        elements = list(values if self._coerce is None else map(self._coerce, values))
        self.table.put(self.backend.current_key, elements, self.namespace)

    def merge_namespaces(self, target: Any, sources: list[Any]) -> None:
        """Moves the elements of windows into one window."""
        self.table.merge_namespaces(self.backend.current_key, target, sources)


class MapView(_View, user_state.MapState[Any, Any]):
    """Map state."""

    table: MapTable

    def __init__(
        self,
        backend: KeyedStateBackend,
        table: MapTable,
        windowed: bool,
        coerce_key: Coerce | None,
        coerce: Coerce | None,
    ) -> None:
        super().__init__(backend, table, windowed)
        self._coerce_key = coerce_key
        self._coerce = coerce

    def map_key(self, key: Any) -> Any:
        """A map key in the form tables hold."""
        if self._coerce_key is not None:
            key = self._coerce_key(key)
        return key if type(key) in PLAIN_KEY_TYPES else freeze_key(key)

    def get(self, key: Any) -> Any:
        """The value of an entry, None when it is missing."""
        return self.table.get(self.backend.current_key, self.map_key(key), self.namespace)

    def put(self, key: Any, value: Any) -> None:
        """Sets an entry."""
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.put(self.backend.current_key, self.map_key(key), value, self.namespace)

    def put_all(self, dict_value: Any) -> None:
        """Sets entries from a dict or pairs."""
        for key, value in dict_value.items() if hasattr(dict_value, "items") else dict_value:
            self.put(key, value)

    def remove(self, key: Any) -> None:
        """Forgets an entry; fine when it is missing."""
        self.table.discard(self.backend.current_key, self.map_key(key), self.namespace)

    def contains(self, key: Any) -> bool:
        """Whether the entry is there."""
        return self.table.has(self.backend.current_key, self.map_key(key), self.namespace)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """The entries; the map may be changed while they are read."""
        for key, value in self.table.items(self.backend.current_key, self.namespace):
            yield (key if type(key) in PLAIN_KEY_TYPES else thaw_key(key)), value

    def keys(self) -> Iterator[Any]:
        """The keys."""
        return (key for key, _ in self.items())

    def values(self) -> Iterator[Any]:
        """The values."""
        return (value for _, value in self.items())

    def is_empty(self) -> bool:
        """Whether there is no entry."""
        return not self.table.contains(self.backend.current_key, self.namespace)


class ReducingView(_View, user_state.ReducingState[Any]):
    """Reducing state."""

    table: ValueTable

    def __init__(
        self,
        backend: KeyedStateBackend,
        table: ValueTable,
        windowed: bool,
        coerce: Coerce | None,
        reduce: Callable[[Any, Any], Any],
    ) -> None:
        super().__init__(backend, table, windowed)
        self._coerce = coerce
        self._reduce = reduce

    def get(self) -> Any:
        """The values reduced to one, None when there are none."""
        return self.table.get(self.backend.current_key, self.namespace)

    def add(self, value: Any) -> None:
        """Reduces one more value into the state."""
        key, namespace = self.backend.current_key, self.namespace
        present = self.table.get(key, namespace)
        if present is not None:
            value = self._reduce(present, value)
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.put(key, value, namespace)

    def merge_namespaces(self, target: Any, sources: list[Any]) -> None:
        """Reduces the values of windows into one window."""
        self.table.merge_namespaces(self.backend.current_key, target, sources, self._reduce)


class AggregatingView(_View, user_state.AggregatingState[Any, Any]):
    """Aggregating state: the table holds accumulators."""

    table: ValueTable

    def __init__(
        self, backend: KeyedStateBackend, table: ValueTable, windowed: bool, coerce: Coerce | None, function: Any
    ) -> None:
        super().__init__(backend, table, windowed)
        self._coerce = coerce
        self._function = function

    def get(self) -> Any:
        """The result of the accumulator, None when nothing was added."""
        accumulator = self.table.get(self.backend.current_key, self.namespace)
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        """Adds a value; None clears."""
        if value is None:
            self.clear()
            return
        key, namespace = self.backend.current_key, self.namespace
        accumulator = self.table.get(key, namespace)
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        accumulator = self._function.add(value, accumulator)
        if self._coerce is not None:
            accumulator = self._coerce(accumulator)
        self.table.put(key, accumulator, namespace)

    def merge_namespaces(self, target: Any, sources: list[Any]) -> None:
        """Merges the accumulators of windows into one window."""
        self.table.merge_namespaces(self.backend.current_key, target, sources, self._function.merge)

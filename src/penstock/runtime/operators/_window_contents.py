"""What windows hold until they fire: a reduced value, an accumulator, or the list of their elements.

The contents of a window live in a table of the keyed state backend, under the window as namespace: the same table,
whichever operator works on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.common._values import coercer_for
from penstock.runtime.state import ListTable, StateKind, TableSpec, ValueTable

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream._transformations import WindowSpec
    from penstock.runtime.state import KeyedStateBackend

__all__ = [
    "CONTENTS",
    "Aggregation",
    "ListContents",
    "ValueContents",
    "WindowContents",
    "load_aggregation",
    "open_contents",
]

CONTENTS = "window-contents"
"""The name of the state that holds what windows contain (Flink's name)."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How elements become the contents of a window, one by one.

    As in PyFlink's reducing and aggregating state, None stands for contents that are empty: an accumulator of None is
    created anew with the next element, and an aggregate ends up empty when an element is None.

    Attributes:
        name: `reduce` or `aggregate`.
        kind: of the state that holds the contents.
        type_info: the declared type of what is held, None for untyped.
        add: (contents or None, element) -> contents or None.
        merge: (contents, contents) -> contents, for windows that merge.
        result: contents -> what the window function or the output gets; None where it is the contents.
        function: the user's function, for `open` and `close`.
        steps: the functions that `add` calls, for loops that call them themselves.
    """

    name: str
    kind: StateKind
    type_info: TypeInformation | None
    add: Callable[[Any, Any], Any]
    merge: Callable[[Any, Any], Any]
    result: Callable[[Any], Any] | None
    function: Any
    steps: dict[str, Callable[..., Any]]


def load_aggregation(spec: WindowSpec, element_type: TypeInformation | None) -> Aggregation | None:
    """The aggregation of a `reduce` or `aggregate` window; None for windows that keep their elements."""
    if spec.kind == "reduce":
        return _reducing(spec.function.load(), element_type)
    if spec.kind == "aggregate":
        return _aggregating(spec.function.load(), spec.accumulator_type)
    return None


def _reducing(function: Any, element_type: TypeInformation | None) -> Aggregation:
    reduce = _coerced(getattr(function, "reduce", function), element_type)

    def add(held: Any, value: Any) -> Any:
        return value if held is None else reduce(held, value)

    return Aggregation("reduce", StateKind.REDUCING, element_type, add, reduce, None, function, {"reduce": reduce})


def _aggregating(function: Any, accumulator_type: TypeInformation | None) -> Aggregation:
    create, add_to = function.create_accumulator, _coerced(function.add, accumulator_type)

    def add(held: Any, value: Any) -> Any:
        if value is None:
            return None
        return add_to(value, create() if held is None else held)

    return Aggregation(
        "aggregate",
        StateKind.AGGREGATING,
        accumulator_type,
        add,
        _coerced(function.merge, accumulator_type),
        function.get_result,
        function,
        {"create": create, "add": add_to},
    )


def _coerced(function: Callable[[Any, Any], Any], type_info: TypeInformation | None) -> Callable[[Any, Any], Any]:
    """The function with its result as the declared type holds it."""
    coerce = coercer_for(type_info)
    if coerce is None:
        return function

    def coerced(left: Any, right: Any) -> Any:
        result = function(left, right)
        return None if result is None else coerce(result)

    return coerced


class WindowContents(ABC):
    """Contents by key and window. Owned by the task's thread.

    Attributes:
        table: where they are.
        open_batch: (keys, window) -> the entries of a window, to be changed for these keys until `close_batch`.
        close_batch: (keys, window).
    """

    table: Any
    open_batch: Callable[[Iterable[Any], Any], dict[Any, Any]]
    close_batch: Callable[[Iterable[Any], Any], None]

    @abstractmethod
    def add(self, key: Any, window: Any, value: Any) -> None:
        """Adds an element."""

    @abstractmethod
    def get(self, key: Any, window: Any) -> Any:
        """What the window function gets: the aggregate, or a new list; None if there is nothing."""

    @abstractmethod
    def clear(self, key: Any, window: Any) -> None:
        """Forgets the contents; fine if there are none."""

    @abstractmethod
    def merge(self, key: Any, target: Any, sources: Sequence[Any]) -> None:
        """Moves the contents of the windows `sources` to those of `target`."""

    @abstractmethod
    def of_window(self, window: Any) -> Iterator[tuple[Any, Any]]:
        """Key and contents (as of `get`) of all keys that have any in a window; it must not be changed meanwhile."""

    def keys_of(self, window: Any) -> list[Any]:
        """The keys that have contents in a window."""
        return list(self.table.keys(window))

    def drop(self, window: Any) -> None:
        """Forgets the contents of all keys in a window."""
        self.table.drop_namespace(window)


class ValueContents(WindowContents):
    """A reduced value or an accumulator."""

    def __init__(self, table: ValueTable, aggregation: Aggregation) -> None:
        self.table = table
        self.open_batch = table.open_batch
        self.close_batch = table.close_batch
        self._aggregation = aggregation

    def add(self, key: Any, window: Any, value: Any) -> None:
        """Aggregates the element."""
        held = self._aggregation.add(self.table.get(key, window), value)
        if held is None:
            self.table.remove(key, window)
        else:
            self.table.put(key, held, window)

    def get(self, key: Any, window: Any) -> Any:
        """The result of the aggregate."""
        held = self.table.get(key, window)
        result = self._aggregation.result
        return held if held is None or result is None else result(held)

    def clear(self, key: Any, window: Any) -> None:
        """Forgets the aggregate."""
        self.table.remove(key, window)

    def merge(self, key: Any, target: Any, sources: Sequence[Any]) -> None:
        """Merges the aggregates in the order of the windows."""
        self.table.merge_namespaces(key, target, sources, self._aggregation.merge)

    def of_window(self, window: Any) -> Iterator[tuple[Any, Any]]:
        """The results of a window's aggregates."""
        entries = self.table.open_namespace(window)
        result = self._aggregation.result
        if result is None:
            return iter(entries.items())
        return ((key, aggregate) for key, held in entries.items() if (aggregate := result(held)) is not None)


class ListContents(WindowContents):
    """All elements."""

    def __init__(self, table: ListTable) -> None:
        self.table = table
        self.open_batch = table.open_appends
        self.close_batch = table.close_appends

    def add(self, key: Any, window: Any, value: Any) -> None:
        """Appends the element."""
        self.table.append(key, value, window)

    def get(self, key: Any, window: Any) -> Any:
        """The elements in the order they came."""
        return self.table.get(key, window)

    def clear(self, key: Any, window: Any) -> None:
        """Forgets the elements."""
        self.table.remove(key, window)

    def merge(self, key: Any, target: Any, sources: Sequence[Any]) -> None:
        """Concatenates the lists in the order of the windows."""
        self.table.merge_namespaces(key, target, sources)

    def of_window(self, window: Any) -> Iterator[tuple[Any, Any]]:
        """The lists of a window's elements."""
        get = self.table.get
        return ((key, get(key, window)) for key in self.keys_of(window))


def open_contents(
    backend: KeyedStateBackend, aggregation: Aggregation | None, element_type: TypeInformation | None
) -> WindowContents:
    """The contents of an operator's windows."""
    if aggregation is None:
        return ListContents(backend.table(TableSpec(CONTENTS, StateKind.LIST, element_type)))
    return ValueContents(backend.table(TableSpec(CONTENTS, aggregation.kind, aggregation.type_info)), aggregation)

"""State of a key and its descriptors (`pyflink.datastream.state`).

The runtime's state backends implement the abstract states. Every method works on the current key (and window).
Values pass through the declared type; the object handed to `update` need not be the one `value` returns later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from penstock.common.typeinfo import ListTypeInfo, MapTypeInfo, TypeInformation
from penstock.datastream._state_ttl import StateTtlConfig

__all__ = [
    "AggregatingState",
    "AggregatingStateDescriptor",
    "AppendingState",
    "BroadcastState",
    "ListState",
    "ListStateDescriptor",
    "MapState",
    "MapStateDescriptor",
    "MergingState",
    "OperatorStateStore",
    "ReadOnlyBroadcastState",
    "ReducingState",
    "ReducingStateDescriptor",
    "State",
    "StateDescriptor",
    "StateTtlConfig",
    "ValueState",
    "ValueStateDescriptor",
]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
IN = TypeVar("IN")
OUT = TypeVar("OUT")


class State(ABC):
    """Base of all states. Task thread only."""

    @abstractmethod
    def clear(self) -> None:
        """Removes what is stored for the current key."""


class ValueState(State, Generic[T]):
    """One value."""

    @abstractmethod
    def value(self) -> T | None:
        """The value, None when there is none."""

    @abstractmethod
    def update(self, value: T) -> None:
        """Replaces the value."""


class AppendingState(State, Generic[IN, OUT]):
    """A state that values are added to."""

    @abstractmethod
    def get(self) -> OUT | None:
        """What was made of the values, None when there are none."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Adds a value."""


class MergingState(AppendingState[IN, OUT]):
    """An appending state that several windows can merge."""


class ReducingState(MergingState[T, T]):
    """The values added, reduced to one; None when there are none."""


class AggregatingState(MergingState[IN, OUT]):
    """The values added, aggregated; adding None clears."""


class ListState(MergingState[T, Iterable[T]]):
    """A list; empty when there is none."""

    @abstractmethod
    def get(self) -> Iterable[T]:
        """The elements."""

    @abstractmethod
    def update(self, values: list[T]) -> None:
        """Replaces the list; an empty one clears."""

    @abstractmethod
    def add_all(self, values: list[T]) -> None:
        """Adds several elements."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())


class MapState(State, Generic[K, V]):
    """A map."""

    @abstractmethod
    def get(self, key: K) -> V | None:
        """The value of `key`, None when it is missing."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Sets the value of `key`."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Sets several values; takes a dict or pairs."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Removes `key`; nothing happens when it is missing."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether `key` is there."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """Keys with their values."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """The keys."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """The values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is nothing."""

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class ReadOnlyBroadcastState(State, Generic[K, V]):
    """Broadcast state as the side that is not broadcast sees it."""

    @abstractmethod
    def get(self, key: K) -> V | None:
        """The value of `key`, None when it is missing."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether `key` is there."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """Keys with their values."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """The keys."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """The values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is nothing."""

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class BroadcastState(ReadOnlyBroadcastState[K, V]):
    """Broadcast state as the broadcast side sees it: one map per subtask, not per key."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Sets the value of `key`."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Sets several values; takes a dict or pairs."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Removes `key`; nothing happens when it is missing."""

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)


class OperatorStateStore(ABC):
    """Gives access to the state of a subtask."""

    @abstractmethod
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """The broadcast state of that name."""


class StateDescriptor:
    """Name and type of a state. Immutable but for `enable_time_to_live`.

    Attributes:
        name: unique in the operator.
        type_info: the type of what is stored.
    """

    def __init__(self, name: str, type_info: TypeInformation) -> None:
        self.name = name
        self.type_info = type_info
        self._ttl_config: StateTtlConfig | None = None
        if isinstance(type_info, TypeInformation):
            type_info.check()

    def get_name(self) -> str:
        """The name."""
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Lets values expire."""
        self._ttl_config = ttl_config

    @property
    def ttl_config(self) -> StateTtlConfig | None:
        """How values expire, None when they do not."""
        return self._ttl_config


class ValueStateDescriptor(StateDescriptor):
    """Describes a ValueState."""

    def __init__(self, name: str, value_type_info: TypeInformation) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor):
    """Describes a ListState; `type_info` is LIST of the element type."""

    def __init__(self, name: str, elem_type_info: TypeInformation) -> None:
        super().__init__(name, ListTypeInfo(elem_type_info))


class MapStateDescriptor(StateDescriptor):
    """Describes a MapState or a broadcast state; `type_info` is MAP of the two types."""

    def __init__(self, name: str, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        super().__init__(name, MapTypeInfo(key_type_info, value_type_info))


class ReducingStateDescriptor(StateDescriptor):
    """Describes a ReducingState.

    Raises:
        TypeError: if `reduce_function` is neither a ReduceFunction nor callable.
    """

    def __init__(self, name: str, reduce_function: Any, type_info: TypeInformation) -> None:
        from penstock.datastream._functions import ReduceFunction, ReduceFunctionWrapper

        super().__init__(name, type_info)
        if not isinstance(reduce_function, ReduceFunction):
            if not callable(reduce_function):
                raise TypeError("The input must be a ReduceFunction or a callable function!")
            reduce_function = ReduceFunctionWrapper(reduce_function)
        self._reduce_function = reduce_function

    def get_reduce_function(self) -> Any:
        """The ReduceFunction; a plain callable comes back wrapped in one."""
        return self._reduce_function


class AggregatingStateDescriptor(StateDescriptor):
    """Describes an AggregatingState; `type_info` is the type of the accumulator.

    Raises:
        TypeError: if `agg_function` is not an AggregateFunction.
    """

    def __init__(self, name: str, agg_function: Any, state_type_info: TypeInformation) -> None:
        from penstock.datastream._functions import AggregateFunction

        super().__init__(name, state_type_info)
        if not isinstance(agg_function, AggregateFunction):
            raise TypeError("The input must be a pyflink.datastream.functions.AggregateFunction!")
        self._agg_function = agg_function

    def get_agg_function(self) -> Any:
        """The AggregateFunction."""
        return self._agg_function

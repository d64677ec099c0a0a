"""Broadcast state: BroadcastProcessFunction and KeyedBroadcastProcessFunction, and the state they share.

Every subtask has its own copy of the broadcast state and sees every broadcast element, so the copies are equal as
long as the function changes them by the elements alone. The state is operator state: each subtask snapshots its copy,
and on recovery each takes one of them, whichever the parallelism (Flink's `BroadcastState` does the same).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penstock.common._values import coercer_for
from penstock.datastream.state import BroadcastState, ReadOnlyBroadcastState
from penstock.errors import JobError
from penstock.runtime.operators._contexts import (
    BroadcastContext,
    BroadcastReadOnlyContext,
    FunctionContext,
    KeyedBroadcastContext,
    KeyedBroadcastReadOnlyContext,
)
from penstock.runtime.operators._function import Process, keyed_backend
from penstock.runtime.operators._process import TimedFunctionOperator, UntimedFunctionOperator
from penstock.runtime.operators.base import InContext
from penstock.runtime.state import freeze_key, thaw_key

if TYPE_CHECKING:
    from penstock.datastream._transformations import UserFunction
    from penstock.datastream.state import MapStateDescriptor
    from penstock.runtime.operators.base import OperatorContext
    from penstock.runtime.state import KeyedStateBackend

__all__ = ["BroadcastProcessOperator", "BroadcastStateError", "BroadcastStates", "KeyedBroadcastProcessOperator"]


class BroadcastStateError(JobError):
    """A broadcast state that was not declared in `broadcast()`, or keyed state used for a broadcast element."""


class _ReadOnlyView(ReadOnlyBroadcastState[Any, Any]):
    """The map of a broadcast state, to be read. Owned by the task's thread."""

    def __init__(self, entries: dict[Any, Any]) -> None:
        self._entries = entries

    def get(self, key: Any) -> Any:
        """The value, None when missing."""
        return self._entries.get(freeze_key(key))

    def contains(self, key: Any) -> bool:
        """Whether there is such an entry."""
        return freeze_key(key) in self._entries

    # The sequences below are copies: a function may change the state while it goes through them.

    def items(self) -> Iterable[tuple[Any, Any]]:
        """The entries as of now."""
        return [(thaw_key(key), value) for key, value in self._entries.items()]

    def keys(self) -> Iterable[Any]:
        """The keys as of now."""
        return [thaw_key(key) for key in self._entries]

    def values(self) -> Iterable[Any]:
        """The values as of now."""
        return list(self._entries.values())

    def is_empty(self) -> bool:
        """Whether there are no entries."""
        return not self._entries

    def clear(self) -> None:
        """Not on this side."""
        raise BroadcastStateError("Broadcast state can be changed in process_broadcast_element only.")

    def __getitem__(self, key: Any) -> Any:
        return self.get(key)

    def __contains__(self, key: Any) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())


class _WritableView(_ReadOnlyView, BroadcastState[Any, Any]):
    """The map of a broadcast state. Owned by the task's thread."""

    def __init__(
        self, entries: dict[Any, Any], coerce_key: Callable[[Any], Any] | None, coerce: Callable[[Any], Any] | None
    ) -> None:
        super().__init__(entries)
        self._coerce_key = coerce_key
        self._coerce = coerce

    def put(self, key: Any, value: Any) -> None:
        """Sets one entry; key and value pass through the declared types."""
        if self._coerce_key is not None:
            key = self._coerce_key(key)
        if self._coerce is not None:
            value = self._coerce(value)
        self._entries[freeze_key(key)] = value

    def put_all(self, dict_value: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        """Sets several entries: a dict, or pairs."""
        pairs = dict_value.items() if isinstance(dict_value, Mapping) else dict_value
        for key, value in pairs:
            self.put(key, value)

    def remove(self, key: Any) -> None:
        """Forgets an entry; a missing one is fine."""
        self._entries.pop(freeze_key(key), None)

    def clear(self) -> None:
        """Forgets all entries."""
        self._entries.clear()

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: Any) -> None:
        self.remove(key)


class BroadcastStates:
    """The broadcast states of one operator by name. Owned by the task's thread.

    Args:
        descriptors: those given to `broadcast()`.
    """

    def __init__(self, descriptors: Iterable[MapStateDescriptor]) -> None:
        self._descriptors = {descriptor.get_name(): descriptor for descriptor in descriptors}
        self._entries: dict[str, dict[Any, Any]] = {name: {} for name in self._descriptors}
        self._writable: dict[str, _WritableView] = {}
        self._read_only: dict[str, _ReadOnlyView] = {}

    def writable(self, descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """For the broadcast side."""
        name = descriptor.get_name()
        view = self._writable.get(name)
        if view is None:
            entries = self._declared(name)
            declared = self._descriptors[name]
            view = self._writable[name] = _WritableView(
                entries, coercer_for(_key_type(declared)), coercer_for(_value_type(declared))
            )
        return view

    def read_only(self, descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState[Any, Any]:
        """For the other side."""
        name = descriptor.get_name()
        view = self._read_only.get(name)
        if view is None:
            view = self._read_only[name] = _ReadOnlyView(self._declared(name))
        return view

    def _declared(self, name: str) -> dict[Any, Any]:
        entries = self._entries.get(name)
        if entries is None:
            declared = ", ".join(repr(known) for known in self._descriptors) or "none"
            raise BroadcastStateError(
                f"The broadcast state {name!r} does not exist: this operator's broadcast() was given {declared}. "
                "Pass the MapStateDescriptor of that name to broadcast() too."
            )
        return entries

    def snapshot(self) -> dict[str, dict[Any, Any]]:
        """The entries by state and key; copies of the maps, not of the values."""
        return {name: dict(entries) for name, entries in self._entries.items()}

    def restore(self, snapshot: Mapping[str, Mapping[Any, Any]]) -> None:
        """Takes the entries of a snapshot; states that are no longer declared are dropped."""
        for name, entries in snapshot.items():
            if name in self._entries:
                self._entries[name].update(entries)


class _NoKey:
    """The current key while a broadcast element is processed: whatever looks it up is told that there is none."""

    def __hash__(self) -> int:
        raise BroadcastStateError(
            "Keyed state and timers cannot be used in process_broadcast_element: a broadcast element has no key. "
            "Use them in process_element, and keep what broadcast elements bring in the broadcast state."
        )


_NO_KEY = _NoKey()


def _without_key(
    process_element: Callable[[Any, Any], Iterable[Any] | None], ctx: FunctionContext, backend: KeyedStateBackend
) -> Process:
    def process(value: Any, timestamp: int) -> Iterable[Any] | None:
        backend.current_key = _NO_KEY
        ctx.record_timestamp = timestamp
        return process_element(value, ctx)

    return process


def _key_type(descriptor: MapStateDescriptor) -> Any:
    declared: Any = descriptor.type_info
    return declared.key_type


def _value_type(descriptor: MapStateDescriptor) -> Any:
    declared: Any = descriptor.type_info
    return declared.value_type


class BroadcastProcessOperator(UntimedFunctionOperator):
    """A BroadcastProcessFunction; the second input is the broadcast one.

    Attributes:
        broadcasts_state: True: every subtask has the same.
    """

    broadcasts_state = True

    def __init__(self, function: UserFunction, descriptors: Iterable[MapStateDescriptor]) -> None:
        super().__init__(function)
        self._states = BroadcastStates(descriptors)

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        access = self._timer_access(context)
        reading, writing = BroadcastReadOnlyContext(access), BroadcastContext(access)
        reading.states = writing.states = self._states
        self._handle_with(
            InContext(function.process_element, reading),
            InContext(function.process_broadcast_element, writing),
        )

    def snapshot(self) -> Any:
        """The broadcast states."""
        return self._states.snapshot()

    def restore(self, states: list[Any]) -> None:
        """All subtasks hold the same: one of several is enough."""
        for state in states[:1]:
            self._states.restore(state)


class KeyedBroadcastProcessOperator(TimedFunctionOperator):
    """A KeyedBroadcastProcessFunction; the second input is the broadcast one and has no key.

    Attributes:
        broadcasts_state: True: every subtask has the same.
    """

    broadcasts_state = True

    def __init__(self, function: UserFunction, descriptors: Iterable[MapStateDescriptor]) -> None:
        super().__init__(function)
        self._states = BroadcastStates(descriptors)

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        access, backend = self._timer_access(context), keyed_backend(context)
        reading, writing = KeyedBroadcastReadOnlyContext(access, backend), KeyedBroadcastContext(access)
        reading.states = writing.states = self._states
        self._timer_context = reading
        self._handle_with(
            InContext(function.process_element, reading),
            _without_key(function.process_broadcast_element, writing, backend),
        )

    def snapshot(self) -> Any:
        """The broadcast states; keyed state and timers are the task's."""
        return self._states.snapshot()

    def restore(self, states: list[Any]) -> None:
        """All subtasks hold the same: one of several is enough."""
        for state in states[:1]:
            self._states.restore(state)

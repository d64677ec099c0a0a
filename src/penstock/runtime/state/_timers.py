"""What a backend has to do with timers: it may keep those of late times on disk, in states of reserved names.

The timers themselves are the operator's (`penstock.runtime._timers`), the queue that has more of them than memory is
`penstock.runtime._spilled_timers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from penstock.errors import ConfigurationError
from penstock.runtime.state._backend import StateKind, TableSpec

if TYPE_CHECKING:
    from penstock.runtime.state._backend import KeyedStateBackend

__all__ = [
    "TIMER_DOMAINS",
    "TIMER_STATE_PREFIX",
    "SpilledTimers",
    "TimerOwner",
    "TimerStore",
    "check_state_name",
    "timer_state",
    "timers_in",
]

TIMER_STATE_PREFIX: Final = "_timer_state/"
"""Begins the names of states that hold timers (Flink's: `InternalTimeServiceManagerImpl`); no state of users may."""

TIMER_DOMAINS: Final = ("event", "processing")

StoredTimer = tuple[int, Any, Any]
"""(time in ms, key, namespace)."""


def timer_state(service: str, domain: str) -> TableSpec:
    """The state that holds timers of a service: a map a key, its namespaces the times, its map keys the namespaces."""
    return TableSpec(f"{TIMER_STATE_PREFIX}{domain}_{service}", StateKind.MAP)


def check_state_name(name: str, backend: KeyedStateBackend) -> None:
    """Refuses a user's state under a reserved name.

    Raises:
        ConfigurationError: if the name is reserved.
    """
    if name.startswith(TIMER_STATE_PREFIX):
        raise ConfigurationError(
            f"The state name '{name}' ({backend.place}) begins with '{TIMER_STATE_PREFIX}', which is kept for timers. "
            "Give the state another name."
        )


def timers_in(contents: Iterable[tuple[Any, dict[Any, Any]]]) -> Iterable[StoredTimer]:
    """The timers in the contents of a state that holds them."""
    for timestamp, keys in contents:
        for key, namespaces in keys.items():
            for namespace in namespaces:
                yield timestamp, key, namespace


class TimerStore(Protocol):
    """Timers of one service and time domain on disk. Owned by the task's thread."""

    @property
    def limit_bytes(self) -> int:
        """What the timers of this queue may take in memory."""
        ...

    def may_write(self) -> bool:
        """Whether anything may be written now: not while a checkpoint is taken from the store."""
        ...

    def settle(self) -> None:
        """Waits until something may be written."""
        ...

    def first_time(self) -> int | None:
        """The least time of a timer in the store."""
        ...

    def put(self, timers: Sequence[StoredTimer]) -> None:
        """Writes timers; may only be called when `may_write`."""
        ...

    def delete(self, timers: Sequence[StoredTimer]) -> None:
        """Deletes timers, which need not be there; may only be called when `may_write`."""
        ...

    def take(self) -> tuple[list[StoredTimer], int | None]:
        """Takes a page of the earliest timers out of the store; may only be called when `may_write`.

        Returns:
            The timers in the order of their times, and the earliest time that is left, which may be their last; None if
            none is left.
        """
        ...


class SpilledTimers(Protocol):
    """A queue of timers with a store, as its backend sees it."""

    heap_bytes: int
    """About what it takes in memory."""

    def after_batch(self, records: int) -> None:
        """Between batches: moves timers to the store where there are too many in memory."""
        ...

    def write_deleted(self) -> None:
        """A checkpoint begins: what was deleted must be gone from the store."""
        ...


class TimerOwner(Protocol):
    """A timer service, as a backend sees it."""

    name: str

    def take_back(self, domain: str, timers: Iterable[StoredTimer]) -> None:
        """Timers of a time domain that were on disk belong in memory from now on."""
        ...

    def spill_to(self, domain: str, store: TimerStore) -> SpilledTimers:
        """Gives the queue of a time domain a store, which may hold timers already."""
        ...

    def heap_bytes(self) -> int:
        """About what its timers take in memory."""
        ...

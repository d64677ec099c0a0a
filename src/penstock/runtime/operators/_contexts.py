"""The contexts of process functions. One object of each kind an operator, its fields set for each record.

They are valid during the call only, as in PyFlink: a function that keeps one sees the next record's.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from penstock.common.constants import MIN_LONG_VALUE
from penstock.datastream.functions import (
    BroadcastProcessFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    ProcessFunction,
)
from penstock.datastream.time_domain import TimeDomain
from penstock.datastream.timerservice import TimerService as UserTimerService
from penstock.errors import JobError
from penstock.runtime.state import thaw_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtime._timers import TimerService
    from penstock.runtime.operators._broadcast import BroadcastStates
    from penstock.runtime.state import KeyedStateBackend

__all__ = [
    "BroadcastContext",
    "BroadcastReadOnlyContext",
    "FunctionContext",
    "KeyedBroadcastContext",
    "KeyedBroadcastReadOnlyContext",
    "KeyedContext",
    "KeyedFunctionContext",
    "KeyedTimerAccess",
    "TimersNotKeyedError",
    "UnkeyedContext",
    "UnkeyedTimerAccess",
]


class TimersNotKeyedError(JobError):
    """A timer was registered or deleted on a stream without keys."""


class KeyedTimerAccess(UserTimerService):
    """What user functions see of the timers: those of the current key. Owned by the task's thread."""

    __slots__ = ("_backend", "_event_buckets", "_event_firing", "_event_heap", "_timers")

    def __init__(self, timers: TimerService) -> None:
        self._timers = timers
        self._backend = timers.backend
        self._event_buckets = timers.event_time.buckets
        self._event_firing = timers.event_time.firing
        self._event_heap = timers.event_time.heap

    def current_processing_time(self) -> int:
        """The clock, epoch ms."""
        return self._timers.now_ms()

    def current_watermark(self) -> int:
        """The operator's event time, MIN_LONG before the first watermark."""
        return self._timers.current_watermark

    def register_event_time_timer(self, timestamp: int) -> None:
        """Asks for `on_timer` when the watermark reaches `timestamp`, epoch ms."""
        # `TimerQueue.add`, written out for what nearly every call is: many programs come here with each record.
        if type(timestamp) is int and timestamp not in self._event_firing:
            bucket = self._event_buckets.get(timestamp)
            if bucket is None:
                self._event_buckets[timestamp] = {self._backend.current_key: None}
                heapq.heappush(self._event_heap, timestamp)
            else:
                bucket[self._backend.current_key] = None
        else:
            self._timers.register_event_time_timer(timestamp)

    def register_processing_time_timer(self, timestamp: int) -> None:
        """Asks for `on_timer` when the clock reaches `timestamp`, epoch ms."""
        self._timers.register_processing_time_timer(timestamp)

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Takes a registration back; one that does not exist is fine."""
        self._timers.delete_event_time_timer(timestamp)

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Takes a registration back; one that does not exist is fine."""
        self._timers.delete_processing_time_timer(timestamp)


class UnkeyedTimerAccess(UserTimerService):
    """The same on a stream without keys: the time can be asked for, timers cannot. Owned by the task's thread.

    Attributes:
        watermark: set by the operator.
    """

    __slots__ = ("_now_ms", "watermark")

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.watermark = MIN_LONG_VALUE

    def current_processing_time(self) -> int:
        """The clock, epoch ms."""
        return self._now_ms()

    def current_watermark(self) -> int:
        """The operator's event time, MIN_LONG before the first watermark."""
        return self.watermark

    # The texts are PyFlink's (`NonKeyedTimerServiceImpl`): programs match on them.

    def register_event_time_timer(self, timestamp: int) -> None:
        """Not without keys."""
        raise TimersNotKeyedError("Register timers is only supported on a keyed stream.")

    def register_processing_time_timer(self, timestamp: int) -> None:
        """Not without keys."""
        raise TimersNotKeyedError("Register timers is only supported on a keyed stream.")

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Not without keys."""
        raise TimersNotKeyedError("Deleting timers is only supported on a keyed streams.")

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Not without keys."""
        raise TimersNotKeyedError("Deleting timers is only supported on a keyed streams.")


class FunctionContext:
    """What all contexts share.

    Attributes:
        record_timestamp: of the record or timer in work, MIN_LONG for a record without one.
    """

    def __init__(self, timers: UserTimerService) -> None:
        self.timers = timers
        self.record_timestamp = MIN_LONG_VALUE

    def timestamp(self) -> int:
        """Of the record or the timer; MIN_LONG for a record without one."""
        return self.record_timestamp

    def timer_service(self) -> UserTimerService:
        """Time and timers."""
        return self.timers

    def current_processing_time(self) -> int:
        """The clock, epoch ms."""
        return self.timers.current_processing_time()

    def current_watermark(self) -> int:
        """The operator's event time."""
        return self.timers.current_watermark()


class UnkeyedContext(FunctionContext, ProcessFunction.Context, CoProcessFunction.Context):
    """Of ProcessFunction and CoProcessFunction."""


class KeyedFunctionContext(FunctionContext):
    """What all contexts of keyed functions share.

    Attributes:
        domain: of the timer that fires, for `on_timer`.
    """

    def __init__(self, timers: UserTimerService, backend: KeyedStateBackend) -> None:
        super().__init__(timers)
        self._backend = backend
        self.domain = TimeDomain.EVENT_TIME

    def get_current_key(self) -> Any:
        """The key as the key selector returned it."""
        return thaw_key(self._backend.current_key)

    def time_domain(self) -> TimeDomain:
        """In `on_timer`: which kind of timer fires."""
        return self.domain


class KeyedContext(KeyedFunctionContext, KeyedProcessFunction.OnTimerContext, KeyedCoProcessFunction.OnTimerContext):
    """Of KeyedProcessFunction and KeyedCoProcessFunction, for elements and timers."""


class _BroadcastAccess(FunctionContext):
    """Attributes: states: the operator's broadcast states; set by the operator."""

    states: BroadcastStates

    def get_broadcast_state(self, state_descriptor: Any) -> Any:
        """Read and write access to the broadcast state of that name."""
        return self.states.writable(state_descriptor)


class _ReadOnlyBroadcastAccess(FunctionContext):
    """Attributes: states: the operator's broadcast states; set by the operator."""

    states: BroadcastStates

    def get_broadcast_state(self, state_descriptor: Any) -> Any:
        """A view of the broadcast state of that name."""
        return self.states.read_only(state_descriptor)


class BroadcastContext(_BroadcastAccess, BroadcastProcessFunction.Context):
    """Of `process_broadcast_element` without keys."""


class BroadcastReadOnlyContext(_ReadOnlyBroadcastAccess, BroadcastProcessFunction.ReadOnlyContext):
    """Of `process_element` without keys."""


class KeyedBroadcastContext(_BroadcastAccess, KeyedBroadcastProcessFunction.Context):
    """Of `process_broadcast_element` of a keyed function: it has no key."""


class KeyedBroadcastReadOnlyContext(
    KeyedFunctionContext, _ReadOnlyBroadcastAccess, KeyedBroadcastProcessFunction.OnTimerContext
):
    """Of `process_element` and `on_timer` of a keyed function."""

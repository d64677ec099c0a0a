"""Triggers: when a window's results are made; `window.py` re-exports them.

Triggers keep nothing in themselves: state and timers belong to the key and window of the context, which the runtime
implements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock.common.typeinfo import Types
from penstock.datastream._functions import ReduceFunction
from penstock.datastream._windows import CountWindow, GlobalWindow, TimeWindow, Window
from penstock.datastream.state import ReducingStateDescriptor, State, StateDescriptor

if TYPE_CHECKING:
    from penstock.common.time import Time
    from penstock.metrics import MetricGroup

__all__ = [
    "ContinuousEventTimeTrigger",
    "ContinuousProcessingTimeTrigger",
    "CountTrigger",
    "EventTimeTrigger",
    "NeverTrigger",
    "ProcessingTimeTrigger",
    "PurgingTrigger",
    "Trigger",
    "TriggerResult",
]

T = TypeVar("T")
W = TypeVar("W")


class TriggerResult(Enum):
    """What happens to a window: whether results are made (fire), and whether its elements are dropped (purge)."""

    CONTINUE = (False, False)
    FIRE_AND_PURGE = (True, True)
    FIRE = (True, False)
    PURGE = (False, True)

    def is_fire(self) -> bool:
        """Whether results are made."""
        return self.value[0]

    def is_purge(self) -> bool:
        """Whether the elements are dropped."""
        return self.value[1]


CONTINUE = TriggerResult.CONTINUE
FIRE = TriggerResult.FIRE


class Trigger(ABC, Generic[T, W]):
    """Decides when a window's results are made. Task thread only."""

    class TriggerContext(ABC):
        """Clocks, timers and state of one key and window. Times are epoch ms."""

        @abstractmethod
        def get_current_processing_time(self) -> int:
            """The wall clock."""

        @abstractmethod
        def get_metric_group(self) -> MetricGroup:
            """The operator's metrics."""

        @abstractmethod
        def get_current_watermark(self) -> int:
            """The event time reached."""

        @abstractmethod
        def register_processing_time_timer(self, time: int) -> None:
            """Asks for `on_processing_time` when the wall clock passes `time`."""

        @abstractmethod
        def register_event_time_timer(self, time: int) -> None:
            """Asks for `on_event_time` when the watermark passes `time`."""

        @abstractmethod
        def delete_processing_time_timer(self, time: int) -> None:
            """Takes back a processing-time timer."""

        @abstractmethod
        def delete_event_time_timer(self, time: int) -> None:
            """Takes back an event-time timer."""

        @abstractmethod
        def get_partitioned_state(self, state_descriptor: StateDescriptor) -> State:
            """State of this key and window."""

    class OnMergeContext(TriggerContext):
        """The same while windows merge; state and timers are those of the result."""

        @abstractmethod
        def merge_partitioned_state(self, state_descriptor: StateDescriptor) -> None:
            """Merges the state of the merged windows into that of the result."""

    @abstractmethod
    def on_element(self, element: T, timestamp: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """An element was added to the window."""

    @abstractmethod
    def on_processing_time(self, time: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """A processing-time timer of the window is due."""

    @abstractmethod
    def on_event_time(self, time: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """An event-time timer of the window is due."""

    def can_merge(self) -> bool:
        """Whether it works with windows that merge; then `on_merge` says how."""
        return False

    @abstractmethod
    def on_merge(self, window: W, ctx: Trigger.OnMergeContext) -> None:
        """Windows were merged into `window`."""

    @abstractmethod
    def clear(self, window: W, ctx: Trigger.TriggerContext) -> None:
        """The window is dropped: clears state and timers."""


class EventTimeTrigger(Trigger[T, TimeWindow]):
    """Fires when the watermark reaches the window's end, and at once for elements later than that."""

    @staticmethod
    def create() -> EventTimeTrigger[Any]:
        """The trigger."""
        return EventTimeTrigger()

    def on_element(self, element: T, timestamp: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fires for an element of a window that is over, else waits for its end."""
        end = window.max_timestamp()
        if end <= ctx.get_current_watermark():
            return FIRE
        ctx.register_event_time_timer(end)
        return CONTINUE

    def on_processing_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def on_event_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fires at the window's end."""
        return FIRE if time == window.max_timestamp() else CONTINUE

    def can_merge(self) -> bool:
        """Yes."""
        return True

    def on_merge(self, window: TimeWindow, ctx: Trigger.OnMergeContext) -> None:
        """Waits for the new end unless it has passed; then the element that merged has fired."""
        if window.max_timestamp() > ctx.get_current_watermark():
            ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> None:
        """Takes the timer back."""
        ctx.delete_event_time_timer(window.max_timestamp())


class ProcessingTimeTrigger(Trigger[T, TimeWindow]):
    """Fires when the wall clock reaches the window's end."""

    @staticmethod
    def create() -> ProcessingTimeTrigger[Any]:
        """The trigger."""
        return ProcessingTimeTrigger()

    def on_element(self, element: T, timestamp: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Waits for the window's end."""
        ctx.register_processing_time_timer(window.max_timestamp())
        return CONTINUE

    def on_processing_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fires."""
        return FIRE

    def on_event_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def can_merge(self) -> bool:
        """Yes."""
        return True

    def on_merge(self, window: TimeWindow, ctx: Trigger.OnMergeContext) -> None:
        """Waits for the new end unless it has passed; then the timer of a merged window is about to fire."""
        if window.max_timestamp() > ctx.get_current_processing_time():
            ctx.register_processing_time_timer(window.max_timestamp())

    def clear(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> None:
        """Takes the timer back."""
        ctx.delete_processing_time_timer(window.max_timestamp())


class Min(ReduceFunction[int]):
    """The lesser of two."""

    def reduce(self, value1: int, value2: int) -> int:
        """The lesser."""
        return min(value1, value2)


class _ContinuousTrigger(Trigger[T, TimeWindow]):
    """What the two continuous triggers share: the next time to fire, in state."""

    def __init__(self, interval: int) -> None:
        if interval <= 0:
            raise ValueError(f"The interval of a continuous trigger must be positive, got {interval} ms")
        self.interval = interval
        self.state_desc = ReducingStateDescriptor("fire-time", Min(), Types.LONG())

    def can_merge(self) -> bool:
        """Yes."""
        return True

    def _fire_time(self, ctx: Trigger.TriggerContext) -> Any:
        return ctx.get_partitioned_state(self.state_desc)

    def _interval_start(self, time: int) -> int:
        """The start of the interval `time` is in; intervals start at the epoch."""
        return time - time % self.interval

    def _next_fire_time(self, time: int, window: TimeWindow) -> int:
        return min(time + self.interval, window.max_timestamp())


class ContinuousEventTimeTrigger(_ContinuousTrigger[T]):
    """Fires at every interval of event time, and when the watermark reaches the window's end."""

    @staticmethod
    def of(interval: Time) -> ContinuousEventTimeTrigger[Any]:
        """Fires every `interval`."""
        return ContinuousEventTimeTrigger(interval.to_milliseconds())

    def on_element(self, element: T, timestamp: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fires for an element of a window that is over, else waits for its end and the next interval."""
        end = window.max_timestamp()
        if end <= ctx.get_current_watermark():
            return FIRE
        ctx.register_event_time_timer(end)
        fire_time = self._fire_time(ctx)
        if fire_time.get() is None:
            self.register_next_fire_timestamp(self._interval_start(timestamp), window, ctx, fire_time)
        return CONTINUE

    def on_processing_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def on_event_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fires at the end and at intervals, of which it then waits for the next."""
        if time == window.max_timestamp():
            return FIRE
        fire_time = self._fire_time(ctx)
        if fire_time.get() != time:
            return CONTINUE
        fire_time.clear()
        self.register_next_fire_timestamp(time, window, ctx, fire_time)
        return FIRE

    def on_merge(self, window: TimeWindow, ctx: Trigger.OnMergeContext) -> None:
        """Waits for the earliest interval of the merged windows."""
        ctx.merge_partitioned_state(self.state_desc)
        time = self._fire_time(ctx).get()
        if time is not None:
            ctx.register_event_time_timer(time)

    def clear(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> None:
        """Takes the interval's timer back."""
        fire_time = self._fire_time(ctx)
        time = fire_time.get()
        if time is not None:
            ctx.delete_event_time_timer(time)
            fire_time.clear()

    def register_next_fire_timestamp(
        self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext, fire_timestamp_state: Any
    ) -> None:
        """Waits for one interval after `time`, or the window's end if that comes first."""
        fire_time = self._next_fire_time(time, window)
        fire_timestamp_state.add(fire_time)
        ctx.register_event_time_timer(fire_time)


class ContinuousProcessingTimeTrigger(_ContinuousTrigger[T]):
    """Fires at every interval of the wall clock."""

    @staticmethod
    def of(interval: Time) -> ContinuousProcessingTimeTrigger[Any]:
        """Fires every `interval`."""
        return ContinuousProcessingTimeTrigger(interval.to_milliseconds())

    def on_element(self, element: T, timestamp: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Waits for the next interval unless it does already."""
        fire_time = self._fire_time(ctx)
        if fire_time.get() is None:
            start = self._interval_start(ctx.get_current_processing_time())
            self.register_next_fire_timestamp(start, window, ctx, fire_time)
        return CONTINUE

    def on_processing_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Fires at intervals, of which it then waits for the next."""
        fire_time = self._fire_time(ctx)
        if fire_time.get() != time:
            return CONTINUE
        fire_time.clear()
        self.register_next_fire_timestamp(time, window, ctx, fire_time)
        return FIRE

    def on_event_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def on_merge(self, window: TimeWindow, ctx: Trigger.OnMergeContext) -> None:
        """Waits for the earliest interval of the merged windows."""
        ctx.merge_partitioned_state(self.state_desc)
        time = self._fire_time(ctx).get()
        if time is not None:
            ctx.register_processing_time_timer(time)

    def clear(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> None:
        """Takes the timer back."""
        fire_time = self._fire_time(ctx)
        time = fire_time.get()
        if time is not None:
            ctx.delete_processing_time_timer(time)
            fire_time.clear()

    def register_next_fire_timestamp(
        self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext, fire_timestamp_state: Any
    ) -> None:
        """Waits for one interval after `time`, or the window's end if that comes first."""
        fire_time = self._next_fire_time(time, window)
        fire_timestamp_state.add(fire_time)
        ctx.register_processing_time_timer(fire_time)


class PurgingTrigger(Trigger[T, Window]):
    """Another trigger, with the elements dropped whenever it fires."""

    def __init__(self, nested_trigger: Trigger[T, Any]) -> None:
        self.nested_trigger = nested_trigger

    @staticmethod
    def of(nested_trigger: Trigger[Any, Any]) -> PurgingTrigger[Any]:
        """Purges when `nested_trigger` fires."""
        return PurgingTrigger(nested_trigger)

    def on_element(self, element: T, timestamp: int, window: Window, ctx: Trigger.TriggerContext) -> TriggerResult:
        """As the other trigger."""
        return _purging(self.nested_trigger.on_element(element, timestamp, window, ctx))

    def on_processing_time(self, time: int, window: Window, ctx: Trigger.TriggerContext) -> TriggerResult:
        """As the other trigger."""
        return _purging(self.nested_trigger.on_processing_time(time, window, ctx))

    def on_event_time(self, time: int, window: Window, ctx: Trigger.TriggerContext) -> TriggerResult:
        """As the other trigger."""
        return _purging(self.nested_trigger.on_event_time(time, window, ctx))

    def can_merge(self) -> bool:
        """As the other trigger."""
        return self.nested_trigger.can_merge()

    def on_merge(self, window: Window, ctx: Trigger.OnMergeContext) -> None:
        """As the other trigger."""
        self.nested_trigger.on_merge(window, ctx)

    def clear(self, window: Window, ctx: Trigger.TriggerContext) -> None:
        """As the other trigger."""
        self.nested_trigger.clear(window, ctx)


def _purging(result: TriggerResult) -> TriggerResult:
    return TriggerResult.FIRE_AND_PURGE if result.is_fire() else result


def _sum(first: int, second: int) -> int:
    return first + second


class CountTrigger(Trigger[T, CountWindow]):
    """Fires whenever the window has got another `window_size` elements."""

    def __init__(self, window_size: int) -> None:
        self._window_size = window_size
        self._count_state_descriptor = ReducingStateDescriptor("count", _sum, Types.LONG())

    @staticmethod
    def of(window_size: int) -> CountTrigger[Any]:
        """Fires every `window_size` elements."""
        return CountTrigger(window_size)

    def on_element(self, element: T, timestamp: int, window: CountWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Counts, and fires when there are enough."""
        count = self._count(ctx)
        count.add(1)
        if count.get() < self._window_size:
            return CONTINUE
        count.clear()
        return FIRE

    def on_processing_time(self, time: int, window: CountWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def on_event_time(self, time: int, window: CountWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def can_merge(self) -> bool:
        """Yes."""
        return True

    def on_merge(self, window: CountWindow, ctx: Trigger.OnMergeContext) -> None:
        """Adds the counts up."""
        ctx.merge_partitioned_state(self._count_state_descriptor)

    def clear(self, window: CountWindow, ctx: Trigger.TriggerContext) -> None:
        """Forgets the count."""
        self._count(ctx).clear()

    def _count(self, ctx: Trigger.TriggerContext) -> Any:
        return ctx.get_partitioned_state(self._count_state_descriptor)


class NeverTrigger(Trigger[T, GlobalWindow]):
    """Never fires; the default of global windows."""

    def on_element(
        self, element: T, timestamp: int, window: GlobalWindow, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def on_processing_time(self, time: int, window: GlobalWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def on_event_time(self, time: int, window: GlobalWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        """Nothing."""
        return CONTINUE

    def on_merge(self, window: GlobalWindow, ctx: Trigger.OnMergeContext) -> None:
        """Nothing; global windows do not merge."""

    def clear(self, window: GlobalWindow, ctx: Trigger.TriggerContext) -> None:
        """Nothing."""

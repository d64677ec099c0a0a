"""Window assigners: which windows an element belongs to; `window.py` re-exports them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock.common.constants import MIN_LONG_VALUE
from penstock.common.typeinfo import Types
from penstock.datastream._triggers import (
    CountTrigger,
    EventTimeTrigger,
    NeverTrigger,
    ProcessingTimeTrigger,
    Trigger,
)
from penstock.datastream._windows import (
    CountWindow,
    CountWindowSerializer,
    GlobalWindow,
    GlobalWindowSerializer,
    TimeWindow,
    TimeWindowSerializer,
)
from penstock.datastream.state import ValueStateDescriptor

if TYPE_CHECKING:
    from penstock.common.serializer import TypeSerializer
    from penstock.common.time import Time
    from penstock.datastream._functions import RuntimeContext

__all__ = [
    "CountSlidingWindowAssigner",
    "CountTumblingWindowAssigner",
    "DynamicEventTimeSessionWindows",
    "DynamicProcessingTimeSessionWindows",
    "EventTimeSessionWindows",
    "GlobalWindows",
    "MergingWindowAssigner",
    "ProcessingTimeSessionWindows",
    "SessionWindowTimeGapExtractor",
    "SlidingEventTimeWindows",
    "SlidingProcessingTimeWindows",
    "TumblingEventTimeWindows",
    "TumblingProcessingTimeWindows",
    "WindowAssigner",
]

T = TypeVar("T")
W = TypeVar("W")
W2 = TypeVar("W2")

NO_TIMESTAMP_MESSAGE = (
    "Record has Java Long.MIN_VALUE timestamp (= no timestamp marker). Is the time characteristic set to "
    "'ProcessingTime', or did you forget to call 'data_stream.assign_timestamps_and_watermarks(...)'?"
)


class WindowAssigner(ABC, Generic[T, W]):
    """Says which windows an element belongs to. Task thread only."""

    class WindowAssignerContext(ABC):
        """What an assigner may ask for."""

        @abstractmethod
        def get_current_processing_time(self) -> int:
            """The wall clock, epoch ms."""

        @abstractmethod
        def get_runtime_context(self) -> RuntimeContext:
            """The operator's runtime context, with state of the current key."""

    @abstractmethod
    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[W]:
        """The windows of an element with that timestamp (epoch ms)."""

    @abstractmethod
    def get_default_trigger(self, env: Any) -> Trigger[T, W]:
        """The trigger when the program sets none."""

    @abstractmethod
    def get_window_serializer(self) -> TypeSerializer[W]:
        """The serializer of the windows."""

    @abstractmethod
    def is_event_time(self) -> bool:
        """Whether windows end by watermark."""


class MergingWindowAssigner(WindowAssigner[T, W]):
    """An assigner whose windows may grow together."""

    class MergeCallback(ABC, Generic[W2]):
        """Hears which windows become one."""

        @abstractmethod
        def merge(self, to_be_merged: Iterable[W2], merge_result: W2) -> None:
            """The windows `to_be_merged` become `merge_result`."""

    @abstractmethod
    def merge_windows(self, windows: Iterable[W], callback: MergingWindowAssigner.MergeCallback[W]) -> None:
        """Calls back for every group of windows that become one."""


class SessionWindowTimeGapExtractor(ABC):
    """Says how long after an element its session ends."""

    @abstractmethod
    def extract(self, element: Any) -> int:
        """The gap in ms, positive."""


class _TimeWindows(WindowAssigner[T, TimeWindow]):
    """Windows of a time, by the clock the subclass says."""

    _event_time = True

    def get_default_trigger(self, env: Any) -> Trigger[T, TimeWindow]:
        """Fires at the window's end."""
        return EventTimeTrigger() if self._event_time else ProcessingTimeTrigger()

    def get_window_serializer(self) -> TypeSerializer[TimeWindow]:
        """For TimeWindow."""
        return TimeWindowSerializer()

    def is_event_time(self) -> bool:
        """Whether windows end by watermark."""
        return self._event_time

    def _time(self, timestamp: int, context: WindowAssigner.WindowAssignerContext) -> int:
        if not self._event_time:
            return context.get_current_processing_time()
        if timestamp <= MIN_LONG_VALUE:
            raise Exception(NO_TIMESTAMP_MESSAGE)
        return timestamp


class _TumblingWindows(_TimeWindows[T]):
    """Windows of one size, one after the other. `_size` and `_offset` are in ms."""

    def __init__(self, size: int, offset: int) -> None:
        if abs(offset) >= size:
            raise Exception(f"{type(self).__name__} parameters must satisfy abs(offset) < size")
        self._size = size
        self._offset = offset

    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        """The one window the time is in."""
        time = self._time(timestamp, context)
        start = TimeWindow.get_window_start_with_offset(time, self._offset, self._size)
        return [TimeWindow(start, start + self._size)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._size}, {self._offset})"


class TumblingEventTimeWindows(_TumblingWindows[T]):
    """Windows of one size of event time, one after the other."""

    @staticmethod
    def of(size: Time, offset: Time | None = None) -> TumblingEventTimeWindows[Any]:
        """Windows of `size` that start at multiples of it, shifted by `offset`."""
        return TumblingEventTimeWindows(size.to_milliseconds(), _offset_ms(offset))


class TumblingProcessingTimeWindows(_TumblingWindows[T]):
    """Windows of one size of wall-clock time, one after the other."""

    _event_time = False

    @staticmethod
    def of(size: Time, offset: Time | None = None) -> TumblingProcessingTimeWindows[Any]:
        """Windows of `size` that start at multiples of it, shifted by `offset`."""
        return TumblingProcessingTimeWindows(size.to_milliseconds(), _offset_ms(offset))


class _SlidingWindows(_TimeWindows[T]):
    """Windows of one size that start every `slide`. `_size`, `_slide` and `_offset` are in ms."""

    def __init__(self, size: int, slide: int, offset: int) -> None:
        if abs(offset) >= slide or size <= 0:
            raise Exception(f"{type(self).__name__} parameters must satisfy abs(offset) < slide and size > 0")
        self._size = size
        self._slide = slide
        self._offset = offset

    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        """All windows the time is in, the latest first."""
        time = self._time(timestamp, context)
        last_start = TimeWindow.get_window_start_with_offset(time, self._offset, self._slide)
        return [TimeWindow(start, start + self._size) for start in range(last_start, time - self._size, -self._slide)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._size}, {self._slide}, {self._offset})"


class SlidingEventTimeWindows(_SlidingWindows[T]):
    """Windows of one size of event time that start every `slide`."""

    @staticmethod
    def of(size: Time, slide: Time, offset: Time | None = None) -> SlidingEventTimeWindows[Any]:
        """Windows of `size` that start at multiples of `slide`, shifted by `offset`."""
        return SlidingEventTimeWindows(size.to_milliseconds(), slide.to_milliseconds(), _offset_ms(offset))


class SlidingProcessingTimeWindows(_SlidingWindows[T]):
    """Windows of one size of wall-clock time that start every `slide`."""

    _event_time = False

    @staticmethod
    def of(size: Time, slide: Time, offset: Time | None = None) -> SlidingProcessingTimeWindows[Any]:
        """Windows of `size` that start at multiples of `slide`, shifted by `offset`."""
        return SlidingProcessingTimeWindows(size.to_milliseconds(), slide.to_milliseconds(), _offset_ms(offset))


class _SessionWindows(_TimeWindows[T], MergingWindowAssigner[T, TimeWindow]):
    """Windows that last until a gap without elements."""

    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        """A window from the element's time to the end of its gap, to be merged with what it touches."""
        time = self._time(timestamp, context)
        return [TimeWindow(time, time + self._gap(element))]

    def merge_windows(
        self, windows: Iterable[TimeWindow], callback: MergingWindowAssigner.MergeCallback[TimeWindow]
    ) -> None:
        """Windows that share time or touch become one."""
        TimeWindow.merge_windows(windows, callback)

    def _gap(self, element: T) -> int:
        raise NotImplementedError


class _FixedSessionWindows(_SessionWindows[T]):
    """Sessions with one gap. `_session_gap` is in ms."""

    def __init__(self, session_gap: int) -> None:
        if session_gap <= 0:
            raise Exception(
                f"{type(self).__name__} parameters must satisfy 0 < size, the size of a session being its gap"
            )
        self._session_gap = session_gap

    def _gap(self, element: T) -> int:
        return self._session_gap

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._session_gap})"


class _DynamicSessionWindows(_SessionWindows[T]):
    """Sessions whose gap depends on the element."""

    def __init__(self, session_window_time_gap_extractor: SessionWindowTimeGapExtractor) -> None:
        self._session_window_time_gap_extractor = session_window_time_gap_extractor

    def _gap(self, element: T) -> int:
        gap = self._session_window_time_gap_extractor.extract(element)
        if gap <= 0:
            raise Exception(f"Dynamic session time gap must satisfy 0 < gap, got {gap} for {element!r}")
        return gap

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self._session_window_time_gap_extractor).__name__})"


class EventTimeSessionWindows(_FixedSessionWindows[T]):
    """Sessions of event time."""

    @staticmethod
    def with_gap(size: Time) -> EventTimeSessionWindows[Any]:
        """Sessions that end `size` after their last element."""
        return EventTimeSessionWindows(size.to_milliseconds())

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicEventTimeSessionWindows[Any]:
        """Sessions whose gap the extractor takes from the element."""
        return DynamicEventTimeSessionWindows(extractor)


class ProcessingTimeSessionWindows(_FixedSessionWindows[T]):
    """Sessions of wall-clock time."""

    _event_time = False

    @staticmethod
    def with_gap(size: Time) -> ProcessingTimeSessionWindows[Any]:
        """Sessions that end `size` after their last element."""
        return ProcessingTimeSessionWindows(size.to_milliseconds())

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicProcessingTimeSessionWindows[Any]:
        """Sessions whose gap the extractor takes from the element."""
        return DynamicProcessingTimeSessionWindows(extractor)


class DynamicEventTimeSessionWindows(_DynamicSessionWindows[T]):
    """Sessions of event time whose gap depends on the element."""

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicEventTimeSessionWindows[Any]:
        """Sessions whose gap the extractor takes from the element."""
        return DynamicEventTimeSessionWindows(extractor)


class DynamicProcessingTimeSessionWindows(_DynamicSessionWindows[T]):
    """Sessions of wall-clock time whose gap depends on the element."""

    _event_time = False

    @staticmethod
    def with_dynamic_gap(extractor: SessionWindowTimeGapExtractor) -> DynamicProcessingTimeSessionWindows[Any]:
        """Sessions whose gap the extractor takes from the element."""
        return DynamicProcessingTimeSessionWindows(extractor)


class _CountWindows(WindowAssigner[T, CountWindow]):
    """Windows of a number of elements of a key; the count is keyed state."""

    def __init__(self, window_size: int, state_name: str) -> None:
        if window_size <= 0:
            raise ValueError(f"The size of a count window must be positive, got {window_size}")
        self._window_size = window_size
        self._count_descriptor = ValueStateDescriptor(state_name, Types.LONG())

    def get_default_trigger(self, env: Any) -> Trigger[T, CountWindow]:
        """Fires when the window is full."""
        return CountTrigger(self._window_size)

    def get_window_serializer(self) -> TypeSerializer[CountWindow]:
        """For CountWindow."""
        return CountWindowSerializer()

    def is_event_time(self) -> bool:
        """No."""
        return False

    def _next_index(self, context: WindowAssigner.WindowAssignerContext) -> int:
        """The element's index among those of its key, from 0."""
        count = context.get_runtime_context().get_state(self._count_descriptor)
        index: int = count.value() or 0
        count.update(index + 1)
        return index


class CountTumblingWindowAssigner(_CountWindows[T]):
    """Windows of `window_size` elements of a key, one after the other."""

    def __init__(self, window_size: int) -> None:
        super().__init__(window_size, "tumble-count-assigner")

    @staticmethod
    def of(window_size: int) -> CountTumblingWindowAssigner[Any]:
        """Windows of `window_size` elements."""
        return CountTumblingWindowAssigner(window_size)

    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[CountWindow]:
        """The one window the element's index is in."""
        return [CountWindow(self._next_index(context) // self._window_size)]

    def __repr__(self) -> str:
        return f"CountTumblingWindowAssigner({self._window_size})"


class CountSlidingWindowAssigner(_CountWindows[T]):
    """Windows of `window_size` elements of a key, a new one every `window_slide` elements."""

    def __init__(self, window_size: int, window_slide: int) -> None:
        super().__init__(window_size, "slide-count-assigner")
        if window_slide <= 0:
            raise ValueError(f"The slide of a count window must be positive, got {window_slide}")
        self._window_slide = window_slide

    @staticmethod
    def of(window_size: int, window_slide: int) -> CountSlidingWindowAssigner[Any]:
        """Windows of `window_size` elements, every `window_slide` elements."""
        return CountSlidingWindowAssigner(window_size, window_slide)

    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[CountWindow]:
        """All windows the element's index is in, the latest first; none where the slide leaves elements out."""
        index, size, slide = self._next_index(context), self._window_size, self._window_slide
        last = index // slide
        first = max(0, (index - size) // slide + 1)
        return [CountWindow(window_id) for window_id in range(last, first - 1, -1)]

    def __repr__(self) -> str:
        return f"CountSlidingWindowAssigner({self._window_size}, {self._window_slide})"


class GlobalWindows(WindowAssigner[T, GlobalWindow]):
    """One window for everything; it never fires without a trigger of the program's own."""

    @staticmethod
    def create() -> GlobalWindows[Any]:
        """The assigner."""
        return GlobalWindows()

    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[GlobalWindow]:
        """The one window."""
        return [GlobalWindow.get()]

    def get_default_trigger(self, env: Any) -> Trigger[T, GlobalWindow]:
        """Never fires."""
        return NeverTrigger()

    def get_window_serializer(self) -> TypeSerializer[GlobalWindow]:
        """For GlobalWindow."""
        return GlobalWindowSerializer()

    def is_event_time(self) -> bool:
        """No."""
        return False

    def __repr__(self) -> str:
        return "GlobalWindows()"


def _offset_ms(offset: Time | None) -> int:
    return 0 if offset is None else offset.to_milliseconds()

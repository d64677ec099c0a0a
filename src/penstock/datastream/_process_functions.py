"""Process functions: elements with their time, timers, side outputs and state; `functions.py` re-exports them.

Each process-like method may return an iterable, be a generator, or return None. A result that is a pair
`(OutputTag, value)` goes to that side output. The runtime implements the contexts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock.datastream._functions import Function

if TYPE_CHECKING:
    from penstock.datastream.state import BroadcastState, MapStateDescriptor, ReadOnlyBroadcastState
    from penstock.datastream.time_domain import TimeDomain
    from penstock.datastream.timerservice import TimerService

__all__ = [
    "BaseBroadcastProcessFunction",
    "BroadcastProcessFunction",
    "CoProcessFunction",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "ProcessFunction",
]

IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
OUT = TypeVar("OUT")
KEY = TypeVar("KEY")

Results = Iterable[Any] | None


class _TimedContext(ABC):
    """What every process function's context offers."""

    @abstractmethod
    def timer_service(self) -> TimerService:
        """Clocks; on keyed streams also timers."""

    @abstractmethod
    def timestamp(self) -> int:
        """The event time of the element, or the time of the timer, in epoch ms; MIN_LONG_VALUE where it has none."""


class _KeyedContext(_TimedContext):
    """The same on a keyed stream."""

    @abstractmethod
    def get_current_key(self) -> Any:
        """The key of the element or timer."""


class ProcessFunction(Function):
    """Processes the elements of a stream one by one."""

    class Context(_TimedContext):
        """Given with each element."""

    @abstractmethod
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Results:
        """Handles one element."""


class KeyedProcessFunction(Function):
    """Processes the elements of a keyed stream, with state and timers."""

    class Context(_KeyedContext):
        """Given with each element."""

    class OnTimerContext(Context):
        """Given with each timer."""

        @abstractmethod
        def time_domain(self) -> TimeDomain:
            """Which clock the timer followed."""

    @abstractmethod
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Results:
        """Handles one element."""

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Results:
        """Handles a timer set for `timestamp`, epoch ms."""
        return None


class CoProcessFunction(Function):
    """Processes the elements of two connected streams."""

    class Context(_TimedContext):
        """Given with each element."""

    @abstractmethod
    def process_element1(self, value: Any, ctx: CoProcessFunction.Context) -> Results:
        """Handles one element of the first input."""

    @abstractmethod
    def process_element2(self, value: Any, ctx: CoProcessFunction.Context) -> Results:
        """Handles one element of the second input."""


class KeyedCoProcessFunction(Function):
    """Processes the elements of two connected keyed streams, with shared state and timers."""

    class Context(_KeyedContext):
        """Given with each element."""

    class OnTimerContext(Context):
        """Given with each timer."""

        @abstractmethod
        def time_domain(self) -> TimeDomain:
            """Which clock the timer followed."""

    @abstractmethod
    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Results:
        """Handles one element of the first input."""

    @abstractmethod
    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Results:
        """Handles one element of the second input."""

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Results:
        """Handles a timer set for `timestamp`, epoch ms."""
        return None


class BaseBroadcastProcessFunction(Function):
    """What the two broadcast process functions share."""

    class BaseContext(ABC):
        """What every broadcast context offers."""

        @abstractmethod
        def timestamp(self) -> int:
            """The event time of the element in epoch ms; MIN_LONG_VALUE where it has none."""

        @abstractmethod
        def current_processing_time(self) -> int:
            """The wall clock, epoch ms."""

        @abstractmethod
        def current_watermark(self) -> int:
            """The event time reached, epoch ms."""

    class Context(BaseContext):
        """Given with each broadcast element."""

        @abstractmethod
        def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
            """The subtask's broadcast state of that name, to read and write."""

    class ReadOnlyContext(BaseContext):
        """Given with each element of the other stream."""

        @abstractmethod
        def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState[Any, Any]:
            """The subtask's broadcast state of that name, to read."""


class BroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[IN1, IN2, OUT]):
    """Processes a stream together with a broadcast one."""

    class Context(BaseBroadcastProcessFunction.Context, ABC):
        """Given with each broadcast element."""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext, ABC):
        """Given with each element of the other stream."""

    @abstractmethod
    def process_element(self, value: IN1, ctx: ReadOnlyContext) -> Iterable[OUT] | None:
        """Handles one element of the stream that is not broadcast."""

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: Context) -> Iterable[OUT] | None:
        """Handles one broadcast element, in every subtask."""


class KeyedBroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[KEY, IN1, IN2, OUT]):
    """Processes a keyed stream together with a broadcast one; keyed state belongs to the keyed side alone."""

    class Context(BaseBroadcastProcessFunction.Context, ABC):
        """Given with each broadcast element."""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext, ABC):
        """Given with each element of the keyed stream."""

        @abstractmethod
        def timer_service(self) -> TimerService:
            """Clocks and timers of the current key."""

        @abstractmethod
        def get_current_key(self) -> Any:
            """The key of the element or timer."""

    class OnTimerContext(ReadOnlyContext, ABC):
        """Given with each timer."""

        @abstractmethod
        def time_domain(self) -> TimeDomain:
            """Which clock the timer followed."""

    @abstractmethod
    def process_element(self, value: IN1, ctx: ReadOnlyContext) -> Iterable[OUT] | None:
        """Handles one element of the keyed stream."""

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: Context) -> Iterable[OUT] | None:
        """Handles one broadcast element, in every subtask."""

    def on_timer(self, timestamp: int, ctx: OnTimerContext) -> Iterable[OUT] | None:
        """Handles a timer set for `timestamp`, epoch ms."""
        return None

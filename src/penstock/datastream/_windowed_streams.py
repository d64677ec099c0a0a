"""Windows over a keyed stream and over a whole stream; `data_stream.py` re-exports them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from penstock.common.typeinfo import TypeInformation
from penstock.datastream._data_stream import DataStream, OutputType, add_operator, declared_type
from penstock.datastream._functions import AggregateFunction, NullByteKeySelector, ReduceFunction
from penstock.datastream._keyed_stream import KeyedStream
from penstock.datastream._transformations import Transformation, UserFunction, WindowSpec
from penstock.datastream._window_functions import (
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from penstock.datastream.output_tag import OutputTag
from penstock.datastream.window import MergingWindowAssigner, Trigger, WindowAssigner
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["AllWindowedStream", "WindowedStream"]


class _Windowed:
    """What the two share: settings of the window operator, and its construction."""

    _all_windows: ClassVar[bool]
    _description: ClassVar[str]
    _apply_kind: ClassVar[type]
    _process_kind: ClassVar[type]
    _kinds_text: ClassVar[str]

    def __init__(self, keyed_stream: KeyedStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        if not isinstance(window_assigner, WindowAssigner):
            raise TypeError(f"A window needs a WindowAssigner, got {type(window_assigner).__name__}")
        self._keyed_stream = keyed_stream
        self._window_assigner = window_assigner
        self._window_trigger: Trigger[Any, Any] | None = None
        self._allowed_lateness_ms = 0
        self._late_tag: OutputTag | None = None

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment the stream belongs to."""
        return self._keyed_stream.get_execution_environment()

    def get_input_type(self) -> TypeInformation:
        """The type of the elements."""
        return self._keyed_stream._element_type()

    def trigger(self, trigger: Trigger[Any, Any]) -> Self:
        """Replaces the assigner's trigger."""
        self._window_trigger = trigger
        return self

    def allowed_lateness(self, time_ms: int) -> Self:
        """Keeps windows for so long after their end, in ms; a late element then fires its window again."""
        if not isinstance(time_ms, int):
            raise TypeError(f"allowed_lateness() takes milliseconds as an int, got {type(time_ms).__name__}")
        if time_ms < 0:
            raise ConfigurationError(f"The allowed lateness cannot be negative, got {time_ms}")
        self._allowed_lateness_ms = time_ms
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> Self:
        """Sends elements that are too late to a side output of the result."""
        self._late_tag = output_tag
        return self

    def _reduce(self, function: Any, window_function: Any, output_type: OutputType) -> DataStream:
        if not isinstance(function, ReduceFunction) and not callable(function):
            raise TypeError("The input must be a ReduceFunction or a callable function!")
        self._check_window_function(window_function)
        if window_function is None and output_type is None:
            return self._build("reduce", function, None, self._keyed_stream._type)
        return self._build("reduce", function, window_function, declared_type(output_type))

    def _aggregate(
        self, function: Any, window_function: Any, accumulator_type: OutputType, output_type: OutputType
    ) -> DataStream:
        if not isinstance(function, AggregateFunction):
            raise TypeError("The input must be a pyflink.datastream.functions.AggregateFunction!")
        self._check_window_function(window_function)
        accumulator = declared_type(accumulator_type)
        return self._build("aggregate", function, window_function, declared_type(output_type), accumulator)

    def _apply(self, function: Any, output_type: OutputType) -> DataStream:
        if not isinstance(function, self._apply_kind):
            raise TypeError(f"apply() takes a {self._apply_kind.__name__}, got {type(function).__name__}")
        return self._build("apply", function, None, declared_type(output_type))

    def _process(self, function: Any, output_type: OutputType) -> DataStream:
        if not isinstance(function, self._process_kind):
            raise TypeError(f"process() takes a {self._process_kind.__name__}, got {type(function).__name__}")
        return self._build("process", function, None, declared_type(output_type))

    def _check_window_function(self, function: Any) -> None:
        if function is not None and not isinstance(function, (self._apply_kind, self._process_kind)):
            raise TypeError(f"window_function should be a {self._kinds_text}")

    def _build(
        self,
        kind: str,
        function: Any,
        window_function: Any,
        output_type: TypeInformation | None,
        accumulator_type: TypeInformation | None = None,
    ) -> DataStream:
        stream, assigner = self._keyed_stream, self._window_assigner
        trigger = self._window_trigger or assigner.get_default_trigger(self.get_execution_environment())
        spec = WindowSpec(
            assigner=UserFunction(assigner),
            trigger=UserFunction(trigger),
            kind=kind,
            function=UserFunction(function),
            window_function=None if window_function is None else UserFunction(window_function),
            all_windows=self._all_windows,
            allowed_lateness_ms=self._allowed_lateness_ms,
            late_tag=self._late_tag,
            accumulator_type=accumulator_type,
        )
        functions = [function] if window_function is None else [function, window_function]
        names = ", ".join(type(each).__name__ for each in functions)
        operator = Transformation(
            type(assigner).__name__,
            spec,
            (stream._edges,),
            (stream._key_selector,),
            stream._key_type,
            output_type,
            description=f"{self._description}({assigner!r}, {type(trigger).__name__}, {names})",
        )
        return add_operator(stream._env, operator)


class WindowedStream(_Windowed):
    """A keyed stream cut into windows; the methods that make results say of what."""

    _all_windows = False
    _description = "Window"
    _apply_kind = WindowFunction
    _process_kind = ProcessWindowFunction
    _kinds_text = "WindowFunction or ProcessWindowFunction"

    def reduce(
        self,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction[Any],
        window_function: WindowFunction[Any, Any, Any, Any] | ProcessWindowFunction[Any, Any, Any, Any] | None = None,
        output_type: OutputType = None,
    ) -> DataStream:
        """The elements of a window reduced to one, or what the window function makes of that one."""
        return self._reduce(reduce_function, window_function, output_type)

    def aggregate(
        self,
        aggregate_function: AggregateFunction[Any, Any, Any],
        window_function: WindowFunction[Any, Any, Any, Any] | ProcessWindowFunction[Any, Any, Any, Any] | None = None,
        accumulator_type: OutputType = None,
        output_type: OutputType = None,
    ) -> DataStream:
        """The elements of a window aggregated, or what the window function makes of the result."""
        return self._aggregate(aggregate_function, window_function, accumulator_type, output_type)

    def apply(self, window_function: WindowFunction[Any, Any, Any, Any], output_type: OutputType = None) -> DataStream:
        """What the function makes of all elements of a window."""
        return self._apply(window_function, output_type)

    def process(
        self, process_window_function: ProcessWindowFunction[Any, Any, Any, Any], output_type: OutputType = None
    ) -> DataStream:
        """What the function makes of all elements of a window, with times and state."""
        return self._process(process_window_function, output_type)


class AllWindowedStream(_Windowed):
    """A whole stream cut into windows; one key, so one subtask in effect."""

    _all_windows = True
    _description = "AllWindow"
    _apply_kind = AllWindowFunction
    _process_kind = ProcessAllWindowFunction
    _kinds_text = "AllWindowFunction or ProcessAllWindowFunction"

    def __init__(self, data_stream: DataStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        super().__init__(data_stream.key_by(NullByteKeySelector()), window_assigner)

    def trigger(self, trigger: Trigger[Any, Any]) -> Self:
        """Replaces the assigner's trigger.

        Raises:
            TypeError: for a merging assigner with a trigger that cannot merge.
        """
        if isinstance(self._window_assigner, MergingWindowAssigner) and not trigger.can_merge():
            raise TypeError("A merging window assigner cannot be used with a trigger that does not support merging.")
        return super().trigger(trigger)

    def reduce(
        self,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction[Any],
        window_function: AllWindowFunction[Any, Any, Any] | ProcessAllWindowFunction[Any, Any, Any] | None = None,
        output_type: OutputType = None,
    ) -> DataStream:
        """The elements of a window reduced to one, or what the window function makes of that one."""
        return self._reduce(reduce_function, window_function, output_type)

    def aggregate(
        self,
        aggregate_function: AggregateFunction[Any, Any, Any],
        window_function: AllWindowFunction[Any, Any, Any] | ProcessAllWindowFunction[Any, Any, Any] | None = None,
        accumulator_type: OutputType = None,
        output_type: OutputType = None,
    ) -> DataStream:
        """The elements of a window aggregated, or what the window function makes of the result."""
        return self._aggregate(aggregate_function, window_function, accumulator_type, output_type)

    def apply(self, window_function: AllWindowFunction[Any, Any, Any], output_type: OutputType = None) -> DataStream:
        """What the function makes of all elements of a window."""
        return self._apply(window_function, output_type)

    def process(
        self, process_window_function: ProcessAllWindowFunction[Any, Any, Any], output_type: OutputType = None
    ) -> DataStream:
        """What the function makes of all elements of a window, with state."""
        return self._process(process_window_function, output_type)

"""The function classes without a context, and what all functions share; `functions.py` re-exports them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from penstock.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from penstock.datastream.connectors.base import Sink
    from penstock.datastream.state import (
        AggregatingState,
        AggregatingStateDescriptor,
        ListState,
        ListStateDescriptor,
        MapState,
        MapStateDescriptor,
        ReducingState,
        ReducingStateDescriptor,
        ValueState,
        ValueStateDescriptor,
    )
    from penstock.metrics import MetricGroup

__all__ = [
    "AggregateFunction",
    "CoFlatMapFunction",
    "CoMapFunction",
    "FilterFunction",
    "FlatMapFunction",
    "Function",
    "JavaFunctionWrapper",
    "KeySelector",
    "KeyedStateStore",
    "MapFunction",
    "NullByteKeySelector",
    "Partitioner",
    "ReduceFunction",
    "ReduceFunctionWrapper",
    "RuntimeContext",
    "SinkFunction",
    "SourceFunction",
]

IN = TypeVar("IN")
IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
OUT = TypeVar("OUT")
KEY = TypeVar("KEY")


class KeyedStateStore(ABC):
    """Gives access to state of the current key; the runtime implements it. Task thread only.

    A name with the same kind of descriptor is the same state; with another kind the getters raise
    "The state name 'x' is already in use and not a …".
    """

    @abstractmethod
    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """One value."""

    @abstractmethod
    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list."""

    @abstractmethod
    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """A map."""

    @abstractmethod
    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """One value, made by reducing what is added."""

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """One accumulator, made by aggregating what is added."""


class RuntimeContext(KeyedStateStore):
    """What a function may know of its subtask, and its state; the runtime implements it. Task thread only.

    Outside a keyed stream the state getters raise "This state is only accessible by functions executed on a
    KeyedStream."
    """

    @abstractmethod
    def get_task_name(self) -> str:
        """The names of the chained operators, `A -> B`."""

    @abstractmethod
    def get_number_of_parallel_subtasks(self) -> int:
        """The parallelism."""

    @abstractmethod
    def get_max_number_of_parallel_subtasks(self) -> int:
        """The number of key groups."""

    @abstractmethod
    def get_index_of_this_subtask(self) -> int:
        """From 0."""

    @abstractmethod
    def get_attempt_number(self) -> int:
        """How often the subtask was restarted, from 0."""

    @abstractmethod
    def get_task_name_with_subtasks(self) -> str:
        """For example `A -> B (1/2)#0`."""

    @abstractmethod
    def get_job_parameter(self, key: str, default_value: str) -> str:
        """A value of the global job parameters."""

    @abstractmethod
    def get_metrics_group(self) -> MetricGroup:
        """The metrics of the operator."""


class Function(ABC):  # noqa: B024  (PyFlink's base is abstract too)
    """Base of all user functions."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called once per subtask before the first element."""

    def close(self) -> None:
        """Called once per subtask at the end, also after a failure."""


class MapFunction(Function, Generic[IN, OUT]):
    """One result per element."""

    @abstractmethod
    def map(self, value: IN) -> OUT:
        """The result for `value`."""


class CoMapFunction(Function, Generic[IN1, IN2, OUT]):
    """One result per element of either input; None is dropped."""

    @abstractmethod
    def map1(self, value: IN1) -> OUT:
        """The result for an element of the first input."""

    @abstractmethod
    def map2(self, value: IN2) -> OUT:
        """The result for an element of the second input."""


class FlatMapFunction(Function, Generic[IN, OUT]):
    """Any number of results per element."""

    @abstractmethod
    def flat_map(self, value: IN) -> Iterable[OUT]:
        """The results for `value`; may be a generator."""


class CoFlatMapFunction(Function, Generic[IN1, IN2, OUT]):
    """Any number of results per element of either input; None counts as none."""

    @abstractmethod
    def flat_map1(self, value: IN1) -> Iterable[OUT] | None:
        """The results for an element of the first input."""

    @abstractmethod
    def flat_map2(self, value: IN2) -> Iterable[OUT] | None:
        """The results for an element of the second input."""


class ReduceFunction(Function, Generic[IN]):
    """Makes one value of two, associatively."""

    @abstractmethod
    def reduce(self, value1: IN, value2: IN) -> IN:
        """The combination of the aggregate so far and one more value."""


class AggregateFunction(Function, Generic[IN, KEY, OUT]):
    """Aggregates values in an accumulator of another type."""

    @abstractmethod
    def create_accumulator(self) -> Any:
        """A fresh accumulator."""

    @abstractmethod
    def add(self, value: Any, accumulator: Any) -> Any:
        """The accumulator with one more value; may be the same object, changed."""

    @abstractmethod
    def get_result(self, accumulator: Any) -> Any:
        """The result."""

    @abstractmethod
    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        """One accumulator of two; either may be reused."""


class ReduceFunctionWrapper(ReduceFunction[Any]):
    """A plain callable as a ReduceFunction, as reducing state gives it back."""

    def __init__(self, func: Callable[[Any, Any], Any]) -> None:
        self._func = func

    def reduce(self, value1: Any, value2: Any) -> Any:
        """Calls the callable."""
        return self._func(value1, value2)


class KeySelector(Function, Generic[IN, KEY]):
    """Takes the key out of an element; must be deterministic."""

    @abstractmethod
    def get_key(self, value: IN) -> KEY:
        """The key of `value`."""


class NullByteKeySelector(KeySelector[Any, int]):
    """Gives every element the same key, as `window_all` does."""

    def get_key(self, value: Any) -> int:
        """Always 0."""
        return 0


class FilterFunction(Function, Generic[IN]):
    """Keeps elements or drops them."""

    @abstractmethod
    def filter(self, value: IN) -> bool:
        """Whether to keep `value`; truthiness decides."""


class Partitioner(Function):
    """Chooses the partition of a key."""

    @abstractmethod
    def partition(self, key: Any, num_partitions: int) -> int:
        """The index of the subtask the key goes to; `num_partitions` is the parallelism of the next operator."""


class JavaFunctionWrapper:
    """Base of what PyFlink wraps around a Java class."""

    def get_java_function(self) -> NoReturn:
        """PyFlink's access to the Java object.

        Raises:
            UnsupportedFeatureError: always; there is no JVM.
        """
        raise UnsupportedFeatureError(
            f"{type(self).__name__}.get_java_function is PyFlink's internal access to the JVM; Penstock has none."
        )


class SourceFunction(JavaFunctionWrapper):
    """PyFlink's wrapper of a Java source; constructing it raises UnsupportedFeatureError."""

    def __init__(self, source_func: Any) -> None:
        raise _java_function("SourceFunction", source_func, "from_collection, FileSource or another Source")


class SinkFunction(JavaFunctionWrapper):
    """What `add_sink` takes. Of a Java class it cannot be made; a subclass gives its `Sink` by `to_sink`."""

    def __init__(self, sink_func: Any) -> None:
        raise _java_function("SinkFunction", sink_func, "sink_to(FileSink) or another Sink")

    def to_sink(self) -> Sink:
        """The sink that does the work."""
        raise NotImplementedError


def _java_function(kind: str, function: Any, instead: str) -> UnsupportedFeatureError:
    what = repr(function) if isinstance(function, str) else type(function).__name__
    return UnsupportedFeatureError(
        f"{kind}({what}) wraps a Java class; there is no JVM in this process. "
        f"Use {instead}, or run this program on a Flink cluster."
    )

"""KeyedStream; `data_stream.py` re-exports it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.common.typeinfo import PickledBytesTypeInfo, RowTypeInfo, TypeInformation
from penstock.datastream._data_stream import DataStream, DataStreamSink, OutputType, declared_type, named_fields
from penstock.datastream._functions import KeySelector, ReduceFunction, SinkFunction
from penstock.datastream._transformations import (
    CollectSpec,
    InputEdge,
    OperatorSpec,
    Partitioning,
    PartitioningKind,
    ProcessSpec,
    ReduceSpec,
    Transformation,
    UserFunction,
)

if TYPE_CHECKING:
    from penstock.datastream._closeable_iterator import CloseableIterator
    from penstock.datastream._process_functions import KeyedProcessFunction
    from penstock.datastream._windowed_streams import WindowedStream
    from penstock.datastream.connectors.base import Sink
    from penstock.datastream.window import WindowAssigner

__all__ = ["KeyedStream"]

PARTITIONING = "Cannot override partitioning for KeyedStream."
ROWS = "_stream_key_by_map_operator"
VALUES = "_keyed_stream_values_operator"


class KeyedStream(DataStream):
    """Elements with a key. Every rich function run on it has keyed state in `open`.

    What it inherits and cannot do, such as naming an operator, raises.
    """

    _kind = "KeyedStream"
    _origin_stream: DataStream

    def __init__(self, origin: DataStream, key_selector: UserFunction, key_type: TypeInformation | None) -> None:
        if isinstance(origin, KeyedStream):
            origin = origin._origin_stream
        hashed = Partitioning(PartitioningKind.HASH, key_selector)
        edges = tuple(InputEdge(edge.source, hashed, edge.side_output) for edge in origin._edges)
        super().__init__(origin._env, edges, origin._type)
        self._origin_stream = origin
        self._key_selector = key_selector
        self._key_type = key_type

    def get_type(self) -> TypeInformation:
        """ROW(key type, element type)."""
        return named_fields(RowTypeInfo([self._key_type or PickledBytesTypeInfo(), self._element_type()]))

    # -- operators with keyed state --------------------------------------------------------------

    def process(self, func: KeyedProcessFunction, output_type: OutputType = None) -> DataStream:  # type: ignore[override]
        """Results, side outputs, state and timers by a KeyedProcessFunction.

        Raises:
            TypeError: if `func` is no KeyedProcessFunction.
        """
        from penstock.datastream._process_functions import KeyedProcessFunction

        if not isinstance(func, KeyedProcessFunction):
            raise TypeError("KeyedProcessFunction is required for KeyedStream.")
        return self._transform("KEYED PROCESS", ProcessSpec(UserFunction(func)), declared_type(output_type))

    def reduce(self, func: Callable[[Any, Any], Any] | ReduceFunction[Any]) -> DataStream:
        """The running aggregate after each element, in BATCH mode the last one only; the first element as it is."""
        if not isinstance(func, ReduceFunction) and not callable(func):
            raise TypeError("The input must be a ReduceFunction or a callable function")
        return self._transform("Reduce", ReduceSpec(UserFunction(func)), self._type)

    class AccumulateType(Enum):
        """The ready-made aggregations."""

        MIN = 1
        MAX = 2
        MIN_BY = 3
        MAX_BY = 4
        SUM = 5

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """The sum of a field, in the first element of the key; `position_to_sum` is an index, or a name in a Row."""
        return self._accumulate(position_to_sum, KeyedStream.AccumulateType.SUM)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """The least value of a field, in the first element of the key."""
        return self._accumulate(position_to_min, KeyedStream.AccumulateType.MIN)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """The greatest value of a field, in the first element of the key."""
        return self._accumulate(position_to_max, KeyedStream.AccumulateType.MAX)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The element with the least value of a field, the earliest of several."""
        return self._accumulate(position_to_min_by, KeyedStream.AccumulateType.MIN_BY)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The element with the greatest value of a field, the earliest of several."""
        return self._accumulate(position_to_max_by, KeyedStream.AccumulateType.MAX_BY)

    def _accumulate(self, position: int | str, accumulation: AccumulateType) -> DataStream:
        if not isinstance(position, (int, str)):
            raise TypeError(
                "The field position must be of int or str type to locate the value to calculate for min, max, "
                f"min_by, max_by and sum. The given type is: {type(position)}"
            )
        from penstock.datastream._accumulations import accumulation_function

        return self.reduce(accumulation_function(accumulation.name, position))

    def window(self, window_assigner: WindowAssigner[Any, Any]) -> WindowedStream:
        """Windows per key."""
        from penstock.datastream._windowed_streams import WindowedStream

        return WindowedStream(self, window_assigner)

    def count_window(self, size: int, slide: int = 0) -> WindowedStream:
        """Windows of `size` elements per key, every `slide` elements or one after the other; only full ones fire."""
        from penstock.datastream.window import CountSlidingWindowAssigner, CountTumblingWindowAssigner

        if slide == 0:
            return self.window(CountTumblingWindowAssigner.of(size))
        return self.window(CountSlidingWindowAssigner.of(size, slide))

    # -- without the key -------------------------------------------------------------------------

    def key_by(
        self, key_selector: Callable[[Any], Any] | KeySelector[Any, Any], key_type: TypeInformation | None = None
    ) -> KeyedStream:
        """Replaces the key."""
        return self._origin_stream.key_by(key_selector, key_type)

    def union(self, *streams: DataStream) -> DataStream:
        """The elements of all streams, without keys."""
        return self._plain().union(*streams)

    def project(self, *field_indexes: int) -> DataStream:
        """Some fields of tuples, without keys."""
        return self._plain().project(*field_indexes)

    def add_sink(self, sink_func: SinkFunction) -> DataStreamSink:
        """Writes the elements, without keys."""
        return self._plain().add_sink(sink_func)

    def sink_to(self, sink: Sink) -> DataStreamSink:
        """Writes `Row(key, element)`s, as in PyFlink; to write the elements alone, map them first."""
        return self._rows().sink_to(sink)

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Writes the elements to standard output, without keys."""
        return self._plain().print(sink_identifier)

    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: int | None = None
    ) -> CloseableIterator | list[Any]:
        """As on a DataStream, but gives `Row(key, element)`s."""
        return self._rows().execute_and_collect(job_execution_name, limit)

    def _plain(self) -> DataStream:
        return self._identity(VALUES)

    def _rows(self) -> DataStream:
        """`Row(key, element)`; an operator of this stream only, so it is not part of the program unless it is read."""
        from penstock.datastream._element_functions import KeyWithElement
        from penstock.datastream._transformations import MapSpec

        to_row = UserFunction(KeyWithElement(self._key_selector.load()))
        origin = self._origin_stream
        # As parallel as what it reads, so that it changes nothing about the order of the elements.
        parallelism = origin._edges[0].source.parallelism if len(origin._edges) == 1 else self._env.get_parallelism()
        operator = Transformation(
            ROWS,
            MapSpec(to_row),
            (origin._edges,),
            (None,),
            output_type=self.get_type(),
            parallelism=parallelism,
        )
        return DataStream(self._env, (InputEdge(operator),), operator.output_type, operator)

    def _transform(self, name: str, spec: OperatorSpec, output_type: TypeInformation | None) -> DataStream:
        from penstock.datastream._data_stream import add_operator

        operator = Transformation(
            name,
            spec,
            (self._edges,),
            (self._key_selector,),
            self._key_type,
            output_type,
        )
        return add_operator(self._env, operator)

    def _sink_transformation(self, name: str, spec: OperatorSpec) -> Transformation:
        assert not isinstance(spec, CollectSpec), "a keyed stream collects its rows"
        return super()._sink_transformation(name, spec)

    # -- what a keyed stream refuses -------------------------------------------------------------

    def shuffle(self) -> NoReturn:
        """Raises: a keyed stream is partitioned by its key."""
        raise Exception(PARTITIONING)

    def rebalance(self) -> NoReturn:
        """Raises: a keyed stream is partitioned by its key."""
        raise Exception(PARTITIONING)

    def rescale(self) -> NoReturn:
        """Raises: a keyed stream is partitioned by its key."""
        raise Exception(PARTITIONING)

    def forward(self) -> NoReturn:
        """Raises: a keyed stream is partitioned by its key."""
        raise Exception(PARTITIONING)

    def broadcast(self, *args: Any) -> NoReturn:
        """Raises: a keyed stream is partitioned by its key."""
        raise Exception(PARTITIONING)

    def partition_custom(self, partitioner: Any, key_selector: Any) -> NoReturn:
        """Raises: a keyed stream is partitioned by its key."""
        raise Exception(PARTITIONING)

    def cache(self) -> NoReturn:
        """Raises: there is no operator whose results could be kept."""
        raise Exception("Cache for KeyedStream is not supported.")

    def _own_operator(self, method: str) -> NoReturn:
        raise_unsupported_setting(method, self._kind)


def raise_unsupported_setting(method: str, kind: str) -> NoReturn:
    """Raises what PyFlink raises for a setting that a stream without an operator of its own cannot take."""
    settings = {
        "set_parallelism": "Set parallelism for",
        "name": "Set name for",
        "get_name": "Get name of",
        "uid": "Set uid for",
        "set_uid_hash": "Set uid hash for",
        "set_max_parallelism": "Set max parallelism for",
        "force_non_parallel": "Set force non-parallel for",
        "set_buffer_timeout": "Set buffer timeout for",
        "start_new_chain": "Start new chain for",
        "disable_chaining": "Disable chaining for",
        "slot_sharing_group": "Setting slot sharing group for",
        "set_description": "Set description for",
        "get_side_output": "Getting a side output of",
    }
    raise Exception(f"{settings[method]} {kind} is not supported.")

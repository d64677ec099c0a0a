"""DataStream and DataStreamSink; `data_stream.py` re-exports them.

A stream is the edges an operator reading it would have, with the type of the elements. The operator that produced
it, where there is exactly one, is what `name`, `uid`, `set_parallelism` and the like are about.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, overload

from penstock.common.typeinfo import PickledBytesTypeInfo, TupleTypeInfo, TypeInformation
from penstock.datastream._functions import (
    FilterFunction,
    FlatMapFunction,
    Function,
    KeySelector,
    MapFunction,
    Partitioner,
    SinkFunction,
)
from penstock.datastream._operator_settings import OperatorSettings
from penstock.datastream._transformations import (
    CollectSpec,
    FilterSpec,
    FlatMapSpec,
    InputEdge,
    MapSpec,
    OperatorSpec,
    Partitioning,
    PartitioningKind,
    PrintSpec,
    ProcessSpec,
    SideOutput,
    SinkSpec,
    TimestampsSpec,
    Transformation,
    UserFunction,
)

if TYPE_CHECKING:
    from penstock.common.execution_config import ExecutionConfig
    from penstock.common.watermark_strategy import WatermarkStrategy
    from penstock.datastream._cached_stream import CachedDataStream
    from penstock.datastream._closeable_iterator import CloseableIterator
    from penstock.datastream._connected_streams import (
        BroadcastConnectedStream,
        BroadcastStream,
        ConnectedStreams,
    )
    from penstock.datastream._keyed_stream import KeyedStream
    from penstock.datastream._process_functions import ProcessFunction
    from penstock.datastream._windowed_streams import AllWindowedStream
    from penstock.datastream.connectors.base import Sink
    from penstock.datastream.output_tag import OutputTag
    from penstock.datastream.state import MapStateDescriptor
    from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment
    from penstock.datastream.window import WindowAssigner

__all__ = ["DataStream", "DataStreamSink"]

CO_GENERATOR = 0x20  # of code objects, as in `inspect`, which is slow to import
OutputType = TypeInformation | list[TypeInformation] | None


class DataStream(OperatorSettings):
    """Elements of one type. Made by the environment and by operators; owned by the thread that builds the program.

    A function argument is the function class or a plain callable unless only the class is named. `output_type` None
    means untyped: any picklable object; a list of types means ROW of them.
    """

    _kind = "DataStream"

    def __init__(
        self,
        env: StreamExecutionEnvironment | DataStream,
        edges: tuple[InputEdge, ...] = (),
        type_info: TypeInformation | None = None,
        operator: Transformation | None = None,
    ) -> None:
        if isinstance(env, DataStream):  # programs wrap what `socketTextStream` of the Java environment returns
            edges, type_info, operator, env = env._edges, env._type, env._operator, env._env
        self._env: StreamExecutionEnvironment = env
        self._edges: tuple[InputEdge, ...] = edges
        self._type: TypeInformation | None = type_info
        self._operator: Transformation | None = operator

    # -- what it is ------------------------------------------------------------------------------

    def get_type(self) -> TypeInformation:
        """The type of the elements, PickledBytesTypeInfo where untyped. Rows have field names, `f0`, `f1`, … by default."""
        return named_fields(self._type) if self._type is not None else PickledBytesTypeInfo()

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment the stream belongs to."""
        return self._env

    def get_execution_config(self) -> ExecutionConfig:
        """The environment's execution settings."""
        return self._env.get_config()

    # -- operators -------------------------------------------------------------------------------

    def map(self, func: Callable[[Any], Any] | MapFunction[Any, Any], output_type: OutputType = None) -> DataStream:
        """One result per element."""
        function = _checked(func, MapFunction, "The input must be a MapFunction or a callable function")
        if _yields(func.map if isinstance(func, MapFunction) else func):
            warnings.warn(
                f"{function.name} yields, and map() makes one result of each element: here a generator, which cannot "
                "be sent to another task. Use flat_map() to emit what it yields.",
                stacklevel=2,
            )
        return self._transform("Map", MapSpec(function), declared_type(output_type))

    def flat_map(
        self, func: Callable[[Any], Any] | FlatMapFunction[Any, Any], output_type: OutputType = None
    ) -> DataStream:
        """Any number of results per element; a function that returns None fails."""
        function = _checked(func, FlatMapFunction, "The input must be a FlatMapFunction or a callable function")
        return self._transform("FlatMap", FlatMapSpec(function), declared_type(output_type))

    def filter(self, func: Callable[[Any], Any] | FilterFunction[Any]) -> DataStream:
        """Keeps the elements for which the function gives a true value; the type stays."""
        function = _checked(func, FilterFunction, "The input must be a FilterFunction or a callable function")
        return self._transform("Filter", FilterSpec(function), self._type)

    def process(self, func: ProcessFunction, output_type: OutputType = None) -> DataStream:
        """Results, side outputs and times by a ProcessFunction.

        Raises:
            TypeError: if `func` is no ProcessFunction.
        """
        from penstock.datastream._process_functions import ProcessFunction

        if not isinstance(func, ProcessFunction):
            raise TypeError(f"ProcessFunction is required for DataStream, got {_described(func)}.")
        return self._transform("PROCESS", ProcessSpec(UserFunction(func)), declared_type(output_type))

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        """Gives elements event times and lets event time advance; replaces earlier ones.

        Alignment concerns sources only, as in Flink: a strategy that has one belongs to `from_source`.
        """
        if getattr(watermark_strategy, "alignment", None) is not None:
            warnings.warn(
                "with_watermark_alignment() has no effect in assign_timestamps_and_watermarks(): only sources can wait. "
                "Pass the strategy to from_source().",
                stacklevel=2,
            )
        spec = TimestampsSpec(UserFunction(watermark_strategy))
        return self._transform("Timestamps/Watermarks", spec, self._type)

    def project(self, *field_indexes: int) -> DataStream:
        """Keeps some fields of tuples, in the order given.

        Raises:
            Exception: if the stream's type is not TUPLE.
            ValueError: for an index the tuple does not have.
        """
        type_info = self._type
        if not isinstance(type_info, TupleTypeInfo):
            raise Exception("Only Tuple DataStreams can be projected.")
        from penstock.datastream._element_functions import Projection

        fields = type_info.get_field_types()
        wrong = [index for index in field_indexes if not 0 <= index < len(fields)]
        if wrong or not field_indexes:
            raise ValueError(f"project() takes indexes from 0 to {len(fields) - 1} of {type_info}, got {field_indexes}")
        projected = TupleTypeInfo([fields[index] for index in field_indexes])
        return self._transform("Projection", MapSpec(UserFunction(Projection(field_indexes))), projected)

    def get_side_output(self, output_tag: OutputTag) -> DataStream:
        """What the operator that made this stream emits to the tag.

        Raises:
            ConfigurationError: if this is not the stream an operator returned.
        """
        operator = self._own_operator("get_side_output")
        side = DataStream(
            self._env,
            (InputEdge(operator, side_output=SideOutput(output_tag.tag_id, output_tag.type_info)),),
            declared_type(output_tag.type_info),
        )
        return side._identity("Map")

    # -- partitioning ----------------------------------------------------------------------------

    def key_by(
        self, key_selector: Callable[[Any], Any] | KeySelector[Any, Any], key_type: TypeInformation | None = None
    ) -> KeyedStream:
        """Elements with the same key go to the same subtask and share its state."""
        from penstock.datastream._keyed_stream import KeyedStream

        return KeyedStream(self, key_selector_function(key_selector), declared_type(key_type))

    def shuffle(self) -> DataStream:
        """Elements go to the next operator's subtasks at random."""
        return self._partitioned(PartitioningKind.SHUFFLE)

    def rebalance(self) -> DataStream:
        """Elements go to the next operator's subtasks in turn."""
        return self._partitioned(PartitioningKind.REBALANCE)

    def rescale(self) -> DataStream:
        """Elements go to some of the next operator's subtasks in turn."""
        return self._partitioned(PartitioningKind.RESCALE)

    def forward(self) -> DataStream:
        """Elements stay in their subtask; both operators need the same parallelism."""
        return self._partitioned(PartitioningKind.FORWARD)

    @overload
    def broadcast(self) -> DataStream: ...

    @overload
    def broadcast(
        self, broadcast_state_descriptor: MapStateDescriptor, *other_broadcast_state_descriptors: MapStateDescriptor
    ) -> BroadcastStream: ...

    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> DataStream | BroadcastStream:
        """Elements go to every subtask; with descriptors, for `connect` with a stream that reads broadcast state.

        Raises:
            TypeError: for descriptors other than MapStateDescriptor.
        """
        from penstock.datastream._connected_streams import BroadcastStream
        from penstock.datastream.state import MapStateDescriptor

        everywhere = self._partitioned(PartitioningKind.BROADCAST)
        if broadcast_state_descriptor is None:
            return everywhere
        descriptors = [broadcast_state_descriptor, *other_broadcast_state_descriptors]
        if not all(isinstance(descriptor, MapStateDescriptor) for descriptor in descriptors):
            raise TypeError("broadcast_state_descriptor must be MapStateDescriptor")
        return BroadcastStream(everywhere, descriptors)

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Callable[[Any], Any] | KeySelector[Any, Any],
    ) -> DataStream:
        """Elements go where the partitioner says: `partitioner(key, parallelism of the next operator) -> index`."""
        if not isinstance(partitioner, Partitioner) and not callable(partitioner):
            raise TypeError("Parameter partitioner should be type of Partitioner or a callable function.")
        choose = partitioner.partition if isinstance(partitioner, Partitioner) else partitioner
        selector = key_selector_function(key_selector)
        return self._with_partitioning(Partitioning(PartitioningKind.CUSTOM, selector, UserFunction(choose)))

    # -- several streams -------------------------------------------------------------------------

    def union(self, *streams: DataStream) -> DataStream:
        """The elements of all streams; a stream given twice counts twice.

        Raises:
            TypeError: for arguments that are no streams.
            ConfigurationError: if the types differ, or the streams belong to different environments.
        """
        edges = self._edges
        for stream in streams:
            if not isinstance(stream, DataStream):
                raise TypeError(f"union() takes DataStreams, got {_described(stream)}")
            self._check_union(stream)
            edges += stream._plain()._edges
        return DataStream(self._env, edges, self._type)

    @overload
    def connect(self, ds: BroadcastStream) -> BroadcastConnectedStream: ...

    @overload
    def connect(self, ds: DataStream) -> ConnectedStreams: ...

    def connect(self, ds: DataStream | BroadcastStream) -> ConnectedStreams | BroadcastConnectedStream:
        """Two streams, of different types perhaps, for one operator with two inputs."""
        from penstock.datastream._connected_streams import (
            BroadcastConnectedStream,
            BroadcastStream,
            ConnectedStreams,
        )

        if isinstance(ds, BroadcastStream):
            return BroadcastConnectedStream(self, ds, ds.broadcast_state_descriptors)
        if not isinstance(ds, DataStream):
            raise TypeError(f"connect() takes a DataStream or a BroadcastStream, got {_described(ds)}")
        return ConnectedStreams(self, ds)

    def window_all(self, window_assigner: WindowAssigner[Any, Any]) -> AllWindowedStream:
        """Windows over the whole stream, in one subtask in effect."""
        from penstock.datastream._windowed_streams import AllWindowedStream

        return AllWindowedStream(self, window_assigner)

    # -- ends ------------------------------------------------------------------------------------

    def add_sink(self, sink_func: SinkFunction) -> DataStreamSink:
        """Writes to a SinkFunction, of which there are StreamingFileSink and subclasses with a `to_sink`.

        Raises:
            TypeError: if it is no SinkFunction.
        """
        if not isinstance(sink_func, SinkFunction):
            raise TypeError(f"add_sink() takes a SinkFunction, got {_described(sink_func)}; a Sink goes to sink_to().")
        return self._end("Unnamed", SinkSpec(sink_func.to_sink()))

    def sink_to(self, sink: Sink) -> DataStreamSink:
        """Writes to a Sink.

        Raises:
            TypeError: if it is no Sink.
        """
        from penstock.datastream.connectors.base import Sink, SupportsPreprocessing

        if not isinstance(sink, Sink):
            raise TypeError(f"sink_to() takes a Sink, got {_described(sink)}; a SinkFunction goes to add_sink().")
        stream: DataStream = self
        if isinstance(sink, SupportsPreprocessing):
            transformer = sink.get_transformer()
            stream = self if transformer is None else transformer.apply(self)
        return stream._end("Sink", SinkSpec(sink))

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Writes one line per element to standard output, after the identifier and above parallelism 1 the subtask."""
        return self._end("Print to Std. Out", PrintSpec(sink_identifier))

    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: int | None = None
    ) -> CloseableIterator | list[Any]:
        """Runs what this stream needs as a job of its own, and gives its elements.

        What else the program registered on the environment is forgotten, as in PyFlink.

        Args:
            job_execution_name: the job's name.
            limit: collects at most so many elements, and returns a list.

        Returns:
            An iterator to be closed, or the list.

        Raises:
            JobError: the job failed; without `limit` it is raised while iterating.
        """
        if limit is not None and limit <= 0:
            raise ValueError(f"Limit must be greater than 0, got {limit}")
        collector = self._sink_transformation("Data stream collect sink", CollectSpec(limit))
        collector.parallelism = 1
        return self._env._collect(collector, job_execution_name, limit)

    def cache(self) -> CachedDataStream:
        """A stream whose elements are computed once and kept for later jobs; BATCH mode only."""
        from penstock.datastream._cached_stream import CachedDataStream

        return CachedDataStream(self, self._own_operator("cache"))

    # -- construction ----------------------------------------------------------------------------

    def _plain(self) -> DataStream:
        """The stream without its key, where it has one."""
        return self

    def _identity(self, name: str) -> DataStream:
        from penstock.datastream._element_functions import identity

        return self._transform(name, MapSpec(UserFunction(identity)), self._type)

    def _partitioned(self, kind: PartitioningKind) -> DataStream:
        return self._with_partitioning(Partitioning(kind))

    def _with_partitioning(self, partitioning: Partitioning) -> DataStream:
        edges = tuple(InputEdge(edge.source, partitioning, edge.side_output) for edge in self._edges)
        return DataStream(self._env, edges, self._type)

    def _transform(self, name: str, spec: OperatorSpec, output_type: TypeInformation | None) -> DataStream:
        operator = Transformation(name, spec, (self._edges,), (None,), output_type=output_type)
        return add_operator(self._env, operator)

    def _end(self, name: str, spec: OperatorSpec) -> DataStreamSink:
        operator = self._sink_transformation(name, spec)
        self._env._add(operator)
        return DataStreamSink(self._env, operator)

    def _sink_transformation(self, name: str, spec: OperatorSpec) -> Transformation:
        # A sink has no output; its type is its input's, which print and file sinks go by.
        return Transformation(
            name, spec, (self._edges,), (None,), output_type=self._type, parallelism=self._env.get_parallelism()
        )

    def _check_union(self, other: DataStream) -> None:
        from penstock.errors import ConfigurationError

        if other._env is not self._env:
            raise ConfigurationError("union() takes streams of one environment; build both on the same environment.")
        mine, theirs = self._element_type(), other._element_type()
        if mine != theirs:
            raise ConfigurationError(
                f"Cannot union streams of different types: {mine} and {theirs}. "
                "Give both the same output_type, or map one of them."
            )

    def _element_type(self) -> TypeInformation:
        return self._type if self._type is not None else PickledBytesTypeInfo()


class DataStreamSink(OperatorSettings):
    """The end of a stream. Owned by the thread that builds the program."""

    _kind = "DataStreamSink"

    def __init__(self, env: StreamExecutionEnvironment, operator: Transformation) -> None:
        self._env = env
        self._operator = operator


def declared_type(output_type: OutputType) -> TypeInformation | None:
    """A type as a program declares it: a list means ROW, None and pickled bytes mean untyped (None).

    Raises:
        TypeError: for anything else, and for types that cannot exist.
    """
    if output_type is None or isinstance(output_type, PickledBytesTypeInfo):
        return None
    if isinstance(output_type, list):
        from penstock.common.typeinfo import RowTypeInfo

        output_type = RowTypeInfo(output_type)
    if not isinstance(output_type, TypeInformation):
        raise TypeError(f"output_type must be None, list or TypeInformation, got {_described(output_type)}")
    output_type.check()
    return output_type


def named_fields(type_info: TypeInformation) -> TypeInformation:
    """The type as a stream shows it: the fields of its rows have names, as after PyFlink's way through Java."""
    from penstock.common.typeinfo import RowTypeInfo

    if isinstance(type_info, RowTypeInfo):
        type_info.get_field_names()  # from now on these are the type's names
    if isinstance(type_info, (RowTypeInfo, TupleTypeInfo)):
        for field in type_info.get_field_types():
            named_fields(field)
    return type_info


def key_selector_function(key_selector: Any) -> UserFunction:
    """The pickled `value -> key` of a KeySelector or callable.

    Raises:
        TypeError: if it is neither.
    """
    if isinstance(key_selector, KeySelector):
        return UserFunction(key_selector.get_key)
    if not callable(key_selector):
        raise TypeError("Parameter key_selector should be type of KeySelector or a callable function.")
    return UserFunction(key_selector)


def add_operator(env: StreamExecutionEnvironment, operator: Transformation) -> DataStream:
    """Registers an operator and gives the stream it produces."""
    operator.parallelism = env.get_parallelism()
    env._add(operator)
    return DataStream(env, (InputEdge(operator),), operator.output_type, operator)


def refuse(what: str, kind: str) -> NoReturn:
    """Raises PyFlink's error for a setting a kind of stream does not take."""
    raise Exception(f"{what} {kind} is not supported.")


def _checked(function: Any, kind: type[Function], message: str) -> UserFunction:
    if not isinstance(function, kind) and not callable(function):
        raise TypeError(message)
    return UserFunction(function)


def _yields(function: Any) -> bool:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & CO_GENERATOR)


def _described(value: object) -> str:
    return f"{type(value).__name__} {value!r}" if not isinstance(value, type) else f"the class {value.__name__} itself"

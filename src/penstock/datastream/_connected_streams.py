"""Two streams for one operator; `data_stream.py` re-exports them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from penstock.common.typeinfo import TypeInformation
from penstock.datastream._data_stream import DataStream, OutputType, add_operator, declared_type
from penstock.datastream._functions import CoFlatMapFunction, CoMapFunction, KeySelector
from penstock.datastream._keyed_stream import KeyedStream
from penstock.datastream._transformations import Transformation, TwoInputSpec, UserFunction

if TYPE_CHECKING:
    from penstock.datastream._process_functions import (
        BroadcastProcessFunction,
        CoProcessFunction,
        KeyedBroadcastProcessFunction,
        KeyedCoProcessFunction,
    )
    from penstock.datastream.state import MapStateDescriptor

__all__ = ["BroadcastConnectedStream", "BroadcastStream", "ConnectedStreams"]


class ConnectedStreams:
    """Two streams, of different types perhaps, that one operator reads; keyed when both are.

    Attributes:
        stream1: the first input.
        stream2: the second input.
    """

    def __init__(self, stream1: DataStream, stream2: DataStream) -> None:
        self.stream1 = stream1
        self.stream2 = stream2

    def key_by(
        self,
        key_selector1: Callable[[Any], Any] | KeySelector[Any, Any],
        key_selector2: Callable[[Any], Any] | KeySelector[Any, Any],
        key_type: TypeInformation | None = None,
    ) -> ConnectedStreams:
        """Keys both inputs; earlier keys are replaced."""
        return ConnectedStreams(
            self.stream1.key_by(key_selector1, key_type), self.stream2.key_by(key_selector2, key_type)
        )

    def map(self, func: CoMapFunction[Any, Any, Any], output_type: OutputType = None) -> DataStream:
        """One result per element of either input; None is dropped."""
        if not isinstance(func, CoMapFunction):
            raise TypeError("The input function must be a CoMapFunction!")
        return self._transform("Co-Map", "map", func, output_type)

    def flat_map(self, func: CoFlatMapFunction[Any, Any, Any], output_type: OutputType = None) -> DataStream:
        """Any number of results per element of either input; None counts as none."""
        if not isinstance(func, CoFlatMapFunction):
            raise TypeError("The input must be a CoFlatMapFunction!")
        return self._transform("Co-Flat Map", "flat_map", func, output_type)

    def process(self, func: CoProcessFunction | KeyedCoProcessFunction, output_type: OutputType = None) -> DataStream:
        """Results, side outputs and times; on keyed inputs state and timers.

        Raises:
            TypeError: for a function of another kind.
        """
        from penstock.datastream._process_functions import CoProcessFunction, KeyedCoProcessFunction

        if not isinstance(func, (CoProcessFunction, KeyedCoProcessFunction)):
            raise TypeError("The input must be a CoProcessFunction or KeyedCoProcessFunction!")
        name = "Keyed Co-Process" if self._is_keyed_stream() else "Co-Process"
        return self._transform(name, "process", func, output_type)

    def _is_keyed_stream(self) -> bool:
        return isinstance(self.stream1, KeyedStream) and isinstance(self.stream2, KeyedStream)

    def _transform(self, name: str, kind: str, function: Any, output_type: OutputType) -> DataStream:
        first, second = self.stream1, self.stream2
        spec = TwoInputSpec(kind, UserFunction(function))
        declared = declared_type(output_type)
        if isinstance(first, KeyedStream) and isinstance(second, KeyedStream):
            operator = Transformation(
                name,
                spec,
                (first._edges, second._edges),
                (first._key_selector, second._key_selector),
                first._key_type,
                declared,
            )
        else:
            edges = (first._plain()._edges, second._plain()._edges)
            operator = Transformation(name, spec, edges, (None, None), output_type=declared)
        return add_operator(first._env, operator)


class BroadcastStream:
    """A stream every subtask of an operator gets whole, and keeps in broadcast state.

    Attributes:
        input_stream: the stream, partitioned by broadcast.
        broadcast_state_descriptors: the state it may write.
    """

    def __init__(self, input_stream: DataStream, broadcast_state_descriptors: Sequence[MapStateDescriptor]) -> None:
        self.input_stream = input_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)


class BroadcastConnectedStream:
    """A stream, keyed or not, with a broadcast one.

    Attributes:
        non_broadcast_stream: the first input.
        broadcast_stream: the second input.
        broadcast_state_descriptors: the broadcast state there is.
    """

    def __init__(
        self,
        non_broadcast_stream: DataStream,
        broadcast_stream: BroadcastStream,
        broadcast_state_descriptors: Sequence[MapStateDescriptor],
    ) -> None:
        self.non_broadcast_stream = non_broadcast_stream
        self.broadcast_stream = broadcast_stream
        self.broadcast_state_descriptors = list(broadcast_state_descriptors)

    def process(
        self,
        func: BroadcastProcessFunction[Any, Any, Any] | KeyedBroadcastProcessFunction[Any, Any, Any, Any],
        output_type: OutputType = None,
    ) -> DataStream:
        """Results, side outputs and broadcast state; on a keyed stream also keyed state and timers.

        Raises:
            TypeError: for a keyed function on a plain stream, a plain one on a keyed stream, or neither.
        """
        from penstock.datastream._process_functions import (
            BroadcastProcessFunction,
            KeyedBroadcastProcessFunction,
        )

        stream = self.non_broadcast_stream
        keyed = isinstance(stream, KeyedStream)
        if isinstance(func, BroadcastProcessFunction):
            if keyed:
                raise TypeError("BroadcastProcessFunction should be applied to non-keyed DataStream")
        elif not isinstance(func, KeyedBroadcastProcessFunction):
            raise TypeError("The input must be a BroadcastProcessFunction or KeyedBroadcastProcessFunction!")
        elif not keyed:
            raise TypeError("KeyedBroadcastProcessFunction should be applied to keyed DataStream")
        operator = Transformation(
            "Keyed-Co-Process-Broadcast" if keyed else "Co-Process-Broadcast",
            TwoInputSpec("broadcast_process", UserFunction(func), tuple(self.broadcast_state_descriptors)),
            (stream._edges, self.broadcast_stream.input_stream._edges),
            (stream._key_selector if isinstance(stream, KeyedStream) else None, None),
            stream._key_type if isinstance(stream, KeyedStream) else None,
            declared_type(output_type),
        )
        return add_operator(stream._env, operator)

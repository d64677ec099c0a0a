"""What a program builds: a graph of transformations, each with the operator it stands for.

The user API creates these, `penstock.graph` translates them; neither knows the other. The shapes follow Flink's
`org.apache.flink.streaming.api.transformations`. User functions are held as pickled bytes from the moment they
are passed in, as in PyFlink: what a program changes afterwards does not reach its functions, and what cannot be
pickled fails while the graph is built.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from penstock.conf import Record
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream.connectors.base import Sink, Source

__all__ = [
    "AsyncSpec",
    "ChainingStrategy",
    "CollectSpec",
    "FilterSpec",
    "FlatMapSpec",
    "MapSpec",
    "NotPicklableError",
    "OperatorSpec",
    "Partitioning",
    "PartitioningKind",
    "PrintSpec",
    "ProcessSpec",
    "ReduceSpec",
    "SideOutput",
    "SinkSpec",
    "SourceSpec",
    "TimestampsSpec",
    "Transformation",
    "TwoInputSpec",
    "UserFunction",
    "WindowSpec",
]

_ids = itertools.count(1)


class NotPicklableError(ConfigurationError, TypeError):
    """Something of the program that cannot be pickled; a TypeError, as pickle's own mostly is and PyFlink lets it be."""


class UserFunction:
    """A user's function or function object, pickled when the operator is created, loaded once per subtask.

    Attributes:
        payload: the cloudpickle bytes.
        name: what error messages call it, e.g. `Tokenizer` or `<lambda> at job.py:12`.
    """

    __slots__ = ("name", "payload")

    def __init__(self, function: Any) -> None:
        import cloudpickle

        self.name = describe_function(function)
        try:
            self.payload: bytes = cloudpickle.dumps(function)
        except Exception as error:
            raise NotPicklableError(
                f"{self.name} cannot be sent to the tasks: {error}. A function and everything it captures is pickled "
                f"when it is passed in, as on a Flink cluster. Create connections, locks and open files in open() instead."
            ) from error

    def load(self) -> Any:
        """A fresh copy, as each parallel subtask gets its own."""
        import pickle

        return pickle.loads(self.payload)


def describe_function(function: Any) -> str:
    """Names a function for messages: its class for function objects, its place in the source for plain ones."""
    code = getattr(function, "__code__", None)
    if code is None:
        return type(function).__qualname__ if not isinstance(function, type) else function.__qualname__
    name = getattr(function, "__qualname__", "function").rpartition("<locals>.")[2]
    return f"{name} at {code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}"


class ChainingStrategy(Enum):
    """Whether an operator may be chained to its input (Flink's `ChainingStrategy`)."""

    ALWAYS = "ALWAYS"
    HEAD = "HEAD"  # starts a new chain, others may be chained to it
    NEVER = "NEVER"


class PartitioningKind(Enum):
    """How records travel between two operators; the values are the ship strategies of an execution plan."""

    FORWARD = "FORWARD"
    REBALANCE = "REBALANCE"
    RESCALE = "RESCALE"
    SHUFFLE = "SHUFFLE"
    BROADCAST = "BROADCAST"
    GLOBAL = "GLOBAL"
    HASH = "HASH"
    CUSTOM = "CUSTOM"


class Partitioning(Record):
    """An explicit partitioning of an edge.

    Attributes:
        kind: how records are distributed.
        key_selector: HASH and CUSTOM: a callable `value -> key` (a KeySelector's bound `get_key` or plain callable, pickled).
        partitioner: CUSTOM: a callable `(key, partitions) -> index`, pickled.
    """

    kind: PartitioningKind
    key_selector: UserFunction | None = None
    partitioner: UserFunction | None = None


class OperatorSpec(Record):
    """What an operator does; the runtime has one implementation a subclass."""


class SourceSpec(OperatorSpec):
    """Reads a `Source`; `watermark_strategy` (a WatermarkStrategy or None) as passed to `from_source`."""

    source: Source
    watermark_strategy: Any = None


class MapSpec(OperatorSpec):
    """A MapFunction or callable; keyed when the transformation has a key selector, then with keyed state."""

    function: UserFunction


class FlatMapSpec(OperatorSpec):
    """A FlatMapFunction or callable that returns an iterable for each element."""

    function: UserFunction


class FilterSpec(OperatorSpec):
    """A FilterFunction or callable; truthiness decides."""

    function: UserFunction


class ReduceSpec(OperatorSpec):
    """A rolling reduce on a keyed stream (also sum, min, max, min_by, max_by): running aggregates when streaming, one a key in BATCH."""

    function: UserFunction


class ProcessSpec(OperatorSpec):
    """A ProcessFunction, or on a keyed stream a KeyedProcessFunction."""

    function: UserFunction


class TwoInputSpec(OperatorSpec):
    """An operator of connected streams.

    Attributes:
        kind: `map`, `flat_map`, `process`, or `broadcast_process` (second input is the broadcast side).
        function: CoMapFunction, CoFlatMapFunction, (Keyed)CoProcessFunction or (Keyed)BroadcastProcessFunction.
        broadcast_descriptors: `broadcast_process`: the MapStateDescriptors given to `broadcast()`.
    """

    kind: str
    function: UserFunction
    broadcast_descriptors: tuple[Any, ...] = ()


class WindowSpec(OperatorSpec):
    """A window operator on a keyed stream, or on all elements (`window_all`: then the key selector is constant).

    Attributes:
        assigner: the WindowAssigner.
        trigger: the Trigger, the assigner's default where the program set none.
        kind: `reduce`, `aggregate`, `apply` or `process`.
        function: the ReduceFunction or AggregateFunction of the first two kinds, else the window function itself.
        window_function: what receives the aggregate in the first two kinds, or None.
        all_windows: True for `window_all`: window functions are the All* classes and get no key.
        allowed_lateness_ms: how long after its end a window is kept, in ms.
        late_tag: the OutputTag of late data, or None.
        accumulator_type: `aggregate`: the declared type of the accumulator, None untyped.
    """

    assigner: UserFunction
    trigger: UserFunction
    kind: str
    function: UserFunction
    window_function: UserFunction | None = None
    all_windows: bool = False
    allowed_lateness_ms: int = 0
    late_tag: Any = None
    accumulator_type: TypeInformation | None = None


class TimestampsSpec(OperatorSpec):
    """`assign_timestamps_and_watermarks`; `strategy` is the pickled WatermarkStrategy."""

    strategy: UserFunction


class AsyncSpec(OperatorSpec):
    """An AsyncFunction: `ordered`, `timeout_ms` (0 = none), `capacity` elements in flight, `retry` a pickled AsyncRetryStrategy or None."""

    function: UserFunction
    ordered: bool
    timeout_ms: int
    capacity: int
    retry: UserFunction | None = None


class PrintSpec(OperatorSpec):
    """Writes one line an element to standard output (spec'd by the input's type)."""

    identifier: str | None = None


class SinkSpec(OperatorSpec):
    """Writes to a `Sink`."""

    sink: Sink


class CollectSpec(OperatorSpec):
    """Hands the elements to the client of `execute_and_collect`, at most `limit` where given."""

    limit: int | None = None


@dataclass(slots=True, eq=False)
class SideOutput:
    """Selects a side output of the producing transformation: the tag's id, and the type its records have."""

    tag_id: str
    type_info: TypeInformation | None = field(default=None, compare=False)


@dataclass(slots=True, eq=False)
class InputEdge:
    """One edge into a transformation.

    Attributes:
        source: the producing transformation.
        partitioning: None lets the graph choose: FORWARD between equal parallelisms, else REBALANCE (Flink's rule).
        side_output: set when the edge reads a side output instead of the main one.
    """

    source: Transformation
    partitioning: Partitioning | None = None
    side_output: SideOutput | None = None


@dataclass(eq=False, slots=True)
class Transformation:
    """One operator of the program. Owned by the thread that builds the program; frozen once the job is submitted.

    Attributes:
        name: the operator's name as shown and as in plans.
        spec: what it does.
        inputs: for each logical input (one, or two for connected streams) the edges that feed it: several after a union.
        key_selectors: for each logical input the key selector (`value -> key`), or None where the input is not keyed.
        key_type: the declared key type, or None.
        output_type: the declared type, or None for untyped (pickled) streams.
        parallelism: None means the environment's at execution.
        max_parallelism: number of key groups, None for the environment's or Flink's default.
    """

    name: str
    spec: OperatorSpec
    inputs: tuple[tuple[InputEdge, ...], ...] = ()
    key_selectors: tuple[UserFunction | None, ...] = ()
    key_type: TypeInformation | None = None
    output_type: TypeInformation | None = None
    parallelism: int | None = None
    max_parallelism: int | None = None
    non_parallel: bool = False  # force_non_parallel(), collection sources: always one subtask
    uid: str | None = None
    uid_hash: str | None = None
    description: str | None = None
    slot_sharing_group: str | None = None
    chaining: ChainingStrategy = ChainingStrategy.ALWAYS
    buffer_timeout_ms: int | None = None
    id: int = field(default_factory=lambda: next(_ids))

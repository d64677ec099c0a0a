"""From a job graph to tasks: channels between subtasks, and for each subtask its chain with loaded functions.

Every subtask loads its own copies of the user's functions, as on a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from penstock.common._values import checker_for, client_coercer_for, coercer_for, print_text
from penstock.common.typeinfo import RowTypeInfo
from penstock.datastream._transformations import (
    CollectSpec,
    FilterSpec,
    FlatMapSpec,
    MapSpec,
    OperatorSpec,
    PartitioningKind,
    PrintSpec,
    ReduceSpec,
    SinkSpec,
    SourceSpec,
    TimestampsSpec,
    TwoInputSpec,
    UserFunction,
)
from penstock.datastream.connectors.base import ReaderContext, SourceReader, WriterContext
from penstock.datastream.functions import Function
from penstock.errors import ConfigurationError, InvariantError
from penstock.graph import ChainedOperator, ExecutionGraph, ExecutionVertex, JobEdge, JobVertex
from penstock.runtime._alignment import AlignmentPort
from penstock.runtime._chain import ChainNode
from penstock.runtime._channels import Channel, InputGate, connections
from penstock.runtime._failure import UserFunctionError
from penstock.runtime._metrics import MetricRegistry, ScopedMetricGroup
from penstock.runtime._outputs import (
    CollectOutput,
    NetworkOutput,
    Output,
    PrintOutput,
    ResultStage,
    Routing,
    SinkOutput,
    print_prefix,
)
from penstock.runtime._record_types import edge_type, enforced_types, key_type_of, timestamps_type, typed_key_selector
from penstock.runtime._recovery import OperatorRecovery
from penstock.runtime._runtime_context import StreamingRuntimeContext, TaskFacts
from penstock.runtime._scheduler import Clock
from penstock.runtime._source_watermarks import watermarked_reader
from penstock.runtime._task import Task
from penstock.runtime._task_settings import Lifecycle, TaskSettings
from penstock.runtime._timers import TimerService
from penstock.runtime._watermarks import WatermarkGenerator
from penstock.runtime.operators import create_operator
from penstock.runtime.operators.base import Operator, OperatorContext
from penstock.runtime.state import StateKind, TableSpec

if TYPE_CHECKING:
    from penstock.memory import CreditGate
    from penstock.runtime.sort import ExternalSorter

__all__ = ["Deployment", "DeploymentSettings"]

REDUCE_STATE = "_op_state"


def _no_exchange(worker: int, number: int, _: int) -> Channel:
    raise InvariantError(f"channel {number} leads to worker {worker}, but the job runs in one process")


def _no_stage(node_id: int, _: int) -> ResultStage:
    raise InvariantError(f"nobody reads the results of node {node_id}")


@dataclass(slots=True)
class DeploymentSettings:
    """What deployment needs besides the graph.

    Attributes:
        clock: epoch ms.
        batch_mode: RuntimeExecutionMode.BATCH.
        task: settings of the tasks.
        job_parameters: global job parameters.
        credits: batches in flight a channel.
        seed: None for the fair order, else the seed of random interleavings.
        checkpointing: whether the job takes checkpoints.
        make_backend: creates the keyed state of a subtask: (vertex, operator id, the lifecycle to add its end to).
        make_grouped: creates the grouped input of a BATCH subtask: (vertex).
        take_splits: gives the planned splits of a source by its node id.
        recovery: state to restore, by operator id, or None.
        wake: wakes a task from any thread.
        ready: queues a task on the scheduler's thread.
        stage: where the records of a collecting sink go: (node id, subtask index).
        worker_of: the worker process that runs a subtask, by its index; all of them run in this one by default.
        worker: this process.
        outgoing: creates the channel to a subtask of another worker: (its worker, channel number, input index).
        incoming: creates the channel from a subtask of another worker, likewise.
        open_gate: the network memory of a partition: (owner, channels).
        alignment: where source readers learn how far their group is.
        print_lock: held while lines are printed, so that processes do not mix theirs.
    """

    clock: Clock
    task: TaskSettings
    make_backend: Callable[[ExecutionVertex, str, Lifecycle], Any]
    make_grouped: Callable[[ExecutionVertex, Lifecycle], ExternalSorter]
    take_splits: Callable[[int], Sequence[Any]]
    open_gate: Callable[[str, int], CreditGate]
    wake: Callable[[Task], None]
    ready: Callable[[Task], None]
    alignment: AlignmentPort
    batch_mode: bool = False
    job_parameters: dict[str, str] = field(default_factory=dict)
    credits: int = 10
    seed: int | None = None
    checkpointing: bool = False
    recovery: Callable[[str], OperatorRecovery | None] = lambda operator_id: None
    stage: Callable[[int, int], ResultStage] = _no_stage
    worker_of: Callable[[int], int] = lambda subtask_index: 0
    worker: int = 0
    outgoing: Callable[[int, int, int], Channel] = _no_exchange
    incoming: Callable[[int, int, int], Channel] = _no_exchange
    print_lock: AbstractContextManager[Any] = field(default_factory=nullcontext)


class Deployment:
    """The tasks of one attempt of a job in this process. Owned by the job's thread.

    Attributes:
        tasks: in topological order.
        metrics: what the user functions registered.
    """

    def __init__(self, graph: ExecutionGraph, settings: DeploymentSettings) -> None:
        self._graph = graph
        self._settings = settings
        self._outputs: dict[tuple[int, int], list[Channel]] = {}
        self._inputs: dict[tuple[int, int], list[Channel]] = {}
        self._ends: list[tuple[Channel, tuple[int, int] | None, tuple[int, int] | None]] = []
        self.metrics = MetricRegistry()
        self._connect_all()
        self._open_gates()
        self.tasks: list[Task] = []
        try:
            for vertex in graph.vertices:
                if settings.worker_of(vertex.subtask_index) == settings.worker:
                    self.tasks.append(_TaskBuilder(self, vertex, settings).build())
        except BaseException:
            self.discard()
            raise
        self._wire()

    # -- channels --------------------------------------------------------------------------------

    def _connect_all(self) -> None:
        """Numbers all channels of the job, the same way in every process, and creates those with an end here."""
        number = 0
        for vertex in self._graph.job.vertices.values():
            for edge in vertex.inputs:
                producers = self._graph.job.vertices[edge.source].parallelism
                for source, target in connections(edge.partitioning.kind, producers, vertex.parallelism):
                    self._connect(edge, source, target, number)
                    number += 1

    def _connect(self, edge: JobEdge, source: int, target: int, number: int) -> None:
        settings = self._settings
        from_here = settings.worker_of(source) == settings.worker
        to_here = settings.worker_of(target) == settings.worker
        index = edge.edge.input_index
        if from_here and to_here:
            channel = Channel(settings.credits, index)
        elif from_here:
            channel = settings.outgoing(settings.worker_of(target), number, index)
        elif to_here:
            channel = settings.incoming(settings.worker_of(source), number, index)
        else:
            return
        producer, consumer = (edge.source, source), (edge.target, target)
        if from_here:
            self._outputs.setdefault((id(edge), source), []).append(channel)
        if to_here:
            self._inputs.setdefault(consumer, []).append(channel)
        self._ends.append((channel, producer if from_here else None, consumer if to_here else None))

    def _open_gates(self) -> None:
        """Every partition's batches are accounted in network memory."""
        edges = {id(edge): edge for vertex in self._graph.job.vertices.values() for edge in vertex.inputs}
        for (edge_id, source), channels in self._outputs.items():
            producer = self._graph.job.vertices[edges[edge_id].source]
            owner = f"{producer.name} ({source + 1}/{producer.parallelism})"
            gate = self._settings.open_gate(owner, len(channels))
            for channel in channels:
                channel.gate = gate

    def discard(self) -> None:
        """The attempt is over: gives back what batches in flight hold, and what tasks hold that never ran."""
        for task in self.tasks:
            task.discard()
        for channel, producer, _ in self._ends:
            if producer is not None:
                channel.discard()

    def channels_from(self, edge: JobEdge, subtask: int) -> list[Channel]:
        """The channels of an exchange that a producing subtask writes, by consumer."""
        return self._outputs.get((id(edge), subtask), [])

    def channels_to(self, vertex_id: int, subtask: int) -> list[Channel]:
        """The channels that a consuming subtask reads."""
        return self._inputs.get((vertex_id, subtask), [])

    def consumer_of(self, edge: JobEdge) -> JobVertex:
        """The vertex an exchange leads to."""
        return self._graph.job.vertices[edge.target]

    def _wire(self) -> None:
        """Channels wake the tasks at their ends."""
        ready = self._settings.ready
        tasks = {(task.vertex.vertex.id, task.vertex.subtask_index): task for task in self.tasks}
        for channel, producer, consumer in self._ends:
            if consumer is not None:
                channel.on_data = _call_with(ready, tasks[consumer])
            if producer is not None:
                channel.on_credit = _call_with(ready, tasks[producer])


def _call_with(function: Callable[[Task], None], task: Task) -> Callable[[], None]:
    return lambda: function(task)


class _TaskBuilder:
    """Builds one subtask."""

    def __init__(self, deployment: Deployment, vertex: ExecutionVertex, settings: DeploymentSettings) -> None:
        self._deployment = deployment
        self._vertex = vertex
        self._settings = settings
        self._lifecycle = Lifecycle()
        self._facts = TaskFacts(
            vertex.vertex.name,
            vertex.subtask_index,
            vertex.vertex.parallelism,
            vertex.vertex.max_parallelism,
            vertex.attempt,
            settings.job_parameters,
        )
        self._timers: dict[int, list[TimerService]] = {}
        self._task: Task | None = None
        self._made: list[Callable[[], None]] = []  # ends of readers and writers, should the task not come about
        self._random = Random(f"{settings.seed}/{vertex.vertex.head.node.operator_id}/{vertex.subtask_index}")

    def build(self) -> Task:
        """The task, wired to its channels, nothing opened yet."""
        try:
            return self._build()
        except BaseException:
            for release in [*self._made, *self._lifecycle.release]:
                release()
            raise

    def _build(self) -> Task:
        vertex = self._vertex
        head = vertex.vertex.head
        backend = self._backend(head)
        node = self._node(head, backend)
        key_type = key_type_of(head.node.transformation.key_type)
        node.key_of = tuple(
            None if selector is None else self._load(selector, head.node.transformation.name)
            for selector in head.node.transformation.key_selectors
        )
        node.key_types = tuple(None if select is None else key_type for select in node.key_of)
        gate, reader, grouped = None, None, None
        if isinstance(head.node.transformation.spec, SourceSpec):
            reader = self._reader(head.node.transformation.spec, node)
        else:
            gate = self._gate()
            if self._settings.batch_mode and any(node.key_of):
                grouped = self._settings.make_grouped(vertex, self._lifecycle)
            elif self._settings.batch_mode and _is_broadcast(node.spec):
                gate.preferred_input = 1
        task = Task(
            vertex,
            node,
            self._settings.task,
            gate=gate,
            reader=reader,
            backend=backend,
            lifecycle=self._lifecycle,
            grouped=grouped,
        )
        task.timers.update(self._timers)
        self._task = task
        return task

    # -- operators -------------------------------------------------------------------------------

    def _node(self, operator: ChainedOperator, backend: Any, producer: OperatorSpec | None = None) -> ChainNode:
        transformation = operator.node.transformation
        spec = transformation.spec
        node = ChainNode(transformation.id, transformation.name, spec, operator.node.operator_id, backend=backend)
        # Flink opens a chain from its end, so that an operator may emit while it is opened.
        node.children = [(tag, self._node(child, None, spec)) for tag, child in operator.children]
        node.outputs = [(edge.edge.side_output, self._network(edge)) for edge in self._edges_of(operator)]
        node.coercers = enforced_types(
            transformation,
            [(tag, child.node.transformation) for tag, child in operator.children],
            [tag for tag, _ in node.outputs],
        )
        after_assignment = timestamps_type(spec, producer, transformation.output_type)
        if after_assignment is not None:
            node.coercers[None] = after_assignment
        recovery = self._settings.recovery(operator.node.operator_id)
        if isinstance(spec, (MapSpec, FlatMapSpec, FilterSpec, ReduceSpec)):
            self._inline(node, spec, backend, recovery)
        elif isinstance(spec, TimestampsSpec):
            node.watermarks = WatermarkGenerator.of(self._load(spec.strategy, node.name))
        elif isinstance(spec, SourceSpec):
            if spec.watermark_strategy is not None:
                node.watermarks = WatermarkGenerator.of(spec.watermark_strategy)
        elif isinstance(spec, (PrintSpec, SinkSpec, CollectSpec)):
            node.outputs.append((None, self._terminal(operator, spec, recovery)))
        else:
            node.operator = create_operator(
                spec, keyed=operator.node.is_keyed, name=node.name, input_types=self._input_types(operator)
            )
            self._add_operator(node, node.operator, backend, recovery)
        return node

    def _input_types(self, operator: ChainedOperator) -> tuple[Any, ...]:
        return tuple(edge_type(edges[0]) for edges in operator.node.transformation.inputs)

    def _inline(self, node: ChainNode, spec: OperatorSpec, backend: Any, recovery: OperatorRecovery | None) -> None:
        method = {MapSpec: "map", FlatMapSpec: "flat_map", FilterSpec: "filter", ReduceSpec: "reduce"}[type(spec)]
        loaded = self._load(spec.function, node.name)  # type: ignore[attr-defined]  # all four have a function
        node.function = getattr(loaded, method) if isinstance(loaded, Function) else loaded
        node.rich = isinstance(loaded, Function) and backend is not None
        if backend is not None:
            self._restore_backend(backend, recovery)
        if isinstance(loaded, Function):
            context = StreamingRuntimeContext(self._facts, self._metric_group(node), backend)
            self._lifecycle.open.insert(0, _named(lambda: loaded.open(context), node.name, self._vertex.name))
            self._lifecycle.close.append(loaded.close)
        if isinstance(spec, ReduceSpec):
            node.table = backend.table(TableSpec(REDUCE_STATE, StateKind.REDUCING, None))

    def _add_operator(
        self, node: ChainNode, operator: Operator, backend: Any, recovery: OperatorRecovery | None
    ) -> None:
        services: list[TimerService] = []
        self._timers[node.id] = services
        settings = self._settings

        def make_timers(name: str, on_event_time: Any, on_processing_time: Any) -> TimerService:
            service = TimerService(name, on_event_time, on_processing_time, backend, settings.clock)
            services.append(service)
            if recovery is not None:
                service.restore(recovery.timers(name, backend.key_group_range))
            if not settings.batch_mode:  # there a key's timers fire before the next key comes
                backend.keep_timers(service)
            return service

        group = self._metric_group(node)
        context = OperatorContext(
            name=node.name,
            subtask_index=self._facts.subtask_index,
            parallelism=self._facts.parallelism,
            max_parallelism=self._facts.max_parallelism,
            runtime_context=StreamingRuntimeContext(self._facts, group, backend),
            now_ms=settings.clock,
            backend=backend,
            timers=make_timers,
            batch_mode=settings.batch_mode,
            wake=self._wake,
            counter=group.counter,
        )
        if backend is not None:
            self._restore_backend(backend, recovery)
        if recovery is not None:
            operator.restore(
                recovery.operator_states(
                    self._facts.subtask_index, self._facts.parallelism, broadcast=operator.broadcasts_state
                )
            )
        self._lifecycle.open.insert(0, _named(lambda: operator.open(context), node.name, self._vertex.name))
        self._lifecycle.close.append(operator.close)

    def _wake(self) -> None:
        task = self._task
        if task is not None:
            task.request_drain()
            self._settings.wake(task)

    def _restore_backend(self, backend: Any, recovery: OperatorRecovery | None) -> None:
        if recovery is not None:
            backend.restore(recovery.keyed_handles)

    def _metric_group(self, node: ChainNode) -> ScopedMetricGroup:
        return self._deployment.metrics.group(self._vertex.name, node.name)

    def _load(self, function: UserFunction, operator: str) -> Any:
        try:
            return function.load()
        except Exception as error:
            raise UserFunctionError.of(operator, self._vertex.name, None, error) from None

    def _backend(self, head: ChainedOperator) -> Any:
        if not head.node.is_keyed:
            return None
        return self._settings.make_backend(self._vertex, head.node.operator_id, self._lifecycle)

    # -- ends ------------------------------------------------------------------------------------

    def _edges_of(self, operator: ChainedOperator) -> list[JobEdge]:
        return [edge for edge in self._vertex.vertex.outputs if edge.edge.source_id == operator.node.id]

    def _network(self, edge: JobEdge) -> Output:
        source = next(o for o in self._vertex.vertex.operators if o.node.id == edge.edge.source_id)
        consumer = self._deployment.consumer_of(edge)
        partitioning = edge.partitioning
        key_of: Any = partitioning.key_selector and self._load(partitioning.key_selector, consumer.name)
        if key_of is not None and partitioning.kind is PartitioningKind.HASH:
            key_of = typed_key_selector(key_of, key_type_of(consumer.head.node.transformation.key_type))
        routing = Routing(
            partitioning.kind,
            key_of=key_of,
            partition=None if partitioning.partitioner is None else self._load(partitioning.partitioner, consumer.name),
            max_parallelism=consumer.max_parallelism,
            random=self._random,
        )
        name = source.node.transformation.name
        channels = self._deployment.channels_from(edge, self._vertex.subtask_index)
        return NetworkOutput(channels, routing, coercer_for(edge.edge.type_info), name)

    def _terminal(self, operator: ChainedOperator, spec: OperatorSpec, recovery: OperatorRecovery | None) -> Output:
        transformation = operator.node.transformation
        input_type = edge_type(transformation.inputs[0][0])
        name = transformation.name
        if isinstance(spec, PrintSpec):
            prefix = print_prefix(spec.identifier, self._facts.subtask_index, self._facts.parallelism)
            # PyFlink turns rows into text inside the chain of Python functions, everything else behind it.
            coerce = (checker_for if isinstance(input_type, RowTypeInfo) else coercer_for)(input_type)
            return PrintOutput(print_text(input_type), prefix, coerce, name, self._settings.print_lock)
        if isinstance(spec, CollectSpec):
            stage = self._settings.stage(transformation.id, self._facts.subtask_index)
            return CollectOutput(stage, client_coercer_for(input_type), name)
        if isinstance(spec, SinkSpec):
            context = WriterContext(
                self._facts.subtask_index,
                self._facts.parallelism,
                self._settings.clock,
                input_type,
                self._settings.checkpointing,
            )
            recovered = recovery.writer_states(self._facts.subtask_index, self._facts.parallelism) if recovery else ()
            writer = spec.sink.create_writer(context, recovered)
            self._made.append(writer.close)
            return SinkOutput(writer, coercer_for(input_type), name)
        raise InvariantError(f"no output for {spec!r}")

    def _reader(self, spec: SourceSpec, node: ChainNode) -> SourceReader:
        context = ReaderContext(self._facts.subtask_index, self._facts.parallelism, self._wake, self._settings.clock)
        recovery = self._settings.recovery(node.operator_id)
        if recovery is not None and recovery.was_source:
            splits: Sequence[Any] = recovery.splits
        else:
            splits = self._settings.take_splits(node.id)
        own = spec.source.deal_out(splits, self._facts.parallelism)[self._facts.subtask_index]
        reader = spec.source.create_reader(own, context)
        if node.watermarks is None or self._settings.batch_mode:
            return reader
        alignment, member = spec.watermark_strategy.alignment, (node.id, self._facts.subtask_index)
        return watermarked_reader(reader, node.watermarks, alignment, member, self._settings.alignment, context)

    def _gate(self) -> InputGate:
        channels = self._deployment.channels_to(self._vertex.vertex.id, self._vertex.subtask_index)
        return InputGate(channels, self._random if self._settings.seed is not None else None)


def _is_broadcast(spec: OperatorSpec) -> bool:
    return isinstance(spec, TwoInputSpec) and spec.kind == "broadcast_process"


def _named(call: Callable[[], None], operator: str, subtask: str) -> Callable[[], None]:
    """Errors of `open` carry the operator's name, not that of the chain's head."""

    def named() -> None:
        try:
            call()
        except ConfigurationError:  # such as state of another type: it says all there is to say
            raise
        except Exception as error:
            raise UserFunctionError.of(operator, subtask, None, error) from None

    return named

"""A task: one subtask of a vertex, running its chain.

Its life is one coroutine. Between two yields it handles one batch or event: it drives the chain's generated loop,
flushes outputs, fires timers and watermarks, takes part in checkpoints. Whatever must wait (for input, for credit,
for an asynchronous result) yields; nothing blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock.datastream._transformations import ReduceSpec, SourceSpec, TimestampsSpec
from penstock.datastream.connectors.base import END_OF_INPUT, SourceReader
from penstock.errors import InvariantError
from penstock.graph import ExecutionState, ExecutionVertex
from penstock.runtime._chain import ChainCompiler, ChainNode, Entry
from penstock.runtime._channels import InputGate
from penstock.runtime._elements import END_OF_DATA, Barrier, Batch, Element, EndOfData, Watermark, WatermarkStatus
from penstock.runtime._failure import RecordFailure, UserFunctionError, chain_frame, describe_record
from penstock.runtime._outputs import BATCH_LIMIT, CollectOutput, Output, SinkOutput
from penstock.runtime._pace import Pace
from penstock.runtime._record_types import typed_key_selector
from penstock.runtime._scheduler import Clock
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP, Timed
from penstock.runtime.sort import ExternalSorter, Part
from penstock.runtime.state import freeze_key

__all__ = ["Task", "TaskSettings"]

FLUSH_AT = 256
"""Records at which an output is flushed although the task has more to do."""


@dataclass(slots=True)
class TaskSettings:
    """What a task needs to know of its job.

    Attributes:
        clock: epoch ms.
        auto_watermark_interval_ms: how often watermarks are emitted; 0 switches periodic watermarks off.
        buffer_timeout_ms: how long records may wait in an output of a busy task; negative: until it is full.
        on_snapshot: takes part in a checkpoint: called with the task and the barrier after records before the barrier left.
        on_running: called with the task when it is open.
        on_finished: called with the task when all its input is processed, before it ends its outputs.
    """

    clock: Clock
    auto_watermark_interval_ms: int = 200
    buffer_timeout_ms: int = 100
    on_snapshot: Callable[[Task, Barrier], None] | None = None
    on_finished: Callable[[Task], None] | None = None
    on_running: Callable[[Task], None] | None = None


@dataclass(slots=True)
class TaskCounters:
    """Records of this task so far; batches keep it cheap."""

    records_in: int = 0
    batches_in: int = 0
    watermark: int = NO_TIMESTAMP


@dataclass(slots=True)
class Lifecycle:
    """What the task opens and closes around its life: user functions and operators, in chain order.

    `release` gives memory and files back, whatever happened, after everything else.
    """

    open: list[Callable[[], None]] = field(default_factory=list)
    close: list[Callable[[], None]] = field(default_factory=list)
    release: list[Callable[[], None]] = field(default_factory=list)


class Task:
    """Owned by the scheduler's thread; `wake` aside, nothing may be called from another.

    Attributes:
        vertex: the subtask it executes.
        head: the chain.
        gate: its inputs, or None for sources.
        reader: the source's reader, or None.
        backend: keyed state, or None.
        timers: timer services by node id.
        deadline_ms: when it wants to go on although nothing woke it.
        counters: records so far.
        pending_barrier: sources: a barrier to inject between two polls.
        active_snapshots: snapshots whose state is still being encoded, advanced between batches.
    """

    def __init__(
        self,
        vertex: ExecutionVertex,
        head: ChainNode,
        settings: TaskSettings,
        *,
        gate: InputGate | None = None,
        reader: SourceReader | None = None,
        backend: Any = None,
        lifecycle: Lifecycle | None = None,
        grouped: ExternalSorter | None = None,
    ) -> None:
        self.vertex = vertex
        self.head = head
        self.gate = gate
        self.reader = reader
        self.backend = backend
        self.timers: dict[int, list[Any]] = {}
        self.deadline_ms: int | None = None
        self.counters = TaskCounters()
        self.pending_barrier: Barrier | None = None
        self.active_snapshots: list[Any] = []
        self.stopped_by_savepoint = False
        self.nodes = list(head.walk())
        self.outputs: list[Output] = [output for node in self.nodes for _, output in node.outputs]
        self._settings = settings
        self._compiler = ChainCompiler(head, vertex.name)
        self._lifecycle = lifecycle or Lifecycle()
        self._grouped = grouped
        self._entries: dict[tuple[int, bool, bool], Entry] = {}
        self._next_watermark_ms = 0
        self._next_flush_ms = 0
        self._next_tick_ms = 0
        self._polled_records = False
        self._opened = 0
        self._generators = [node for node in self.nodes if node.watermarks is not None]
        self._sinks = [output for output in self.outputs if isinstance(output, SinkOutput)]
        self._tail_nodes = [node for node in self.nodes if node.operator is not None]
        self._takes_batches = bool(getattr(head.operator, "takes_batches", False))
        self._drain_wanted = False
        self._drain_first = False
        self._pace = Pace()
        self._passed_watermarks: dict[int, int] = {}

    @property
    def name(self) -> str:
        """As in Flink's logs: `A -> B (1/2)#0`."""
        return self.vertex.name

    # -- life ------------------------------------------------------------------------------------

    def resume(self) -> Iterator[bool]:
        """The task's life, see `Runnable`."""
        try:
            yield from self._live()
        except GeneratorExit:
            self._end(ExecutionState.CANCELED)
            raise
        except BaseException:
            self._end(ExecutionState.FAILED)
            raise
        self._end(ExecutionState.FINISHED)

    @property
    def collects(self) -> bool:
        """Whether it has a sink that the client reads."""
        return any(isinstance(output, CollectOutput) for output in self.outputs)

    @property
    def is_source(self) -> bool:
        """Whether it reads a source."""
        return self.reader is not None

    @property
    def is_running(self) -> bool:
        """Whether it is past `open` and not at its end."""
        return self.vertex.state is ExecutionState.RUNNING

    def operator_ids(self) -> list[tuple[str, ChainNode]]:
        """Operator id and node of everything in the chain, head first."""
        return [(node.operator_id, node) for node in self.nodes]

    def inject(self, barrier: Barrier, *, drain: bool = False) -> None:
        """Sources: sends a barrier before the next poll; `drain` ends event time first (stop-with-savepoint)."""
        self.pending_barrier = barrier
        self._drain_first = drain
        self.deadline_ms = 0

    def cancel_barrier(self, checkpoint_id: int) -> None:
        """A checkpoint was aborted: nobody waits for its barrier any more."""
        if self.pending_barrier is not None and self.pending_barrier.checkpoint_id == checkpoint_id:
            self.pending_barrier = None
        if self.gate is not None:
            self.gate.cancel_alignment(checkpoint_id)

    def checkpoint_completed(self, barrier: Barrier) -> None:
        """A checkpoint this task took part in is complete."""
        if self.backend is not None and not barrier.is_savepoint:
            self.backend.checkpoint_completed(barrier.checkpoint_id)
        if self.reader is not None:
            self.reader.notify_checkpoint_complete(barrier.checkpoint_id)

    def request_drain(self) -> None:
        """An asynchronous operator has results; called on the task's thread before it is resumed."""
        self._drain_wanted = True

    def _live(self) -> Iterator[bool]:
        self.vertex.transition(ExecutionState.INITIALIZING)
        self._open()
        self.vertex.transition(ExecutionState.RUNNING)
        if self._settings.on_running is not None:
            self._settings.on_running(self)
        if self.reader is not None:
            yield from self._run_source()
        elif self._grouped is not None:
            yield from self._run_grouped(self._grouped)
        else:
            yield from self._run_inputs()
        if not self.stopped_by_savepoint:
            yield from self._finish_operators()
        yield from self._flush(force=True)
        while self.active_snapshots:
            self._advance_snapshots()
            yield True
        if self._settings.on_finished is not None:
            self._settings.on_finished(self)
        for output in self.outputs:
            output.emit(END_OF_DATA)
        self._close_functions()

    def _open(self) -> None:
        for opener in self._lifecycle.open:
            self._guarded(opener)
            self._opened += 1

    def _close_functions(self) -> None:
        closers, self._lifecycle.close = self._lifecycle.close, []
        for closer in closers:
            self._guarded(closer)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            raise self._failure(error) from None

    def _end(self, state: ExecutionState) -> None:
        """Releases everything, whatever happened; a failing close() does not hide the first error."""
        if self.vertex.is_terminal:
            return
        self.vertex.transition(state)
        closers = self._lifecycle.close if self._opened else []
        resources: list[Callable[[], None]] = [*closers, *(output.close for output in self.outputs)]
        if self.reader is not None:
            resources.append(self.reader.close)
        resources += [self._compiler.close, *self._lifecycle.release]
        first: BaseException | None = None
        for release in resources:
            try:
                release()
            except Exception as error:  # noqa: BLE001 - collected: the others must be released as well
                first = first or error
        if first is not None and state is ExecutionState.FINISHED:
            raise self._failure(first) from first

    # -- sources ---------------------------------------------------------------------------------

    def _run_source(self) -> Iterator[bool]:
        reader = self.reader
        assert reader is not None
        while True:
            if self.pending_barrier is not None:
                barrier, self.pending_barrier = self.pending_barrier, None
                if self._drain_first:
                    yield from self._advance_watermark(MAX_WATERMARK)
                yield from self._checkpoint(barrier)
                if barrier.stop:
                    self.stopped_by_savepoint = True
                    return
            yield from self._on_time()
            if self._is_busy():
                yield from self._wait_busy()
                continue
            batch = self._poll(reader)
            if batch is None:
                yield from self._flush(force=True)
                self._rest(reader.next_poll_ms())
                yield False
            elif batch is END_OF_INPUT:
                break
            else:
                self._polled_records = True
                self.counters.records_in += len(batch.values)
                yield from self._records(0, Batch(batch.values, batch.timestamps))
                yield from self._keep_pace(len(batch.values))
                yield True
        yield from self._advance_watermark(MAX_WATERMARK)

    def _poll(self, reader: SourceReader) -> Any:
        try:
            return reader.poll(self._pace.records)
        except Exception as error:
            raise self._failure(error) from error

    # -- inputs ----------------------------------------------------------------------------------

    def _run_inputs(self) -> Iterator[bool]:
        gate = self.gate
        assert gate is not None
        while not gate.all_ended:
            yield from self._on_time()
            if self._is_busy():
                yield from self._wait_busy()
                continue
            polled = gate.poll()
            if polled is None:
                yield from self._flush(force=True)
                if not gate.has_data():
                    self._rest(None)
                    yield False
                continue
            index, element = polled
            if type(element) is Batch:
                self.counters.records_in += len(element)
                self._polled_records = True
                yield from self._slices(index, element)
                yield True
            else:
                yield from self._event(element)

    def _slices(self, index: int, batch: Batch) -> Iterator[bool]:
        """A batch in as many parts as its functions' speed asks for: between two of them whatever is due happens."""
        start, size = 0, len(batch)
        while self._pace.records < size - start:
            end = start + self._pace.records
            yield from self._records(index, batch.part(start, end))
            yield from self._keep_pace(end - start)
            start = end
            yield True
            yield from self._on_time()
            while self._is_busy():
                yield from self._wait_busy()
                yield from self._on_time()
        yield from self._records(index, batch.part(start, size) if start else batch)
        yield from self._keep_pace(size - start)

    def _keep_pace(self, records: int) -> Iterator[bool]:
        """After records that took long, the next tasks get theirs before this one goes on."""
        if self._pace.spent(records):
            yield from self._flush(force=True)

    def _event(self, element: Element) -> Iterator[bool]:
        if isinstance(element, Watermark):
            yield from self._advance_watermark(element.timestamp)
        elif isinstance(element, WatermarkStatus):
            yield from self._forward(self.head, element)
        elif isinstance(element, Barrier):
            yield from self._checkpoint(element)
            if element.stop:
                self.stopped_by_savepoint = True
        elif isinstance(element, EndOfData):
            assert self.gate is not None
            released = self.gate.after_end()
            if released is not None:
                yield from self._event(released)
        else:
            raise InvariantError(f"{self.name}: unexpected element {element!r}")

    def _records(self, index: int, batch: Batch) -> Iterator[bool]:
        """One batch of records through the chain."""
        if self._takes_batches:
            yield from self._whole_batch(batch)
            return
        key = (index, batch.timestamps is not None, batch.keys is not None)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = self._compiler.records(*key)
        backend = self.backend
        if backend is None or (backend.in_memory and not backend.snapshotting):
            yield from self._drive(entry, batch.values, batch.timestamps, batch.keys)
            return
        # State on disk is fetched for a whole batch, and a snapshot under way wants to see values before they
        # change: both need the batch's keys before the loop.
        keys = list(map(freeze_key, self._keys_of(index, batch)))
        entry = self._compiler.records(index, batch.timestamps is not None, True)
        table = self.head.table
        backend.begin_batch(keys)
        if table is not None:
            table.open_batch(keys)
        yield from self._drive(entry, batch.values, batch.timestamps, keys)
        if table is not None:
            table.close_batch(keys)
        backend.end_batch()

    def _keys_of(self, index: int, batch: Batch) -> list[Any]:
        if batch.keys is not None:
            return batch.keys
        select = self.head.key_of[index]
        assert select is not None
        key_of = typed_key_selector(select, self.head.key_types[index])
        keys = []
        for value in batch.values:
            try:
                keys.append(key_of(value))
            except Exception as error:
                failure = RecordFailure(f"{self.head.name} (key selector)", value, error)
                raise self._failure(failure) from None
        return keys

    def _whole_batch(self, batch: Batch) -> Iterator[bool]:
        """Operators that take a batch at once (windows whose parts are all known)."""
        timestamps = batch.timestamps or [NO_TIMESTAMP] * len(batch)
        operator: Any = self.head.operator
        results = self._call(operator.process_batch, batch.values, timestamps, self._keys_of(0, batch))
        if results is not None:
            yield from self._results(self.head, results)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise self._failure(error) from None

    def _results(self, node: ChainNode, results: Iterable[Timed]) -> Iterator[bool]:
        """Timed results of a node, pushed through what follows it."""
        yield from self._drive(self._compiler.results(node), results)

    def _drive(self, entry: Entry, *arguments: Any) -> Iterator[bool]:
        """Runs generated code; where an output is full it stops, is flushed, and waits for credit."""
        for output in entry.timed:
            output.prepare(True)
        for output in entry.untimed:
            output.prepare(False)
        try:
            self._pace.begin()
            running = entry.function(*arguments)
            if running is not None:
                for _ in running:
                    self._pace.end()
                    yield from self._flush(force=False, at=BATCH_LIMIT)
                    self._pace.begin()
            self._pace.end()
        except Exception as error:
            self._flush_after_failure()
            raise self._failure(error) from None
        yield from self._flush(force=False)

    def _flush_after_failure(self) -> None:
        """Lines printed before the failing record stay printed."""
        for output in self.outputs:
            if not isinstance(output, SinkOutput):
                try:
                    output.flush()
                except Exception:  # noqa: BLE001 - the first error is the one to report
                    return

    # -- outputs ---------------------------------------------------------------------------------

    def _flush(self, force: bool, at: int = FLUSH_AT) -> Iterator[bool]:
        """Flushes outputs that are full (or all), then waits until none is out of credit."""
        for output in self.outputs:
            if output.values and (force or len(output.values) >= at):
                self._flush_output(output)
        while not all(output.is_available for output in self.outputs):
            self.deadline_ms = None
            yield False

    def _flush_output(self, output: Output) -> None:
        try:
            output.flush()
        except Exception as error:
            raise self._failure(error) from None

    def _emit(self, output: Output, event: Element) -> None:
        self._flush_output(output)
        output.emit(event)

    # -- time ------------------------------------------------------------------------------------

    def _on_time(self) -> Iterator[bool]:
        """Whatever is due: watermarks, timers, asynchronous results, sinks' roll-overs, waiting records."""
        now = self._settings.clock()
        if self._drain_wanted:
            self._drain_wanted = False
            for node in self._tail_nodes:
                assert node.operator is not None
                yield from self._results(node, self._call(node.operator.drain))
                yield from self._pass_held_watermark(node)
        if self.active_snapshots:
            self._advance_snapshots()
        if self._generators and now >= self._next_watermark_ms:
            yield from self._periodic_watermarks(now)
        for node in self.nodes:
            for service in self.timers.get(node.id, ()):
                due = service.next_processing_time()
                if due is not None and due <= now:
                    yield from self._results(node, service.advance_processing_time(now))
        if self._sinks and now >= self._next_tick_ms:
            self._tick_sinks(now)
        if now >= self._next_flush_ms:
            timeout = self._settings.buffer_timeout_ms
            self._next_flush_ms = now + max(timeout, 1) if timeout >= 0 else now + (1 << 40)
            yield from self._flush(force=True)

    def _advance_snapshots(self) -> None:
        self.active_snapshots = [snapshot for snapshot in self.active_snapshots if not snapshot.advance()]

    def _tick_sinks(self, now: int) -> None:
        wanted = [self._call(sink.writer.tick, now) for sink in self._sinks]
        due = [time for time in wanted if time is not None]
        self._next_tick_ms = min(due) if due else now + 1000

    def _periodic_watermarks(self, now: int) -> Iterator[bool]:
        interval = self._settings.auto_watermark_interval_ms
        self._next_watermark_ms = now + interval if interval > 0 else now + (1 << 40)
        records_seen, self._polled_records = self._polled_records, False
        for node in self._generators:
            generator = node.watermarks
            assert generator is not None
            if interval > 0:
                watermark = generator.poll()
                if watermark is not None:
                    yield from self._pass_watermark(node, watermark)
            idle = generator.check_idle(now, records_seen)
            if idle is not None:
                yield from self._forward(node, WatermarkStatus(idle))

    def _rest(self, wanted_ms: int | None) -> None:
        """Sets the deadline before the task waits."""
        times = [wanted_ms] if wanted_ms is not None else []
        if self._generators and self._settings.auto_watermark_interval_ms > 0:
            times.append(self._next_watermark_ms)
        for services in self.timers.values():
            times.extend(due for service in services if (due := service.next_processing_time()) is not None)
        if self._sinks:
            times.append(self._next_tick_ms)
        if self.active_snapshots:
            times.append(0)
        self.deadline_ms = min(times) if times else None

    def _is_busy(self) -> bool:
        return any(node.operator.busy for node in self._tail_nodes if node.operator is not None)

    def _wait_busy(self) -> Iterator[bool]:
        yield from self._flush(force=True)
        if not self._drain_wanted and self._is_busy():
            self._rest(None)
            yield False

    # -- watermarks ------------------------------------------------------------------------------

    def _advance_watermark(self, watermark: int) -> Iterator[bool]:
        """The task's input watermark rose: timers and operators from the head on."""
        self.counters.watermark = watermark
        generator = self.head.watermarks
        if generator is not None and watermark != MAX_WATERMARK:
            return  # a strategy replaces what comes from before it
        yield from self._fire(self.head, watermark)
        yield from self._pass_watermark(self.head, watermark)

    def _fire(self, node: ChainNode, watermark: int) -> Iterator[bool]:
        for service in self.timers.get(node.id, ()):
            yield from self._results(node, service.advance_watermark(watermark))
        if node.operator is not None:
            yield from self._results(node, self._call(node.operator.advance_watermark, watermark))

    def _pass_held_watermark(self, node: ChainNode) -> Iterator[bool]:
        """After results of an operator that holds watermarks back until what was before them has left."""
        if node.operator is not None and node.operator.holds_watermarks:
            yield from self._pass_watermark(node, NO_TIMESTAMP)

    def _pass_watermark(self, node: ChainNode, watermark: int) -> Iterator[bool]:
        """Behind a node: to its outputs and to what is chained to it."""
        if node.operator is not None and node.operator.holds_watermarks:
            watermark = node.operator.output_watermark
            if watermark <= self._passed_watermarks.get(node.id, NO_TIMESTAMP):
                return
            self._passed_watermarks[node.id] = watermark
        for _, output in node.outputs:
            self._flush_output(output)
            output.watermark(watermark)
            output.emit(Watermark(watermark))
        for _, child in node.children:
            if isinstance(child.spec, TimestampsSpec) and watermark != MAX_WATERMARK:
                continue
            yield from self._fire(child, watermark)
            yield from self._pass_watermark(child, watermark)

    def _forward(self, node: ChainNode, event: Element) -> Iterator[bool]:
        """Hands an event to everything behind a node."""
        for _, output in node.outputs:
            self._emit(output, event)
        for _, child in node.children:
            if isinstance(event, WatermarkStatus) and isinstance(child.spec, TimestampsSpec):
                continue
            yield from self._forward(child, event)

    # -- BATCH mode ------------------------------------------------------------------------------

    def _run_grouped(self, grouped: ExternalSorter) -> Iterator[bool]:
        """Keyed operators of BATCH mode: all input is sorted by key and time, then one key at a time is processed."""
        gate = self.gate
        assert gate is not None
        while not gate.all_ended:
            polled = gate.poll()
            if polled is None:
                self._rest(None)
                yield False
                continue
            index, element = polled
            if type(element) is Batch:
                self.counters.records_in += len(element)
                timestamps = element.timestamps or [NO_TIMESTAMP] * len(element)
                grouped.add(self._keys_of(index, element), timestamps, element.values, index)
                yield True
        for key, parts in grouped.groups():
            yield from self._group(key, parts)
            yield True
        yield from self._pass_watermark(self.head, MAX_WATERMARK)

    def _group(self, key: Any, parts: Iterable[Part]) -> Iterator[bool]:
        if isinstance(self.head.spec, ReduceSpec):
            yield from self._results(self.head, self._fold(parts))
            return
        for index, timestamps, values in parts:
            yield from self._records(index, Batch(values, timestamps, [key] * len(values)))
            yield True
        yield from self._fire(self.head, MAX_WATERMARK)
        for service in self.timers.get(self.head.id, ()):
            service.current_watermark = NO_TIMESTAMP
        self.backend.clear()

    def _fold(self, parts: Iterable[Part]) -> Iterator[Timed]:
        """A reduce in BATCH mode emits the last value of each key only."""
        reduce = self.head.function
        assert reduce is not None
        held: Any = None
        first = True
        latest = NO_TIMESTAMP
        for _, timestamps, values in parts:
            for value in values:
                try:
                    held = value if first else reduce(held, value)
                except Exception as error:
                    raise RecordFailure(self.head.name, value, error) from error
                first = False
            latest = timestamps[-1]
        yield held, latest

    # -- end, checkpoints, failures --------------------------------------------------------------

    def _finish_operators(self) -> Iterator[bool]:
        for node in self.nodes:
            if node.operator is None:
                continue
            yield from self._results(node, self._call(node.operator.finish))
            while node.operator.busy:
                yield from self._flush(force=True)
                self._rest(None)
                yield False
                yield from self._on_time()
                yield from self._results(node, self._call(node.operator.finish))
            yield from self._pass_held_watermark(node)

    def _checkpoint(self, barrier: Barrier) -> Iterator[bool]:
        """Everything before the barrier leaves, then the barrier, then the state is captured."""
        yield from self._flush(force=True)
        for output in self.outputs:
            output.emit(barrier)
        if self._settings.on_snapshot is not None:
            self._settings.on_snapshot(self, barrier)

    def _failure(self, error: BaseException) -> BaseException:
        """What the job fails with: the operator and record of a user error; other errors as they are."""
        if isinstance(error, (UserFunctionError, MemoryError, InvariantError)):
            return error
        if isinstance(error, RecordFailure):
            return UserFunctionError.of(error.operator, self.name, describe_record(error.record), error.cause)
        found = chain_frame(error.__traceback__)
        if found is not None:
            filename, line, variables = found
            where = self._compiler.locate(filename, line)
            if where is not None:
                operator, variable = where
                record = describe_record(variables[variable]) if variable in variables else None
                return UserFunctionError.of(operator, self.name, record, error)
        return UserFunctionError.of(self.head.name, self.name, None, error)


def is_source(node: ChainNode) -> bool:
    """Whether a chain begins with a source."""
    return isinstance(node.spec, SourceSpec)

"""A task: one subtask of a vertex, running its chain.

Its life is one coroutine. Between two yields it handles one batch or event: it drives the chain's generated loop,
flushes outputs, fires timers and watermarks, takes part in checkpoints. Whatever must wait (for input, for credit,
for an asynchronous result) yields; nothing blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from penstock.datastream._transformations import ReduceSpec
from penstock.datastream.connectors.base import END_OF_INPUT, SourceReader
from penstock.errors import InvariantError
from penstock.graph import ExecutionState, ExecutionVertex
from penstock.runtime._chain import ChainNode
from penstock.runtime._chain_run import ChainRun
from penstock.runtime._channels import InputGate
from penstock.runtime._elements import END_OF_DATA, Barrier, Batch, Element, EndOfData, Watermark, WatermarkStatus
from penstock.runtime._outputs import CollectOutput, SinkOutput
from penstock.runtime._scheduler import StepClock
from penstock.runtime._task_settings import Lifecycle, TaskCounters, TaskSettings
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP

if TYPE_CHECKING:
    from penstock.runtime.sort import ExternalSorter, Part

__all__ = ["Task"]


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
        pending_barriers: sources: barriers to inject between two polls.
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
        self.deadline_ms: int | None = None
        self.counters = TaskCounters()
        self.pending_barriers: deque[Barrier] = deque()  # bounded by the checkpoints under way
        self.active_snapshots: list[Any] = []
        self.stopped_by_savepoint = False
        self.chain = ChainRun(vertex.name, head, backend, adapts=not isinstance(settings.clock, StepClock))
        self.nodes, self.outputs = self.chain.nodes, self.chain.outputs
        self.timers = self.chain.timers
        self._settings = settings
        self._lifecycle = lifecycle or Lifecycle()
        self._grouped = grouped
        self._next_watermark_ms = 0
        self._next_flush_ms = 0
        self._next_tick_ms = 0
        self._polled_records = False
        self._opened = 0
        self._generators = [node for node in self.nodes if node.watermarks is not None]
        self._sinks = [output for output in self.outputs if isinstance(output, SinkOutput)]
        self._tail_nodes = [node for node in self.nodes if node.operator is not None]
        self._drain_wanted = False
        self._drain_first = False
        self._stops_at: int | None = None

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

    def discard(self) -> None:
        """The attempt is over; where the task has not begun it gives back what it was built with."""
        if self.vertex.state is ExecutionState.CREATED:
            self._end(ExecutionState.CANCELED)

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
        self.pending_barriers.append(barrier)
        self._drain_first = drain
        self.deadline_ms = 0

    def cancel_barrier(self, checkpoint_id: int) -> None:
        """A checkpoint was aborted: nobody waits for its barrier any more."""
        self.pending_barriers = deque(b for b in self.pending_barriers if b.checkpoint_id != checkpoint_id)
        if self.gate is not None:
            self.gate.cancel_alignment(checkpoint_id)
        if self._stops_at == checkpoint_id:  # the savepoint it would have stopped for failed: it goes on
            self._stops_at = None
        self.deadline_ms = 0

    def checkpoint_completed(self, barrier: Barrier) -> None:
        """A checkpoint this task took part in is complete."""
        if self.backend is not None and not barrier.is_savepoint:
            self.backend.checkpoint_completed(barrier.checkpoint_id)
        if self.reader is not None and barrier.is_recovery_point:
            self.reader.notify_checkpoint_complete(barrier.checkpoint_id)
        if self._stops_at == barrier.checkpoint_id:
            self.stopped_by_savepoint = True
            self.deadline_ms = 0

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
        yield from self.chain.flush(force=True)
        while self.active_snapshots:
            self._advance_snapshots()
            yield True
        while self._settings.is_writing(self):  # ending would take away what is written, and fail the checkpoint
            self._rest(self._settings.clock() + 1)
            yield False
        if self._settings.on_finished is not None:
            self._settings.on_finished(self)
        for output in self.outputs:
            output.emit(EndOfData(stopped=True) if self.stopped_by_savepoint else END_OF_DATA)
        self._close_functions()

    def _open(self) -> None:
        for opener in self._lifecycle.open:
            self.chain.call(opener)
            self._opened += 1

    def _close_functions(self) -> None:
        closers, self._lifecycle.close = self._lifecycle.close, []
        for closer in closers:
            self.chain.call(closer)

    def _end(self, state: ExecutionState) -> None:
        """Releases everything, whatever happened; a failing close() does not hide the first error."""
        if self.vertex.is_terminal:
            return
        self.vertex.transition(state)
        closers = self._lifecycle.close if self._opened else []
        resources: list[Callable[[], None]] = [*closers, *(output.close for output in self.outputs)]
        if self.reader is not None:
            resources.append(self.reader.close)
        resources += [self.chain.close, *self._lifecycle.release]
        first: BaseException | None = None
        for release in resources:
            try:
                release()
            except Exception as error:
                first = first or error
        if first is not None and state is ExecutionState.FINISHED:
            raise self.chain.failure(first) from first

    # -- sources ---------------------------------------------------------------------------------

    def _run_source(self) -> Iterator[bool]:
        reader = self.reader
        assert reader is not None
        while True:
            if self.pending_barriers:
                barrier = self.pending_barriers.popleft()
                if self._drain_first:
                    self._drain_first = False
                    yield from self._advance_watermark(MAX_WATERMARK)
                yield from self._checkpoint(barrier)
                if barrier.stop:
                    yield from self._await_savepoint()
                    if self.stopped_by_savepoint:
                        return
            yield from self._on_time()
            if self._is_busy():
                yield from self._wait_busy()
                continue
            batch = self._poll(reader)
            if batch is None:
                yield from self.chain.flush(force=True)
                self._rest(reader.next_poll_ms())
                yield False
            elif batch is END_OF_INPUT:
                break
            else:
                self._polled_records = True
                self.counters.records_in += len(batch.values)
                yield from self.chain.records(0, Batch(batch.values, batch.timestamps))
                yield from self._keep_pace(len(batch.values))
                yield True
        yield from self._advance_watermark(MAX_WATERMARK)

    def _await_savepoint(self) -> Iterator[bool]:
        """Behind the barrier of a stop-with-savepoint: nothing is read until the savepoint is complete or has failed."""
        while self._stops_at is not None and not self.stopped_by_savepoint:
            if self.active_snapshots:
                self._advance_snapshots()
            self._rest(None)
            yield False

    def _poll(self, reader: SourceReader) -> Any:
        try:
            return reader.poll(self.chain.pace.records)
        except Exception as error:
            raise self.chain.failure(error) from error

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
                yield from self.chain.flush(force=True)
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
        while self.chain.pace.records < size - start:
            end = start + self.chain.pace.records
            yield from self.chain.records(index, batch.part(start, end))
            yield from self._keep_pace(end - start)
            start = end
            yield True
            yield from self._on_time()
            while self._is_busy():
                yield from self._wait_busy()
                yield from self._on_time()
        yield from self.chain.records(index, batch.part(start, size) if start else batch)
        yield from self._keep_pace(size - start)

    def _keep_pace(self, records: int) -> Iterator[bool]:
        """After records that took long, the next tasks get theirs before this one goes on."""
        if self.chain.pace.spent(records):
            yield from self.chain.flush(force=True)

    def _event(self, element: Element) -> Iterator[bool]:
        if isinstance(element, Watermark):
            yield from self._advance_watermark(element.timestamp)
        elif isinstance(element, WatermarkStatus):
            yield from self.chain.forward(self.head, element)
        elif isinstance(element, Barrier):
            yield from self._checkpoint(element)
        elif isinstance(element, EndOfData):
            assert self.gate is not None
            self.stopped_by_savepoint = self.stopped_by_savepoint or element.stopped
            released = self.gate.after_end()
            if released is not None:
                yield from self._event(released)
        else:
            raise InvariantError(f"{self.name}: unexpected element {element!r}")

    # -- time ------------------------------------------------------------------------------------

    def _on_time(self) -> Iterator[bool]:
        """Whatever is due: watermarks, timers, asynchronous results, sinks' roll-overs, waiting records."""
        now = self._settings.clock()
        if self._drain_wanted:
            self._drain_wanted = False
            for node in self._tail_nodes:
                assert node.operator is not None
                yield from self.chain.results(node, self.chain.call(node.operator.drain))
                yield from self.chain.pass_held_watermark(node)
        if self.active_snapshots:
            self._advance_snapshots()
        if self._generators and now >= self._next_watermark_ms:
            yield from self._periodic_watermarks(now)
        for node in self.nodes:
            for service in self.timers.get(node.id, ()):
                due = service.next_processing_time()
                if due is not None and due <= now:
                    yield from self.chain.results(node, service.advance_processing_time(now))
        if self._sinks and now >= self._next_tick_ms:
            self._tick_sinks(now)
        if now >= self._next_flush_ms:
            timeout = self._settings.buffer_timeout_ms
            self._next_flush_ms = now + max(timeout, 1) if timeout >= 0 else now + (1 << 40)
            yield from self.chain.flush(force=True)

    def _advance_snapshots(self) -> None:
        self.active_snapshots = [snapshot for snapshot in self.active_snapshots if not snapshot.advance()]

    def _tick_sinks(self, now: int) -> None:
        wanted = [self.chain.call(sink.writer.tick, now) for sink in self._sinks]
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
                    yield from self.chain.pass_watermark(node, watermark)
            idle = generator.check_idle(now, records_seen)
            if idle is not None:
                yield from self.chain.forward(node, WatermarkStatus(idle))

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
        yield from self.chain.flush(force=True)
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
        yield from self.chain.fire(self.head, watermark)
        yield from self.chain.pass_watermark(self.head, watermark)

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
                if self.head.key_of[index] is None:  # a broadcast side is complete before the first key is processed
                    yield from self.chain.records(index, element)
                    yield True
                    continue
                timestamps = element.timestamps or [NO_TIMESTAMP] * len(element)
                grouped.add(self.chain.keys_of(index, element), timestamps, element.values, index)
                yield True
        for key, parts in grouped.groups():
            yield from self._group(key, parts)
            yield True
        yield from self.chain.pass_watermark(self.head, MAX_WATERMARK)

    def _group(self, key: Any, parts: Iterable[Part]) -> Iterator[bool]:
        if isinstance(self.head.spec, ReduceSpec):
            self.backend.current_key = key
            yield from self.chain.results(self.head, self.chain.fold(parts))
            self.backend.clear()
            return
        for index, timestamps, values in parts:
            yield from self.chain.records(index, Batch(values, timestamps, [key] * len(values)))
            yield True
        yield from self.chain.fire(self.head, MAX_WATERMARK)
        for service in self.timers.get(self.head.id, ()):
            yield from self.chain.results(self.head, service.end_key())
        self.backend.clear()

    # -- end, checkpoints, failures --------------------------------------------------------------

    def _finish_operators(self) -> Iterator[bool]:
        for node in self.nodes:
            if node.operator is None:
                continue
            yield from self.chain.results(node, self.chain.call(node.operator.finish))
            while node.operator.busy:
                yield from self.chain.flush(force=True)
                self._rest(None)
                yield False
                yield from self._on_time()
                yield from self.chain.results(node, self.chain.call(node.operator.finish))
            yield from self.chain.pass_held_watermark(node)

    def _checkpoint(self, barrier: Barrier) -> Iterator[bool]:
        """Everything before the barrier leaves, then the barrier, then the state is captured."""
        yield from self.chain.flush(force=True)
        for output in self.outputs:
            output.emit(barrier)
        if barrier.stop:
            self._stops_at = barrier.checkpoint_id
        if self._settings.on_snapshot is not None:
            self._settings.on_snapshot(self, barrier)

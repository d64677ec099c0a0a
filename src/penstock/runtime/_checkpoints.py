"""The checkpoint coordinator: triggers barriers, gathers states, completes or aborts checkpoints, commits sinks.

It runs on the job's thread, between batches. Only writing to the storage happens elsewhere, in one background
thread whose results come back through the scheduler. Flink's counterpart is `CheckpointCoordinator`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.datastream._transformations import SinkSpec
from penstock.datastream.connectors.base import Committer
from penstock.errors import JobError
from penstock.graph import JobGraph
from penstock.runtime._elements import Barrier
from penstock.runtime._task import Task
from penstock.runtime._task_state import CheckpointContent, OperatorSubtaskState, capture

__all__ = ["CheckpointCoordinator", "CheckpointError", "CheckpointSettings", "CommitterBook", "SavepointRequest"]

log = logging.getLogger("penstock.checkpoint")


class CheckpointError(JobError):
    """A checkpoint or savepoint that could not be taken."""


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """When checkpoints are taken; times in ms.

    Attributes:
        interval_ms: None without periodic checkpoints.
        timeout_ms: after which a checkpoint is aborted.
        min_pause_ms: between the end of one and the start of the next.
        concurrent_max: checkpoints under way at once.
        tolerable_failures: consecutive failures before the job fails.
    """

    interval_ms: int | None
    timeout_ms: int = 600_000
    min_pause_ms: int = 0
    concurrent_max: int = 1
    tolerable_failures: int = 0


class Storage(Protocol):
    """What the coordinator needs of the checkpoint storage."""

    def begin(self, checkpoint_id: int, job_id: str) -> Any:
        """A writer for one checkpoint."""

    def begin_savepoint(self, directory: str, job_id: str) -> Any:
        """A writer for a savepoint below a directory."""


@dataclass(slots=True)
class SavepointRequest:
    """A savepoint somebody waits for.

    Attributes:
        directory: where to, a path or URL.
        stop: whether the job stops behind it.
        drain: with `stop`: whether event time advances to its end first.
        done: gets the savepoint's path, or the error.
    """

    directory: str
    stop: bool = False
    drain: bool = False
    done: Future[str] = field(default_factory=Future)


@dataclass(slots=True)
class _Pending:
    barrier: Barrier
    writer: Any
    started_ms: int
    waiting: set[int]
    content: CheckpointContent
    savepoint: SavepointRequest | None = None
    snapshots: list[Any] = field(default_factory=list)


class CommitterBook:
    """What sinks have prepared, until it is committed. Owned by the job's thread; lives as long as the job."""

    def __init__(self, graph: JobGraph) -> None:
        self._committers: dict[str, Committer] = {}
        self._prepared: dict[str, list[Any]] = {}
        for vertex in graph.vertices.values():
            for operator in vertex.operators:
                spec = operator.node.transformation.spec
                committer = spec.sink.create_committer() if isinstance(spec, SinkSpec) else None
                if committer is not None:
                    self._committers[operator.node.operator_id] = committer

    def add(self, prepared: dict[str, list[Any]]) -> None:
        """Takes what a task's sinks prepared."""
        for operator_id, committables in prepared.items():
            if committables:
                self._prepared.setdefault(operator_id, []).extend(committables)

    def uncommitted(self) -> dict[str, list[Any]]:
        """Everything prepared and not committed; part of every checkpoint."""
        return {operator_id: list(items) for operator_id, items in self._prepared.items() if items}

    def commit(self, committables: dict[str, list[Any]]) -> None:
        """Makes committables final and forgets them."""
        for operator_id, items in committables.items():
            committer = self._committers.get(operator_id)
            if committer is not None:
                committer.commit(items)
            held = self._prepared.get(operator_id, [])
            del held[: len(items)]

    def reset(self, content: CheckpointContent | None) -> None:
        """A new attempt begins: commits what the checkpoint holds, cleans up what was written after it."""
        self._prepared = {}
        if content is not None:
            self.commit(content.committables)
        for operator_id, committer in self._committers.items():
            states = content.operators.get(operator_id, []) if content is not None else []
            committer.abort_unknown([state.writer for state in states if state.writer is not None])


class CheckpointCoordinator:
    """Of one attempt of a job. Job thread only, but for what runs in `background`.

    Attributes:
        completed: id of the latest completed checkpoint, 0 for none.
        triggered, failed: counts.
        last_pause_ms: for the longest time a task's thread was held by the last checkpoint.
    """

    def __init__(
        self,
        settings: CheckpointSettings,
        storage: Storage | None,
        job_id: str,
        graph: JobGraph,
        book: CommitterBook,
        background: Executor,
        submit: Callable[[Callable[[], None]], None],
        clock: Callable[[], int],
        first_id: int = 1,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._job_id = job_id
        self._graph = graph
        self._book = book
        self._background = background
        self._submit = submit
        self._clock = clock
        self._next_id = first_id
        self._tasks: list[Task] = []
        self._pending: dict[int, _Pending] = {}
        self._finished: dict[int, dict[str, OperatorSubtaskState]] = {}
        self._requests: list[SavepointRequest] = []
        self._next_trigger_ms = 0
        self._failures = 0
        self._on_complete: list[Callable[[int], None]] = []
        self.completed = 0
        self.triggered = 0
        self.failed = 0

    def start(self, tasks: Iterable[Task]) -> None:
        """The tasks of the attempt are deployed."""
        self._tasks = list(tasks)
        self._next_trigger_ms = self._clock() + (self._settings.interval_ms or 0)

    def on_complete(self, call: Callable[[int], None]) -> None:
        """Calls back with the id of each completed checkpoint."""
        self._on_complete.append(call)

    # -- triggering ------------------------------------------------------------------------------

    def periodic(self, now_ms: int) -> int:
        """Called by the scheduler: triggers what is due, aborts what takes too long; returns the next time of interest."""
        for pending in list(self._pending.values()):
            if now_ms - pending.started_ms > self._settings.timeout_ms:
                self._abort(pending, f"Checkpoint expired before completing after {self._settings.timeout_ms} ms")
        while self._requests:
            self._trigger_savepoint(self._requests.pop(0))
        interval = self._settings.interval_ms
        if interval is None:
            return now_ms + 1000
        if now_ms >= self._next_trigger_ms and len(self._pending) < self._settings.concurrent_max:
            self._next_trigger_ms = now_ms + interval
            self._trigger(Barrier(self._next_id), None)
        return min(self._next_trigger_ms, now_ms + 1000) if not self._pending else now_ms + 10

    def request_savepoint(self, request: SavepointRequest) -> None:
        """Takes a savepoint at the next opportunity."""
        self._requests.append(request)

    def _trigger_savepoint(self, request: SavepointRequest) -> None:
        self._trigger(Barrier(self._next_id, is_savepoint=True, stop=request.stop), request)

    def _trigger(self, barrier: Barrier, savepoint: SavepointRequest | None) -> None:
        sources = [task for task in self._tasks if task.reader is not None and not task.vertex.is_terminal]
        running = [task for task in self._tasks if not task.vertex.is_terminal]
        if not sources or any(not task.is_running for task in running):
            if savepoint is not None:
                savepoint.done.set_exception(CheckpointError("Some tasks of the job are not running; try again."))
            return
        storage = self._storage
        assert storage is not None
        self._next_id += 1
        self.triggered += 1
        writer = (
            storage.begin(barrier.checkpoint_id, self._job_id)
            if savepoint is None
            else storage.begin_savepoint(savepoint.directory, self._job_id)
        )
        content = self._new_content()
        for states in self._finished.values():
            for operator_id, state in states.items():
                content.operators[operator_id].append(state)
        self._pending[barrier.checkpoint_id] = _Pending(
            barrier, writer, self._clock(), {id(task) for task in running}, content, savepoint
        )
        for task in sources:
            task.inject(barrier, drain=savepoint is not None and savepoint.drain)

    def _new_content(self) -> CheckpointContent:
        content = CheckpointContent()
        for vertex in self._graph.vertices.values():
            for operator in vertex.operators:
                operator_id = operator.node.operator_id
                content.parallelism[operator_id] = vertex.parallelism
                content.max_parallelism[operator_id] = vertex.max_parallelism
                content.names[operator_id] = operator.node.transformation.name
                content.operators[operator_id] = []
        return content

    # -- tasks -----------------------------------------------------------------------------------

    def on_snapshot(self, task: Task, barrier: Barrier) -> None:
        """A task has sent everything before the barrier: captures its state."""
        pending = self._pending.get(barrier.checkpoint_id)
        states, prepared = capture(task)
        self._book.add(prepared)
        if pending is None:
            return
        head_state = states[task.operator_ids()[0][0]]
        if task.backend is None:
            self._acknowledge(pending, task, states)
            return
        snapshot = task.backend.snapshot(barrier.checkpoint_id, pending.writer, canonical=pending.barrier.is_savepoint)
        pending.snapshots.append(snapshot)
        task.active_snapshots.append(
            _Advancing(snapshot, lambda: self._finish_keyed(pending, task, states, head_state, snapshot))
        )

    def _finish_keyed(
        self,
        pending: _Pending,
        task: Task,
        states: dict[str, OperatorSubtaskState],
        head_state: OperatorSubtaskState,
        snapshot: Any,
    ) -> None:
        """The task's thread is through with a keyed snapshot: the rest is writing."""

        def finished(future: Future[Any]) -> None:
            self._submit(lambda: self._keyed_written(pending, task, states, head_state, future))

        self._background.submit(snapshot.finish).add_done_callback(finished)

    def _keyed_written(
        self,
        pending: _Pending,
        task: Task,
        states: dict[str, OperatorSubtaskState],
        head_state: OperatorSubtaskState,
        future: Future[Any],
    ) -> None:
        if pending.barrier.checkpoint_id not in self._pending or future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._abort(pending, f"the state of '{task.name}' could not be written: {error}")
            return
        head_state.keyed = future.result()
        self._acknowledge(pending, task, states)

    def on_finished(self, task: Task) -> None:
        """A task has processed all its input: its sinks' last work, and its part in checkpoints to come."""
        states, prepared = capture(task, finished=not task.stopped_by_savepoint)
        self._book.add(prepared)
        self._finished[id(task)] = states
        for pending in list(self._pending.values()):
            if id(task) in pending.waiting:
                self._acknowledge(pending, task, states)

    def _acknowledge(self, pending: _Pending, task: Task, states: dict[str, OperatorSubtaskState]) -> None:
        for operator_id, state in states.items():
            pending.content.operators[operator_id].append(state)
        pending.waiting.discard(id(task))
        if not pending.waiting:
            self._write_metadata(pending)

    # -- completing ------------------------------------------------------------------------------

    def _write_metadata(self, pending: _Pending) -> None:
        pending.content.committables = self._book.uncommitted()

        def written(future: Future[Any]) -> None:
            self._submit(lambda: self._metadata_written(pending, future))

        self._background.submit(pending.writer.complete, pending.content).add_done_callback(written)

    def _metadata_written(self, pending: _Pending, future: Future[Any]) -> None:
        if self._pending.pop(pending.barrier.checkpoint_id, None) is None or future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._pending[pending.barrier.checkpoint_id] = pending
            self._abort(pending, f"its metadata could not be written: {error}")
            return
        self._failures = 0
        if pending.savepoint is not None:
            pending.savepoint.done.set_result(str(future.result()))
        else:
            self.completed = pending.barrier.checkpoint_id
        self._next_trigger_ms = max(self._next_trigger_ms, self._clock() + self._settings.min_pause_ms)
        self._notify(pending)

    def _notify(self, pending: _Pending) -> None:
        """Two-phase sinks commit, sources may forget what they have read, backends build on what was uploaded."""
        checkpoint_id = pending.barrier.checkpoint_id
        self._book.commit(pending.content.committables)
        for task in self._tasks:
            if task.vertex.is_terminal:
                continue
            if task.backend is not None and not pending.barrier.is_savepoint:
                task.backend.checkpoint_completed(checkpoint_id)
            if task.reader is not None:
                task.reader.notify_checkpoint_complete(checkpoint_id)
        for call in self._on_complete:
            call(checkpoint_id)

    def _abort(self, pending: _Pending, why: str) -> None:
        checkpoint_id = pending.barrier.checkpoint_id
        self._pending.pop(checkpoint_id, None)
        self.failed += 1
        log.warning("Checkpoint %d was aborted: %s", checkpoint_id, why)
        for snapshot in pending.snapshots:
            snapshot.cancel()
        for task in self._tasks:
            task.cancel_barrier(checkpoint_id)
        self._background.submit(pending.writer.abort)
        if pending.savepoint is not None:
            pending.savepoint.done.set_exception(CheckpointError(f"The savepoint failed: {why}."))
            return
        self._failures += 1
        if self._failures > self._settings.tolerable_failures:
            raise CheckpointError(
                f"Exceeded checkpoint tolerable failure threshold: checkpoint {checkpoint_id} failed ({why}). "
                f"{self._settings.tolerable_failures} consecutive failures are tolerated; raise "
                f"execution.checkpointing.tolerable-failed-checkpoints, or mend what made it fail."
            )

    def finish(self) -> None:
        """All tasks have finished: a last checkpoint makes what the sinks prepared certain, then it is committed."""
        for pending in list(self._pending.values()):
            self._pending.pop(pending.barrier.checkpoint_id)
            pending.writer.abort()
            if pending.savepoint is not None:
                pending.savepoint.done.set_exception(CheckpointError("The job finished before the savepoint."))
        prepared = self._book.uncommitted()
        if prepared and self._storage is not None and self._settings.interval_ms is not None:
            content = self._new_content()
            for states in self._finished.values():
                for operator_id, state in states.items():
                    content.operators[operator_id].append(state)
            content.committables = prepared
            self._storage.begin(self._next_id, self._job_id).complete(content)
            self.completed = self._next_id
        self._book.commit(prepared)

    def stop(self) -> None:
        """The attempt ends early: gives up what is under way."""
        for pending in self._pending.values():
            for snapshot in pending.snapshots:
                snapshot.cancel()
            self._background.submit(pending.writer.abort)
            if pending.savepoint is not None:
                pending.savepoint.done.set_exception(
                    CheckpointError("The job failed before the savepoint was complete.")
                )
        self._pending.clear()
        for request in self._requests:
            request.done.set_exception(CheckpointError("The job ended before the savepoint was taken."))
        self._requests.clear()


class _Advancing:
    """A keyed snapshot on the task's thread: advanced in slices, then handed on."""

    __slots__ = ("_done", "_snapshot")

    def __init__(self, snapshot: Any, done: Callable[[], None]) -> None:
        self._snapshot = snapshot
        self._done = done

    def advance(self) -> bool:
        """A slice; True when the task's thread is through."""
        if self._snapshot.advance():
            self._done()
            return True
        return False

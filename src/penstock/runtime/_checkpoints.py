"""The checkpoint coordinator: triggers barriers, gathers states, completes or aborts checkpoints, commits sinks.

It runs on the job's thread, between batches; only writing to the storage happens in a background thread, whose
results come back through the scheduler. Flink's counterpart is `CheckpointCoordinator`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.conf import CheckpointingOptions, Configuration, Record
from penstock.errors import JobError
from penstock.graph import JobGraph
from penstock.runtime._commits import CommitterBook
from penstock.runtime._elements import Barrier
from penstock.runtime._snapshots import Prepared, States, TaskKey
from penstock.runtime._task_state import CheckpointContent
from penstock.runtime.checkpoint import CheckpointStorageError

__all__ = ["CheckpointCoordinator", "CheckpointError", "CheckpointSettings", "SavepointRequest", "TaskPort"]

log = logging.getLogger("penstock.checkpoint")

LOOK_AGAIN_MS = 10


class CheckpointError(JobError):
    """A checkpoint or savepoint that could not be taken."""


class CheckpointSettings(Record):
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

    @classmethod
    def of(cls, conf: Configuration) -> CheckpointSettings:
        """As configured."""
        options = CheckpointingOptions
        pause = conf.get(options.MIN_PAUSE)
        return cls(
            conf.get(options.INTERVAL) or None,
            conf.get(options.TIMEOUT),
            pause,
            1 if pause > 0 else conf.get(options.MAX_CONCURRENT),
            conf.get(options.TOLERABLE_FAILURES),
        )


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


class TaskPort(Protocol):
    """A task as the coordinator sees it, in this process or in another."""

    @property
    def is_source(self) -> bool:
        """Whether barriers start there."""

    @property
    def is_running(self) -> bool:
        """Whether it is past `open` and not at its end."""

    def inject(self, barrier: Barrier, *, drain: bool = False) -> None:
        """Sends a barrier from a source."""


class CoordinatorStorage(Protocol):
    """What the coordinator needs of the checkpoint storage."""

    def begin(self, checkpoint_id: int) -> Any:
        """A writer with `complete(content)` and `abort()`."""

    def begin_savepoint(self, directory: str, checkpoint_id: int) -> Any:
        """The same for a savepoint."""


@dataclass(slots=True)
class _Pending:
    barrier: Barrier
    started_ms: int
    waiting: set[TaskKey]
    before: set[TaskKey]
    content: CheckpointContent
    savepoint: SavepointRequest | None = None


class CheckpointCoordinator:
    """Of one attempt of a job. Job thread only, but for what runs in `background`.

    Attributes:
        completed: id of the latest completed checkpoint, 0 for none.
        triggered: checkpoints and savepoints started.
        failed: of these, those that were aborted.
        on_complete: called with the barrier of each completed checkpoint or savepoint.
        on_abort: called with the barrier of each aborted one.
        stopped: whether a stop-with-savepoint has its savepoint: what fails from now on cannot be made good.
    """

    def __init__(
        self,
        settings: CheckpointSettings,
        storage: Callable[[], CoordinatorStorage],
        graph: JobGraph,
        book: CommitterBook,
        background: Callable[[], Executor],
        submit: Callable[[Callable[[], None]], None],
        clock: Callable[[], int],
        first_id: int = 1,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._graph = graph
        self._book = book
        self._background = background
        self._submit = submit
        self._clock = clock
        self.next_id = first_id
        self._tasks: Mapping[TaskKey, TaskPort] = {}
        self._ended: dict[TaskKey, States] = {}
        self._pending: dict[int, _Pending] = {}
        self._requests: list[SavepointRequest] = []
        self._next_trigger_ms = 0
        self._failures = 0
        self.on_complete: Callable[[Barrier], None] = lambda barrier: None
        self.on_abort: Callable[[Barrier], None] = lambda barrier: None
        self.stopped = False
        self.completed = 0
        self.triggered = 0
        self.failed = 0

    def start(self, tasks: Mapping[TaskKey, TaskPort]) -> None:
        """The tasks of the attempt are deployed."""
        self._tasks = tasks
        self._next_trigger_ms = self._clock() + (self._settings.interval_ms or 0)

    # -- triggering ------------------------------------------------------------------------------

    def periodic(self, now_ms: int) -> int:
        """Triggers what is due, aborts what takes too long; returns when it wants to be called again, epoch ms."""
        for pending in list(self._pending.values()):
            if now_ms - pending.started_ms > self._settings.timeout_ms:
                self._abort(pending, f"it expired before completing, after {self._settings.timeout_ms} ms")
        while self._requests:
            request = self._requests.pop(0)
            self._take_savepoint(request)
        interval = self._settings.interval_ms
        if interval is None:
            return now_ms + 1000
        if now_ms >= self._next_trigger_ms and len(self._pending) < self._settings.concurrent_max:
            if not self._take_checkpoint():
                return now_ms + LOOK_AGAIN_MS
            self._next_trigger_ms = now_ms + interval
        return min(self._next_trigger_ms, now_ms + 1000) if not self._pending else now_ms + LOOK_AGAIN_MS

    def request_savepoint(self, request: SavepointRequest) -> None:
        """Takes a savepoint at the next opportunity."""
        self._requests.append(request)

    def _take_savepoint(self, request: SavepointRequest) -> None:
        if not self._may_trigger():
            request.done.set_exception(CheckpointError("Some tasks of the job are not running; try again."))
            return
        try:
            writer = self._storage().begin_savepoint(request.directory, self.next_id)
        except Exception as error:
            request.done.set_exception(error)
            return
        self._trigger(Barrier(self.next_id, True, request.stop, writer, self.completed), request)

    def _take_checkpoint(self) -> bool:
        if not self._may_trigger():
            return False
        try:
            writer = self._storage().begin(self.next_id)
        except CheckpointStorageError as error:
            self.next_id += 1
            self.triggered += 1
            self._count_failure(self.next_id - 1, str(error))
        else:
            self._trigger(Barrier(self.next_id, writer=writer, confirmed_id=self.completed), None)
        return True

    def _running(self) -> dict[TaskKey, TaskPort]:
        return {key: task for key, task in self._tasks.items() if key not in self._ended}

    def _may_trigger(self) -> bool:
        running = self._running().values()
        stops = self.stopped or any(pending.barrier.stop for pending in self._pending.values())
        return not stops and any(task.is_source for task in running) and all(task.is_running for task in running)

    def _trigger(self, barrier: Barrier, savepoint: SavepointRequest | None) -> None:
        self.next_id += 1
        self.triggered += 1
        running = self._running()
        self._pending[barrier.checkpoint_id] = _Pending(
            barrier, self._clock(), set(running), set(running), self._new_content(), savepoint
        )
        for task in running.values():
            if task.is_source:
                task.inject(barrier, drain=savepoint is not None and savepoint.drain)

    def _new_content(self) -> CheckpointContent:
        """Empty but for what has ended already."""
        content = CheckpointContent()
        for vertex in self._graph.vertices.values():
            for operator in vertex.operators:
                operator_id = operator.node.operator_id
                content.parallelism[operator_id] = vertex.parallelism
                content.max_parallelism[operator_id] = vertex.max_parallelism
                content.names[operator_id] = operator.node.transformation.name
                content.operators[operator_id] = []
        for states in self._ended.values():
            content.add(states)
        return content

    # -- what agents report ----------------------------------------------------------------------

    def captured(self, checkpoint_id: int, task: TaskKey, prepared: Prepared) -> None:
        """A task has passed a barrier; its sinks prepared something to commit."""
        self._book.add(checkpoint_id, prepared)
        pending = self._pending.get(checkpoint_id)
        if pending is not None:
            pending.before.discard(task)

    def acknowledge(self, checkpoint_id: int, task: TaskKey, states: States) -> None:
        """A task's part is written."""
        pending = self._pending.get(checkpoint_id)
        if pending is None or task not in pending.waiting:
            return
        pending.content.add(states)
        pending.waiting.discard(task)
        if not pending.waiting:
            self._write_metadata(pending)

    def decline(self, checkpoint_id: int, task: TaskKey, reason: str) -> None:
        """A task's part failed."""
        pending = self._pending.get(checkpoint_id)
        if pending is not None:
            self._abort(pending, reason)

    def task_finished(self, task: TaskKey, states: States, prepared: Prepared) -> None:
        """A task has processed all its input: it is in every checkpoint whose barrier it has not passed, as it is now."""
        self._ended[task] = states
        coming = [checkpoint_id for checkpoint_id, pending in self._pending.items() if task in pending.before]
        self._book.add(min(coming, default=self.next_id), prepared)
        for checkpoint_id in coming:
            self.acknowledge(checkpoint_id, task, states)

    def task_stopped(self, task: TaskKey) -> None:
        """A task has ended behind the barrier of a stop-with-savepoint: its part of that comes from its snapshot."""
        self._ended[task] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a checkpoint or savepoint is under way."""
        return bool(self._pending)

    # -- completing ------------------------------------------------------------------------------

    def _write_metadata(self, pending: _Pending) -> None:
        pending.content.committables = self._book.uncommitted(pending.barrier.checkpoint_id)

        def written(future: Future[Any]) -> None:
            self._submit(lambda: self._metadata_written(pending, future))

        self._background().submit(pending.barrier.writer.complete, pending.content).add_done_callback(written)

    def _metadata_written(self, pending: _Pending, future: Future[Any]) -> None:
        if pending.barrier.checkpoint_id not in self._pending or future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._abort(pending, f"its metadata could not be written: {error}")
            return
        barrier = pending.barrier
        del self._pending[barrier.checkpoint_id]
        self._failures = 0
        self._next_trigger_ms = max(self._next_trigger_ms, self._clock() + self._settings.min_pause_ms)
        if pending.savepoint is None:
            self.completed = barrier.checkpoint_id
            self._subsume(barrier.checkpoint_id)
        self.stopped = self.stopped or barrier.stop
        try:
            if barrier.is_recovery_point:
                self._book.commit(barrier.checkpoint_id)
            self.on_complete(barrier)
        finally:
            if pending.savepoint is not None:
                pending.savepoint.done.set_result(str(future.result().path))

    def _subsume(self, checkpoint_id: int) -> None:
        """Gives up checkpoints older than one that is complete: completing later they would pass for the newest."""
        for older in [pending for number, pending in self._pending.items() if number < checkpoint_id]:
            if older.savepoint is None:
                self._discard(older)

    def _discard(self, pending: _Pending) -> None:
        self._pending.pop(pending.barrier.checkpoint_id, None)
        self.on_abort(pending.barrier)
        self._background().submit(pending.barrier.writer.abort)

    def _abort(self, pending: _Pending, why: str) -> None:
        checkpoint_id = pending.barrier.checkpoint_id
        self._discard(pending)
        if pending.savepoint is None:
            self._count_failure(checkpoint_id, why)
            return
        self.failed += 1
        log.warning("Savepoint %d was aborted: %s", checkpoint_id, why)
        failure = CheckpointError(f"The savepoint failed: {why}.")
        pending.savepoint.done.set_exception(failure)
        if pending.savepoint.drain:  # event time has ended already: only a recovery takes that back
            raise failure

    def _count_failure(self, checkpoint_id: int, why: str) -> None:
        self.failed += 1
        log.warning("Checkpoint %d was aborted: %s", checkpoint_id, why)
        self._failures += 1
        tolerated = self._settings.tolerable_failures
        if self._failures > tolerated:
            raise CheckpointError(
                f"Exceeded checkpoint tolerable failure threshold: checkpoint {checkpoint_id} failed ({why}); "
                f"{tolerated} consecutive failures are tolerated. Mend the cause, or raise "
                f"execution.checkpointing.tolerable-failed-checkpoints."
            )

    # -- the end ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """All tasks have finished: a last checkpoint makes what the sinks prepared certain, then it is committed."""
        self._give_up("The job finished before the savepoint was complete.")
        last, self.next_id = self.next_id, self.next_id + 1
        prepared = self._book.uncommitted(last)
        if prepared and self._settings.interval_ms is not None:
            content = self._new_content()
            content.committables = prepared
            writer = self._storage().begin(last)
            try:
                writer.complete(content)
            except Exception:
                writer.abort()
                raise
            self.completed = last
        self._book.commit(last)

    def stop(self) -> None:
        """The attempt ends early: gives up what is under way."""
        self._give_up("The job failed before the savepoint was complete.")

    def _give_up(self, why: str) -> None:
        for pending in self._pending.values():
            self._background().submit(pending.barrier.writer.abort)
            if pending.savepoint is not None:
                pending.savepoint.done.set_exception(CheckpointError(why))
        self._pending.clear()
        for request in self._requests:
            request.done.set_exception(CheckpointError(why))
        self._requests.clear()

"""A process's part in checkpoints: captures the state of its tasks at the barrier and reports it to the coordinator.

Keyed state is encoded in slices between batches and written in a background thread; the report follows when it is
written. Where the coordinator is (this process or its parent) the agent does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Protocol

from penstock.runtime._elements import Barrier
from penstock.runtime._task import Task
from penstock.runtime._task_state import OperatorSubtaskState, capture

__all__ = ["CoordinatorPort", "SnapshotAgent", "TaskKey", "task_key"]

TaskKey = tuple[int, int]
"""(vertex id, subtask index)."""

States = dict[str, OperatorSubtaskState]
Prepared = dict[str, list[Any]]


def task_key(task: Task) -> TaskKey:
    """What coordinator and agents call a task."""
    return task.vertex.vertex.id, task.vertex.subtask_index


class CoordinatorPort(Protocol):
    """What an agent tells the coordinator; called on the job's thread."""

    def captured(self, checkpoint_id: int, task: TaskKey, prepared: Prepared) -> None:
        """A task has passed a barrier; its sinks prepared something to commit. Its part follows when it is written."""

    def acknowledge(self, checkpoint_id: int, task: TaskKey, states: States) -> None:
        """A task's part of a checkpoint is written."""

    def decline(self, checkpoint_id: int, task: TaskKey, reason: str) -> None:
        """A task's part of a checkpoint failed."""

    def task_finished(self, task: TaskKey, states: States, prepared: Prepared) -> None:
        """A task has processed all its input; its sinks prepared what came after its last barrier."""

    def task_stopped(self, task: TaskKey) -> None:
        """A task has ended behind the barrier of a stop-with-savepoint."""


class SnapshotAgent:
    """Owned by the thread that runs the tasks.

    Args:
        port: the coordinator.
        background: gives the thread that writes.
        submit: runs a call on the tasks' thread.
    """

    def __init__(
        self,
        port: CoordinatorPort,
        background: Callable[[], Executor],
        submit: Callable[[Callable[[], None]], None],
    ) -> None:
        self._port = port
        self._background = background
        self._submit = submit
        self._under_way: dict[int, list[Any]] = {}
        self._writing: set[tuple[int, TaskKey]] = set()

    def on_snapshot(self, task: Task, barrier: Barrier) -> None:
        """A task has sent everything before the barrier: captures its state."""
        states, prepared = capture(task)
        checkpoint_id = barrier.checkpoint_id
        self._port.captured(checkpoint_id, task_key(task), prepared)
        if task.backend is None:
            self._port.acknowledge(checkpoint_id, task_key(task), states)
            return
        task.backend.checkpoint_completed(barrier.confirmed_id)
        snapshot = task.backend.snapshot(checkpoint_id, barrier.writer, canonical=barrier.is_savepoint)
        self._under_way.setdefault(checkpoint_id, []).append(snapshot)
        self._writing.add((checkpoint_id, task_key(task)))
        task.active_snapshots.append(_Slices(snapshot, lambda: self._finish(checkpoint_id, task, states, snapshot)))

    def _finish(self, checkpoint_id: int, task: Task, states: States, snapshot: Any) -> None:
        """The task's thread is through with a keyed snapshot; the rest is writing."""

        def finished(future: Future[Any]) -> None:
            self._submit(lambda: self._written(checkpoint_id, task, states, future))

        self._background().submit(snapshot.finish).add_done_callback(finished)

    def is_writing(self, task: Task) -> bool:
        """Whether a snapshot of a task is not yet written or given up (Flink: `waitForPendingCheckpoints`)."""
        key = task_key(task)
        return any(writing == key for _, writing in self._writing)

    def _written(self, checkpoint_id: int, task: Task, states: States, future: Future[Any]) -> None:
        self._writing.discard((checkpoint_id, task_key(task)))
        if checkpoint_id not in self._under_way or future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._port.decline(
                checkpoint_id, task_key(task), f"the state of '{task.name}' could not be written: {error}"
            )
            return
        states[task.head.operator_id].keyed = future.result()
        self._port.acknowledge(checkpoint_id, task_key(task), states)

    def on_finished(self, task: Task) -> None:
        """A task has processed all its input: its sinks' last work, and its part in checkpoints to come."""
        if task.stopped_by_savepoint:  # its state is in the savepoint; what it holds belongs to the job that goes on
            self._port.task_stopped(task_key(task))
            return
        states, prepared = capture(task, finished=True)
        self._port.task_finished(task_key(task), states, prepared)

    def forget(self, checkpoint_id: int, *, aborted: bool) -> None:
        """A checkpoint is over; an aborted one stops what is under way for it."""
        self._writing = {(number, key) for number, key in self._writing if number != checkpoint_id}
        for snapshot in self._under_way.pop(checkpoint_id, []):
            if aborted:
                snapshot.cancel()

    def stop(self) -> None:
        """The attempt ends: gives up what is under way."""
        for checkpoint_id in list(self._under_way):
            self.forget(checkpoint_id, aborted=True)


class _Slices:
    """A keyed snapshot on the task's thread: advanced between batches, then handed on."""

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

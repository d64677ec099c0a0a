"""A worker process: runs the subtasks of one slot, exchanges batches with its peers, reports to the job's process.

A worker is forked, so it has the program, its modules and the job graph already. It talks to the job's process over
one control socket and to every other worker over one data socket.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import pickle
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from random import Random
from types import TracebackType
from typing import Any, NoReturn

from penstock.conf import ExecutionOptions
from penstock.errors import InvariantError, JobError, PenstockError
from penstock.graph import ExecutionGraph
from penstock.runtime._alignment import AlignmentPort
from penstock.runtime._attempt import METERS_EVERY_MS, JobFacts, deployment_settings
from penstock.runtime._channels import Channel
from penstock.runtime._deployment import Deployment
from penstock.runtime._elements import Barrier
from penstock.runtime._exchange import Frame, IncomingChannel, OutgoingChannel, Peer, dumps
from penstock.runtime._memory_use import JobMemory
from penstock.runtime._process_memory import current_process
from penstock.runtime._results import Collector
from penstock.runtime._scheduler import Scheduler
from penstock.runtime._snapshots import Prepared, SnapshotAgent, States, TaskKey, task_key
from penstock.runtime._task import Task

__all__ = ["PrintLock", "WorkerProcess"]

_PR_SET_PDEATHSIG = 1
EXIT_FAILED = 1


class PrintLock:
    """A lock between processes: held while lines are written, so that processes do not mix theirs."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the lock

    def __enter__(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Ends the lock."""
        self._file.close()


class _RemoteStage:
    """Collected records on their way to the job's process, bounded by what the client has not read."""

    def __init__(self, control: Peer, node_id: int, subtask_index: int) -> None:
        self._control = control
        self._place = (node_id, subtask_index)
        self.unread = 0

    def add(self, values: list[Any]) -> None:
        """Sends records."""
        self.unread += len(values)
        self._control.control(("collected", *self._place, values))

    def mark(self, checkpoint_id: int) -> None:
        """Sends word of a barrier."""
        self._control.control(("marked", *self._place, checkpoint_id))

    def end(self) -> None:
        """Sends word of the end."""
        self._control.control(("staged", *self._place))

    def has_room(self) -> bool:
        """Whether more may be sent."""
        return self.unread < Collector.ROOM


class _ControlPort:
    """The coordinator, seen from a worker."""

    def __init__(self, control: Peer) -> None:
        self._control = control

    def captured(self, checkpoint_id: int, task: TaskKey, prepared: Prepared) -> None:
        """A task has passed a barrier."""
        self._control.control(("captured", checkpoint_id, task, prepared))

    def acknowledge(self, checkpoint_id: int, task: TaskKey, states: States) -> None:
        """A task's part of a checkpoint is written."""
        self._control.control(("acknowledged", checkpoint_id, task, states))

    def decline(self, checkpoint_id: int, task: TaskKey, reason: str) -> None:
        """A task's part of a checkpoint failed."""
        self._control.control(("declined", checkpoint_id, task, reason))

    def task_finished(self, task: TaskKey, states: States, prepared: Prepared) -> None:
        """A task has processed all its input."""
        self._control.control(("finished", task, states, prepared))

    def task_stopped(self, task: TaskKey) -> None:
        """A task has ended behind the barrier of a stop-with-savepoint."""
        self._control.control(("stopped", task))


class WorkerProcess:
    """One worker, in its own process after the fork. Owned by that process's main thread."""

    def __init__(
        self,
        facts: JobFacts,
        attempt: int,
        index: int,
        control: socket.socket,
        peers: Mapping[int, socket.socket],
        print_lock: PrintLock,
    ) -> None:
        seed = facts.conf.get(ExecutionOptions.SCHEDULER_SEED)
        self._index = index
        self._job_name = facts.graph.name
        self._workers = len(peers) + 1
        self._scheduler = Scheduler(facts.clock, Random(seed + index) if seed is not None else None)
        process = current_process()
        if process is not None:
            process.become_worker(self._workers)
            process.attach(self._scheduler)
        self._control = Peer("the job's process", control, self._scheduler)
        self._control.on_frame = self._on_control
        self._control.on_lost = lambda: os._exit(EXIT_FAILED)
        self._peers = {
            worker: Peer(f"worker {worker}", connection, self._scheduler) for worker, connection in peers.items()
        }
        for peer in self._peers.values():
            peer.on_frame = self._on_data
            peer.on_lost = lambda: None  # it has finished, or the job's process notices
        self._incoming: dict[int, IncomingChannel] = {}
        self._outgoing: dict[int, OutgoingChannel] = {}
        self._stages: dict[tuple[int, int], _RemoteStage] = {}
        self._agent = SnapshotAgent(_ControlPort(self._control), facts.background, self._scheduler.submit)
        self._memory = JobMemory(facts.conf, facts.plan, facts.graph, batch=facts.batch_mode, process=current_process())
        self._alignment = AlignmentPort(
            lambda group, member, watermark: self._control.control(("aligned", group, member, watermark))
        )
        settings = deployment_settings(facts, self._scheduler, self._agent, self._memory, self._alignment)
        settings.worker = index
        settings.worker_of = lambda subtask_index: subtask_index % self._workers
        settings.outgoing, settings.incoming = self._open_outgoing, self._open_incoming
        settings.stage = self._stage
        settings.print_lock = print_lock
        settings.task.on_running = lambda task: self._control.control(("running", task_key(task)))
        self._deployment = Deployment(ExecutionGraph.of(facts.graph, attempt), settings)
        self._memory.warn()

    def run(self) -> None:
        """Runs the worker's tasks to their end."""
        self._scheduler.periodic = self._update_meters
        for task in self._deployment.tasks:
            self._scheduler.add(task)
        while self._scheduler.has_tasks:
            self._scheduler.step()
        self._deployment.discard()
        process = current_process()
        if process is not None:
            process.job_ended()
            self._control.control(("memory", process.snapshot()))
        self._memory.close()
        self._control.control(("done",))
        while not all(peer.is_flushed for peer in [self._control, *self._peers.values()]):
            self._scheduler.step()
        # Peers may still return credits: the sockets stay open until the job's process ends this one.
        while True:
            self._scheduler.step()

    def _update_meters(self, now_ms: int) -> int:
        self._deployment.metrics.update(now_ms)
        return now_ms + METERS_EVERY_MS

    def fail(self, error: BaseException) -> None:
        """Tells the job's process what went wrong."""
        process = current_process()
        if process is not None:
            process.report(error, self._job_name, self._deployment.tasks)
        self._scheduler.close_tasks()
        self._control.control(("failed", _portable(error)))
        while not self._control.is_flushed:
            self._scheduler.step()

    # -- channels --------------------------------------------------------------------------------

    def _open_outgoing(self, worker: int, number: int, input_index: int) -> Channel:
        channel = self._outgoing[number] = OutgoingChannel(10, input_index, number, self._peers[worker])
        return channel

    def _open_incoming(self, worker: int, number: int, input_index: int) -> Channel:
        channel = self._incoming[number] = IncomingChannel(10, input_index, number, self._peers[worker])
        return channel

    def _stage(self, node_id: int, subtask_index: int) -> _RemoteStage:
        stage = self._stages[node_id, subtask_index] = _RemoteStage(self._control, node_id, subtask_index)
        return stage

    def _on_data(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == Frame.CREDIT:
            self._outgoing[channel].give_credit(int.from_bytes(payload, "little"))
        else:
            self._incoming[channel].receive(kind, payload)

    # -- control ---------------------------------------------------------------------------------

    def _on_control(self, kind: int, channel: int, payload: bytes) -> None:
        message = pickle.loads(payload)
        handler = getattr(self, f"_on_{message[0]}", None)
        if handler is None:
            raise InvariantError(f"worker {self._index} does not know the message {message[0]!r}")
        handler(*message[1:])

    def _on_inject(self, key: TaskKey, barrier: Barrier, drain: bool) -> None:
        for task in self._deployment.tasks:
            if task_key(task) == key and not task.vertex.is_terminal:
                task.inject(barrier, drain=drain)
                self._scheduler.ready(task)

    def _on_completed(self, barrier: Barrier) -> None:
        self._agent.forget(barrier.checkpoint_id, aborted=False)
        for task in self._running():
            task.checkpoint_completed(barrier)

    def _on_aborted(self, checkpoint_id: int) -> None:
        self._agent.forget(checkpoint_id, aborted=True)
        for task in self._running():
            task.cancel_barrier(checkpoint_id)

    def _on_alignment(self, group: str, lowest: int) -> None:
        self._alignment.announced(group, lowest)

    def _on_taken(self, node_id: int, subtask_index: int, count: int) -> None:
        self._stages[node_id, subtask_index].unread -= count
        for task in self._running():
            if task.collects:
                self._scheduler.ready(task)

    def _running(self) -> list[Task]:
        return [task for task in self._deployment.tasks if not task.vertex.is_terminal]


def run_worker(
    facts: JobFacts,
    attempt: int,
    index: int,
    control: socket.socket,
    peers: Mapping[int, socket.socket],
    print_lock: PrintLock,
) -> NoReturn:
    """The life of a forked worker; never returns."""
    code = EXIT_FAILED
    try:
        _leave_parent()
        worker = WorkerProcess(facts, attempt, index, control, peers, print_lock)
        try:
            worker.run()
        except BaseException as error:
            worker.fail(error)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _leave_parent() -> None:
    """The worker dies with the job's process, and leaves Ctrl-C to it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()


def _portable(error: BaseException) -> BaseException:
    """The error, or one that says the same and can be pickled."""
    if isinstance(error, PenstockError):
        try:
            pickle.loads(dumps(error))
        except Exception:
            return JobError(str(error))
        return error
    return JobError(f"{type(error).__name__}: {error}")

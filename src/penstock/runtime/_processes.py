"""`execution.target: local-processes`: one worker process a slot, all on this machine.

Subtask i of every vertex runs in worker i, as Flink's slot sharing places them. The job's process coordinates: it
triggers checkpoints, hands results to the client, and notices workers that fail or die.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from penstock.datastream._executor import Pipeline
from penstock.errors import InvariantError, JobError
from penstock.graph import execution_plan
from penstock.memory import EndCause, LedgerSnapshot, end_cause
from penstock.runtime._alignment import Member, WatermarkAlignment
from penstock.runtime._attempt import JobFacts
from penstock.runtime._checkpoints import CheckpointCoordinator, TaskPort
from penstock.runtime._elements import Barrier
from penstock.runtime._exchange import Peer
from penstock.runtime._executor import LocalJobHandle, default_parallelism
from penstock.runtime._job import LocalJob, resolve_graph
from penstock.runtime._process_memory import current_process
from penstock.runtime._results import Collector
from penstock.runtime._scheduler import Scheduler
from penstock.runtime._snapshots import TaskKey
from penstock.runtime._worker import PrintLock, run_worker

__all__ = ["LocalProcessesExecutor", "ProcessesAttempt", "WorkerLostError"]


class WorkerLostError(JobError):
    """A worker process ended without saying why.

    Attributes:
        worker: its index.
        status: exit code, or minus the signal's number.
    """

    def __init__(self, worker: int, status: int) -> None:
        self.worker = worker
        self.status = status
        super().__init__(f"Worker process {worker} {_manner(status)} while it ran its tasks.")


def _manner(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    if end_cause(status, 0, ()) in (EndCause.HEAP_EXHAUSTED, EndCause.TASK_UNRESPONSIVE):
        return f"was ended by its heap guard, which says above why (exit code {status}),"
    return f"exited with code {status}"


class _RemoteTask:
    """A task in a worker, as the coordinator sees it."""

    def __init__(self, key: TaskKey, control: Peer, *, is_source: bool) -> None:
        self._key = key
        self._control = control
        self.is_source = is_source
        self.is_running = False

    def inject(self, barrier: Barrier, *, drain: bool = False) -> None:
        """Sends a barrier from a source."""
        self._control.control(("inject", self._key, barrier, drain))


class _Worker:
    """A worker process, as a task of the job's scheduler: it waits until the worker is done."""

    deadline_ms: int | None = None

    def __init__(self, index: int, pid: int) -> None:
        self.index = index
        self.pid = pid
        self.control: Peer
        self.done = False
        self.error: BaseException | None = None

    def resume(self) -> Iterator[bool]:
        """Waits; raises what the worker failed with."""
        while not self.done:
            if self.error is not None:
                raise self.error
            yield False

    def kill(self) -> int:
        """Ends the process and returns its status."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class ProcessesAttempt:
    """One attempt of a job over worker processes. Owned by the job's thread."""

    def __init__(
        self,
        facts: JobFacts,
        number: int,
        scheduler: Scheduler,
        coordinator: CheckpointCoordinator,
        collectors: Mapping[int, Collector],
    ) -> None:
        self._scheduler = scheduler
        self._coordinator = coordinator
        self._collectors = collectors
        self._print_lock = PrintLock()
        self._alignment = WatermarkAlignment(facts.graph, self._announce)
        count = max(vertex.parallelism for vertex in facts.graph.vertices.values())
        self._workers = self._fork(facts, number, count)
        self._ports = {
            (vertex.id, index): _RemoteTask(
                (vertex.id, index), self._workers[index % count].control, is_source=not vertex.inputs
            )
            for vertex in facts.graph.vertices.values()
            for index in range(vertex.parallelism)
        }
        for worker in self._workers:
            scheduler.add(worker)
        self._unread: dict[int, list[tuple[int, int]]] = {}
        for node_id, collector in collectors.items():
            collector.on_taken.append(partial(self._taken, node_id))

    def _fork(self, facts: JobFacts, number: int, count: int) -> list[_Worker]:
        data = {(low, high): socket.socketpair() for high in range(count) for low in range(high)}
        control = [socket.socketpair() for _ in range(count)]
        sys.stdout.flush()
        sys.stderr.flush()
        workers = []
        for index in range(count):
            pid = _fork_quietly()
            if pid == 0:
                peers = {
                    low if high == index else high: ends[high == index]
                    for (low, high), ends in data.items()
                    if index in (low, high)
                }
                mine = {control[index][1], *peers.values()}
                for pair in [*data.values(), *control]:
                    for end in pair:
                        if end not in mine:
                            end.close()
                run_worker(facts, number, index, control[index][1], peers, self._print_lock)
            workers.append(_Worker(index, pid))
        for pair in data.values():
            pair[0].close()
            pair[1].close()
        for worker, (here, there) in zip(workers, control, strict=True):
            there.close()
            worker.control = self._connect(worker, here)
        return workers

    def _connect(self, worker: _Worker, connection: socket.socket) -> Peer:
        peer = Peer(f"worker {worker.index}", connection, self._scheduler)
        peer.on_frame = lambda kind, channel, payload: self._on_control(worker, pickle.loads(payload))
        peer.on_lost = lambda: self._on_lost(worker)
        return peer

    # -- the attempt -----------------------------------------------------------------------------

    def ports(self) -> Mapping[TaskKey, TaskPort]:
        """The tasks, for the coordinator."""
        return self._ports

    def periodic(self, now_ms: int) -> int:
        """Nothing: the workers keep their own meters."""
        return now_ms + 1000

    def checkpoint_completed(self, barrier: Barrier) -> None:
        """Tells the workers."""
        for worker in self._workers:
            worker.control.control(("completed", barrier))

    def checkpoint_aborted(self, barrier: Barrier) -> None:
        """Tells the workers."""
        for worker in self._workers:
            worker.control.control(("aborted", barrier.checkpoint_id))

    def stop(self) -> None:
        """Ends all worker processes."""
        for worker in self._workers:
            worker.control.close()
            worker.kill()
        self._print_lock.close()

    # -- messages --------------------------------------------------------------------------------

    def _on_lost(self, worker: _Worker) -> None:
        if not worker.done and worker.error is None:
            worker.error = WorkerLostError(worker.index, _status_of(worker.pid))
            self._scheduler.ready(worker)

    def _on_control(self, worker: _Worker, message: tuple[Any, ...]) -> None:
        handler = getattr(self, f"_on_{message[0]}", None)
        if handler is None:
            raise InvariantError(f"worker {worker.index} sent {message[0]!r}")
        handler(worker, *message[1:])

    def _on_running(self, worker: _Worker, key: TaskKey) -> None:
        self._ports[key].is_running = True

    def _on_captured(self, worker: _Worker, checkpoint_id: int, key: TaskKey, prepared: Any) -> None:
        self._coordinator.captured(checkpoint_id, key, prepared)

    def _on_acknowledged(self, worker: _Worker, checkpoint_id: int, key: TaskKey, states: Any) -> None:
        self._coordinator.acknowledge(checkpoint_id, key, states)

    def _on_declined(self, worker: _Worker, checkpoint_id: int, key: TaskKey, reason: str) -> None:
        self._coordinator.decline(checkpoint_id, key, reason)

    def _on_finished(self, worker: _Worker, key: TaskKey, states: Any, prepared: Any) -> None:
        self._coordinator.task_finished(key, states, prepared)

    def _on_stopped(self, worker: _Worker, key: TaskKey) -> None:
        self._coordinator.task_stopped(key)

    def _on_aligned(self, worker: _Worker, group: str, member: Member, watermark: int) -> None:
        self._alignment.report(group, member, watermark)

    def _announce(self, group: str, lowest: int) -> None:
        for worker in self._workers:
            if not worker.done:
                worker.control.control(("alignment", group, lowest))

    def _on_memory(self, worker: _Worker, snapshot: LedgerSnapshot) -> None:
        process = current_process()
        if process is not None:
            process.worker_ended(worker.index, snapshot)

    def _on_collected(self, worker: _Worker, node_id: int, subtask_index: int, values: list[Any]) -> None:
        self._collectors[node_id].stage(subtask_index).add(values)
        self._unread.setdefault(node_id, []).append((subtask_index, len(values)))
        if self._collectors[node_id].is_staged:
            self._return_room(node_id)

    def _on_marked(self, worker: _Worker, node_id: int, subtask_index: int, checkpoint_id: int) -> None:
        self._collectors[node_id].stage(subtask_index).mark(checkpoint_id)

    def _on_staged(self, worker: _Worker, node_id: int, subtask_index: int) -> None:
        self._collectors[node_id].stage(subtask_index).end()

    def _on_done(self, worker: _Worker) -> None:
        worker.done = True
        self._scheduler.ready(worker)

    def _on_failed(self, worker: _Worker, error: BaseException) -> None:
        worker.error = error
        self._scheduler.ready(worker)

    def _taken(self, node_id: int, count: int) -> None:
        self._return_room(node_id)

    def _return_room(self, node_id: int) -> None:
        for subtask_index, count in self._unread.pop(node_id, []):
            worker = self._workers[subtask_index % len(self._workers)]
            if not worker.done:
                worker.control.control(("taken", node_id, subtask_index, count))


def _fork_quietly() -> int:
    """Forks; CPython 3.12 warns of threads, of which the runtime's own hold no lock a worker needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _status_of(pid: int) -> int:
    """The status of a process that has ended or is about to, without reaping it."""
    info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if info is None:
        return 0
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status


class LocalProcessesExecutor:
    """Runs pipelines over worker processes of this machine."""

    def execute(self, pipeline: Pipeline, *, detached: bool) -> LocalJobHandle:
        """Builds the job; nothing runs yet unless detached."""
        job = LocalJob(pipeline, default_parallelism(), make_attempt=ProcessesAttempt)
        return LocalJobHandle(job, detached=detached)

    def plan(self, pipeline: Pipeline) -> str:
        """The execution plan, JSON."""
        return execution_plan(resolve_graph(pipeline, default_parallelism()))

"""One attempt of a job in this process: its tasks deployed on the job's scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from penstock.conf import Configuration, ExecutionOptions
from penstock.graph import ExecutionGraph, ExecutionVertex, JobGraph
from penstock.memory import LocalPlan, TaskManagerPlan
from penstock.runtime._alignment import AlignmentPort, WatermarkAlignment
from penstock.runtime._checkpoints import CheckpointCoordinator, TaskPort
from penstock.runtime._deployment import Deployment, DeploymentSettings
from penstock.runtime._elements import Barrier
from penstock.runtime._memory_use import JobMemory
from penstock.runtime._process_memory import current_process
from penstock.runtime._recovery import OperatorRecovery
from penstock.runtime._results import Collector
from penstock.runtime._scheduler import Clock, Scheduler
from penstock.runtime._snapshots import SnapshotAgent, TaskKey, task_key
from penstock.runtime._task import Task
from penstock.runtime._task_settings import Lifecycle, TaskSettings
from penstock.runtime.state import BackendContext, HashMapBackend, KeyedStateBackend

METERS_EVERY_MS = 5000

if TYPE_CHECKING:
    from penstock.runtime.sort import ExternalSorter

__all__ = ["Attempt", "InProcessAttempt", "JobFacts", "deployment_settings"]


@dataclass(slots=True)
class JobFacts:
    """What every process of a job knows of it.

    Attributes:
        graph: the chained job graph.
        conf: the effective configuration.
        batch_mode: whether it runs in BATCH mode.
        clock: epoch ms.
        splits: planned splits of each source, by node id.
        recovery: state to restore, by operator id.
        checkpointing: whether checkpoints are taken.
        plan: the memory plan it runs under.
        background: gives the thread that writes checkpoints.
    """

    graph: JobGraph
    conf: Configuration
    batch_mode: bool
    clock: Clock
    recovery: Callable[[str], OperatorRecovery | None]
    checkpointing: bool
    background: Callable[[], Executor]
    plan: LocalPlan | TaskManagerPlan
    splits: dict[int, list[Any]] = field(default_factory=dict)

    def take_splits(self, node_id: int) -> Sequence[Any]:
        """The planned splits of all subtasks of a source."""
        return self.splits[node_id]


class Attempt(Protocol):
    """An attempt as the job sees it."""

    def ports(self) -> Mapping[TaskKey, TaskPort]:
        """The tasks, for the coordinator."""

    def checkpoint_completed(self, barrier: Barrier) -> None:
        """A checkpoint is complete."""

    def checkpoint_aborted(self, barrier: Barrier) -> None:
        """A checkpoint was given up."""

    def periodic(self, now_ms: int) -> int:
        """Called now and then; returns when it wants to be called again, epoch ms."""

    def stop(self) -> None:
        """Ends the attempt; whatever still runs is cancelled."""


class InProcessAttempt:
    """All tasks in this process. Owned by the job's thread."""

    def __init__(
        self,
        facts: JobFacts,
        number: int,
        scheduler: Scheduler,
        coordinator: CheckpointCoordinator,
        collectors: Mapping[int, Collector],
    ) -> None:
        self._agent = SnapshotAgent(coordinator, facts.background, scheduler.submit)
        self._memory = JobMemory(facts.conf, facts.plan, facts.graph, batch=facts.batch_mode, process=current_process())
        alignment = WatermarkAlignment(facts.graph, lambda group, lowest: port.announced(group, lowest))
        port = AlignmentPort(alignment.report)
        settings = deployment_settings(facts, scheduler, self._agent, self._memory, port)
        settings.stage = lambda node_id, index: collectors[node_id].stage(index)
        try:
            self._deployment = Deployment(ExecutionGraph.of(facts.graph, number), settings)
        except BaseException:
            self._memory.close()
            raise
        self._memory.warn()
        for task in self.tasks:
            scheduler.add(task)
        for collector in collectors.values():
            collector.on_taken.append(lambda _: self._wake_collecting(scheduler))

    @property
    def tasks(self) -> list[Task]:
        """In topological order."""
        return self._deployment.tasks

    def periodic(self, now_ms: int) -> int:
        """Moves the rates of meters on; returns when it wants to be called again."""
        self._deployment.metrics.update(now_ms)
        return now_ms + METERS_EVERY_MS

    def ports(self) -> Mapping[TaskKey, TaskPort]:
        """The tasks, for the coordinator."""
        return {task_key(task): task for task in self.tasks}

    def checkpoint_completed(self, barrier: Barrier) -> None:
        """Backends build on what was uploaded, sources may forget what they have read."""
        self._agent.forget(barrier.checkpoint_id, aborted=False)
        for task in self.tasks:
            if not task.vertex.is_terminal:
                task.checkpoint_completed(barrier)

    def checkpoint_aborted(self, barrier: Barrier) -> None:
        """Nobody waits for its barrier any more."""
        self._agent.forget(barrier.checkpoint_id, aborted=True)
        for task in self.tasks:
            task.cancel_barrier(barrier.checkpoint_id)

    def stop(self) -> None:
        """The tasks have ended: gives up snapshots under way, and proves that all memory came back."""
        self._agent.stop()
        self._deployment.discard()
        process = current_process()
        if process is not None:
            process.job_ended()
        self._memory.close()

    def _wake_collecting(self, scheduler: Scheduler) -> None:
        for task in self.tasks:
            if task.collects:
                scheduler.ready(task)


def deployment_settings(
    facts: JobFacts, scheduler: Scheduler, agent: SnapshotAgent, memory: JobMemory, alignment: AlignmentPort
) -> DeploymentSettings:
    """How tasks are deployed on a scheduler of any process of the job."""
    conf = facts.conf
    timeout = conf.get(ExecutionOptions.BUFFER_TIMEOUT)
    task = TaskSettings(
        clock=facts.clock,
        auto_watermark_interval_ms=conf.get(ExecutionOptions.AUTO_WATERMARK_INTERVAL),
        buffer_timeout_ms=timeout if conf.get(ExecutionOptions.BUFFER_TIMEOUT_ENABLED) else -1,
        on_snapshot=agent.on_snapshot,
        on_finished=agent.on_finished,
        is_writing=agent.is_writing,
    )
    return DeploymentSettings(
        clock=facts.clock,
        task=task,
        make_backend=lambda vertex, operator_id, lifecycle: _make_backend(
            facts, memory, vertex, operator_id, lifecycle
        ),
        make_grouped=lambda vertex, lifecycle: _make_sorter(memory, vertex, lifecycle),
        open_gate=memory.open_gate,
        take_splits=facts.take_splits,
        wake=scheduler.wake,
        ready=scheduler.ready,
        alignment=alignment,
        batch_mode=facts.batch_mode,
        job_parameters=conf.get(ExecutionOptions.GLOBAL_JOB_PARAMETERS),
        seed=conf.get(ExecutionOptions.SCHEDULER_SEED),
        checkpointing=facts.checkpointing,
        recovery=facts.recovery,
    )


def _make_backend(
    facts: JobFacts, memory: JobMemory, vertex: ExecutionVertex, operator_id: str, lifecycle: Lifecycle
) -> KeyedStateBackend:
    """The keyed state of a subtask."""
    job_vertex = vertex.vertex
    context = BackendContext(
        operator_id,
        job_vertex.head.node.transformation.name,
        vertex.subtask_index,
        job_vertex.parallelism,
        job_vertex.max_parallelism,
        facts.clock,
    )
    if facts.batch_mode:  # one key at a time: its state is small, whatever the job's is (Flink's batch state backend)
        backend: KeyedStateBackend = HashMapBackend(context)
    else:
        backend = memory.state_backend(context, job_vertex.id)
    lifecycle.release.append(backend.close)
    return backend


def _make_sorter(memory: JobMemory, vertex: ExecutionVertex, lifecycle: Lifecycle) -> ExternalSorter:
    """The sorted input of a keyed operator in BATCH mode, in the operator's managed memory."""
    from penstock.runtime.sort import ExternalSorter

    reservation = memory.reserve_sort(vertex.vertex.id, vertex.subtask_index, vertex.name)
    sorter = ExternalSorter(reservation.size_bytes, memory.tmp_dirs, vertex.name)
    lifecycle.release += [sorter.close, reservation.release]
    return sorter

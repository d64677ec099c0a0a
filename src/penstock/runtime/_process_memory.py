"""Memory of the process that `penstock run` makes: heap guard, garbage policy, ledger, log.

One a process. Jobs find it with `current_process` and attach their schedulers: every batch then runs as a task of
the heap guard, and between batches the runtime looks at the soft limit and decides on garbage collection. A job run
as a library (in a test, a notebook) has none of it: the process belongs to somebody else there.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import CodeType
from typing import TYPE_CHECKING, Any

from penstock.conf import Configuration, RuntimeOptions
from penstock.memory import (
    UNLIMITED_BYTES,
    CallWitness,
    DataLimit,
    GarbagePolicy,
    HeapFailure,
    HeapLimits,
    Ledger,
    LedgerSnapshot,
    LocalPlan,
    MemoryLog,
    OffHeapLimitError,
    OffHeapMeter,
    TaskHeapError,
    TaskManagerPlan,
    check_container,
    data_limit_bytes,
    describe_backstop,
    find_container_limit,
    heap_limit_in_container,
    idle_mapped_bytes,
    install_heap_guard,
    ledger_table,
    limit_arenas,
    metaspace_warning,
    register_allocator,
    register_code,
    register_heap,
    register_off_heap,
    resident_memory,
    short_size,
)
from penstock.runtime._memory_use import heap_limit_bytes, memory_plan
from penstock.runtime._scheduler import Runnable, Scheduler
from penstock.runtime._tmp_dirs import system_tmp_dir

if TYPE_CHECKING:
    from penstock.memory import Gauge, HeapGuard, StateFigure
    from penstock.runtime._state_ledger import StateLedger
    from penstock.runtime._task import Task

__all__ = ["ProcessMemory", "current_process", "in_runtime", "report_folder"]

PROGRAM = "the program itself"
REPORTS_MAX = 10
"""A job that fails at its limit may be restarted for ever; what its later reports would say stands in the first."""

_current: ProcessMemory | None = None
_NOTHING = nullcontext()


def current_process() -> ProcessMemory | None:
    """The process memory of this process, None where Penstock is used as a library."""
    return _current


def in_runtime() -> AbstractContextManager[object]:
    """For the runtime's work on the program's thread: it is not what the heap's limit stops."""
    return _current.guard.exempt() if _current is not None else _NOTHING


def report_folder(conf: Configuration, given: str | None) -> str:
    """Where reports go: what was given, what is configured, or a folder in the system's temporary directory."""
    configured = given or conf.get(RuntimeOptions.REPORT_DIRECTORY)
    if configured:
        return os.path.abspath(configured)  # the program may change its working directory
    return os.path.join(system_tmp_dir(), "penstock-reports")


class ProcessMemory:
    """Owned by the process's main thread.

    Attributes:
        plan: what the process may use.
        guard: the heap guard.
        ledger: budget, use and peak of every component.
        garbage: the collector's policy.
    """

    def __init__(
        self,
        conf: Configuration,
        *,
        log_path: str | None = None,
        report_directory: str | None = None,
        shown: bool = False,
    ) -> None:
        self.plan: LocalPlan | TaskManagerPlan = memory_plan(conf)
        self._conf = conf
        self._log_path = log_path
        self.report_directory = report_folder(conf, report_directory)
        self._data_limit: DataLimit | None = None
        self._heap_limit: int | None = None
        self.ledger = Ledger()
        self._states: StateLedger | None = None
        if shown or log_path is not None:
            from penstock.runtime._state_ledger import StateLedger

            self._states = StateLedger(self.ledger)
        self.guard: HeapGuard
        self.off_heap: OffHeapMeter
        self._witness: CallWitness
        self.garbage: GarbagePolicy
        self._log: MemoryLog | None = None
        self._last_job: LedgerSnapshot | None = None
        self._slots: dict[int, int] = {}
        self._snapshots: set[int] = set()  # tasks that take one
        self._gauges: list[Gauge] = []
        self._workers: dict[int, LedgerSnapshot] = {}
        self._said: set[str] = set()
        self._reports = 0

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Compares the plan with the container, and puts everything in force.

        Raises:
            ContainerLimitError: the plan exceeds the container.
        """
        global _current
        if isinstance(self.plan, TaskManagerPlan):
            total = self.plan.total_process_bytes
            hint = check_container(total)
            if hint is not None:
                sys.stderr.write(f"penstock: {hint}\n")
            self._data_limit = DataLimit(data_limit_bytes(total, idle_mapped_bytes=idle_mapped_bytes()))
            self._data_limit.__enter__()
        limit_arenas()
        self._check_code()
        self._heap_limit = heap_limit_bytes(self.plan) or self._limit_in_container()
        self._open(self._heap_limit)
        if self.guard.limits is not None and self.guard.mode != "enforced":
            sys.stderr.write(
                f"penstock: the heap limit is held by polling and the process limit alone: {self.guard.reason}.\n"
            )
        if self._log_path is not None:
            interval_ms = self._conf.get(RuntimeOptions.MEMORY_LOG_INTERVAL)
            self._log = MemoryLog(self.ledger, self._log_path, interval_ms / 1000, self._mark_system)
            self._log.start()
        _current = self

    def _open(self, limit: int | None) -> None:
        plan = self.plan
        self.guard = install_heap_guard(
            HeapLimits.of(limit) if limit is not None else None, report_directory=self.report_directory
        )
        if limit is not None:
            _prepare_reports()
        off_heap = None
        if plan.task_off_heap_bytes < UNLIMITED_BYTES:
            off_heap = plan.framework_off_heap_bytes + plan.task_off_heap_bytes
        self.off_heap = meter = OffHeapMeter(off_heap)
        self._gauges = [
            register_heap(self.ledger, self.guard, limit),
            register_off_heap(self.ledger, meter.used_bytes, meter.peak_bytes, off_heap),
            register_code(self.ledger, plan.jvm_metaspace_bytes),
        ]
        kept = register_allocator(self.ledger, plan.jvm_overhead_bytes)
        if kept is not None:
            self._gauges.append(kept)
        self.garbage = GarbagePolicy.from_configuration(self._conf, self.guard.used, self.guard.trim)
        self._witness = CallWitness(self.guard)
        self.garbage.start()
        gc.enable()  # the command line starts without it

    def _limit_in_container(self) -> int | None:
        """A plan without a heap limit, in a container: the heap is held to what the container leaves for it."""
        container = find_container_limit()
        if container is None:
            return None
        plan = self.plan
        budgets = plan.managed_bytes + plan.network_bytes
        limit = heap_limit_in_container(budgets, container.limit_bytes, resident_memory().file_bytes)
        if limit is not None:
            sys.stderr.write(
                f"penstock: no heap is configured; it is held to {short_size(limit)}, which the container's "
                f"{short_size(container.limit_bytes)} leave for it. taskmanager.memory.task.heap.size sets another.\n"
            )
        return limit

    def _check_code(self) -> None:
        option = "taskmanager.memory.jvm-metaspace.size"
        warning = metaspace_warning(self.plan.jvm_metaspace_bytes, resident_memory().file_bytes, option)
        if warning is not None:
            sys.stderr.write(f"penstock: {warning}\n")

    def become_worker(self, workers: int) -> None:
        """In a worker process, right after the fork: the plan's heap is divided among the slots' processes."""
        self._shut()
        self._slots.clear()
        self._log = None
        limit = self._heap_limit
        self._open(None if limit is None else limit // workers)

    def _mark_system(self) -> None:
        self.guard.mark_system(True)

    def close(self) -> None:
        """Gives the process back as it was."""
        global _current
        _current = None
        if self._log is not None:
            self._log.close()
        self._shut()
        if self._data_limit is not None:
            self._data_limit.__exit__(None, None, None)

    def _shut(self) -> None:
        self.garbage.stop()
        self.off_heap.close()
        self.guard.close()
        for gauge in self._gauges:
            gauge.close()

    # -- jobs ------------------------------------------------------------------------------------

    def attach(self, scheduler: Scheduler) -> None:
        """A job's scheduler runs its batches under the guard."""
        if self.guard.limits is not None or self.off_heap.limit_bytes is not None:
            scheduler.invoke = self._invoke
        scheduler.between = self._between
        scheduler.idle = self._idle
        self.garbage.freeze()
        self._snapshots.clear()

    def run_program(self, code: CodeType, namespace: dict[str, Any]) -> None:
        """Runs the program's own code, which may use the heap like any task.

        Raises:
            TaskHeapError: it passed the heap's limit.
        """
        self.guard.mark_system(True)
        if self.guard.limits is None:
            exec(code, namespace)
            return
        slot = self.guard.open_slot(PROGRAM)
        try:
            self.guard.call(slot, exec, code, namespace)
        except TaskHeapError as error:
            if error.failure.task == PROGRAM:  # a job's own failure was reported when it failed
                self.report(error, PROGRAM, ())
            raise
        finally:
            self.guard.close_slot(slot)

    def _invoke(self, task: Runnable, life: Iterator[bool]) -> bool:
        slot = self._slots.get(id(task))
        if slot is None:
            slot = self._slots[id(task)] = self.guard.open_slot(getattr(task, "name", ""))
        goes_on: bool = self.guard.call(slot, next, life)
        try:
            self.off_heap.poll()
        except OffHeapLimitError as error:
            raise self._off_heap_failure(slot, error) from None
        return goes_on

    def _off_heap_failure(self, slot: int, error: OffHeapLimitError) -> TaskHeapError:
        """The task's batch took native memory past its budget; a plain MemoryError would look like the program's."""
        task = self.guard.usage(slot).task
        limit = self.off_heap.limit_bytes or 0
        failure = HeapFailure(
            task=task,
            cause=type(error).__name__,
            message=f"{error} Seen after a batch of task {task!r}.",
            frames=(),
            used_bytes=self.off_heap.used_bytes(),
            line_bytes=limit,
            limit_bytes=limit,
            request_bytes=0,
            task_bytes=0,
            freed_bytes=0,
        )
        return TaskHeapError(failure)

    def _between(self, task: Runnable) -> None:
        if self._states is not None:
            self._states.sample(task)
        self._note_snapshots(task)
        if self.guard.over_soft():
            self.garbage.at_soft_limit()
        else:
            self.garbage.after_batch()

    def _note_snapshots(self, task: Runnable) -> None:
        if getattr(task, "active_snapshots", None):
            self._snapshots.add(id(task))
        elif self._snapshots:
            self._snapshots.discard(id(task))
        else:
            return
        self.garbage.snapshot_under_way(bool(self._snapshots))

    def _idle(self) -> float | None:
        self.garbage.when_idle()
        return None

    def report(self, error: BaseException, job: str, tasks: Sequence[Task]) -> None:
        """If a job failed for lack of memory: writes the report, while the tasks still hold what they held."""
        from penstock.memory import MemoryFailure, ReportContext, write_oom_report

        failure = MemoryFailure.of(error)
        if failure is None:
            return
        self._reports += 1
        if self._reports > REPORTS_MAX:
            self.say_once(f"no further report: a run writes {REPORTS_MAX}.")
            return
        context = ReportContext(
            job=job,
            role="local" if isinstance(self.plan, LocalPlan) else "taskmanager",
            configuration={key: value for key, value in self._conf.to_dict().items() if ".memory." in key},
            plan=self.plan.components(),
            states=[figure for task in tasks for figure in _states_of(task)],
            roots=[root for task in tasks for root in _roots_of(task)],
            garbage=self.garbage.statistics(),
            witness=self._witness.take(),
        )
        timeout_ms = self._conf.get(RuntimeOptions.REPORT_TIME)
        try:
            with self.guard.exempt():
                report = write_oom_report(
                    self.report_directory, failure, self.ledger, context, timeout_s=timeout_ms / 1000
                )
        except OSError as failed:
            sys.stderr.write(f"penstock: no report could be written: {failed}.\n")
            return
        sys.stderr.write(f"penstock: report: {report.text_path} (penstock diagnose {report.json_path})\n")

    def job_failed(self) -> None:
        """After a task failed at the heap's limit: what it held is let go, and given back to the system."""
        gc.unfreeze()  # the policy may have frozen what is garbage now
        gc.collect()
        self.guard.trim()

    def snapshot(self) -> LedgerSnapshot:
        """The ledger now, a job's own figures included even if it has just ended."""
        return self._last_job or self.ledger.snapshot()

    def job_ended(self) -> None:
        """Keeps the figures of a job whose gauges are about to go."""
        for slot in self._slots.values():
            self.guard.close_slot(slot)
        self._slots.clear()
        self._last_job = self.ledger.snapshot()
        if self._states is not None:
            self._states.close()

    def worker_ended(self, worker: int, snapshot: LedgerSnapshot) -> None:
        """What a worker process used, as it said at its end."""
        self._workers[worker] = snapshot

    def summary(self) -> str:
        """Budget against peak of each component, as a table; one more for each worker process of the last job."""
        now = self.ledger.snapshot(pss=True)
        if self._last_job is not None:
            own = {entry.component for entry in now.entries}
            kept = tuple(entry for entry in self._last_job.entries if entry.component not in own)
            now = LedgerSnapshot(
                now.time_ms,
                now.entries + kept,
                now.rss_bytes,
                now.anonymous_bytes,
                now.peak_rss_bytes,
                now.pss_bytes,
                now.unattributed_bytes,
            )
        tables = [ledger_table(now)]
        tables += [f"worker {worker}\n{ledger_table(self._workers[worker])}" for worker in sorted(self._workers)]
        return "\n\n".join([*tables, self._backstop()])

    def _backstop(self) -> str:
        soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
        container = find_container_limit()
        return describe_backstop(
            None if soft == resource.RLIM_INFINITY else soft,
            None if container is None else os.path.dirname(container.source),
            None if container is None else container.limit_bytes,
            isolated=False,
        )

    def say_once(self, warning: str) -> None:
        """A warning on standard error, the first time it is given: jobs are deployed again when they restart."""
        if warning not in self._said:
            self._said.add(warning)
            sys.stderr.write(f"penstock: {warning}\n")


def _prepare_reports() -> None:
    """Imports what a report needs while there is memory for it."""
    from penstock.memory import MemoryFailure, write_oom_report  # noqa: F401


def _states_of(task: Task) -> Iterator[StateFigure]:
    from penstock.memory import StateFigure

    if task.backend is None:
        return
    kind = type(task.backend).__name__.removesuffix("Backend").lower()
    for size in task.backend.sizes():
        yield StateFigure(task.head.name, task.vertex.subtask_index, size.name, kind, size.entries, size.size_bytes)


def _roots_of(task: Task) -> Iterator[tuple[str, Any]]:
    for node in task.nodes:
        if node.function is not None:
            yield f"{node.name} ({task.vertex.subtask_index + 1}): function", node.function
        if node.operator is not None:
            yield f"{node.name} ({task.vertex.subtask_index + 1}): operator", node.operator
    if task.backend is not None:
        yield f"{task.head.name} ({task.vertex.subtask_index + 1}): state", task.backend

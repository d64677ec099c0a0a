"""A job in one process: attempts, failures and restarts, cancellation, results.

The job runs on whatever thread drives it: `wait` and `results` run the scheduler themselves, so a program, a
notebook cell or a test needs no second thread, breakpoints work, and nothing is left behind afterwards.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import InvalidStateError
from contextlib import ExitStack, suppress
from random import Random
from typing import Any

from penstock.common.job_status import JobStatus
from penstock.conf import Configuration, ExecutionOptions
from penstock.datastream._executor import JobResult, Pipeline
from penstock.datastream._python_dependencies import python_dependencies
from penstock.datastream._transformations import CollectSpec, SourceSpec
from penstock.errors import ConfigurationError, JobError, PenstockError
from penstock.graph import JobGraph, StreamGraph, build_job_graph, build_stream_graph
from penstock.memory import TaskHeapError
from penstock.runtime._attempt import Attempt, InProcessAttempt, JobFacts
from penstock.runtime._checkpoints import CheckpointCoordinator, CheckpointError, SavepointRequest
from penstock.runtime._elements import Barrier
from penstock.runtime._job_checkpoints import JobCheckpoints
from penstock.runtime._memory_use import memory_plan
from penstock.runtime._process_memory import current_process, in_runtime
from penstock.runtime._progress import Progress, wants_progress
from penstock.runtime._restarts import RestartStrategy, restart_strategy
from penstock.runtime._results import Collector
from penstock.runtime._scheduler import Clock, Scheduler, StepClock, wall_clock_ms

__all__ = ["JobCancelledError", "LocalJob", "resolve_graph"]

log = logging.getLogger("penstock.job")


class JobCancelledError(JobError):
    """The job was cancelled before it ended."""


def resolve_graph(pipeline: Pipeline, default_parallelism: int) -> StreamGraph:
    """The stream graph of a program under its configuration."""
    conf = pipeline.configuration
    most = conf.get(ExecutionOptions.MAX_PARALLELISM)
    return build_stream_graph(
        pipeline.transformations,
        job_name=pipeline.job_name or conf.get(ExecutionOptions.PIPELINE_NAME) or "Flink Streaming Job",
        parallelism=conf.get(ExecutionOptions.DEFAULT_PARALLELISM) or default_parallelism,
        max_parallelism=most if most > 0 else None,
        chaining_enabled=conf.get(ExecutionOptions.OPERATOR_CHAINING),
        chain_different_max_parallelism=conf.get(ExecutionOptions.CHAIN_DIFFERENT_MAX_PARALLELISM),
    )


def is_batch(conf: Configuration, graph: StreamGraph) -> bool:
    """Whether the job runs in BATCH mode.

    Raises:
        ConfigurationError: for BATCH with an unbounded source.
    """
    mode = conf.get(ExecutionOptions.RUNTIME_MODE)
    if mode == "STREAMING":
        return False
    if graph.is_bounded:
        return True
    if mode == "BATCH":
        unbounded = [node.transformation.name for node in graph.sources]
        raise ConfigurationError(
            f"Detected an UNBOUNDED source with the 'execution.runtime-mode' set to 'BATCH' (sources: "
            f"{', '.join(unbounded)}). This combination is not allowed, please set the 'execution.runtime-mode' to "
            f"STREAMING or AUTOMATIC"
        )
    return False


class LocalJob:
    """One job. Owned by the thread that drives it; `cancel` and `status` may be used from others.

    Attributes:
        job_id: 32 hex digits.
        graph: the chained job graph.
        batch_mode: whether it runs in BATCH mode.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        default_parallelism: int,
        *,
        clock: Clock | None = None,
        restarts: RestartStrategy | None = None,
        make_attempt: Callable[..., Attempt] = InProcessAttempt,
    ) -> None:
        self._pipeline = pipeline
        self.configuration = self._conf = pipeline.configuration
        stream_graph = resolve_graph(pipeline, default_parallelism)
        self.batch_mode = is_batch(self._conf, stream_graph)
        self.graph: JobGraph = build_job_graph(stream_graph)
        self.job_id = os.urandom(16).hex()
        self.name = self.graph.name
        seeded = self._conf.get(ExecutionOptions.SCHEDULER_SEED) is not None
        self._clock = clock or (StepClock() if seeded else wall_clock_ms)
        self._restarts = restarts or restart_strategy(self._conf)
        self._status = JobStatus.CREATED
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._scheduler: Scheduler | None = None
        self._checkpoints = JobCheckpoints(self._conf, self.job_id, self.graph)
        self._coordinator: CheckpointCoordinator | None = None
        self._running: Attempt | None = None
        self._progress: Progress | None = None
        self._make_attempt: Callable[..., Attempt] = make_attempt
        self._facts = JobFacts(
            self.graph,
            self._conf,
            self.batch_mode,
            self._clock,
            self._checkpoints.recovery,
            self._checkpoints.enabled,
            lambda: self._checkpoints.background,
            memory_plan(self._conf),
        )
        self._collectors = {
            transformation.id: Collector(staged=self._checkpoints.enabled)
            for transformation in pipeline.transformations
            if isinstance(transformation.spec, CollectSpec)
        }
        self._dependencies = ExitStack()
        self._savepoints: list[SavepointRequest] = []
        self._attempt = -1
        self._started_s = 0.0
        self._ended_s = 0.0

    # -- the handle ------------------------------------------------------------------------------

    @property
    def status(self) -> JobStatus:
        """Where the job is in its life."""
        return self._status

    def cancel(self) -> None:
        """Asks the job to stop; returns at once."""
        self._cancelled.set()
        if self._scheduler is not None:
            self._scheduler.interrupt()

    def wait(self) -> JobResult:
        """Runs the job to its end (or waits for the thread that does).

        Raises:
            JobError: the job failed or was cancelled.
        """
        for _ in self._drive(lambda: False):
            pass
        return self.result()

    def result(self) -> JobResult:
        """The result of a job that has ended."""
        if self._error is not None:
            raise self._error
        return JobResult(self.job_id, round((self._ended_s - self._started_s) * 1000), {})

    def results(self) -> Iterator[Any]:
        """What the job's collecting sink received, as it comes; closing the iterator cancels the job."""
        try:
            for _ in self._drive(self._has_results):
                yield from self._take_results()
            yield from self._take_results()
            self.result()
        finally:
            if not self._ended.is_set():
                self.cancel()
                self._end(JobStatus.CANCELED, None)

    # -- driving ---------------------------------------------------------------------------------

    def _drive(self, pause: Callable[[], bool]) -> Iterator[None]:
        """Runs until the end; yields where `pause` says so."""
        if self._ended.is_set():
            return
        try:
            self._dependencies.enter_context(python_dependencies(self._conf))
            with in_runtime():
                self._started_s = time.monotonic()
                self._plan_splits()
                self._run_or_recover(self._start_attempt)
            while not self._ended.is_set():
                with in_runtime():
                    self._run_or_recover(self._step if self._is_active() else self._complete)
                if pause():
                    yield
        except JobCancelledError as error:
            self._end(JobStatus.CANCELED, _let_go(error))
        except Exception as error:
            self._end(JobStatus.FAILED, _let_go(error))
        except BaseException:
            self._end(JobStatus.CANCELED, JobCancelledError(f"Job '{self.name}' was interrupted."))
            raise

    def _step(self) -> None:
        """One batch or event of one task."""
        assert self._scheduler is not None
        if self._cancelled.is_set():
            raise JobCancelledError(f"Job '{self.name}' ({self.job_id}) was cancelled.")
        self._scheduler.step()

    def _run_or_recover(self, part: Callable[[], None]) -> None:
        """Whatever fails a part of an attempt (its start, a step, its end), the restart strategy decides."""
        while True:
            try:
                return part()
            except JobCancelledError:
                raise
            except Exception as error:
                self._recover(error)
            part = self._start_attempt

    def _is_active(self) -> bool:
        """Tasks run, or a savepoint they stopped for is still being written."""
        if self._scheduler is None or self._coordinator is None:
            return False
        return self._scheduler.has_tasks or self._coordinator.is_busy

    def _start_attempt(self) -> None:
        self._attempt += 1
        seed = self._conf.get(ExecutionOptions.SCHEDULER_SEED)
        scheduler = Scheduler(self._clock, Random(seed) if seed is not None else None)
        self._scheduler = scheduler
        process = current_process()
        if process is not None:
            process.attach(scheduler)
        self._status = JobStatus.RUNNING
        self._checkpoints.begin_attempt(self._attempt)
        coordinator = self._checkpoints.coordinator(scheduler.submit, self._clock)
        self._coordinator = coordinator
        for collector in self._collectors.values():
            collector.begin_attempt(coordinator.next_id - 1)
        coordinator.on_complete = self._checkpoint_completed
        attempt = self._make_attempt(self._facts, self._attempt, scheduler, coordinator, self._collectors)
        coordinator.on_abort = attempt.checkpoint_aborted
        self._running = attempt
        coordinator.start(attempt.ports())
        periodic = [coordinator.periodic, attempt.periodic]
        if current_process() is not None and isinstance(attempt, InProcessAttempt) and wants_progress(self._conf):
            self._progress = Progress(self.name, lambda: attempt.tasks, self._clock)
            periodic.append(self._progress.update)
        scheduler.periodic = lambda now: min([call(now) for call in periodic])

    def _checkpoint_completed(self, barrier: Barrier) -> None:
        assert self._running is not None
        self._running.checkpoint_completed(barrier)
        if barrier.is_recovery_point:
            for collector in self._collectors.values():
                collector.commit(barrier.checkpoint_id)
        self._checkpoints.completed(barrier)

    def _plan_splits(self) -> None:
        for vertex in self.graph.vertices.values():
            spec = vertex.head.node.transformation.spec
            if isinstance(spec, SourceSpec):
                self._facts.splits[vertex.id] = spec.source.plan_splits(vertex.parallelism)

    def _recover(self, error: Exception) -> None:
        """A task failed: stops the attempt, and starts the next one if the restart strategy says so."""
        process = current_process()
        if process is not None and isinstance(self._running, InProcessAttempt):
            process.report(error, self.name, self._running.tasks)
        savepoint_taken = self._coordinator is not None and self._coordinator.stopped
        self._stop_attempt()
        _let_go(error)
        if savepoint_taken:
            raise JobError(
                f"Job '{self.name}' has its savepoint, but failed while it was stopping: {error} The savepoint is "
                f"consistent; what sinks had not yet committed is committed when a job starts from it."
            )
        if process is not None and isinstance(error, TaskHeapError):
            process.job_failed()
        delay_ms = self._restarts.delay_ms(self._clock())
        if delay_ms is None or not self._is_recoverable(error):
            raise error
        self._status = JobStatus.RESTARTING
        log.warning("Job '%s' restarts in %d ms (attempt %d failed): %s", self.name, delay_ms, self._attempt + 1, error)
        if self._cancelled.wait(delay_ms / 1000):
            raise JobCancelledError(f"Job '{self.name}' was cancelled while it waited to restart.")

    def _is_recoverable(self, error: Exception) -> bool:
        return not isinstance(error, ConfigurationError)  # it would be wrong the next time, too

    def _complete(self) -> None:
        assert self._coordinator is not None
        self._coordinator.finish()
        for collector in self._collectors.values():
            collector.commit(None)
        self._end(JobStatus.FINISHED, None)

    def request_savepoint(self, request: SavepointRequest) -> None:
        """Takes a savepoint at the next opportunity; from any thread."""
        scheduler, coordinator = self._scheduler, self._coordinator
        if scheduler is None or coordinator is None or self._ended.is_set():
            request.done.set_exception(CheckpointError(f"Job '{self.name}' is not running: no savepoint was taken."))
            return
        self._savepoints = [waiting for waiting in self._savepoints if not waiting.done.done()]
        self._savepoints.append(request)
        scheduler.submit(lambda: coordinator.request_savepoint(request))
        if self._ended.is_set():  # it ended meanwhile, and nobody looks at what was submitted
            self._refuse_savepoints()

    def _refuse_savepoints(self) -> None:
        """Whoever waits for a savepoint of an attempt that is over is told so."""
        for request in self._savepoints:
            with suppress(InvalidStateError):
                request.done.set_exception(CheckpointError("The job stopped before the savepoint was taken."))

    def _stop_attempt(self) -> None:
        if self._coordinator is not None:
            self._coordinator.stop()
            self._checkpoints.next_attempt_starts_at(self._coordinator.next_id)
            self._coordinator = None
        self._refuse_savepoints()
        newest = self._checkpoints.settle()
        for collector in self._collectors.values():
            collector.commit(newest)
            collector.reset()
        if self._scheduler is not None:
            self._scheduler.close()
            self._scheduler = None
        if self._progress is not None:
            self._progress.close()
            self._progress = None
        if self._running is not None:
            running, self._running = self._running, None
            running.stop()

    def _end(self, status: JobStatus, error: BaseException | None) -> None:
        if self._ended.is_set():
            return
        self._stop_attempt()
        self._dependencies.close()
        self._checkpoints.close(finished=status is JobStatus.FINISHED, cancelled=status is JobStatus.CANCELED)
        self._status = status
        self._error = error
        self._ended_s = time.monotonic()
        self._ended.set()

    # -- results ---------------------------------------------------------------------------------

    def _collector(self) -> Collector | None:
        return next(iter(self._collectors.values()), None)

    def _has_results(self) -> bool:
        collector = self._collector()
        return collector is not None and bool(collector.records)

    def _take_results(self) -> list[Any]:
        collector = self._collector()
        return collector.take() if collector is not None else []

    @property
    def collects(self) -> bool:
        """Whether the program has a collecting sink."""
        return bool(self._collectors)


def _let_go(error: Exception) -> Exception:
    """Drops the frames of an error meant for users: they hold the tasks, and the text says all there is to say."""
    if isinstance(error, PenstockError):
        error.__traceback__ = error.__context__ = error.__cause__ = None
    return error

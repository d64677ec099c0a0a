"""The executor of `execution.target: local`: the job runs in this process, on the caller's thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

from penstock.common.job_status import JobStatus
from penstock.conf import CheckpointingOptions, ExecutionOptions
from penstock.datastream._executor import JobResult, Pipeline
from penstock.datastream._transformations import SourceSpec
from penstock.errors import ConfigurationError
from penstock.graph import execution_plan
from penstock.runtime._checkpoints import SavepointRequest
from penstock.runtime._job import LocalJob, resolve_graph
from penstock.runtime._process_memory import current_process

__all__ = ["LocalExecutor", "LocalJobHandle"]

PROCESSES_FROM_RECORDS = 2_000_000
"""About two seconds of work."""


class LocalJobHandle:
    """A job of this process: driven by `wait` or `results`, or by a thread of its own when detached."""

    def __init__(self, job: LocalJob, *, detached: bool) -> None:
        self._job = job
        self._thread: threading.Thread | None = None
        if detached and not job.collects:
            self._thread = threading.Thread(target=self._run, name=f"job {job.job_id}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._job.wait()
        except Exception:
            return

    @property
    def job_id(self) -> str:
        """32 hex digits."""
        return self._job.job_id

    @property
    def status(self) -> JobStatus:
        """Where the job is in its life."""
        return self._job.status

    def cancel(self) -> None:
        """Asks the job to stop; returns at once."""
        self._job.cancel()

    def wait(self) -> JobResult:
        """Runs the job to its end, or waits for the thread that does."""
        if self._thread is None:
            return self._job.wait()
        self._thread.join()
        return self._job.result()

    def results(self) -> Iterator[Any]:
        """The collected elements; reading them is what runs the job."""
        return self._job.results()

    def trigger_savepoint(self, directory: str | None) -> str:
        """Takes a savepoint and returns its path."""
        return self._savepoint(directory, stop=False, drain=False)

    def stop_with_savepoint(self, advance_to_end_of_event_time: bool, directory: str | None) -> str:
        """Takes a savepoint, stops the job, and returns the savepoint's path."""
        return self._savepoint(directory, stop=True, drain=advance_to_end_of_event_time)

    def _savepoint(self, directory: str | None, *, stop: bool, drain: bool) -> str:
        where = directory or self._job.configuration.get(CheckpointingOptions.SAVEPOINT_DIRECTORY)
        if where is None:
            raise ConfigurationError(
                "No savepoint directory configured: pass a directory, or set execution.checkpointing.savepoint-dir."
            )
        request = SavepointRequest(where, stop, drain)
        self._job.request_savepoint(request)
        return request.done.result()


class LocalExecutor:
    """Runs pipelines in this process."""

    def execute(self, pipeline: Pipeline, *, detached: bool) -> LocalJobHandle:
        """Builds the job; nothing runs yet unless detached."""
        job = LocalJob(pipeline, default_parallelism())
        if pipeline.configuration.get(ExecutionOptions.TARGET) is None and _processes_pay(job):
            from penstock.runtime._processes import LocalProcessesExecutor

            return LocalProcessesExecutor().execute(pipeline, detached=detached)
        return LocalJobHandle(job, detached=detached)

    def plan(self, pipeline: Pipeline) -> str:
        """The execution plan, JSON."""
        return execution_plan(resolve_graph(pipeline, default_parallelism()))


def _processes_pay(job: LocalJob) -> bool:
    """Whether a job that names no target is spread over worker processes.

    Only under `penstock run`: a library must not fork its host. The job must be one that several processes can work on
    from its sources on, and large enough for their start and the pickling between them.
    """
    seeded = job.configuration.get(ExecutionOptions.SCHEDULER_SEED) is not None
    if current_process() is None or seeded or job.collects or default_parallelism() < 2:
        return False
    for vertex in job.graph.vertices.values():
        spec = vertex.head.node.transformation.spec
        if isinstance(spec, SourceSpec) and vertex.parallelism > 1:
            records = spec.source.estimated_records()
            if records is not None and records >= PROCESSES_FROM_RECORDS:
                return True
    return False


def default_parallelism() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))

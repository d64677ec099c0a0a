"""The handle of a job that runs in the background (`pyflink.common.job_client`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from penstock.common.completable_future import CompletableFuture
from penstock.common.job_execution_result import JobExecutionResult
from penstock.common.job_id import JobID
from penstock.common.job_status import JobStatus

__all__ = ["JobClient"]


class _Result(Protocol):
    @property
    def runtime_ms(self) -> int: ...

    @property
    def accumulators(self) -> Mapping[str, Any]: ...


class _Handle(Protocol):
    """What a job client needs of `penstock.datastream._executor.JobHandle`."""

    @property
    def job_id(self) -> str: ...

    @property
    def status(self) -> JobStatus: ...

    def cancel(self) -> None: ...

    def wait(self) -> _Result: ...

    def trigger_savepoint(self, directory: str | None) -> str: ...

    def stop_with_savepoint(self, advance_to_end_of_event_time: bool, directory: str | None) -> str: ...


class JobClient:
    """Asks and tells a job. May be used from any thread."""

    def __init__(self, handle: _Handle) -> None:
        self._handle = handle

    def get_job_id(self) -> JobID:
        """Which job."""
        return JobID(self._handle.job_id)

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        """Where the job is in its life."""
        return CompletableFuture(lambda: self._handle.status)

    def cancel(self) -> CompletableFuture[None]:
        """Asks the job to stop, at once."""
        self._handle.cancel()
        return CompletableFuture(lambda: None)

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None
    ) -> CompletableFuture[str]:
        """Takes a savepoint and stops the job.

        Args:
            advance_to_end_of_event_time: whether the last watermark is sent first, so that all timers fire.
            savepoint_directory: where, else the configured directory.

        Returns:
            The savepoint's path.
        """
        handle = self._handle
        return CompletableFuture(lambda: handle.stop_with_savepoint(advance_to_end_of_event_time, savepoint_directory))

    def trigger_savepoint(self, savepoint_directory: str | None = None) -> CompletableFuture[str]:
        """Takes a savepoint; gives its path."""
        return CompletableFuture(lambda: self._handle.trigger_savepoint(savepoint_directory))

    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        """The accumulators' results; PyFlink programs have no way to make any."""
        return CompletableFuture(dict)

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """The outcome; waits for the job's end, and raises its failure."""
        handle = self._handle

        def wait() -> JobExecutionResult:
            result = handle.wait()
            return JobExecutionResult(JobID(handle.job_id), result.runtime_ms, result.accumulators)

        return CompletableFuture(wait, lambda: handle.status.is_terminal_state(), handle.cancel)

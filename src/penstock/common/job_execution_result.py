"""What `execute()` returns (`pyflink.common.job_execution_result`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.common.job_id import JobID

__all__ = ["JobExecutionResult"]


class JobExecutionResult:
    """The outcome of a finished job. Immutable.

    Args:
        job_id: which job.
        net_runtime_ms: how long it ran, without queueing, in ms.
        accumulators: results by accumulator name; PyFlink programs have no way to make any.
    """

    def __init__(self, job_id: JobID, net_runtime_ms: int, accumulators: Mapping[str, Any] | None = None) -> None:
        self._job_id = job_id
        self._net_runtime_ms = net_runtime_ms
        self._accumulators = dict(accumulators or {})

    def get_job_id(self) -> JobID:
        """Which job it was."""
        return self._job_id

    def get_net_runtime(self) -> int:
        """How long it ran, in ms."""
        return self._net_runtime_ms

    def get_accumulator_result(self, accumulator_name: str) -> Any:
        """The result of an accumulator, None where there is none of that name."""
        return self._accumulators.get(accumulator_name)

    def get_all_accumulator_results(self) -> dict[str, Any]:
        """All accumulators' results by name."""
        return dict(self._accumulators)

    def __str__(self) -> str:
        lines = [
            "Program execution finished",
            f"Job with JobID {self._job_id} has finished.",
            f"Job Runtime: {self._net_runtime_ms} ms",
        ]
        if self._accumulators:
            lines.append("Accumulator Results: ")
            lines += [f"- {name} ({type(value).__name__}): {value}" for name, value in self._accumulators.items()]
        return "\n".join(lines) + "\n"

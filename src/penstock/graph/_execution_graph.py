"""The execution graph: the subtasks of a job and the states they go through.

Which transitions are legal stands in one table; an illegal one raises and changes nothing. The names are
Flink's (`org.apache.flink.runtime.execution.ExecutionState`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from penstock.errors import InvariantError
from penstock.graph._job_graph import JobGraph, JobVertex

__all__ = ["ExecutionGraph", "ExecutionState", "ExecutionVertex"]


class ExecutionState(Enum):
    """The state of one attempt of a subtask."""

    CREATED = "CREATED"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


_NEXT: dict[ExecutionState, frozenset[ExecutionState]] = {
    ExecutionState.CREATED: frozenset({ExecutionState.INITIALIZING, ExecutionState.CANCELED, ExecutionState.FAILED}),
    ExecutionState.INITIALIZING: frozenset({ExecutionState.RUNNING, ExecutionState.CANCELED, ExecutionState.FAILED}),
    ExecutionState.RUNNING: frozenset({ExecutionState.FINISHED, ExecutionState.CANCELED, ExecutionState.FAILED}),
    ExecutionState.FINISHED: frozenset(),
    ExecutionState.CANCELED: frozenset(),
    ExecutionState.FAILED: frozenset(),
}


@dataclass(slots=True)
class ExecutionVertex:
    """One subtask of a vertex in its current attempt. Owned by the thread that runs the job."""

    vertex: JobVertex
    subtask_index: int
    attempt: int = 0
    state: ExecutionState = ExecutionState.CREATED

    @property
    def name(self) -> str:
        """As in Flink's logs: `A -> B (1/2)#0`."""
        return f"{self.vertex.name} ({self.subtask_index + 1}/{self.vertex.parallelism})#{self.attempt}"

    def transition(self, state: ExecutionState) -> None:
        """Moves on to a state.

        Raises:
            InvariantError: if the table does not allow it; nothing has changed then.
        """
        if state not in _NEXT[self.state]:
            raise InvariantError(f"{self.name}: illegal transition {self.state.name} -> {state.name}")
        self.state = state

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can follow the current state."""
        return not _NEXT[self.state]


@dataclass(slots=True)
class ExecutionGraph:
    """All subtasks of one attempt of a job, in topological order."""

    job: JobGraph
    vertices: list[ExecutionVertex]

    @classmethod
    def of(cls, job: JobGraph, attempt: int = 0) -> ExecutionGraph:
        """Expands each job vertex to its subtasks."""
        return cls(
            job,
            [
                ExecutionVertex(vertex, index, attempt)
                for vertex in job.vertices.values()
                for index in range(vertex.parallelism)
            ],
        )

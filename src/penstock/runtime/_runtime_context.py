"""The runtime context: what a user function learns about its subtask in `open`, and where it gets its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.datastream.functions import RuntimeContext
from penstock.errors import JobError

if TYPE_CHECKING:
    from penstock.datastream.state import (
        AggregatingState,
        AggregatingStateDescriptor,
        ListState,
        ListStateDescriptor,
        MapState,
        MapStateDescriptor,
        ReducingState,
        ReducingStateDescriptor,
        ValueState,
        ValueStateDescriptor,
    )
    from penstock.metrics import MetricGroup
    from penstock.runtime.state import KeyedStateBackend

__all__ = ["NotKeyedError", "StreamingRuntimeContext", "TaskFacts"]


class NotKeyedError(JobError):
    """Keyed state was asked for where the input is not keyed."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What is known of a subtask before it runs.

    Attributes:
        task_name: the names of the chained operators, e.g. `Source: numbers -> Map`.
        subtask_index: from 0.
        parallelism: number of subtasks.
        max_parallelism: number of key groups.
        attempt: from 0, one more after each restart.
        job_parameters: the global job parameters.
    """

    task_name: str
    subtask_index: int = 0
    parallelism: int = 1
    max_parallelism: int = 128
    attempt: int = 0
    job_parameters: Mapping[str, str] = field(default_factory=dict)


class StreamingRuntimeContext(RuntimeContext):
    """The RuntimeContext of one operator of one subtask. Owned by the task's thread.

    Args:
        facts: of the subtask.
        metrics: the operator's metric group.
        backend: keyed state, or None where the input is not keyed.
    """

    def __init__(self, facts: TaskFacts, metrics: MetricGroup, backend: KeyedStateBackend | None = None) -> None:
        self._facts = facts
        self._metrics = metrics
        self._backend = backend

    def get_task_name(self) -> str:
        """The name of the task, as assigned when the graph was built."""
        return self._facts.task_name

    def get_task_name_with_subtasks(self) -> str:
        """The name with subtask and attempt, e.g. `Map (1/2)#0`."""
        facts = self._facts
        return f"{facts.task_name} ({facts.subtask_index + 1}/{facts.parallelism})#{facts.attempt}"

    def get_number_of_parallel_subtasks(self) -> int:
        """The parallelism of the task."""
        return self._facts.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        """The number of key groups, the limit of the parallelism."""
        return self._facts.max_parallelism

    def get_index_of_this_subtask(self) -> int:
        """From 0 to the parallelism - 1."""
        return self._facts.subtask_index

    def get_attempt_number(self) -> int:
        """0 for the first attempt."""
        return self._facts.attempt

    def get_job_parameter(self, key: str, default_value: str) -> str:
        """A global job parameter as text, or the default."""
        return self._facts.job_parameters.get(key, default_value)

    def get_metrics_group(self) -> MetricGroup:
        """Where the function registers its metrics."""
        return self._metrics

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """The value state of that name, of the current key."""
        state: ValueState[Any] = self._state(state_descriptor)
        return state

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """The list state of that name, of the current key."""
        state: ListState[Any] = self._state(state_descriptor)
        return state

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """The map state of that name, of the current key."""
        state: MapState[Any, Any] = self._state(state_descriptor)
        return state

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """The reducing state of that name, of the current key."""
        state: ReducingState[Any] = self._state(state_descriptor)
        return state

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """The aggregating state of that name, of the current key."""
        state: AggregatingState[Any, Any] = self._state(state_descriptor)
        return state

    def _state(self, descriptor: Any) -> Any:
        if self._backend is None:
            # The text is PyFlink's: programs and tests match on it.
            raise NotKeyedError("This state is only accessible by functions executed on a KeyedStream.")
        return self._backend.state(descriptor)

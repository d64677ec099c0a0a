"""What a checkpoint holds of each task, and how it is dealt out again.

Every operator of every subtask contributes one `OperatorSubtaskState`; a checkpoint's metadata is the list of them
by operator id, with what sinks have prepared to commit.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from penstock.runtime._outputs import SinkOutput
from penstock.runtime._recovery import OperatorRecovery
from penstock.runtime._task import Task

__all__ = ["CheckpointContent", "OperatorSubtaskState", "capture", "recovery_of"]


@dataclass(slots=True)
class OperatorSubtaskState:
    """One operator of one subtask. Picklable.

    Attributes:
        subtask_index: from 0.
        keyed: handle of the keyed state, or None.
        timers: for each timer service, its timers by key group.
        operator: what `Operator.snapshot` returned, pickled at the barrier.
        writer: what `SinkWriter.snapshot` returned.
        splits: a source's remaining splits with positions, None for other operators.
        finished: whether the subtask had processed all its input.
    """

    subtask_index: int
    keyed: Any = None
    timers: dict[str, dict[int, Any]] = field(default_factory=dict)
    operator: bytes | None = None
    writer: Any = None
    splits: list[Any] | None = None
    finished: bool = False


@dataclass(slots=True)
class CheckpointContent:
    """A whole checkpoint. Picklable.

    Attributes:
        parallelism: of each operator, by operator id, for messages.
        names: of each operator, by operator id, for messages.
        max_parallelism: key groups, by operator id: cannot change on restore.
        operators: the states, by operator id.
        committables: what sinks have prepared and nobody has committed yet, by operator id.
    """

    parallelism: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    max_parallelism: dict[str, int] = field(default_factory=dict)
    operators: dict[str, list[OperatorSubtaskState]] = field(default_factory=dict)
    committables: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, states: dict[str, OperatorSubtaskState]) -> None:
        """Takes the part of one task."""
        for operator_id, state in states.items():
            self.operators[operator_id].append(state)


def capture(task: Task, finished: bool = False) -> tuple[dict[str, OperatorSubtaskState], dict[str, list[Any]]]:
    """The state of a task's operators between two records, keyed state aside, and what its sinks prepared to commit."""
    index = task.vertex.subtask_index
    states: dict[str, OperatorSubtaskState] = {}
    prepared: dict[str, list[Any]] = {}
    for operator_id, node in task.operator_ids():
        state = OperatorSubtaskState(index, finished=finished)
        if not finished:
            state.timers = {service.name: service.snapshot() for service in task.timers.get(node.id, ())}
            state.operator = _frozen(node.operator.snapshot()) if node.operator is not None else None
        for _, output in node.outputs:
            if isinstance(output, SinkOutput):
                prepared[operator_id] = output.writer.finish() if finished else output.writer.prepare_commit()
                state.writer = None if finished else output.writer.snapshot()
        if node is task.head and task.reader is not None:
            state.splits = [] if finished else task.reader.snapshot()
        states[operator_id] = state
    return states, prepared


def _frozen(state: Any) -> bytes | None:
    """What an operator has at the barrier, whatever it does with its objects until the metadata are written."""
    return None if state is None else pickle.dumps(state, pickle.HIGHEST_PROTOCOL)


def recovery_of(
    states: Iterable[OperatorSubtaskState], read: Any, commit_order: Callable[[OperatorSubtaskState], int] | None = None
) -> OperatorRecovery:
    """What a restarted operator gets from the states of its former subtasks."""
    ordered = sorted(states, key=commit_order or (lambda state: state.subtask_index))
    timers: dict[str, list[Any]] = {}
    for state in ordered:
        for name, groups in state.timers.items():
            timers.setdefault(name, []).extend(groups.items())
    return OperatorRecovery(
        keyed_handles=[(state.keyed, read) for state in ordered if state.keyed is not None],
        timers=timers,
        operator_states=[pickle.loads(state.operator) for state in ordered if state.operator is not None],
        writer_states=[state.writer for state in ordered if state.writer is not None],
        splits=[split for state in ordered for split in state.splits or ()],
        was_source=any(state.splits is not None for state in ordered),
        finished=bool(ordered) and all(state.finished for state in ordered),
    )

"""Two-phase commit of sinks: what writers prepared, until the checkpoint that holds it is complete."""

from __future__ import annotations

from typing import Any

from penstock.datastream._transformations import SinkSpec
from penstock.datastream.connectors.base import Committer
from penstock.graph import JobGraph
from penstock.runtime._task_state import CheckpointContent

__all__ = ["CommitterBook"]


class CommitterBook:
    """Owned by the job's thread; lives as long as the job."""

    def __init__(self, graph: JobGraph) -> None:
        self._committers: dict[str, Committer] = {}
        self._prepared: dict[str, list[tuple[int, Any]]] = {}
        for vertex in graph.vertices.values():
            for operator in vertex.operators:
                spec = operator.node.transformation.spec
                committer = spec.sink.create_committer() if isinstance(spec, SinkSpec) else None
                if committer is not None:
                    self._committers[operator.node.operator_id] = committer

    def add(self, checkpoint_id: int, prepared: dict[str, list[Any]]) -> None:
        """Takes what a task's sinks prepared; it lies before the barrier of a checkpoint, and behind that of the one before."""
        for operator_id, committables in prepared.items():
            held = self._prepared.setdefault(operator_id, [])
            held.extend((checkpoint_id, committable) for committable in committables)

    def uncommitted(self, checkpoint_id: int) -> dict[str, list[Any]]:
        """Everything before a barrier that is prepared and not committed; part of its checkpoint.

        What lies behind the barrier is not: after a recovery it is written again.
        """
        before = {
            operator_id: [item for number, item in held if number <= checkpoint_id]
            for operator_id, held in self._prepared.items()
        }
        return {operator_id: items for operator_id, items in before.items() if items}

    def commit(self, checkpoint_id: int) -> None:
        """Makes final and forgets everything before a barrier."""
        self._commit(self.uncommitted(checkpoint_id))
        for operator_id, held in self._prepared.items():
            self._prepared[operator_id] = [entry for entry in held if entry[0] > checkpoint_id]

    def _commit(self, committables: dict[str, list[Any]]) -> None:
        for operator_id, items in committables.items():
            committer = self._committers.get(operator_id)
            if committer is not None:
                committer.commit(items)

    def recover(self, content: CheckpointContent | None) -> None:
        """A new attempt begins: commits what the checkpoint holds, then cleans up what was written after it."""
        self._prepared = {}
        if content is not None:
            self._commit(content.committables)
        for operator_id, committer in self._committers.items():
            states = content.operators.get(operator_id, []) if content is not None else []
            committer.abort_unknown([state.writer for state in states if state.writer is not None])

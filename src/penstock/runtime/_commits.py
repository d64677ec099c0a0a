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
        self._prepared: dict[str, list[Any]] = {}
        for vertex in graph.vertices.values():
            for operator in vertex.operators:
                spec = operator.node.transformation.spec
                committer = spec.sink.create_committer() if isinstance(spec, SinkSpec) else None
                if committer is not None:
                    self._committers[operator.node.operator_id] = committer

    def add(self, prepared: dict[str, list[Any]]) -> None:
        """Takes what a task's sinks prepared."""
        for operator_id, committables in prepared.items():
            if committables:
                self._prepared.setdefault(operator_id, []).extend(committables)

    def uncommitted(self) -> dict[str, list[Any]]:
        """Everything prepared and not committed; part of every checkpoint."""
        return {operator_id: list(items) for operator_id, items in self._prepared.items() if items}

    def commit(self, committables: dict[str, list[Any]]) -> None:
        """Makes committables final and forgets them: they are the oldest that are held."""
        for operator_id, items in committables.items():
            committer = self._committers.get(operator_id)
            if committer is not None:
                committer.commit(items)
            del self._prepared.get(operator_id, [])[: len(items)]

    def recover(self, content: CheckpointContent | None) -> None:
        """A new attempt begins: commits what the checkpoint holds, then cleans up what was written after it."""
        self._prepared = {}
        if content is not None:
            self.commit(content.committables)
        for operator_id, committer in self._committers.items():
            states = content.operators.get(operator_id, []) if content is not None else []
            committer.abort_unknown([state.writer for state in states if state.writer is not None])

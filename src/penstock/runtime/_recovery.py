"""What a restarted operator gets back from a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["OperatorRecovery"]


class OperatorRecovery:
    """The state of one operator in a checkpoint, over all subtasks it had then; dealt out to those it has now.

    Keyed state and timers follow their key groups. States without keys (operator objects, sink writers) are dealt out
    round robin, as Flink redistributes a split-list state; a source deals out its splits itself.

    Attributes:
        keyed_handles: (handle, reader) pairs for the state backend.
        was_source: whether the checkpoint knows the operator as a source: then its splits count, even if none is left.
        finished: whether all its subtasks had processed all their input.
    """

    def __init__(
        self,
        keyed_handles: Sequence[tuple[Any, Any]],
        timers: dict[str, list[tuple[int, Any]]],
        operator_states: Sequence[Any],
        writer_states: Sequence[Any],
        splits: Sequence[Any],
        *,
        was_source: bool = False,
        finished: bool = False,
    ) -> None:
        self.keyed_handles = list(keyed_handles)
        self.was_source = was_source
        self.finished = finished
        self._timers = timers
        self._operator_states = list(operator_states)
        self._writer_states = list(writer_states)
        self._splits = list(splits)

    def timers(self, name: str, key_groups: Any) -> list[Any]:
        """The timers of one service in the key groups of a subtask."""
        return [timers for group, timers in self._timers.get(name, ()) if group in key_groups]

    def operator_states(self, subtask_index: int, parallelism: int, *, broadcast: bool = False) -> list[Any]:
        """Snapshots of operator objects that belong to a subtask; of broadcast state every subtask gets one copy."""
        if broadcast and self._operator_states:
            return [self._operator_states[subtask_index % len(self._operator_states)]]
        return self._operator_states[subtask_index::parallelism]

    def writer_states(self, subtask_index: int, parallelism: int) -> list[Any]:
        """Snapshots of sink writers that belong to a subtask."""
        return self._writer_states[subtask_index::parallelism]

    @property
    def all_writer_states(self) -> list[Any]:
        """Snapshots of all sink writers, for the committer's clean-up."""
        return list(self._writer_states)

    @property
    def splits(self) -> list[Any]:
        """All source splits; the source deals them out."""
        return list(self._splits)

"""What `execute_and_collect` reads: the records of the job's collecting sink, bounded.

With checkpoints a record is handed to the client when the checkpoint after it is complete, so that the client sees
each record once, whatever fails (as Flink's `CollectSinkFunction` does).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Collector", "Stage"]


class Collector:
    """Owned by the job's thread. It outlives a job's attempts: what a checkpoint made certain stays, the rest is dropped.

    Attributes:
        records: what the client may read.
        is_staged: whether records wait for a checkpoint.
        on_taken: called with the number of records the client took.
    """

    ROOM = 64 * 1024

    def __init__(self, *, staged: bool) -> None:
        self.records: list[Any] = []
        self.on_taken: list[Callable[[int], None]] = []
        self.is_staged = staged
        self._stages: dict[int, Stage] = {}
        self._latest = 0

    def begin_attempt(self, latest: int) -> None:
        """An attempt begins; checkpoints up to the `latest` were taken before it."""
        self._latest = latest

    def stage(self, subtask_index: int) -> Stage:
        """Where a subtask of the current attempt delivers."""
        return self._stages.setdefault(subtask_index, Stage(self, self._latest, staged=self.is_staged))

    def take(self) -> list[Any]:
        """All records that wait; lets the job go on."""
        taken, self.records = self.records, []
        for call in self.on_taken:
            call(len(taken))
        return taken

    def commit(self, checkpoint_id: int | None) -> None:
        """What came before a checkpoint's barrier is certain now; None: everything is."""
        for stage in self._stages.values():
            self.records.extend(stage.commit(checkpoint_id))

    def reset(self) -> None:
        """The attempt is over."""
        self._stages.clear()
        self.on_taken.clear()


class Stage:
    """The records of one subtask on their way to the client."""

    def __init__(self, collector: Collector, latest: int, *, staged: bool) -> None:
        self._collector = collector
        self._latest = latest
        self._staged: list[Any] | None = [] if staged else None
        self._marks: list[tuple[int, int]] = []

    def add(self, values: list[Any]) -> None:
        """Takes records."""
        (self._collector.records if self._staged is None else self._staged).extend(values)

    def mark(self, checkpoint_id: int) -> None:
        """A barrier came after the records so far."""
        self._latest = checkpoint_id
        if self._staged is not None:
            self._marks.append((checkpoint_id, len(self._staged)))

    def end(self) -> None:
        """The subtask has ended: a checkpoint whose barrier it has not seen covers all its records."""
        self.mark(self._latest + 1)

    def has_room(self) -> bool:
        """Records that wait for a checkpoint do not count: the client cannot take them."""
        return len(self._collector.records) < Collector.ROOM

    def commit(self, checkpoint_id: int | None) -> list[Any]:
        """Takes what a complete checkpoint covers."""
        staged = self._staged
        if staged is None:
            return []
        count = len(staged)
        if checkpoint_id is not None:
            count = max((mark for number, mark in self._marks if number <= checkpoint_id), default=0)
        taken = staged[:count]
        del staged[:count]
        self._marks = [(number, mark - count) for number, mark in self._marks if mark > count]
        return taken

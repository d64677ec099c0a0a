"""What travels between tasks: batches of records, and the events between them.

Semantics are per record; transport is per batch. A batch is immutable once sent: a broadcast hands one batch to
several consumers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.conf import Record

__all__ = ["END_OF_DATA", "Barrier", "Batch", "Element", "EndOfData", "Watermark", "WatermarkStatus"]


class Batch:
    """Records in order.

    Attributes:
        values: the records.
        timestamps: as long as `values`, or None when no record has a timestamp.
        keys: as long as `values` where the sender computed the keys, else None.
    """

    __slots__ = ("keys", "timestamps", "values")

    def __init__(self, values: list[Any], timestamps: list[int] | None = None, keys: list[Any] | None = None) -> None:
        self.values = values
        self.timestamps = timestamps
        self.keys = keys

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, end: int) -> Batch:
        """The records from `start` up to `end`, as a batch."""
        stamps, keys = self.timestamps, self.keys
        return Batch(
            self.values[start:end],
            None if stamps is None else stamps[start:end],
            None if keys is None else keys[start:end],
        )


@dataclass(frozen=True, slots=True)
class Watermark:
    """No record with a timestamp at or below `timestamp` (epoch ms) follows on this channel."""

    timestamp: int


class WatermarkStatus(Record):
    """Whether a channel is idle: an idle channel does not hold back the watermark."""

    idle: bool


@dataclass(frozen=True, slots=True)
class Barrier:
    """Separates the records before a checkpoint from those after it.

    Attributes:
        checkpoint_id: from 1, rising.
        is_savepoint: whether the snapshot is a savepoint.
        stop: stop-with-savepoint: sources end after this barrier.
        writer: where the state goes; picklable, so that it travels with the barrier.
        confirmed_id: the newest complete checkpoint when this one was triggered, 0 for none. A task may hear of that
            only later, and must not build on an older one, whose files may be gone by now.
    """

    checkpoint_id: int
    is_savepoint: bool = False
    stop: bool = False
    writer: Any = field(default=None, compare=False)
    confirmed_id: int = 0

    @property
    def is_recovery_point(self) -> bool:
        """Whether the job goes on from it: then side effects before it are made final.

        Not so a savepoint of a job that runs on: after a failure the records before it are read again (FLIP-203).
        """
        return not self.is_savepoint or self.stop


class EndOfData(Record):
    """Nothing follows on this channel.

    Attributes:
        stopped: whether its sender stopped behind a savepoint, rather than at the end of its input. Who receives it
            can tell by nothing else: word of a savepoint that failed may arrive later than this.
    """

    stopped: bool = False


END_OF_DATA = EndOfData()

Element = Batch | Watermark | WatermarkStatus | Barrier | EndOfData

"""Timestamps and watermarks of one operator: Flink's `BoundedOutOfOrdernessWatermarks` with idleness.

Watermarks are emitted periodically by wall clock (`pipeline.auto-watermark-interval`), between batches, never per
record; at the end of a bounded input comes the last one. A source whose splits are read side by side (Kafka's
partitions) has a watermark for each, and the lowest of those that are not idle counts, as in Flink.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.runtime.operators.base import NO_TIMESTAMP

if TYPE_CHECKING:
    from penstock.common.watermark_strategy import WatermarkStrategy

__all__ = ["WatermarkGenerator"]


@dataclass(slots=True)
class _SplitTime:
    """How far event time is in one split.

    Attributes:
        active_ms: when it last gave records, epoch ms.
        max_timestamp: the highest timestamp seen.
        idle: whether it counts no longer, for want of records.
    """

    active_ms: int
    max_timestamp: int = NO_TIMESTAMP
    idle: bool = False


class WatermarkGenerator:
    """Task thread only.

    Attributes:
        assign: `(value, previous timestamp) -> timestamp` in ms, or None to keep timestamps.
        max_timestamp: the highest timestamp seen, in the split that was entered last; the generated loop raises it.
        is_held: whether its source waits for others (`with_watermark_alignment`), which is not idleness.
    """

    __slots__ = (
        "_emitted",
        "_idle_after_ms",
        "_idle_since",
        "_out_of_orderness_ms",
        "_seen",
        "_split",
        "_splits",
        "assign",
        "idle",
        "is_held",
        "max_timestamp",
    )

    def __init__(
        self,
        assign: Callable[[Any, int], int] | None,
        out_of_orderness_ms: int | None,
        idle_after_ms: int | None = None,
    ) -> None:
        self.assign = assign
        self.max_timestamp = NO_TIMESTAMP
        self.idle = False
        self.is_held = False
        self._out_of_orderness_ms = out_of_orderness_ms
        self._idle_after_ms = idle_after_ms
        self._idle_since: int | None = None
        self._seen = NO_TIMESTAMP
        self._emitted = NO_TIMESTAMP
        self._splits: dict[Hashable, _SplitTime] | None = None
        self._split: Hashable = None

    @classmethod
    def of(cls, strategy: WatermarkStrategy) -> WatermarkGenerator:
        """The generator of a strategy."""
        assigner = strategy.timestamp_assigner
        bound = strategy.max_out_of_orderness_ms if strategy.kind.name == "BOUNDED_OUT_OF_ORDERNESS" else None
        return cls(None if assigner is None else assigner.extract_timestamp, bound, strategy.idle_timeout_ms)

    @property
    def generates(self) -> bool:
        """False for `no_watermarks()`."""
        return self._out_of_orderness_ms is not None

    @property
    def watermark(self) -> int:
        """Highest timestamp − bound − 1, emitted or not; NO_TIMESTAMP where there is none."""
        if self._out_of_orderness_ms is None:
            return NO_TIMESTAMP
        highest = self.max_timestamp
        if self._splits is not None:
            self._leave_split()
            active = [split.max_timestamp for split in self._splits.values() if not split.idle]
            if not active:
                return self._emitted
            highest = min(active)
        return NO_TIMESTAMP if highest == NO_TIMESTAMP else highest - self._out_of_orderness_ms - 1

    # -- splits ----------------------------------------------------------------------------------

    def set_splits(self, splits: frozenset[Hashable], now_ms: int) -> None:
        """Which splits there are from now on; a new one holds the watermark back until it has records or is idle."""
        self._leave_split()
        known = self._splits or {}
        self._splits = {split: known.get(split) or _SplitTime(now_ms) for split in splits}

    def enter_split(self, split: Hashable, now_ms: int) -> None:
        """The records that follow are of this split."""
        self._leave_split()
        assert self._splits is not None
        time = self._splits.get(split)
        if time is None:  # its last records, after it was closed
            time = _SplitTime(now_ms)
        time.active_ms, time.idle = now_ms, False
        self._split = split
        self.max_timestamp = time.max_timestamp

    def _leave_split(self) -> None:
        if self._splits is not None and self._split in self._splits:
            self._splits[self._split].max_timestamp = self.max_timestamp

    # -- watermarks and idleness -----------------------------------------------------------------

    def poll(self) -> int | None:
        """A watermark that is due, if it rose."""
        watermark = self.watermark
        if watermark <= self._emitted:
            return None
        self._emitted = watermark
        return watermark

    def check_idle(self, now_ms: int, records_seen: bool) -> bool | None:
        """The new idle status if it changed: idle after `with_idleness` ms without a record."""
        if self._idle_after_ms is None:
            return None
        if self.is_held:
            self._idle_since = None
            for split in (self._splits or {}).values():
                split.active_ms = now_ms
            return None
        if self._splits:
            return self._check_idle_splits(self._splits.values(), now_ms, self._idle_after_ms)
        if records_seen:
            self._idle_since = None
            if self.idle:
                self.idle = False
                return False
            return None
        if self._idle_since is None:
            self._idle_since = now_ms
        if not self.idle and now_ms - self._idle_since >= self._idle_after_ms:
            self.idle = True
            return True
        return None

    def _check_idle_splits(self, splits: Iterable[_SplitTime], now_ms: int, idle_after_ms: int) -> bool | None:
        all_idle = True
        for split in splits:
            split.idle = now_ms - split.active_ms >= idle_after_ms
            all_idle = all_idle and split.idle
        if all_idle == self.idle:
            return None
        self.idle = all_idle
        return all_idle

    def snapshot(self) -> int:
        """The highest timestamp, for recovery tests; Flink does not keep it, a restarted generator begins anew."""
        return self.max_timestamp

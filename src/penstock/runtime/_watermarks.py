"""Timestamps and watermarks of one operator: Flink's `BoundedOutOfOrdernessWatermarks` with idleness.

Watermarks are emitted periodically by wall clock (`pipeline.auto-watermark-interval`), between batches, never per
record; at the end of a bounded input comes the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from penstock.runtime.operators.base import NO_TIMESTAMP

if TYPE_CHECKING:
    from penstock.common.watermark_strategy import WatermarkStrategy

__all__ = ["WatermarkGenerator"]


class WatermarkGenerator:
    """Task thread only.

    Attributes:
        assign: `(value, previous timestamp) -> timestamp` in ms, or None to keep timestamps.
        max_timestamp: the highest timestamp seen; the generated loop raises it.
        is_held: whether its source waits for others (`with_watermark_alignment`), which is not idleness.
    """

    __slots__ = (
        "_emitted",
        "_idle_after_ms",
        "_idle_since",
        "_out_of_orderness_ms",
        "_seen",
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
        if self._out_of_orderness_ms is None or self.max_timestamp == NO_TIMESTAMP:
            return NO_TIMESTAMP
        return self.max_timestamp - self._out_of_orderness_ms - 1

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
            return None
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

    def snapshot(self) -> int:
        """The highest timestamp, for recovery tests; Flink does not keep it, a restarted generator begins anew."""
        return self.max_timestamp

"""How many records a task takes before it looks at the clock again."""

from __future__ import annotations

from time import perf_counter

from penstock.runtime._outputs import BATCH_LIMIT

__all__ = ["Pace"]

FAST_S, LONG_S, SLOW_S = 0.002, 0.005, 0.02
"""A slice of records that took less than `FAST_S` is followed by a larger one, one over `SLOW_S` by smaller ones."""


class Pace:
    """The size of the slices in which one task takes records; owned by its task.

    Batches hide the cost of a hand-over, which matters where a record takes microseconds. Where a record takes
    milliseconds, a batch would hold back results, watermarks and timers: then records are taken one or a few at a time.

    Attributes:
        records: the most to take at once.
    """

    __slots__ = ("_adapts", "_began", "_spent_s", "records")

    def __init__(self, *, adapts: bool = True) -> None:
        """A pace.

        Args:
            adapts: False takes whole batches always: a run that a seed repeats must not depend on wall time.
        """
        self._adapts = adapts
        self.records = 1 if adapts else BATCH_LIMIT
        self._began = 0.0
        self._spent_s = 0.0

    def begin(self) -> None:
        """The chain's code runs from here on."""
        self._began = perf_counter()

    def end(self) -> None:
        """The chain's code stopped."""
        self._spent_s += perf_counter() - self._began

    def spent(self, records: int) -> bool:
        """`records` were processed; adapts what is taken next. Returns whether they took long."""
        spent_s, self._spent_s = self._spent_s, 0.0
        if not self._adapts:
            return False
        if spent_s < FAST_S:
            if records >= self.records:
                self.records = min(BATCH_LIMIT, self.records * 8)
        elif spent_s > SLOW_S:
            self.records = max(1, int(records * SLOW_S / spent_s))
        return spent_s > LONG_S

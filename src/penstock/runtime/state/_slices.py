"""How much of a task's time a snapshot may take: slices between batches, few while the task is busy, all when it is idle."""

from __future__ import annotations

from time import perf_counter
from typing import Final

__all__ = ["SlicePace"]

_IDLE_GAP_S: Final = 0.0001
"""A batch takes longer than this: who is asked again sooner found nothing else to do."""

_IDLE_GAPS: Final = 3
_IDLE_SLICE_S: Final = 0.005
_CREDIT_MAX_S: Final = 0.005
_CREDIT_MIN_S: Final = 0.0005
_PATIENT_S: Final = 10.0
_SHARE_MAX: Final = 0.5


class SlicePace:
    """Grants slices of time to one snapshot. Owned by the task's thread.

    A busy task gives the snapshot a fixed share of its time. After ten seconds the share grows, by itself every ten
    seconds up to one half, so that a snapshot of much state ends before its timeout.
    """

    __slots__ = ("_began", "_credit_s", "_ended", "_share", "_short_gaps", "_started")

    def __init__(self, share: float) -> None:
        """A pace.

        Args:
            share: the part of a busy task's time, in (0, 1).
        """
        self._share = share
        self._credit_s = _CREDIT_MAX_S
        self._short_gaps = 0
        self._started = self._ended = self._began = perf_counter()

    def begin(self) -> float:
        """Asked between batches: for how many seconds to work now, 0 for not at all; followed by `end` unless 0."""
        now = perf_counter()
        gap = now - self._ended
        self._ended = self._began = now
        if gap < _IDLE_GAP_S:
            self._short_gaps += 1
            if self._short_gaps >= _IDLE_GAPS:
                return _IDLE_SLICE_S
        else:
            self._short_gaps = 0
        share = min(_SHARE_MAX, self._share * max(1.0, (now - self._started) / _PATIENT_S))
        self._credit_s = min(_CREDIT_MAX_S, self._credit_s + gap * share / (1.0 - share))
        return self._credit_s if self._credit_s >= _CREDIT_MIN_S else 0.0

    def end(self) -> None:
        """The slice is over, whatever it took."""
        self._ended = perf_counter()
        self._credit_s -= self._ended - self._began

"""The sizes a heap guard holds: limit, reserve, and the soft limit's two marks."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import ConfigurationError

__all__ = ["HeapLimits", "default_reserve_bytes", "mebibytes"]

_MIB = 1 << 20
RESERVE_MAX_BYTES = 32 * _MIB
RESERVE_MIN_BYTES = 4 * _MIB
_RESERVE_DIVISOR = 6


def mebibytes(size_bytes: int) -> str:
    """A size as people read it next to others: "187.5 MiB"."""
    return f"{size_bytes / _MIB:.1f} MiB"


def default_reserve_bytes(limit_bytes: int) -> int:
    """The reserve of a heap: 32 MiB, or a sixth of a heap below 192 MiB, but at least 4 MiB.

    It bounds what one C call may take past the line without ending the process, and what several failing tasks may hold
    at once while they unwind. In a TaskManager's plan it is part of the framework heap (128 MiB).
    """
    return max(RESERVE_MIN_BYTES, min(RESERVE_MAX_BYTES, limit_bytes // _RESERVE_DIVISOR))


@dataclass(frozen=True, slots=True)
class HeapLimits:
    """How far a heap may grow.

    Attributes:
        limit_bytes: the whole heap: framework heap + task heap. The process ends rather than pass it.
        reserve_bytes: its last part, in which a failure is handled; tasks fail when the heap reaches into it.
        soft_high_bytes: above it the soft limit is on: spill, collect, press back.
        soft_low_bytes: below it the soft limit is off again.
    """

    limit_bytes: int
    reserve_bytes: int
    soft_high_bytes: int
    soft_low_bytes: int

    @property
    def line_bytes(self) -> int:
        """What tasks may use the heap up to: the limit without the reserve."""
        return self.limit_bytes - self.reserve_bytes

    @staticmethod
    def of(
        limit_bytes: int,
        *,
        reserve_bytes: int | None = None,
        soft_high_fraction: float = 0.9,
        soft_low_fraction: float = 0.8,
    ) -> HeapLimits:
        """The limits of a heap of `limit_bytes`, the reserve included.

        Args:
            limit_bytes: framework heap + task heap.
            reserve_bytes: `default_reserve_bytes` if not given.
            soft_high_fraction: of the line.
            soft_low_fraction: of the line.

        Raises:
            ConfigurationError: the reserve leaves less than half of the limit.
        """
        reserve = default_reserve_bytes(limit_bytes) if reserve_bytes is None else reserve_bytes
        if reserve * 2 > limit_bytes:
            raise ConfigurationError(
                f"A heap of {mebibytes(limit_bytes)} is too small for its reserve of {mebibytes(reserve)} "
                f"(what a failing task is handled in): give it at least {mebibytes(2 * reserve)}."
            )
        line = limit_bytes - reserve
        return HeapLimits(limit_bytes, reserve, int(line * soft_high_fraction), int(line * soft_low_fraction))

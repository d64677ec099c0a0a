"""A sequence of numbers as a source (`pyflink.datastream.connectors.number_seq`)."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.common.typeinfo import TypeInformation, Types
from penstock.datastream.connectors._number_ranges import NumberRange, RangeReader, split_range
from penstock.datastream.connectors.base import Boundedness, ReaderContext, Source, SourceReader

__all__ = ["NumberSequenceSource"]

_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1


class NumberSequenceSource(Source):
    """The numbers from `start` to `end`, both included, as LONG.

    Cut into as many ranges as there are readers; ascending within a range. Always bounded.

    Raises:
        TypeError: if a bound is not an int.
        ValueError: if a bound is not a LONG, or `start` is above `end`.
    """

    def __init__(self, start: int, end: int) -> None:
        for bound in (start, end):
            if type(bound) is not int:
                raise TypeError(f"NumberSequenceSource counts from int to int, got {bound!r}")
            if not _LONG_MIN <= bound <= _LONG_MAX:
                raise ValueError(f"NumberSequenceSource counts in LONG (64 bits), {bound} does not fit")
        if start > end:
            raise ValueError(f"NumberSequenceSource counts upwards: start {start} is above end {end}")
        self._range = NumberRange(start, end)

    @property
    def boundedness(self) -> Boundedness:
        """Always BOUNDED."""
        return Boundedness.BOUNDED

    @property
    def produced_type(self) -> TypeInformation:
        """LONG."""
        return Types.LONG()

    def plan_splits(self, parallelism: int) -> list[NumberRange]:
        """As many ranges of nearly equal length as there are readers, fewer where there are fewer numbers."""
        return split_range(self._range, parallelism)

    def estimated_records(self) -> int:
        """All the numbers."""
        return self._range.count

    def create_reader(self, splits: Sequence[NumberRange], context: ReaderContext) -> SourceReader:
        """Reads range after range."""
        return RangeReader(splits)

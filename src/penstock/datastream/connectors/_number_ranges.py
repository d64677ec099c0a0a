"""Ranges of numbers as splits, and the reader that counts through them."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.conf import Record
from penstock.datastream.connectors.base import END_OF_INPUT, SourceBatch, SourceReader, _EndOfInput

__all__ = ["NumberRange", "RangeReader", "split_range"]


class NumberRange(Record):
    """The numbers from `first` to `last`, both included.

    Attributes:
        total: how many numbers the range had when it was planned, for progress.
    """

    first: int
    last: int
    total: int = 0

    @property
    def count(self) -> int:
        """How many numbers are left."""
        return self.last - self.first + 1


def split_range(whole: NumberRange, parts: int) -> list[NumberRange]:
    """Cuts a range into at most `parts` ranges whose lengths differ by one at most, in ascending order."""
    parts = min(parts, whole.count)
    length, longer = divmod(whole.count, parts) if parts else (0, 0)
    ranges = []
    first = whole.first
    for index in range(parts):
        count = length + (index < longer)
        ranges.append(NumberRange(first, first + count - 1, count))
        first += count
    return ranges


class RangeReader(SourceReader):
    """Counts through ranges, one after the other. Owned by the task thread."""

    def __init__(self, ranges: Sequence[NumberRange]) -> None:
        self._waiting = [part for part in reversed(ranges) if part.count > 0]
        self._total = sum(part.total for part in ranges)
        self._left = sum(part.count for part in self._waiting)

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        """The next numbers of the current range."""
        numbers = self.take(max_records)
        return SourceBatch(list(numbers)) if numbers else END_OF_INPUT

    def take(self, max_records: int) -> range:
        """The next numbers, empty at the end."""
        if not self._waiting:
            return range(0)
        part = self._waiting[-1]
        stop = min(part.first + max_records, part.last + 1)
        numbers = range(part.first, stop)
        self._left -= len(numbers)
        if stop > part.last:
            self._waiting.pop()
        else:
            self._waiting[-1] = NumberRange(stop, part.last, part.total)
        return numbers

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left."""
        return not self._waiting

    def snapshot(self) -> list[NumberRange]:
        """What is left of the ranges."""
        return self._waiting[::-1]

    def progress(self) -> tuple[float, float]:
        """Numbers done and in total."""
        return self._total - self._left, self._total

    def close(self) -> None:
        """Nothing is held."""

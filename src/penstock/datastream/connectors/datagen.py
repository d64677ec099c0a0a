"""Generated records as a source: Flink's `DataGeneratorSource` (flink-connector-datagen), which PyFlink lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.common.typeinfo import TypeInformation
from penstock.datastream._transformations import UserFunction
from penstock.datastream.connectors._number_ranges import NumberRange, RangeReader, split_range
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    _EndOfInput,
)

__all__ = ["DataGeneratorSource", "RateLimiterStrategy"]

_SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class RateLimiterStrategy:
    """How fast records are generated (Flink's `RateLimiterStrategy`); the rate is that of all readers together.

    Attributes:
        records_per_second: the limit by time, or None.
        records_per_checkpoint: the limit by completed checkpoints, or None.
    """

    records_per_second: float | None = None
    records_per_checkpoint: int | None = None

    @staticmethod
    def per_second(records_per_second: float) -> RateLimiterStrategy:
        """At most so many records a second; what a pause leaves unused is made up for by at most one second's worth.

        Raises:
            ValueError: if the rate is not positive.
        """
        if not records_per_second > 0:
            raise ValueError(f"records_per_second must be positive, got {records_per_second!r}")
        return RateLimiterStrategy(records_per_second=records_per_second)

    @staticmethod
    def per_checkpoint(records_per_checkpoint: int) -> RateLimiterStrategy:
        """At most so many records between one completed checkpoint and the next.

        Raises:
            ValueError: if the number is not positive.
        """
        if not records_per_checkpoint > 0:
            raise ValueError(f"records_per_checkpoint must be positive, got {records_per_checkpoint!r}")
        return RateLimiterStrategy(records_per_checkpoint=records_per_checkpoint)

    @staticmethod
    def no_op() -> RateLimiterStrategy:
        """As fast as they are taken."""
        return RateLimiterStrategy()


class DataGeneratorSource(Source):
    """`generator_function(i)` for every index i from 0 to `count` - 1; the indexes are split among the readers.

    Args:
        generator_function: a callable from index to record, or an object with a `map` method; one copy a reader.
        count: number of records in all.
        rate_limiter_strategy: how fast, unlimited by default.
        type_info: the type of the records, None for untyped.

    Raises:
        ValueError: if `count` is negative.
    """

    def __init__(
        self,
        generator_function: Callable[[int], Any] | Any,
        count: int,
        rate_limiter_strategy: RateLimiterStrategy | None = None,
        type_info: TypeInformation | None = None,
    ) -> None:
        if count < 0:
            raise ValueError(f"count must not be negative, got {count}")
        self._function = UserFunction(generator_function)
        self._count = count
        self._limits = rate_limiter_strategy or RateLimiterStrategy.no_op()
        self._type_info = type_info

    @property
    def boundedness(self) -> Boundedness:
        """BOUNDED, as in Flink: there is always a count."""
        return Boundedness.BOUNDED

    @property
    def produced_type(self) -> TypeInformation | None:
        """The type given to the constructor."""
        return self._type_info

    def plan_splits(self, parallelism: int) -> list[NumberRange]:
        """As many ranges of indexes as there are readers."""
        return split_range(NumberRange(0, self._count - 1), parallelism)

    def create_reader(self, splits: Sequence[NumberRange], context: ReaderContext) -> SourceReader:
        """Generates the records of its ranges."""
        function = self._function.load()
        generate = function if callable(function) else function.map
        limits = self._limits
        pace: _Pace | None = None
        if limits.records_per_second is not None:
            pace = _TimePace(limits.records_per_second / context.parallelism, context.now_ms)
        elif limits.records_per_checkpoint is not None:
            share, more = divmod(limits.records_per_checkpoint, context.parallelism)
            pace = _CheckpointPace(max(1, share + (context.subtask_index < more)))
        return _GeneratorReader(RangeReader(splits), generate, pace)


class _Pace:
    """How many records may be generated now. Owned by the task thread."""

    def allowed(self) -> int:
        """How many."""
        raise NotImplementedError

    def spend(self, records: int) -> None:
        """So many were generated."""
        raise NotImplementedError

    def next_ms(self) -> int | None:
        """When the next one may be, epoch ms, where that is a matter of time."""
        return None

    def checkpoint_complete(self) -> None:
        """A checkpoint is complete."""


class _TimePace(_Pace):
    def __init__(self, records_per_second: float, now_ms: Callable[[], int]) -> None:
        self._rate_per_ms = records_per_second / _SECOND_MS
        self._most = max(1.0, records_per_second)
        self._now_ms = now_ms
        self._available = 1.0
        self._at_ms = now_ms()

    def allowed(self) -> int:
        now = self._now_ms()
        self._available = min(self._most, self._available + max(0, now - self._at_ms) * self._rate_per_ms)
        self._at_ms = now
        return int(self._available)

    def spend(self, records: int) -> None:
        self._available -= records

    def next_ms(self) -> int:
        missing = max(0.0, 1.0 - self._available)
        return self._at_ms + max(1, -int(-missing // self._rate_per_ms))


class _CheckpointPace(_Pace):
    def __init__(self, records: int) -> None:
        self._records = self._left = records

    def allowed(self) -> int:
        return self._left

    def spend(self, records: int) -> None:
        self._left -= records

    def checkpoint_complete(self) -> None:
        self._left = self._records


class _GeneratorReader(SourceReader):
    """Calls the generator for the indexes of its ranges, at its pace. Owned by the task thread."""

    def __init__(self, indexes: RangeReader, generate: Callable[[int], Any], pace: _Pace | None) -> None:
        self._indexes = indexes
        self._generate = generate
        self._pace = pace

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        pace = self._pace
        if pace is not None and not self._indexes.exhausted:
            max_records = min(max_records, pace.allowed())
            if max_records <= 0:
                return None
        indexes = self._indexes.take(max_records)
        if not indexes:
            return END_OF_INPUT
        if pace is not None:
            pace.spend(len(indexes))
        return SourceBatch([self._generate(index) for index in indexes])

    def snapshot(self) -> list[NumberRange]:
        return self._indexes.snapshot()

    def next_poll_ms(self) -> int | None:
        return self._pace.next_ms() if self._pace is not None else None

    def progress(self) -> tuple[float, float]:
        return self._indexes.progress()

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        if self._pace is not None:
            self._pace.checkpoint_complete()

    def close(self) -> None:
        self._indexes.close()

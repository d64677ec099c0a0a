"""Splits that are read side by side: each has a watermark, and the lowest counts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from penstock.common import Configuration, Duration, Time, WatermarkStrategy
from penstock.datastream import OutputTag, StreamExecutionEnvironment
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
)
from penstock.datastream.window import TumblingEventTimeWindows
from penstock.runtime._watermarks import WatermarkGenerator
from penstock.runtime.operators.base import NO_TIMESTAMP


class Partitions(Source):
    """Two partitions read in turn, a record a poll: the second one's records are older by a thousand ms."""

    def __init__(self, count: int, *, tells: bool) -> None:
        self._count = count
        self._tells = tells

    @property
    def boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    @property
    def always_single(self) -> bool:
        return True

    def plan_splits(self, parallelism: int) -> list[int]:
        return [0]

    def create_reader(self, splits: Sequence[int], context: ReaderContext) -> SourceReader:
        return _PartitionsReader(self._count, self._tells, context)


class _PartitionsReader(SourceReader):
    def __init__(self, count: int, tells: bool, context: ReaderContext) -> None:
        self._left = [(number % 2, 10_000 + 10 * number - number % 2 * 1000) for number in range(count)]
        self._open: frozenset[Hashable] | None = frozenset({0, 1}) if tells else None
        self._context = context

    def poll(self, max_records: int) -> Any:
        if not self._left:
            return END_OF_INPUT
        partition, time = self._left.pop(0)
        return SourceBatch([(partition, time)], [time], partition)

    def open_splits(self) -> frozenset[Hashable] | None:
        return self._open

    def snapshot(self) -> list[int]:
        return [0]

    def close(self) -> None:
        pass


def late_records(*, tells: bool) -> int:
    conf = Configuration().set_string("penstock.scheduler.seed", "1").set_string("execution.target", "local")
    conf.set_string("pipeline.auto-watermark-interval", "5 ms")
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(1)
    late: OutputTag[Any] = OutputTag("late")
    times = env.from_source(Partitions(300, tells=tells), WatermarkStrategy.for_monotonous_timestamps(), "partitions")
    windows = (
        times.key_by(lambda record: 0)
        .window(TumblingEventTimeWindows.of(Time.milliseconds(100)))
        .side_output_late_data(late)
        .reduce(lambda left, right: left)
    )
    with windows.get_side_output(late).execute_and_collect() as results:
        return len(list(results))


def test_nothing_of_a_partition_that_lags_is_late() -> None:
    assert late_records(tells=True) == 0
    assert late_records(tells=False) > 50  # one watermark for both is that of the one ahead


@pytest.fixture
def generator() -> WatermarkGenerator:
    made = WatermarkGenerator(None, 5, idle_after_ms=100)
    made.set_splits(frozenset({"a", "b"}), now_ms=0)
    return made


def see(generator: WatermarkGenerator, split: str, timestamp: int, now_ms: int = 0) -> None:
    generator.enter_split(split, now_ms)
    generator.max_timestamp = max(generator.max_timestamp, timestamp)


def test_the_lowest_split_counts(generator: WatermarkGenerator) -> None:
    see(generator, "a", 1000)
    assert generator.poll() is None  # nothing of b yet
    see(generator, "b", 500)
    assert generator.poll() == 494
    see(generator, "a", 2000)
    see(generator, "a", 1500)
    assert generator.poll() is None
    see(generator, "b", 3000)
    assert generator.poll() == 1994


def test_a_split_that_ends_counts_no_longer_and_a_new_one_does(generator: WatermarkGenerator) -> None:
    see(generator, "a", 1000)
    see(generator, "b", 500)
    generator.set_splits(frozenset({"a"}), now_ms=0)
    assert generator.poll() == 994
    generator.set_splits(frozenset({"a", "c"}), now_ms=0)
    see(generator, "a", 5000)
    assert generator.poll() is None
    generator.set_splits(frozenset(), now_ms=0)
    assert generator.poll() is None
    assert generator.watermark == 994


def test_idle_splits_count_no_longer_until_they_have_records(generator: WatermarkGenerator) -> None:
    see(generator, "a", 1000, now_ms=50)
    assert generator.check_idle(110, records_seen=True) is None
    assert generator.poll() == 994
    assert generator.check_idle(150, records_seen=False) is True
    assert generator.watermark == 994
    see(generator, "b", 2000, now_ms=160)
    assert generator.check_idle(160, records_seen=True) is False
    assert generator.poll() == 1994


def test_without_splits_the_highest_timestamp_counts() -> None:
    generator = WatermarkGenerator.of(WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(5)))
    assert generator.watermark == NO_TIMESTAMP
    generator.max_timestamp = 10
    assert generator.poll() == 4

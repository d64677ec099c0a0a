"""Watermark alignment: sources wait for their group, and for nobody who is idle or done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from penstock.common import Configuration, Duration, WatermarkStrategy
from penstock.common.watermark_strategy import TimestampAssigner
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
)
from penstock.runtime._alignment import AlignedReader, AlignmentPort
from penstock.runtime._watermarks import WatermarkGenerator
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP

DRIFT_MS = 50
INTERVAL_MS = 10
polled: list[tuple[str, int]] = []
"""What the sources of a job in this process gave, in order."""


class _ByTime(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[1])


def aligned(*, idle_after_ms: int | None = None) -> WatermarkStrategy:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(_ByTime())
    if idle_after_ms is not None:
        strategy = strategy.with_idleness(Duration.of_millis(idle_after_ms))
    return strategy.with_watermark_alignment("group", Duration.of_millis(DRIFT_MS), Duration.of_millis(INTERVAL_MS))


class Ticks(Source):
    """One record a poll: (name, time), `step_ms` apart; after `stalls_at` records it gives none for so many polls."""

    def __init__(self, name: str, count: int, step_ms: int, stall_polls: int = 0) -> None:
        self._facts = (name, count, step_ms, stall_polls)

    @property
    def boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    def plan_splits(self, parallelism: int) -> list[int]:
        return [0]

    def create_reader(self, splits: Sequence[int], context: ReaderContext) -> SourceReader:
        return _TicksReader(*self._facts, context) if splits else _Nothing()


class _TicksReader(SourceReader):
    def __init__(self, name: str, count: int, step_ms: int, stall_polls: int, context: ReaderContext) -> None:
        self._name, self._count, self._step_ms, self._stall_polls = name, count, step_ms, stall_polls
        self._context = context
        self._read = 0

    def poll(self, max_records: int) -> Any:
        if self._read == self._count:
            return END_OF_INPUT
        if self._read == self._count // 2 and self._stall_polls:
            self._stall_polls -= 1
            return None
        self._read += 1
        record = (self._name, self._read * self._step_ms)
        polled.append(record)
        return SourceBatch([record])

    def next_poll_ms(self) -> int:
        return self._context.now_ms() + 1

    def snapshot(self) -> list[int]:
        return [0]

    def close(self) -> None:
        pass


class _Nothing(SourceReader):
    def poll(self, max_records: int) -> Any:
        return END_OF_INPUT

    def snapshot(self) -> list[int]:
        return []

    def close(self) -> None:
        pass


def run(*sources: Source, strategy: WatermarkStrategy, target: str = "local", parallelism: int = 1) -> list[Any]:
    conf = Configuration().set_string("execution.target", target).set_string("penstock.scheduler.seed", "3")
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(parallelism)
    polled.clear()
    first, *more = [env.from_source(source, strategy, f"source {index}") for index, source in enumerate(sources)]
    with first.union(*more).map(lambda record: record).execute_and_collect() as results:
        return list(results)


def leads(of: str) -> list[int]:
    """How far ahead of the other source each record of one was, while both ran."""
    at = {"fast": 0, "slow": 0}
    last_slow = max(index for index, (name, _) in enumerate(polled) if name == "slow")
    found = []
    for name, time in polled[:last_slow]:
        at[name] = time
        if name == of:
            found.append(at["fast"] - at["slow"])
    return found


def test_a_source_ahead_of_its_group_waits() -> None:
    step_ms = 20
    results = run(Ticks("slow", 400, 1), Ticks("fast", 100, step_ms), strategy=aligned())
    assert len(results) == 500
    before_the_first_comparison = INTERVAL_MS
    assert all(lead <= DRIFT_MS + step_ms for lead in leads("fast")[before_the_first_comparison:])
    assert len(leads("fast")) > before_the_first_comparison  # it was let go on while the other still ran


def test_without_alignment_it_does_not() -> None:
    plain = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(_ByTime())
    run(Ticks("slow", 400, 1), Ticks("fast", 100, 20), strategy=plain)
    assert max(leads("fast")) > DRIFT_MS + 200


def test_an_idle_source_holds_nobody_back() -> None:
    stalled = Ticks("slow", 40, 1, stall_polls=4000)
    results = run(stalled, Ticks("fast", 100, 20), strategy=aligned(idle_after_ms=300))
    assert len(results) == 140
    assert max(leads("fast")) == 100 * 20 - 20  # all of it was read while the other one stalled


@pytest.mark.parametrize("parallelism", [1, 2])
def test_worker_processes_wait_for_each_other_and_end(parallelism: int) -> None:
    results = run(
        Ticks("slow", 400, 1),
        Ticks("fast", 100, 20),
        strategy=aligned(),
        target="local-processes",
        parallelism=parallelism,
    )
    assert len(results) == 500


def test_two_groups_do_not_concern_each_other() -> None:
    reports: list[tuple[str, tuple[int, int], int]] = []
    port = AlignmentPort(lambda group, member, watermark: reports.append((group, member, watermark)))
    woken: list[str] = []
    port.join("a", lambda: woken.append("a"))
    port.join("b", lambda: woken.append("b"))
    port.announced("a", 7)
    assert woken == ["a"]
    assert (port.lowest("a"), port.lowest("b")) == (7, MAX_WATERMARK)


def test_a_held_reader_is_not_idle_and_reports_its_watermark_and_its_end() -> None:
    reports: list[int] = []
    port = AlignmentPort(lambda group, member, watermark: reports.append(watermark))
    clock = [0]
    context = ReaderContext(0, 1, lambda: None, lambda: clock[0])
    generator = WatermarkGenerator(None, 0, idle_after_ms=5)
    reader = AlignedReader(
        _TicksReader("x", 1, 1000, 0, context), generator, ("g", DRIFT_MS, INTERVAL_MS), (1, 0), port, context
    )
    assert isinstance(reader.poll(10), SourceBatch)
    generator.max_timestamp = 1000
    clock[0] = INTERVAL_MS
    port.announced("g", NO_TIMESTAMP)
    assert reader.poll(10) is None
    assert reports == [999]
    assert reader.next_poll_ms() == 2 * INTERVAL_MS
    clock[0] += 1000
    assert generator.check_idle(clock[0], records_seen=False) is None
    port.announced("g", 960)
    assert reader.poll(10) is END_OF_INPUT
    assert reports[-1] == MAX_WATERMARK


def test_alignment_that_can_have_no_effect_is_reported() -> None:
    stream = StreamExecutionEnvironment.get_execution_environment().from_collection([("a", 1)])
    with pytest.warns(UserWarning, match=r"Pass the strategy to from_source\(\)"):
        stream.assign_timestamps_and_watermarks(aligned())

"""Random programs against a naive interpreter of the same semantics: whole lists, one operator after the other.

The programs mix chained and keyed operators, unions, side outputs, windows and timers over random data, batch sizes,
parallelisms and interleavings. Where results depend on an order the program does not fix, they are compared as multisets
of what does not depend on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.common import Configuration, Duration, Time, Types, WatermarkStrategy
from penstock.common.watermark_strategy import TimestampAssigner
from penstock.datastream import KeyedProcessFunction, ProcessFunction, RuntimeExecutionMode, StreamExecutionEnvironment
from penstock.datastream.output_tag import OutputTag
from penstock.datastream.state import ValueStateDescriptor
from penstock.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)

SPAN = 1000
ODD = OutputTag("odd")
Event = tuple[int, int]  # (value, event time)


class EventTime(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[1])


class SplitOdd(ProcessFunction):
    """Even values go on, odd ones to a side output."""

    def process_element(self, value: Event, ctx: Any) -> Any:
        if value[0] % 2:
            yield ODD, value
        else:
            yield value


class SumAtTimer(KeyedProcessFunction):
    """Sums a key's values; a timer at the end of the span emits the sum."""

    def open(self, runtime_context: Any) -> None:
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def process_element(self, value: Event, ctx: Any) -> Any:
        self.total.update((self.total.value() or 0) + value[0])
        ctx.timer_service().register_event_time_timer(SPAN)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield self.total.value(), timestamp
        self.total.clear()


@dataclass(frozen=True)
class Step:
    """One operator: on a stream, and on a list of events."""

    name: str
    build: Callable[[Any], Any]
    naive: Callable[[list[Event]], list[Event]]


def add(amount: int) -> Step:
    return Step(
        f"map +{amount}",
        lambda s: s.map(lambda e: (e[0] + amount, e[1])),
        lambda events: [(v + amount, t) for v, t in events],
    )


def keep(divisor: int) -> Step:
    return Step(
        f"filter %{divisor}",
        lambda s: s.filter(lambda e: e[0] % divisor != 0),
        lambda events: [e for e in events if e[0] % divisor != 0],
    )


def repeat(times: int) -> Step:
    return Step(
        f"flat_map x{times}",
        lambda s: s.flat_map(lambda e: [(e[0] + i, e[1]) for i in range(times)]),
        lambda events: [(v + i, t) for v, t in events for i in range(times)],
    )


def doubled() -> Step:
    return Step("self-union", lambda s: s.union(s), lambda events: events + events)


def split_and_join() -> Step:
    def build(stream: Any) -> Any:
        even = stream.process(SplitOdd())
        return even.map(lambda e: (e[0] * 10, e[1])).union(even.get_side_output(ODD))

    return Step("side output", build, lambda events: [(v if v % 2 else v * 10, t) for v, t in events])


def partitioned(kind: str) -> Step:
    return Step(kind, lambda s: getattr(s, kind)(), lambda events: events)


def timer_sums(keys: int) -> Step:
    def naive(events: list[Event]) -> list[Event]:
        totals: dict[int, int] = {}
        for value, _ in events:
            totals[value % keys] = totals.get(value % keys, 0) + value
        return [(total, SPAN) for total in totals.values()]

    return Step(f"timers {keys}", lambda s: s.key_by(lambda e: e[0] % keys).process(SumAtTimer()), naive)


def windowed(name: str, assigner: Any, windows_of: Callable[[list[int]], list[tuple[int, int]]], keys: int) -> Step:
    """Sums by key and window; `windows_of` gives the windows of a key's times."""

    def naive(events: list[Event]) -> list[Event]:
        results = []
        for key in {v % keys for v, _ in events}:
            mine = [e for e in events if e[0] % keys == key]
            for start, end in windows_of([t for _, t in mine]):
                inside = [v for v, t in mine if start <= t < end]
                if inside:
                    results.append((sum(inside), end - 1))
        return results

    def build(stream: Any) -> Any:
        summed = stream.key_by(lambda e: e[0] % keys).window(assigner)
        return summed.process(SumWindow())

    return Step(f"{name} {keys}", build, naive)


class SumWindow:
    def __new__(cls) -> Any:
        from penstock.datastream import ProcessWindowFunction

        class Sum(ProcessWindowFunction):  # type: ignore[type-arg]
            def process(self, key: Any, context: Any, elements: Any) -> Any:
                yield sum(v for v, _ in elements), context.window().max_timestamp()

        return Sum()


def aligned(size: int, slide: int) -> Callable[[list[int]], list[tuple[int, int]]]:
    def windows(times: list[int]) -> list[tuple[int, int]]:
        starts = {start for t in times for start in range(t - t % slide, t - size, -slide)}
        return [(start, start + size) for start in starts]

    return windows


def sessions(gap: int) -> Callable[[list[int]], list[tuple[int, int]]]:
    def windows(times: list[int]) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for t in sorted(times):
            if merged and t <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], t + gap))
            else:
                merged.append((t, t + gap))
        return merged

    return windows


WINDOWS = [
    lambda keys: windowed("tumbling", TumblingEventTimeWindows.of(Time.milliseconds(100)), aligned(100, 100), keys),
    lambda keys: windowed(
        "sliding", SlidingEventTimeWindows.of(Time.milliseconds(100), Time.milliseconds(30)), aligned(100, 30), keys
    ),
    lambda keys: windowed("session", EventTimeSessionWindows.with_gap(Time.milliseconds(40)), sessions(40), keys),
]

steps = st.one_of(
    st.integers(-3, 3).map(add),
    st.integers(2, 5).map(keep),
    st.integers(0, 3).map(repeat),
    st.just(doubled()),
    st.just(split_and_join()),
    st.sampled_from(["rebalance", "shuffle", "rescale"]).map(partitioned),
)
ends = st.one_of(
    st.none(),
    st.integers(1, 4).map(timer_sums),
    st.tuples(st.sampled_from(WINDOWS), st.integers(1, 4)).map(lambda drawn: drawn[0](drawn[1])),
)
events = st.lists(st.tuples(st.integers(0, 50), st.integers(0, SPAN - 1)), max_size=120)


@pytest.mark.parametrize("mode", [RuntimeExecutionMode.STREAMING, RuntimeExecutionMode.BATCH])
@settings(max_examples=200)
@given(
    events, st.lists(steps, max_size=5), ends, st.integers(1, 3), st.integers(0, 1000), st.sampled_from([1, 2, 7, 1024])
)
def test_random_programs(
    mode: RuntimeExecutionMode,
    data: list[Event],
    chain: list[Step],
    end: Step | None,
    parallelism: int,
    seed: int,
    batch: int,
) -> None:
    conf = Configuration()
    conf.set_string("penstock.scheduler.seed", str(seed))
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(parallelism)
    env.set_runtime_mode(mode)
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(SPAN))
    stream: Any = env.from_collection(data).assign_timestamps_and_watermarks(
        strategy.with_timestamp_assigner(EventTime())
    )
    expected = data
    for step in [*chain, *([end] if end is not None else [])]:
        stream = step.build(stream)
        expected = step.naive(expected)
    with (
        mock.patch("penstock.runtime._chain.BATCH_LIMIT", batch),
        mock.patch("penstock.runtime._pace.BATCH_LIMIT", batch),
        stream.map(lambda e: e).execute_and_collect() as results,
    ):
        found = list(results)
    assert Counter(found) == Counter(expected)
    if parallelism == 1 and not any(step.name in ("self-union", "side output") for step in chain) and end is None:
        assert found == expected or any(step.name == "shuffle" for step in chain)

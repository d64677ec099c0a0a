from __future__ import annotations

from typing import Any

from penstock.common.typeinfo import Types
from penstock.datastream.functions import (
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedCoProcessFunction,
)
from penstock.datastream.state import ValueStateDescriptor
from penstock.runtime.testing import OperatorTestHarness
from tests.runtime.operators.windowing import first


class DropOdd(CoMapFunction):
    def map1(self, value: int) -> Any:
        return value if value % 2 == 0 else None

    def map2(self, value: int) -> Any:
        return -value if value % 2 == 0 else None


def test_co_map_drops_none() -> None:
    with OperatorTestHarness.of(DropOdd()) as harness:
        for value in (1, 2):
            harness.process_element1(value, 5)
            harness.process_element2(value, 6)
        assert harness.output == [(2, 5), (-2, 6)]


class CountBoth(CoFlatMapFunction):
    """With keyed state: on a keyed stream functions may have it."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def flat_map1(self, value: Any) -> Any:
        self.count.update((self.count.value() or 0) + 1)
        return None

    def flat_map2(self, value: Any) -> Any:
        yield value[0], self.count.value()
        yield None


def test_co_flat_map_with_keyed_state() -> None:
    with OperatorTestHarness.of(CountBoth(), first, first) as harness:
        for key in "aab":
            harness.process_element1((key, 1))
        for key in "ab":
            harness.process_element2((key, 2))
        assert harness.values == [("a", 2), None, ("b", 1), None]


def test_co_process_without_keys() -> None:
    class Both(CoProcessFunction):
        def process_element1(self, value: Any, ctx: Any) -> Any:
            yield 1, value, ctx.timestamp(), ctx.timer_service().current_watermark()

        def process_element2(self, value: Any, ctx: Any) -> Any:
            return [(2, value, ctx.timestamp())]

    with OperatorTestHarness.of(Both()) as harness:
        harness.process_watermark(3)
        harness.process_element1("a", 4)
        harness.process_element2("b", 5)
        assert harness.output == [((1, "a", 4, 3), 4), ((2, "b", 5), 5)]


class Match(KeyedCoProcessFunction):
    """Waits for the other side until a timer."""

    def open(self, runtime_context: Any) -> None:
        self.waiting = runtime_context.get_state(ValueStateDescriptor("waiting", Types.PICKLED_BYTE_ARRAY()))

    def process_element1(self, value: Any, ctx: Any) -> Any:
        self.waiting.update(value)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)

    def process_element2(self, value: Any, ctx: Any) -> Any:
        waiting = self.waiting.value()
        if waiting is not None:
            yield "match", waiting, value, ctx.get_current_key()
            self.waiting.clear()

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        if self.waiting.value() is not None:
            yield "no match", self.waiting.value(), ctx.get_current_key()
            self.waiting.clear()


def test_keyed_co_process_shares_state_and_timers() -> None:
    with OperatorTestHarness.of(Match(), first) as harness:
        harness.process_element1(("a", 1), 1)
        harness.process_element1(("b", 1), 2)
        harness.process_element2(("a", 2), 3)
        harness.process_watermark(50)
        assert harness.output == [
            (("match", ("a", 1), ("a", 2), "a"), 3),
            (("no match", ("b", 1), "b"), 12),
        ]

from __future__ import annotations

from typing import Any

import pytest

from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.common.typeinfo import Types
from penstock.datastream.functions import KeyedProcessFunction, ProcessFunction
from penstock.datastream.output_tag import OutputTag
from penstock.datastream.state import ValueStateDescriptor
from penstock.datastream.time_domain import TimeDomain
from penstock.errors import ConfigurationError
from penstock.runtime.operators._contexts import TimersNotKeyedError
from penstock.runtime.testing import OperatorTestHarness
from tests.runtime.operators.windowing import first

SIDE = OutputTag("side")


class Echo(ProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self.log = ["open"]

    def process_element(self, value: Any, ctx: Any) -> Any:
        if value == "none":
            return None
        if value == "list":
            return [1, 2]
        if value == "side":
            return iter([(SIDE, "aside"), "main"])
        return self.generate(value, ctx)

    def generate(self, value: Any, ctx: Any) -> Any:
        yield (
            value,
            ctx.timestamp(),
            ctx.timer_service().current_watermark(),
            ctx.timer_service().current_processing_time(),
        )


def test_every_form_of_result() -> None:
    with OperatorTestHarness.of(Echo(), now_ms=77) as harness:
        harness.process_element("x")
        harness.process_watermark(5)
        harness.process_element("y", 6)
        harness.process_element("none", 7)
        harness.process_element("list", 8)
        harness.process_element("side", 9)
        assert harness.output == [
            (("x", MIN_LONG_VALUE, MIN_LONG_VALUE, 77), MIN_LONG_VALUE),
            (("y", 6, 5, 77), 6),
            (1, 8),
            (2, 8),
            ("main", 9),
        ]
        assert harness.side_outputs == {"side": [("aside", 9)]}
        assert harness.side_output(SIDE) == ["aside"]


@pytest.mark.parametrize("method", ["register_event_time_timer", "register_processing_time_timer"])
def test_registering_a_timer_without_keys_is_refused(method: str) -> None:
    class Registers(ProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            getattr(ctx.timer_service(), value)(5)

    with OperatorTestHarness.of(Registers()) as harness:
        with pytest.raises(TimersNotKeyedError, match=r"Register timers is only supported on a keyed stream\."):
            harness.process_element(method)
        with pytest.raises(TimersNotKeyedError, match=r"Deleting timers is only supported on a keyed streams\."):
            harness.process_element(method.replace("register", "delete"))


class CountUntilTimer(KeyedProcessFunction):
    """Counts elements; a timer 10 ms after each emits and forgets."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.count.update((self.count.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)
        if value[1] == "processing":
            ctx.timer_service().register_processing_time_timer(1000)
        yield ctx.get_current_key(), self.count.value()

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield ctx.get_current_key(), self.count.value(), ctx.timestamp(), ctx.time_domain()
        yield SIDE, timestamp
        self.count.clear()


def test_state_and_timers_belong_to_the_key() -> None:
    with OperatorTestHarness.of(CountUntilTimer(), first) as harness:
        for timestamp, key in ((1, "a"), (2, "b"), (2, "a")):
            harness.process_element((key, None), timestamp)
        assert harness.take_output() == [(("a", 1), 1), (("b", 1), 2), (("a", 2), 2)]
        harness.process_watermark(11)
        assert harness.take_output() == [(("a", 2, 11, TimeDomain.EVENT_TIME), 11)]
        harness.process_watermark(12)
        assert harness.take_output() == [
            (("b", 1, 12, TimeDomain.EVENT_TIME), 12),
            (("a", None, 12, TimeDomain.EVENT_TIME), 12),
        ]
        assert harness.side_output(SIDE) == [11, 12, 12]


def test_processing_time_timers() -> None:
    with OperatorTestHarness.of(CountUntilTimer(), first) as harness:
        harness.process_element(("a", "processing"), 1)
        harness.set_processing_time(999)
        assert len(harness.take_output()) == 1
        harness.set_processing_time(1000)
        assert harness.take_output() == [(("a", 1, 1000, TimeDomain.PROCESSING_TIME), 1000)]


def test_event_time_timers_without_timestamps_fire_at_the_end() -> None:
    class Registers(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            ctx.timer_service().register_event_time_timer(value)

        def on_timer(self, timestamp: int, ctx: Any) -> Any:
            yield timestamp, ctx.timer_service().current_watermark()

    with OperatorTestHarness.of(Registers(), lambda value: None) as harness:
        harness.process_element(7)
        harness.process_element(3)
        assert harness.output == []
        harness.end_input()
        assert harness.output == [((3, MAX_LONG_VALUE), 3), ((7, MAX_LONG_VALUE), 7)]


def test_keys_that_cannot_be_hashed() -> None:
    with OperatorTestHarness.of(CountUntilTimer(), lambda value: [value[0]]) as harness:
        harness.process_element(("a", 1), 1)
        harness.process_element(("a", 2), 2)
        harness.process_watermark(100)
        assert [value[:2] for value in harness.values] == [(["a"], 1), (["a"], 2), (["a"], 2), (["a"], None)]


def test_state_and_timers_survive_and_follow_their_keys() -> None:
    with OperatorTestHarness.of(CountUntilTimer(), first) as harness:
        for key in "abcdefghij":
            harness.process_element((key, "processing"), 1)
        snapshot = harness.snapshot()
    fired = []
    for subtask in range(2):
        with OperatorTestHarness.of(
            CountUntilTimer(), first, subtask_index=subtask, parallelism=2, restored=[snapshot]
        ) as harness:
            harness.process_watermark(11)
            fired.append({value[0] for value in harness.values})
            assert all(value[1] == 1 for value in harness.values)
            harness.take_output()
            harness.set_processing_time(1000)
            assert {value[0] for value in harness.values} == fired[subtask]
    assert fired[0] | fired[1] == set("abcdefghij")
    assert not fired[0] & fired[1]
    assert all(fired)


def test_a_function_without_on_timer_has_none_to_miss() -> None:
    class Registers(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            ctx.timer_service().register_event_time_timer(1)

    with OperatorTestHarness.of(Registers(), first) as harness:
        harness.process_element("a")
        harness.end_input()
        assert harness.output == []


def test_open_and_close() -> None:
    log: list[str] = []

    class Lives(ProcessFunction):
        def __reduce__(self) -> Any:  # the function is loaded from its pickle: this keeps its log
            return Lives, ()

        def open(self, runtime_context: Any) -> None:
            self.task = runtime_context.get_task_name()

        def process_element(self, value: Any, ctx: Any) -> Any:
            yield self.task

        def close(self) -> None:
            raise ValueError("closed")

    harness = OperatorTestHarness.of(Lives())
    harness.close()  # never opened: nothing to close
    harness.open()
    harness.process_element(1)
    assert harness.values == ["harness"]
    with pytest.raises(ValueError, match="closed"):
        harness.close()
    harness.close()
    assert log == []


def test_the_harness_says_what_it_needs() -> None:
    with pytest.raises(ConfigurationError, match="CountUntilTimer runs on keyed streams: pass key_selector"):
        OperatorTestHarness.of(CountUntilTimer())
    with pytest.raises(ConfigurationError, match="neither a process function nor"):
        OperatorTestHarness.of(len)

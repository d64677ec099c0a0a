from __future__ import annotations

from typing import Any

import pytest

from penstock.common.typeinfo import Types
from penstock.datastream.functions import BroadcastProcessFunction, KeyedBroadcastProcessFunction
from penstock.datastream.state import MapStateDescriptor, ValueStateDescriptor
from penstock.datastream.time_domain import TimeDomain
from penstock.runtime.operators._broadcast import BroadcastStateError
from penstock.runtime.testing import OperatorTestHarness
from tests.runtime.operators.windowing import first

RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())


class Rules(BroadcastProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        state = ctx.get_broadcast_state(MapStateDescriptor("rules", Types.STRING(), Types.INT()))
        yield value, sorted(state.items()), ctx.timestamp(), ctx.current_watermark(), ctx.current_processing_time()

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        state = ctx.get_broadcast_state(RULES)
        name, number = value
        if number is None:
            state.remove(name)
        else:
            state.put(name, number)
        yield "rules", len(list(state))


def rules_harness(**options: Any) -> OperatorTestHarness:
    return OperatorTestHarness.of(Rules(), broadcast_descriptors=[RULES], **options)


def test_one_side_writes_the_other_reads() -> None:
    with rules_harness(now_ms=9) as harness:
        harness.process_element1("x", 1)
        harness.process_element2(("a", 1.9), 2)
        harness.process_element2(("b", 2), 3)
        harness.process_element2(("a", None), 4)
        harness.process_watermark(5)
        harness.process_element1("y", 6)
        assert harness.values == [
            ("x", [], 1, -(2**63), 9),
            ("rules", 1),
            ("rules", 2),
            ("rules", 1),
            ("y", [("b", 2)], 6, 5, 9),
        ]


def test_every_subtask_gets_a_copy_back_whatever_the_parallelism() -> None:
    snapshots = []
    for _ in range(2):
        with rules_harness() as harness:
            harness.process_element2(("a", 1))
            snapshots.append(harness.snapshot())
    assert harness.operator.broadcasts_state
    with rules_harness(restored=snapshots) as harness:
        harness.process_element1("x")
        assert harness.values[0][1] == [("a", 1)]


class AllMethods(BroadcastProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        state = ctx.get_broadcast_state(RULES)
        getattr(state, value)()
        yield "unreached"

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        state = ctx.get_broadcast_state(RULES)
        yield state.is_empty()
        state.put_all({"a": 1})
        state.put_all([("b", 2)])
        state["c"] = 3
        del state["b"]
        yield "c" in state, state.contains("b"), state["c"], state.get("b")
        yield list(state.keys()), list(state.values()), list(state)
        for name in state:
            state.remove(name)
        yield state.is_empty()
        state.put("z", 26)
        state.clear()
        yield list(state.items())


def test_the_methods_of_a_map() -> None:
    with OperatorTestHarness.of(AllMethods(), broadcast_descriptors=[RULES]) as harness:
        harness.process_element2("go")
        assert harness.values == [True, (True, False, 3, None), (["a", "c"], [1, 3], ["a", "c"]), True, []]
        with pytest.raises(BroadcastStateError, match="can be changed in process_broadcast_element only"):
            harness.process_element1("clear")
        with pytest.raises(AttributeError):
            harness.process_element1("put")


def test_a_state_that_was_not_declared() -> None:
    class Asks(Rules):
        def process_element(self, value: Any, ctx: Any) -> Any:
            yield ctx.get_broadcast_state(MapStateDescriptor("other", Types.STRING(), Types.INT()))

    harness = OperatorTestHarness.of(Asks(), broadcast_descriptors=[RULES])
    with harness, pytest.raises(BroadcastStateError, match=r"'other' does not exist: .* was given 'rules'"):
        harness.process_element1("x")


class KeyedRules(KeyedBroadcastProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.count.update((self.count.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(100)
        yield ctx.get_current_key(), self.count.value(), ctx.get_broadcast_state(RULES).get("limit")

    def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        if value[0] == "use state":
            self.count.value()
        ctx.get_broadcast_state(RULES).put(*value)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield ctx.get_current_key(), ctx.time_domain(), ctx.get_broadcast_state(RULES).get("limit"), self.count.value()


def test_keyed_broadcast() -> None:
    with OperatorTestHarness.of(KeyedRules(), first, broadcast_descriptors=[RULES]) as harness:
        harness.process_element1(("a", 1), 1)
        harness.process_element2(("limit", 5), 2)
        harness.process_element1(("a", 1), 3)
        harness.process_watermark(100)
        assert harness.output == [
            (("a", 1, None), 1),
            (("a", 2, 5), 3),
            (("a", TimeDomain.EVENT_TIME, 5, 2), 100),
        ]
        snapshot = harness.snapshot()
    with OperatorTestHarness.of(KeyedRules(), first, broadcast_descriptors=[RULES], restored=[snapshot]) as harness:
        harness.process_element1(("a", 1), 1)
        assert harness.values == [("a", 3, 5)]


def test_a_broadcast_element_has_no_key() -> None:
    with OperatorTestHarness.of(KeyedRules(), first, broadcast_descriptors=[RULES]) as harness:
        harness.process_element1(("a", 1), 1)
        with pytest.raises(BroadcastStateError, match="a broadcast element has no key"):
            harness.process_element2(("use state", 1))

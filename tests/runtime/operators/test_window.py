"""The firing rules of windows, on the operator a job would use and on the general one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.common.time import Time
from penstock.common.typeinfo import Types
from penstock.datastream.functions import ProcessWindowFunction
from penstock.datastream.state import ValueStateDescriptor
from penstock.datastream.window import (
    ContinuousEventTimeTrigger,
    ContinuousProcessingTimeTrigger,
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindows,
    MergingWindowAssigner,
    ProcessingTimeSessionWindows,
    PurgingTrigger,
    SlidingEventTimeWindows,
    TimeWindow,
    TimeWindowSerializer,
    Trigger,
    TriggerResult,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    WindowAssigner,
)
from penstock.runtime._failure import RecordFailure
from penstock.runtime.operators import create_operator
from penstock.runtime.operators._window import WindowMergeError, WindowOperator
from penstock.runtime.operators._window_functions import MergingWindowStateError
from penstock.runtime.testing import OperatorTestHarness
from tests.runtime.operators.windowing import (
    LATE,
    AllApplied,
    AllElements,
    batch_harness,
    general_harness,
    late_dropped,
    window_spec,
)

Make = Callable[..., OperatorTestHarness]

both = pytest.mark.parametrize("make", [batch_harness, general_harness])


class Values(ProcessWindowFunction):
    """Start and end of the window, and the second fields of its elements."""

    def process(self, key: Any, context: Any, elements: Any) -> Any:
        window = context.window()
        yield key, window.start, window.end, [value for _, value in elements]


class ValuesOnly(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Any) -> Any:
        return [[value for _, value in elements]]


VALUES = {"kind": "process", "function": Values()}
VALUES_ONLY = {"kind": "process", "function": ValuesOnly()}


def feed(harness: OperatorTestHarness, *elements: tuple[Any, int]) -> list[Any]:
    """Elements of key `a` with (value, timestamp); returns what fires."""
    harness.process_batch([(("a", value), timestamp) for value, timestamp in elements])
    return harness.take_output()


def watermark(harness: OperatorTestHarness, time: int) -> list[Any]:
    harness.process_watermark(time)
    return harness.take_output()


@both
def test_tumbling_windows_fire_when_the_watermark_reaches_their_last_millisecond(make: Make) -> None:
    with make(window_spec(TumblingEventTimeWindows(10, 0), VALUES)) as harness:
        assert feed(harness, (1, 3), (2, 15), (3, 9), (4, -1)) == []
        assert watermark(harness, 8) == [(("a", -10, 0, [4]), -1)]
        assert watermark(harness, 9) == [(("a", 0, 10, [1, 3]), 9)]
        assert watermark(harness, 18) == []
        assert watermark(harness, 2**63 - 1) == [(("a", 10, 20, [2]), 19)]


@both
def test_offsets_shift_windows(make: Make) -> None:
    with make(window_spec(TumblingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(3)), VALUES)) as harness:
        feed(harness, (1, 2), (2, 3))
        assert watermark(harness, 100) == [(("a", -7, 3, [1]), 2), (("a", 3, 13, [2]), 12)]


@both
def test_sliding_windows_hold_an_element_several_times(make: Make) -> None:
    with make(window_spec(SlidingEventTimeWindows(10, 5, 0), VALUES)) as harness:
        feed(harness, (1, 3), (2, 7))
        assert watermark(harness, 100) == [
            (("a", -5, 5, [1]), 4),
            (("a", 0, 10, [1, 2]), 9),
            (("a", 5, 15, [2]), 14),
        ]


@both
def test_a_slide_longer_than_the_size_leaves_elements_out(make: Make) -> None:
    with make(window_spec(SlidingEventTimeWindows(2, 5, 0), VALUES)) as harness:
        feed(harness, (1, 1), (2, 3), (3, 6))
        assert watermark(harness, 100) == [(("a", 0, 2, [1]), 1), (("a", 5, 7, [3]), 6)]
        assert late_dropped(harness) == 0
        feed(harness, (4, 4))
        assert late_dropped(harness) == 1


@both
def test_late_elements_are_dropped_and_counted(make: Make) -> None:
    with make(window_spec(TumblingEventTimeWindows(10, 0), VALUES)) as harness:
        watermark(harness, 9)
        assert feed(harness, (1, 9), (2, 10)) == []
        assert late_dropped(harness) == 1
        assert watermark(harness, 19) == [(("a", 10, 20, [2]), 19)]


@both
def test_late_elements_go_to_the_late_tag(make: Make) -> None:
    with make(window_spec(TumblingEventTimeWindows(10, 0), VALUES, late_tag=LATE)) as harness:
        watermark(harness, 9)
        feed(harness, (1, 9), (2, 10))
        assert harness.side_outputs == {"late": [(("a", 1), 9)]}
        assert late_dropped(harness) == 0


@both
def test_an_element_is_late_for_its_windows_one_by_one(make: Make) -> None:
    with make(window_spec(SlidingEventTimeWindows(10, 5, 0), VALUES, late_tag=LATE)) as harness:
        watermark(harness, 9)
        feed(harness, (1, 7))
        assert harness.side_outputs == {}
        assert watermark(harness, 14) == [(("a", 5, 15, [1]), 14)]


@both
def test_an_allowed_late_element_fires_its_window_again(make: Make) -> None:
    with make(window_spec(TumblingEventTimeWindows(10, 0), VALUES, allowed_lateness_ms=5)) as harness:
        feed(harness, (1, 1), (2, 2))
        assert watermark(harness, 9) == [(("a", 0, 10, [1, 2]), 9)]
        assert feed(harness, (4, 4)) == [(("a", 0, 10, [1, 2, 4]), 9)]
        assert watermark(harness, 13) == []
        assert feed(harness, (5, 5)) == [(("a", 0, 10, [1, 2, 4, 5]), 9)]
        assert watermark(harness, 14) == []
        assert feed(harness, (6, 6)) == []
        assert late_dropped(harness) == 1


@both
def test_an_element_for_a_kept_window_of_a_new_key_fires_at_once(make: Make) -> None:
    with make(window_spec(TumblingEventTimeWindows(10, 0), VALUES, allowed_lateness_ms=5)) as harness:
        watermark(harness, 9)
        assert feed(harness, (1, 1)) == [(("a", 0, 10, [1]), 9)]
        assert watermark(harness, 14) == []
        assert not harness.backend.table(harness.operator._contents.table.spec).namespaces()


@both
def test_sessions_merge_also_when_they_only_touch(make: Make) -> None:
    with make(window_spec(EventTimeSessionWindows(5), VALUES)) as harness:
        feed(harness, (1, 0), (2, 5), (3, 30), (4, 20), (5, 25))
        assert watermark(harness, 100) == [(("a", 0, 10, [1, 2]), 9), (("a", 20, 35, [4, 3, 5]), 34)]


@both
def test_a_session_that_grows_fires_at_its_new_end(make: Make) -> None:
    with make(window_spec(EventTimeSessionWindows(10), VALUES)) as harness:
        feed(harness, (1, 0))
        assert watermark(harness, 8) == []
        feed(harness, (2, 5))
        assert watermark(harness, 13) == []
        assert watermark(harness, 14) == [(("a", 0, 15, [1, 2]), 14)]
        assert feed(harness, (3, 4)) == []
        assert late_dropped(harness) == 1


@both
def test_a_late_element_can_join_a_session_that_waits(make: Make) -> None:
    with make(window_spec(EventTimeSessionWindows(10), VALUES)) as harness:
        feed(harness, (1, 20))
        watermark(harness, 25)
        feed(harness, (2, 10))
        assert watermark(harness, 29) == [(("a", 10, 30, [1, 2]), 29)]


@both
def test_state_of_a_session_is_refused(make: Make) -> None:
    class Asks(ProcessWindowFunction):
        def process(self, key: Any, context: Any, elements: Any) -> Any:
            yield context.window_state().get_state(ValueStateDescriptor("x", Types.LONG()))

    with make(window_spec(EventTimeSessionWindows(5), {"kind": "process", "function": Asks()})) as harness:
        feed(harness, (1, 0))
        with pytest.raises(MergingWindowStateError, match="Per-window state is not allowed when using merging windows"):
            watermark(harness, 100)


class StatefulValues(ProcessWindowFunction):
    """Counts firings in the window's state and in the key's; clears the first when the window is over."""

    def open(self, runtime_context: Any) -> None:
        self.firings = ValueStateDescriptor("firings", Types.LONG())

    def process(self, key: Any, context: Any, elements: Any) -> Any:
        counts = []
        for store in (context.window_state(), context.global_state()):
            state = store.get_state(self.firings)
            state.update((state.value() or 0) + 1)
            counts.append(state.value())
        yield context.window().start, counts

    def clear(self, context: Any) -> None:
        cleared = context.global_state().get_state(ValueStateDescriptor("cleared", Types.LONG()))
        cleared.update((cleared.value() or 0) + 1)
        state = context.window_state().get_state(self.firings)
        assert state.value() > 0
        state.clear()


@both
def test_state_of_windows_and_across_windows(make: Make) -> None:
    spec = window_spec(
        TumblingEventTimeWindows(10, 0), {"kind": "process", "function": StatefulValues()}, allowed_lateness_ms=20
    )
    with make(spec) as harness:
        feed(harness, (1, 1), (2, 12))
        assert watermark(harness, 19) == [((0, [1, 1]), 9), ((10, [1, 2]), 19)]
        assert feed(harness, (3, 3)) == [((0, [2, 3]), 9)]
        watermark(harness, 100)
        sizes = {size.name: size.entries for size in harness.backend.sizes()}
        assert sizes["firings"] == 1  # what is left is the key's own
        harness.backend.current_key = "a"
        assert harness.backend.state(ValueStateDescriptor("cleared", Types.LONG())).value() == 2


@both
def test_processing_time_windows_fire_by_the_clock_and_not_at_the_end(make: Make) -> None:
    with make(window_spec(TumblingProcessingTimeWindows(10, 0), VALUES), now_ms=25) as harness:
        feed(harness, (1, 0), (2, 0))
        harness.set_processing_time(28)
        assert harness.take_output() == []
        harness.set_processing_time(29)
        assert harness.take_output() == [(("a", 20, 30, [1, 2]), 29)]
        feed(harness, (3, 0))
        harness.end_input()
        assert harness.take_output() == []


@both
def test_processing_time_sessions(make: Make) -> None:
    with make(window_spec(ProcessingTimeSessionWindows(10), VALUES), now_ms=100) as harness:
        feed(harness, (1, 0))
        harness.set_processing_time(105)
        feed(harness, (2, 0))
        harness.set_processing_time(109)
        assert harness.take_output() == []
        harness.set_processing_time(114)
        assert harness.take_output() == [(("a", 100, 115, [1, 2]), 114)]


@both
def test_only_complete_count_windows_are_emitted(make: Make) -> None:
    with make(window_spec(CountTumblingWindowAssigner(2), VALUES_ONLY)) as harness:
        assert feed(harness, *((number, number) for number in range(5))) == [([0, 1], 1), ([2, 3], 3)]
        harness.end_input()
        assert harness.take_output() == []
    with make(window_spec(CountSlidingWindowAssigner(3, 1), VALUES_ONLY)) as harness:
        assert [value for value, _ in feed(harness, *((number, 0) for number in range(5)))] == [
            [0, 1, 2],
            [1, 2, 3],
            [2, 3, 4],
        ]


def test_finished_count_windows_hold_no_elements() -> None:
    with batch_harness(window_spec(CountTumblingWindowAssigner(2), VALUES_ONLY)) as harness:
        feed(harness, *((number, 0) for number in range(1001)))
        (entry,) = [entries for size in harness.backend.sizes() if (entries := size.size_bytes)]
        assert entry < 2000


@both
def test_an_event_time_window_needs_timestamps(make: Make) -> None:
    with make(window_spec(TumblingEventTimeWindows(10, 0), VALUES)) as harness:
        with pytest.raises((RecordFailure, Exception)) as raised:
            harness.process_batch([(("a", 1), -(2**63))])
        error = raised.value.cause if isinstance(raised.value, RecordFailure) else raised.value
        assert "Record has Java Long.MIN_VALUE timestamp (= no timestamp marker)" in str(error)


def test_a_failing_function_is_reported_with_its_element() -> None:
    def fails(left: Any, right: Any) -> Any:
        raise ValueError("no")

    for assigner in (TumblingEventTimeWindows(10, 0), SlidingEventTimeWindows(10, 5, 0), EventTimeSessionWindows(5)):
        spec = window_spec(assigner, {"kind": "reduce", "function": fails})
        with batch_harness(spec) as harness, pytest.raises(RecordFailure) as raised:
            feed(harness, (1, 1), (2, 2), (3, 3))
        assert raised.value.record == ("a", 2)
        assert isinstance(raised.value.cause, ValueError)


@both
@pytest.mark.parametrize("function", [AllElements(), AllApplied()])
def test_windows_over_all_elements(make: Make, function: Any) -> None:
    kind = "process" if isinstance(function, AllElements) else "apply"
    spec = window_spec(TumblingEventTimeWindows(10, 0), {"kind": kind, "function": function}, all_windows=True)
    with make(spec, key_selector=lambda value: 0) as harness:
        harness.process_batch([(1, 1), (2, 2)])
        assert watermark(harness, 9) == [(("TimeWindow(start=0, end=10)", [1, 2]), 9)]


@both
def test_keys_that_cannot_be_hashed(make: Make) -> None:
    for assigner in (TumblingEventTimeWindows(10, 0), EventTimeSessionWindows(10)):
        with make(window_spec(assigner, VALUES), key_selector=lambda value: [value[0]]) as harness:
            feed(harness, (1, 1), (2, 2))
            assert [value[0] for value, _ in watermark(harness, 100)] == [["a"]]


@both
def test_batch_mode_forgets_the_time_between_keys(make: Make) -> None:
    for assigner in (TumblingEventTimeWindows(10, 0), SlidingEventTimeWindows(10, 5, 0), EventTimeSessionWindows(5)):
        with make(window_spec(assigner, VALUES), batch_mode=True) as harness:
            for key in "ab":
                harness.process_batch([((key, 1), 1), ((key, 2), 2)])
                harness.process_watermark(2**63 - 1)
                for service in harness._services:
                    service.current_watermark = -(2**63)
                harness.backend.clear()
            assert {value[0] for value in harness.values} == {"a", "b"}
            assert late_dropped(harness) == 0


# -- triggers and assigners of the program's own -------------------------------------------------


def test_global_windows_fire_by_their_trigger_alone() -> None:
    with general_harness(window_spec(GlobalWindows(), VALUES_ONLY, CountTrigger.of(2))) as harness:
        assert feed(harness, (1, 5), (2, 6), (3, 7), (4, 8)) == [([1, 2], 6), ([1, 2, 3, 4], 8)]
    with general_harness(window_spec(GlobalWindows(), VALUES_ONLY, PurgingTrigger.of(CountTrigger.of(2)))) as harness:
        assert feed(harness, (1, 5), (2, 6), (3, 7), (4, 8)) == [([1, 2], 6), ([3, 4], 8)]
    with general_harness(window_spec(GlobalWindows(), VALUES_ONLY)) as harness:
        assert feed(harness, (1, 5)) == []
        harness.end_input()
        assert harness.take_output() == []


def test_a_continuous_trigger_fires_early() -> None:
    spec = window_spec(TumblingEventTimeWindows(10, 0), VALUES, ContinuousEventTimeTrigger.of(Time.milliseconds(3)))
    with general_harness(spec) as harness:
        feed(harness, (1, 0))
        assert watermark(harness, 3) == [(("a", 0, 10, [1]), 9)]
        feed(harness, (2, 4))
        assert watermark(harness, 6) == [(("a", 0, 10, [1, 2]), 9)]
        assert watermark(harness, 9) == [(("a", 0, 10, [1, 2]), 9)]
        assert sum(map(len, (service.event_time for service in harness._services))) == 0


def test_a_continuous_trigger_of_processing_time() -> None:
    trigger = ContinuousProcessingTimeTrigger.of(Time.milliseconds(3))
    with general_harness(window_spec(TumblingProcessingTimeWindows(10, 0), VALUES, trigger), now_ms=20) as harness:
        feed(harness, (1, 0))
        harness.set_processing_time(23)
        assert harness.take_output() == [(("a", 20, 30, [1]), 29)]
        harness.set_processing_time(29)
        assert len(harness.take_output()) == 3  # 24, 27, and the end


def test_a_continuous_trigger_merges_its_state_with_sessions() -> None:
    spec = window_spec(EventTimeSessionWindows(10), VALUES, ContinuousEventTimeTrigger.of(Time.milliseconds(100)))
    with general_harness(spec) as harness:
        feed(harness, (1, 0), (2, 20), (3, 10))
        # The earliest time a part would have fired is that of the merged window: 9. Then comes its end.
        assert watermark(harness, 29) == [(("a", 0, 30, [1, 2, 3]), 29)] * 2
        assert sum(len(service.event_time) for service in harness._services) == 0
        assert all(not size.entries for size in harness.backend.sizes())


class PurgeOnSeven(Trigger):
    """Fires at the end of the window; an element 7 drops what was there."""

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        ctx.register_event_time_timer(window.max_timestamp())
        ctx.register_event_time_timer(window.start)
        ctx.delete_event_time_timer(window.start)
        ctx.get_metric_group().counter("elements").inc()
        return TriggerResult.PURGE if element[1] == 7 else TriggerResult.CONTINUE

    def on_processing_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return TriggerResult.FIRE_AND_PURGE

    def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        assert time == window.max_timestamp()
        assert ctx.get_current_watermark() >= time
        ctx.register_processing_time_timer(ctx.get_current_processing_time() + 5)
        return TriggerResult.FIRE

    def on_merge(self, window: Any, ctx: Any) -> None:
        raise AssertionError

    def clear(self, window: Any, ctx: Any) -> None:
        ctx.delete_processing_time_timer(5)


def test_a_trigger_of_the_program() -> None:
    spec = window_spec(TumblingEventTimeWindows(10, 0), VALUES, PurgeOnSeven(), allowed_lateness_ms=50)
    with general_harness(spec) as harness:
        feed(harness, (1, 1), (7, 2), (3, 3))
        assert watermark(harness, 9) == [(("a", 0, 10, [3]), 9)]
        harness.set_processing_time(5)
        assert harness.take_output() == [(("a", 0, 10, [3]), 9)]
        assert feed(harness, (4, 4)) == []
        assert dict(harness.metrics.values())["operator.elements"] == 4


def test_a_trigger_that_cannot_merge_is_refused_when_windows_merge() -> None:
    with general_harness(window_spec(EventTimeSessionWindows(10), VALUES, PurgeOnSeven())) as harness:
        feed(harness, (1, 1))
        with pytest.raises(WindowMergeError, match="trigger that does not support merging"):
            feed(harness, (2, 2))


class EvenAndOdd(WindowAssigner):
    """Two windows by the value, and one for all."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Any:
        parity = element[1] % 2
        return [TimeWindow(parity, 100 + parity), TimeWindow(5, 205)]

    def get_default_trigger(self, env: Any) -> Any:
        return EventTimeTrigger()

    def get_window_serializer(self) -> Any:
        return TimeWindowSerializer()

    def is_event_time(self) -> bool:
        return True


def test_an_assigner_of_the_program() -> None:
    with batch_harness(window_spec(EvenAndOdd(), VALUES)) as harness:
        assert isinstance(harness.operator, WindowOperator)
        feed(harness, (1, 1), (2, 2), (3, 3))
        assert watermark(harness, 2**63 - 1) == [
            (("a", 0, 100, [2]), 99),
            (("a", 1, 101, [1, 3]), 100),
            (("a", 5, 205, [1, 2, 3]), 204),
        ]


class UpTo(MergingWindowAssigner):
    """Windows from 0 to the value; all of them merge into the one to 10, also when that is over."""

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Any:
        return [TimeWindow(0, element[1])]

    def merge_windows(self, windows: Any, callback: Any) -> None:
        windows = list(windows)
        if len(windows) > 1:
            callback.merge(windows, TimeWindow(0, 10))

    def get_default_trigger(self, env: Any) -> Any:
        return EventTimeTrigger()

    def get_window_serializer(self) -> Any:
        return TimeWindowSerializer()

    def is_event_time(self) -> bool:
        return True


def test_windows_must_not_merge_into_one_that_is_over() -> None:
    with batch_harness(window_spec(UpTo(), VALUES)) as harness:
        feed(harness, (5, 1), (7, 1))
        assert watermark(harness, 9) == [(("a", 0, 10, [5, 7]), 9)]
        feed(harness, (50, 1))
        with pytest.raises(WindowMergeError, match="cannot become earlier than the current watermark by merging"):
            feed(harness, (60, 1))


def test_a_subclass_of_a_built_in_assigner_runs_as_it_is_written() -> None:
    class Daily(TumblingEventTimeWindows):
        def assign_windows(self, element: Any, timestamp: int, context: Any) -> Any:
            return [TimeWindow(0, 1000)]

    with batch_harness(window_spec(Daily(10, 0), VALUES)) as harness:
        assert isinstance(harness.operator, WindowOperator)
        feed(harness, (1, 1), (2, 500))
        assert watermark(harness, 999) == [(("a", 0, 1000, [1, 2]), 999)]


def test_a_window_that_fired_stays_fired_after_a_recovery() -> None:
    spec = window_spec(TumblingEventTimeWindows(10, 0), VALUES, allowed_lateness_ms=50)
    with batch_harness(spec) as harness:
        feed(harness, (1, 1), (2, 12))
        assert len(watermark(harness, 9)) == 1
        snapshot = harness.snapshot()
    with batch_harness(spec, restored=[snapshot]) as harness:
        assert watermark(harness, 10) == []
        assert feed(harness, (3, 3)) == [(("a", 0, 10, [1, 3]), 9)]
        assert watermark(harness, 19) == [(("a", 10, 20, [2]), 19)]
        assert watermark(harness, 1000) == []
        assert not harness.operator._known


def test_declared_types_hold_for_what_is_aggregated() -> None:
    spec = window_spec(
        TumblingEventTimeWindows(10, 0), {"kind": "reduce", "function": lambda left, right: (left + right) / 2}
    )
    operator = create_operator(spec, keyed=True, name="average", input_types=(Types.INT(),))
    with OperatorTestHarness(operator, lambda value: 0) as harness:
        harness.process_batch([(1, 1), (2, 2), (4, 3)])
        assert watermark(harness, 9) == [(2, 9)]  # 1.5 became 1, 2.5 became 2

"""Windows, assigners and triggers by themselves, against contexts of a few lines."""

import pickle
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Time
from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.datastream.state import ReducingState, ValueState
from penstock.datastream.window import (
    ContinuousEventTimeTrigger,
    ContinuousProcessingTimeTrigger,
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
    CountWindow,
    CountWindowSerializer,
    DynamicEventTimeSessionWindows,
    DynamicProcessingTimeSessionWindows,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindow,
    GlobalWindows,
    GlobalWindowSerializer,
    MergingWindowAssigner,
    NeverTrigger,
    ProcessingTimeSessionWindows,
    ProcessingTimeTrigger,
    PurgingTrigger,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TimeWindow,
    TimeWindowSerializer,
    Trigger,
    TriggerResult,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    WindowAssigner,
)


class Value(ValueState):
    def __init__(self):
        self.held = None

    def value(self):
        return self.held

    def update(self, value):
        self.held = value

    def clear(self):
        self.held = None


class Reducing(ReducingState):
    def __init__(self, reduce):
        self.held, self.reduce = None, reduce

    def get(self):
        return self.held

    def add(self, value):
        self.held = value if self.held is None else self.reduce(self.held, value)

    def clear(self):
        self.held = None


class Context(Trigger.OnMergeContext):
    """Timers as sets, state by window; `merged` are the windows being merged."""

    def __init__(self, watermark=MIN_LONG_VALUE, now=0):
        self.watermark, self.now = watermark, now
        self.event_timers, self.processing_timers, self.states = set(), set(), {}
        self.window, self.merged = None, ()

    def get_current_processing_time(self):
        return self.now

    def get_metric_group(self):
        raise NotImplementedError

    def get_current_watermark(self):
        return self.watermark

    def register_processing_time_timer(self, time):
        self.processing_timers.add(time)

    def register_event_time_timer(self, time):
        self.event_timers.add(time)

    def delete_processing_time_timer(self, time):
        self.processing_timers.discard(time)

    def delete_event_time_timer(self, time):
        self.event_timers.discard(time)

    def get_partitioned_state(self, descriptor):
        reduce = descriptor.get_reduce_function().reduce
        return self.states.setdefault((descriptor.get_name(), self.window), Reducing(reduce))

    def merge_partitioned_state(self, descriptor):
        state = self.get_partitioned_state(descriptor)
        for window in self.merged:
            other = self.states.pop((descriptor.get_name(), window), None)
            if other is not None and other.get() is not None:
                state.add(other.get())


class AssignerContext(WindowAssigner.WindowAssignerContext):
    def __init__(self, now=0):
        self.now, self.states = now, {}

    def get_current_processing_time(self):
        return self.now

    def get_runtime_context(self):
        return self

    def get_state(self, descriptor):
        return self.states.setdefault(descriptor.get_name(), Value())


class Merges(MergingWindowAssigner.MergeCallback):
    def __init__(self):
        self.seen = []

    def merge(self, to_be_merged, merge_result):
        self.seen.append((sorted(to_be_merged), merge_result))


WINDOW = TimeWindow(0, 10)
CONTINUE, FIRE, PURGE, FIRE_AND_PURGE = (
    TriggerResult.CONTINUE,
    TriggerResult.FIRE,
    TriggerResult.PURGE,
    TriggerResult.FIRE_AND_PURGE,
)

# -- windows -------------------------------------------------------------------------------------


def test_time_windows():
    assert WINDOW.max_timestamp() == 9
    assert WINDOW.intersects(TimeWindow(10, 20))
    assert not WINDOW.intersects(TimeWindow(11, 20))
    assert WINDOW.cover(TimeWindow(15, 20)) == TimeWindow(0, 20)
    assert TimeWindow(0, 9) < WINDOW < TimeWindow(1, 2)
    assert TimeWindow(0, 10) >= WINDOW
    assert repr(WINDOW) == "TimeWindow(start=0, end=10)"
    assert CountWindow(0) != WINDOW
    with pytest.raises(Exception, match="non-TimeWindow"):
        WINDOW < 5  # noqa: B015


def test_other_windows():
    assert CountWindow(3).max_timestamp() == GlobalWindow().max_timestamp() == MAX_LONG_VALUE
    assert GlobalWindow() == GlobalWindow.get()
    assert (repr(CountWindow(3)), repr(GlobalWindow())) == ("CountWindow(id=3)", "GlobalWindow")
    assert len({CountWindow(3), CountWindow(3), GlobalWindow(), GlobalWindow(), WINDOW, TimeWindow(0, 10)}) == 3


@pytest.mark.parametrize(
    ("serializer", "window", "size"),
    [
        (TimeWindowSerializer(), TimeWindow(-5, 10**12), 16),
        (CountWindowSerializer(), CountWindow(7), 8),
        (GlobalWindowSerializer(), GlobalWindow(), 1),
    ],
)
def test_windows_survive_serializing_and_pickling(serializer, window, size):
    stream = BytesIO()
    serializer.serialize(window, stream)
    assert len(stream.getvalue()) == size
    stream.seek(0)
    assert serializer.deserialize(stream) == window == pickle.loads(pickle.dumps(window))
    assert serializer == type(serializer)()


@given(st.integers(-(10**6), 10**6), st.integers(-9, 9), st.just(10))
def test_the_window_of_a_time_contains_it(time, offset, size):
    start = TimeWindow.get_window_start_with_offset(time, offset, size)
    assert start <= time < start + size
    assert (start - offset) % size == 0


# -- assigners -----------------------------------------------------------------------------------


def test_tumbling_windows():
    assigner = TumblingEventTimeWindows.of(Time.milliseconds(5))
    context = AssignerContext(now=12)
    assert assigner.assign_windows("x", -1, context) == [TimeWindow(-5, 0)]
    assert TumblingEventTimeWindows.of(Time.milliseconds(5), Time.milliseconds(2)).assign_windows("x", 6, context) == [
        TimeWindow(2, 7)
    ]
    by_clock = TumblingProcessingTimeWindows.of(Time.milliseconds(5))
    assert by_clock.assign_windows("x", MIN_LONG_VALUE, context) == [TimeWindow(10, 15)]
    assert isinstance(assigner.get_default_trigger(None), EventTimeTrigger)
    assert isinstance(by_clock.get_default_trigger(None), ProcessingTimeTrigger)
    assert (assigner.is_event_time(), by_clock.is_event_time()) == (True, False)
    assert isinstance(assigner.get_window_serializer(), TimeWindowSerializer)
    assert repr(assigner) == "TumblingEventTimeWindows(5, 0)"


def test_sliding_windows_start_with_the_latest():
    context = AssignerContext(now=7)
    expected = [TimeWindow(6, 16), TimeWindow(3, 13), TimeWindow(0, 10), TimeWindow(-3, 7)][:3]
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(3))
    assert assigner.assign_windows("x", 7, context) == expected
    by_clock = SlidingProcessingTimeWindows.of(Time.milliseconds(10), Time.milliseconds(3))
    assert by_clock.assign_windows("x", 0, context) == expected
    assert repr(assigner) == "SlidingEventTimeWindows(10, 3, 0)"


@given(st.integers(-1000, 1000), st.integers(1, 40), st.integers(1, 20))
def test_sliding_windows_are_all_that_contain_the_time(time, size, slide):
    windows = SlidingEventTimeWindows(size, slide, 0).assign_windows(None, time, AssignerContext())
    expected = [start for start in range(time - size - slide, time + slide + 1) if start % slide == 0]
    assert [w.start for w in windows] == sorted((s for s in expected if s <= time < s + size), reverse=True)


class Gap(SessionWindowTimeGapExtractor):
    def extract(self, element):
        return element


def test_sessions():
    context = AssignerContext(now=100)
    gap = Time.milliseconds(5)
    assert EventTimeSessionWindows.with_gap(gap).assign_windows("x", 7, context) == [TimeWindow(7, 12)]
    assert ProcessingTimeSessionWindows.with_gap(gap).assign_windows("x", 7, context) == [TimeWindow(100, 105)]
    for make in (EventTimeSessionWindows, DynamicEventTimeSessionWindows):
        assert make.with_dynamic_gap(Gap()).assign_windows(3, 7, context) == [TimeWindow(7, 10)]
    for make in (ProcessingTimeSessionWindows, DynamicProcessingTimeSessionWindows):
        assert make.with_dynamic_gap(Gap()).assign_windows(3, 7, context) == [TimeWindow(100, 103)]
    with pytest.raises(Exception, match="Dynamic session time gap must satisfy 0 < gap"):
        EventTimeSessionWindows.with_dynamic_gap(Gap()).assign_windows(0, 7, context)
    assert not ProcessingTimeSessionWindows.with_gap(gap).is_event_time()


def test_windows_that_only_touch_merge():
    merges = Merges()
    windows = [TimeWindow(20, 25), TimeWindow(0, 5), TimeWindow(5, 10), TimeWindow(9, 12), TimeWindow(13, 15)]
    EventTimeSessionWindows.with_gap(Time.milliseconds(5)).merge_windows(windows, merges)
    assert merges.seen == [([TimeWindow(0, 5), TimeWindow(5, 10), TimeWindow(9, 12)], TimeWindow(0, 12))]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), max_size=12))
def test_merging_covers_every_window_and_leaves_gaps(spans):
    windows = [TimeWindow(start, start + length) for start, length in spans]
    merges = Merges()
    TimeWindow.merge_windows(windows, merges)
    merged = {part for parts, _ in merges.seen for part in parts}
    results = [result for _, result in merges.seen] + [w for w in set(windows) if w not in merged]
    for first in results:
        assert not any(first.intersects(second) for second in results if second != first)
    assert all(any(r.start <= w.start and w.end <= r.end for r in results) for w in windows)
    assert all(len(parts) > 1 for parts, _ in merges.seen)


def test_count_windows_have_ids_from_zero():
    context = AssignerContext()
    tumbling = CountTumblingWindowAssigner.of(2)
    assert [tumbling.assign_windows("x", 0, context)[0].id for _ in range(5)] == [0, 0, 1, 1, 2]
    assert (repr(tumbling), tumbling.is_event_time()) == ("CountTumblingWindowAssigner(2)", False)
    assert isinstance(tumbling.get_default_trigger(None), CountTrigger)
    assert isinstance(tumbling.get_window_serializer(), CountWindowSerializer)


@given(st.integers(1, 6), st.integers(1, 8))
def test_sliding_count_windows_are_all_that_contain_the_index(size, slide):
    context = AssignerContext()
    assigner = CountSlidingWindowAssigner.of(size, slide)
    for index in range(20):
        ids = [window.id for window in assigner.assign_windows("x", 0, context)]
        assert ids == [each for each in range(index, -1, -1) if each * slide <= index < each * slide + size]


def test_the_global_window():
    assigner = GlobalWindows.create()
    assert assigner.assign_windows("x", 0, AssignerContext()) == [GlobalWindow()]
    assert isinstance(assigner.get_default_trigger(None), NeverTrigger)
    assert isinstance(assigner.get_window_serializer(), GlobalWindowSerializer)
    assert (repr(assigner), assigner.is_event_time()) == ("GlobalWindows()", False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TumblingEventTimeWindows(5, 5),
            r"TumblingEventTimeWindows .* must satisfy abs\(offset\) < size",
        ),
        (lambda: TumblingProcessingTimeWindows(5, -5), r"abs\(offset\) < size"),
        (lambda: SlidingEventTimeWindows(5, 2, 2), r"abs\(offset\) < slide and size > 0"),
        (lambda: SlidingProcessingTimeWindows(0, 2, 0), r"abs\(offset\) < slide and size > 0"),
        (lambda: EventTimeSessionWindows(0), "0 < "),
        (lambda: ProcessingTimeSessionWindows(-1), "0 < "),
    ],
)
def test_sizes_that_cannot_be(make, message):
    with pytest.raises(Exception, match=message):
        make()


@pytest.mark.parametrize(
    "assigner",
    [TumblingEventTimeWindows(5, 0), SlidingEventTimeWindows(5, 2, 0), EventTimeSessionWindows(5)],
)
def test_event_time_windows_need_timestamps(assigner):
    with pytest.raises(Exception, match=r"Record has Java Long\.MIN_VALUE timestamp .* did you forget to call"):
        assigner.assign_windows("x", MIN_LONG_VALUE, AssignerContext())


# -- triggers ------------------------------------------------------------------------------------


def test_results():
    assert [(r.is_fire(), r.is_purge()) for r in (CONTINUE, FIRE, PURGE, FIRE_AND_PURGE)] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]


def test_event_time_trigger():
    trigger, ctx = EventTimeTrigger.create(), Context(watermark=5)
    assert trigger.on_element("x", 1, WINDOW, ctx) is CONTINUE
    assert ctx.event_timers == {9}
    assert trigger.on_event_time(9, WINDOW, ctx) is FIRE
    assert trigger.on_event_time(8, WINDOW, ctx) is CONTINUE
    assert trigger.on_processing_time(9, WINDOW, ctx) is CONTINUE
    trigger.clear(WINDOW, ctx)
    assert ctx.event_timers == set()
    ctx.watermark = 9
    assert trigger.on_element("late", 1, WINDOW, ctx) is FIRE
    trigger.on_merge(WINDOW, ctx)
    assert ctx.event_timers == set()
    trigger.on_merge(TimeWindow(0, 11), ctx)
    assert ctx.event_timers == {10}
    assert trigger.can_merge()


def test_processing_time_trigger():
    trigger, ctx = ProcessingTimeTrigger.create(), Context(now=3)
    assert trigger.on_element("x", 1, WINDOW, ctx) is CONTINUE
    assert ctx.processing_timers == {9}
    assert trigger.on_processing_time(9, WINDOW, ctx) is FIRE
    assert trigger.on_event_time(9, WINDOW, ctx) is CONTINUE
    trigger.clear(WINDOW, ctx)
    trigger.on_merge(TimeWindow(0, 20), ctx)
    assert ctx.processing_timers == {19}
    ctx.now = 30
    trigger.on_merge(TimeWindow(0, 25), ctx)
    assert ctx.processing_timers == {19}
    assert trigger.can_merge()


def test_count_trigger_starts_anew_after_firing():
    trigger, ctx = CountTrigger.of(2), Context()
    ctx.window = WINDOW
    assert [trigger.on_element("x", 0, WINDOW, ctx) for _ in range(5)] == [CONTINUE, FIRE, CONTINUE, FIRE, CONTINUE]
    assert trigger.on_event_time(0, WINDOW, ctx) is trigger.on_processing_time(0, WINDOW, ctx) is CONTINUE
    other = TimeWindow(5, 15)
    ctx.window = other
    assert trigger.on_element("x", 0, other, ctx) is CONTINUE
    merged = TimeWindow(0, 15)
    ctx.window, ctx.merged = merged, (WINDOW, other)
    trigger.on_merge(merged, ctx)
    assert ctx.states["count", merged].get() == 2
    trigger.clear(merged, ctx)
    assert ctx.states["count", merged].get() is None
    assert trigger.can_merge()


def test_continuous_event_time_trigger():
    trigger, ctx = ContinuousEventTimeTrigger.of(Time.milliseconds(4)), Context()
    ctx.window = WINDOW
    assert trigger.on_element("x", 5, WINDOW, ctx) is CONTINUE
    assert ctx.event_timers == {9, 8}
    assert trigger.on_element("x", 1, WINDOW, ctx) is CONTINUE
    assert ctx.event_timers == {9, 8}
    assert trigger.on_event_time(8, WINDOW, ctx) is FIRE
    assert ctx.states["fire-time", WINDOW].get() == 9
    assert trigger.on_event_time(7, WINDOW, ctx) is CONTINUE
    assert trigger.on_event_time(9, WINDOW, ctx) is FIRE
    assert trigger.on_processing_time(9, WINDOW, ctx) is CONTINUE
    ctx.watermark = 9
    assert trigger.on_element("late", 1, WINDOW, ctx) is FIRE


def test_continuous_triggers_merge_to_the_earliest_time_and_clear():
    for trigger, timers in (
        (ContinuousEventTimeTrigger.of(Time.milliseconds(4)), "event_timers"),
        (ContinuousProcessingTimeTrigger.of(Time.milliseconds(4)), "processing_timers"),
    ):
        ctx = Context(now=5)
        other, merged = TimeWindow(20, 40), TimeWindow(0, 40)
        for window, time in ((WINDOW, 5), (other, 21)):
            ctx.window, ctx.now = window, time
            trigger.on_element("x", time, window, ctx)
        getattr(ctx, timers).clear()
        ctx.window, ctx.merged = merged, (WINDOW, other)
        trigger.on_merge(merged, ctx)
        assert getattr(ctx, timers) == {8}
        trigger.clear(merged, ctx)
        assert getattr(ctx, timers) == set()
        trigger.clear(merged, ctx)
        trigger.on_merge(merged, ctx)
        assert getattr(ctx, timers) == set()
        assert trigger.can_merge()


def test_continuous_processing_time_trigger():
    trigger, ctx = ContinuousProcessingTimeTrigger.of(Time.milliseconds(4)), Context(now=5)
    window = TimeWindow(0, 100)
    ctx.window = window
    assert trigger.on_element("x", 50, window, ctx) is CONTINUE
    assert ctx.processing_timers == {8}
    assert trigger.on_processing_time(7, window, ctx) is CONTINUE
    assert trigger.on_processing_time(8, window, ctx) is FIRE
    assert ctx.processing_timers == {8, 12}
    assert trigger.on_event_time(8, window, ctx) is CONTINUE


def test_purging_trigger_purges_whenever_the_other_fires():
    trigger, ctx = PurgingTrigger.of(CountTrigger.of(2)), Context()
    assert [trigger.on_element("x", 0, WINDOW, ctx) for _ in range(2)] == [CONTINUE, FIRE_AND_PURGE]
    timed = PurgingTrigger.of(EventTimeTrigger())
    assert timed.on_event_time(9, WINDOW, ctx) is FIRE_AND_PURGE
    assert timed.on_processing_time(9, WINDOW, ctx) is CONTINUE
    timed.on_element("x", 0, WINDOW, ctx)
    timed.clear(WINDOW, ctx)
    timed.on_merge(WINDOW, ctx)
    assert ctx.event_timers == {9}
    assert timed.can_merge()
    assert not PurgingTrigger.of(NeverTrigger()).can_merge()


def test_never_trigger():
    trigger, ctx, window = NeverTrigger(), Context(), GlobalWindow()
    assert trigger.on_element("x", 0, window, ctx) is CONTINUE
    assert trigger.on_event_time(0, window, ctx) is trigger.on_processing_time(0, window, ctx) is CONTINUE
    trigger.on_merge(window, ctx)
    trigger.clear(window, ctx)
    assert not trigger.can_merge()


def test_intervals_are_positive():
    for make in (ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger):
        with pytest.raises(ValueError, match="positive"):
            make(0)

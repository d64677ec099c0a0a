"""Triggers, window_all, and user-defined window assigners."""

import time

from pyflink.common import Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    AggregateFunction,
    OutputTag,
    ProcessWindowFunction,
    TimeWindow,
    Trigger,
    TriggerResult,
    WindowAssigner,
)
from pyflink.datastream.functions import AllWindowFunction, ProcessAllWindowFunction
from pyflink.datastream.state import ReducingStateDescriptor, ValueStateDescriptor
from pyflink.datastream.window import (
    ContinuousEventTimeTrigger,
    CountTrigger,
    CountWindow,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindow,
    GlobalWindows,
    MergingWindowAssigner,
    NeverTrigger,
    ProcessingTimeTrigger,
    PurgingTrigger,
    SlidingEventTimeWindows,
    TimeWindowSerializer,
    TumblingEventTimeWindows,
)
from semantics_case import case

ONE_AT_A_TIME = {"python.fn-execution.bundle.size": "1"}
OFTEN = {"pipeline.auto-watermark-interval": "20 ms"}


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


def timed(stream):
    return stream.assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    )


def keyed(env, values):
    return timed(env.from_collection(values)).key_by(lambda v: v[0])


class Contents(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield key, context.window().start, context.window().end, [value[1] for value in elements]


VALUES = [("a", 1), ("b", 4), ("a", 2), ("a", 12), ("b", 9), ("a", 3)]


def tumbling(env, trigger, values=VALUES):
    return keyed(env, values).window(TumblingEventTimeWindows.of(Time.milliseconds(10))).trigger(trigger)


@case(order="per_key")
def count_trigger_on_time_windows_leaves_the_rest(env):
    return tumbling(env, CountTrigger.of(2)).process(Contents())


@case(order="per_key")
def purging_count_trigger_on_time_windows(env):
    return tumbling(env, PurgingTrigger.of(CountTrigger.of(2))).process(Contents())


@case(order="per_key")
def event_time_trigger_is_the_default(env):
    return tumbling(env, EventTimeTrigger.create()).process(Contents())


@case()
def never_trigger_on_time_windows(env):
    return tumbling(env, NeverTrigger()).process(Contents())


@case(order="per_key")
def continuous_event_time_trigger_at_the_end(env):
    return tumbling(env, ContinuousEventTimeTrigger.of(Time.milliseconds(4))).process(Contents())


@case(config=OFTEN, flink_config=ONE_AT_A_TIME)
def continuous_event_time_trigger_between_elements(env):
    def wait(value):
        time.sleep(0.3)
        return value

    values = [("a", 1), ("a", 5), ("a", 8), ("a", 12), ("a", 25)]
    stream = timed(env.from_collection(values).map(wait).disable_chaining()).key_by(lambda v: v[0])
    windowed = stream.window(TumblingEventTimeWindows.of(Time.milliseconds(10)))
    return windowed.trigger(ContinuousEventTimeTrigger.of(Time.milliseconds(4))).process(Contents())


class EverySecond(Trigger):
    """Fires at every second element and at the window's end; keeps its count in state."""

    def on_element(self, element, timestamp, window, ctx):
        ctx.register_event_time_timer(window.max_timestamp())
        count = ctx.get_partitioned_state(ReducingStateDescriptor("count", lambda a, b: a + b, Types.INT()))
        count.add(1)
        return TriggerResult.FIRE if count.get() % 2 == 0 else TriggerResult.CONTINUE

    def on_processing_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_event_time(self, time, window, ctx):
        return TriggerResult.FIRE_AND_PURGE if time == window.max_timestamp() else TriggerResult.CONTINUE

    def can_merge(self):
        return True

    def on_merge(self, window, ctx):
        ctx.merge_partitioned_state(ReducingStateDescriptor("count", lambda a, b: a + b, Types.INT()))
        ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window, ctx):
        ctx.delete_event_time_timer(window.max_timestamp())
        ctx.get_partitioned_state(ReducingStateDescriptor("count", lambda a, b: a + b, Types.INT())).clear()


@case(order="per_key")
def a_trigger_of_ones_own(env):
    return tumbling(env, EverySecond()).process(Contents())


@case(
    order="per_key",
    better=["('a', 0, 13, [0, 8, 4])", "('a', 50, 55, [50])", "('b', 1, 6, [1])"],
    why="the reducing state of merged windows loses counts in PyFlink, so that its third element fires like a second",
)
def a_trigger_of_ones_own_on_sessions_merges(env):
    values = [("a", 0), ("a", 8), ("a", 4), ("b", 1), ("a", 50)]
    windowed = keyed(env, values).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5)))
    return windowed.trigger(EverySecond()).process(Contents())


@case(order="per_key")
def count_trigger_on_sessions(env):
    values = [("a", 0), ("a", 8), ("a", 4), ("b", 1), ("a", 50)]
    windowed = keyed(env, values).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5)))
    return windowed.trigger(CountTrigger.of(2)).process(Contents())


class Purging(EverySecond):
    def on_element(self, element, timestamp, window, ctx):
        ctx.register_event_time_timer(window.max_timestamp())
        return TriggerResult.PURGE if element[1] == 2 else TriggerResult.CONTINUE

    def clear(self, window, ctx):
        pass


@case(order="per_key")
def purge_drops_contents_and_keeps_the_timer(env):
    return tumbling(env, Purging()).process(Contents())


class Alone(Trigger):
    def on_element(self, element, timestamp, window, ctx):
        return TriggerResult.FIRE

    def on_processing_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_event_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_merge(self, window, ctx):
        pass

    def clear(self, window, ctx):
        pass


@case(error=".")
def window_all_refuses_a_trigger_that_cannot_merge(env):
    class Cannot(Alone):
        def can_merge(self):
            return False

    stream = timed(env.from_collection(VALUES))
    return (
        stream.window_all(EventTimeSessionWindows.with_gap(Time.milliseconds(5)))
        .trigger(Cannot())
        .reduce(lambda a, b: a)
    )


@case()
def trigger_results(env):
    return [(str(each), each.is_fire(), each.is_purge()) for each in TriggerResult]


class AllContents(ProcessAllWindowFunction):
    def process(self, context, elements):
        yield context.window().start, context.window().end, [value[1] for value in elements]


@case(order="any")
def window_all_process(env):
    stream = timed(env.from_collection(VALUES))
    return stream.window_all(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(AllContents())


@case(order="any")
def window_all_apply(env):
    class Count(AllWindowFunction):
        def apply(self, window, inputs):
            return [(window.start, len(list(inputs)))]

    stream = timed(env.from_collection(VALUES))
    return stream.window_all(SlidingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(5))).apply(Count())


class Total(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + value[1]

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b


@case(order="any")
def window_all_reduce_and_aggregate(env):
    stream = timed(env.from_collection(VALUES))
    windowed = stream.window_all(EventTimeSessionWindows.with_gap(Time.milliseconds(3)))
    sums = windowed.reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]))
    totals = stream.window_all(TumblingEventTimeWindows.of(Time.milliseconds(5))).aggregate(Total())
    return sums.map(str).union(totals.map(str))


@case(order="any")
def window_all_aggregate_with_window_function(env):
    class Wrapping(ProcessAllWindowFunction):
        def process(self, context, elements):
            yield context.window().end, list(elements)

    stream = timed(env.from_collection(VALUES))
    windowed = stream.window_all(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.aggregate(Total(), window_function=Wrapping())


@case(order="any", parallelism=2)
def window_all_sees_everything_at_parallelism_two(env):
    stream = timed(env.from_collection([("x", number) for number in range(20)]))
    return stream.window_all(TumblingEventTimeWindows.of(Time.milliseconds(10))).aggregate(Total())


@case(order="any", config=OFTEN, flink_config=ONE_AT_A_TIME)
def window_all_late_side_output(env):
    def wait(value):
        time.sleep(0.3)
        return value

    tag = OutputTag("late")
    stream = timed(env.from_collection([("a", 1), ("a", 12), ("a", 2)]).map(wait).disable_chaining())
    main = (
        stream.window_all(TumblingEventTimeWindows.of(Time.milliseconds(5)))
        .side_output_late_data(tag)
        .process(AllContents())
    )
    return main.map(str).union(main.get_side_output(tag).map(str))


@case()
def window_all_over_counts(env):
    from pyflink.datastream.window import CountTumblingWindowAssigner

    class Values(ProcessAllWindowFunction):
        def process(self, context, elements):
            yield [value[1] for value in elements]

    return env.from_collection(VALUES).window_all(CountTumblingWindowAssigner.of(4)).process(Values())


@case(order="any")
def window_all_state(env):
    class States(ProcessAllWindowFunction):
        def process(self, context, elements):
            fired = context.global_state().get_state(ValueStateDescriptor("fired", Types.INT()))
            fired.update((fired.value() or 0) + 1)
            yield context.window().start, fired.value()

    stream = timed(env.from_collection(VALUES))
    return stream.window_all(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(States())


class Halves(WindowAssigner):
    """Windows [0, 100) for keys before "b", [100, 200) for the others."""

    def assign_windows(self, element, timestamp, context):
        start = 0 if element[0] < "b" else 100
        return [TimeWindow(start, start + 100)]

    def get_default_trigger(self, env):
        return EventTimeTrigger.create()

    def get_window_serializer(self):
        return TimeWindowSerializer()

    def is_event_time(self):
        return True


@case(order="per_key")
def an_assigner_of_ones_own(env):
    return keyed(env, VALUES).window(Halves()).process(Contents())


class ByTens(MergingWindowAssigner):
    """Windows of one element that merge when they begin in the same ten."""

    def assign_windows(self, element, timestamp, context):
        return [TimeWindow(timestamp, timestamp + 1)]

    def get_default_trigger(self, env):
        return EventTimeTrigger.create()

    def get_window_serializer(self):
        return TimeWindowSerializer()

    def is_event_time(self):
        return True

    def merge_windows(self, windows, callback):
        tens = {}
        for window in windows:
            tens.setdefault(window.start // 10, []).append(window)
        for each in tens.values():
            if len(each) > 1:
                callback.merge(each, TimeWindow(min(w.start for w in each), max(w.end for w in each)))


@case(order="per_key")
def a_merging_assigner_of_ones_own(env):
    return keyed(env, VALUES).window(ByTens()).process(Contents())


@case()
def window_values(env):
    window, other = TimeWindow(0, 10), TimeWindow(5, 15)
    return [
        window.start,
        window.end,
        window.max_timestamp(),
        repr(window),
        window.intersects(other),
        window.intersects(TimeWindow(10, 20)),
        window.intersects(TimeWindow(11, 20)),
        window.cover(other),
        window == TimeWindow(0, 10),
        window != other,
        window < other,
        hash(window) == hash(TimeWindow(0, 10)),
        sorted([other, window])[0] == window,
        CountWindow(3).max_timestamp(),
        CountWindow(3) == CountWindow(3),
        CountWindow(3) == CountWindow(4),
        GlobalWindow().max_timestamp(),
        GlobalWindow() == GlobalWindow(),
        CountWindow(3).id,
    ]


@case()
def processing_time_trigger_on_global_windows_never_ends(env):
    windowed = env.from_collection(VALUES).key_by(lambda v: v[0]).window(GlobalWindows.create())
    return windowed.trigger(ProcessingTimeTrigger.create()).process(Contents())


@case(order="per_key")
def trigger_context_shows_times(env):
    class Looking(EverySecond):
        def on_element(self, element, timestamp, window, ctx):
            ctx.register_event_time_timer(window.max_timestamp())
            assert ctx.get_current_watermark() == -9223372036854775808
            assert abs(ctx.get_current_processing_time() - time.time() * 1000) < 60_000
            assert timestamp == element[1]
            assert ctx.get_metric_group() is not None
            return TriggerResult.CONTINUE

        def clear(self, window, ctx):
            pass

    return tumbling(env, Looking()).process(Contents())

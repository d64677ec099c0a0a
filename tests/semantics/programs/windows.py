"""Keyed windows: assigners, functions, lateness, merging."""

import time

from pyflink.common import Row, Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    AggregateFunction,
    OutputTag,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    WindowFunction,
)
from pyflink.datastream.state import ReducingStateDescriptor, ValueStateDescriptor
from pyflink.datastream.window import (
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    GlobalWindows,
    ProcessingTimeSessionWindows,
    PurgingTrigger,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
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


def keyed(env, values, type_info=None):
    return timed(env.from_collection(values, type_info)).key_by(lambda v: v[0])


def slowly(env, values, seconds=0.3):
    def wait(value):
        time.sleep(seconds)
        return value

    return timed(env.from_collection(values).map(wait).disable_chaining())


class Contents(ProcessWindowFunction):
    def process(self, key, context, elements):
        window = context.window()
        yield key, window.start, window.end, [value[1] for value in elements]


class Stamps(ProcessFunction):
    def process_element(self, value, ctx):
        yield value, ctx.timestamp()


VALUES = [("a", 1), ("b", 4), ("a", 5), ("a", 12), ("b", 9), ("a", 3)]


@case(order="per_key")
def tumbling(env):
    return keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(Contents())


@case(order="per_key")
def tumbling_with_offset(env):
    assigner = TumblingEventTimeWindows.of(Time.milliseconds(5), Time.milliseconds(2))
    return keyed(env, VALUES).window(assigner).process(Contents())


@case(order="per_key")
def tumbling_with_negative_offset(env):
    assigner = TumblingEventTimeWindows.of(Time.milliseconds(5), Time.milliseconds(-2))
    return keyed(env, VALUES).window(assigner).process(Contents())


@case(order="per_key")
def tumbling_with_negative_timestamps(env):
    values = [("a", -1), ("a", -5), ("a", -6), ("a", 0), ("a", 4)]
    return keyed(env, values).window(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(Contents())


@case(order="per_key")
def sliding(env):
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(6), Time.milliseconds(2))
    return keyed(env, VALUES).window(assigner).process(Contents())


@case(order="per_key")
def sliding_with_offset_and_negative_timestamps(env):
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(5), Time.milliseconds(2), Time.milliseconds(1))
    return keyed(env, [("a", -3), ("a", 0), ("a", 7)]).window(assigner).process(Contents())


@case(order="per_key")
def sliding_with_gaps_loses_elements(env):
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(2), Time.milliseconds(5))
    return keyed(env, VALUES).window(assigner).process(Contents())


@case(order="per_key")
def session(env):
    values = [("a", 1), ("a", 3), ("a", 10), ("b", 2), ("a", 14), ("a", 25)]
    return keyed(env, values).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5))).process(Contents())


@case(order="per_key")
def session_that_only_touch_merge(env):
    values = [("a", 0), ("a", 5), ("b", 0), ("b", 6)]
    return keyed(env, values).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5))).process(Contents())


@case(order="per_key")
def session_bridged_by_a_later_element(env):
    values = [("a", 0), ("a", 8), ("a", 4)]
    return keyed(env, values).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5))).process(Contents())


@case(order="per_key")
def session_with_dynamic_gap(env):
    class Gap(SessionWindowTimeGapExtractor):
        def extract(self, element):
            return element[2]

    values = [("a", 0, 3), ("a", 2, 20), ("a", 15, 1), ("a", 40, 5)]
    return keyed(env, values).window(EventTimeSessionWindows.with_dynamic_gap(Gap())).process(Contents())


@case(error="gap")
def session_gap_must_be_positive(env):
    class Gap(SessionWindowTimeGapExtractor):
        def extract(self, element):
            return 0

    return keyed(env, [("a", 0)]).window(EventTimeSessionWindows.with_dynamic_gap(Gap())).process(Contents())


@case(order="per_key")
def reduce_of_a_window(env):
    windowed = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.reduce(lambda left, right: (left[0], left[1] + right[1]))


@case(order="per_key")
def reduce_with_window_function(env):
    class Adding(ReduceFunction):
        def reduce(self, value1, value2):
            return value1[0], value1[1] + value2[1]

    class Wrapping(ProcessWindowFunction):
        def process(self, key, context, elements):
            return [(key, context.window().start, list(elements))]

    windowed = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.reduce(Adding(), window_function=Wrapping())


@case(order="per_key")
def reduce_with_plain_window_function(env):
    class Wrapping(WindowFunction):
        def apply(self, key, window, inputs):
            return [(key, window.end, list(inputs))]

    windowed = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.reduce(lambda left, right: (left[0], left[1] + right[1]), window_function=Wrapping())


class Average(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + value[1], accumulator[1] + 1

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1], accumulator[1]

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


@case(order="any")
def aggregate_of_a_window(env):
    return keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5))).aggregate(Average())


@case(order="per_key")
def aggregate_with_window_function_and_types(env):
    class Wrapping(ProcessWindowFunction):
        def process(self, key, context, elements):
            for each in elements:
                yield key, context.window().start, each[0]

    windowed = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.aggregate(
        Average(),
        window_function=Wrapping(),
        accumulator_type=Types.TUPLE([Types.LONG(), Types.LONG()]),
        output_type=Types.TUPLE([Types.STRING(), Types.LONG(), Types.FLOAT()]),
    )


@case(
    order="any",
    better=["(1.0, 1)", "(4.0, 3)", "(50.0, 1)"],
    why="PyFlink's reducing and aggregating state loses elements when session windows merge",
)
def merging_sessions_merge_aggregates(env):
    values = [("a", 0), ("a", 8), ("a", 4), ("b", 1), ("a", 50)]
    return keyed(env, values).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5))).aggregate(Average())


@case(
    order="per_key",
    better=["('a', 12)", "('a', 50)", "('b', 1)"],
    why="PyFlink's reducing and aggregating state loses elements when session windows merge",
)
def merging_sessions_merge_reductions(env):
    values = [("a", 0), ("a", 8), ("a", 4), ("b", 1), ("a", 50)]
    windowed = keyed(env, values).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5)))
    return windowed.reduce(lambda left, right: (left[0], left[1] + right[1]))


@case(order="per_key")
def apply_of_a_window(env):
    class Count(WindowFunction):
        def apply(self, key, window, inputs):
            return [(key, window.start, len(list(inputs)))]

    windowed = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.apply(Count(), Types.TUPLE([Types.STRING(), Types.LONG(), Types.INT()]))


@case(order="per_key")
def results_carry_the_windows_max_timestamp(env):
    windowed = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.process(Contents()).process(Stamps()).map(lambda v: (v[0][0], v[0][1], v[1]))


@case(order="per_key")
def windows_of_windows(env):
    first = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    sums = first.reduce(lambda left, right: (left[0], left[1] + right[1]))
    second = sums.key_by(lambda v: v[0]).window(TumblingEventTimeWindows.of(Time.milliseconds(10)))
    return second.process(Contents())


@case(error="Record has Java Long.MIN_VALUE timestamp")
def event_time_windows_need_timestamps(env):
    stream = env.from_collection([("a", 1)]).key_by(lambda v: v[0])
    return stream.window(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(Contents())


class CountContents(WindowFunction):
    def apply(self, key, window, inputs):
        return [(key, [value[1] for value in inputs])]


@case(order="per_key")
def count_window_emits_complete_windows_only(env):
    return env.from_collection(VALUES).key_by(lambda v: v[0]).count_window(2).apply(CountContents())


@case(order="per_key")
def sliding_count_window_emits_complete_windows_only(env):
    values = [("a", number) for number in range(5)]
    return env.from_collection(values).key_by(lambda v: v[0]).count_window(3, 1).apply(CountContents())


@case(order="per_key")
def sliding_count_window_with_slide_two(env):
    values = [("a", number) for number in range(9)]
    return env.from_collection(values).key_by(lambda v: v[0]).count_window(4, 2).apply(CountContents())


@case(order="per_key")
def count_window_assigners(env):
    values = [("a", number) for number in range(5)]
    stream = env.from_collection(values).key_by(lambda v: v[0])
    tumbling_windows = stream.window(CountTumblingWindowAssigner.of(2)).apply(CountContents())
    sliding_windows = stream.window(CountSlidingWindowAssigner.of(2, 1)).apply(CountContents())
    return tumbling_windows.map(lambda v: ("t", *v)).union(sliding_windows.map(lambda v: ("s", *v)))


@case(order="any")
def count_window_reduce(env):
    return env.from_collection([1, 2, 3, 4, 5]).key_by(lambda v: 0).count_window(2).reduce(lambda a, b: a + b)


@case(order="any")
def count_window_aggregate(env):
    return env.from_collection(VALUES).key_by(lambda v: v[0]).count_window(3).aggregate(Average())


class KeyAndValues(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield key, repr(context.window()), [value[1] for value in elements]


@case()
def global_windows_alone_never_fire(env):
    return env.from_collection(VALUES).key_by(lambda v: v[0]).window(GlobalWindows.create()).process(KeyAndValues())


@case(order="per_key")
def global_windows_with_count_trigger_keep_elements(env):
    class Values(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield key, [value[1] for value in elements]

    windowed = env.from_collection(VALUES).key_by(lambda v: v[0]).window(GlobalWindows.create())
    return windowed.trigger(CountTrigger.of(2)).process(Values())


@case(order="per_key")
def global_windows_with_purging_trigger(env):
    class Values(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield key, [value[1] for value in elements]

    windowed = env.from_collection(VALUES).key_by(lambda v: v[0]).window(GlobalWindows.create())
    return windowed.trigger(PurgingTrigger.of(CountTrigger.of(2))).process(Values())


@case(config=OFTEN, flink_config=ONE_AT_A_TIME)
def late_elements_are_dropped(env):
    stream = slowly(env, [("a", 1), ("a", 12), ("a", 2), ("a", 13)]).key_by(lambda v: v[0])
    return stream.window(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(Contents())


@case(config=OFTEN, flink_config=ONE_AT_A_TIME)
def late_but_allowed_elements_fire_again(env):
    stream = slowly(env, [("a", 1), ("a", 6), ("a", 2), ("a", 30), ("a", 3)]).key_by(lambda v: v[0])
    windowed = stream.window(TumblingEventTimeWindows.of(Time.milliseconds(5))).allowed_lateness(10)
    return windowed.process(Contents())


@case(order="any", config=OFTEN, flink_config=ONE_AT_A_TIME)
def late_elements_go_to_their_side_output(env):
    tag = OutputTag("late", Types.TUPLE([Types.STRING(), Types.INT()]))
    stream = slowly(env, [("a", 1), ("a", 12), ("a", 2), ("a", 9), ("a", 13)]).key_by(lambda v: v[0])
    windowed = stream.window(TumblingEventTimeWindows.of(Time.milliseconds(5))).side_output_late_data(tag)
    main = windowed.process(Contents())
    late = main.get_side_output(tag)
    return main.map(str).union(late.map(lambda v: f"late {v}"))


@case(config=OFTEN, flink_config=ONE_AT_A_TIME)
def late_for_some_sliding_windows_only(env):
    stream = slowly(env, [("a", 1), ("a", 7), ("a", 4), ("a", 20)]).key_by(lambda v: v[0])
    windowed = stream.window(SlidingEventTimeWindows.of(Time.milliseconds(6), Time.milliseconds(3)))
    return windowed.process(Contents())


@case(config=OFTEN, flink_config=ONE_AT_A_TIME)
def allowed_lateness_with_reduce(env):
    stream = slowly(env, [("a", 1), ("a", 6), ("a", 2), ("a", 30), ("a", 3)]).key_by(lambda v: v[0])
    windowed = stream.window(TumblingEventTimeWindows.of(Time.milliseconds(5))).allowed_lateness(10)
    return windowed.reduce(lambda left, right: (left[0], left[1] + right[1]))


@case(config=OFTEN, flink_config=ONE_AT_A_TIME)
def sessions_fire_between_elements(env):
    stream = slowly(env, [("a", 1), ("a", 3), ("a", 20), ("a", 2), ("a", 40)]).key_by(lambda v: v[0])
    return stream.window(EventTimeSessionWindows.with_gap(Time.milliseconds(5))).process(Contents())


@case(config=OFTEN, flink_config=ONE_AT_A_TIME)
def a_late_element_within_lateness_joins_a_fired_session(env):
    stream = slowly(env, [("a", 1), ("a", 10), ("a", 4), ("a", 60)]).key_by(lambda v: v[0])
    windowed = stream.window(EventTimeSessionWindows.with_gap(Time.milliseconds(5))).allowed_lateness(20)
    return windowed.process(Contents())


@case()
def processing_time_windows_that_outlive_the_input_give_nothing(env):
    stream = env.from_collection(VALUES).key_by(lambda v: v[0])
    return stream.window(TumblingProcessingTimeWindows.of(Time.days(1))).process(Contents())


@case(flink_config=ONE_AT_A_TIME)
def processing_time_windows_fire_by_the_clock(env):
    def wait(value):
        time.sleep(0.05)
        return value

    class Values(ProcessWindowFunction):
        def process(self, key, context, elements):
            window = context.window()
            yield window.end - window.start, len(list(elements)) > 0

    stream = env.from_collection([("a", number) for number in range(20)]).map(wait).disable_chaining()
    windowed = stream.key_by(lambda v: v[0]).window(TumblingProcessingTimeWindows.of(Time.milliseconds(100)))
    with windowed.process(Values()).execute_and_collect() as results:
        return [sorted(set(results))]


@case(flink_config=ONE_AT_A_TIME)
def processing_time_sessions_and_sliding_windows_run(env):
    def wait(value):
        time.sleep(0.01 if value[1] < 3 else 0.4)
        return value

    class Values(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield [value[1] for value in elements]

    stream = env.from_collection([("a", number) for number in range(5)]).map(wait).disable_chaining()
    sessions = stream.key_by(lambda v: v[0]).window(ProcessingTimeSessionWindows.with_gap(Time.milliseconds(150)))
    with sessions.process(Values()).execute_and_collect() as results:
        first = list(results)[:1]
    slides = SlidingProcessingTimeWindows.of(Time.milliseconds(200), Time.milliseconds(100))
    with stream.key_by(lambda v: v[0]).window(slides).process(Values()).execute_and_collect() as results:
        return [first, all(list(results))]


@case(order="per_key")
def window_state_is_per_window_and_global_state_per_key(env):
    class States(ProcessWindowFunction):
        def process(self, key, context, elements):
            descriptor = ValueStateDescriptor("fired", Types.INT())
            inside = context.window_state().get_state(descriptor)
            across = context.global_state().get_state(ValueStateDescriptor("overall", Types.INT()))
            inside.update((inside.value() or 0) + 1)
            across.update((across.value() or 0) + 1)
            yield key, context.window().start, inside.value(), across.value()

    windowed = keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.process(States())


@case(order="per_key")
def clear_runs_when_a_window_is_dropped(env):
    class Clearing(ProcessWindowFunction):
        def open(self, runtime_context):
            self.cleared = []

        def process(self, key, context, elements):
            yield key, context.window().start, list(self.cleared)

        def clear(self, context):
            self.cleared.append(context.window().start)

    windowed = keyed(env, [("a", 1), ("a", 6), ("a", 11)]).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.process(Clearing())


@case(error="Per-window state is not allowed when using merging windows")
def window_state_is_refused_for_sessions(env):
    class States(ProcessWindowFunction):
        def process(self, key, context, elements):
            context.window_state().get_state(ValueStateDescriptor("fired", Types.INT()))
            yield key

    return keyed(env, VALUES).window(EventTimeSessionWindows.with_gap(Time.milliseconds(5))).process(States())


@case(order="per_key")
def context_shows_times(env):
    class Times(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield (
                key,
                context.current_watermark() == 9223372036854775807,
                abs(context.current_processing_time() - time.time() * 1000) < 60_000,
                context.window().max_timestamp(),
            )

    return keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(Times())


@case(order="per_key")
def runtime_state_in_a_window_function(env):
    class Reducing(ProcessWindowFunction):
        def open(self, runtime_context):
            self.total = runtime_context.get_reducing_state(
                ReducingStateDescriptor("total", lambda a, b: a + b, Types.INT())
            )

        def process(self, key, context, elements):
            for value in elements:
                self.total.add(value[1])
            yield key, context.window().start, self.total.get()

    return keyed(env, VALUES).window(TumblingEventTimeWindows.of(Time.milliseconds(5))).process(Reducing())


@case(order="per_key")
def typed_rows_through_a_window(env):
    row_type = Types.ROW_NAMED(["k", "t"], [Types.STRING(), Types.LONG()])

    class Rows(ProcessWindowFunction):
        def process(self, key, context, elements):
            for row in elements:
                yield Row(row.k, row.t * 10)

    windowed = keyed(env, [Row(*pair) for pair in VALUES], row_type).window(
        TumblingEventTimeWindows.of(Time.milliseconds(5))
    )
    return windowed.process(Rows(), row_type)


@case()
def types_of_windowed_results(env):
    pair = Types.TUPLE([Types.STRING(), Types.INT()])
    windowed = keyed(env, VALUES, pair).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return [
        str(windowed.get_input_type()),
        str(windowed.reduce(lambda a, b: a).get_type()),
        str(windowed.aggregate(Average()).get_type()),
        str(windowed.process(Contents()).get_type()),
        str(windowed.process(Contents(), pair).get_type()),
        windowed.process(Contents()).get_name(),
        windowed.reduce(lambda a, b: a).get_name(),
    ]


@case()
def assigner_constraints(env):
    outcomes = []
    for build in (
        lambda: TumblingEventTimeWindows.of(Time.milliseconds(5), Time.milliseconds(5)),
        lambda: TumblingProcessingTimeWindows.of(Time.milliseconds(5), Time.milliseconds(-6)),
        lambda: SlidingEventTimeWindows.of(Time.milliseconds(5), Time.milliseconds(2), Time.milliseconds(2)),
        lambda: SlidingEventTimeWindows.of(Time.milliseconds(0), Time.milliseconds(2)),
        lambda: SlidingProcessingTimeWindows.of(Time.milliseconds(5), Time.milliseconds(2), Time.milliseconds(-3)),
        lambda: EventTimeSessionWindows.with_gap(Time.milliseconds(0)),
        lambda: ProcessingTimeSessionWindows.with_gap(Time.milliseconds(-1)),
    ):
        try:
            build()
        except Exception as error:
            outcomes.append((type(error).__name__, str(error).partition(",")[0]))
        else:
            outcomes.append("accepted")
    return outcomes


@case(order="any", parallelism=2)
def windows_at_parallelism_two(env):
    values = [(f"k{number % 4}", number) for number in range(40)]
    windowed = keyed(env, values).window(TumblingEventTimeWindows.of(Time.milliseconds(10)))
    return windowed.reduce(lambda left, right: (left[0], left[1] + right[1]))

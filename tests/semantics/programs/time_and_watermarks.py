"""Timestamps, watermark strategies, and the value classes of time."""

import time

from pyflink.common import Duration, Instant, Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import KeyedProcessFunction, ProcessFunction
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from semantics_case import case


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class Stamps(ProcessFunction):
    def process_element(self, value, ctx):
        yield value, ctx.timestamp()


def slowly(seconds):
    def wait(value):
        time.sleep(seconds)
        return value

    return wait


@case()
def the_assigner_sees_min_long_first(env):
    class Seeing(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return record_timestamp + 1 if record_timestamp == -9223372036854775808 else -1

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Seeing())
    return env.from_collection([1]).assign_timestamps_and_watermarks(strategy).process(Stamps())


@case()
def a_second_strategy_replaces_timestamps_and_sees_the_first(env):
    class Plus(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return record_timestamp + 1000

    first = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    second = WatermarkStrategy.no_watermarks().with_timestamp_assigner(Plus())
    stream = env.from_collection([("a", 1), ("b", 2)]).assign_timestamps_and_watermarks(first)
    return stream.assign_timestamps_and_watermarks(second).process(Stamps())


@case()
def a_strategy_without_assigner_keeps_timestamps(env):
    stream = env.from_collection([("a", 1)]).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    )
    return stream.assign_timestamps_and_watermarks(WatermarkStrategy.for_monotonous_timestamps()).process(Stamps())


@case()
def idleness_before_the_assigner(env):
    strategy = (
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
        .with_idleness(Duration.of_seconds(5))
        .with_timestamp_assigner(Second())
    )
    return env.from_collection([("a", 7)]).assign_timestamps_and_watermarks(strategy).process(Stamps())


@case(
    better=["(('a', 7), 7)"],
    why="with_idleness after with_timestamp_assigner loses the assigner in PyFlink",
)
def idleness_after_the_assigner(env):
    strategy = (
        WatermarkStrategy.for_monotonous_timestamps()
        .with_timestamp_assigner(Second())
        .with_idleness(Duration.of_seconds(5))
    )
    return env.from_collection([("a", 7)]).assign_timestamps_and_watermarks(strategy).process(Stamps())


class Marks(KeyedProcessFunction):
    def process_element(self, value, ctx):
        mark = ctx.timer_service().current_watermark()
        yield value, None if mark == -9223372036854775808 else mark


@case(
    config={"pipeline.auto-watermark-interval": "20 ms"},
    flink_config={"python.fn-execution.bundle.size": "1"},
)
def periodic_watermarks_follow_the_highest_timestamp(env):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    stream = env.from_collection([("a", 10), ("b", 5), ("c", 30), ("d", 31)]).map(slowly(0.3)).disable_chaining()
    return stream.assign_timestamps_and_watermarks(strategy).key_by(lambda v: 0).process(Marks())


@case(
    config={"pipeline.auto-watermark-interval": "20 ms"},
    flink_config={"python.fn-execution.bundle.size": "1"},
)
def bounded_out_of_orderness_subtracts_its_bound(env):
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(4)).with_timestamp_assigner(Second())
    stream = env.from_collection([("a", 10), ("b", 5), ("c", 30)]).map(slowly(0.3)).disable_chaining()
    return stream.assign_timestamps_and_watermarks(strategy).key_by(lambda v: 0).process(Marks())


@case(
    config={"pipeline.auto-watermark-interval": "20 ms"},
    flink_config={"python.fn-execution.bundle.size": "1"},
)
def no_watermarks_gives_none_before_the_end(env):
    strategy = WatermarkStrategy.no_watermarks().with_timestamp_assigner(Second())
    stream = env.from_collection([("a", 10), ("b", 5)]).map(slowly(0.2)).disable_chaining()
    return stream.assign_timestamps_and_watermarks(strategy).key_by(lambda v: 0).process(Marks())


@case(
    config={"pipeline.auto-watermark-interval": "0 ms"},
    flink_config={"python.fn-execution.bundle.size": "1"},
)
def interval_zero_switches_periodic_watermarks_off(env):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    stream = env.from_collection([("a", 10), ("b", 20)]).map(slowly(0.2)).disable_chaining()
    return stream.assign_timestamps_and_watermarks(strategy).key_by(lambda v: 0).process(Marks())


@case(
    config={"pipeline.auto-watermark-interval": "20 ms"},
    flink_config={"python.fn-execution.bundle.size": "1"},
)
def timers_fire_between_elements(env):
    class Timers(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(value[1] + 5)
            yield "element", value[1]

        def on_timer(self, timestamp, ctx):
            yield "timer", timestamp

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    stream = env.from_collection([("a", 10), ("a", 30), ("a", 50)]).map(slowly(0.3)).disable_chaining()
    return stream.assign_timestamps_and_watermarks(strategy).key_by(lambda v: v[0]).process(Timers())


@case(order="any")
def the_watermark_is_the_minimum_of_a_union(env):
    class Timers(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(value[1])

        def on_timer(self, timestamp, ctx):
            yield timestamp

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    left = env.from_collection([("a", 1), ("a", 100)]).assign_timestamps_and_watermarks(strategy)
    right = env.from_collection([("a", 50)]).assign_timestamps_and_watermarks(strategy)
    return left.union(right).key_by(lambda v: v[0]).process(Timers())


@case()
def from_source_with_a_watermark_strategy(env):
    stream = env.from_source(
        NumberSequenceSource(1, 3), WatermarkStrategy.for_monotonous_timestamps(), "numbers", Types.LONG()
    )
    with stream.execute_and_collect() as results:
        return sorted(results)


@case(error="TypeError|ValueError|NoneType|int|AttributeError")
def a_timestamp_must_be_a_number(env):
    class Wrong(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return "now"

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Wrong())
    return env.from_collection([1]).assign_timestamps_and_watermarks(strategy).process(Stamps())


@case()
def time_values(env):
    times = [Time.milliseconds(5), Time.seconds(2), Time.minutes(1), Time.hours(1), Time.days(1)]
    return [
        [each.to_milliseconds() for each in times],
        [str(each) for each in times],
        Time.seconds(1) == Time.milliseconds(1000),
        Time.seconds(1) == Time.milliseconds(1001),
    ]


@case()
def duration_values(env):
    return [
        Duration.of_seconds(1) == Duration.of_millis(1000),
        Duration.of_minutes(1) == Duration.of_seconds(60),
        Duration.of_hours(24) == Duration.of_days(1),
        Duration.of_nanos(1_000_000) == Duration.of_millis(1),
        Duration.of_seconds(1) == Duration.of_seconds(2),
    ]


@case()
def instant_values(env):
    instant = Instant.of_epoch_milli(1700000000123)
    return [
        repr(instant),
        instant.to_epoch_milli(),
        instant == Instant(1700000000, 123000000),
        repr(Instant.of_epoch_milli(-1)),
        instant == Instant(1700000000, 0),
    ]


@case()
def auto_watermark_interval_setting(env):
    config = env.get_config()
    before = config.get_auto_watermark_interval()
    config.set_auto_watermark_interval(35)
    return [before, config.get_auto_watermark_interval()]

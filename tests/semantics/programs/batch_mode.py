"""What is different in BATCH mode."""

import itertools

from pyflink.common import Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    CoMapFunction,
    KeyedProcessFunction,
    ProcessFunction,
    ProcessWindowFunction,
    RuntimeExecutionMode,
)
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.datastream.window import EventTimeSessionWindows, TumblingEventTimeWindows
from semantics_case import case

THREADS = {"python.execution-mode": "thread"}
VALUES = [("b", 9, "late"), ("a", 5, "x"), ("b", 1, "early"), ("a", 2, "y"), ("a", 7, "z")]


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


def timed(env, values=VALUES):
    return env.from_collection(values).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    )


@case(batch=True)
def stateless_operators_keep_their_order(env):
    return env.from_collection([3, 1, 2]).map(lambda v: v * 2).flat_map(lambda v: [v, v]).filter(lambda v: v != 4)


@case(batch=True, order="any")
def reduce_gives_the_final_value_only(env):
    return env.from_collection(VALUES).key_by(lambda v: v[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))


@case(batch=True, order="any")
def sum_over_one_element_keys(env):
    return env.from_collection([("a", 1), ("b", 2)]).key_by(lambda v: v[0]).sum(1)


@case(batch=True, order="any")
def sum_keeps_the_earliest_elements_fields(env):
    return timed(env).key_by(lambda v: v[0]).sum(1)


@case(batch=True, order="any")
def min_by_and_max(env):
    keyed = timed(env).key_by(lambda v: v[0])
    return keyed.min_by(1).union(keyed.max(1)).map(lambda v: v)


@case(batch=True, order="per_key")
def elements_of_a_key_come_sorted_by_time(env):
    class Seen(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield value[0], ctx.timestamp(), ctx.timer_service().current_watermark() == -9223372036854775808

    return timed(env).key_by(lambda v: v[0]).process(Seen())


@case(batch=True)
def one_key_after_the_other(env):
    class Seen(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield value[0]

    values = [(key, number, "") for number in range(3) for key in "abc"]
    with timed(env, values).key_by(lambda v: v[0]).process(Seen()).execute_and_collect() as results:
        seen = list(results)
    return sum(1 for left, right in itertools.pairwise(seen) if left != right)


@case(batch=True, order="per_key")
def timers_fire_after_the_last_element_of_their_key(env):
    class Timers(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(value[1] + 1)
            yield value[0], "element", value[1]

        def on_timer(self, timestamp, ctx):
            mark = ctx.timer_service().current_watermark()
            yield ctx.get_current_key(), "timer", timestamp, mark == 9223372036854775807

    return timed(env).key_by(lambda v: v[0]).process(Timers())


@case(batch=True, order="per_key", flink_config=THREADS)
def windows_contain_everything(env):
    class Contents(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield key, context.window().start, [value[1] for value in elements]

    windowed = timed(env).key_by(lambda v: v[0]).window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
    return windowed.process(Contents())


@case(batch=True, order="per_key", flink_config=THREADS)
def sessions_contain_everything(env):
    windowed = timed(env).key_by(lambda v: v[0]).window(EventTimeSessionWindows.with_gap(Time.milliseconds(4)))
    return windowed.reduce(lambda a, b: (a[0], a[1] + b[1]))


@case(batch=True, order="any")
def keyed_state_is_per_key(env):
    class Counting(KeyedProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

        def process_element(self, value, ctx):
            self.count.update((self.count.value() or 0) + 1)
            yield value[0], self.count.value()

    return timed(env).key_by(lambda v: v[0]).process(Counting())


@case(batch=True, order="any")
def connected_streams_in_batch(env):
    class Both(CoMapFunction):
        def map1(self, value):
            return "left", value

        def map2(self, value):
            return "right", value

    return env.from_collection([1, 2]).connect(env.from_collection([3])).map(Both())


@case(batch=True, order="any", parallelism=2)
def reduce_at_parallelism_two(env):
    return env.from_collection([(v % 4, 1) for v in range(40)]).key_by(lambda v: v[0]).sum(1)


@case(order="any")
def automatic_mode_is_batch_for_bounded_sources(env):
    env.set_runtime_mode(RuntimeExecutionMode.AUTOMATIC)
    return env.from_collection(VALUES).key_by(lambda v: v[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))


@case(order="any", config={"execution.runtime-mode": "BATCH"})
def batch_by_configuration(env):
    return env.from_collection(VALUES).key_by(lambda v: v[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))


@case(batch=True)
def timestamps_in_batch(env):
    class Stamps(ProcessFunction):
        def process_element(self, value, ctx):
            yield value[1], ctx.timestamp()

    return timed(env).process(Stamps())


@case(batch=True)
def execute_and_collect_with_limit(env):
    return [env.from_collection(list(range(10))).execute_and_collect(limit=3)]

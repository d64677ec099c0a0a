"""Process functions, timers and side outputs."""

from pyflink.common import Row, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    BroadcastProcessFunction,
    CoProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
)
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor
from semantics_case import case

MIN_LONG = -9223372036854775808
MAX_LONG = 9223372036854775807


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


def timed(env, values, type_info=None):
    return env.from_collection(values, type_info).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    )


@case()
def timestamp_without_timestamps_is_min_long(env):
    class Stamps(ProcessFunction):
        def process_element(self, value, ctx):
            yield ctx.timestamp() == MIN_LONG, ctx.timer_service().current_watermark() == MIN_LONG

    return env.from_collection([1]).process(Stamps())


@case()
def timestamps_travel_with_results(env):
    class Stamps(ProcessFunction):
        def process_element(self, value, ctx):
            yield value, ctx.timestamp()
            yield value, ctx.timestamp()

    return timed(env, [("a", 1), ("b", 2)]).flat_map(lambda v: [v, v]).filter(lambda v: True).process(Stamps())


@case()
def processing_time_is_now(env):
    class Now(ProcessFunction):
        def process_element(self, value, ctx):
            import time

            yield abs(ctx.timer_service().current_processing_time() - time.time() * 1000) < 60_000

    return env.from_collection([1]).process(Now())


@case(error="Register timers is only supported on a keyed stream")
def timers_need_a_keyed_stream(env):
    class Timers(ProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(1)

    return timed(env, [("a", 1)]).process(Timers())


class AllTimers(KeyedProcessFunction):
    """Registers the times of an element; reports each timer with what its context says."""

    def process_element(self, value, ctx):
        for time in value[2]:
            ctx.timer_service().register_event_time_timer(time)

    def on_timer(self, timestamp, ctx):
        yield (
            timestamp,
            ctx.get_current_key(),
            ctx.timestamp(),
            str(ctx.time_domain()),
            ctx.timer_service().current_watermark() == MAX_LONG,
        )


@case()
def timers_fire_in_order_at_the_end_across_keys(env):
    values = [("a", 1, [30, 10]), ("b", 2, [20, 5]), ("c", 3, [40])]
    return timed(env, values).key_by(lambda v: v[0]).process(AllTimers())


@case(order="any")
def one_key_and_time_is_one_timer(env):
    values = [("a", 1, [10, 10]), ("a", 2, [10]), ("b", 3, [10])]
    return timed(env, values).key_by(lambda v: v[0]).process(AllTimers())


@case()
def event_timers_without_timestamps_fire_at_the_end(env):
    return env.from_collection([("a", 0, [7, 3])]).key_by(lambda v: v[0]).process(AllTimers())


@case()
def timers_in_the_past_and_negative_fire(env):
    return timed(env, [("a", 100, [-5, 0, 50])]).key_by(lambda v: v[0]).process(AllTimers())


@case()
def deleted_timers_do_not_fire(env):
    class Deleting(AllTimers):
        def process_element(self, value, ctx):
            super().process_element(value, ctx)
            ctx.timer_service().delete_event_time_timer(20)
            ctx.timer_service().delete_event_time_timer(12345)

    return timed(env, [("a", 1, [10, 20, 30])]).key_by(lambda v: v[0]).process(Deleting())


@case(order="any")
def deleting_concerns_the_current_key_only(env):
    class Deleting(AllTimers):
        def process_element(self, value, ctx):
            super().process_element(value, ctx)
            if value[0] == "b":
                ctx.timer_service().delete_event_time_timer(10)

    values = [("a", 1, [10]), ("b", 2, [10])]
    return timed(env, values).key_by(lambda v: v[0]).process(Deleting())


@case()
def a_timer_may_register_the_next(env):
    class Ticking(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(10)

        def on_timer(self, timestamp, ctx):
            yield timestamp
            if timestamp < 40:
                ctx.timer_service().register_event_time_timer(timestamp + 10)

    return timed(env, [("a", 1)]).key_by(lambda v: v[0]).process(Ticking())


@case()
def results_of_timers_have_the_timers_time(env):
    class Stamps(ProcessFunction):
        def process_element(self, value, ctx):
            yield value[0], ctx.timestamp()

    return timed(env, [("a", 1, [10, 20])]).key_by(lambda v: v[0]).process(AllTimers()).process(Stamps())


@case()
def state_in_timers_is_that_of_their_key(env):
    class Counting(KeyedProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

        def process_element(self, value, ctx):
            self.count.update((self.count.value() or 0) + 1)
            ctx.timer_service().register_event_time_timer(100 if value[0] == "a" else 200)

        def on_timer(self, timestamp, ctx):
            yield ctx.get_current_key(), self.count.value()
            self.count.clear()

    values = [("a", 1), ("b", 2), ("a", 3)]
    return timed(env, values).key_by(lambda v: v[0]).process(Counting())


@case()
def watermark_is_min_long_while_a_small_collection_is_processed(env):
    class Marks(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(value[1])
            yield "element", ctx.timer_service().current_watermark()

        def on_timer(self, timestamp, ctx):
            yield "timer", ctx.timer_service().current_watermark()

    return timed(env, [("a", 1000), ("a", 2000)]).key_by(lambda v: v[0]).process(Marks())


@case()
def processing_timers_after_the_end_never_fire(env):
    class Later(KeyedProcessFunction):
        def process_element(self, value, ctx):
            service = ctx.timer_service()
            service.register_processing_time_timer(service.current_processing_time() + 60_000)
            yield "element"

        def on_timer(self, timestamp, ctx):
            yield "timer"

    return env.from_collection([1]).key_by(lambda v: v).process(Later())


@case(order="any", flink_config={"python.fn-execution.bundle.size": "1"})
def processing_timers_fire_while_elements_arrive(env):
    class Soon(KeyedProcessFunction):
        def process_element(self, value, ctx):
            service = ctx.timer_service()
            if value == 0:
                service.register_processing_time_timer(service.current_processing_time() + 1)
            yield "element"

        def on_timer(self, timestamp, ctx):
            yield "timer", str(ctx.time_domain()), ctx.get_current_key(), ctx.timestamp() == timestamp

    class Slow(MapFunction):
        def map(self, value):
            import time

            time.sleep(0.15)
            return value

    return env.from_collection(list(range(6))).map(Slow()).disable_chaining().key_by(lambda v: "k").process(Soon())


@case(order="any")
def deleted_processing_timers_do_not_fire(env):
    class Soon(KeyedProcessFunction):
        def process_element(self, value, ctx):
            service = ctx.timer_service()
            at = service.current_processing_time() + 50
            service.register_processing_time_timer(at)
            service.delete_processing_time_timer(at)
            yield "element"

        def on_timer(self, timestamp, ctx):
            yield "timer"

    class Slow(MapFunction):
        def map(self, value):
            import time

            time.sleep(0.1)
            return value

    return env.from_collection(list(range(3))).map(Slow()).disable_chaining().key_by(lambda v: "k").process(Soon())


@case(
    better=["2", "-2"],
    why="on_timer that returns None fails in PyFlink, every other process method may",
)
def on_timer_may_return_lists_and_none(env):
    class Mixed(AllTimers):
        def on_timer(self, timestamp, ctx):
            if timestamp == 1:
                return None
            return [timestamp, -timestamp]

    return timed(env, [("a", 1, [1, 2])]).key_by(lambda v: v[0]).process(Mixed())


@case(error="ValueError: in the timer")
def an_error_in_a_timer_fails_the_job(env):
    class Failing(AllTimers):
        def on_timer(self, timestamp, ctx):
            raise ValueError("in the timer")

    return timed(env, [("a", 1, [1])]).key_by(lambda v: v[0]).process(Failing())


SIDE = OutputTag("side", Types.STRING())


def both_outputs(stream):
    return stream.map(str, Types.STRING()).union(stream.get_side_output(SIDE))


OTHER = OutputTag("other")


class Splitting(ProcessFunction):
    def process_element(self, value, ctx):
        if value % 2:
            yield value
        else:
            yield SIDE, f"even {value}"
        if value > 2:
            yield OTHER, (value, ctx.timestamp())


@case()
def main_output_of_a_split(env):
    split = env.from_collection([1, 2, 3, 4]).process(Splitting(), Types.INT())
    split.get_side_output(SIDE).map(lambda v: v)
    split.get_side_output(OTHER).map(lambda v: v)
    with split.map(lambda v: v).execute_and_collect() as results:
        return list(results)


@case()
def side_output_of_a_split(env):
    split = env.from_collection([1, 2, 3, 4]).process(Splitting(), Types.INT())
    side = split.get_side_output(SIDE)
    with side.execute_and_collect() as results:
        return [str(side.get_type()), list(results)]


@case()
def untyped_side_output(env):
    return env.from_collection([1, 2, 3, 4]).process(Splitting()).get_side_output(OTHER)


@case()
def tags_are_equal_by_id(env):
    return env.from_collection([1, 2]).process(Splitting()).get_side_output(OutputTag("side", Types.STRING()))


@case(order="any")
def all_outputs_together(env):
    split = env.from_collection([1, 2, 3, 4]).process(Splitting())
    main = split.map(lambda v: ("main", v))
    side = split.get_side_output(SIDE).map(lambda v: ("side", v))
    other = split.get_side_output(OTHER).map(lambda v: ("other", v[0]))
    return main.union(side, other)


@case(
    better=["1", "3"],
    why="a side output nobody asks for falls into the main output in PyFlink; Flink documents that it is dropped",
)
def side_output_nobody_asks_for_is_dropped(env):
    return env.from_collection([1, 2, 3]).process(Splitting()).map(lambda v: v)


@case(
    better=["[1, 3]", "['even 2']"],
    why="get_side_output after execute_and_collect fails in PyFlink",
)
def side_output_after_the_main_was_collected(env):
    split = env.from_collection([1, 2, 3]).process(Splitting())
    split.get_side_output(OTHER)
    with split.execute_and_collect() as results:
        main = [value for value in results if not isinstance(value, tuple)]
    with split.get_side_output(SIDE).execute_and_collect() as results:
        return [main, list(results)]


@case(order="any")
def side_output_from_timers(env):
    class Late(AllTimers):
        def on_timer(self, timestamp, ctx):
            yield timestamp
            yield SIDE, f"timer {timestamp}"

    stream = timed(env, [("a", 1, [5, 6])]).key_by(lambda v: v[0]).process(Late())
    return both_outputs(stream)


@case(order="any")
def side_output_of_co_process(env):
    class Both(CoProcessFunction):
        def process_element1(self, value, ctx):
            yield SIDE, f"left {value}"
            yield value

        def process_element2(self, value, ctx):
            yield SIDE, f"right {value}"

    both = env.from_collection([1, 2]).connect(env.from_collection([3])).process(Both())
    return both_outputs(both)


@case(order="any")
def side_output_of_keyed_co_process(env):
    class Both(KeyedCoProcessFunction):
        def process_element1(self, value, ctx):
            yield SIDE, f"left {ctx.get_current_key()}"
            ctx.timer_service().register_event_time_timer(3)

        def process_element2(self, value, ctx):
            yield value

        def on_timer(self, timestamp, ctx):
            yield SIDE, f"timer {timestamp} {ctx.get_current_key()}"

    left = env.from_collection([1, 2]).key_by(lambda v: v)
    both = left.connect(env.from_collection([3]).key_by(lambda v: v)).process(Both())
    return both_outputs(both)


@case(order="any")
def side_output_of_broadcast_process(env):
    class Both(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            yield SIDE, f"element {value}"

        def process_broadcast_element(self, value, ctx):
            yield SIDE, f"broadcast {value}"
            yield value

    rules = env.from_collection([9]).broadcast(MapStateDescriptor("rules", Types.INT(), Types.INT()))
    both = env.from_collection([1]).connect(rules).process(Both())
    return both_outputs(both)


@case(order="any")
def a_tag_may_be_used_twice_in_a_job(env):
    class Again(ProcessFunction):
        def process_element(self, value, ctx):
            yield value
            yield SIDE, str(value)

    first = env.from_collection([1]).process(Again())
    second = first.map(lambda v: v + 1).process(Again())
    return first.get_side_output(SIDE).union(second.get_side_output(SIDE)).map(lambda v: v)


@case()
def side_output_has_a_declared_row_type(env):
    tag = OutputTag("rows", [Types.INT(), Types.STRING()])

    class Rows(ProcessFunction):
        def process_element(self, value, ctx):
            yield tag, Row(value, "x")

    return env.from_collection([1]).process(Rows()).get_side_output(tag)


@case()
def output_tag_checks(env):
    results = []
    for arguments in [("",), (None,), ("x", 3)]:
        try:
            OutputTag(*arguments)
        except Exception as error:
            results.append((arguments, type(error).__name__))
        else:
            results.append((arguments, "accepted"))
    return results


@case(error="Cannot union streams of different types")
def union_needs_equal_types(env):
    split = env.from_collection([1, 2]).process(Splitting(), Types.INT())
    split.get_side_output(SIDE).union(split)


@case()
def keyed_process_without_open_or_timer(env):
    class Plain(KeyedProcessFunction):
        def process_element(self, value, ctx):
            return (value, ctx.get_current_key())

    return env.from_collection([1, 2]).key_by(lambda v: v * 10).process(Plain())

"""Where a declared type is enforced: at the end of a chain of Python functions, and what ends one."""

from pyflink.common import Row, Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    AsyncDataStream,
    AsyncFunction,
    CoMapFunction,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    ProcessWindowFunction,
)
from pyflink.datastream.window import CountTumblingWindowAssigner
from semantics_case import case


def typed(env):
    """1.7 under the type INT: 1 wherever the type was enforced."""
    return env.from_collection([0]).map(lambda _: 1.7, Types.INT())


@case()
def a_chained_map_sees_the_value_itself(env):
    return typed(env).map(repr)


@case()
def a_chained_filter_sees_the_value_itself(env):
    return typed(env).filter(lambda v: v == 1.7)


@case()
def a_chained_process_function_sees_the_value_itself(env):
    class See(ProcessFunction):
        def process_element(self, value, ctx):
            yield repr(value)

    return typed(env).process(See())


@case()
def a_chained_flat_map_sees_the_value_itself(env):
    return typed(env).flat_map(lambda v: [repr(v)])


@case(
    better=["('1', '1')"],
    why="PyFlink takes the key from a value that the function never sees; a key belongs to the element that has it",
)
def key_selector_and_function_see_the_same_value(env):
    class See(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield ctx.get_current_key(), repr(value)

    return typed(env).key_by(repr).process(See())


@case()
def a_function_after_a_keyed_one_is_chained(env):
    return env.from_collection([0]).key_by(lambda v: v).map(lambda _: 1.7, Types.INT()).map(repr)


@case()
def a_reduced_stream_is_chained(env):
    stream = env.from_collection([1, 2], Types.INT()).key_by(lambda v: 0).reduce(lambda a, b: a + b + 0.5)
    return stream.map(repr)


@case()
def two_consumers_end_a_chain(env):
    stream = typed(env)
    return stream.map(repr).union(stream.map(repr))


@case()
def a_union_ends_a_chain(env):
    return typed(env).union(typed(env)).map(repr)


@case()
def a_rebalance_ends_a_chain(env):
    return typed(env).rebalance().map(repr)


@case()
def a_forward_does_not_end_a_chain(env):
    return typed(env).forward().map(repr)


@case()
def a_new_chain_ends_the_old(env):
    return typed(env).map(repr).start_new_chain()


@case()
def another_parallelism_ends_a_chain(env):
    return typed(env).map(repr).set_parallelism(2)


@case(order="any")
def a_connect_ends_a_chain(env):
    class Both(CoMapFunction):
        def map1(self, value):
            return "left", repr(value)

        def map2(self, value):
            return "right", repr(value)

    return typed(env).connect(typed(env)).map(Both())


@case()
def timestamps_end_a_chain(env):
    class Second(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return int(value * 10)

    class See(ProcessFunction):
        def process_element(self, value, ctx):
            yield repr(value), ctx.timestamp()

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    return typed(env).assign_timestamps_and_watermarks(strategy).process(See())


@case()
def a_side_output_ends_a_chain(env):
    tag = OutputTag("side", Types.INT())

    class Split(ProcessFunction):
        def process_element(self, value, ctx):
            yield tag, 1.7

    return env.from_collection([0]).process(Split()).get_side_output(tag).map(repr)


@case()
def a_main_output_beside_a_side_output(env):
    tag = OutputTag("side", Types.INT())

    class Split(ProcessFunction):
        def process_element(self, value, ctx):
            yield 1.7
            yield tag, 1.7

    split = env.from_collection([0]).process(Split(), Types.INT())
    return split.map(repr).union(split.get_side_output(tag).map(repr))


@case()
def a_window_sees_the_type(env):
    class See(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield repr(list(elements))

    return typed(env).key_by(lambda v: 0).window(CountTumblingWindowAssigner.of(1)).process(See())


@case()
def a_function_after_a_window_is_chained(env):
    class Give(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield 1.7

    windowed = env.from_collection([0]).key_by(lambda v: 0).window(CountTumblingWindowAssigner.of(1))
    return windowed.process(Give(), Types.INT()).map(repr)


@case()
def a_function_after_a_connected_one_is_chained(env):
    class Both(CoMapFunction):
        def map1(self, value):
            return 1.7

        def map2(self, value):
            return None

    return env.from_collection([0]).connect(env.from_collection([0])).map(Both(), Types.INT()).map(repr)


@case()
def an_asynchronous_function_sees(env):
    class See(AsyncFunction):
        async def async_invoke(self, value):
            return [repr(value)]

    return AsyncDataStream.ordered_wait(typed(env), See(), Time.seconds(10))


@case()
def a_function_after_an_asynchronous_one_sees(env):
    class Give(AsyncFunction):
        async def async_invoke(self, value):
            return [1.7]

    stream = AsyncDataStream.ordered_wait(env.from_collection([0]), Give(), Time.seconds(10), 10, Types.INT())
    return stream.map(repr)


@case()
def collected_and_projected(env):
    stream = env.from_collection([0]).map(lambda _: (1.7, 0.1), Types.TUPLE([Types.INT(), Types.FLOAT()]))
    return stream.project(1, 0)


@case()
def a_row_stays_as_it_is_inside_a_chain(env):
    row = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.INT()])
    return env.from_collection([0]).map(lambda _: Row(1, 2), row).map(repr)

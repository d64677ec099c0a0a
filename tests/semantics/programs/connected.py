"""Connected and broadcast streams."""

from pyflink.common import Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
)
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from semantics_case import case

RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


def timed(env, values):
    return env.from_collection(values).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    )


@case(order="any")
def co_map(env):
    class Both(CoMapFunction):
        def map1(self, value):
            return "left", value

        def map2(self, value):
            return "right", value

    return env.from_collection([1, 2]).connect(env.from_collection(["a"])).map(Both())


@case(order="any")
def co_map_drops_none(env):
    class Both(CoMapFunction):
        def map1(self, value):
            return value if value > 1 else None

        def map2(self, value):
            return None

    return env.from_collection([1, 2]).connect(env.from_collection(["a"])).map(Both())


@case(order="any")
def co_flat_map_and_none(env):
    class Both(CoFlatMapFunction):
        def flat_map1(self, value):
            for _ in range(value):
                yield value

        def flat_map2(self, value):
            return None

    return env.from_collection([1, 2]).connect(env.from_collection(["a"])).flat_map(Both())


@case(order="any")
def co_flat_map_returning_lists(env):
    class Both(CoFlatMapFunction):
        def flat_map1(self, value):
            return [value, -value]

        def flat_map2(self, value):
            return value.split()

    return env.from_collection([1, 2]).connect(env.from_collection(["a b", ""])).flat_map(Both())


@case(order="any")
def co_process(env):
    class Both(CoProcessFunction):
        def process_element1(self, value, ctx):
            yield "1", value, ctx.timestamp(), ctx.timer_service().current_watermark()

        def process_element2(self, value, ctx):
            return [("2", value, ctx.timestamp())]

    return timed(env, [("x", 5)]).connect(env.from_collection(["a"])).process(Both())


@case(error="Register timers is only supported on a keyed stream|timers")
def co_process_without_keys_has_no_timers(env):
    class Both(CoProcessFunction):
        def process_element1(self, value, ctx):
            ctx.timer_service().register_event_time_timer(1)

        def process_element2(self, value, ctx):
            return None

    return timed(env, [("x", 5)]).connect(env.from_collection(["a"])).process(Both())


@case(order="any")
def keyed_co_process_shares_state_between_inputs(env):
    class Join(KeyedCoProcessFunction):
        def open(self, runtime_context):
            self.left = runtime_context.get_list_state(ListStateDescriptor("left", Types.INT()))
            self.right = runtime_context.get_list_state(ListStateDescriptor("right", Types.STRING()))

        def process_element1(self, value, ctx):
            self.left.add(value[1])
            for other in self.right.get():
                yield ctx.get_current_key(), value[1], other

        def process_element2(self, value, ctx):
            self.right.add(value[1])
            for other in self.left.get():
                yield ctx.get_current_key(), other, value[1]

    left = env.from_collection([("a", 1), ("b", 2), ("a", 3)])
    right = env.from_collection([("a", "x"), ("b", "y"), ("c", "z")])
    return left.key_by(lambda v: v[0]).connect(right.key_by(lambda v: v[0])).process(Join())


@case(order="any")
def key_by_of_connected_streams_replaces_keys(env):
    class Count(CoMapFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

        def map1(self, value):
            self.count.update((self.count.value() or 0) + 1)
            return self.count.value()

        def map2(self, value):
            return self.map1(value)

    left = env.from_collection([("a", 1), ("b", 1)]).key_by(lambda v: v[0])
    right = env.from_collection([("c", 1)]).key_by(lambda v: v[0])
    return left.connect(right).key_by(lambda v: v[1], lambda v: v[1]).map(Count())


@case(order="any")
def keyed_co_flat_map(env):
    class Dedup(CoFlatMapFunction):
        def open(self, runtime_context):
            self.seen = runtime_context.get_map_state(MapStateDescriptor("seen", Types.STRING(), Types.BOOLEAN()))

        def flat_map1(self, value):
            if value not in self.seen:
                self.seen.put(value, True)
                yield value

        def flat_map2(self, value):
            yield from self.flat_map1(value)

    left = env.from_collection(["a", "b", "a"])
    return left.connect(env.from_collection(["b", "c"])).key_by(lambda v: 0, lambda v: 0).flat_map(Dedup())


@case(order="any")
def keyed_co_process_timers_wait_for_both_inputs(env):
    class Timing(KeyedCoProcessFunction):
        def process_element1(self, value, ctx):
            ctx.timer_service().register_event_time_timer(value[1] + 100)
            yield "element1", ctx.timestamp()

        def process_element2(self, value, ctx):
            ctx.timer_service().register_event_time_timer(value[1] + 200)
            yield "element2", ctx.timestamp()

        def on_timer(self, timestamp, ctx):
            yield "timer", timestamp, ctx.get_current_key(), str(ctx.time_domain()), ctx.timestamp()

    left = timed(env, [("a", 1), ("b", 2)])
    right = timed(env, [("a", 1), ("c", 7)])
    return left.key_by(lambda v: v[0]).connect(right.key_by(lambda v: v[0])).process(Timing())


@case(error="KeyedCoProcessFunction|CoProcessFunction")
def connected_process_refuses_other_functions(env):
    class Both(CoMapFunction):
        def map1(self, value):
            return value

        def map2(self, value):
            return value

    env.from_collection([1]).connect(env.from_collection([1])).process(Both())


class Known(BroadcastProcessFunction):
    def __init__(self):
        self.waiting = []

    def process_element(self, value, ctx):
        state = ctx.get_broadcast_state(RULES)
        if state.contains(value):
            yield value, state.get(value)
        else:
            self.waiting.append(value)

    def process_broadcast_element(self, value, ctx):
        state = ctx.get_broadcast_state(RULES)
        state.put(value[0], value[1])
        for each in self.waiting:
            if each == value[0]:
                yield each, value[1]


@case(order="any")
def broadcast_state(env):
    rules = env.from_collection([("a", 1), ("b", 2)]).broadcast(RULES)
    return env.from_collection(["a", "b", "c"]).connect(rules).process(Known())


@case(order="any", parallelism=2)
def broadcast_elements_are_processed_in_every_subtask(env):
    class Echo(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            yield "element", value

        def process_broadcast_element(self, value, ctx):
            yield "broadcast", value

    rules = env.from_collection(["r"]).broadcast(RULES)
    return env.from_collection([1, 2, 3]).connect(rules).process(Echo())


@case(
    better=["[True, None, False, [('a', 1), ('b', 2)], ['a', 'b'], [1, 2], True, 2, True, [], True]"],
    why="is_empty() of a broadcast state that nothing was put into says False in PyFlink",
)
def broadcast_state_methods(env):
    class Methods(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            return None

        def process_broadcast_element(self, value, ctx):
            state = ctx.get_broadcast_state(MapStateDescriptor("rules", Types.STRING(), Types.INT()))
            out = [state.is_empty(), state.get("none"), state.contains("a")]
            state.put("a", 1)
            state["b"] = 2
            out += [sorted(state.items()), sorted(state.keys()), sorted(state.values()), "a" in state, state["b"]]
            state.remove("a")
            state.remove("never there")
            del state["b"]
            out += [state.is_empty(), sorted(state)]
            state.put("c", 3)
            state.clear()
            out.append(state.is_empty())
            yield out

    rules = env.from_collection(["r"]).broadcast(RULES)
    return env.from_collection([1]).connect(rules).process(Methods())


@case(better=["[('a', 1), ('b', 2)]"], why="put_all of broadcast state fails with a dict in PyFlink's process mode")
def broadcast_state_put_all(env):
    class Methods(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            return None

        def process_broadcast_element(self, value, ctx):
            state = ctx.get_broadcast_state(RULES)
            state.put_all({"a": 1, "b": 2})
            yield sorted(state.items())

    rules = env.from_collection(["r"]).broadcast(RULES)
    return env.from_collection([1]).connect(rules).process(Methods())


@case(error="AttributeError|put")
def the_read_only_side_cannot_write(env):
    class Writing(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            ctx.get_broadcast_state(RULES).put("a", 1)

        def process_broadcast_element(self, value, ctx):
            return None

    rules = env.from_collection(["r"]).broadcast(RULES)
    return env.from_collection([1]).connect(rules).process(Writing())


@case(order="any")
def keyed_broadcast_with_state_and_timers(env):
    class Keyed(KeyedBroadcastProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

        def process_element(self, value, ctx):
            self.count.update((self.count.value() or 0) + 1)
            ctx.timer_service().register_event_time_timer(ctx.timestamp() + 1000)
            yield "element", ctx.get_current_key(), self.count.value(), ctx.current_watermark()

        def process_broadcast_element(self, value, ctx):
            ctx.get_broadcast_state(RULES).put("seen", 1)
            yield "broadcast", value[0], ctx.timestamp()

        def on_timer(self, timestamp, ctx):
            rules = ctx.get_broadcast_state(RULES)
            yield "timer", timestamp, ctx.get_current_key(), self.count.value(), rules.get("seen")

    rules = timed(env, [("r", 3)]).broadcast(RULES)
    keyed = timed(env, [("a", 1), ("a", 2), ("b", 3)]).key_by(lambda v: v[0])
    return keyed.connect(rules).process(Keyed())


@case(error="KeyedBroadcastProcessFunction|BroadcastProcessFunction")
def keyed_streams_need_the_keyed_broadcast_function(env):
    rules = env.from_collection(["r"]).broadcast(RULES)
    env.from_collection([1]).key_by(lambda v: v).connect(rules).process(Known())


@case(error="MapStateDescriptor")
def broadcast_needs_map_state(env):
    env.from_collection([1]).broadcast(ValueStateDescriptor("v", Types.INT()))

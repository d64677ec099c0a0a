"""Keyed state of every kind, its types, and its time to live."""

import time

from pyflink.common import Row, Time, Types
from pyflink.datastream import AggregateFunction, KeyedProcessFunction, ReduceFunction
from pyflink.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from semantics_case import case

NO_CACHE = {"python.state.cache-size": "0", "python.map-state.read-cache-size": "0"}
NO_CACHE |= {"python.map-state.write-cache-size": "0", "python.fn-execution.bundle.size": "1"}


def run(env, function, values=(1,)):
    return env.from_collection(list(values)).key_by(lambda v: "key").process(function)


@case()
def value_state(env):
    class Values(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_state(ValueStateDescriptor("s", Types.INT()))

        def process_element(self, value, ctx):
            out = [self.state.value()]
            self.state.update(value)
            out.append(self.state.value())
            if value == 2:
                self.state.clear()
                out.append(self.state.value())
            yield out

    return run(env, Values(), [1, 2, 3])


@case()
def list_state(env):
    class Lists(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_list_state(ListStateDescriptor("s", Types.INT()))

        def process_element(self, value, ctx):
            out = [list(self.state.get())]
            self.state.add(value)
            self.state.add_all([value * 10, value * 100])
            out.append(list(self.state.get()))
            if value == 2:
                self.state.update([7])
                out.append(list(self.state))
                self.state.update([])
                out.append(list(self.state.get()))
                self.state.add(8)
                self.state.clear()
                out.append(list(self.state.get()))
            yield out

    return run(env, Lists(), [1, 2, 3])


@case(
    better=[
        "[True, None, False, [('a', 1), ('b', 2)], ['a', 'b'], [1, 2], True, False, 2, ['a', 'b'], True, [], True]",
        "[True, None, False, [('a', 2), ('b', 3)], ['a', 'b'], [2, 3], True, False, 3, ['a', 'b'], True, [], True]",
    ],
    why="removing a key that is not there fails in PyFlink's process mode",
)
def map_state(env):
    class Maps(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_map_state(MapStateDescriptor("s", Types.STRING(), Types.INT()))

        def process_element(self, value, ctx):
            state = self.state
            out = [state.is_empty(), state.get("none"), state.contains("a")]
            state.put("a", value)
            state["b"] = value + 1
            out += [sorted(state.items()), sorted(state.keys()), sorted(state.values())]
            out += ["a" in state, "z" in state, state["b"], sorted(state)]
            state.remove("a")
            state.remove("never there")
            del state["b"]
            out += [state.is_empty(), list(state.items())]
            state.put("c", 3)
            state.clear()
            out.append(state.is_empty())
            yield out

    return run(env, Maps(), [1, 2])


@case(better=["[('a', 1), ('b', 2)]"], why="put_all fails with a dict in PyFlink's process mode")
def map_state_put_all_of_a_dict(env):
    class Maps(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_map_state(MapStateDescriptor("s", Types.STRING(), Types.INT()))

        def process_element(self, value, ctx):
            self.state.put_all({"a": 1, "b": 2})
            yield sorted(self.state.items())

    return run(env, Maps())


@case()
def reducing_state(env):
    class Longest(ReduceFunction):
        def reduce(self, value1, value2):
            return value1 + value2

    class Reducing(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_reducing_state(ReducingStateDescriptor("s", Longest(), Types.INT()))

        def process_element(self, value, ctx):
            out = [self.state.get()]
            self.state.add(value)
            out.append(self.state.get())
            if value == 2:
                self.state.clear()
                out.append(self.state.get())
            yield out

    return run(env, Reducing(), [1, 2, 3, 4])


class Mean(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


@case()
def aggregating_state(env):
    class Aggregating(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_aggregating_state(
                AggregatingStateDescriptor("s", Mean(), Types.TUPLE([Types.INT(), Types.INT()]))
            )

        def process_element(self, value, ctx):
            out = [self.state.get()]
            self.state.add(value)
            out.append(self.state.get())
            if value == 3:
                self.state.add(None)
                out.append(self.state.get())
            yield out

    return run(env, Aggregating(), [1, 2, 3, 4])


@case()
def values_come_back_as_they_were_put(env):
    class Typed(KeyedProcessFunction):
        def open(self, runtime_context):
            self.number = runtime_context.get_state(ValueStateDescriptor("n", Types.INT()))
            self.float = runtime_context.get_state(ValueStateDescriptor("f", Types.FLOAT()))
            self.row = runtime_context.get_state(
                ValueStateDescriptor("r", Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()]))
            )
            self.list = runtime_context.get_list_state(
                ListStateDescriptor("l", Types.TUPLE([Types.INT(), Types.DOUBLE()]))
            )
            self.map = runtime_context.get_map_state(MapStateDescriptor("m", Types.INT(), Types.LIST(Types.INT())))

        def process_element(self, value, ctx):
            if value == 1:
                self.number.update(1.9)
                self.float.update(0.1)
                self.row.update(Row(b="x", a=1))
                self.list.add((1.5, 2))
                self.map.put(1, [1, 2])
            else:
                yield self.number.value(), self.float.value(), self.row.value()
                yield list(self.list.get()), list(self.map.items())

    return run(env, Typed(), [1, 2])


@case()
def pickled_state_keeps_anything(env):
    class Pickled(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_state(ValueStateDescriptor("s", Types.PICKLED_BYTE_ARRAY()))

        def process_element(self, value, ctx):
            yield repr(self.state.value())
            self.state.update({"seen": {value}, "row": Row(a=value)})

    return run(env, Pickled(), [1, 2])


@case(order="any")
def state_is_per_key(env):
    class Counting(KeyedProcessFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

        def process_element(self, value, ctx):
            self.count.update((self.count.value() or 0) + 1)
            yield ctx.get_current_key(), self.count.value()

    return env.from_collection([1, 2, 3, 4, 5]).key_by(lambda v: v % 2).process(Counting())


@case()
def one_name_is_one_state(env):
    class Same(KeyedProcessFunction):
        def open(self, runtime_context):
            self.first = runtime_context.get_state(ValueStateDescriptor("s", Types.INT()))
            self.second = runtime_context.get_state(ValueStateDescriptor("s", Types.INT()))

        def process_element(self, value, ctx):
            self.first.update(value)
            yield self.second.value()

    return run(env, Same(), [5])


@case(error="The state name 's' is already in use and not a")
def one_name_is_one_kind(env):
    class Kinds(KeyedProcessFunction):
        def open(self, runtime_context):
            runtime_context.get_state(ValueStateDescriptor("s", Types.INT()))
            runtime_context.get_list_state(ListStateDescriptor("s", Types.INT()))

        def process_element(self, value, ctx):
            return None

    return run(env, Kinds())


@case(error="TypeError|AttributeError|encode")
def a_value_of_the_wrong_type_fails(env):
    class Wrong(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_state(ValueStateDescriptor("s", Types.STRING()))

        def process_element(self, value, ctx):
            self.state.update(value)

    return run(env, Wrong(), [1])


@case()
def descriptors(env):
    value = ValueStateDescriptor("v", Types.INT())
    return [
        value.get_name(),
        ListStateDescriptor("l", Types.INT()).get_name(),
        MapStateDescriptor("m", Types.INT(), Types.INT()).get_name(),
        ReducingStateDescriptor("r", lambda a, b: a, Types.INT()).get_name(),
        AggregatingStateDescriptor("a", Mean(), Types.INT()).get_name(),
    ]


@case(error="TypeError|type_info|missing")
def a_descriptor_needs_a_type(env):
    ValueStateDescriptor("v")


def ttl(milliseconds, **options):
    builder = StateTtlConfig.new_builder(Time.milliseconds(milliseconds))
    if options.get("on_read"):
        builder = builder.update_ttl_on_read_and_write()
    return builder.never_return_expired().build()


class Expiring(KeyedProcessFunction):
    """Reads the state 0.25 s after every write of it."""

    def __init__(self, config):
        self.config = config

    def open(self, runtime_context):
        descriptor = ValueStateDescriptor("s", Types.INT())
        if self.config:
            descriptor.enable_time_to_live(self.config)
        self.state = runtime_context.get_state(descriptor)

    def process_element(self, value, ctx):
        time.sleep(0.25)
        yield value, self.state.value()
        if value in (0, 2):
            self.state.update(value)


@case(flink_config=NO_CACHE)
def value_state_expires(env):
    return run(env, Expiring(ttl(100)), [0, 1, 2, 3])


@case(flink_config=NO_CACHE)
def value_state_lives_within_its_time(env):
    return run(env, Expiring(ttl(60_000)), [0, 1, 2, 3])


@case(flink_config=NO_CACHE)
def reading_does_not_extend_life_by_default(env):
    return run(env, Expiring(ttl(400)), [0, 1, 1, 1])


@case(flink_config=NO_CACHE)
def reading_extends_life_when_asked(env):
    return run(env, Expiring(ttl(400, on_read=True)), [0, 1, 1, 1])


@case(flink_config=NO_CACHE)
def disabled_update_type_means_no_expiry(env):
    config = (
        StateTtlConfig.new_builder(Time.milliseconds(100)).set_update_type(StateTtlConfig.UpdateType.Disabled).build()
    )
    return run(env, Expiring(config), [0, 1])


@case(flink_config=NO_CACHE)
def lists_expire_per_element(env):
    class Lists(KeyedProcessFunction):
        def open(self, runtime_context):
            descriptor = ListStateDescriptor("s", Types.INT())
            descriptor.enable_time_to_live(ttl(600))
            self.state = runtime_context.get_list_state(descriptor)

        def process_element(self, value, ctx):
            time.sleep(0.4)
            yield list(self.state.get())
            self.state.add(value)

    return run(env, Lists(), [1, 2, 3, 4])


@case(flink_config=NO_CACHE)
def maps_expire_per_entry(env):
    class Maps(KeyedProcessFunction):
        def open(self, runtime_context):
            descriptor = MapStateDescriptor("s", Types.INT(), Types.INT())
            descriptor.enable_time_to_live(ttl(600))
            self.state = runtime_context.get_map_state(descriptor)

        def process_element(self, value, ctx):
            time.sleep(0.4)
            yield sorted(self.state.items())
            self.state.put(value, value)

    return run(env, Maps(), [1, 2, 3, 4])


@case(flink_config=NO_CACHE)
def reducing_state_expires(env):
    class Reducing(KeyedProcessFunction):
        def open(self, runtime_context):
            descriptor = ReducingStateDescriptor("s", lambda a, b: a + b, Types.INT())
            descriptor.enable_time_to_live(ttl(100))
            self.state = runtime_context.get_reducing_state(descriptor)

        def process_element(self, value, ctx):
            self.state.add(value)
            yield self.state.get()
            time.sleep(0.25)

    return run(env, Reducing(), [1, 2, 3])


@case()
def ttl_settings(env):
    config = (
        StateTtlConfig.new_builder(Time.seconds(5))
        .set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)
        .set_state_visibility(StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp)
        .cleanup_full_snapshot()
        .cleanup_incrementally(10, True)
        .cleanup_in_rocksdb_compact_filter(1000)
        .build()
    )
    default = StateTtlConfig.new_builder(Time.seconds(1)).build()
    return [
        str(config.get_update_type()),
        str(config.get_state_visibility()),
        config.get_ttl() == Time.seconds(5),
        str(config.get_ttl_time_characteristic()),
        config.is_enabled(),
        config.get_cleanup_strategies() is not None,
        str(default.get_update_type()),
        str(default.get_state_visibility()),
        default.is_enabled(),
    ]

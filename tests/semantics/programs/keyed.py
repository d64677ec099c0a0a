"""Keyed streams: rolling aggregations, keys, and what a KeyedStream refuses."""

from pyflink.common import Row, Types
from pyflink.datastream.functions import (
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    ProcessFunction,
    ReduceFunction,
)
from pyflink.datastream.state import ValueStateDescriptor
from semantics_case import case

PAIRS = [("a", 1), ("b", 5), ("a", 2), ("b", -1), ("a", 2)]
TRIPLES = [("a", 3, "x"), ("b", 1, "y"), ("a", 1, "z"), ("a", 1, "w"), ("b", 9, "v")]


@case(order="per_key")
def reduce_emits_the_running_aggregate(env):
    return env.from_collection(PAIRS).key_by(lambda v: v[0]).reduce(lambda left, right: (left[0], left[1] + right[1]))


@case(order="per_key")
def reduce_does_not_see_the_first_element_alone(env):
    class Recording(ReduceFunction):
        def reduce(self, value1, value2):
            return value1[0], f"({value1[1]}+{value2[1]})"

    return env.from_collection(PAIRS).key_by(lambda v: v[0]).reduce(Recording())


@case(order="per_key")
def reduce_function_may_use_state(env):
    class Counting(ReduceFunction):
        def open(self, runtime_context):
            self.calls = runtime_context.get_state(ValueStateDescriptor("calls", Types.INT()))

        def reduce(self, value1, value2):
            calls = (self.calls.value() or 0) + 1
            self.calls.update(calls)
            return value1[0], calls

    return env.from_collection(PAIRS).key_by(lambda v: v[0]).reduce(Counting())


@case(order="per_key")
def reduce_keeps_the_element_type(env):
    typed = Types.TUPLE([Types.STRING(), Types.INT()])
    return env.from_collection(PAIRS, typed).key_by(lambda v: v[0]).reduce(lambda a, b: (a[0], b[1] + 0.5))


@case(order="per_key")
def sum_on_untyped_tuples(env):
    return env.from_collection(PAIRS).key_by(lambda v: v[0]).sum(1)


@case(order="per_key")
def sum_keeps_other_fields_of_the_first_element(env):
    return env.from_collection(TRIPLES).key_by(lambda v: v[0]).sum(1)


@case(order="per_key")
def min_replaces_only_its_field(env):
    return env.from_collection(TRIPLES).key_by(lambda v: v[0]).min(1)


@case(order="per_key")
def max_replaces_only_its_field(env):
    return env.from_collection(TRIPLES).key_by(lambda v: v[0]).max(1)


@case(order="per_key")
def min_by_returns_the_element_and_the_first_on_ties(env):
    return env.from_collection(TRIPLES).key_by(lambda v: v[0]).min_by(1)


@case(order="per_key")
def max_by_returns_the_element_and_the_first_on_ties(env):
    return env.from_collection([*TRIPLES, ("b", 9, "u")]).key_by(lambda v: v[0]).max_by(1)


@case(order="per_key")
def sum_on_named_rows_by_name(env):
    typed = Types.ROW_NAMED(["k", "n"], [Types.STRING(), Types.INT()])
    return env.from_collection([Row(*pair) for pair in PAIRS], typed).key_by(lambda v: v.k).sum("n")


@case(order="per_key")
def sum_on_rows_by_index(env):
    typed = Types.ROW([Types.STRING(), Types.INT()])
    return env.from_collection([Row(*pair) for pair in PAIRS], typed).key_by(lambda v: v[0]).sum(1)


@case(order="per_key")
def sum_on_lists(env):
    return env.from_collection([list(pair) for pair in PAIRS]).key_by(lambda v: v[0]).sum(1)


@case()
def sum_on_plain_values(env):
    return env.from_collection([1, 2, 3, 4]).key_by(lambda v: "all").sum()


@case()
def min_and_max_on_plain_values(env):
    return env.from_collection([3, 1, 2, 5]).key_by(lambda v: "all").max().key_by(lambda v: "all").min_by()


@case()
def min_on_strings(env):
    return env.from_collection(["pear", "apple", "fig"]).key_by(lambda v: 0).min()


@case()
def sum_on_strings_concatenates(env):
    return env.from_collection([("a", "x"), ("a", "y"), ("a", "z")]).key_by(lambda v: v[0]).sum(1)


@case(error="IndexError|out of range|field")
def sum_outside_the_tuple_fails(env):
    return env.from_collection([("a", 1), ("a", 2)]).key_by(lambda v: v[0]).sum(5)


@case(error=".")
def sum_of_a_field_of_plain_values_fails(env):
    return env.from_collection([1, 2]).key_by(lambda v: 0).sum(1)


@case(error="TypeError|must be")
def position_must_be_an_index_or_a_name(env):
    env.from_collection([(1, 2)]).key_by(lambda v: 0).sum(1.5)


@case(order="any")
def none_and_lists_are_legal_keys(env):
    return env.from_collection([1, 2, 3]).key_by(lambda v: None if v < 3 else [v]).reduce(lambda a, b: a + b)


@case(order="per_key")
def the_current_key_is_what_the_selector_returned(env):
    class Keys(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield value, ctx.get_current_key()

    return env.from_collection([1, 2, 3]).key_by(lambda v: ("k", v % 2)).process(Keys())


@case(order="per_key")
def the_current_key_has_the_declared_type(env):
    class Keys(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield value, ctx.get_current_key()

    return env.from_collection([1, 2, 3]).key_by(lambda v: v + 0.7, Types.INT()).process(Keys())


@case(order="any")
def keys_compare_as_the_declared_type(env):
    return env.from_collection([1.2, 1.9, 2.5]).key_by(lambda v: v, Types.INT()).reduce(lambda a, b: a + b).map(str)


@case(order="any")
def key_by_on_a_keyed_stream_replaces_the_key(env):
    keyed = env.from_collection(PAIRS).key_by(lambda v: v[0]).key_by(lambda v: v[1] > 0)
    return keyed.reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]))


@case(order="any")
def key_selector_class(env):
    class Second(KeySelector):
        def get_key(self, value):
            return value[1]

    return env.from_collection(PAIRS).key_by(Second()).reduce(lambda a, b: (a[0] + b[0], a[1]))


@case(error="Parameter key_selector should be|KeySelector")
def key_by_refuses_other_things(env):
    env.from_collection([1]).key_by(3)


@case(
    order="any",
    better=["+IRow(f0='a', f1=('a', 1))", "+IRow(f0='a', f1=('a', 2))", "+IRow(f0='b', f1=('b', 5))"],
    why="PyFlink hands out the pickled bytes of untyped keys and elements",
)
def execute_and_collect_of_a_keyed_stream_gives_rows(env):
    return env.from_collection(PAIRS[:3]).key_by(lambda v: v[0])


@case(order="any")
def execute_and_collect_of_a_typed_keyed_stream(env):
    typed = Types.TUPLE([Types.STRING(), Types.INT()])
    return env.from_collection(PAIRS, typed).key_by(lambda v: v[0], Types.STRING())


@case(order="any")
def union_loses_the_key(env):
    left = env.from_collection([1, 2]).key_by(lambda v: v)
    return left.union(env.from_collection([3]).key_by(lambda v: v)).map(lambda v: v * 2)


@case(order="any")
def map_flat_map_filter_have_state(env):
    class Numbering(MapFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

        def map(self, value):
            self.count.update((self.count.value() or 0) + 1)
            return (*value, self.count.value())

    class Twice(FlatMapFunction):
        def open(self, runtime_context):
            self.last = runtime_context.get_state(ValueStateDescriptor("last", Types.INT()))

        def flat_map(self, value):
            yield (*value, self.last.value())
            self.last.update(value[1])

    class FirstTwo(FilterFunction):
        def open(self, runtime_context):
            self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

        def filter(self, value):
            self.count.update((self.count.value() or 0) + 1)
            return self.count.value() <= 2

    stream = env.from_collection(PAIRS)
    for operator in (Numbering(), Twice(), FirstTwo()):
        keyed = stream.key_by(lambda v: v[0])
        if isinstance(operator, MapFunction):
            stream = keyed.map(operator)
        elif isinstance(operator, FlatMapFunction):
            stream = keyed.flat_map(operator)
        else:
            stream = keyed.filter(operator)
    return stream


@case(error="only accessible by functions executed on a KeyedStream")
def state_needs_a_keyed_stream(env):
    class Stateful(MapFunction):
        def open(self, runtime_context):
            runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

        def map(self, value):
            return value

    return env.from_collection([1]).map(Stateful())


@case(error="KeyedProcessFunction")
def process_on_a_keyed_stream_needs_a_keyed_function(env):
    class Plain(ProcessFunction):
        def process_element(self, value, ctx):
            yield value

    env.from_collection([1]).key_by(lambda v: v).process(Plain())


@case()
def what_a_keyed_stream_refuses(env):
    refused = []
    calls = {
        "shuffle": (),
        "rebalance": (),
        "rescale": (),
        "broadcast": (),
        "forward": (),
        "partition_custom": (lambda key, n: 0, lambda v: v),
        "name": ("n",),
        "get_name": (),
        "uid": ("u",),
        "set_uid_hash": ("u",),
        "set_parallelism": (1,),
        "set_max_parallelism": (1,),
        "force_non_parallel": (),
        "set_buffer_timeout": (1,),
        "start_new_chain": (),
        "disable_chaining": (),
        "slot_sharing_group": ("g",),
        "cache": (),
    }
    for name, arguments in calls.items():
        keyed = env.from_collection([1]).key_by(lambda v: v)
        try:
            getattr(keyed, name)(*arguments)
        except Exception as error:
            refused.append((name, str(error).splitlines()[0]))
        else:
            refused.append((name, "accepted"))
    return refused


@case(order="any", parallelism=2)
def a_key_has_one_subtask(env):
    class Where(KeyedProcessFunction):
        def open(self, runtime_context):
            self.index = runtime_context.get_index_of_this_subtask()
            self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.INT()))

        def process_element(self, value, ctx):
            if self.seen.value() is None:
                self.seen.update(self.index)
            yield value % 5, self.seen.value() == self.index

    return env.from_collection(list(range(30))).key_by(lambda v: v % 5).process(Where())


@case(order="any", parallelism=2)
def rolling_sum_at_parallelism_two(env):
    return env.from_collection([(v % 3, 1) for v in range(12)]).key_by(lambda v: v[0]).sum(1)


@case()
def the_key_selector_runs_once_for_each_element(env):
    class Counting(KeySelector):
        def __init__(self):
            self.calls = 0

        def get_key(self, value):
            self.calls += 1
            return self.calls

    class Keys(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield ctx.get_current_key()

    return env.from_collection(["x", "y", "z"]).key_by(Counting()).process(Keys())

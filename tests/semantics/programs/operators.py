"""Stateless operators, partitioning, and what an environment does with them."""

import functools
import os
import tempfile
import threading

from pyflink.common import Row, Types
from pyflink.datastream import FilterFunction, FlatMapFunction, MapFunction, OutputTag, ProcessFunction
from pyflink.datastream.functions import KeySelector, Partitioner
from semantics_case import case


@case()
def map_plain(env):
    return env.from_collection([1, 2, 3]).map(lambda value: (value, str(value)))


@case()
def map_function_class_is_opened_once_and_closed(env):
    class Counting(MapFunction):
        def __init__(self):
            self.calls = ["init"]

        def open(self, runtime_context):
            self.calls.append("open")

        def map(self, value):
            self.calls.append(f"map {value}")
            return list(self.calls)

    return env.from_collection([1, 2]).map(Counting())


@case()
def close_runs_at_the_end(env):
    path = tempfile.mktemp()

    class Closing(MapFunction):
        def map(self, value):
            return value

        def close(self):
            with open(path, "a") as file:
                file.write("closed\n")

    with env.from_collection([1, 2]).map(Closing()).execute_and_collect() as results:
        seen = list(results)
    with open(path) as file:
        text = file.read()
    os.unlink(path)
    return [seen, text]


@case()
def functions_are_copies_of_what_was_passed(env):
    seen = []

    class Appending(MapFunction):
        def __init__(self):
            self.factor = 10

        def map(self, value):
            seen.append(value)
            return value * self.factor

    function = Appending()
    mapped = env.from_collection([1, 2]).map(function)
    function.factor = 1000
    with mapped.execute_and_collect() as results:
        collected = list(results)
    return [collected, seen]


@case()
def map_takes_any_callable(env):
    def multiply(factor, value):
        return factor * value

    return env.from_collection([1, 2]).map(functools.partial(multiply, 3)).map(str).map("<{}>".format)


@case()
def map_of_none_passes_none(env):
    return env.from_collection([1, 2]).map(lambda value: None if value == 1 else value).map(repr)


@case(error="'NoneType' object is not iterable")
def flat_map_returning_none_fails(env):
    return env.from_collection([1]).flat_map(lambda value: None)


@case()
def flat_map_accepts_every_iterable(env):
    def split(value):
        return {0: [], 1: (1, 2), 2: "ab", 3: {"k": 1}, 4: range(2), 5: iter([9])}[value]

    return env.from_collection(list(range(6))).flat_map(split)


@case()
def flat_map_generator_class(env):
    class Repeat(FlatMapFunction):
        def flat_map(self, value):
            for index in range(value):
                yield value, index

    return env.from_collection([2, 0, 1]).flat_map(Repeat())


@case()
def filter_uses_truthiness(env):
    return env.from_collection([0, 1, "", "a", [], [0], None, 2.0]).filter(lambda value: value).map(repr)


@case()
def filter_keeps_the_declared_type(env):
    stream = env.from_collection([(1, "a"), (2, "b")], Types.TUPLE([Types.INT(), Types.STRING()]))
    filtered = stream.filter(lambda value: value[0] > 1)
    with filtered.execute_and_collect() as results:
        return [str(filtered.get_type()), list(results)]


@case()
def filter_function_class(env):
    class Even(FilterFunction):
        def filter(self, value):
            return value % 2 == 0

    return env.from_collection([1, 2, 3, 4]).filter(Even())


@case()
def process_may_return_list_none_or_yield(env):
    class Returning(ProcessFunction):
        def process_element(self, value, ctx):
            if value == 1:
                return None
            return [value, value * 10]

    class Yielding(ProcessFunction):
        def process_element(self, value, ctx):
            yield value
            yield ctx.timestamp()

    return env.from_collection([1, 2]).process(Returning()).process(Yielding())


@case(order="any")
def union_of_three(env):
    first = env.from_collection([1, 2])
    return first.union(env.from_collection([3]), env.from_collection([4])).map(lambda value: value * 10)


@case(order="any")
def union_with_itself_doubles(env):
    first = env.from_collection([1, 2])
    return first.union(first).map(lambda value: value)


@case()
def mutation_downstream_does_not_reach_a_sibling(env):
    def change(value):
        value.append("changed")
        return value

    source = env.from_collection([[1], [2]])
    left = source.map(change)
    right = source.map(lambda value: ("right", len(value)))
    with left.union(right).execute_and_collect() as results:
        return sorted(str(value) for value in results if value[0] == "right" or "changed" in value)


@case()
def a_stream_may_have_several_consumers(env):
    source = env.from_collection([1, 2])
    with source.map(lambda value: value + 1).union(source.map(lambda value: value * 100)).execute_and_collect() as got:
        return sorted(got)


@case(order="any", parallelism=2)
def rebalance_from_one_to_two_is_even(env):
    class Where(MapFunction):
        def open(self, runtime_context):
            self.index = runtime_context.get_index_of_this_subtask()

        def map(self, value):
            return self.index

    return env.from_collection(list(range(10))).rebalance().map(Where())


@case(order="any", parallelism=2)
def broadcast_reaches_every_subtask(env):
    class Where(MapFunction):
        def open(self, runtime_context):
            self.index = runtime_context.get_index_of_this_subtask()

        def map(self, value):
            return self.index, value

    return env.from_collection([1, 2]).broadcast().map(Where())


@case(order="any", parallelism=2)
def rescale_shuffle_rebalance_keep_all(env):
    stream = env.from_collection(list(range(8)))
    return stream.rescale().map(lambda value: value).shuffle().map(lambda value: value).rebalance().map(str)


@case(order="any", parallelism=2)
def forward_keeps_the_subtask(env):
    class Where(MapFunction):
        def open(self, runtime_context):
            self.index = runtime_context.get_index_of_this_subtask()

        def map(self, value):
            return (*value, self.index) if isinstance(value, tuple) else (value, self.index)

    return env.from_collection([1, 2, 3, 4]).map(Where()).forward().map(Where()).map(lambda value: value[1] == value[2])


@case(error="[Ff]orward")
def forward_between_different_parallelism_fails(env):
    env.from_collection([1, 2]).map(lambda value: value).set_parallelism(2).forward().map(str).set_parallelism(
        3
    ).print()
    env.execute()


@case(
    order="any",
    parallelism=2,
    better=["(0, 0)", "(0, 2)", "(0, 4)", "(1, 1)", "(1, 3)", "(1, 5)"],
    why="partition_custom fails below execute_and_collect in PyFlink",
)
def partition_custom_with_functions(env):
    class Where(MapFunction):
        def open(self, runtime_context):
            self.index = runtime_context.get_index_of_this_subtask()

        def map(self, value):
            return self.index, value

    return (
        env.from_collection(list(range(6)))
        .partition_custom(lambda key, partitions: key % partitions, lambda value: value)
        .map(Where())
    )


@case(
    order="any",
    parallelism=2,
    better=["(1, 0)", "(1, 1)", "(1, 2)"],
    why="partition_custom fails below execute_and_collect in PyFlink",
)
def partition_custom_with_classes(env):
    class Last(Partitioner):
        def partition(self, key, num_partitions):
            return num_partitions - 1

    class Whole(KeySelector):
        def get_key(self, value):
            return value

    class Where(MapFunction):
        def open(self, runtime_context):
            self.index = runtime_context.get_index_of_this_subtask()

        def map(self, value):
            return self.index, value

    return env.from_collection(list(range(3))).partition_custom(Last(), Whole()).map(Where())


@case(error="Parameter partitioner should be type of Partitioner or a callable function")
def partition_custom_refuses_other_things(env):
    env.from_collection([1]).partition_custom(3, lambda value: value)


@case()
def project_picks_tuple_fields(env):
    stream = env.from_collection([(1, "a", 2.5)], Types.TUPLE([Types.INT(), Types.STRING(), Types.DOUBLE()]))
    projected = stream.project(2, 0)
    with projected.execute_and_collect() as results:
        return [str(projected.get_type()), list(results)]


@case(error=r"Only Tuple DataStreams can be projected\.")
def project_needs_tuples(env):
    env.from_collection([Row(1, 2)], Types.ROW([Types.INT(), Types.INT()])).project(0)


@case(error="The input must be a MapFunction or a callable function")
def map_refuses_other_things(env):
    env.from_collection([1]).map(42)


@case(error="The input must be a FlatMapFunction or a callable function")
def flat_map_refuses_other_things(env):
    env.from_collection([1]).flat_map("no")


@case(error="The input must be a FilterFunction or a callable function")
def filter_refuses_other_things(env):
    env.from_collection([1]).filter(None)


@case(error="cannot pickle|pickle")
def what_cannot_be_pickled_fails_while_building(env):
    lock = threading.Lock()
    env.from_collection([1]).map(lambda value: (lock, value))
    raise AssertionError("not reached")


@case(error="No operators defined in streaming topology")
def execute_without_operators_fails(env):
    env.execute()


@case()
def an_operator_without_a_sink_runs(env):
    path = tempfile.mktemp()

    def write(value):
        with open(path, "a") as file:
            file.write(f"{value}\n")
        return value

    env.from_collection([1, 2]).map(write)
    env.execute()
    with open(path) as file:
        text = file.read()
    os.unlink(path)
    return text


@case(error="No operators defined in streaming topology")
def the_environment_is_empty_after_execute(env):
    env.from_collection([1]).map(lambda value: value)
    env.execute()
    env.execute()


@case()
def several_jobs_one_after_the_other(env):
    results = []
    for number in range(3):
        with env.from_collection([number]).map(lambda value: value + 1).execute_and_collect() as collected:
            results.append(list(collected))
    return results


@case()
def default_names(env):
    source = env.from_collection([1])
    mapped = source.map(lambda value: value)
    keyed = mapped.key_by(lambda value: value)
    streams = [
        source,
        mapped,
        source.flat_map(lambda value: [value]),
        source.filter(lambda value: True),
        keyed.reduce(lambda left, right: left),
        keyed.map(lambda value: value),
        source.process(Nothing()),
    ]
    return [stream.get_name() for stream in streams]


class Nothing(ProcessFunction):
    def process_element(self, value, ctx):
        return None


@case()
def names_and_descriptions_chain(env):
    stream = (
        env.from_collection([1])
        .name("numbers")
        .uid("u1")
        .set_description("some numbers")
        .map(str)
        .name("text")
        .set_parallelism(1)
        .set_max_parallelism(4)
        .set_buffer_timeout(10)
        .start_new_chain()
        .disable_chaining()
        .slot_sharing_group("default")
        .force_non_parallel()
    )
    return stream.get_name()


@case(error="[Dd]uplicate|collision")
def duplicate_uids_fail(env):
    first = env.from_collection([1]).map(str).uid("same").disable_chaining()
    first.map(str).uid("same").disable_chaining().print()
    env.execute()


@case()
def types_of_streams(env):
    typed = env.from_collection([1], Types.INT())
    streams = [
        typed,
        typed.map(str),
        typed.map(str, Types.STRING()),
        typed.filter(lambda value: True),
        typed.flat_map(lambda value: [(value, 1)], Types.TUPLE([Types.INT(), Types.INT()])),
        typed.key_by(lambda value: value, Types.INT()),
        typed.key_by(lambda value: value, Types.INT()).reduce(lambda left, right: left),
        env.from_collection([1]),
        env.from_collection([1]).map(lambda value: Row(value), Types.ROW([Types.INT()])),
    ]
    return [str(stream.get_type()) for stream in streams]


@case()
def a_plain_list_of_types_means_row(env):
    stream = env.from_collection([1]).map(lambda value: Row(value, "x"), [Types.INT(), Types.STRING()])
    with stream.execute_and_collect() as results:
        return [str(stream.get_type()), list(results)]


@case(error="ValueError: this one")
def an_exception_carries_its_python_traceback(env):
    def fail(value):
        raise ValueError(f"this one: {value}")

    return env.from_collection([7]).map(fail)


@case()
def a_failure_is_a_py4j_java_error(env):
    from py4j.protocol import Py4JJavaError

    def fail(value):
        raise ValueError("flat")

    env.from_collection([7]).map(fail).print()
    try:
        env.execute()
    except Py4JJavaError as error:
        return ["Py4JJavaError", "ValueError: flat" in str(error)]


@case(error="KeyError: 'missing'")
def a_failure_in_open_surfaces(env):
    class Failing(MapFunction):
        def open(self, runtime_context):
            {}["missing"]

        def map(self, value):
            return value

    return env.from_collection([7]).map(Failing())


@case(order="any", parallelism=2)
def order_is_kept_between_chained_subtasks(env):
    def keep(value):
        return value

    class Remember(MapFunction):
        def __init__(self):
            self.last = -1

        def map(self, value):
            in_order = value > self.last
            self.last = value
            return in_order

    return env.from_collection(list(range(50))).map(keep).map(Remember())


@case()
def process_pairs_that_are_not_tagged_are_values(env):
    class Pairs(ProcessFunction):
        def process_element(self, value, ctx):
            yield "tag", value
            yield OutputTag("t").tag_id, value

    return env.from_collection([1]).process(Pairs())

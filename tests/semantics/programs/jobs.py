"""Jobs, their results and clients, collecting, and plans."""

import json
import re

from pyflink.common import JobStatus, Types, WatermarkStrategy
from pyflink.datastream import MapFunction
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from semantics_case import case


@case()
def job_result(env):
    env.from_collection([1]).map(lambda v: v)
    result = env.execute("a name")
    return [
        bool(re.fullmatch("[0-9a-f]{32}", str(result.get_job_id()))),
        result.get_net_runtime() >= 0,
        result.get_all_accumulator_results(),
        result.get_accumulator_result("none"),
        str(result).splitlines()[0],
    ]


@case()
def job_client(env):
    env.from_collection([1]).map(lambda v: v)
    client = env.execute_async("a name")
    result = client.get_job_execution_result().result()
    return [
        str(client.get_job_id()) == str(result.get_job_id()),
        client.get_job_execution_result().done(),
        client.get_job_execution_result().exception(),
        client.get_accumulators().result(),
    ]


@case(better=["True"], why="the client of PyFlink's local cluster loses finished jobs")
def status_of_a_finished_job(env):
    env.from_collection([1]).map(lambda v: v)
    client = env.execute_async()
    client.get_job_execution_result().result()
    return [client.get_job_status().result() == JobStatus.FINISHED]


@case()
def cancelling_an_endless_job(env):
    class Slow(MapFunction):
        def map(self, value):
            import time

            time.sleep(0.001)
            return value

    env.from_source(NumberSequenceSource(0, 10**12), WatermarkStrategy.no_watermarks(), "endless").map(Slow())
    client = env.execute_async()
    client.cancel().result()
    try:
        client.get_job_execution_result().result()
    except Exception:
        return "cancelled"


@case()
def collecting_with_a_limit_gives_a_list(env):
    results = env.from_collection(list(range(10))).execute_and_collect(limit=3)
    return [type(results).__name__, results]


@case()
def collecting_with_a_limit_above_the_count(env):
    return [env.from_collection([1, 2]).execute_and_collect(limit=30)]


@case()
def closing_early_ends_an_endless_job(env):
    stream = env.from_source(NumberSequenceSource(0, 10**12), WatermarkStrategy.no_watermarks(), "endless")
    results = stream.map(lambda v: v).execute_and_collect()
    first = [next(results), results.next()]
    results.close()
    return first


@case()
def leaving_the_with_block_early_is_fine(env):
    stream = env.from_source(NumberSequenceSource(0, 10**12), WatermarkStrategy.no_watermarks(), "endless")
    with stream.map(lambda v: v * 2).execute_and_collect() as results:
        for value in results:
            if value >= 6:
                return value
    return None


@case(error="ValueError: while iterating")
def an_error_surfaces_while_iterating(env):
    def fail(value):
        if value == 2:
            raise ValueError("while iterating")
        return value

    with env.from_collection([1, 2, 3]).map(fail).execute_and_collect() as results:
        return list(results)


@case(error="No operators defined in streaming topology")
def collecting_forgets_other_sinks_and_empties_the_environment(env):
    stream = env.from_collection([1, 2])
    with stream.execute_and_collect() as results:
        list(results)
    env.execute()


@case()
def collected_types(env):
    typed = env.from_collection([(1, "a")], Types.TUPLE([Types.INT(), Types.STRING()]))
    with typed.execute_and_collect("named job") as results:
        return list(results)


def plan_of(env):
    nodes = json.loads(env.get_execution_plan())["nodes"]
    numbers = {node["id"]: index for index, node in enumerate(nodes)}
    return [
        (
            node["type"],
            node["pact"],
            node["contents"],
            node["parallelism"],
            [(numbers[edge["id"]], edge["ship_strategy"]) for edge in node.get("predecessors", [])],
        )
        for node in nodes
    ]


ONE_NODE_EACH = "PyFlink shows chained Python functions as one node with the names of all; Penstock shows each"


@case(
    better=[
        "('Source: numbers', 'Data Source', 'Source: numbers', 1, [])",
        "('first', 'Operator', 'first', 1, [(0, 'FORWARD')])",
        "('Filter', 'Operator', 'Filter', 1, [(1, 'FORWARD')])",
        "('Sink: Print to Std. Out', 'Data Sink', 'Sink: Print to Std. Out', 1, [(2, 'FORWARD')])",
    ],
    why=ONE_NODE_EACH,
)
def plan_of_a_chain(env):
    env.from_collection([1]).name("numbers").map(lambda v: v).name("first").filter(lambda v: v).print()
    return plan_of(env)


@case(parallelism=2)
def plan_of_partitionings(env):
    source = env.from_collection([1])
    for partitioned in (source.rebalance(), source.rescale(), source.shuffle(), source.broadcast()):
        partitioned.map(lambda v: v).set_parallelism(3)
    return plan_of(env)


@case(
    parallelism=2,
    better=[
        "('Source: Collection Source', 'Data Source', 'Source: Collection Source', 1, [])",
        "('_stream_key_by_map_operator', 'Operator', '_stream_key_by_map_operator', 1, [(0, 'FORWARD')])",
        "('Reduce', 'Operator', 'Reduce', 2, [(1, 'HASH')])",
        "('Sink: Print to Std. Out', 'Data Sink', 'Sink: Print to Std. Out', 2, [(2, 'FORWARD')])",
    ],
    why=ONE_NODE_EACH,
)
def plan_of_key_by_and_reduce(env):
    env.from_collection([("a", 1)]).key_by(lambda v: v[0]).reduce(lambda a, b: a).print()
    return plan_of(env)


@case(parallelism=2)
def plan_of_a_union_and_connect(env):
    first, second = env.from_collection([1]), env.from_collection([2])
    first.union(second).map(lambda v: v)
    return plan_of(env)


@case(parallelism=2)
def plan_of_a_projection(env):
    env.from_collection([(1, 2)], Types.TUPLE([Types.INT(), Types.INT()])).project(1).print()
    return plan_of(env)


@case()
def a_plan_does_not_consume_the_program(env):
    stream = env.from_collection([1, 2]).map(lambda v: v)
    env.get_execution_plan()
    return stream

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.datastream._transformations import ChainingStrategy, InputEdge, PartitioningKind, Transformation
from penstock.errors import ConfigurationError, InvariantError
from penstock.graph import (
    ExecutionGraph,
    ExecutionState,
    JobGraph,
    StreamGraph,
    build_job_graph,
    build_stream_graph,
    execution_plan,
)
from tests.graph.programs import filtered, mapped, printed, reduced, source


def stream(*transformations: Transformation, parallelism: int = 2, **settings: Any) -> StreamGraph:
    return build_stream_graph(transformations, job_name="job", parallelism=parallelism, **settings)


def job(*transformations: Transformation, **settings: Any) -> JobGraph:
    return build_job_graph(stream(*transformations, **settings))


def names(graph: JobGraph) -> list[str]:
    return [vertex.name for vertex in graph.vertices.values()]


def test_a_word_count_becomes_two_vertices() -> None:
    numbers = source()
    pairs = mapped(numbers)
    sums = reduced(pairs)
    even = filtered(sums)
    graph = job(numbers, pairs, sums, even, printed(even))
    assert names(graph) == ["numbers -> Map", "Reduce -> Filter -> Print"]
    (edge,) = graph.vertices[sums.id].inputs
    assert edge.source == numbers.id
    assert edge.partitioning.kind is PartitioningKind.HASH


def test_a_stream_read_twice_becomes_a_tree() -> None:
    numbers = source()
    assert names(job(numbers, mapped(numbers, name="A"), mapped(numbers, name="B"))) == ["numbers -> (A, B)"]


def test_a_side_output_is_chained_beside_the_main_one() -> None:
    numbers = source()
    below = Transformation("Late", mapped(numbers).spec, ((InputEdge(numbers, side_output=None),),), (None,))
    assert names(job(numbers, mapped(numbers, name="A"), below)) == ["numbers -> (A, Late)"]


@pytest.mark.parametrize(
    "settings",
    [
        {"chaining": ChainingStrategy.HEAD},
        {"chaining": ChainingStrategy.NEVER},
        {"parallelism": 3},
        {"slot_sharing_group": "other"},
        {"kind": PartitioningKind.REBALANCE},
    ],
)
def test_what_breaks_a_chain(settings: dict[str, Any]) -> None:
    numbers = source()
    assert names(job(numbers, mapped(numbers, **settings))) == ["numbers", "Map"]


def test_chaining_can_be_switched_off() -> None:
    numbers = source()
    assert names(job(numbers, mapped(numbers), chaining_enabled=False)) == ["numbers", "Map"]


def test_a_union_is_not_chained() -> None:
    one, two = source("one"), source("two")
    assert names(job(one, two, mapped(one, two))) == ["one", "two", "Map"]


def test_a_parallelism_that_differs_rebalances() -> None:
    numbers = source(parallelism=1)
    graph = stream(numbers, mapped(numbers))
    (edge,) = graph.nodes[numbers.id].out_edges
    assert edge.partitioning.kind is PartitioningKind.REBALANCE


def test_forward_between_different_parallelisms_is_refused() -> None:
    numbers = source(parallelism=1)
    with pytest.raises(ConfigurationError, match="Forward partitioning does not allow change of parallelism"):
        stream(numbers, mapped(numbers, kind=PartitioningKind.FORWARD))


def test_an_empty_program_is_refused_with_flinks_words() -> None:
    with pytest.raises(ConfigurationError, match=r"No operators defined in streaming topology. Cannot execute\."):
        stream()


def test_a_uid_used_twice_is_refused() -> None:
    numbers = source(uid="x")
    with pytest.raises(ConfigurationError, match="same uid"):
        stream(numbers, mapped(numbers, uid="x"))


def test_a_parallelism_above_the_key_groups_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max parallelism of 4"):
        stream(source(parallelism=5, max_parallelism=4))


def test_operator_ids_are_stable_and_follow_uids() -> None:
    def ids(uid: str | None) -> list[str]:
        numbers = source()
        return [node.operator_id for node in stream(numbers, mapped(numbers, uid=uid)).nodes.values()]

    assert ids(None) == ids(None)
    assert ids("a")[1] != ids("b")[1]
    assert ids("a")[0] == ids("b")[0]


def test_the_plan_shows_key_by_and_ship_strategies() -> None:
    numbers = source()
    sums = reduced(numbers)
    nodes = json.loads(execution_plan(stream(numbers, sums, printed(sums))))["nodes"]
    assert [node["pact"] for node in nodes] == ["Data Source", "Operator", "Operator", "Data Sink"]
    assert nodes[1]["contents"] == "_stream_key_by_map_operator"
    assert nodes[2]["predecessors"] == [{"id": nodes[1]["id"], "ship_strategy": "HASH", "side": "second"}]


def test_execution_states_follow_the_table() -> None:
    numbers = source()
    execution = ExecutionGraph.of(job(numbers, mapped(numbers)))
    assert [vertex.name for vertex in execution.vertices] == ["numbers -> Map (1/2)#0", "numbers -> Map (2/2)#0"]
    vertex = execution.vertices[0]
    with pytest.raises(InvariantError, match="illegal transition CREATED -> FINISHED"):
        vertex.transition(ExecutionState.FINISHED)
    assert vertex.state is ExecutionState.CREATED
    for state in (ExecutionState.INITIALIZING, ExecutionState.RUNNING, ExecutionState.FINISHED):
        vertex.transition(state)
    assert vertex.is_terminal

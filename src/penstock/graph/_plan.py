"""The execution plan as JSON, in the form of Flink's `StreamExecutionEnvironment.getExecutionPlan()`."""

from __future__ import annotations

from typing import Any

from penstock.datastream._transformations import CollectSpec, PartitioningKind, PrintSpec, SinkSpec
from penstock.graph._stream_graph import StreamEdge, StreamGraph, StreamNode

__all__ = ["execution_plan"]

PREFIXES = {"Data Source": "Source: ", "Data Sink": "Sink: "}
KEY_BY_CONTENTS = "_stream_key_by_map_operator"


def execution_plan(graph: StreamGraph) -> str:
    """Renders the graph: one entry a node (id, type, pact, contents, parallelism, predecessors with ship strategies).

    As in PyFlink, `key_by` shows as a node of its own before the HASH edge.
    """
    nodes: list[dict[str, Any]] = []
    next_id = max(graph.nodes) + 1
    for node in graph.nodes.values():
        predecessors: list[dict[str, Any]] = []
        by_key: dict[tuple[int, int], list[StreamEdge]] = {}
        for edge in node.in_edges:
            if edge.partitioning.kind is PartitioningKind.HASH:
                by_key.setdefault((edge.input_index, graph.nodes[edge.source_id].parallelism), []).append(edge)
            else:
                predecessors.append(_predecessor(edge, edge.partitioning.kind.value))
        for (_, parallelism), edges in by_key.items():
            sources = [_predecessor(edge, "FORWARD") for edge in edges]
            nodes.append(_entry(next_id, "Operator", KEY_BY_CONTENTS, KEY_BY_CONTENTS, parallelism, sources))
            predecessors.append({"id": next_id, "ship_strategy": "HASH", "side": "second"})
            next_id += 1
        pact, transformation = _pact(node), node.transformation
        name = PREFIXES.get(pact, "") + transformation.name
        nodes.append(_entry(node.id, pact, name, transformation.description or name, node.parallelism, predecessors))
    import json

    return json.dumps({"nodes": nodes}, indent=2)


def _entry(
    node_id: int, pact: str, name: str, contents: str, parallelism: int, predecessors: list[dict[str, Any]]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": node_id,
        "type": name,
        "pact": pact,
        "contents": contents,
        "parallelism": parallelism,
    }
    if predecessors:
        entry["predecessors"] = predecessors
    return entry


def _predecessor(edge: StreamEdge, strategy: str) -> dict[str, Any]:
    return {"id": edge.source_id, "ship_strategy": strategy, "side": "second"}


def _pact(node: StreamNode) -> str:
    if not node.in_edges:
        return "Data Source"
    sink = isinstance(node.transformation.spec, (SinkSpec, PrintSpec, CollectSpec))
    return "Data Sink" if sink else "Operator"

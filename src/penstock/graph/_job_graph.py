"""The job graph: operators chained into vertices by Flink's rules (`StreamingJobGraphGenerator`).

Two operators share a vertex when the edge between them is forward, the consumer has no other input, both have the
same parallelism and slot sharing group, neither forbids chaining, and chaining is enabled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock.conf import Record
from penstock.datastream._transformations import ChainingStrategy, Partitioning, PartitioningKind
from penstock.graph._stream_graph import StreamEdge, StreamGraph, StreamNode

__all__ = ["ChainedOperator", "JobEdge", "JobGraph", "JobVertex", "build_job_graph"]


@dataclass(slots=True)
class ChainedOperator:
    """An operator within a chain, with what follows it in the same chain.

    Attributes:
        node: the stream node.
        children: chained consumers: (side output id or None, operator).
        out_edges: edges that leave the chain from here.
    """

    node: StreamNode
    children: list[tuple[str | None, ChainedOperator]] = field(default_factory=list)
    out_edges: list[StreamEdge] = field(default_factory=list)

    def walk(self) -> Iterator[ChainedOperator]:
        """This operator and all below it, parents first."""
        yield self
        for _, child in self.children:
            yield from child.walk()


class JobEdge(Record):
    """An exchange between two vertices.

    Attributes:
        source: id of the producing vertex; `edge` says which of its operators.
        target: id of the consuming vertex.
        edge: the stream edge it stands for.
    """

    source: int
    target: int
    edge: StreamEdge

    @property
    def partitioning(self) -> Partitioning:
        """How records travel."""
        return self.edge.partitioning


@dataclass(slots=True)
class JobVertex:
    """A chain, run by `parallelism` subtasks. The id is its head's node id."""

    id: int
    head: ChainedOperator
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    inputs: list[JobEdge] = field(default_factory=list)
    outputs: list[JobEdge] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Names joined as Flink joins them: `A -> B -> (C, D)`."""
        return chain_name(self.head)

    @property
    def operators(self) -> list[ChainedOperator]:
        """All chained operators, head first."""
        return list(self.head.walk())


@dataclass(slots=True)
class JobGraph:
    """Vertices in topological order."""

    name: str
    vertices: dict[int, JobVertex]


def chain_name(operator: ChainedOperator) -> str:
    """The name of the chain that begins at an operator."""
    name = operator.node.transformation.name
    if not operator.children:
        return name
    below = [chain_name(child) for _, child in operator.children]
    return f"{name} -> {below[0]}" if len(below) == 1 else f"{name} -> ({', '.join(below)})"


def build_job_graph(graph: StreamGraph) -> JobGraph:
    """Chains a stream graph."""
    job = JobGraph(graph.job_name, {})
    head_of: dict[int, int] = {}
    for node in graph.nodes.values():
        if _chained_to_input(graph, node):
            continue
        head = _build_chain(graph, node)
        job.vertices[node.id] = JobVertex(
            node.id, head, node.parallelism, node.max_parallelism, node.slot_sharing_group
        )
        for operator in head.walk():
            head_of[operator.node.id] = node.id
    for vertex in job.vertices.values():
        for operator in vertex.operators:
            for edge in operator.out_edges:
                exchange = JobEdge(vertex.id, head_of[edge.target_id], edge)
                vertex.outputs.append(exchange)
                job.vertices[exchange.target].inputs.append(exchange)
    return job


def _build_chain(graph: StreamGraph, node: StreamNode) -> ChainedOperator:
    operator = ChainedOperator(node)
    for edge in node.out_edges:
        target = graph.nodes[edge.target_id]
        if is_chainable(graph, edge):
            operator.children.append((edge.side_output, _build_chain(graph, target)))
        else:
            operator.out_edges.append(edge)
    return operator


def _chained_to_input(graph: StreamGraph, node: StreamNode) -> bool:
    return len(node.in_edges) == 1 and is_chainable(graph, node.in_edges[0])


def is_chainable(graph: StreamGraph, edge: StreamEdge) -> bool:
    """Whether the two operators of an edge share a chain."""
    source, target = graph.nodes[edge.source_id], graph.nodes[edge.target_id]
    return (
        graph.chaining_enabled
        and len(target.in_edges) == 1
        and len(target.transformation.inputs) == 1
        and edge.partitioning.kind is PartitioningKind.FORWARD
        and source.parallelism == target.parallelism
        and source.slot_sharing_group == target.slot_sharing_group
        and source.transformation.chaining is not ChainingStrategy.NEVER
        and target.transformation.chaining is ChainingStrategy.ALWAYS
        and (graph.chain_different_max_parallelism or source.max_parallelism == target.max_parallelism)
    )

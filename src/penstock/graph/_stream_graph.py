"""The stream graph: every operator with its resolved parallelism, every edge with its partitioning.

Flink's counterpart is `StreamGraph`. Unions and explicit partitionings are already folded into the input edges of
a transformation, so nodes and transformations correspond one to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.datastream._transformations import (
    InputEdge,
    Partitioning,
    PartitioningKind,
    SinkSpec,
    SourceSpec,
    Transformation,
)
from penstock.datastream.connectors.base import Boundedness
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation

__all__ = ["StreamEdge", "StreamGraph", "StreamNode", "build_stream_graph"]

DEFAULT_SLOT_SHARING_GROUP = "default"
DEFAULT_LOWER_BOUND_MAX_PARALLELISM = 1 << 7
UPPER_BOUND_MAX_PARALLELISM = 1 << 15


@dataclass(frozen=True, slots=True)
class StreamEdge:
    """A resolved edge.

    Attributes:
        source_id: producing node.
        target_id: consuming node.
        input_index: which logical input of the consumer (0, or 1 on connected streams).
        partitioning: how records travel.
        side_output: id of the side output that is read, None for the main output.
        type_info: the declared type of the records, None for untyped ones.
    """

    source_id: int
    target_id: int
    input_index: int
    partitioning: Partitioning
    side_output: str | None = None
    type_info: TypeInformation | None = field(default=None, compare=False)


@dataclass(slots=True)
class StreamNode:
    """One operator; created by `build_stream_graph`, not changed afterwards."""

    transformation: Transformation
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    operator_id: str
    in_edges: list[StreamEdge] = field(default_factory=list)
    out_edges: list[StreamEdge] = field(default_factory=list)

    @property
    def id(self) -> int:
        """The transformation's id."""
        return self.transformation.id

    @property
    def is_keyed(self) -> bool:
        """Whether any input has a key selector."""
        return any(selector is not None for selector in self.transformation.key_selectors)


@dataclass(slots=True)
class StreamGraph:
    """All nodes by id, in topological order."""

    nodes: dict[int, StreamNode]
    job_name: str
    chaining_enabled: bool = True
    chain_different_max_parallelism: bool = True

    @property
    def sources(self) -> list[StreamNode]:
        """The nodes without inputs."""
        return [node for node in self.nodes.values() if not node.in_edges]

    @property
    def is_bounded(self) -> bool:
        """Whether all sources are bounded (decides AUTOMATIC runtime mode)."""
        return all(
            spec.source.boundedness is Boundedness.BOUNDED
            for spec in (node.transformation.spec for node in self.sources)
            if isinstance(spec, SourceSpec)
        )


def build_stream_graph(
    transformations: Sequence[Transformation],
    *,
    job_name: str,
    parallelism: int,
    max_parallelism: int | None = None,
    chaining_enabled: bool = True,
    chain_different_max_parallelism: bool = True,
) -> StreamGraph:
    """Resolves a program's transformations.

    Args:
        transformations: in the order they were created, inputs before their consumers.
        job_name: the job's name.
        parallelism: of operators that set none.
        max_parallelism: key groups of operators that set none; None derives it from the parallelism.
        chaining_enabled: `pipeline.operator-chaining.enabled`.
        chain_different_max_parallelism: whether operators of different max parallelism may share a chain.

    Raises:
        ConfigurationError: for an empty program, duplicate uids, a max parallelism below the parallelism, or a
            forward partitioning between different parallelisms.
    """
    if not transformations:
        raise ConfigurationError("No operators defined in streaming topology. Cannot execute.")
    graph = StreamGraph({}, job_name, chaining_enabled, chain_different_max_parallelism)
    _check_uids(transformations)
    for transformation in transformations:
        graph.nodes[transformation.id] = _resolve_node(graph, transformation, parallelism, max_parallelism)
        for index, edges in enumerate(transformation.inputs):
            for edge in edges:
                _add_edge(graph, edge, transformation, index)
    return graph


def default_max_parallelism(parallelism: int) -> int:
    """Key groups by default: 1.5 × the parallelism rounded up to a power of two, at least 128 (`KeyGroupRangeAssignment`)."""
    wanted = parallelism + parallelism // 2
    power = 1 << max(0, wanted - 1).bit_length()
    return min(max(power, DEFAULT_LOWER_BOUND_MAX_PARALLELISM), UPPER_BOUND_MAX_PARALLELISM)


def _resolve_node(
    graph: StreamGraph, transformation: Transformation, default: int, default_max: int | None
) -> StreamNode:
    spec = transformation.spec
    single = transformation.non_parallel or (isinstance(spec, SourceSpec) and spec.source.always_single)
    parallelism = 1 if single else transformation.parallelism or default
    most = transformation.max_parallelism or default_max or default_max_parallelism(parallelism)
    if parallelism > most:
        raise ConfigurationError(
            f"Operator '{transformation.name}' has parallelism {parallelism}, above its max parallelism of {most}. "
            f"Lower the parallelism or raise set_max_parallelism() (option pipeline.max-parallelism)."
        )
    group = transformation.slot_sharing_group or _inherited_group(graph, transformation)
    return StreamNode(transformation, parallelism, most, group, _operator_id(graph, transformation))


def _inherited_group(graph: StreamGraph, transformation: Transformation) -> str:
    """Flink's rule: the inputs' common group, else the default one."""
    groups = {graph.nodes[edge.source.id].slot_sharing_group for edges in transformation.inputs for edge in edges}
    return groups.pop() if len(groups) == 1 else DEFAULT_SLOT_SHARING_GROUP


def _operator_id(graph: StreamGraph, transformation: Transformation) -> str:
    """32 hex digits: stable for a uid, else from the operator's place in the graph, so that an unchanged program finds its state."""
    if transformation.uid_hash is not None:
        return transformation.uid_hash
    if transformation.uid is not None:
        text = f"uid:{transformation.uid}"
    else:
        inputs = [
            f"{graph.nodes[edge.source.id].operator_id}/{edge.side_output.tag_id if edge.side_output else ''}"
            for edges in transformation.inputs
            for edge in edges
        ]
        text = f"position:{len(graph.nodes)}:{type(transformation.spec).__name__}:{','.join(inputs)}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _add_edge(graph: StreamGraph, edge: InputEdge, target: Transformation, index: int) -> None:
    source = graph.nodes.get(edge.source.id)
    if source is None:
        raise ConfigurationError(
            f"Operator '{target.name}' reads from '{edge.source.name}', which belongs to a job that was already executed "
            f"or to another environment. Build the whole program again before execute()."
        )
    node = graph.nodes[target.id]
    partitioning = _resolve_partitioning(edge, source, node, index)
    side = edge.side_output
    resolved = StreamEdge(
        source.id,
        target.id,
        index,
        partitioning,
        None if side is None else side.tag_id,
        edge.source.output_type if side is None else side.type_info,
    )
    source.out_edges.append(resolved)
    node.in_edges.append(resolved)


def _resolve_partitioning(edge: InputEdge, source: StreamNode, target: StreamNode, index: int) -> Partitioning:
    selectors = target.transformation.key_selectors
    selector = selectors[index] if index < len(selectors) else None
    if selector is not None:
        return Partitioning(PartitioningKind.HASH, key_selector=selector)
    if edge.partitioning is None:
        same = source.parallelism == target.parallelism
        return Partitioning(PartitioningKind.FORWARD if same else PartitioningKind.REBALANCE)
    if edge.partitioning.kind is PartitioningKind.FORWARD and source.parallelism != target.parallelism:
        raise ConfigurationError(
            f"Forward partitioning does not allow change of parallelism. Upstream operation: '{source.transformation.name}' "
            f"parallelism: {source.parallelism}, downstream operation: '{target.transformation.name}' parallelism: "
            f"{target.parallelism}. Use another partitioning such as rebalance(), broadcast(), shuffle() or global."
        )
    return edge.partitioning


def _check_uids(transformations: Sequence[Transformation]) -> None:
    seen: dict[str, str] = {}
    for transformation in transformations:
        if transformation.uid is None:
            continue
        if transformation.uid in seen:
            raise ConfigurationError(
                f"Hash collision on user-specified ID '{transformation.uid}': operators '{seen[transformation.uid]}' and "
                f"'{transformation.name}' have the same uid. Most likely cause is a non-unique ID. Give each uid() a value of its own."
            )
        seen[transformation.uid] = transformation.name


def is_sink(node: StreamNode) -> bool:
    """Whether the node writes to a sink."""
    return isinstance(node.transformation.spec, SinkSpec)

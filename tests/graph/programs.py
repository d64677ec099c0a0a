"""Small programs, built without the user API."""

from __future__ import annotations

from typing import Any

from penstock.datastream._transformations import (
    FilterSpec,
    InputEdge,
    MapSpec,
    Partitioning,
    PartitioningKind,
    PrintSpec,
    ReduceSpec,
    SourceSpec,
    Transformation,
    UserFunction,
)
from penstock.datastream.connectors.number_seq import NumberSequenceSource


def source(name: str = "numbers", **settings: Any) -> Transformation:
    return Transformation(name, SourceSpec(NumberSequenceSource(1, 10)), **settings)


def mapped(
    *inputs: Transformation, name: str = "Map", kind: PartitioningKind | None = None, **settings: Any
) -> Transformation:
    partitioning = None if kind is None else Partitioning(kind)
    edges = tuple(InputEdge(one, partitioning) for one in inputs)
    return Transformation(name, MapSpec(UserFunction(lambda x: x)), (edges,), (None,), **settings)


def reduced(one: Transformation, **settings: Any) -> Transformation:
    spec = ReduceSpec(UserFunction(lambda a, b: a + b))
    return Transformation("Reduce", spec, ((InputEdge(one),),), (UserFunction(lambda x: x % 3),), **settings)


def filtered(one: Transformation, **settings: Any) -> Transformation:
    return Transformation("Filter", FilterSpec(UserFunction(bool)), ((InputEdge(one),),), (None,), **settings)


def printed(one: Transformation, **settings: Any) -> Transformation:
    return Transformation("Print", PrintSpec(), ((InputEdge(one),),), (None,), **settings)

"""Elasticsearch (`pyflink.datastream.connectors.elasticsearch`): a Java client, which needs a JVM."""

from __future__ import annotations

from enum import Enum

from penstock.datastream.connectors._java_connectors import JavaConnector

__all__ = [
    "Elasticsearch6SinkBuilder",
    "Elasticsearch7SinkBuilder",
    "ElasticsearchEmitter",
    "ElasticsearchSink",
    "ElasticsearchSinkBuilderBase",
    "FlushBackoffType",
]


class FlushBackoffType(Enum):
    """How a sink waits before it tries again."""

    CONSTANT = 0
    EXPONENTIAL = 1
    NONE = 2


class _Elasticsearch(
    JavaConnector,
    jar="flink-connector-elasticsearch",
    instead="FileSink with JSON lines, or a MapFunction that uses the elasticsearch package",
):
    """What the classes have in common."""


class ElasticsearchEmitter(_Elasticsearch, factories=("static_index", "dynamic_index")):
    """How elements become requests; needs Java."""


class ElasticsearchSinkBuilderBase(_Elasticsearch):
    """Base of the builders; needs Java."""


class Elasticsearch6SinkBuilder(ElasticsearchSinkBuilderBase):
    """Builder of a sink for version 6; needs Java."""


class Elasticsearch7SinkBuilder(ElasticsearchSinkBuilderBase):
    """Builder of a sink for version 7; needs Java."""


class ElasticsearchSink(_Elasticsearch):
    """Writes to Elasticsearch; needs Java."""

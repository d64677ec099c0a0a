"""Elasticsearch (`pyflink.datastream.connectors.elasticsearch`): a Java connector, of which only the names are here."""

from penstock.datastream.connectors._jar_connectors import jar_connector

__all__ = [
    "Elasticsearch6SinkBuilder",
    "Elasticsearch7SinkBuilder",
    "ElasticsearchEmitter",
    "ElasticsearchSink",
    "ElasticsearchSinkBuilderBase",
    "FlushBackoffType",
]

_JAR = "flink-connector-elasticsearch"
_INSTEAD = "a Sink of your own that writes with the elasticsearch package"

Elasticsearch6SinkBuilder = jar_connector(__name__, "Elasticsearch6SinkBuilder", _JAR, _INSTEAD)
Elasticsearch7SinkBuilder = jar_connector(__name__, "Elasticsearch7SinkBuilder", _JAR, _INSTEAD)
ElasticsearchEmitter = jar_connector(__name__, "ElasticsearchEmitter", _JAR, _INSTEAD)
ElasticsearchSink = jar_connector(__name__, "ElasticsearchSink", _JAR, _INSTEAD)
ElasticsearchSinkBuilderBase = jar_connector(__name__, "ElasticsearchSinkBuilderBase", _JAR, _INSTEAD)
FlushBackoffType = jar_connector(__name__, "FlushBackoffType", _JAR, _INSTEAD)

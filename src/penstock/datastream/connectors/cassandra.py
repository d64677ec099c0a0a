"""Cassandra (`pyflink.datastream.connectors.cassandra`): a Java connector, of which only the names are here."""

from penstock.datastream.connectors._jar_connectors import jar_connector

__all__ = [
    "CassandraCommitter",
    "CassandraFailureHandler",
    "CassandraSink",
    "ClusterBuilder",
    "ConsistencyLevel",
    "MapperOptions",
]

_JAR = "flink-connector-cassandra"
_INSTEAD = "a Sink of your own that writes with the cassandra-driver package"

CassandraCommitter = jar_connector(__name__, "CassandraCommitter", _JAR, _INSTEAD)
CassandraFailureHandler = jar_connector(__name__, "CassandraFailureHandler", _JAR, _INSTEAD)
CassandraSink = jar_connector(__name__, "CassandraSink", _JAR, _INSTEAD)
ClusterBuilder = jar_connector(__name__, "ClusterBuilder", _JAR, _INSTEAD)
ConsistencyLevel = jar_connector(__name__, "ConsistencyLevel", _JAR, _INSTEAD)
MapperOptions = jar_connector(__name__, "MapperOptions", _JAR, _INSTEAD)

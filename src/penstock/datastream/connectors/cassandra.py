"""Cassandra (`pyflink.datastream.connectors.cassandra`): a Java driver, which needs a JVM."""

from __future__ import annotations

from enum import Enum

from penstock.datastream.connectors._java_connectors import JavaConnector

__all__ = [
    "CassandraCommitter",
    "CassandraFailureHandler",
    "CassandraSink",
    "ClusterBuilder",
    "ConsistencyLevel",
    "MapperOptions",
]


class ConsistencyLevel(Enum):
    """How many replicas must answer."""

    ANY = 0
    ONE = 1
    TWO = 2
    THREE = 3
    QUORUM = 4
    ALL = 5
    LOCAL_QUORUM = 6
    EACH_QUORUM = 7
    SERIAL = 8
    LOCAL_SERIAL = 9
    LOCAL_ONE = 10


class _Cassandra(
    JavaConnector,
    jar="flink-connector-cassandra",
    instead="a MapFunction that uses the cassandra-driver package",
):
    """What the classes have in common."""


class MapperOptions(_Cassandra):
    """How objects are mapped; needs Java."""


class ClusterBuilder(_Cassandra):
    """How to connect to a cluster; needs Java."""


class CassandraCommitter(_Cassandra, factories=("default_checkpoint_committer",)):
    """Notes committed checkpoints in the database; needs Java."""


class CassandraFailureHandler(_Cassandra, factories=("no_op",)):
    """What is done with failures; needs Java."""


class CassandraSink(_Cassandra, factories=("add_sink",)):
    """Writes to Cassandra; needs Java."""

    class CassandraSinkBuilder(_Cassandra):
        """Builder of the sink; needs Java."""

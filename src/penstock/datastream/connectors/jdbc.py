"""JDBC (`pyflink.datastream.connectors.jdbc`): Java drivers, which need a JVM."""

from __future__ import annotations

from penstock.datastream.connectors._java_connectors import JavaConnector

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]


class _Jdbc(
    JavaConnector, jar="flink-connector-jdbc", instead="a MapFunction that writes with a Python database driver"
):
    """What the classes have in common."""


class JdbcSink(_Jdbc, factories=("sink",)):
    """Writes to a database; needs Java."""


class JdbcConnectionOptions(_Jdbc):
    """How to connect to a database; needs Java."""

    class JdbcConnectionOptionsBuilder(_Jdbc):
        """Builder of the options; needs Java."""


class JdbcExecutionOptions(_Jdbc, factories=("defaults", "builder")):
    """How to write to a database; needs Java."""

    class Builder(_Jdbc):
        """Builder of the options; needs Java."""

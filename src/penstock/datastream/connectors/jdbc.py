"""databases over JDBC (`pyflink.datastream.connectors.jdbc`): a Java connector, of which only the names are here."""

from penstock.datastream.connectors._jar_connectors import jar_connector

__all__ = [
    "JdbcConnectionOptions",
    "JdbcExecutionOptions",
    "JdbcSink",
]

_JAR = "flink-connector-jdbc"
_INSTEAD = "a Sink of your own that writes with a database driver of Python"

JdbcConnectionOptions = jar_connector(__name__, "JdbcConnectionOptions", _JAR, _INSTEAD)
JdbcExecutionOptions = jar_connector(__name__, "JdbcExecutionOptions", _JAR, _INSTEAD)
JdbcSink = jar_connector(__name__, "JdbcSink", _JAR, _INSTEAD)

"""RabbitMQ (`pyflink.datastream.connectors.rabbitmq`): a Java connector, of which only the names are here."""

from penstock.datastream.connectors._jar_connectors import jar_connector

__all__ = [
    "RMQConnectionConfig",
    "RMQSink",
    "RMQSource",
]

_JAR = "flink-connector-rabbitmq"
_INSTEAD = "a Source or Sink of your own over the pika package"

RMQConnectionConfig = jar_connector(__name__, "RMQConnectionConfig", _JAR, _INSTEAD)
RMQSink = jar_connector(__name__, "RMQSink", _JAR, _INSTEAD)
RMQSource = jar_connector(__name__, "RMQSource", _JAR, _INSTEAD)

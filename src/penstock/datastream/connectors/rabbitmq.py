"""RabbitMQ (`pyflink.datastream.connectors.rabbitmq`): a Java client, which needs a JVM."""

from __future__ import annotations

from penstock.datastream.connectors._java_connectors import JavaConnector

__all__ = ["RMQConnectionConfig", "RMQSink", "RMQSource"]


class _RabbitMQ(
    JavaConnector,
    jar="flink-connector-rabbitmq",
    instead="KafkaSource and KafkaSink, SocketTextSource, or a MapFunction that uses the pika package",
):
    """What the classes have in common."""


class RMQConnectionConfig(_RabbitMQ):
    """How to connect; needs Java."""

    class Builder(_RabbitMQ):
        """Builder of the configuration; needs Java."""


class RMQSource(_RabbitMQ):
    """Reads a queue; needs Java."""


class RMQSink(_RabbitMQ):
    """Writes to a queue; needs Java."""

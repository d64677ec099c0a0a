"""Pulsar (`pyflink.datastream.connectors.pulsar`): a Java client, which needs a JVM."""

from __future__ import annotations

from enum import Enum

from penstock.datastream.connectors._java_connectors import JavaConnector

__all__ = [
    "MessageDelayer",
    "PulsarSink",
    "PulsarSinkBuilder",
    "PulsarSource",
    "PulsarSourceBuilder",
    "RangeGenerator",
    "StartCursor",
    "StopCursor",
    "TopicRoutingMode",
]


class TopicRoutingMode(Enum):
    """How messages are spread over partitions."""

    ROUND_ROBIN = 0
    MESSAGE_KEY_HASH = 1
    CUSTOM = 2


class _Pulsar(
    JavaConnector,
    jar="flink-connector-pulsar",
    instead="KafkaSource and KafkaSink (Pulsar can speak Kafka's protocol), or a function that uses pulsar-client",
):
    """What the classes have in common."""


class StartCursor(
    _Pulsar, factories=("default_start_cursor", "earliest", "latest", "from_message_id", "from_publish_time")
):
    """Where reading starts; needs Java."""


class StopCursor(
    _Pulsar,
    factories=(
        "default_stop_cursor",
        "never",
        "latest",
        "at_event_time",
        "after_event_time",
        "at_publish_time",
        "after_publish_time",
        "at_message_id",
        "after_message_id",
    ),
):
    """Where reading stops; needs Java."""


class RangeGenerator(_Pulsar, factories=("full", "fixed_key")):
    """Which keys are read; needs Java."""


class PulsarSource(_Pulsar, factories=("builder",)):
    """Reads topics; needs Java."""


class PulsarSourceBuilder(_Pulsar):
    """Builder of the source; needs Java."""


class MessageDelayer(_Pulsar, factories=("never", "fixed")):
    """When messages are delivered; needs Java."""


class PulsarSink(_Pulsar, factories=("builder",)):
    """Writes to topics; needs Java."""


class PulsarSinkBuilder(_Pulsar):
    """Builder of the sink; needs Java."""

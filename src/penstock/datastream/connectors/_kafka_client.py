"""confluent-kafka as the Kafka connector uses it: one place that imports it, and that translates Java's properties."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from penstock.errors import ConfigurationError, JobError

__all__ = ["client", "client_properties", "confluent_kafka", "kafka_error"]

_logger = logging.getLogger(__name__)
_UNKNOWN = re.compile(r'No such configuration property: "([^"]+)"')
_JAAS = re.compile(r'\b(username|password)\s*=\s*"([^"]*)"')

# What only Java's client or Flink's connector reads.
_IGNORED = {
    "client.id.prefix",
    "commit.offsets.on.checkpoint",
    "default.api.timeout.ms",
    "exclude.internal.topics",
    "interceptor.classes",
    "key.deserializer",
    "key.serializer",
    "max.block.ms",
    "max.poll.records",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "partition.assignment.strategy",
    "partition.discovery.interval.ms",
    "penstock.transaction.max.bytes",
    "register.consumer.metrics",
    "register.producer.metrics",
    "value.deserializer",
    "value.serializer",
}
_RENAMED = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "max.request.size": "message.max.bytes",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "ssl.truststore.location": "ssl.ca.location",
}
_CONSUMER_ONLY = ("group.id", "auto.offset.reset", "enable.auto.commit", "isolation.level", "session.timeout.ms")


def confluent_kafka() -> Any:
    """The confluent_kafka package.

    Raises:
        ConfigurationError: if it is not installed.
    """
    try:
        import confluent_kafka
    except ImportError as error:
        raise ConfigurationError("The Kafka connector needs confluent-kafka: install penstock[kafka].") from error
    return confluent_kafka


def client_properties(properties: Mapping[str, str], consumer: bool) -> dict[str, str]:
    """The properties for librdkafka that Java's stand for.

    Names that differ are translated, the login of `sasl.jaas.config` is taken out, what has no counterpart is left out.

    Raises:
        ConfigurationError: for a Java key store, which librdkafka cannot read.
    """
    translated: dict[str, str] = {}
    for key, value in properties.items():
        if key in _IGNORED or (not consumer and key in _CONSUMER_ONLY):
            continue
        if key == "sasl.jaas.config":
            translated.update({f"sasl.{field}": text for field, text in _JAAS.findall(value)})
        elif key in ("ssl.truststore.location", "ssl.keystore.location") and value.endswith(".jks"):
            raise ConfigurationError(
                f"{key} = {value}: Java key stores cannot be read without a JVM. Convert it with keytool to PEM "
                "(ssl.ca.location) or PKCS12 (ssl.keystore.location)."
            )
        elif key == "auto.offset.reset" and value == "none":
            translated[key] = "error"
        elif key == "request.timeout.ms" and consumer:
            translated["socket.timeout.ms"] = value
        elif key == "buffer.memory":
            translated["queue.buffering.max.kbytes"] = str(max(1, int(value) // 1024))
        else:
            translated[_RENAMED.get(key, key)] = value
    return translated


def client(kind: str, settings: Mapping[str, Any]) -> Any:
    """A `Consumer` or `Producer`; properties librdkafka does not know are left out with a warning, as Java does.

    Raises:
        ConfigurationError: if a value is not allowed.
    """
    package = confluent_kafka()
    settings = dict(settings)
    while True:
        try:
            return getattr(package, kind)(settings, logger=_logger)
        except (package.KafkaException, TypeError, ValueError) as error:
            unknown = _UNKNOWN.search(str(error))
            if unknown is None or unknown[1] not in settings:
                raise ConfigurationError(f"The Kafka {kind.lower()} cannot be made: {_text(error)}") from error
            _logger.warning("The Kafka property %s is not known to librdkafka and has no effect", unknown[1])
            del settings[unknown[1]]


def kafka_error(action: str, servers: str, error: Exception) -> JobError:
    """What to say of a failed request."""
    return JobError(f"Kafka at {servers} cannot {action}: {_text(error)}")


def _text(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return f"{first.str()} ({first.name()})" if hasattr(first, "str") and hasattr(first, "name") else str(error)

"""Apache Pulsar (`pyflink.datastream.connectors.pulsar`): a Java connector, of which only the names are here."""

from penstock.datastream.connectors._jar_connectors import jar_connector

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

_JAR = "flink-connector-pulsar"
_INSTEAD = "a Source or Sink of your own over the pulsar-client package"

MessageDelayer = jar_connector(__name__, "MessageDelayer", _JAR, _INSTEAD)
PulsarSink = jar_connector(__name__, "PulsarSink", _JAR, _INSTEAD)
PulsarSinkBuilder = jar_connector(__name__, "PulsarSinkBuilder", _JAR, _INSTEAD)
PulsarSource = jar_connector(__name__, "PulsarSource", _JAR, _INSTEAD)
PulsarSourceBuilder = jar_connector(__name__, "PulsarSourceBuilder", _JAR, _INSTEAD)
RangeGenerator = jar_connector(__name__, "RangeGenerator", _JAR, _INSTEAD)
StartCursor = jar_connector(__name__, "StartCursor", _JAR, _INSTEAD)
StopCursor = jar_connector(__name__, "StopCursor", _JAR, _INSTEAD)
TopicRoutingMode = jar_connector(__name__, "TopicRoutingMode", _JAR, _INSTEAD)

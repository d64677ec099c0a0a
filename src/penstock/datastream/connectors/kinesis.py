"""Amazon Kinesis (`pyflink.datastream.connectors.kinesis`): a Java connector, of which only the names are here."""

from penstock.datastream.connectors._jar_connectors import jar_connector

__all__ = [
    "FlinkKinesisConsumer",
    "KinesisDeserializationSchema",
    "KinesisFirehoseSink",
    "KinesisFirehoseSinkBuilder",
    "KinesisShardAssigner",
    "KinesisStreamsSink",
    "KinesisStreamsSinkBuilder",
    "PartitionKeyGenerator",
    "WatermarkTracker",
]

_JAR = "flink-connector-kinesis"
_INSTEAD = "a Source or Sink of your own over the boto3 package"

FlinkKinesisConsumer = jar_connector(__name__, "FlinkKinesisConsumer", _JAR, _INSTEAD)
KinesisDeserializationSchema = jar_connector(__name__, "KinesisDeserializationSchema", _JAR, _INSTEAD)
KinesisFirehoseSink = jar_connector(__name__, "KinesisFirehoseSink", _JAR, _INSTEAD)
KinesisFirehoseSinkBuilder = jar_connector(__name__, "KinesisFirehoseSinkBuilder", _JAR, _INSTEAD)
KinesisShardAssigner = jar_connector(__name__, "KinesisShardAssigner", _JAR, _INSTEAD)
KinesisStreamsSink = jar_connector(__name__, "KinesisStreamsSink", _JAR, _INSTEAD)
KinesisStreamsSinkBuilder = jar_connector(__name__, "KinesisStreamsSinkBuilder", _JAR, _INSTEAD)
PartitionKeyGenerator = jar_connector(__name__, "PartitionKeyGenerator", _JAR, _INSTEAD)
WatermarkTracker = jar_connector(__name__, "WatermarkTracker", _JAR, _INSTEAD)

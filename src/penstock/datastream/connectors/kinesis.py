"""Kinesis (`pyflink.datastream.connectors.kinesis`): the AWS SDK for Java, which needs a JVM."""

from __future__ import annotations

from penstock.datastream.connectors._java_connectors import JavaConnector

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


class _Kinesis(
    JavaConnector,
    jar="flink-connector-kinesis",
    instead="FileSource and FileSink on s3://, KafkaSource and KafkaSink, or a function that uses boto3",
):
    """What the classes have in common."""


class KinesisShardAssigner(_Kinesis, factories=("default_shard_assigner", "uniform_shard_assigner")):
    """Which reader reads which shard; needs Java."""


class KinesisDeserializationSchema(_Kinesis):
    """How records are decoded; needs Java."""


class WatermarkTracker(_Kinesis, factories=("job_manager_watermark_tracker",)):
    """Aligns the readers' watermarks; needs Java."""


class FlinkKinesisConsumer(_Kinesis):
    """Reads streams; needs Java."""


class PartitionKeyGenerator(_Kinesis, factories=("fixed", "random")):
    """Which shard a record goes to; needs Java."""


class KinesisStreamsSink(_Kinesis, factories=("builder",)):
    """Writes to data streams; needs Java."""


class KinesisStreamsSinkBuilder(_Kinesis):
    """Builder of the sink; needs Java."""


class KinesisFirehoseSink(_Kinesis, factories=("builder",)):
    """Writes to Firehose; needs Java."""


class KinesisFirehoseSinkBuilder(_Kinesis):
    """Builder of the sink; needs Java."""

"""Connectors that need Java: importable under PyFlink's names, and one clear sentence when used."""

from __future__ import annotations

import importlib
import inspect
from enum import Enum

import pytest

from penstock.datastream.connectors._java_connectors import JavaConnector
from penstock.errors import UnsupportedFeatureError

# PyFlink 2.2.1's public names by module.
NAMES = {
    "cassandra": "CassandraSink ConsistencyLevel MapperOptions ClusterBuilder CassandraCommitter CassandraFailureHandler",
    "elasticsearch": "FlushBackoffType ElasticsearchEmitter Elasticsearch6SinkBuilder Elasticsearch7SinkBuilder "
    "ElasticsearchSink",
    "jdbc": "JdbcSink JdbcConnectionOptions JdbcExecutionOptions",
    "kinesis": "KinesisShardAssigner KinesisDeserializationSchema WatermarkTracker PartitionKeyGenerator "
    "FlinkKinesisConsumer KinesisStreamsSink KinesisStreamsSinkBuilder KinesisFirehoseSink KinesisFirehoseSinkBuilder",
    "pulsar": "PulsarSource PulsarSourceBuilder StartCursor StopCursor RangeGenerator PulsarSink PulsarSinkBuilder "
    "MessageDelayer TopicRoutingMode",
    "rabbitmq": "RMQConnectionConfig RMQSource RMQSink",
    "kafka": "FlinkKafkaConsumer FlinkKafkaProducer KafkaSource KafkaSourceBuilder KafkaSink KafkaSinkBuilder Semantic "
    "KafkaTopicPartition KafkaOffsetsInitializer KafkaOffsetResetStrategy KafkaRecordSerializationSchema "
    "KafkaRecordSerializationSchemaBuilder KafkaTopicSelector",
    "file_system": "FileCompactor FileCompactStrategy OutputFileConfig FileSource FileSourceBuilder FileSink "
    "StreamingFileSink StreamFormat BulkFormat FileEnumeratorProvider FileSplitAssignerProvider RollingPolicy "
    "BucketAssigner",
    "number_seq": "NumberSequenceSource",
    "hybrid_source": "HybridSource HybridSourceBuilder",
    "base": "Source Sink DeliveryGuarantee StreamTransformer SupportsPreprocessing",
}
FORMATS = {
    "avro": "AvroSchema GenericRecordAvroTypeInfo AvroInputFormat AvroBulkWriters AvroRowDeserializationSchema "
    "AvroRowSerializationSchema",
    "csv": "CsvSchema CsvSchemaBuilder CsvReaderFormat CsvBulkWriters CsvRowDeserializationSchema "
    "CsvRowSerializationSchema",
    "json": "JsonRowDeserializationSchema JsonRowSerializationSchema",
    "orc": "OrcBulkWriters",
    "parquet": "AvroParquetReaders AvroParquetWriters ParquetColumnarRowInputFormat ParquetBulkWriters",
}
JAVA_MODULES = ("cassandra", "elasticsearch", "jdbc", "kinesis", "pulsar", "rabbitmq")


@pytest.mark.parametrize(
    ("package", "module", "names"),
    [("connectors", *item) for item in NAMES.items()] + [("formats", *item) for item in FORMATS.items()],
)
def test_every_name_of_pyflink_is_there(package: str, module: str, names: str) -> None:
    loaded = importlib.import_module(f"penstock.datastream.{package}.{module}")
    for name in names.split():
        assert hasattr(loaded, name), name
        assert name in loaded.__all__


def test_the_packages_own_names() -> None:
    connectors = importlib.import_module("penstock.datastream.connectors")
    for name in connectors.__all__:
        assert getattr(connectors, name).__name__ == name
    with pytest.raises(AttributeError):
        connectors.Nothing  # noqa: B018


def java_classes() -> list[type[JavaConnector]]:
    found = []
    for module in JAVA_MODULES:
        for name in importlib.import_module(f"penstock.datastream.connectors.{module}").__all__:
            one = getattr(importlib.import_module(f"penstock.datastream.connectors.{module}"), name)
            if not issubclass(one, Enum):
                found += [one, *(inner for inner in vars(one).values() if inspect.isclass(inner))]
    return found


@pytest.mark.parametrize("connector", java_classes(), ids=lambda one: one.__qualname__)
def test_use_says_what_why_and_what_instead(connector: type[JavaConnector]) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        connector("anything", at="all")
    message = str(caught.value)
    assert message.startswith(f"{connector.__qualname__} is a Java connector (flink-connector-")
    assert "without a JVM" in message
    assert "replace it: " in message
    assert isinstance(caught.value, NotImplementedError)


@pytest.mark.parametrize(
    "call", ["pulsar.PulsarSource.builder", "pulsar.StartCursor.latest", "jdbc.JdbcSink.sink", "kinesis.KinesisStreamsSink.builder", "jdbc.JdbcExecutionOptions.defaults", "cassandra.CassandraSink.add_sink", "pulsar.StopCursor.at_event_time"],
)  # fmt: skip
def test_factories_say_it_too(call: str) -> None:
    module, owner, method = call.split(".")
    factory = getattr(getattr(importlib.import_module(f"penstock.datastream.connectors.{module}"), owner), method)
    with pytest.raises(UnsupportedFeatureError, match=rf"^{owner}\.{method} is a Java connector"):
        factory(1, x=2)

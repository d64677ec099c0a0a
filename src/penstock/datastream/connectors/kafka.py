"""Kafka as source and sink (`pyflink.datastream.connectors.kafka`), on confluent-kafka: the extra `kafka`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NoReturn

from penstock.common.serialization import DeserializationSchema, SerializationSchema
from penstock.datastream._transformations import UserFunction
from penstock.datastream.connectors._kafka_client import confluent_kafka
from penstock.datastream.connectors._kafka_offsets import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaTopicPartition,
)
from penstock.datastream.connectors._kafka_sink import KafkaSinkPlan, PlannedKafkaSink, RecordPlan
from penstock.datastream.connectors._kafka_source import KafkaPlan, PlannedKafkaSource
from penstock.datastream.connectors.base import DeliveryGuarantee, StreamTransformer, SupportsPreprocessing
from penstock.errors import ConfigurationError, UnsupportedFeatureError

__all__ = [
    "FlinkKafkaConsumer",
    "FlinkKafkaProducer",
    "KafkaOffsetResetStrategy",
    "KafkaOffsetsInitializer",
    "KafkaRecordSerializationSchema",
    "KafkaRecordSerializationSchemaBuilder",
    "KafkaSink",
    "KafkaSinkBuilder",
    "KafkaSource",
    "KafkaSourceBuilder",
    "KafkaTopicPartition",
    "KafkaTopicSelector",
    "Semantic",
]


class KafkaSource(PlannedKafkaSource):
    """Reads topics; made by `KafkaSource.builder()`.

    Records carry Kafka's timestamps. Offsets are part of checkpoints, and are committed to the group when a checkpoint is
    complete. Messages without a value, and those for which the schema returns None, are left out.
    """

    @staticmethod
    def builder() -> KafkaSourceBuilder:
        """Starts building."""
        return KafkaSourceBuilder()


class KafkaSourceBuilder:
    """Collects the settings of a KafkaSource; every method but `build` returns the builder."""

    def __init__(self) -> None:
        self._properties: dict[str, str] = {}
        self._what: dict[str, Any] = {}
        self._start = KafkaOffsetsInitializer.earliest()
        self._stop: KafkaOffsetsInitializer | None = None
        self._bounded = False
        self._schema: DeserializationSchema | None = None

    def build(self) -> KafkaSource:
        """The source.

        Raises:
            ConfigurationError: if servers, topics or the deserializer are missing, or confluent-kafka is not installed.
        """
        confluent_kafka()
        _required(self._properties)
        if not self._what:
            raise ConfigurationError(
                "No subscribe mode is specified, should be one of topics, topic pattern and partition set."
            )
        if self._schema is None:
            raise ConfigurationError(
                "Deserialization schema is required but not provided; call set_value_only_deserializer()."
            )
        return KafkaSource(
            KafkaPlan(
                dict(self._properties),
                UserFunction(self._schema),
                self._schema.produced_type,
                **self._what,
                start=self._start,
                stop=self._stop,
                bounded=self._bounded,
            )
        )

    def set_bootstrap_servers(self, bootstrap_servers: str) -> KafkaSourceBuilder:
        """Servers to ask first: `host:port,host:port`."""
        return self.set_property("bootstrap.servers", bootstrap_servers)

    def set_group_id(self, group_id: str) -> KafkaSourceBuilder:
        """The group whose offsets are committed; it has no part in who reads which partition."""
        return self.set_property("group.id", group_id)

    def set_topics(self, *topics: str) -> KafkaSourceBuilder:
        """Reads all partitions of these topics."""
        return self._subscribe("topics", topics)

    def set_topic_pattern(self, topic_pattern: str) -> KafkaSourceBuilder:
        """Reads all partitions of the topics whose whole name matches a regular expression.

        Raises:
            ConfigurationError: if it is none.
        """
        try:
            re.compile(topic_pattern)
        except re.error as error:
            raise ConfigurationError(f"{topic_pattern!r} is no regular expression: {error}") from error
        return self._subscribe("topic_pattern", topic_pattern)

    def set_partitions(self, partitions: set[KafkaTopicPartition]) -> KafkaSourceBuilder:
        """Reads these partitions."""
        return self._subscribe("partitions", tuple(sorted(partitions, key=lambda one: (one.topic, one.partition))))

    def _subscribe(self, mode: str, value: Any) -> KafkaSourceBuilder:
        if self._what:
            raise ConfigurationError(
                f"Cannot use {mode} for consumption because {next(iter(self._what))} is already set for consumption."
            )
        self._what = {mode: value}
        return self

    def set_starting_offsets(self, starting_offsets_initializer: KafkaOffsetsInitializer) -> KafkaSourceBuilder:
        """Where to start, `KafkaOffsetsInitializer.earliest()` by default."""
        self._start = starting_offsets_initializer
        return self

    def set_unbounded(self, stopping_offsets_initializer: KafkaOffsetsInitializer) -> KafkaSourceBuilder:
        """Stops there, but remains an unbounded source."""
        self._stop, self._bounded = stopping_offsets_initializer, False
        return self

    def set_bounded(self, stopping_offsets_initializer: KafkaOffsetsInitializer) -> KafkaSourceBuilder:
        """Stops there, and is a bounded source."""
        self._stop, self._bounded = stopping_offsets_initializer, True
        return self

    def set_value_only_deserializer(self, deserialization_schema: DeserializationSchema) -> KafkaSourceBuilder:
        """How values become records."""
        if not isinstance(deserialization_schema, DeserializationSchema):
            raise TypeError(f"a DeserializationSchema is needed, got {deserialization_schema!r}")
        self._schema = deserialization_schema
        return self

    def set_client_id_prefix(self, prefix: str) -> KafkaSourceBuilder:
        """What the clients' ids start with."""
        return self.set_property("client.id.prefix", prefix)

    def set_property(self, key: str, value: str) -> KafkaSourceBuilder:
        """A property of the consumer, by Java's or librdkafka's name."""
        self._properties[key] = str(value)
        return self

    def set_properties(self, props: Mapping[str, Any]) -> KafkaSourceBuilder:
        """Several properties."""
        for key, value in props.items():
            self.set_property(key, value)
        return self


class KafkaTopicSelector(ABC):
    """Chooses the topic of each element."""

    @abstractmethod
    def apply(self, data: Any) -> str:
        """The topic of an element."""


class KafkaRecordSerializationSchema(SerializationSchema):
    """How elements become Kafka messages; made by `KafkaRecordSerializationSchema.builder()`."""

    def __init__(self, plan: RecordPlan) -> None:
        self.plan = plan

    @staticmethod
    def builder() -> KafkaRecordSerializationSchemaBuilder:
        """Starts building."""
        return KafkaRecordSerializationSchemaBuilder()


class KafkaRecordSerializationSchemaBuilder:
    """Collects topic and schemas."""

    def __init__(self) -> None:
        self._topic: str | None = None
        self._selector: UserFunction | None = None
        self._key_schema: UserFunction | None = None
        self._value_schema: UserFunction | None = None

    def build(self) -> KafkaRecordSerializationSchema:
        """The schema.

        Raises:
            ConfigurationError: if the topic or the value's schema is missing.
        """
        if self._value_schema is None:
            raise ConfigurationError("No value serializer is configured; call set_value_serialization_schema().")
        if self._topic is None and self._selector is None:
            raise ConfigurationError("No topic selector is configured; call set_topic() or set_topic_selector().")
        return KafkaRecordSerializationSchema(
            RecordPlan(self._value_schema, self._topic, self._selector, self._key_schema)
        )

    def set_topic(self, topic: str) -> KafkaRecordSerializationSchemaBuilder:
        """Writes everything to one topic."""
        self._check_no_topic()
        self._topic = topic
        return self

    def set_topic_selector(
        self, topic_selector: Callable[[Any], str] | KafkaTopicSelector
    ) -> KafkaRecordSerializationSchemaBuilder:
        """Writes each element to the topic the function returns for it."""
        if not callable(topic_selector) and not isinstance(topic_selector, KafkaTopicSelector):
            raise TypeError("topic_selector should be KafkaTopicSelector or callable")
        self._check_no_topic()
        self._selector = UserFunction(topic_selector)
        return self

    def _check_no_topic(self) -> None:
        if self._topic is not None or self._selector is not None:
            raise ConfigurationError("Topic selector already set; call only one of set_topic and set_topic_selector.")

    def set_key_serialization_schema(
        self, key_serialization_schema: SerializationSchema
    ) -> KafkaRecordSerializationSchemaBuilder:
        """Gives messages a key, by which their partition is chosen."""
        self._key_schema = _schema(key_serialization_schema)
        return self

    def set_value_serialization_schema(
        self, value_serialization_schema: SerializationSchema
    ) -> KafkaRecordSerializationSchemaBuilder:
        """How elements become values."""
        self._value_schema = _schema(value_serialization_schema)
        return self


def _schema(schema: Any) -> UserFunction:
    if not isinstance(schema, SerializationSchema):
        raise TypeError(f"a SerializationSchema is needed, got {schema!r}")
    return UserFunction(schema)


class KafkaSink(PlannedKafkaSink, SupportsPreprocessing):
    """Writes to topics; made by `KafkaSink.builder()`.

    With AT_LEAST_ONCE everything is delivered before a checkpoint is complete, so a restart may repeat records. With
    EXACTLY_ONCE the records between two checkpoints are held in memory and with the checkpoint, and written in one
    transaction when it is complete; consumers must read with `isolation.level=read_committed`. With NONE, the default,
    records may be lost or doubled by a failure.
    """

    @staticmethod
    def builder() -> KafkaSinkBuilder:
        """Starts building."""
        return KafkaSinkBuilder()

    def get_transformer(self) -> StreamTransformer | None:
        """None: topics are selected while writing."""
        return None


class KafkaSinkBuilder:
    """Collects the settings of a KafkaSink; every method but `build` returns the builder."""

    def __init__(self) -> None:
        self._properties: dict[str, str] = {}
        self._guarantee = DeliveryGuarantee.NONE
        self._prefix: str | None = None
        self._records: RecordPlan | None = None

    def build(self) -> KafkaSink:
        """The sink.

        Raises:
            ConfigurationError: if servers, the serializer or (for EXACTLY_ONCE) the transactional id prefix are missing, or
                confluent-kafka is not installed.
        """
        confluent_kafka()
        _required(self._properties)
        if self._records is None:
            raise ConfigurationError("recordSerializer is required but not provided; call set_record_serializer().")
        if self._guarantee is DeliveryGuarantee.EXACTLY_ONCE and self._prefix is None:
            raise ConfigurationError(
                "EXACTLY_ONCE delivery guarantee requires a transactionalIdPrefix to be set to provide unique transaction "
                "names across multiple KafkaSinks writing to the same Kafka cluster."
            )
        return KafkaSink(KafkaSinkPlan(dict(self._properties), self._records, self._guarantee, self._prefix))

    def set_bootstrap_servers(self, bootstrap_servers: str) -> KafkaSinkBuilder:
        """Servers to ask first: `host:port,host:port`."""
        return self.set_property("bootstrap.servers", bootstrap_servers)

    def set_delivery_guarantee(self, delivery_guarantee: DeliveryGuarantee) -> KafkaSinkBuilder:
        """What is promised when a job is restarted, NONE by default."""
        self._guarantee = delivery_guarantee
        return self

    def set_transactional_id_prefix(self, transactional_id_prefix: str) -> KafkaSinkBuilder:
        """What the names of transactions start with."""
        self._prefix = transactional_id_prefix
        return self

    def set_record_serializer(self, record_serializer: KafkaRecordSerializationSchema) -> KafkaSinkBuilder:
        """How elements become messages, and for which topic."""
        if not isinstance(record_serializer, KafkaRecordSerializationSchema):
            raise TypeError(f"a KafkaRecordSerializationSchema is needed, got {record_serializer!r}")
        self._records = record_serializer.plan
        return self

    def set_property(self, key: str, value: str) -> KafkaSinkBuilder:
        """A property of the producer, by Java's or librdkafka's name."""
        self._properties[key] = str(value)
        return self


def _required(properties: Mapping[str, str]) -> None:
    if not properties.get("bootstrap.servers"):
        raise ConfigurationError(
            "Property bootstrap.servers is required but not provided; call set_bootstrap_servers('host:9092')."
        )


class Semantic(Enum):
    """Delivery guarantees of FlinkKafkaProducer."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2


class FlinkKafkaConsumerBase:
    """The source that KafkaSource has replaced: Flink 2's JARs lack it, and it raises UnsupportedFeatureError."""

    def __init__(self, *arguments: Any, **settings: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            f"{type(self).__name__} was removed from Flink 2. Use KafkaSource.builder() with env.from_source()."
        )


class FlinkKafkaConsumer(FlinkKafkaConsumerBase):
    """The source that KafkaSource has replaced: Flink 2's JARs lack it, and it raises UnsupportedFeatureError."""


class FlinkKafkaProducerBase:
    """The sink that KafkaSink has replaced: Flink 2's JARs lack it, and it raises UnsupportedFeatureError."""

    def __init__(self, *arguments: Any, **settings: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            f"{type(self).__name__} was removed from Flink 2. Use KafkaSink.builder() with stream.sink_to()."
        )


class FlinkKafkaProducer(FlinkKafkaProducerBase):
    """The sink that KafkaSink has replaced: Flink 2's JARs lack it, and it raises UnsupportedFeatureError."""

"""Kafka against librdkafka's mock cluster, which the client itself brings along."""

from __future__ import annotations

import logging
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.common.serialization import ByteArraySchema, DeserializationSchema, SimpleStringSchema
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.connectors import _kafka_sink, _kafka_source
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    DeliveryGuarantee,
    ReaderContext,
    Source,
    SourceReader,
    WriterContext,
)
from penstock.datastream.connectors.kafka import (
    FlinkKafkaConsumer,
    FlinkKafkaProducer,
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
    KafkaTopicPartition,
    KafkaTopicSelector,
)
from penstock.datastream.formats.csv import CsvRowDeserializationSchema, CsvRowSerializationSchema
from penstock.datastream.formats.json import JsonRowDeserializationSchema, JsonRowSerializationSchema
from penstock.errors import ConfigurationError, JobError, UnsupportedFeatureError

confluent_kafka = pytest.importorskip("confluent_kafka", reason="the extra kafka is not installed")
PARTITIONS = 4  # of each topic the mock cluster makes by itself
WAIT_S = 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A producer that runs a mock cluster, for as long as it lives."""
    quiet = logging.getLogger("test.kafka")
    quiet.setLevel(logging.CRITICAL)
    producer = confluent_kafka.Producer({"test.mock.num.brokers": 1}, logger=quiet)
    yield producer
    producer.flush(5)


@pytest.fixture(scope="module")
def servers(cluster: Any) -> str:
    brokers = cluster.list_topics(timeout=WAIT_S).brokers.values()
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


@pytest.fixture
def topic(cluster: Any) -> str:
    name = f"topic-{uuid.uuid4()}"
    cluster.list_topics(name, timeout=WAIT_S)  # makes it
    return name


def fill(cluster: Any, topic: str, count: int, start: int = 0) -> list[str]:
    values = [f"value {number}" for number in range(start, start + count)]
    for number, value in enumerate(values, start):
        cluster.produce(topic, value.encode(), partition=number % PARTITIONS, timestamp=1_000_000 + number)
    assert cluster.flush(WAIT_S) == 0
    return values


class Reading:
    """One reader with a task that waits to be woken."""

    def __init__(self, source: Source, splits: Any = None, index: int = 0, parallelism: int = 1) -> None:
        self.wakened = threading.Event()
        self.context = ReaderContext(index, parallelism, self.wakened.set, lambda: int(time.time() * 1000))
        source = pickle.loads(pickle.dumps(source))
        if splits is None:
            splits = source.deal_out(source.plan_splits(parallelism), parallelism)[index]
        self.reader: SourceReader = source.create_reader(splits, self.context)
        self.values: list[Any] = []
        self.timestamps: list[int] = []
        self.ended = False

    def until(self, condition: Callable[[], bool], size: int = 7) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition() and not self.ended:
            self.wakened.clear()
            batch = self.reader.poll(size)
            if batch is END_OF_INPUT:
                self.ended = True
            elif batch is None:
                assert self.wakened.wait(deadline - time.monotonic()), "nothing comes"
            else:
                self.values += batch.values
                self.timestamps += batch.timestamps or []

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *error: object) -> None:
        self.reader.close()


def builder(servers: str, topic: str) -> Any:
    return (
        KafkaSource.builder()
        .set_bootstrap_servers(servers)
        .set_topics(topic)
        .set_value_only_deserializer(SimpleStringSchema())
    )


def test_a_bounded_source_reads_everything_once(cluster: Any, servers: str, topic: str) -> None:
    values = fill(cluster, topic, 50)
    source = builder(servers, topic).set_bounded(KafkaOffsetsInitializer.latest()).build()
    assert source.boundedness is Boundedness.BOUNDED
    assert str(source.produced_type) == "String"
    with Reading(source) as reading:
        reading.until(lambda: False)
        assert sorted(reading.values) == sorted(values)
        assert sorted(reading.timestamps) == [1_000_000 + number for number in range(50)]
        assert reading.reader.snapshot() == []
        assert reading.reader.progress() == (50, 50)


def test_partitions_keep_their_order_and_readers_share_them(cluster: Any, servers: str, topic: str) -> None:
    values = fill(cluster, topic, 60)
    source = builder(servers, topic).set_bounded(KafkaOffsetsInitializer.latest()).build()
    found = []
    for index in range(3):
        with Reading(source, index=index, parallelism=3) as reading:
            reading.until(lambda: False)
            for partition in range(PARTITIONS):
                mine = [value for value in reading.values if int(value.split()[1]) % PARTITIONS == partition]
                assert mine == sorted(mine, key=lambda value: int(value.split()[1]))
            found += reading.values
    assert sorted(found) == sorted(values)


@pytest.mark.parametrize("stop", [0, 1, 13, 39])
def test_a_restart_goes_on_at_the_snapshot(cluster: Any, servers: str, topic: str, stop: int) -> None:
    values = fill(cluster, topic, 40)
    source = builder(servers, topic).set_bounded(KafkaOffsetsInitializer.latest()).build()
    with Reading(source) as reading:
        reading.until(lambda: len(reading.values) >= stop, 1)
        snapshot, before = pickle.loads(pickle.dumps(reading.reader.snapshot())), list(reading.values)
        reading.until(lambda: len(reading.values) >= stop + 5, 1)
    found = list(before)
    for index, splits in enumerate(source.deal_out(snapshot, 2)):
        with Reading(source, splits, index, 2) as reading:
            reading.until(lambda: False)
            found += reading.values
    assert sorted(found) == sorted(values)


def test_an_unbounded_source_waits_for_more(cluster: Any, servers: str, topic: str) -> None:
    first = fill(cluster, topic, 10)
    source = builder(servers, topic).build()
    assert source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    with Reading(source) as reading:
        reading.until(lambda: len(reading.values) == 10)
        assert reading.reader.poll(5) is None
        second = fill(cluster, topic, 10, 10)
        reading.until(lambda: len(reading.values) == 20)
        assert sorted(reading.values) == sorted(first + second)
        assert reading.reader.progress() is None


def test_starting_and_stopping_offsets(cluster: Any, servers: str, topic: str) -> None:
    fill(cluster, topic, 40)
    one = {KafkaTopicPartition(topic, 0): 3, KafkaTopicPartition(topic, 1): 9}
    start = KafkaOffsetsInitializer.offsets(one, KafkaOffsetResetStrategy.LATEST)
    source = builder(servers, topic).set_starting_offsets(start).set_bounded(KafkaOffsetsInitializer.latest()).build()
    with Reading(source) as reading:
        reading.until(lambda: False)
        assert sorted(int(value.split()[1]) for value in reading.values) == [12, 16, 20, 24, 28, 32, 36, 37]
    stop = KafkaOffsetsInitializer.offsets({KafkaTopicPartition(topic, p): 2 for p in range(PARTITIONS)})
    with Reading(builder(servers, topic).set_bounded(stop).build()) as reading:
        reading.until(lambda: False)
        assert sorted(int(value.split()[1]) for value in reading.values) == list(range(8))
    latest = builder(servers, topic).set_starting_offsets(KafkaOffsetsInitializer.latest())
    with Reading(latest.set_bounded(KafkaOffsetsInitializer.latest()).build()) as reading:
        reading.until(lambda: False)
        assert reading.values == []


def test_offsets_are_committed_when_a_checkpoint_is_complete(cluster: Any, servers: str, topic: str) -> None:
    fill(cluster, topic, 40)
    group = f"group-{uuid.uuid4()}"
    source = builder(servers, topic).set_group_id(group).build()
    with Reading(source) as reading:
        reading.until(lambda: len(reading.values) >= 10, 1)
        offsets = {split.partition: split.offset for split in reading.reader.snapshot()}
        reading.until(lambda: len(reading.values) >= 20, 1)
        reading.reader.notify_checkpoint_complete(1)
        consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": group})
        asked = [confluent_kafka.TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            found = {one.partition: max(0, one.offset) for one in consumer.committed(asked, timeout=WAIT_S)}
            if found == offsets:
                break
        consumer.close()
        assert found == offsets
    start = KafkaOffsetsInitializer.committed_offsets(KafkaOffsetResetStrategy.EARLIEST)
    again = builder(servers, topic).set_group_id(group).set_starting_offsets(start)
    with Reading(again.set_bounded(KafkaOffsetsInitializer.latest()).build()) as reading:
        reading.until(lambda: False)
        assert len(reading.values) == 40 - sum(offsets.values())
    nothing = (
        builder(servers, topic).set_group_id("never").set_starting_offsets(KafkaOffsetsInitializer.committed_offsets())
    )
    with pytest.raises(ConfigurationError, match="no committed offset"):
        nothing.build().plan_splits(1)


def test_new_partitions_are_found(cluster: Any, servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = f"found-{uuid.uuid4()}"
    cluster.list_topics(f"{prefix}-a", timeout=WAIT_S)
    first = fill(cluster, f"{prefix}-a", 8)
    source = (
        KafkaSource.builder()
        .set_properties({"bootstrap.servers": servers, "partition.discovery.interval.ms": 50})
        .set_topic_pattern(f"{prefix}-.*")
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    )
    splits = source.deal_out(source.plan_splits(2), 2)
    with Reading(source, splits[0], 0, 2) as one, Reading(source, splits[1], 1, 2) as two:
        cluster.list_topics(f"{prefix}-b", timeout=WAIT_S)
        second = fill(cluster, f"{prefix}-b", 8, 100)
        for reading in (one, two):
            reading.until(lambda reading=reading: len(reading.values) == 8)
        assert sorted(one.values + two.values) == sorted(first + second)
        known = one.reader.snapshot() + two.reader.snapshot()
    assert len(known) == 2 * PARTITIONS
    again = source.deal_out(pickle.loads(pickle.dumps(known)), 1)[0]
    with Reading(source, again) as reading:
        third = fill(cluster, f"{prefix}-b", 4, 200)
        reading.until(lambda: len(reading.values) == 4)
        assert sorted(reading.values) == sorted(third)


def test_messages_without_a_value_are_left_out(cluster: Any, servers: str, topic: str) -> None:
    for value in (b"a", None, b"b"):
        cluster.produce(topic, value, partition=0)
    cluster.flush(WAIT_S)
    with Reading(builder(servers, topic).set_bounded(KafkaOffsetsInitializer.latest()).build()) as reading:
        reading.until(lambda: False)
        assert reading.values == ["a", "b"]


def test_row_schemas(cluster: Any, servers: str) -> None:
    kind = Types.ROW_NAMED(["id", "name"], [Types.INT(), Types.STRING()])
    pairs = [
        (
            JsonRowSerializationSchema.builder().with_type_info(kind).build(),
            JsonRowDeserializationSchema.builder().type_info(kind).build(),
        ),
        (CsvRowSerializationSchema.Builder(kind).build(), CsvRowDeserializationSchema.Builder(kind).build()),
    ]
    rows = [Row(id=number, name=f"n {number}") for number in range(20)]
    for writing, reading_schema in pairs:
        topic = f"rows-{uuid.uuid4()}"
        cluster.list_topics(topic, timeout=WAIT_S)
        write(sink(servers, topic, writing, DeliveryGuarantee.AT_LEAST_ONCE), rows)
        source = (
            KafkaSource.builder()
            .set_properties({"bootstrap.servers": servers, "group.id": "test_group"})
            .set_topics(topic)
            .set_value_only_deserializer(reading_schema)
            .set_bounded(KafkaOffsetsInitializer.latest())
            .build()
        )
        assert source.produced_type == kind
        with Reading(source) as reading:
            reading.until(lambda: False)
            assert sorted(reading.values, key=lambda row: row["id"]) == rows


# -- sinks


def sink(servers: str, topic: str, schema: Any, guarantee: DeliveryGuarantee, **options: Any) -> KafkaSink:
    records = KafkaRecordSerializationSchema.builder().set_topic(topic).set_value_serialization_schema(schema).build()
    built = KafkaSink.builder().set_bootstrap_servers(servers).set_record_serializer(records)
    built.set_delivery_guarantee(guarantee).set_property("group.id", "of no use to a producer")
    if guarantee is DeliveryGuarantee.EXACTLY_ONCE:
        built.set_transactional_id_prefix("test")
    for key, value in options.items():
        built.set_property(key.replace("_", "."), value)
    return built.build()


def context() -> WriterContext:
    return WriterContext(0, 1, lambda: 0, None, True)


def write(built: KafkaSink, values: list[Any], timestamps: list[int] | None = None) -> None:
    built = pickle.loads(pickle.dumps(built))
    writer = built.create_writer(context())
    committer = built.create_committer()
    half = len(values) // 2
    for part in (slice(0, half), slice(half, None)):
        writer.write(values[part], None if timestamps is None else timestamps[part], 0)
        committables = pickle.loads(pickle.dumps(writer.prepare_commit()))
        writer.snapshot()
        if committer is not None:
            committer.commit(committables)
    committables = writer.finish()
    if committer is not None:
        committer.commit(committables)
    writer.close()


def read_all(servers: str, topic: str) -> list[Any]:
    source = builder(servers, topic).set_bounded(KafkaOffsetsInitializer.latest()).build()
    with Reading(source) as reading:
        reading.until(lambda: False, 1000)
        return reading.values


@pytest.mark.parametrize("guarantee", list(DeliveryGuarantee))
def test_every_guarantee_delivers(servers: str, topic: str, guarantee: DeliveryGuarantee) -> None:
    values = [f"v{number}" for number in range(500)]
    write(sink(servers, topic, SimpleStringSchema(), guarantee), values)
    assert sorted(read_all(servers, topic)) == sorted(values)


def test_keys_topics_and_timestamps(cluster: Any, servers: str) -> None:
    name = f"selected-{uuid.uuid4()}"
    topics = [f"{name}-{number}" for number in range(2)]
    for one in topics:
        cluster.list_topics(one, timeout=WAIT_S)
    records = (
        KafkaRecordSerializationSchema.builder()
        .set_topic_selector(lambda element: f"{name}-{int(element) % 2}")
        .set_key_serialization_schema(SimpleStringSchema())
        .set_value_serialization_schema(SimpleStringSchema())
        .build()
    )
    built = KafkaSink.builder().set_bootstrap_servers(servers).set_record_serializer(records).build()
    write(built, [str(number) for number in range(10)], [1000 + number for number in range(10)])
    consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": "x"})
    consumer.assign([confluent_kafka.TopicPartition(topics[1], partition, 0) for partition in range(PARTITIONS)])
    messages: list[Any] = []
    deadline = time.monotonic() + WAIT_S
    while len(messages) < 5 and time.monotonic() < deadline:
        messages += [message for message in consumer.consume(5, 0.2) if message.error() is None]
    consumer.close()
    assert sorted((m.key(), m.value(), m.timestamp()[1]) for m in messages) == [
        (b"%d" % number, b"%d" % number, 1000 + number) for number in range(1, 10, 2)
    ]


def test_a_repeated_commit_is_noticed(monkeypatch: pytest.MonkeyPatch, servers: str, topic: str) -> None:
    """The mock cluster forgets offsets committed in transactions, so they are remembered here."""
    built = sink(servers, topic, SimpleStringSchema(), DeliveryGuarantee.EXACTLY_ONCE)
    writer = built.create_writer(context())
    writer.write(["a", "b"], None, 0)
    first = writer.prepare_commit()
    assert writer.prepare_commit() == []
    writer.write(["c"], None, 0)
    second = writer.finish()
    known: dict[str, int] = {}
    real = _kafka_sink.client

    class Group:
        def __init__(self, name: str) -> None:
            self.consumer = real("Consumer", {"bootstrap.servers": servers, "group.id": name})
            self.name = name

        def committed(self, asked: Any, timeout: float) -> Any:
            return [confluent_kafka.TopicPartition(topic, 0, known.get(self.name, -1001))]

        def consumer_group_metadata(self) -> Any:
            return self.consumer.consumer_group_metadata()

        def close(self) -> None:
            self.consumer.close()

    def client(kind: str, settings: Any) -> Any:
        if kind == "Consumer":
            assert settings["bootstrap.servers"] == servers
            return Group(settings["group.id"])
        return real(kind, settings)

    monkeypatch.setattr(_kafka_sink, "client", client)
    for transactions in (first, first, second, first, second):
        built.create_committer().commit(transactions)
        for transaction in transactions:
            known[transaction.transactional_id] = max(
                transaction.sequence + 1, known.get(transaction.transactional_id, 0)
            )
    assert sorted(read_all(servers, topic)) == ["a", "b", "c"]


def test_what_is_held_for_a_transaction_is_bounded(servers: str, topic: str) -> None:
    limit = {"penstock_transaction_max_bytes": "100"}
    writer = sink(servers, topic, SimpleStringSchema(), DeliveryGuarantee.EXACTLY_ONCE, **limit).create_writer(
        context()
    )
    with pytest.raises(JobError, match="AT_LEAST_ONCE"):
        writer.write(["x" * 60, "y" * 60], None, 0)


def test_a_server_that_is_not_there() -> None:
    source = builder("127.0.0.1:1", "t").set_property("socket.timeout.ms", "100").build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kafka_source, "_TIMEOUT_S", 0.5)
        with pytest.raises(JobError, match=r"127\.0\.0\.1:1"):
            source.plan_splits(1)


def test_a_topic_that_is_not_there(servers: str) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        builder(servers, "nowhere").build().plan_splits(1)


def test_records_that_are_not_delivered_fail_the_job(servers: str, topic: str) -> None:
    built = sink("127.0.0.1:1", topic, SimpleStringSchema(), DeliveryGuarantee.AT_LEAST_ONCE, message_timeout_ms="300")
    writer = built.create_writer(context())
    writer.write(["x"], None, 0)
    with pytest.raises(JobError, match="take records"):
        writer.prepare_commit()
    writer.close()


# -- building


def test_builders_refuse_what_is_incomplete() -> None:
    source = KafkaSource.builder()
    with pytest.raises(ConfigurationError, match=r"bootstrap\.servers"):
        source.build()
    with pytest.raises(ConfigurationError, match="subscribe mode"):
        source.set_bootstrap_servers("a:1").build()
    with pytest.raises(ConfigurationError, match="Deserialization"):
        source.set_topics("t").build()
    with pytest.raises(ConfigurationError, match="already set"):
        source.set_topic_pattern("t.*")
    with pytest.raises(ConfigurationError, match="regular expression"):
        KafkaSource.builder().set_topic_pattern("(")
    with pytest.raises(TypeError):
        source.set_value_only_deserializer("x")
    built = KafkaSink.builder()
    with pytest.raises(ConfigurationError, match=r"bootstrap\.servers"):
        built.build()
    with pytest.raises(ConfigurationError, match="recordSerializer"):
        built.set_bootstrap_servers("a:1").build()
    schema = KafkaRecordSerializationSchema.builder()
    with pytest.raises(ConfigurationError, match="value serializer"):
        schema.build()
    with pytest.raises(ConfigurationError, match="topic selector"):
        schema.set_value_serialization_schema(ByteArraySchema()).build()
    with pytest.raises(TypeError):
        schema.set_topic_selector(5)
    built.set_record_serializer(schema.set_topic("t").build()).set_delivery_guarantee(DeliveryGuarantee.EXACTLY_ONCE)
    with pytest.raises(ConfigurationError, match="transactionalIdPrefix"):
        built.build()


def test_partitions_and_selectors_are_values() -> None:
    class Selector(KafkaTopicSelector):
        def apply(self, data: Any) -> str:
            return f"t{data}"

    assert KafkaTopicPartition("a", 1) == KafkaTopicPartition("a", 1) != KafkaTopicPartition("a", 2)
    assert len({KafkaTopicPartition("a", 1), KafkaTopicPartition("a", 1)}) == 1
    schema = KafkaRecordSerializationSchema.builder().set_topic_selector(Selector())
    plan = schema.set_value_serialization_schema(SimpleStringSchema()).build().plan
    assert plan.encoder()("x", -(2**63)) == ("tx", None, b"x", 0)


def test_classes_of_flink_1_say_what_to_use() -> None:
    with pytest.raises(UnsupportedFeatureError, match="KafkaSource"):
        FlinkKafkaConsumer("t", SimpleStringSchema(), {})
    with pytest.raises(UnsupportedFeatureError, match="KafkaSink"):
        FlinkKafkaProducer("t", SimpleStringSchema(), {})


def test_java_properties_are_translated(caplog: pytest.LogCaptureFixture) -> None:
    from penstock.datastream.connectors._kafka_client import client, client_properties

    jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";'
    properties = {
        "bootstrap.servers": "a:1",
        "group.id": "g",
        "sasl.jaas.config": jaas,
        "buffer.memory": "33554432",
        "auto.offset.reset": "none",
        "key.deserializer": "org.example.X",
        "fetch.max.wait.ms": "5",
    }
    assert client_properties(properties, consumer=True) == {
        "bootstrap.servers": "a:1",
        "group.id": "g",
        "sasl.username": "u",
        "sasl.password": "p",
        "queue.buffering.max.kbytes": "32768",
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": "5",
    }
    assert "group.id" not in client_properties(properties, consumer=False)
    with pytest.raises(ConfigurationError, match="keytool"):
        client_properties({"ssl.truststore.location": "x.jks"}, consumer=True)
    with caplog.at_level(logging.WARNING):
        client("Consumer", {"group.id": "g", "of.no.use": "1"}).close()
    assert "of.no.use" in caplog.text
    with pytest.raises(ConfigurationError, match="cannot be made"):
        client("Consumer", {"group.id": "g", "session.timeout.ms": "much"})


def test_a_schema_that_fails_fails_the_reader(cluster: Any, servers: str, topic: str) -> None:
    class Failing(DeserializationSchema):
        def deserialize(self, message: bytes) -> Any:
            raise JobError(f"no {message!r}")

    fill(cluster, topic, 1)
    source = builder(servers, topic).set_value_only_deserializer(Failing()).build()
    with Reading(source, source.plan_splits(1)) as reading, pytest.raises(JobError, match="no b'value 0'"):
        reading.until(lambda: False)

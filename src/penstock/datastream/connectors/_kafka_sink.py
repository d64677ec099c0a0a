"""Writing Kafka: at least once by flushing at checkpoints, exactly once by one transaction a checkpoint.

librdkafka cannot go on with a transaction that another process has begun, as Flink's sink does after a crash. Therefore
records that are to be written exactly once are kept with the checkpoint, and written in one transaction when it is
complete. The transaction also commits an offset of a consumer group of its own, by which a repeated commit knows that
it was done.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.datastream._transformations import UserFunction
from penstock.datastream.connectors._kafka_client import client, client_properties, confluent_kafka, kafka_error
from penstock.datastream.connectors.base import Committer, DeliveryGuarantee, Sink, SinkWriter, WriterContext
from penstock.errors import JobError

__all__ = ["KafkaSinkPlan", "KafkaTransaction", "PlannedKafkaSink", "RecordPlan"]

_REQUEST_S = 60.0
_FLUSH_S = 1.0  # how long one call of flush waits; it is called until everything is delivered
_QUEUE_FULL_S = 0.5
_TRANSACTION_BYTES = 128 * 1024 * 1024
_PRODUCERS_MAX = 16  # transactional producers a committer keeps
_JAVA_PARTITIONER = "murmur2_random"  # records with a key go to the partition Java's client sends them to

Message = tuple[str, bytes | None, bytes | None, int]
"""Topic, key, value, timestamp (epoch ms, 0 for the broker's)."""


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """How an element becomes a message.

    Attributes:
        topic: where it goes, or None with `topic_selector`.
        topic_selector: a callable `element -> topic`, pickled.
        key_schema, value_schema: SerializationSchemas, pickled; without a key schema messages have no key.
    """

    value_schema: UserFunction
    topic: str | None = None
    topic_selector: UserFunction | None = None
    key_schema: UserFunction | None = None

    def encoder(self) -> Callable[[Any, int], Message]:
        """The function from an element and its timestamp to a message."""
        select = None
        if self.topic_selector is not None:
            selector = self.topic_selector.load()
            select = selector if callable(selector) else selector.apply
        topic, serialize = self.topic, self.value_schema.load().serialize
        key = None if self.key_schema is None else self.key_schema.load().serialize

        def encode(element: Any, timestamp: int) -> Message:
            name = topic if select is None else select(element)
            return name or "", None if key is None else key(element), serialize(element), max(0, timestamp)

        return encode


@dataclass(frozen=True, slots=True)
class KafkaSinkPlan:
    """What a KafkaSink was built with."""

    properties: Mapping[str, str]
    records: RecordPlan
    guarantee: DeliveryGuarantee
    transactional_id_prefix: str | None = None

    @property
    def servers(self) -> str:
        """The bootstrap servers."""
        return self.properties["bootstrap.servers"]

    def producer(self, **fixed: Any) -> Any:
        """A producer that reports only what was not delivered."""
        translated = client_properties(self.properties, consumer=False)
        settings = {"partitioner": _JAVA_PARTITIONER, **translated, "delivery.report.only.error": True, **fixed}
        return client("Producer", settings)


@dataclass(frozen=True, slots=True)
class KafkaTransaction:
    """The messages of one writer between two checkpoints: the committable.

    Attributes:
        transactional_id: the writer's own, which fences an earlier attempt to commit.
        sequence: from 0.
    """

    transactional_id: str
    sequence: int
    messages: tuple[Message, ...]


class PlannedKafkaSink(Sink):
    """Writes by a KafkaSinkPlan."""

    def __init__(self, plan: KafkaSinkPlan) -> None:
        self._plan = plan

    def create_writer(self, context: WriterContext, recovered: Sequence[Any] = ()) -> SinkWriter:
        """A writer for the guarantee; nothing is recovered."""
        if self._plan.guarantee is DeliveryGuarantee.EXACTLY_ONCE:
            return _TransactionalWriter(self._plan)
        return _FlushingWriter(self._plan)

    def create_committer(self) -> Committer | None:
        """A committer of transactions for EXACTLY_ONCE."""
        return _TransactionCommitter(self._plan) if self._plan.guarantee is DeliveryGuarantee.EXACTLY_ONCE else None


class _Deliveries:
    """Produces messages, and remembers what was not delivered. Owned by the thread that calls it."""

    def __init__(self, plan: KafkaSinkPlan, producer: Any) -> None:
        self.producer = producer
        self._servers = plan.servers
        self._failed: Any = None

    def _report(self, error: Any, message: Any) -> None:
        if error is not None and self._failed is None:
            self._failed = error

    def produce(self, message: Message) -> None:
        """Hands a message to the client, waiting while its queue is full: the back-pressure."""
        topic, key, value, timestamp = message
        while True:
            try:
                self.producer.produce(topic, value, key, timestamp=timestamp, on_delivery=self._report)
                return
            except BufferError:
                self.producer.poll(_QUEUE_FULL_S)
                self.check()

    def serve(self) -> None:
        """Takes reports without waiting."""
        self.producer.poll(0)
        self.check()

    def flush(self) -> None:
        """Waits until everything is delivered."""
        while self.producer.flush(_FLUSH_S):
            self.check()
        self.check()

    def check(self) -> None:
        """Raises what was not delivered."""
        if self._failed is not None:
            package = confluent_kafka()
            error = package.KafkaException(self._failed)
            raise kafka_error("take records", self._servers, error) from error


class _FlushingWriter(SinkWriter):
    """AT_LEAST_ONCE: everything is delivered before a checkpoint is complete. NONE: nothing is waited for but the end."""

    def __init__(self, plan: KafkaSinkPlan) -> None:
        self._encode = plan.records.encoder()
        self._flushes = plan.guarantee is DeliveryGuarantee.AT_LEAST_ONCE
        self._deliveries = _Deliveries(plan, plan.producer())

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None, watermark: int) -> None:
        encode, produce = self._encode, self._deliveries.produce
        for index, value in enumerate(values):
            produce(encode(value, 0 if timestamps is None else timestamps[index]))
        self._deliveries.serve()

    def prepare_commit(self) -> list[Any]:
        if self._flushes:
            self._deliveries.flush()
        return []

    def finish(self) -> list[Any]:
        self._deliveries.flush()
        return []

    def close(self) -> None:
        self._deliveries.producer.purge()
        self._deliveries.producer.flush(0)


class _TransactionalWriter(SinkWriter):
    """EXACTLY_ONCE: keeps the messages until the checkpoint. Owned by the task thread."""

    def __init__(self, plan: KafkaSinkPlan) -> None:
        confluent_kafka()
        self._encode = plan.records.encoder()
        self._transactional_id = f"{plan.transactional_id_prefix}-{uuid.uuid4()}"
        self._sequence = 0
        self._messages: list[Message] = []
        self._held_bytes = 0
        self._most_bytes = int(plan.properties.get("penstock.transaction.max.bytes", _TRANSACTION_BYTES))

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None, watermark: int) -> None:
        for index, value in enumerate(values):
            message = self._encode(value, 0 if timestamps is None else timestamps[index])
            self._messages.append(message)
            self._held_bytes += len(message[1] or b"") + len(message[2] or b"")
        if self._held_bytes > self._most_bytes:
            raise JobError(
                f"The Kafka sink holds {self._held_bytes} bytes since the last checkpoint, more than the "
                f"{self._most_bytes} of penstock.transaction.max.bytes. EXACTLY_ONCE writes them when a checkpoint is "
                "complete: enable checkpointing, shorten its interval, set the property higher, or use AT_LEAST_ONCE."
            )

    def prepare_commit(self) -> list[KafkaTransaction]:
        if not self._messages:
            return []
        transaction = KafkaTransaction(self._transactional_id, self._sequence, tuple(self._messages))
        self._sequence += 1
        self._messages = []
        self._held_bytes = 0
        return [transaction]

    def close(self) -> None:
        self._messages = []


class _TransactionCommitter(Committer):
    """Writes each transaction once. Owned by one thread at a time."""

    def __init__(self, plan: KafkaSinkPlan) -> None:
        self._plan = plan
        self._producers: dict[str, _Deliveries] = {}

    def commit(self, committables: Sequence[KafkaTransaction]) -> None:
        """Produces the messages in a transaction, those committed before left out.

        Raises:
            JobError: if Kafka refuses or does not answer; the transaction is then aborted.
        """
        package = confluent_kafka()
        for transaction in committables:
            try:
                self._commit_one(transaction, package)
            except package.KafkaException as error:
                self._producers.pop(transaction.transactional_id, None)
                raise kafka_error("commit a transaction", self._plan.servers, error) from error

    def _commit_one(self, transaction: KafkaTransaction, package: Any) -> None:
        deliveries = self._deliveries(transaction.transactional_id)
        marker = package.TopicPartition(transaction.messages[0][0], 0)
        group = self._plan_consumer(transaction.transactional_id)
        try:
            [known] = group.committed([marker], timeout=_REQUEST_S)
            if known.offset > transaction.sequence:
                return
            producer = deliveries.producer
            producer.begin_transaction()
            for message in transaction.messages:
                deliveries.produce(message)
            done = package.TopicPartition(marker.topic, 0, transaction.sequence + 1)
            producer.send_offsets_to_transaction([done], group.consumer_group_metadata(), _REQUEST_S)
            producer.commit_transaction(_REQUEST_S)
            deliveries.check()
        finally:
            group.close()

    def _plan_consumer(self, transactional_id: str) -> Any:
        translated = client_properties(self._plan.properties, consumer=False)
        security = ("bootstrap.servers", "security.", "sasl.", "ssl.", "client.")
        settings = {key: value for key, value in translated.items() if key.startswith(security)}
        return client("Consumer", {**settings, "group.id": transactional_id, "enable.auto.commit": False})

    def _deliveries(self, transactional_id: str) -> _Deliveries:
        """The producer of a transactional id; making it aborts what an earlier one left open."""
        deliveries = self._producers.get(transactional_id)
        if deliveries is None:
            if len(self._producers) >= _PRODUCERS_MAX:
                del self._producers[next(iter(self._producers))]
            producer = self._plan.producer(**{"transactional.id": transactional_id})
            producer.init_transactions(_REQUEST_S)
            deliveries = self._producers[transactional_id] = _Deliveries(self._plan, producer)
        return deliveries

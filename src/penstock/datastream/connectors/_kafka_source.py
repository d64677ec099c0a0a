"""Reading Kafka: planning partitions with their offsets, and the reader with its fetching thread."""

from __future__ import annotations

import contextlib
import re
import uuid
from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any
from zlib import crc32

from penstock.common.typeinfo import TypeInformation
from penstock.datastream._transformations import UserFunction
from penstock.datastream.connectors._fetcher import Fetcher
from penstock.datastream.connectors._kafka_client import client, client_properties, confluent_kafka, kafka_error
from penstock.datastream.connectors._kafka_offsets import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaTopicPartition,
)
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    _EndOfInput,
)
from penstock.errors import ConfigurationError

__all__ = ["KafkaPartitionSplit", "KafkaPlan", "PlannedKafkaSource"]

_TIMEOUT_S = 30.0
_POLL_S = 0.2  # how long the thread waits for a message before it looks whether it is to end
_MESSAGES_A_BATCH = 500
_BATCHES_AHEAD = 4
_DISCOVERY_MS = 300_000  # the default of partition.discovery.interval.ms
_NO_TIMESTAMP = -(2**63)
_RESET = {
    KafkaOffsetResetStrategy.EARLIEST: "earliest",
    KafkaOffsetResetStrategy.LATEST: "latest",
    KafkaOffsetResetStrategy.NONE: "error",
}


@dataclass(frozen=True, slots=True)
class KafkaPartitionSplit:
    """A partition with the offset of the next record, and the one to stop before (None: never)."""

    topic: str
    partition: int
    offset: int
    stop: int | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to read."""
        return self.stop is not None and self.offset >= self.stop


@dataclass(frozen=True, slots=True)
class KafkaPlan:
    """What a KafkaSource was built with; one of `topics`, `topic_pattern` and `partitions` is set.

    Attributes:
        schema: a DeserializationSchema, pickled.
        produced_type: the schema's.
    """

    properties: Mapping[str, str]
    schema: UserFunction
    produced_type: TypeInformation | None = None
    topics: tuple[str, ...] = ()
    topic_pattern: str | None = None
    partitions: tuple[KafkaTopicPartition, ...] = ()
    start: KafkaOffsetsInitializer = KafkaOffsetsInitializer.earliest()  # noqa: RUF009 - immutable
    stop: KafkaOffsetsInitializer | None = None
    bounded: bool = False

    @property
    def servers(self) -> str:
        """The bootstrap servers."""
        return self.properties["bootstrap.servers"]

    @property
    def discovery_ms(self) -> int:
        """Time between two looks for new partitions, 0 for never."""
        if self.bounded or self.partitions:
            return 0
        return max(0, int(self.properties.get("partition.discovery.interval.ms", _DISCOVERY_MS)))

    @property
    def commits(self) -> bool:
        """Whether offsets are committed to the group when a checkpoint is complete."""
        wanted = self.properties.get("commit.offsets.on.checkpoint", "true").lower() == "true"
        return wanted and "group.id" in self.properties

    def consumer(self, name: str) -> Any:
        """A consumer; the group is only used to commit offsets."""
        prefix = self.properties.get("client.id.prefix", self.properties.get("group.id", "penstock"))
        defaults = {
            "group.id": f"{prefix}-{uuid.uuid4()}",
            "auto.offset.reset": _RESET[self.start.reset_strategy],
            "isolation.level": "read_uncommitted",  # Java's default
            "queued.max.messages.kbytes": "16384",
            "queued.min.messages": "10000",
        }
        fixed = {"enable.auto.commit": False, "enable.partition.eof": True, "client.id": f"{prefix}-{name}"}
        return client("Consumer", {**defaults, **client_properties(self.properties, consumer=True), **fixed})

    def find_partitions(self, consumer: Any) -> list[KafkaTopicPartition]:
        """All partitions to read, as of now.

        Raises:
            ConfigurationError: if a topic is not there.
        """
        if self.partitions:
            return list(self.partitions)
        if self.topic_pattern is not None:
            pattern = re.compile(self.topic_pattern)
            listed = consumer.list_topics(timeout=_TIMEOUT_S).topics
            names = sorted(name for name in listed if pattern.fullmatch(name))
        else:
            names = list(self.topics)
        found = []
        for name in names:
            topic = consumer.list_topics(name, timeout=_TIMEOUT_S).topics[name]
            if topic.error is not None:
                raise ConfigurationError(f"The Kafka topic {name!r} cannot be read: {topic.error.str()}")
            found += [KafkaTopicPartition(name, partition) for partition in sorted(topic.partitions)]
        return found


class PlannedKafkaSource(Source):
    """Reads a KafkaPlan."""

    def __init__(self, plan: KafkaPlan) -> None:
        self._plan = plan

    @property
    def boundedness(self) -> Boundedness:
        """BOUNDED after `set_bounded`."""
        return Boundedness.BOUNDED if self._plan.bounded else Boundedness.CONTINUOUS_UNBOUNDED

    @property
    def produced_type(self) -> TypeInformation | None:
        """The schema's."""
        return self._plan.produced_type

    def plan_splits(self, parallelism: int) -> list[KafkaPartitionSplit]:
        """All partitions, with offsets as numbers.

        Raises:
            ConfigurationError: if a topic is not there or an offset is missing.
            JobError: if Kafka does not answer.
        """
        plan = self._plan
        consumer = plan.consumer("planning")
        try:
            partitions = plan.find_partitions(consumer)
            starts = plan.start.resolve(consumer, partitions, "group.id" in plan.properties)
            stops = {} if plan.stop is None else plan.stop.resolve(consumer, partitions, "group.id" in plan.properties)
        except confluent_kafka().KafkaException as error:
            raise kafka_error("say where its partitions start", plan.servers, error) from error
        finally:
            consumer.close()
        return [
            KafkaPartitionSplit(partition.topic, partition.partition, starts[partition], stops.get(partition))
            for partition in partitions
        ]

    def deal_out(self, splits: Sequence[KafkaPartitionSplit], parallelism: int) -> list[list[KafkaPartitionSplit]]:
        """By topic and partition number, so that each reader knows which new partitions will be its own."""
        readers: list[list[KafkaPartitionSplit]] = [[] for _ in range(parallelism)]
        for split in splits:
            readers[_owner(split.topic, split.partition, parallelism)].append(split)
        return readers

    def create_reader(self, splits: Sequence[KafkaPartitionSplit], context: ReaderContext) -> SourceReader:
        """Reads the partitions in a thread."""
        return _KafkaReader(self._plan, splits, context)


def _owner(topic: str, partition: int, readers: int) -> int:
    return (crc32(topic.encode()) + partition) % readers


@dataclass(slots=True)
class _Fetched:
    """What the thread hands over: messages of partitions by index, partitions found or read to their stop.

    Attributes:
        messages: (index, offset, value, timestamp), sorted by index.
        found: new partitions, whose indexes follow those known.
        stopped: (index, offset reached).
    """

    messages: list[tuple[int, int, bytes | None, int]]
    found: tuple[KafkaPartitionSplit, ...] = ()
    stopped: tuple[tuple[int, int], ...] = ()


class _KafkaReader(SourceReader):
    """Turns messages into records. Owned by the task thread; the consumer belongs to its fetching thread."""

    def __init__(self, plan: KafkaPlan, splits: Sequence[KafkaPartitionSplit], context: ReaderContext) -> None:
        self._plan = plan
        self._deserialize = plan.schema.load().deserialize
        self._splits = list(splits)
        self._positions = [split.offset for split in splits]
        self._open: frozenset[Hashable] = frozenset(i for i, split in enumerate(splits) if not split.finished)
        self._messages: list[tuple[int, int, bytes | None, int]] = []
        self._next = 0
        self._stopped: tuple[tuple[int, int], ...] = ()
        self._snapshot: list[KafkaPartitionSplit] = []
        self._total = sum(max(0, split.stop - split.offset) for split in splits if split.stop is not None)
        self._worker: _Worker | None = None
        self._fetcher: Fetcher[_Fetched] | None = None
        if plan.discovery_ms or not all(split.finished for split in splits):
            self._worker = _Worker(plan, tuple(splits), context)
            name = f"Kafka {plan.servers} #{context.subtask_index}"
            self._fetcher = Fetcher(name, self._worker.fetch, context.wake, _BATCHES_AHEAD)

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        if self._next >= len(self._messages) and not self._take():
            if self._fetcher is None or self._all_finished():
                return END_OF_INPUT
            return None
        messages = self._of_one_partition(max_records)
        values, timestamps = [], []
        positions, deserialize = self._positions, self._deserialize
        for index, offset, data, timestamp in messages:
            value = None if data is None else deserialize(data)
            if value is not None:
                values.append(value)
                timestamps.append(timestamp)
            positions[index] = offset + 1
        return SourceBatch(values, timestamps, messages[0][0])

    def open_splits(self) -> frozenset[Hashable]:
        """The partitions, by index, that are not read to their stop: each has its own watermark."""
        return self._open

    def _of_one_partition(self, max_records: int) -> list[tuple[int, int, bytes | None, int]]:
        start, end = self._next, min(self._next + max_records, len(self._messages))
        partition = self._messages[start][0]
        if self._messages[end - 1][0] != partition:  # they are sorted by partition
            end = bisect_right(self._messages, partition, start, end, key=itemgetter(0))
        self._next = end
        return self._messages[start:end]

    def _take(self) -> bool:
        """Takes what the thread has found; whether there are messages."""
        for index, offset in self._stopped:  # known only after the messages before it were polled
            self._positions[index] = max(self._positions[index], offset)
        if self._stopped:
            self._open = self._open.difference(index for index, _ in self._stopped)
            self._stopped = ()
        fetched = None if self._fetcher is None else self._fetcher.take()
        if fetched is None:
            return False
        if fetched.found:
            self._open = self._open.union(range(len(self._splits), len(self._splits) + len(fetched.found)))
            self._splits.extend(fetched.found)
            self._positions.extend(split.offset for split in fetched.found)
        self._messages, self._next, self._stopped = fetched.messages, 0, fetched.stopped
        return bool(fetched.messages) or self._take()

    def _all_finished(self) -> bool:
        return not self._plan.discovery_ms and all(split.finished for split in self._current())

    def _current(self) -> list[KafkaPartitionSplit]:
        return [replace(split, offset=position) for split, position in zip(self._splits, self._positions, strict=True)]

    def snapshot(self) -> list[KafkaPartitionSplit]:
        """Every partition with its offset; read ones are kept while new partitions are looked for."""
        self._snapshot = self._current()
        return [split for split in self._snapshot if self._plan.discovery_ms or not split.finished]

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Has the offsets of the last snapshot committed, without waiting."""
        if self._plan.commits and self._worker is not None:
            self._worker.to_commit = self._snapshot

    def progress(self) -> tuple[float, float] | None:
        """Records read and in all, where the partitions have a stop."""
        if not self._plan.bounded:
            return None
        left = sum(max(0, (split.stop or 0) - split.offset) for split in self._current())
        return self._total - left, self._total

    def close(self) -> None:
        if self._fetcher is not None and self._worker is not None:
            self._fetcher.close()
            self._worker.close()


class _Worker:
    """Fetches messages. Owned by the fetching thread, then by the task's: a consumer cannot serve two at once.

    Attributes:
        to_commit: offsets to commit; the task thread sets it, the fetching thread takes it.
    """

    def __init__(self, plan: KafkaPlan, splits: tuple[KafkaPartitionSplit, ...], context: ReaderContext) -> None:
        self._package = confluent_kafka()
        self._plan = plan
        self._context = context
        self._splits = list(splits)
        self._indexes = {(split.topic, split.partition): index for index, split in enumerate(splits)}
        self._active = {index for index, split in enumerate(splits) if not split.finished}
        self._next_discovery_ms = context.now_ms() + plan.discovery_ms
        self._consumer = plan.consumer(str(context.subtask_index))
        self._discovery: Any = None  # a client of its own: requests wait behind a fetch that waits for messages
        self.to_commit: list[KafkaPartitionSplit] = []

    def close(self) -> None:
        """Commits what is still to be committed and closes the consumer, after the thread has ended."""
        with contextlib.suppress(self._package.KafkaException):  # what is not committed now will be at the next start
            self._commit(asynchronous=False)
        self._consumer.close()
        if self._discovery is not None:
            self._discovery.close()

    def _commit(self, asynchronous: bool) -> None:
        splits, self.to_commit = self.to_commit, []
        if splits:
            offsets = [self._package.TopicPartition(s.topic, s.partition, s.offset) for s in splits]
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)

    def fetch(self, fetcher: Fetcher[_Fetched]) -> None:
        """Reads until all partitions have come to their stop, or without end."""
        try:
            self._assign()
            while self._active or self._plan.discovery_ms:
                self._commit(asynchronous=True)
                fetched = self._read()
                if self._plan.discovery_ms and self._context.now_ms() >= self._next_discovery_ms:
                    fetched.found = self._discover()
                if fetched.messages or fetched.found or fetched.stopped:
                    fetcher.put(fetched)
                elif not self._active:
                    fetcher.wait(_POLL_S)
                elif fetcher.closing:
                    return
        except self._package.KafkaException as error:
            raise kafka_error("be read", self._plan.servers, error) from error

    def _assign(self) -> None:
        active = [self._splits[index] for index in sorted(self._active)]
        self._consumer.assign([self._package.TopicPartition(s.topic, s.partition, s.offset) for s in active])

    def _read(self) -> _Fetched:
        first = self._consumer.poll(_POLL_S) if self._active else None
        if first is None:
            return _Fetched([])
        messages = []
        stopped: list[tuple[int, int]] = []
        for message in [first, *self._consumer.consume(_MESSAGES_A_BATCH - 1, 0)]:
            error = message.error()
            if error is not None and not self._is_end_of_partition(error):
                continue
            index = self._indexes[message.topic(), message.partition()]
            stop, offset = self._splits[index].stop, message.offset()
            if index not in self._active:
                continue
            if error is None and (stop is None or offset < stop):
                kind, timestamp = message.timestamp()
                messages.append((index, offset, message.value(), timestamp if kind else _NO_TIMESTAMP))
                offset += 1
            if stop is not None and offset >= stop:
                stopped.append((index, offset))
                self._active.discard(index)
                self._consumer.incremental_unassign(
                    [self._package.TopicPartition(message.topic(), message.partition())]
                )
        messages.sort(key=itemgetter(0))  # by partition, whose own order stays
        return _Fetched(messages, stopped=tuple(stopped))

    def _is_end_of_partition(self, error: Any) -> bool:
        """True at the end of a partition, False for what librdkafka repairs by itself.

        Raises:
            KafkaException: for the rest.
        """
        if error.code() == self._package.KafkaError._PARTITION_EOF:
            return True
        passing = (
            self._package.KafkaError._ALL_BROKERS_DOWN,
            self._package.KafkaError._TRANSPORT,
            self._package.KafkaError._TIMED_OUT,
            self._package.KafkaError._RESOLVE,
        )
        if error.code() in passing or (error.retriable() and not error.fatal()):
            return False
        raise self._package.KafkaException(error)

    def _discover(self) -> tuple[KafkaPartitionSplit, ...]:
        """New partitions of this reader, from their first record on."""
        self._next_discovery_ms = self._context.now_ms() + self._plan.discovery_ms
        context = self._context
        if self._discovery is None:
            self._discovery = self._plan.consumer("discovery")
        new = [
            partition
            for partition in self._plan.find_partitions(self._discovery)
            if (partition.topic, partition.partition) not in self._indexes
            and _owner(partition.topic, partition.partition, context.parallelism) == context.subtask_index
        ]
        starts = KafkaOffsetsInitializer.earliest().resolve(self._discovery, new, has_group=False)
        found = tuple(KafkaPartitionSplit(one.topic, one.partition, starts[one]) for one in new)
        for split in found:
            index = len(self._splits)
            self._splits.append(split)
            self._indexes[split.topic, split.partition] = index
            self._active.add(index)
        if found:
            self._consumer.incremental_assign(
                [self._package.TopicPartition(split.topic, split.partition, split.offset) for split in found]
            )
        return found

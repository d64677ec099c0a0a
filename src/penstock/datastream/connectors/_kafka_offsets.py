"""Where reading a topic starts and stops (`KafkaOffsetsInitializer` and its company)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from penstock.errors import ConfigurationError

__all__ = ["KafkaOffsetResetStrategy", "KafkaOffsetsInitializer", "KafkaTopicPartition"]

_TIMEOUT_S = 30.0


class KafkaTopicPartition:
    """A partition of a topic. Immutable by use."""

    def __init__(self, topic: str, partition: int) -> None:
        self._topic = topic
        self._partition = partition

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def partition(self) -> int:
        """The partition's number, from 0."""
        return self._partition

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KafkaTopicPartition):
            return False
        return self._topic == other._topic and self._partition == other._partition

    def __hash__(self) -> int:
        return hash((self._topic, self._partition))

    def __repr__(self) -> str:
        return f"KafkaTopicPartition({self._topic!r}, {self._partition})"


class KafkaOffsetResetStrategy(Enum):
    """What holds where there is no offset."""

    LATEST = 0
    EARLIEST = 1
    NONE = 2


@dataclass(frozen=True)
class KafkaOffsetsInitializer:
    """Where to start or stop in each partition; made by its factory methods.

    Attributes:
        kind: `earliest`, `latest`, `committed`, `timestamp` or `offsets`.
        reset_strategy: what holds for partitions without a committed or given offset.
        timestamp_ms: of `timestamp`, epoch ms.
        given: of `offsets`.
    """

    kind: str
    reset_strategy: KafkaOffsetResetStrategy
    timestamp_ms: int = 0
    given: tuple[tuple[KafkaTopicPartition, int], ...] = ()

    @staticmethod
    def committed_offsets(
        offset_reset_strategy: KafkaOffsetResetStrategy = KafkaOffsetResetStrategy.NONE,
    ) -> KafkaOffsetsInitializer:
        """Where the group has committed to."""
        return KafkaOffsetsInitializer("committed", offset_reset_strategy)

    @staticmethod
    def timestamp(timestamp: int) -> KafkaOffsetsInitializer:
        """At the first record with that timestamp (epoch ms) or a later one, at the end if there is none."""
        return KafkaOffsetsInitializer("timestamp", KafkaOffsetResetStrategy.NONE, timestamp)

    @staticmethod
    def earliest() -> KafkaOffsetsInitializer:
        """At the first record there is."""
        return KafkaOffsetsInitializer("earliest", KafkaOffsetResetStrategy.EARLIEST)

    @staticmethod
    def latest() -> KafkaOffsetsInitializer:
        """After the last record there is when the job starts."""
        return KafkaOffsetsInitializer("latest", KafkaOffsetResetStrategy.LATEST)

    @staticmethod
    def offsets(
        offsets: Mapping[KafkaTopicPartition, int],
        offset_reset_strategy: KafkaOffsetResetStrategy = KafkaOffsetResetStrategy.EARLIEST,
    ) -> KafkaOffsetsInitializer:
        """At these offsets; elsewhere where the group has committed to, or else by the strategy."""
        return KafkaOffsetsInitializer("offsets", offset_reset_strategy, given=tuple(offsets.items()))

    def resolve(self, consumer: Any, partitions: Sequence[KafkaTopicPartition], has_group: bool) -> dict[Any, int]:
        """The offset of each partition, as numbers.

        Raises:
            ConfigurationError: if a partition has none and the strategy is NONE.
        """
        if self.kind in ("earliest", "latest"):
            return _at_an_end(consumer, partitions, self.reset_strategy)
        if self.kind == "timestamp":
            return self._by_timestamp(consumer, partitions)
        found = {partition: offset for partition, offset in self.given if partition in partitions}
        rest = [partition for partition in partitions if partition not in found]
        if has_group and rest:
            found.update(_committed(consumer, rest))
        missing = [partition for partition in partitions if partition not in found]
        if missing and self.reset_strategy is KafkaOffsetResetStrategy.NONE:
            raise ConfigurationError(
                f"There is no committed offset for {missing[0]} and {len(missing) - 1} other partitions. Give "
                "committed_offsets() a KafkaOffsetResetStrategy, or start from earliest() or latest()."
            )
        found.update(_at_an_end(consumer, missing, self.reset_strategy))
        return found

    def _by_timestamp(self, consumer: Any, partitions: Sequence[KafkaTopicPartition]) -> dict[Any, int]:
        wanted = _asked(consumer.offsets_for_times, partitions, self.timestamp_ms)
        found = {partition: offset for partition, offset in wanted.items() if offset >= 0}
        rest = [partition for partition in partitions if partition not in found]
        return found | _at_an_end(consumer, rest, KafkaOffsetResetStrategy.LATEST)


def _asked(
    request: Callable[..., Any], partitions: Sequence[KafkaTopicPartition], offset: int = -1001
) -> dict[KafkaTopicPartition, int]:
    from confluent_kafka import TopicPartition

    asked = [TopicPartition(partition.topic, partition.partition, offset) for partition in partitions]
    answers = request(asked, timeout=_TIMEOUT_S)
    return {KafkaTopicPartition(answer.topic, answer.partition): answer.offset for answer in answers}


def _committed(consumer: Any, partitions: Sequence[KafkaTopicPartition]) -> dict[KafkaTopicPartition, int]:
    answers = _asked(consumer.committed, partitions)
    return {partition: offset for partition, offset in answers.items() if offset >= 0}


def _at_an_end(
    consumer: Any, partitions: Sequence[KafkaTopicPartition], strategy: KafkaOffsetResetStrategy
) -> dict[Any, int]:
    from confluent_kafka import TopicPartition

    found = {}
    for partition in partitions:
        name = TopicPartition(partition.topic, partition.partition)
        low, high = consumer.get_watermark_offsets(name, timeout=_TIMEOUT_S)
        found[partition] = high if strategy is KafkaOffsetResetStrategy.LATEST else low
    return found

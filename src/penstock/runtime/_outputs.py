"""Where a chain's records leave it: exchanges to other tasks, printed lines, sinks, the client's collector.

The generated loop appends to an output's lists; the task flushes them when they are long enough, when an event
must follow them, or when it has nothing else to do.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Any, Protocol

from penstock.datastream._transformations import PartitioningKind
from penstock.datastream.connectors.base import SinkWriter
from penstock.runtime._channels import Channel
from penstock.runtime._elements import Barrier, Batch, Element, EndOfData
from penstock.runtime._failure import RecordFailure
from penstock.runtime.operators.base import NO_TIMESTAMP
from penstock.runtime.state import key_group_of, subtask_for

__all__ = [
    "BATCH_LIMIT",
    "CollectOutput",
    "NetworkOutput",
    "Output",
    "PrintOutput",
    "Routing",
    "SinkOutput",
    "print_prefix",
]

BATCH_LIMIT = 1024
"""Records in a batch: large enough to hide the cost of a hand-over, small enough to stay in the processor's cache."""

ROUTES_MAX = 1 << 16
"""Cached routes (key → channel) of one exchange."""


class Output(ABC):
    """One exit of a chain. Task thread only.

    Attributes:
        values: records that wait to be flushed; the list object never changes.
        stamps: their timestamps; empty while the records have none.
        records: records that left so far.
        last: description of what wrote here last, for error messages.
    """

    def __init__(self, coerce: Callable[[Any], Any] | None, name: str) -> None:
        self.values: list[Any] = []
        self.stamps: list[int] = []
        self.records = 0
        self.name = name
        self._coerce = coerce

    @property
    def is_available(self) -> bool:
        """Whether a flush now stays within the credits."""
        return True

    def prepare(self, timed: bool) -> None:
        """Before records with (or without) timestamps are appended: flushes what is of the other kind."""
        if self.values and bool(self.stamps) is not timed:
            self.flush()

    def flush(self) -> None:
        """Hands on what waits."""
        values = self.values
        if not values:
            return
        batch, stamps = values[:], (self.stamps[:] or None)
        values.clear()
        self.stamps.clear()
        self.records += len(batch)
        self._send(self._coerced(batch), stamps)

    def _coerced(self, batch: list[Any]) -> list[Any]:
        coerce = self._coerce
        if coerce is None:
            return batch
        try:
            return list(map(coerce, batch))
        except Exception as error:
            raise RecordFailure(self.name, _first_refused(coerce, batch), error) from error

    @abstractmethod
    def _send(self, values: list[Any], stamps: list[int] | None) -> None:
        """Takes a batch."""

    def emit(self, event: Element) -> None:
        """Hands on an event after everything flushed before."""

    def watermark(self, timestamp: int) -> None:
        """The chain's watermark rose."""

    def close(self) -> None:
        """Releases what the output holds."""


def _first_refused(coerce: Callable[[Any], Any], batch: Sequence[Any]) -> Any:
    for value in batch:
        try:
            coerce(value)
        except Exception:
            return value
    return None


class Routing:
    """How one exchange distributes records over its channels.

    Attributes:
        kind: the partitioning.
        key_of: HASH, CUSTOM: the loaded key selector.
        partition: CUSTOM: the loaded partitioner.
        max_parallelism: HASH: key groups of the consumer.
        random: SHUFFLE.
    """

    __slots__ = ("key_of", "kind", "max_parallelism", "partition", "random")

    def __init__(
        self,
        kind: PartitioningKind,
        key_of: Callable[[Any], Any] | None = None,
        partition: Callable[[Any, int], int] | None = None,
        max_parallelism: int = 128,
        random: Random | None = None,
    ) -> None:
        self.kind = kind
        self.key_of = key_of
        self.partition = partition
        self.max_parallelism = max_parallelism
        self.random = random or Random()


class NetworkOutput(Output):
    """An exchange to the subtasks of another vertex."""

    def __init__(
        self, channels: list[Channel], routing: Routing, coerce: Callable[[Any], Any] | None, name: str
    ) -> None:
        super().__init__(coerce, name)
        self._channels = channels
        self._gate = channels[0].gate if channels else None
        self._routing = routing
        self._turn = 0
        self._routes: dict[Any, int] = {}
        self._send_batch = self._sender(routing.kind, len(channels))

    def _sender(self, kind: PartitioningKind, count: int) -> Callable[[list[Any], list[int] | None], None]:
        if kind is PartitioningKind.BROADCAST:
            return self._to_all
        if kind is PartitioningKind.CUSTOM:
            return self._by_partitioner
        if count == 1 or kind in (PartitioningKind.GLOBAL, PartitioningKind.FORWARD):
            return self._to_first
        if kind is PartitioningKind.HASH:
            return self._by_key
        if kind is PartitioningKind.SHUFFLE:
            return self._at_random
        return self._in_turn

    @property
    def is_available(self) -> bool:
        """No channel is out of credit, and there is network memory: as in Flink, one full subpartition stops them all."""
        gate = self._gate
        return all(channel.credits > 0 for channel in self._channels) and (gate is None or gate.available)

    def emit(self, event: Element) -> None:
        """Events go to every channel."""
        for channel in self._channels:
            channel.put(event)

    def _send(self, values: list[Any], stamps: list[int] | None) -> None:
        self._send_batch(values, stamps)

    def _to_first(self, values: list[Any], stamps: list[int] | None) -> None:
        self._channels[0].put(Batch(values, stamps))

    def _to_all(self, values: list[Any], stamps: list[int] | None) -> None:
        batch = Batch(values, stamps)
        for channel in self._channels:
            channel.put(batch)

    def _in_turn(self, values: list[Any], stamps: list[int] | None) -> None:
        """Record i goes to channel (turn + i) mod n: slices do it without a loop."""
        count = len(self._channels)
        for index, channel in enumerate(self._channels):
            start = (index - self._turn) % count
            part = values[start::count]
            if part:
                channel.put(Batch(part, stamps[start::count] if stamps else None))
        self._turn = (self._turn + len(values)) % count

    def _at_random(self, values: list[Any], stamps: list[int] | None) -> None:
        draw, count = self._routing.random.randrange, len(self._channels)
        self._scatter([draw(count) for _ in values], values, stamps, None)

    def _by_partitioner(self, values: list[Any], stamps: list[int] | None) -> None:
        keys = self._keys(values)
        partition, count = self._routing.partition, len(self._channels)
        assert partition is not None
        targets = []
        for value, key in zip(values, keys, strict=True):
            try:
                target = partition(key, count)
            except Exception as error:
                raise RecordFailure(f"{self.name} (partition_custom)", value, error) from error
            if not 0 <= target < count:
                raise RecordFailure(
                    f"{self.name} (partition_custom)",
                    value,
                    ValueError(f"the partitioner returned {target}, there are {count} partitions (0 to {count - 1})"),
                )
            targets.append(target)
        self._scatter(targets, values, stamps, None)

    def _by_key(self, values: list[Any], stamps: list[int] | None) -> None:
        keys = self._keys(values)
        routes = self._routes
        targets = []
        for key in keys:
            try:
                targets.append(routes[key])
            except (KeyError, TypeError):
                targets.append(self._route(key))
        self._scatter(targets, values, stamps, keys)

    def _route(self, key: Any) -> int:
        most = self._routing.max_parallelism
        target = subtask_for(key_group_of(key, most), most, len(self._channels))
        try:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[key] = target
        except TypeError:  # an unhashable key is routed anew each time
            pass
        return target

    def _keys(self, values: list[Any]) -> list[Any]:
        key_of = self._routing.key_of
        assert key_of is not None
        try:
            return list(map(key_of, values))
        except Exception as error:
            raise RecordFailure(f"{self.name} (key selector)", _first_refused(key_of, values), error) from error

    def _scatter(self, targets: list[int], values: list[Any], stamps: list[int] | None, keys: list[Any] | None) -> None:
        parts: list[list[int]] = [[] for _ in self._channels]
        for position, target in enumerate(targets):
            parts[target].append(position)
        for channel, positions in zip(self._channels, parts, strict=True):
            if positions:
                channel.put(
                    Batch(
                        [values[i] for i in positions],
                        [stamps[i] for i in positions] if stamps else None,
                        [keys[i] for i in positions] if keys else None,
                    )
                )


class PrintOutput(Output):
    """Writes one line a record to standard output: PyFlink's `print()`."""

    def __init__(
        self,
        text_of: Callable[[Any], str],
        prefix: str,
        coerce: Callable[[Any], Any] | None,
        name: str,
        lock: AbstractContextManager[Any],
    ) -> None:
        super().__init__(coerce, name)
        self._text_of = text_of
        self._prefix = prefix
        self._lock = lock

    def _send(self, values: list[Any], stamps: list[int] | None) -> None:
        prefix, text_of = self._prefix, self._text_of
        try:
            lines = "".join([f"{prefix}{text_of(value)}\n" for value in values])
        except Exception as error:
            raise RecordFailure(self.name, _first_refused(text_of, values), error) from error
        with self._lock:
            sys.stdout.write(lines)
            sys.stdout.flush()


class SinkOutput(Output):
    """Writes to a connector's sink."""

    def __init__(self, writer: SinkWriter, coerce: Callable[[Any], Any] | None, name: str) -> None:
        super().__init__(coerce, name)
        self.writer = writer
        self._watermark = NO_TIMESTAMP

    def _send(self, values: list[Any], stamps: list[int] | None) -> None:
        self.writer.write(values, stamps, self._watermark)

    def watermark(self, timestamp: int) -> None:
        """Kept for the writer's context."""
        self._watermark = timestamp

    def close(self) -> None:
        """Closes the writer."""
        self.writer.close()


class ResultStage(Protocol):
    """Where one subtask's collected records go."""

    def add(self, values: list[Any]) -> None:
        """Takes records."""

    def mark(self, checkpoint_id: int) -> None:
        """A barrier came after the records so far."""

    def end(self) -> None:
        """No record and no barrier follows."""

    def has_room(self) -> bool:
        """Whether the job may go on before the client has read."""


class CollectOutput(Output):
    """Hands records to the client of `execute_and_collect`; a client that does not read slows the job down."""

    def __init__(self, stage: ResultStage, coerce: Callable[[Any], Any] | None, name: str) -> None:
        super().__init__(coerce, name)
        self._stage = stage

    @property
    def is_available(self) -> bool:
        """Whether the client has room."""
        return self._stage.has_room()

    def _send(self, values: list[Any], stamps: list[int] | None) -> None:
        self._stage.add(values)

    def emit(self, event: Element) -> None:
        """A barrier marks what came before it."""
        if isinstance(event, Barrier):
            self._stage.mark(event.checkpoint_id)
        elif isinstance(event, EndOfData):
            self._stage.end()


def print_prefix(identifier: str | None, subtask_index: int, parallelism: int) -> str:
    """As PyFlink's `print()` begins its lines: `identifier:2> `, `2> `, `identifier> ` or nothing."""
    if parallelism > 1:
        return f"{identifier}:{subtask_index + 1}> " if identifier else f"{subtask_index + 1}> "
    return f"{identifier}> " if identifier else ""

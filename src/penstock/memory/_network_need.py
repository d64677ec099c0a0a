"""How many network buffers a task needs, and whether a pool has them.

After Flink's `NettyShuffleUtils`, `GateBuffersSpec` and `NetworkBufferPool`. Whether it fits depends on what is
required alone, never on what others use at the moment.
"""

from __future__ import annotations

from penstock.conf import INT_MAX, NetworkOptions, Record
from penstock.memory._option_reader import OptionReader
from penstock.memory._startup import (
    EXCLUSIVE_BUFFERS_PER_CHANNEL,
    FLOATING_BUFFERS_PER_GATE,
    MAX_OVERDRAFT_BUFFERS,
    check_required_per_gate,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from penstock.conf import Configuration

__all__ = ["Gate", "GateNeed", "NetworkNeed", "Partition", "PartitionNeed", "network_need"]

_UNBOUNDED_TYPES = frozenset(("PIPELINED", "HYBRID_FULL", "HYBRID_SELECTIVE"))
_BLOCKING_TYPES = frozenset(("BLOCKING", "BLOCKING_PERSISTENT"))
_BOUNDED_TYPES = frozenset(("PIPELINED_BOUNDED", "PIPELINED_APPROXIMATE"))
_PARTITION_TYPES = _UNBOUNDED_TYPES | _BLOCKING_TYPES | _BOUNDED_TYPES
_WITH_OVERDRAFT = frozenset(("PIPELINED", "PIPELINED_BOUNDED"))
_UNLIMITED_GATES = frozenset(("PIPELINED", "PIPELINED_BOUNDED", "HYBRID_FULL", "HYBRID_SELECTIVE"))
_LIMIT_OF_OTHER_GATES = 1000


class Partition(Record):
    """A result partition: its type (Flink's `ResultPartitionType`) and number of subpartitions (>= 1)."""

    type: str
    subpartitions: int


class Gate(Record):
    """An input gate: the partition type it reads, its channels (>= 1), and how many of them are remote."""

    type: str
    channels: int
    remote: int


class PartitionNeed(Record):
    """Buffers of a result partition.

    Attributes:
        min: required.
        max: most it takes; 2^31 - 1 for no limit.
        overdraft: beyond its pool's size, to finish a record once begun.
    """

    min: int
    max: int
    overdraft: int


class GateNeed(Record):
    """Buffers of an input gate.

    Attributes:
        exclusive_per_channel: of each remote channel.
        required_floating: the least its own pool needs.
        total_floating: the most its own pool takes.
        target_total: exclusive and floating, were all channels remote.
    """

    exclusive_per_channel: int
    required_floating: int
    total_floating: int
    target_total: int


class NetworkNeed(Record):
    """Buffers of a task.

    Attributes:
        partitions: of each result partition.
        gates: of each input gate.
        required_total: what must be granted for the task to start.
        fits: whether the pool grants it.
        failed_required: of the first request refused, None where it fits.
        failed_available: what the pool had left then, None where it fits.
        remarks: what was remarked on.
    """

    partitions: tuple[PartitionNeed, ...]
    gates: tuple[GateNeed, ...]
    required_total: int
    fits: bool
    failed_required: int | None
    failed_available: int | None
    remarks: tuple[str, ...]


def network_need(
    configuration: Configuration, partitions: Iterable[Partition], gates: Iterable[Gate], buffers: int
) -> NetworkNeed:
    """What a task needs of a pool of `buffers` that has granted nothing yet; partitions are set up before gates.

    Raises:
        MemoryPlanError: an option cannot be read, or allows a gate no buffer.
        ValueError: an unknown type, or a partition or gate without channels.
    """
    partitions, gates = tuple(partitions), tuple(gates)

    def plan(reader: OptionReader) -> NetworkNeed:
        max_required = reader.value(NetworkOptions.MAX_REQUIRED_BUFFERS_PER_GATE)
        min_buffers = reader.value(NetworkOptions.SORT_SHUFFLE_MIN_BUFFERS)
        check_required_per_gate(max_required)
        partition_needs = tuple([partition_need(partition, min_buffers) for partition in partitions])
        gate_needs = tuple([gate_need(gate, max_required) for gate in gates])
        return _grant(partition_needs, gates, gate_needs, buffers, tuple(reader.remarks))

    def again(changed: Configuration) -> NetworkNeed:
        return network_need(changed, partitions, gates, buffers)

    return OptionReader(configuration).run(plan, again)


def partition_need(partition: Partition, sort_shuffle_min_buffers: int) -> PartitionNeed:
    """The buffers of one result partition."""
    kind, subpartitions = partition.type, partition.subpartitions
    _check(kind, subpartitions, "subpartition")
    if kind in _BLOCKING_TYPES:
        least, most = sort_shuffle_min_buffers, 4 * subpartitions
    else:
        least = subpartitions + 1
        bounded = EXCLUSIVE_BUFFERS_PER_CHANNEL * subpartitions + FLOATING_BUFFERS_PER_GATE
        most = INT_MAX if kind in _UNBOUNDED_TYPES else bounded
    return PartitionNeed(least, max(least, most), MAX_OVERDRAFT_BUFFERS if kind in _WITH_OVERDRAFT else 0)


def gate_need(gate: Gate, max_required_per_gate: int | None) -> GateNeed:
    """The buffers of one input gate."""
    channels = gate.channels
    _check(gate.type, channels, "channel")
    limit = max_required_per_gate
    if limit is None:
        limit = INT_MAX if gate.type in _UNLIMITED_GATES else _LIMIT_OF_OTHER_GATES
    target = EXCLUSIVE_BUFFERS_PER_CHANNEL * channels + FLOATING_BUFFERS_PER_GATE
    required = min(limit, EXCLUSIVE_BUFFERS_PER_CHANNEL * channels + 1)
    exclusive = min(EXCLUSIVE_BUFFERS_PER_CHANNEL, (required - 1) // channels)
    return GateNeed(exclusive, required - exclusive * channels, target - exclusive * channels, target)


def _check(kind: str, count: int, noun: str) -> None:
    if kind not in _PARTITION_TYPES:
        raise ValueError(f"'{kind}' is no result partition type; there are {', '.join(sorted(_PARTITION_TYPES))}")
    if count < 1:
        raise ValueError(f"at least one {noun} is needed, not {count}")


def _grant(
    partitions: tuple[PartitionNeed, ...],
    gates: tuple[Gate, ...],
    gate_needs: tuple[GateNeed, ...],
    buffers: int,
    remarks: tuple[str, ...],
) -> NetworkNeed:
    """Asks the pool for one requirement after the other, in the order in which a task does."""
    requests = list(_requests(partitions, gates, gate_needs))
    required_total = sum(size * times for size, times in requests)
    granted = 0
    for size, times in requests:
        fitting = times if size == 0 else min(times, (buffers - granted) // size)
        granted += size * fitting
        if fitting < times:
            return NetworkNeed(partitions, gate_needs, required_total, False, size, buffers - granted, remarks)
    return NetworkNeed(partitions, gate_needs, required_total, True, None, None, remarks)


def _requests(
    partitions: tuple[PartitionNeed, ...], gates: tuple[Gate, ...], gate_needs: tuple[GateNeed, ...]
) -> Iterator[tuple[int, int]]:
    """(buffers, how many times) of each request."""
    for partition in partitions:
        yield partition.min, 1
    for gate, need in zip(gates, gate_needs, strict=True):
        yield need.required_floating, 1
        yield need.exclusive_per_channel, gate.remote

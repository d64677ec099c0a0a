"""RocksDB's budget and how it is split (Flink's `RocksDBMemoryConfiguration`, `RocksDBMemoryControllerUtils`)."""

from __future__ import annotations

from penstock.conf import Record, RocksDBMemoryOptions
from penstock.memory._arithmetic import to_long, wrap_long
from penstock.memory._managed_shares import bytes_for_fraction
from penstock.memory._model_errors import MemoryPlanError
from penstock.memory._option_reader import OptionReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf import Configuration

__all__ = ["RocksDBPlan", "WriteBufferCheck", "check_write_buffer", "plan_rocksdb"]

_R = RocksDBMemoryOptions


class RocksDBPlan(Record):
    """The memory of a slot's RocksDB instances.

    Attributes:
        source: where the budget comes from: `fixed-per-slot`, `managed`, `fixed-per-tm`, or `none` for no shared
            budget.
        write_buffer_ratio: part of the budget for write buffers.
        high_prio_pool_ratio: part of the block cache for index and filter blocks.
        partitioned_index_filters: whether those are partitioned.
        total_bytes: the budget, None without one.
        cache_capacity_bytes: of the shared block cache, None without a budget.
        write_buffer_manager_bytes: capacity of the shared write buffer manager, None without a budget.
        remarks: what was remarked on.
    """

    source: str
    write_buffer_ratio: float
    high_prio_pool_ratio: float
    partitioned_index_filters: bool
    total_bytes: int | None = None
    cache_capacity_bytes: int | None = None
    write_buffer_manager_bytes: int | None = None
    remarks: tuple[str, ...] = ()


class WriteBufferCheck(Record):
    """Whether a column family's write buffer goes well with the budget.

    Attributes:
        arena_block_bytes: RocksDB allocates write buffers in blocks of this size.
        mutable_limit_bytes: of active write buffers before the manager flushes.
        fits: False means constant flushing.
    """

    arena_block_bytes: int
    mutable_limit_bytes: int
    fits: bool


def plan_rocksdb(configuration: Configuration, slot_managed_bytes: int, fraction: float = 1.0) -> RocksDBPlan:
    """Splits RocksDB's budget.

    Args:
        configuration: the job's over the cluster's.
        slot_managed_bytes: the slot's managed memory.
        fraction: the state backend's fraction of it.

    Raises:
        MemoryPlanError: ratios that leave no room, unreadable values, or a fraction outside (0, 1] where it is used.
    """

    def plan(reader: OptionReader) -> RocksDBPlan:
        return _plan(reader, slot_managed_bytes, fraction)

    def again(changed: Configuration) -> RocksDBPlan:
        return plan_rocksdb(changed, slot_managed_bytes, fraction)

    return OptionReader(configuration).run(plan, again)


def _plan(reader: OptionReader, slot_managed: int, fraction: float) -> RocksDBPlan:
    managed = reader.value(_R.USE_MANAGED_MEMORY)
    per_slot_set = reader.is_set(_R.FIX_PER_SLOT_MEMORY_SIZE)
    per_slot = reader.plain_size(_R.FIX_PER_SLOT_MEMORY_SIZE) if per_slot_set else 0
    write_ratio = reader.value(_R.WRITE_BUFFER_RATIO)
    high_ratio = reader.value(_R.HIGH_PRIORITY_POOL_RATIO)
    partitioned = reader.value(_R.USE_PARTITIONED_INDEX_FILTERS)
    if _divide(2 * write_ratio, 3 - write_ratio) + high_ratio >= 1:
        raise MemoryPlanError(
            "rocksdb-ratios-invalid",
            f"'{_R.WRITE_BUFFER_RATIO.key}' w = {write_ratio!r} and '{_R.HIGH_PRIORITY_POOL_RATIO.key}' h = "
            f"{high_ratio!r} leave "
            "no room in the block cache: 2w / (3 - w) + h must be less than 1.",
        )
    source, total = "none", 0
    if per_slot_set:
        source, total = "fixed-per-slot", per_slot
    elif managed:
        source, total = "managed", bytes_for_fraction(fraction, slot_managed)
    elif reader.is_set(_R.FIX_PER_TM_MEMORY_SIZE):
        total = reader.plain_size(_R.FIX_PER_TM_MEMORY_SIZE)
        source = "fixed-per-tm" if total > 0 else "none"
    settings = source, write_ratio, high_ratio, partitioned
    if source == "none":
        return RocksDBPlan(*settings, remarks=tuple(reader.remarks))
    cache = to_long((3.0 - write_ratio) * total / 3.0)
    write_buffers = to_long(wrap_long(2 * total) * write_ratio / 3.0)
    return RocksDBPlan(*settings, total, cache, write_buffers, tuple(reader.remarks))


def _divide(dividend: float, divisor: float) -> float:
    """Division of doubles that gives infinity or NaN for a divisor of 0, as in Java."""
    if divisor != 0:
        return dividend / divisor
    return dividend * float("inf")


def check_write_buffer(write_buffer_bytes: int, write_buffer_manager_bytes: int) -> WriteBufferCheck:
    """Compares a write buffer's arena block with what the write buffer manager lets be active."""
    page = 4096
    arena_block = (write_buffer_bytes // 8 + page - 1) // page * page
    # Java's long division cuts off towards zero; capacities are negative for ratios no program could set.
    product = wrap_long(write_buffer_manager_bytes * 7)
    limit = product // 8 if product >= 0 else -(-product // 8)
    return WriteBufferCheck(arena_block, limit, arena_block <= limit)

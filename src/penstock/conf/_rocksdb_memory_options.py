"""Options of RocksDB's memory."""

from __future__ import annotations

from penstock.conf._memory_size import MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, DOUBLE, SIZE

__all__ = ["RocksDBMemoryOptions"]


class RocksDBMemoryOptions:
    """RocksDB: memory (Flink's `RocksDBOptions`)."""

    USE_MANAGED_MEMORY = ConfigOption(
        "state.backend.rocksdb.memory.managed",
        BOOLEAN,
        True,
        "Whether RocksDB's budget is its share of the slot's managed memory.",
    )
    FIX_PER_SLOT_MEMORY_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.memory.fixed-per-slot",
        SIZE,
        None,
        "A budget per slot outside managed memory; used before `state.backend.rocksdb.memory.managed`.",
    )
    FIX_PER_TM_MEMORY_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.memory.fixed-per-tm",
        SIZE,
        None,
        "A budget for all slots of a TaskManager together, outside managed memory; used when neither of the above "
        "applies.",
    )
    WRITE_BUFFER_RATIO = ConfigOption(
        "state.backend.rocksdb.memory.write-buffer-ratio",
        DOUBLE,
        0.5,
        "Part of the budget for write buffers.",
    )
    HIGH_PRIORITY_POOL_RATIO = ConfigOption(
        "state.backend.rocksdb.memory.high-prio-pool-ratio",
        DOUBLE,
        0.1,
        "Part of the block cache for index and filter blocks.",
    )
    USE_PARTITIONED_INDEX_FILTERS = ConfigOption(
        "state.backend.rocksdb.memory.partitioned-index-filters",
        BOOLEAN,
        False,
        "Whether index and filters are partitioned, with only their top level pinned in the cache.",
    )

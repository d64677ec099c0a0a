"""RocksDB's memory: one block cache and one write buffer manager for all stores of a slot, and options that fit them.

The bound holds only if writers may be stalled, index and filter blocks are charged to the cache, and files and write
buffers are small against the budget (docs/design/state.md has the measurements): so those are derived from the budget
where the user did not set them. rocksdict offers no high-priority pool: its ratio only takes part in the check of
the ratios.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from penstock.errors import ConfigurationError
from penstock.memory._rocksdb_split import RocksDBPlan

if TYPE_CHECKING:
    from penstock.conf import Configuration

__all__ = ["RocksDBMemory", "RocksDBTuning", "SharedResourceOwner", "require_rocksdict", "store_options"]

RESOURCE_NAME: Final = "state-rocks-managed-memory"
"""The name the slots' memory managers know the shared memory by (Flink's)."""

_MIB: Final = 1 << 20


def require_rocksdict() -> Any:
    """The package behind the backend.

    Raises:
        ConfigurationError: if it is not installed.
    """
    try:
        import rocksdict
    except ImportError as error:
        raise ConfigurationError(
            "state.backend.type: rocksdb needs the package rocksdict, which is not installed. Install it with: "
            "pip install 'penstock[rocksdb]'."
        ) from error
    return rocksdict


class SharedResourceOwner(Protocol):
    """What RocksDB's memory is leased from: a slot's managed memory."""

    def lease_shared(
        self,
        name: str,
        owner: str,
        size_bytes: int,
        create: Callable[[int], Any],
        dispose: Callable[[Any], None] | None,
        *,
        usage: Callable[[Any], int] | None,
    ) -> Any:
        """A share in a resource inside managed memory."""
        ...

    def lease_external(
        self,
        name: str,
        owner: str,
        size_bytes: int,
        create: Callable[[int], Any],
        dispose: Callable[[Any], None] | None,
    ) -> Any:
        """A share in a resource outside managed memory."""
        ...


@dataclass(frozen=True, slots=True)
class RocksDBTuning:
    """What the user set; None leaves it to Penstock.

    Attributes:
        write_buffer_bytes, write_buffer_count, write_buffers_to_merge: of write buffers.
        block_bytes, metadata_block_bytes: of blocks in files.
        block_cache_bytes: of each store where there is no shared budget.
        background_jobs: flushes and compactions at once.
        open_files: most files kept open.
        compaction_style: LEVEL or UNIVERSAL.
        level_base_bytes, file_base_bytes: of the first level and its files.
        dynamic_levels: whether level sizes follow the last level.
        bloom_bits: bits for each key of a Bloom filter, None for no filter.
    """

    write_buffer_bytes: int | None = None
    write_buffer_count: int | None = None
    write_buffers_to_merge: int | None = None
    block_bytes: int | None = None
    metadata_block_bytes: int | None = None
    block_cache_bytes: int | None = None
    background_jobs: int | None = None
    open_files: int | None = None
    compaction_style: str | None = None
    level_base_bytes: int | None = None
    file_base_bytes: int | None = None
    dynamic_levels: bool | None = None
    bloom_bits: float | None = None

    @classmethod
    def of(cls, configuration: Configuration) -> RocksDBTuning:
        """What a configuration says."""
        from penstock.conf import RocksDBOptions as Options

        def size(option: Any) -> int | None:
            value = configuration.get(option)
            return None if value is None else int(value.bytes)

        bloom = (
            configuration.get(Options.BLOOM_FILTER_BITS_PER_KEY)
            if configuration.get(Options.USE_BLOOM_FILTER)
            else None
        )
        return cls(
            write_buffer_bytes=size(Options.WRITE_BUFFER_SIZE),
            write_buffer_count=configuration.get(Options.MAX_WRITE_BUFFER_NUMBER),
            write_buffers_to_merge=configuration.get(Options.MIN_WRITE_BUFFER_NUMBER_TO_MERGE),
            block_bytes=size(Options.BLOCK_SIZE),
            metadata_block_bytes=size(Options.METADATA_BLOCK_SIZE),
            block_cache_bytes=size(Options.BLOCK_CACHE_SIZE),
            background_jobs=configuration.get(Options.MAX_BACKGROUND_THREADS),
            open_files=configuration.get(Options.MAX_OPEN_FILES),
            compaction_style=configuration.get(Options.COMPACTION_STYLE),
            level_base_bytes=size(Options.MAX_SIZE_LEVEL_BASE),
            file_base_bytes=size(Options.TARGET_FILE_SIZE_BASE),
            dynamic_levels=configuration.get(Options.USE_DYNAMIC_LEVEL_SIZE),
            bloom_bits=bloom,
        )


@dataclass(slots=True)
class RocksDBMemory:
    """The memory all stores of a slot share. Owned by the lease; used by the slot's task threads.

    Attributes:
        plan: the budget and its parts.
        cache: rocksdict's `Cache`, None without a budget.
        write_buffers: rocksdict's `WriteBufferManager`, None without a budget.
    """

    plan: RocksDBPlan
    cache: Any = field(default=None)
    write_buffers: Any = field(default=None)

    @classmethod
    def create(cls, plan: RocksDBPlan) -> RocksDBMemory:
        """Allocates what the plan says; without a budget each store has caches of its own."""
        rocksdict = require_rocksdict()
        if not plan.total_bytes or plan.cache_capacity_bytes is None or plan.write_buffer_manager_bytes is None:
            return cls(plan)
        cache = rocksdict.Cache(plan.cache_capacity_bytes)
        write_buffers = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
            plan.write_buffer_manager_bytes, True, cache
        )
        return cls(plan, cache, write_buffers)

    def dispose(self) -> None:
        """Lets go of it; the memory is free when the last store is closed."""
        self.cache = self.write_buffers = None

    @property
    def used_bytes(self) -> int:
        """Cached blocks and write buffers, 0 without a budget."""
        return self.cache.get_usage() if self.cache is not None else 0

    @classmethod
    def lease(cls, plan: RocksDBPlan, owner: str, slot: SharedResourceOwner | None, process: Any = None) -> Any:
        """A lease of the memory a plan asks for: an object with `resource` and `release()`.

        Args:
            plan: the slot's plan.
            owner: the subtask.
            slot: the slot's managed memory; None where there is none (then the budget is not reserved anywhere).
            process: `SharedResources` of the process, for `fixed-per-tm`.

        Raises:
            penstock.memory.ManagedMemoryExhaustedError: the slot's managed memory cannot hold the budget.
        """

        def create(_: int) -> RocksDBMemory:
            return cls.create(plan)

        if plan.source == "managed" and slot is not None:
            return slot.lease_shared(
                RESOURCE_NAME, owner, plan.total_bytes or 0, create, cls.dispose, usage=lambda held: held.used_bytes
            )
        if plan.source == "fixed-per-slot" and slot is not None:
            return slot.lease_external(RESOURCE_NAME, owner, plan.total_bytes or 0, create, cls.dispose)
        if plan.source == "fixed-per-tm" and process is not None:
            return process.lease(RESOURCE_NAME, owner, plan.total_bytes or 0, create, cls.dispose)
        return _OwnLease(create(plan.total_bytes or 0))


class _OwnLease:
    """Memory nobody shares."""

    def __init__(self, resource: RocksDBMemory) -> None:
        self.resource = resource

    def release(self) -> None:
        """Frees it."""
        self.resource.dispose()


def store_options(memory: RocksDBMemory, tuning: RocksDBTuning) -> Any:
    """Rocksdict's `Options` for one store."""
    rocksdict = require_rocksdict()
    options = rocksdict.Options(raw_mode=True)
    options.set_block_based_table_factory(_table_options(rocksdict, memory, tuning))
    budget, write_buffer_bytes = memory.plan.total_bytes, 64 * _MIB
    file_bytes = 64 * _MIB
    if memory.write_buffers is not None and budget:
        manager_bytes = memory.plan.write_buffer_manager_bytes or 0
        options.set_write_buffer_manager(memory.write_buffers)
        # A quarter: a store whose memtable is being written goes on with the next without stalling at once.
        write_buffer_bytes = min(write_buffer_bytes, max(_MIB, manager_bytes // 4))
        # Memory is taken from the manager a block at a time: blocks must be small against it.
        options.set_arena_block_size(min(_MIB, max(16 << 10, manager_bytes // 64 // 4096 * 4096)))
        # The index of a file is one block of the cache, read and copied as a whole: large files have large ones.
        file_bytes = min(file_bytes, 2 * write_buffer_bytes)
    options.set_write_buffer_size(tuning.write_buffer_bytes or write_buffer_bytes)
    options.set_max_write_buffer_number(tuning.write_buffer_count or 2)
    options.set_min_write_buffer_number_to_merge(tuning.write_buffers_to_merge or 1)
    options.set_target_file_size_base(tuning.file_base_bytes or file_bytes)
    options.set_target_file_size_multiplier(2)
    options.set_max_bytes_for_level_base(tuning.level_base_bytes or 4 * (tuning.file_base_bytes or file_bytes))
    # A read looks into every file of level 0, and without a Bloom filter into a block of each.
    options.set_level_zero_file_num_compaction_trigger(2 if tuning.bloom_bits is None else 4)
    options.set_level_compaction_dynamic_level_bytes(bool(tuning.dynamic_levels))
    if tuning.compaction_style == "UNIVERSAL":
        options.set_compaction_style(rocksdict.DBCompactionStyle.universal())
    options.set_max_background_jobs(tuning.background_jobs or 2)
    options.set_max_open_files(-1 if tuning.open_files is None else tuning.open_files)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    options.set_stats_dump_period_sec(0)
    options.set_keep_log_file_num(1)
    options.set_max_log_file_size(_MIB)
    return options


def _table_options(rocksdict: Any, memory: RocksDBMemory, tuning: RocksDBTuning) -> Any:
    table = rocksdict.BlockBasedOptions()
    table.set_block_size(tuning.block_bytes or 4096)
    bloom_bits = tuning.bloom_bits
    if memory.cache is None:
        table.set_block_cache(rocksdict.Cache(tuning.block_cache_bytes or 8 * _MIB))
    else:
        table.set_block_cache(memory.cache)
        table.set_cache_index_and_filter_blocks(True)
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        # The cache consists of shards. An index or filter in one block may not fit into one, and is then read from
        # disk each time: a hundred times slower. So they are partitioned also where the user did not ask for it.
        table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
        table.set_partition_filters(True)
        table.set_metadata_block_size(tuning.metadata_block_bytes or 4096)
        table.set_pin_top_level_index_and_filter(True)
        if memory.plan.partitioned_index_filters:
            bloom_bits = 10.0  # as in Flink
    if bloom_bits is not None:
        table.set_bloom_filter(bloom_bits, False)
    return table

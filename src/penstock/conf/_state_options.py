"""Options of state: caches, where `auto` moves, temporary files, and how RocksDB keeps state on disk.

Which backend is used and its share of managed memory is in `_managed_memory_options`.
"""

from __future__ import annotations

from penstock.conf._memory_size import MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, DOUBLE, INTEGER, SIZE, STRING, choice_of

__all__ = ["RocksDBOptions", "StateBackendOptions"]


class StateBackendOptions:
    """State and temporary files (Flink's `StateBackendOptions`, `CoreOptions`)."""

    AUTO_HEAP_FRACTION = ConfigOption(
        "penstock.state.auto.heap-fraction",
        DOUBLE,
        0.4,
        "`state.backend.type: auto`: the part of the task heap all keyed state of a process may take before it moves "
        "to RocksDB. Without a heap limit `penstock.state.auto.heap-size` counts alone.",
    )
    AUTO_HEAP_SIZE = ConfigOption(
        "penstock.state.auto.heap-size",
        SIZE,
        MemorySize(1 << 30),
        "`state.backend.type: auto`: the most all keyed state of a process may take on the heap before it moves to "
        "RocksDB, whatever the heap's size.",
    )
    OBJECT_CACHE_FRACTION = ConfigOption(
        "penstock.state.cache.heap-fraction",
        DOUBLE,
        0.2,
        "RocksDB: the part of the task heap that all caches of decoded state objects of a process take at most.",
    )
    OBJECT_CACHE_SIZE = ConfigOption(
        "penstock.state.cache.size",
        SIZE,
        MemorySize(256 << 20),
        "RocksDB: the most all caches of decoded state objects of a process take together, whatever the heap's size.",
    )
    USE_BATCH_STATE_BACKEND = ConfigOption(
        "execution.batch-state-backend.enabled",
        BOOLEAN,
        True,
        "BATCH mode: whether keyed operators keep the state of one key at a time. Penstock always does.",
    )
    TMP_DIRS: ConfigOption[str | None] = ConfigOption(
        "io.tmp.dirs",
        STRING,
        None,
        "Directories for temporary files, separated by `,`, `|` or the path separator. Not set, the system's directory "
        "for temporary files.",
        ("taskmanager.tmp.dirs",),
        default_text="the system's directory for temporary files",
    )


class RocksDBOptions:
    """RocksDB: disk (Flink's `RocksDBOptions`, `RocksDBConfigurableOptions`)."""

    LOCAL_DIRECTORIES: ConfigOption[str | None] = ConfigOption(
        "state.backend.rocksdb.localdir",
        STRING,
        None,
        "Directories for RocksDB's files, separated like `io.tmp.dirs`; subtasks take turns. Not set, those of "
        "`io.tmp.dirs`.",
        default_text="`io.tmp.dirs`",
    )
    CHECKPOINT_TRANSFER_THREADS = ConfigOption(
        "state.backend.rocksdb.checkpoint.transfer.thread.num",
        INTEGER,
        4,
        "Threads that upload and download RocksDB's files, for each stateful operator.",
    )
    WRITE_BATCH_SIZE = ConfigOption(
        "state.backend.rocksdb.write-batch-size",
        SIZE,
        MemorySize(2 << 20),
        "The most bytes in one write to RocksDB; 0 for a limit by entries alone.",
    )
    WRITE_BUFFER_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.writebuffer.size",
        SIZE,
        None,
        "The size a write buffer grows to before it is written to disk. Not set, 64 MiB, and less where the budget for "
        "write buffers demands it.",
        default_text="64 mb, or what the memory budget allows",
    )
    MAX_WRITE_BUFFER_NUMBER: ConfigOption[int | None] = ConfigOption(
        "state.backend.rocksdb.writebuffer.count", INTEGER, None, "The most write buffers of a store.", default_text="2"
    )
    MIN_WRITE_BUFFER_NUMBER_TO_MERGE: ConfigOption[int | None] = ConfigOption(
        "state.backend.rocksdb.writebuffer.number-to-merge",
        INTEGER,
        None,
        "Write buffers that are merged before they are written to disk.",
        default_text="1",
    )
    BLOCK_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.block.blocksize", SIZE, None, "The size of a data block.", default_text="4 kb"
    )
    METADATA_BLOCK_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.block.metadata-blocksize",
        SIZE,
        None,
        "The size of a block of a partitioned index or filter.",
        default_text="4 kb",
    )
    BLOCK_CACHE_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.block.cache-size",
        SIZE,
        None,
        "The block cache of each store where no memory budget applies "
        "(`state.backend.rocksdb.memory.managed: false` and no fixed size).",
        default_text="8 mb",
    )
    MAX_BACKGROUND_THREADS: ConfigOption[int | None] = ConfigOption(
        "state.backend.rocksdb.thread.num",
        INTEGER,
        None,
        "Flushes and compactions of a store at the same time.",
        default_text="2",
    )
    MAX_OPEN_FILES: ConfigOption[int | None] = ConfigOption(
        "state.backend.rocksdb.files.open",
        INTEGER,
        None,
        "Files a store keeps open; -1 for all of them.",
        default_text="-1",
    )
    COMPACTION_STYLE: ConfigOption[str | None] = ConfigOption(
        "state.backend.rocksdb.compaction.style",
        choice_of("LEVEL", "UNIVERSAL"),
        None,
        "How files are compacted. `FIFO` and `NONE` would lose or keep everything and are refused.",
        default_text="LEVEL",
    )
    MAX_SIZE_LEVEL_BASE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.compaction.level.max-size-level-base",
        SIZE,
        None,
        "The size of the first level of sorted files.",
        default_text="256 mb",
    )
    TARGET_FILE_SIZE_BASE: ConfigOption[MemorySize | None] = ConfigOption(
        "state.backend.rocksdb.compaction.level.target-file-size-base",
        SIZE,
        None,
        "The size of a file of the first level.",
        default_text="64 mb",
    )
    USE_DYNAMIC_LEVEL_SIZE: ConfigOption[bool | None] = ConfigOption(
        "state.backend.rocksdb.compaction.level.use-dynamic-size",
        BOOLEAN,
        None,
        "Whether RocksDB derives the sizes of the levels from the last one.",
        default_text="false",
    )
    USE_BLOOM_FILTER = ConfigOption(
        "state.backend.rocksdb.use-bloom-filter",
        BOOLEAN,
        True,
        "Whether files have a Bloom filter, which makes looking up keys that are absent cheap. Flink's default is "
        "false; here each batch looks its keys up before it writes them, so that new keys would be slow without one.",
    )
    BLOOM_FILTER_BITS_PER_KEY = ConfigOption(
        "state.backend.rocksdb.bloom-filter.bits-per-key", DOUBLE, 10.0, "Bits of a Bloom filter for each key."
    )
    RESTORE_OVERLAP_FRACTION_THRESHOLD = ConfigOption(
        "state.backend.rocksdb.restore-overlap-fraction-threshold",
        DOUBLE,
        0.0,
        "After a change of parallelism: a store of the checkpoint is taken over whole, and cut to the own key groups, "
        "where at least this part of its key groups is the subtask's own; else its entries are copied.",
    )
    TIMER_SERVICE_FACTORY = ConfigOption(
        "state.backend.rocksdb.timer-service.factory",
        choice_of("ROCKSDB", "HEAP"),
        "ROCKSDB",
        "Where timers are kept: `ROCKSDB` in memory up to a quarter of the subtask's share of "
        "`penstock.state.cache.*` and those of late times in RocksDB, `HEAP` in memory whatever they take.",
    )
    TIMER_SERVICE_CACHE_SIZE = ConfigOption(
        "state.backend.rocksdb.timer-service.cache-size",
        INTEGER,
        128,
        "The most timers of a key group that are read from RocksDB at once, with `ROCKSDB` above.",
    )
    PREFETCHED_KEYS = ConfigOption(
        "penstock.state.rocksdb.batch-keys",
        INTEGER,
        10_000,
        "The most keys in one read or write: RocksDB's writes stop the interpreter for as long as they take.",
    )

"""Backends on RocksDB for tests of what is RocksDB's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.conf import Configuration
from penstock.memory import plan_rocksdb
from penstock.runtime.state import BackendContext
from penstock.runtime.state._heap_share import HeapShare
from penstock.runtime.state._rocksdb import RocksDBBackend, RocksDBSettings
from penstock.runtime.state._rocksdb_memory import RocksDBMemory


def new_rocksdb(
    directory: Path, cache_bytes: int, subtask: int = 0, parallelism: int = 1, **settings: Any
) -> RocksDBBackend:
    """One of 16 key groups with 8 MB for RocksDB and so much for cached objects; `settings` as `RocksDBSettings`."""
    directory.mkdir(parents=True, exist_ok=True)
    configuration = Configuration.from_mapping({"state.backend.rocksdb.memory.fixed-per-slot": "8 mb"})
    lease = RocksDBMemory.lease(plan_rocksdb(configuration, 0), "test", None)
    context = BackendContext("f" * 16, "Sum", subtask, parallelism, 16, lambda: 0)
    return RocksDBBackend(context, RocksDBSettings((str(directory),), **settings), lease, HeapShare(cache_bytes))

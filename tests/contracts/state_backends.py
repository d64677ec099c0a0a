"""The keyed state backends under one contract, and a model of what they must hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from penstock.memory import RocksDBPlan
from penstock.runtime.state import BackendContext, HashMapBackend, KeyedStateBackend, KeyedStateHandle
from penstock.runtime.state._auto import AutoBackend
from penstock.runtime.state._heap_share import HeapShare
from penstock.runtime.state._rocksdb import RocksDBBackend, RocksDBSettings
from penstock.runtime.state._rocksdb_memory import RocksDBMemory

MAX_PARALLELISM = 16


class Clock:
    """Time that tests move."""

    def __init__(self, now_ms: int = 1_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class MemoryStorage:
    """A snapshot writer and reader that keeps files in memory."""

    owned = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self._numbers = itertools.count()

    def put(self, name: str, data: bytes | Iterable[bytes]) -> str:
        name = f"{name}-{next(self._numbers)}"
        self.files[name] = data if isinstance(data, bytes) else b"".join(data)
        return name

    def put_shared(self, path: str, key: str) -> str:
        name = f"shared-{key}-{next(self._numbers)}"
        self.files[name] = Path(path).read_bytes()
        self.uploads.append(key)
        return name

    def read(self, handle: str, offset: int = 0, length: int | None = None) -> bytes:
        return self.files[handle][offset : None if length is None else offset + length]

    def download(self, handle: str, path: str) -> None:
        Path(path).write_bytes(self.files[handle])


def context(clock: Callable[[], int], subtask: int = 0, parallelism: int = 1) -> BackendContext:
    return BackendContext("0123456789abcdef", "Sum", subtask, parallelism, MAX_PARALLELISM, clock)


def new_hashmap(clock: Callable[[], int], directory: Path, subtask: int = 0, parallelism: int = 1) -> KeyedStateBackend:
    return HashMapBackend(context(clock, subtask, parallelism))


def new_rocksdb(
    clock: Callable[[], int],
    directory: Path,
    subtask: int = 0,
    parallelism: int = 1,
    *,
    cache_bytes: int = 64 << 20,
    incremental: bool = True,
) -> RocksDBBackend:
    plan = RocksDBPlan("fixed-per-slot", 0.5, 0.1, False, 8 << 20, (8 << 20) * 5 // 6, (8 << 20) // 3)
    settings = RocksDBSettings((str(directory),), incremental=incremental)
    lease = RocksDBMemory.lease(plan, "test", None)
    return RocksDBBackend(context(clock, subtask, parallelism), settings, lease, HeapShare(cache_bytes))


def new_small_rocksdb(
    clock: Callable[[], int], directory: Path, subtask: int = 0, parallelism: int = 1
) -> KeyedStateBackend:
    """One whose cache holds next to nothing, so that everything goes through the store."""
    return new_rocksdb(clock, directory, subtask, parallelism, cache_bytes=1, incremental=False)


def new_incremental_rocksdb(
    clock: Callable[[], int], directory: Path, subtask: int = 0, parallelism: int = 1
) -> KeyedStateBackend:
    """One whose cache holds a few entries, and whose checkpoints add to each other."""
    return new_rocksdb(clock, directory, subtask, parallelism, cache_bytes=2500)


def new_auto(clock: Callable[[], int], directory: Path, subtask: int = 0, parallelism: int = 1) -> KeyedStateBackend:
    """One that moves to RocksDB at the first look."""
    share = HeapShare(0)
    return AutoBackend(
        context(clock, subtask, parallelism), share, lambda _: new_rocksdb(clock, directory, subtask, parallelism)
    )


BACKENDS: dict[str, Callable[..., KeyedStateBackend]] = {
    "hashmap": new_hashmap,
    "rocksdb": new_rocksdb,
    "rocksdb-uncached": new_small_rocksdb,
    "rocksdb-incremental": new_incremental_rocksdb,
    "auto": new_auto,
}


def take(
    backend: KeyedStateBackend, storage: Any, checkpoint_id: int = 1, *, canonical: bool = False
) -> KeyedStateHandle:
    """A whole snapshot at once."""
    snapshot = backend.snapshot(checkpoint_id, storage, canonical=canonical)
    while not snapshot.advance(1000):
        pass
    return snapshot.finish()

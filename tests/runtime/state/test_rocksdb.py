"""What is RocksDB's own: its cache, its files, its memory, its directories."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rocksdb_backends import new_rocksdb

from penstock.common.typeinfo import Types
from penstock.conf import Configuration
from penstock.datastream.state import MapStateDescriptor, ValueStateDescriptor
from penstock.errors import ConfigurationError
from penstock.memory import MemoryManager, plan_rocksdb
from penstock.runtime.checkpoint import CheckpointStorage
from penstock.runtime.state import BackendContext, StateBackendError, StateKind, TableSpec
from penstock.runtime.state._heap_share import HeapShare
from penstock.runtime.state._rocksdb import RocksDBBackend, RocksDBSettings
from penstock.runtime.state._rocksdb_directories import owned_directory
from penstock.runtime.state._rocksdb_memory import RESOURCE_NAME, RocksDBMemory, RocksDBTuning, store_options

UNTYPED = Types.PICKLED_BYTE_ARRAY()


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[Any]:
    made: list[RocksDBBackend] = []

    def make(cache_bytes: int = 64 << 20, **settings: Any) -> RocksDBBackend:
        made.append(new_rocksdb(tmp_path, cache_bytes, **settings))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def take(backend: RocksDBBackend, storage: CheckpointStorage, number: int) -> Any:
    writer = storage.begin(number)
    snapshot = backend.snapshot(number, writer)
    while not snapshot.advance():
        pass
    view = writer.complete(snapshot.finish())
    backend.checkpoint_completed(number)
    return view


def fill(backend: RocksDBBackend, keys: range, value: Any) -> None:
    table = backend.table(TableSpec("s", StateKind.VALUE))
    for key in keys:
        table.put(key, value)


# -- incremental checkpoints ---------------------------------------------------------------------


def test_a_file_is_uploaded_once_and_deleted_with_the_last_checkpoint_that_needs_it(
    backends: Any, tmp_path: Path
) -> None:
    backend = backends(incremental=True)
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    files = []
    for number in (1, 2, 3):
        if number < 3:  # the third has nothing new
            fill(backend, range(number * 1000, number * 1000 + 1000), os.urandom(100))
        files.append({file.path for file in take(backend, storage, number).files() if file.is_shared})
        storage.retain(1)
    assert files[0]
    assert files[2]
    uploaded = set().union(*files)
    names = {path.rpartition("-")[0] for path in uploaded}  # without what makes an upload's name unique
    assert len(names) == len(uploaded)
    shared = {f"shared/{path.name}" for path in (tmp_path / "checkpoints" / ("a" * 32) / "shared").iterdir()}
    assert shared == files[2]
    latest = storage.latest()
    assert latest is not None
    again = backends(incremental=True)
    again.restore([(latest.metadata, latest)])
    after = {file.path for file in take(again, storage, 4).files() if file.is_shared}
    compacted = len(after) < len(files[2])
    assert files[2] & after or compacted, "a restored job builds on the files of its own checkpoint"


def test_checkpoints_that_are_not_incremental_stand_alone(backends: Any, tmp_path: Path) -> None:
    backend = backends()
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    for number in (1, 2):
        fill(backend, range(number * 1000, number * 1000 + 1000), os.urandom(100))
        assert not any(file.is_shared for file in take(backend, storage, number).files())


def test_an_uncompleted_checkpoint_is_not_built_upon(backends: Any, tmp_path: Path) -> None:
    backend = backends(incremental=True)
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    fill(backend, range(1000), os.urandom(100))
    writer = storage.begin(1)
    snapshot = backend.snapshot(1, writer)
    while not snapshot.advance():
        pass
    lost = {file.path for file in snapshot.finish().files.values() if getattr(file, "is_shared", False)}
    writer.abort()
    kept = {file.path for file in take(backend, storage, 2).files() if file.is_shared}
    assert lost
    assert not lost & kept
    assert not lost & {f"shared/{name}" for name in storage._store.names(storage._in_folder("shared"))}
    assert storage.sweep() == 0  # the second checkpoint's beginning deleted what the first had uploaded


def test_local_files_of_a_checkpoint_do_not_stay(backends: Any, tmp_path: Path) -> None:
    backend = backends()
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    fill(backend, range(100), 1)
    take(backend, storage, 1)
    assert [name for name in os.listdir(backend.directory) if name.startswith("chk")] == []
    directory = backend.directory
    backend.close()
    assert not os.path.exists(directory)


def test_state_written_while_files_are_linked_is_not_in_them(backends: Any, tmp_path: Path) -> None:
    """The cache may overshoot, but what is newer than the barrier waits for the files."""
    backend = backends(cache_bytes=300_000)
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    fill(backend, range(2000), "before")
    for number in range(1, 4):
        writer = storage.begin(number)
        snapshot = backend.snapshot(number, writer)
        for start in range(0, 2000, 100):
            fill(backend, range(start, start + 100), f"after {number}")
            backend.end_batch()
            snapshot.advance(0.0)
        while not snapshot.advance():
            pass
        view = writer.complete(snapshot.finish())
        again = backends()
        again.restore([(view.metadata, view)])
        table = again.table(TableSpec("s", StateKind.VALUE))
        assert {table.get(key) for key in range(2000)} == {"before" if number == 1 else f"after {number - 1}"}


# -- the cache -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [StateKind.VALUE, StateKind.LIST, StateKind.MAP])
@pytest.mark.parametrize("windows", [1, 50])
def test_the_cache_keeps_to_its_bytes(backends: Any, kind: StateKind, windows: int) -> None:
    limit = 2 << 20
    backend = backends(cache_bytes=limit)
    table = backend.table(TableSpec("s", kind))
    rng = random.Random(5)
    for batch in range(60):
        window = None if windows == 1 else batch % windows
        keys = [rng.randrange(20_000) for _ in range(500)]
        for key in keys:
            value = "x" * 300
            if kind is StateKind.VALUE:
                table.put(key, value, window)
            elif kind is StateKind.LIST:
                table.append(key, value, window)
            else:
                table.put(key, rng.randrange(3), value, window)
        backend.end_batch()
        assert backend.cached_bytes() < limit * 1.1
    (size,) = backend.sizes()
    assert size.entries > 8_000
    assert size.size_bytes > size.entries * 100


def test_keys_in_use_stay_cached(backends: Any) -> None:
    backend = backends(cache_bytes=400_000)
    table = backend.table(TableSpec("sum", StateKind.REDUCING))
    hot = list(range(100))
    for start in range(1000, 40_000, 200):
        keys = hot + list(range(start, start + 200))
        entries = table.open_batch(keys)
        for key in keys:
            entries[key] = entries.get(key, 0) + 1
        table.close_batch(keys)
        backend.end_batch()
    assert sum(key in table.live() for key in hot) > 80
    assert {table.get(key) for key in hot} == {195}


def test_a_window_that_comes_and_goes_never_reaches_the_store(backends: Any) -> None:
    backend = backends()
    table = backend.table(TableSpec("contents", StateKind.AGGREGATING))
    for window in range(100):
        entries = table.open_batch(["a", "b"], window)
        entries["a"] = entries["b"] = window
        table.close_batch(["a", "b"], window)
        table.remove("a", window)
        table.drop_namespace(window)
    assert table.rows == 0
    assert backend.store.estimated_keys() <= 1, "the format version alone"
    assert list(table.partitions()) == [table._void]


def test_a_list_of_many_chunks_becomes_one_when_it_is_read(backends: Any) -> None:
    backend = backends(cache_bytes=1)
    table = backend.table(TableSpec("list", StateKind.LIST))
    for number in range(100):
        table.append("k", number)
        backend.end_batch()
    assert table.rows == 100
    assert table.get("k") == list(range(100))
    backend.end_batch()
    assert table.rows == 1
    assert table.get("k") == list(range(100))


def test_one_entry_of_a_large_map_is_read_without_the_others(backends: Any) -> None:
    backend = backends(cache_bytes=100_000)
    state = backend.get_map_state(MapStateDescriptor("map", UNTYPED, UNTYPED))
    backend.current_key = "k"
    for number in range(5_000):
        state.put(number, number)
    backend.end_batch()
    table = state.table
    assert state.get(4_321) == 4_321
    assert len(table._void.entries["k"].values) < 10
    assert sorted(state.keys()) == list(range(5_000))
    assert sum(state.values()) == sum(range(5_000))
    backend.end_batch()
    assert backend.cached_bytes() < 150_000


# -- files and memory ----------------------------------------------------------------------------


def test_a_store_of_another_format_is_refused(backends: Any, tmp_path: Path) -> None:
    backend = backends()
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    fill(backend, range(10), 1)
    backend.store.put(b"\xff\xffmeta", b'{"format": 99}')
    backend.store.write_batch()
    view = take(backend, storage, 1)
    with pytest.raises(StateBackendError, match="has format 99; this version of Penstock reads 1"):
        backends().restore([(view.metadata, view)])


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rocksdict", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'penstock\[rocksdb\]'"):
        RocksDBMemory.create(plan_rocksdb(Configuration(), 64 << 20))


def test_stores_of_a_slot_share_one_lease_of_its_managed_memory(tmp_path: Path) -> None:
    slot = MemoryManager(64 << 20)
    plan = plan_rocksdb(Configuration(), 64 << 20, 0.5)
    context = BackendContext("f" * 16, "Sum", 0, 1, 16, lambda: 0)
    backends = []
    for name in ("one", "two"):
        lease = RocksDBMemory.lease(plan, name, slot)
        backends.append(RocksDBBackend(context, RocksDBSettings((str(tmp_path),)), lease, HeapShare(1 << 20)))
        fill(backends[-1], range(10), name)
    assert slot.reserved_bytes == 32 << 20
    assert slot.statistics().shared[RESOURCE_NAME] == (32 << 20, ("one", "two"))
    assert backends[0].memory is backends[1].memory
    assert slot.resident_bytes() < 8 << 20  # what RocksDB uses, not what is reserved for it
    backends[0].close()
    assert slot.reserved_bytes == 32 << 20
    backends[1].close()
    slot.close()


def test_every_option_of_rocksdb_is_taken(tmp_path: Path) -> None:
    configuration = Configuration.from_mapping(
        {
            "state.backend.rocksdb.writebuffer.size": "2 mb",
            "state.backend.rocksdb.writebuffer.count": 3,
            "state.backend.rocksdb.writebuffer.number-to-merge": 2,
            "state.backend.rocksdb.block.blocksize": "8 kb",
            "state.backend.rocksdb.block.cache-size": "4 mb",
            "state.backend.rocksdb.thread.num": 1,
            "state.backend.rocksdb.files.open": 100,
            "state.backend.rocksdb.compaction.style": "universal",
            "state.backend.rocksdb.use-bloom-filter": True,
            "state.backend.rocksdb.memory.managed": False,
        }
    )
    memory = RocksDBMemory.create(plan_rocksdb(configuration, 0))
    assert memory.cache is None
    assert memory.used_bytes == 0
    tuning = RocksDBTuning.of(configuration)
    assert tuning.write_buffer_bytes == 2 << 20
    store_options(memory, tuning)
    settings = RocksDBSettings.of(configuration)
    assert settings.transfer_threads == 4
    context = BackendContext("f" * 16, "Sum", 0, 1, 16, lambda: 0)
    settings = RocksDBSettings((str(tmp_path),), tuning)
    backend = RocksDBBackend(context, settings, RocksDBMemory.lease(memory.plan, "test", None), HeapShare(1))
    backend.current_key = "k"
    state = backend.get_state(ValueStateDescriptor("s", UNTYPED))
    state.update(1)
    backend.end_batch()
    assert state.value() == 1
    backend.close()


def test_partitioned_index_filters(tmp_path: Path) -> None:
    configuration = Configuration.from_mapping({"state.backend.rocksdb.memory.partitioned-index-filters": True})
    memory = RocksDBMemory.create(plan_rocksdb(configuration, 16 << 20))
    store_options(memory, RocksDBTuning())


def test_what_a_killed_process_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    dead = tmp_path / "penstock-rocksdb-999999999-1"
    stranger = tmp_path / "penstock-rocksdb-notes"
    mine = owned_directory(str(tmp_path / "other"), "first")
    for directory in (dead / "store", stranger):
        directory.mkdir(parents=True)
    path = owned_directory(str(tmp_path), "second")
    assert os.path.isdir(path)
    assert not dead.exists()
    assert stranger.exists()
    assert os.path.isdir(mine)

"""Which backend a configuration asks for, and the backend that moves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from penstock.common.typeinfo import Types
from penstock.conf import Configuration
from penstock.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.errors import ConfigurationError
from penstock.memory import MemoryManager, SharedResources
from penstock.runtime.state import (
    BackendContext,
    HashMapBackend,
    StateBackendFactory,
    StateKind,
    TableSpec,
    state_backend_type,
)
from penstock.runtime.state._auto import AutoBackend
from penstock.runtime.state._rocksdb import RocksDBBackend

UNTYPED = Types.PICKLED_BYTE_ARRAY()
CONTEXT = BackendContext("f" * 16, "Sum", 0, 1, 16, lambda: 0)


def configured(tmp_path: Path, **values: Any) -> Configuration:
    return Configuration.from_mapping(
        {"io.tmp.dirs": str(tmp_path)} | {k.replace("_", "."): v for k, v in values.items()}
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "hashmap"),
        ("rocksdb", "rocksdb"),
        ("RocksDB", "rocksdb"),
        ("auto", "auto"),
        ("org.apache.flink.state.rocksdb.EmbeddedRocksDBStateBackendFactory", "rocksdb"),
        ("org.apache.flink.runtime.state.hashmap.HashMapStateBackendFactory", "hashmap"),
        ("filesystem", "hashmap"),
    ],
)
def test_the_type(value: str | None, expected: str) -> None:
    assert (
        state_backend_type(Configuration.from_mapping({} if value is None else {"state.backend.type": value}))
        == expected
    )


def test_an_unknown_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ConfigurationError, match="'rocksbd', which is none of hashmap, rocksdb, auto. Did you mean 'rocksdb'"
    ):
        StateBackendFactory(Configuration.from_mapping({"state.backend.type": "rocksbd"}))


def test_each_type_makes_its_backend(tmp_path: Path) -> None:
    for name, kind in (("hashmap", HashMapBackend), ("rocksdb", RocksDBBackend), ("auto", AutoBackend)):
        factory = StateBackendFactory(configured(tmp_path, state_backend_type=name))
        slot = MemoryManager(32 << 20)
        backend = factory.create(CONTEXT, slot, slot_managed_bytes=32 << 20)
        assert isinstance(backend, kind)
        assert slot.reserved_bytes == (32 << 20 if name == "rocksdb" else 0)
        backend.close()
        slot.close()


def test_memory_from_each_source(tmp_path: Path) -> None:
    slot, process = MemoryManager(32 << 20), SharedResources()
    for option, managed in (
        ({"state.backend.rocksdb.memory.fixed-per-slot": "8 mb"}, 0),
        ({"state.backend.rocksdb.memory.managed": False, "state.backend.rocksdb.memory.fixed-per-tm": "8 mb"}, 0),
        ({"state.backend.rocksdb.memory.managed": False}, 0),
        ({}, 16 << 20),
    ):
        configuration = Configuration.from_mapping(
            {"state.backend.type": "rocksdb", "io.tmp.dirs": str(tmp_path), **option}
        )
        factory = StateBackendFactory(configuration, process_resources=process)
        backend = factory.create(CONTEXT, slot, slot_managed_bytes=32 << 20, fraction=0.5)
        assert slot.reserved_bytes == managed
        assert bool(process.owners()) == ("state.backend.rocksdb.memory.fixed-per-tm" in option)
        backend.close()
    slot.close()
    assert not process.owners()


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    factory = StateBackendFactory(configured(tmp_path, state_backend_type="rocksdb"))
    with pytest.raises(ConfigurationError, match=r"1000 bytes.*taskmanager\.memory\.managed\.size"):
        factory.create(CONTEXT, None, slot_managed_bytes=1000)


def test_shares_of_the_heap(tmp_path: Path) -> None:
    factory = StateBackendFactory(configured(tmp_path), task_heap_bytes=100 << 20)
    assert factory.caches.total_bytes == 20 << 20
    assert factory.heap.total_bytes == 40 << 20
    unlimited = StateBackendFactory(configured(tmp_path))
    assert (unlimited.caches.total_bytes, unlimited.heap.total_bytes) == (256 << 20, 1 << 30)
    for _ in range(4):
        factory.heap.join()
    assert factory.heap.share_bytes == 10 << 20
    factory.heap.leave()
    assert factory.heap.share_bytes == (40 << 20) // 3


def test_auto_moves_between_batches_without_losing_anything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    configuration = Configuration.from_mapping(
        {"state.backend.type": "auto", "io.tmp.dirs": str(tmp_path), "penstock.state.auto.heap-size": "1 mb",
         "penstock.state.cache.size": "512 kb"}
    )  # fmt: skip
    backend: Any = StateBackendFactory(configuration).create(CONTEXT, None, slot_managed_bytes=16 << 20)
    value = backend.get_state(ValueStateDescriptor("value", Types.LONG()))
    windowed = backend.state(ValueStateDescriptor("windowed", UNTYPED), windowed=True)
    elements = backend.get_list_state(ListStateDescriptor("list", UNTYPED))
    mapping = backend.get_map_state(MapStateDescriptor("map", UNTYPED, UNTYPED))
    table = backend.table(TableSpec("sum", StateKind.REDUCING))
    live = table.live()
    moved_at = None
    with caplog.at_level(logging.INFO, logger="penstock.runtime.state._auto"):
        for batch in range(200):
            keys = list(range(batch * 20, batch * 20 + 20))
            entries = table.open_batch(keys)
            for key in keys:
                entries[key] = key
            table.close_batch(keys)
            for key in keys:
                backend.current_key, backend.current_namespace = key, key % 3
                value.update(key)
                windowed.update(str(key))
                elements.add(key)
                elements.add(-key)
                mapping.put("k", key)
            backend.end_batch()
            if moved_at is None and backend.is_on_disk:
                moved_at = batch
    assert moved_at is not None
    assert 10 < moved_at < 150
    assert "moves to RocksDB" in caplog.text
    assert table.live() is live, "generated loops hold the dict"
    assert backend.inner.cached_bytes() < 700_000
    for key in range(4000):
        backend.current_key, backend.current_namespace = key, key % 3
        assert (value.value(), windowed.value(), elements.get(), dict(mapping.items())) == (
            key, str(key), [key, -key], {"k": key},
        )  # fmt: skip
        assert table.get(key) == key
    backend.close()


def test_auto_does_not_move_while_a_snapshot_shares_its_values(tmp_path: Path) -> None:
    class Writer:
        def put(self, name: str, data: Any) -> bytes:
            return b"".join(data)

        def put_shared(self, path: str, key: str) -> bytes:
            return Path(path).read_bytes()

        def read(self, handle: bytes, offset: int = 0, length: int | None = None) -> bytes:
            return handle[offset : None if length is None else offset + length]

        def download(self, handle: bytes, path: str) -> None:
            Path(path).write_bytes(handle)

    configuration = Configuration.from_mapping(
        {"state.backend.type": "auto", "io.tmp.dirs": str(tmp_path), "penstock.state.auto.heap-size": "1 mb"}
    )
    factory = StateBackendFactory(configuration)
    backend: Any = factory.create(CONTEXT, None, slot_managed_bytes=16 << 20)
    table = backend.table(TableSpec("s", StateKind.VALUE))
    table.put("k", ["before"])
    writer: Any = Writer()
    snapshot = backend.snapshot(1, writer)
    for key in range(5000):
        table.put(key, "x" * 200)
    table.get("k").append("after")
    for _ in range(100):
        backend.end_batch()
    assert not backend.is_on_disk
    while not snapshot.advance():
        pass
    handle = snapshot.finish()
    backend.move_if_large()
    assert backend.is_on_disk
    assert table.get("k") == ["before", "after"]
    for restored in (factory.create(CONTEXT, None, slot_managed_bytes=16 << 20), HashMapBackend(CONTEXT)):
        restored.restore([(handle, writer)])
        assert restored.table(table.spec).get("k") == ["before"]
        restored.close()
    second = backend.snapshot(2, writer)
    while not second.advance():
        pass
    on_disk: Any = factory.create(CONTEXT, None, slot_managed_bytes=16 << 20)
    on_disk.restore([(second.finish(), writer)])
    assert on_disk.is_on_disk, "state that was on disk stays there"
    assert on_disk.table(table.spec).get(4999) == "x" * 200
    on_disk.close()
    backend.close()

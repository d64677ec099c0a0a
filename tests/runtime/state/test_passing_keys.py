"""Keys that are not worth a place in RocksDB's cache of objects."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rocksdb_backends import new_rocksdb

from penstock.common.typeinfo import Types
from penstock.runtime.checkpoint import CheckpointStorage
from penstock.runtime.state import StateKind, TableSpec
from penstock.runtime.state._rocksdb import RocksDBBackend
from penstock.runtime.state._rocksdb_admission import Admission

SUM = TableSpec("sum", StateKind.REDUCING, Types.LONG())
CACHE_BYTES = 400_000
KEYS = 8_000


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RocksDBBackend]:
    made = make(tmp_path / "own")
    yield made
    made.close()


def make(directory: Path) -> RocksDBBackend:
    return new_rocksdb(directory, CACHE_BYTES)


def add_batch(backend: RocksDBBackend, keys: list[int], expected: dict[int, int]) -> None:
    """A batch of a keyed sum, as generated loops do it; every 17th key is removed where it is met."""
    table = backend.table(SUM)
    entries = table.open_batch(keys)
    for key in keys:
        assert entries.get(key) == expected.get(key)
        if key % 17 == 0 and key in expected:
            del entries[key], expected[key]
        else:
            entries[key] = expected[key] = expected.get(key, 0) + 1
    table.close_batch(keys)
    backend.end_batch()


def add_singly(backend: RocksDBBackend, keys: list[int], expected: dict[int, int]) -> None:
    """The same by state objects, which read and write key by key."""
    table = backend.table(SUM)
    backend.begin_batch(keys)
    for key in keys:
        assert table.get(key) == expected.get(key)
        assert table.contains(key) == (key in expected)
        if key % 17 == 0 and key in expected:
            table.remove(key)
            del expected[key]
        else:
            expected[key] = expected.get(key, 0) + 1
            table.put(key, expected[key])
    backend.end_batch()


@pytest.mark.parametrize("add", [add_batch, add_singly])
def test_keys_that_pass_are_neither_lost_nor_kept(backend: RocksDBBackend, add: Any) -> None:
    expected: dict[int, int] = {}
    draw = random.Random(3).randrange
    table = backend.table(SUM)
    cached = []
    for _ in range(300):
        add(backend, [draw(KEYS) for _ in range(300)], expected)
        cached.append(len(table.live()))
        assert backend.cached_bytes() < CACHE_BYTES * 1.15
    assert table._admission.share < 0.4, "a tenth of the keys fits: most are fetched each time"
    assert max(cached[100:]) - min(cached[100:]) < 900, "what is cached stays, what is fetched comes and goes"
    assert {key: table.get(key) for key in range(KEYS) if table.contains(key)} == expected
    assert abs(table.rows + table.uncounted() - len(expected)) < len(expected) * 0.05


def test_both_ways_of_reading_take_turns(backend: RocksDBBackend) -> None:
    expected: dict[int, int] = {}
    random_ = random.Random(4)
    for _ in range(300):
        add = random_.choice((add_batch, add_singly))
        add(backend, [random_.randrange(KEYS) for _ in range(random_.choice((1, 90, 300)))], expected)
    table = backend.table(SUM)
    assert {key: table.get(key) for key in range(KEYS) if table.contains(key)} == expected


def test_a_working_set_that_becomes_small_is_kept_again(backend: RocksDBBackend) -> None:
    expected: dict[int, int] = {}
    draw = random.Random(5).randrange
    table = backend.table(SUM)
    for _ in range(150):
        add_batch(backend, [draw(KEYS) for _ in range(300)], expected)
    assert table._admission.share < 0.4
    hot = random.Random(6).sample(range(KEYS), 400)
    for _ in range(100):
        add_batch(backend, [hot[draw(400)] for _ in range(300)], expected)
    assert table._admission.share > 0.9
    assert sum(key in table.live() for key in hot) > 370


def test_checkpoints_hold_what_passes(backend: RocksDBBackend, tmp_path: Path) -> None:
    expected: dict[int, int] = {}
    draw = random.Random(7).randrange
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    for number in range(1, 6):
        for _ in range(60):
            add_batch(backend, [draw(KEYS) for _ in range(300)], expected)
        writer = storage.begin(number)
        at_barrier = dict(expected)
        snapshot = backend.snapshot(number, writer)
        while not snapshot.advance(0.0):
            add_batch(backend, [draw(KEYS) for _ in range(300)], expected)
        view = writer.complete(snapshot.finish())
        backend.checkpoint_completed(number)
        again = make(tmp_path / f"again{number}")
        again.restore([(view.metadata, view)])
        table = again.table(SUM)
        assert {key: table.get(key) for key in range(KEYS) if table.contains(key)} == at_barrier
        again.close()


def test_what_would_have_been_remembered_is_estimated() -> None:
    admission = Admission()
    rows = [number.to_bytes(4, "big") for number in range(10_000)]
    for start in range(0, 10_000, 100):
        admission.passes(100, rows[start : start + 100], 1000)
    assert admission.share < 0.05, "new keys all the time"
    batches = 0
    while admission.passes(100, rows[batches % 5 * 100 :][:100], 1000) or batches % 16 == 0:
        batches += 1
        assert batches < 60, "the same 500 keys, of which none was kept"


def test_a_key_deleted_before_a_barrier_is_not_read_ahead_from_the_store(
    backend: RocksDBBackend, tmp_path: Path
) -> None:
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)
    table = backend.table(SUM)
    for key in range(10):
        table.put(key, 1)
    table.write_all()
    for key in range(10):
        table.remove(key)
    snapshot = backend.snapshot(1, storage.begin(1))
    backend.begin_batch(list(range(10)))
    assert [table.get(key) for key in range(10)] == [None] * 10
    backend.end_batch()
    snapshot.cancel()
    assert [table.get(key) for key in range(10)] == [None] * 10

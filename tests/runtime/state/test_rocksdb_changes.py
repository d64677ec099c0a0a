"""Incremental checkpoints of RocksDB that add the changes since an earlier one, instead of linking the store's files."""

from __future__ import annotations

import copy
import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rocksdb_backends import new_rocksdb

from penstock.common.typeinfo import Types
from penstock.runtime.checkpoint import CheckpointStorage, CheckpointView, CheckpointWriter
from penstock.runtime.state import HashMapBackend, StateBackendError, StateKind, TableSpec
from penstock.runtime.state import _rocksdb_changes as changes
from penstock.runtime.state._rocksdb import RocksDBBackend

KINDS = (StateKind.REDUCING, StateKind.VALUE, StateKind.LIST, StateKind.MAP)
SPECS = {kind: TableSpec(kind.value, kind, Types.LONG() if kind is StateKind.REDUCING else None) for kind in KINDS}
WINDOWS = (None, None, None, 1, 2)
Model = dict[tuple[StateKind, Any, Any], Any]


def make(directory: Path, cache_bytes: int, subtask: int = 0, parallelism: int = 1) -> RocksDBBackend:
    return new_rocksdb(directory, cache_bytes, subtask, parallelism, incremental=True)


class Job:
    """A backend, a model of what it must hold, and its checkpoints."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.random = random.Random(seed)
        self.cache_bytes = self.random.choice((1, 4_000, 30_000, 1 << 20))
        self.storage = CheckpointStorage(str(directory / "checkpoints"), "a" * 32)
        self.backends = [make(directory / "own", self.cache_bytes)]
        self.model: Model = {}
        self.running: list[tuple[list[Any], CheckpointWriter, Model]] = []
        self.complete: list[tuple[CheckpointView, Model]] = []
        self.number = 0
        self.appended = self.replayed = 0

    def table(self, kind: StateKind, key: Any) -> Any:
        (backend,) = (b for b in self.backends if b.key_group_of(key) in b.key_group_range)
        return backend.table(SPECS[kind])

    # -- what a task does ------------------------------------------------------------------------

    def change(self) -> None:
        kind, window = self.random.choice(KINDS), self.random.choice(WINDOWS)
        keys = [self.random.randrange(60) for _ in range(self.random.choice((1, 5, 40)))]
        if kind is StateKind.REDUCING:
            self.add_batch(window, keys)
        else:
            for key in keys:
                self.change_one(kind, window, key)
        for backend in self.backends:
            backend.end_batch()

    def add_batch(self, window: Any, keys: list[int]) -> None:
        for backend in self.backends:
            own = [key for key in keys if backend.key_group_of(key) in backend.key_group_range]
            table = backend.table(SPECS[StateKind.REDUCING])
            entries = table.open_batch(own, window)
            for key in own:
                slot = StateKind.REDUCING, window, key
                assert entries.get(key) == self.model.get(slot)
                if self.random.random() < 0.2:
                    entries.pop(key, None)
                    self.model.pop(slot, None)
                else:
                    entries[key] = self.model[slot] = self.model.get(slot, 0) + 1
            table.close_batch(own, window)

    def change_one(self, kind: StateKind, window: Any, key: int) -> None:
        table, slot, value = self.table(kind, key), (kind, window, key), self.random.randrange(1000)
        if self.random.random() < 0.2:
            table.remove(key, window)
            self.model.pop(slot, None)
        elif kind is StateKind.VALUE:
            table.put(key, value, window)
            self.model[slot] = value
        elif kind is StateKind.LIST:
            table.append(key, value, window)
            self.model.setdefault(slot, []).append(value)
        else:
            table.put(key, value % 5, value, window)
            self.model.setdefault(slot, {})[value % 5] = value

    def drop_window(self) -> None:
        kind, window = self.random.choice(KINDS), self.random.choice((1, 2))
        for backend in self.backends:
            backend.table(SPECS[kind]).drop_namespace(window)
            backend.end_batch()
        self.model = {slot: value for slot, value in self.model.items() if slot[:2] != (kind, window)}

    # -- checkpoints -----------------------------------------------------------------------------

    def begin(self) -> None:
        if len(self.running) == 2:
            return
        self.number += 1
        writer = self.storage.begin(self.number)
        snapshots = [backend.snapshot(self.number, writer) for backend in self.backends]
        self.appended += sum(snapshot._base is not None for snapshot in snapshots)
        self.running.append((snapshots, writer, copy.deepcopy(self.model)))

    def advance(self) -> None:
        for snapshots, _, _ in self.running:
            for snapshot in snapshots:
                snapshot.advance(0.0)

    def end(self) -> None:
        if not self.running:
            return
        snapshots, writer, model = self.running.pop(0)
        if self.random.random() < 0.25:
            for snapshot in snapshots:
                snapshot.cancel()
            writer.abort()
            return
        for snapshot in snapshots:
            while not snapshot.advance(1):
                pass
        self.complete.append((writer.complete([snapshot.finish() for snapshot in snapshots]), model))
        if self.random.random() < 0.8:  # else the task hears of it with the next barrier
            for backend in self.backends:
                backend.checkpoint_completed(writer.checkpoint_id)
        self.storage.retain(2)

    def restore(self) -> None:
        if not self.complete:
            return
        self.close()
        view, model = self.complete[-1]
        view.verify()
        handles = [(handle, view) for handle in view.metadata]
        self.replayed += sum(map(changes.is_segment, (name for handle, _ in handles for name in handle.files)))
        parallelism = self.random.choice((1, 1, 2, 3))
        self.number += 10
        self.backends = [
            make(self.directory / f"own{self.number}-{subtask}", self.cache_bytes, subtask, parallelism)
            for subtask in range(parallelism)
        ]
        for backend in self.backends:
            backend.restore(handles)
        self.model = copy.deepcopy(model)
        if self.random.random() < 0.5:
            self.check()

    def check(self) -> None:
        for kind in KINDS:
            for window in (None, 1, 2):
                for key in range(60):
                    table, expected = self.table(kind, key), self.model.get((kind, window, key))
                    found = dict(table.items(key, window)) if kind is StateKind.MAP else table.get(key, window)
                    assert (found or None) == (expected or None), (kind, window, key)

    def close(self) -> None:
        for snapshots, writer, _ in self.running:
            for snapshot in snapshots:
                snapshot.cancel()
            writer.abort()
        self.running.clear()
        for backend in self.backends:
            backend.close()


@pytest.mark.parametrize("seed", range(40))
def test_any_program_goes_on_from_its_checkpoints(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path, seed)
    monkeypatch.setattr(changes, "_SEGMENTS_MAX", job.random.choice((3, 100)))
    actions = [job.change] * 12 + [job.begin, job.advance, job.end] * 4 + [job.drop_window]
    try:
        for step in range(400):
            if step % 57 == 56:
                job.restore()
            else:
                job.random.choice(actions)()
        job.check()
    finally:
        job.close()
    assert job.appended > 5
    assert job.replayed > 0


# -- one after the other -------------------------------------------------------------------------


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RocksDBBackend]:
    made = make(tmp_path / "own", 64 << 20)
    yield made
    made.close()


@pytest.fixture
def storage(tmp_path: Path) -> CheckpointStorage:
    return CheckpointStorage(str(tmp_path / "checkpoints"), "a" * 32)


def fill(backend: RocksDBBackend, keys: range, value: Any) -> None:
    for key in keys:
        backend.table(SPECS[StateKind.VALUE]).put(key, value)


def take(backend: RocksDBBackend, storage: CheckpointStorage, number: int) -> CheckpointView:
    writer = storage.begin(number)
    snapshot = backend.snapshot(number, writer)
    while not snapshot.advance(1000):
        pass
    view = writer.complete([snapshot.finish()])
    backend.checkpoint_completed(number)
    return view


def segments(view: CheckpointView) -> list[str]:
    return sorted(filter(changes.is_segment, view.metadata[0].files))


def test_a_checkpoint_holds_the_changes_since_the_one_before(
    backend: RocksDBBackend, storage: CheckpointStorage, tmp_path: Path
) -> None:
    shared = tmp_path / "checkpoints" / ("a" * 32) / "shared"
    fill(backend, range(5000), "x" * 100)
    assert len(segments(take(backend, storage, 1))) == 1, "what is cached"
    files, writes = set(os.listdir(shared)), backend.table(SPECS[StateKind.VALUE]).writes
    fill(backend, range(3), "changed")
    second = take(backend, storage, 2)
    assert len(segments(second)) == 2
    (new,) = set(os.listdir(shared)) - files
    assert (shared / new).stat().st_size < 500
    assert backend.table(SPECS[StateKind.VALUE]).writes == writes, "the store itself need not know"
    fill(backend, range(3, 5), "changed")
    third = take(backend, storage, 3)
    assert segments(third)[:2] == segments(second)
    assert segments(take(backend, storage, 4)) == segments(third), "nothing changed"


def test_it_materializes_when_there_is_much_to_write_again(
    backend: RocksDBBackend, storage: CheckpointStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend.changes, "_limit_bytes", lambda: 20_000)
    fill(backend, range(100), "x" * 100)
    take(backend, storage, 1)
    counts = []
    for number in range(2, 10):
        fill(backend, range(number * 100, number * 100 + 60), "y" * 100)
        counts.append(len(segments(take(backend, storage, number))))
    assert counts == [2, 3, 4, 1, 2, 3, 4, 1]
    fill(backend, range(2000), "z" * 100)  # more than the log may hold between two checkpoints
    backend.table(SPECS[StateKind.VALUE]).write_all()
    assert not backend.changes.is_recording
    assert not os.path.exists(f"{backend.directory}/changes")
    assert len(segments(take(backend, storage, 10))) <= 1


def test_a_full_disk_ends_the_log_and_the_checkpoint_alone(
    backend: RocksDBBackend, storage: CheckpointStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(backend, range(100), "before")
    take(backend, storage, 1)
    fill(backend, range(50), "after")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(changes._SegmentFile, "add", full)
        writer = storage.begin(2)
        snapshot = backend.snapshot(2, writer)
        while not snapshot.advance(1000):
            pass
        with pytest.raises(StateBackendError, match="changes of the state could not be written"):
            snapshot.finish()
        writer.abort()
    view = take(backend, storage, 3)
    assert len(segments(view)) == 1, "it materialized"
    check_values(backend, view, {**dict.fromkeys(range(100), "before"), **dict.fromkeys(range(50), "after")})


def check_values(backend: RocksDBBackend, view: CheckpointView, expected: dict[int, Any]) -> None:
    again = make(Path(backend.directory).parent.parent / "again", 1 << 20)
    again.restore([(view.metadata[0], view)])
    table = again.table(SPECS[StateKind.VALUE])
    assert {key: table.get(key) for key in expected} == expected
    again.close()


def test_a_window_whose_new_key_only_a_checkpoint_has_keeps_its_rows(
    backend: RocksDBBackend, storage: CheckpointStorage
) -> None:
    table = backend.table(SPECS[StateKind.VALUE])
    take(backend, storage, 1)
    table.put("stored", 1, "window")
    table.write_all()
    table.put("logged", 2, "window")
    take(backend, storage, 2)
    table.remove("logged", "window")
    table.write_all()
    table.evict(1 << 30)
    assert table.get("stored", "window") == 1
    table.drop_namespace("window")
    (handle,) = (view := take(backend, storage, 3)).metadata
    again = make(Path(backend.directory).parent.parent / "again", 1 << 20)
    again.restore([(handle, view)])
    assert list(again.table(SPECS[StateKind.VALUE]).keys("window")) == []
    again.close()


def test_another_backend_reads_the_changes_too(backend: RocksDBBackend, storage: CheckpointStorage) -> None:
    fill(backend, range(100), "before")
    take(backend, storage, 1)
    fill(backend, range(50), "after")
    view = take(backend, storage, 2)
    assert len(segments(view)) == 2
    heap = HashMapBackend(backend.context)
    heap.restore([(view.metadata[0], view)])
    table = heap.table(SPECS[StateKind.VALUE])
    assert [table.get(key) for key in (0, 49, 50, 99)] == ["after", "after", "before", "before"]


def test_a_savepoint_in_between_has_everything(backend: RocksDBBackend, storage: CheckpointStorage) -> None:
    fill(backend, range(100), "before")
    take(backend, storage, 1)
    fill(backend, range(50), "after")
    take(backend, storage, 2)  # of which the store knows nothing
    writer = storage.begin(3)
    snapshot = backend.snapshot(3, writer, canonical=True)
    while not snapshot.advance(1000):
        pass
    view = writer.complete([snapshot.finish()])
    check_values(backend, view, {**dict.fromkeys(range(100), "before"), **dict.fromkeys(range(50), "after")})
    fill(backend, range(50, 60), "later")
    assert len(segments(take(backend, storage, 4))) > 1, "checkpoints go on where they were"

"""Checkpoint storage on a local directory and on fsspec's in-memory file system."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.errors import ConfigurationError, InvariantError
from penstock.runtime.checkpoint import (
    CheckpointStorage,
    CheckpointStorageError,
    CheckpointView,
    CorruptCheckpointError,
    FileHandle,
    InlineHandle,
    open_checkpoint,
)

JOB = "a" * 32


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield str(tmp_path / "checkpoints")
        return
    import fsspec

    yield "memory://checkpoints"
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


def write(storage: CheckpointStorage, checkpoint_id: int, content: bytes = b"x" * 50_000) -> CheckpointView:
    writer = storage.begin(checkpoint_id)
    handle = writer.put("state", [content[:100], content[100:]])
    return writer.complete({"handle": handle, "small": writer.put("small", b"tiny")}, {"operators": 1})


def test_a_checkpoint_is_found_and_read_by_a_later_storage(url: str) -> None:
    written = write(CheckpointStorage(url, JOB), 3)
    found = CheckpointStorage(url, JOB).latest()
    assert found is not None
    assert found.path == written.path
    assert found.checkpoint_id == 3
    assert found.header.facts == {"operators": 1}
    assert found.header.kind == "checkpoint"
    handle = found.metadata["handle"]
    assert isinstance(handle, FileHandle)
    assert found.read(handle) == b"x" * 50_000
    assert found.read(handle, 49_990, 10) == b"x" * 10
    assert found.metadata["small"] == InlineHandle(b"tiny")
    assert found.read(found.metadata["small"], 1, 2) == b"in"


def test_without_metadata_there_is_no_checkpoint_and_sweep_deletes_what_is_left(url: str) -> None:
    storage = CheckpointStorage(url, JOB)
    write(storage, 1)
    storage.begin(2).put("state", b"y" * 50_000)
    again = CheckpointStorage(url, JOB)
    latest = again.latest()
    assert latest is not None
    assert latest.checkpoint_id == 1
    assert again.sweep() == 1
    assert again.sweep() == 0
    assert [view.checkpoint_id for view in again.list()] == [1]


def test_abort_leaves_nothing(url: str) -> None:
    storage = CheckpointStorage(url, JOB)
    writer = storage.begin(1)
    writer.put("state", b"y" * 50_000)
    writer.abort()
    writer.abort()
    assert storage.latest() is None
    assert storage.sweep() == 0
    with pytest.raises(InvariantError):
        writer.complete({})


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "metadata", "foreign"])
def test_a_damaged_checkpoint_is_refused_with_path_and_reason_and_the_one_before_is_used(
    tmp_path: Path, damage: str
) -> None:
    storage = CheckpointStorage(str(tmp_path), JOB)
    write(storage, 1)
    newest = Path(write(storage, 2).path)
    state = next(path for path in newest.iterdir() if path.name.startswith("state"))
    if damage == "missing":
        state.unlink()
    elif damage == "truncated":
        state.write_bytes(state.read_bytes()[:-1])
    elif damage == "flipped":
        state.write_bytes(b"X" + state.read_bytes()[1:])
    elif damage == "metadata":
        metadata = (newest / "_metadata").read_bytes()
        (newest / "_metadata").write_bytes(metadata[: len(metadata) // 2])
    else:
        (newest / "_metadata").write_bytes(b"\x49\x60\x67\x2f\x00\x00\x00\x05Flink")
    again = CheckpointStorage(str(tmp_path), JOB)
    latest = again.latest()
    assert latest is not None
    assert latest.checkpoint_id == 1
    ((path, reason),) = again.refused
    assert path == str(newest)
    assert {"missing": "missing", "truncated": "49999 bytes", "flipped": "checksum", "metadata": "damaged"}.get(
        damage, "Apache Flink"
    ) in reason
    assert again.sweep() == 0, "a refused checkpoint is kept as evidence"
    with pytest.raises(CorruptCheckpointError, match=str(newest)):
        open_checkpoint(str(newest))


def test_retained_checkpoints_and_shared_files_are_counted(url: str, tmp_path: Path) -> None:
    storage = CheckpointStorage(url, JOB)
    shared: dict[str, FileHandle] = {}
    for checkpoint_id, names in enumerate((["a", "b"], ["b", "c"], ["c"]), start=1):
        writer = storage.begin(checkpoint_id)
        for name in names:
            if name not in shared:
                (tmp_path / name).write_bytes(name.encode() * 1000)
                shared[name] = writer.put_shared(str(tmp_path / name), f"{name}.sst")
        writer.complete([shared[name] for name in names])
        storage.retain(1)
    present = {name for name, handle in shared.items() if storage._store.size(f"{JOB}/{handle.path}") is not None}
    assert present == {"c"}
    latest = CheckpointStorage(url, JOB).latest()
    assert latest is not None
    assert latest.read(latest.metadata[0]) == b"c" * 1000
    storage.discard_all()
    assert CheckpointStorage(url, JOB).latest() is None


def test_shared_files_are_linked_where_they_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = tmp_path / "sst"
    local.write_bytes(b"data")
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), JOB)
    folder = tmp_path / "checkpoints" / JOB
    writer = storage.begin(1)
    linked = writer.put_shared(str(local), "sst")
    assert (folder / linked.path).stat().st_ino == local.stat().st_ino

    def refuse(source: str, target: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link", source, None, target)

    monkeypatch.setattr(os, "link", refuse)
    copied = writer.put_shared(str(local), "sst")
    assert (copied.size_bytes, copied.checksum) == (linked.size_bytes, linked.checksum)
    assert (folder / copied.path).stat().st_ino != local.stat().st_ino
    local.unlink()
    view = writer.complete([linked, copied])
    assert [view.read(handle) for handle in (linked, copied)] == [b"data", b"data"]
    assert len(os.listdir(folder / "shared")) == 2


def test_shared_files_stay_while_a_checkpoint_that_may_refer_to_them_is_written(tmp_path: Path) -> None:
    storage = CheckpointStorage(str(tmp_path), JOB)
    (tmp_path / "sst").write_bytes(b"data")
    first = storage.begin(1)
    handle = first.put_shared(str(tmp_path / "sst"), "sst")
    view = first.complete(handle)
    second = storage.begin(2)
    storage.discard(view)
    second.complete(handle)
    storage.retain(1)
    latest = storage.latest()
    assert latest is not None
    assert latest.read(handle) == b"data"


def test_a_savepoint_can_be_moved(tmp_path: Path) -> None:
    storage = CheckpointStorage(str(tmp_path / "checkpoints"), JOB)
    writer = storage.begin_savepoint(str(tmp_path / "savepoints"), 7)
    (tmp_path / "sst").write_bytes(b"s" * 30_000)
    view = writer.complete([writer.put("state", b"z" * 30_000), writer.put_shared(str(tmp_path / "sst"), "sst")])
    assert Path(view.path).name.startswith(f"savepoint-{JOB[:6]}-")
    assert storage.list() == []
    moved = tmp_path / "elsewhere"
    os.rename(view.path, moved)
    for path in (str(moved), f"{moved}/", f"{moved}/_metadata"):
        again = open_checkpoint(path)
        assert [again.read(handle)[:1] for handle in again.metadata] == [b"z", b"s"]
        assert again.header.kind == "savepoint"
        assert not again.owned


def test_a_writer_crosses_processes_by_pickling(url: str) -> None:
    storage = CheckpointStorage(url, JOB)
    writer = storage.begin(1)
    remote = pickle.loads(pickle.dumps(writer))
    handle = pickle.loads(pickle.dumps(remote.put("state", b"r" * 30_000)))
    assert writer.complete(handle).read(handle) == b"r" * 30_000


def test_many_threads_may_put_at_once(url: str) -> None:
    writer = CheckpointStorage(url, JOB).begin(1)
    handles: list[tuple[bytes, object]] = []

    def put(number: int) -> None:
        content = bytes([number]) * 40_000
        handles.append((content, writer.put("same name", content)))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    view = writer.complete(dict(handles))
    assert all(view.read(handle) == content for content, handle in view.metadata.items())


def test_a_full_disk_is_said_so_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = CheckpointStorage(str(tmp_path), JOB).begin(1)

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(CheckpointStorageError, match=r"chk-1/state-.*No space left.*num-retained"):
        writer.put("state", b"z" * 30_000)
    assert list((tmp_path / JOB / "chk-1").iterdir()) == []


def test_a_failing_source_leaves_no_file(url: str) -> None:
    storage = CheckpointStorage(url, JOB)
    writer = storage.begin(1)

    def chunks() -> Iterator[bytes]:
        yield b"z" * 30_000
        raise ValueError("state could not be encoded")

    with pytest.raises((ValueError, CheckpointStorageError), match="could not be encoded"):
        writer.put("state", chunks())
    assert storage._store.names(writer.directory) == []


def test_an_unknown_scheme_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="nowhere://"):
        CheckpointStorage("nowhere://bucket", JOB)


def test_temporary_storage_ends_with_the_job() -> None:
    storage = CheckpointStorage.temporary(JOB)
    path = write(storage, 1).path
    assert os.path.exists(path)
    storage.close()
    assert not os.path.exists(path)

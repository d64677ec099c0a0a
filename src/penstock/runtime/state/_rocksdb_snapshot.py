"""Snapshots of the `rocksdb` backend: its files, or a savepoint read from them.

Both write what is frozen in slices on the task's thread, and link the store's files into another directory on a thread
of their own; until then the task may not change the store. An incremental checkpoint writes what is frozen to the log of
changes (`_rocksdb_changes`), and mostly needs nothing else. A checkpoint's files are uploaded by a thread; a savepoint's
entries are read from them and encoded, in slices on the task's thread again. (Iterators of the
store itself would hold its write buffers in memory for as long, and rocksdict's snapshots do not hold for iterators.)
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import InvariantError, PenstockError
from penstock.runtime.state._backend import Key, KeyedStateHandle, Namespace, SnapshotWriter, StateSnapshot
from penstock.runtime.state._canonical import CANONICAL, FILE, ROCKSDB, ChunkEncoder, ChunkFile
from penstock.runtime.state._errors import StateBackendError
from penstock.runtime.state._rocksdb_changes import Segment
from penstock.runtime.state._rocksdb_store import RocksDBStore, after_prefix

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend
    from penstock.runtime.state._rocksdb_cache import CachedTable

__all__ = ["CanonicalSnapshot", "FilesSnapshot", "FrozenSnapshot", "IncrementalSnapshot", "Uploaded"]

_WRITTEN_AT_ONCE: Final = 500
_GROUPED_AT_ONCE: Final = 512
_SKIPPED_FILES: Final = frozenset({"rocksdict-config.json"})


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What an incremental checkpoint has, for those after it.

    Attributes:
        base: handles of the store's files.
        segments: handles of the changes since.
        recording: of the log of changes.
    """

    base: dict[str, Any]
    segments: dict[str, Any]
    recording: int


def is_of_store(name: str) -> bool:
    """Whether a file belongs to what a restore needs: not logs, nor what rocksdict adds."""
    return name not in _SKIPPED_FILES and not name.endswith(".log")


class FrozenSnapshot(StateSnapshot):
    """What the two share: writing what is frozen, and linking. Created and advanced by the task's thread."""

    def __init__(
        self, backend: RocksDBBackend, writer: SnapshotWriter, checkpoint_id: int, *, links: bool = True
    ) -> None:
        """Begins at the barrier; `links`: the snapshot is what the store's files hold, which must not change till then."""
        self._backend = backend
        self._writer = writer
        self._checkpoint_id = checkpoint_id
        self._tables = list(backend.tables.values())
        self._directory = f"{backend.directory}/chk-{checkpoint_id}-{os.urandom(3).hex()}"
        self._is_written = False
        self._is_cancelled = False
        self._linked = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        if not links:
            self._linked.set()
        for table in self._tables:
            table.freeze(logged=links)
        self.schemas: tuple[dict[str, Any], ...] = ()

    @property
    def is_flushing(self) -> bool:
        """Whether the store must not be changed: until its files are linked."""
        return not self._linked.is_set()

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to be done or cancelled."""
        return self._is_written and (self._thread is None or not self._thread.is_alive())

    share = 0.3  # while something is frozen, nothing may be evicted

    def work(self, seconds: float) -> bool:
        """Writes what is frozen for about this long, then goes on with the rest."""
        deadline = time.perf_counter() + seconds
        return self.write_frozen(seconds) and self._advance_linked(deadline)

    def write_frozen(self, seconds: float) -> bool:
        """Writes what is frozen for about this long; whether nothing is any more."""
        deadline = time.perf_counter() + seconds
        while not self._is_written:
            self._write_some(_WRITTEN_AT_ONCE)
            if time.perf_counter() >= deadline:
                break
        return self._is_written

    def _advance_linked(self, deadline: float) -> bool:
        """What is left for the task's thread."""
        return True

    def _write_some(self, limit: int) -> None:
        try:
            for table in self._tables:
                limit = table.write_frozen(limit)
                if limit <= 0:
                    return
            self._everything_is_written()
        except (PenstockError, OSError) as error:
            self._error = error
            self._unfreeze()
        self._is_written = True
        # What was frozen is written under numbers given out since the barrier: a restored store counts on from there.
        self.schemas = self._backend.schemas()
        self._backend.frozen_is_written()
        if self._error is not None:
            self._linked.set()
            return
        self._thread = threading.Thread(target=self._run, name=f"rocksdb-checkpoint {self._checkpoint_id}", daemon=True)
        self._thread.start()

    def _unfreeze(self) -> None:
        for table in self._tables:
            table.unfreeze()

    def _everything_is_written(self) -> None:
        """On the task's thread, when nothing is frozen any more."""

    def _run(self) -> None:
        try:
            self._link()
            self._use_files()
        except BaseException as error:
            self._error = error
        finally:
            self._linked.set()

    def _link(self) -> None:
        self._backend.store.create_checkpoint(self._directory)
        self._linked.set()

    def _use_files(self) -> None:
        """On the thread: what is done with the linked files."""

    def release_store(self) -> None:
        """Until the store may be changed again."""
        self.settle()

    def settle(self) -> None:
        """Until all that was changed at the barrier is in the store or in the log, and the store may be changed again."""
        while not self._is_written:
            self._write_some(1 << 30)
        self._linked.wait()

    def cancel(self) -> None:
        """Gives up; what is frozen is dirty again."""
        self._is_cancelled = True
        if not self._is_written:
            self._is_written = True
            self._unfreeze()
            self._backend.frozen_is_written()
        if self._thread is not None:
            self._thread.join()
        self._linked.set()
        self._clean_up()

    def _clean_up(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class FilesSnapshot(FrozenSnapshot):
    """A checkpoint of all the store's files, each time."""

    def __init__(
        self, backend: RocksDBBackend, writer: SnapshotWriter, checkpoint_id: int, *, links: bool = True
    ) -> None:
        super().__init__(backend, writer, checkpoint_id, links=links)
        self._files: dict[str, Any] = {}

    def _use_files(self) -> None:
        try:
            self._files = self._upload_all(self._directory, self._put)
        finally:
            self._clean_up()

    def _upload_all(self, directory: str, put: Callable[[str, str], Any]) -> dict[str, Any]:
        names = [name for name in sorted(os.listdir(directory)) if is_of_store(name)]
        with ThreadPoolExecutor(self._backend.settings.transfer_threads, "rocksdb-upload") as executor:
            return dict(zip(names, executor.map(lambda name: put(f"{directory}/{name}", name), names), strict=True))

    def _put(self, path: str, name: str) -> Any:
        self._check_cancelled()
        with open(path, "rb") as file:
            chunks = iter(lambda: file.read(1 << 20), b"")
            return self._writer.put(f"{self._backend.context.file_prefix}-{name}", chunks)

    def _check_cancelled(self) -> None:
        if self._is_cancelled:
            raise StateBackendError(f"checkpoint {self._checkpoint_id} was cancelled")

    def finish(self) -> KeyedStateHandle:
        """Waits for the uploads."""
        if not self._is_written:
            raise InvariantError(f"checkpoint {self._checkpoint_id} was finished before it was written")
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise _as_backend_error(self._error, self._backend.place)
        return KeyedStateHandle(ROCKSDB, self._backend.key_group_range, self.schemas, self._files)


class IncrementalSnapshot(FilesSnapshot):
    """A checkpoint of files that others have as well: the store's, and the segments of its changes since.

    Args:
        backend: whose state.
        writer: of the checkpoint.
        checkpoint_id: its number.
        known: handles of files that a complete checkpoint has.
        base: the store's files that the changes recorded so far can be added to; None to materialize.
    """

    share = 0.2

    def __init__(
        self,
        backend: RocksDBBackend,
        writer: SnapshotWriter,
        checkpoint_id: int,
        known: dict[str, Any],
        base: dict[str, Any] | None,
    ) -> None:
        backend.store.write_batch()
        segments: list[Segment] = []
        if base is None:
            backend.changes.begin()
        else:
            segments = backend.changes.begin_barrier()
        super().__init__(backend, writer, checkpoint_id, links=base is None)
        self._known = known
        self._base = base
        self._recording = backend.changes.recording
        self._linking: threading.Thread | None = None
        self._changes = f"{self._directory}-changes"
        if base is None:
            self._linking = threading.Thread(target=self._link_now, name=f"rocksdb-link {checkpoint_id}", daemon=True)
            self._linking.start()
        try:
            os.makedirs(self._changes)
            for segment in segments:
                self._take(segment)
        except OSError as error:
            self._error = error

    def _take(self, segment: Segment) -> None:
        """Links a segment, because the log may drop it any time."""
        if segment.name in self._known:
            self._files[segment.name] = self._known[segment.name]
            return
        target = f"{self._changes}/{segment.name}"
        try:
            os.link(segment.path, target)
        except OSError:
            shutil.copyfile(segment.path, target)

    def release_store(self) -> None:
        """Until the store may be changed again: what is frozen goes into the log."""
        self._linked.wait()

    def _link_now(self) -> None:
        try:
            super()._link()
        except BaseException as error:
            self._error = error
        finally:
            self._linked.set()

    def _link(self) -> None:
        if self._linking is not None:
            self._linking.join()
        if self._error is not None:
            raise self._error

    def _unfreeze(self) -> None:
        super()._unfreeze()
        with suppress(OSError):
            self._backend.changes.end_barrier()

    def _everything_is_written(self) -> None:
        self._backend.store.write_batch()
        own = self._backend.changes.end_barrier()
        if own is not None:
            self._take(own)

    def _use_files(self) -> None:
        try:
            self._files |= self._upload_all(self._changes, self._share)
            if self._base is None:
                self._base = self._upload_all(self._directory, self._share)
        finally:
            self._clean_up()

    def _share(self, path: str, name: str) -> Any:
        self._check_cancelled()
        # Of a store's files only these are never written to and never have the name of another.
        if name.endswith(".sst") and name in self._known:
            return self._known[name]
        return self._writer.put_shared(path, f"{self._backend.context.file_prefix}-{name}")

    def finish(self) -> KeyedStateHandle:
        """Waits for the uploads."""
        handle = super().finish()
        assert self._base is not None
        self._backend.uploaded(self._checkpoint_id, Uploaded(self._base, self._files, self._recording))
        return KeyedStateHandle(handle.format, handle.key_groups, handle.states, self._base | self._files)

    def cancel(self) -> None:
        """Gives up; what is frozen is dirty again."""
        if self._linking is not None:
            self._linking.join()
        super().cancel()

    def _clean_up(self) -> None:
        super()._clean_up()
        shutil.rmtree(self._changes, ignore_errors=True)


class CanonicalSnapshot(FrozenSnapshot):
    """A savepoint: every entry in the canonical format."""

    def __init__(self, backend: RocksDBBackend, writer: SnapshotWriter, checkpoint_id: int) -> None:
        super().__init__(backend, writer, checkpoint_id)
        self._file: ChunkFile | None = None
        self._chunks: Iterator[tuple[int, bytes]] | None = None
        self._source: RocksDBStore | None = None
        self._is_encoded = False
        self._now_ms = backend.context.now_ms()

    @property
    def is_over(self) -> bool:
        """All is encoded."""
        return self._is_encoded

    def _use_files(self) -> None:
        self._source = self._backend.open_store(self._directory, read_only=True)

    def _advance_linked(self, deadline: float) -> bool:
        if self._is_encoded:
            return True
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(max(0.0, deadline - time.perf_counter()))
            if self._thread.is_alive():
                return False
        try:
            if not self._encode_some(deadline):
                return False
        except PenstockError as error:
            self._error = error
        self._clean_up()
        return True

    def _encode_some(self, deadline: float) -> bool:
        """Whether all is encoded."""
        if self._error is not None:
            return True
        if self._file is None:
            self._file = ChunkFile(self._writer, f"{self._backend.context.file_prefix}-keyed")
            self._chunks = self._encode()
        assert self._chunks is not None
        while not self._file.has_failed:
            if self._file.is_full:
                return False
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._file.add(*chunk)
            if time.perf_counter() >= deadline:
                return False
        return True

    def _encode(self) -> Iterator[tuple[int, bytes]]:
        for number, schema in enumerate(self.schemas):
            table = self._backend.table_of(schema)
            encoder = ChunkEncoder(schema["name"])
            for namespace, keys, values in self._groups(table):
                for data in encoder.add(namespace, keys, values):
                    yield number, data
            for data in encoder.flush():
                yield number, data

    def _groups(self, table: CachedTable) -> Iterator[tuple[Namespace, list[Key], list[Any]]]:
        """The entries of a state, those of one namespace that follow each other together."""
        rule = table.ttl if table.ttl is not None and table.ttl.clean_snapshots else None
        kind = table.spec.kind
        namespace: Namespace = None
        keys: list[Key] = []
        values: list[Any] = []
        for found, key, value in table.decoded_rows(self._rows(table)):
            if rule is not None:
                value = rule.alive(kind, value, self._now_ms)
                if value is None:
                    continue
            if keys and (found != namespace or len(keys) >= _GROUPED_AT_ONCE):
                yield namespace, keys, values
                keys, values = [], []
            namespace = found
            keys.append(key)
            values.append(value)
        if keys:
            yield namespace, keys, values

    def _rows(self, table: CachedTable) -> Iterator[tuple[bytes, bytes]]:
        assert self._source is not None
        own = self._backend.key_group_range
        for group in range(own.start, own.end + 1):
            prefix = table.head(group)
            yield from self._source.scan(prefix, after_prefix(prefix))

    def _clean_up(self) -> None:
        """Nothing more is read."""
        self._is_encoded = True
        self._chunks = None
        if self._file is not None:
            self._file.end()  # first: whatever else fails, its thread must not wait for more
        if self._source is not None:
            self._source.close()
            self._source = None
        super()._clean_up()

    def finish(self) -> KeyedStateHandle:
        """Waits for the file."""
        if not self._is_encoded:
            raise InvariantError("a savepoint was finished before it was encoded")
        if self._error is not None:
            if self._file is not None:
                self._file.cancel()
            raise _as_backend_error(self._error, self._backend.place)
        assert self._file is not None
        file = self._file.result()
        return KeyedStateHandle(
            CANONICAL, self._backend.key_group_range, self.schemas, {FILE: file}, tuple(self._file.index)
        )

    def cancel(self) -> None:
        """Gives up."""
        try:
            super().cancel()
        finally:
            if self._file is not None:
                self._file.cancel()


def _as_backend_error(error: BaseException, place: str) -> BaseException:
    if isinstance(error, PenstockError):
        return error
    return StateBackendError(f"The snapshot of {place} could not be written: {error}")

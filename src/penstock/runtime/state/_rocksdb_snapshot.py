"""Snapshots of the `rocksdb` backend: its files, or a savepoint read from them.

Both begin by writing what is frozen, in slices on the task's thread. Then a thread of their own links the store's files
into another directory, after which the task may change the store again. A checkpoint's files are uploaded by that
thread; a savepoint's entries are read from them and encoded, in slices on the task's thread again. (Iterators of the
store itself would hold its write buffers in memory for as long, and rocksdict's snapshots do not hold for iterators.)
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import InvariantError, PenstockError
from penstock.runtime.state._backend import Key, KeyedStateHandle, Namespace, SnapshotWriter, StateSnapshot
from penstock.runtime.state._canonical import CANONICAL, FILE, ROCKSDB, ChunkEncoder, ChunkFile
from penstock.runtime.state._errors import StateBackendError
from penstock.runtime.state._rocksdb_store import RocksDBStore, after_prefix

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend
    from penstock.runtime.state._rocksdb_cache import CachedTable

__all__ = ["CanonicalSnapshot", "FilesSnapshot", "FrozenSnapshot"]

_WRITTEN_AT_ONCE: Final = 500
_GROUPED_AT_ONCE: Final = 512
_SKIPPED_FILES: Final = frozenset({"rocksdict-config.json"})


class FrozenSnapshot(StateSnapshot):
    """What the two share: writing what is frozen, and linking. Created and advanced by the task's thread."""

    def __init__(self, backend: RocksDBBackend, writer: SnapshotWriter, checkpoint_id: int) -> None:
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
        for table in self._tables:
            table.freeze()
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
        except PenstockError as error:
            self._error = error
            for table in self._tables:
                table.unfreeze()
        self._is_written = True
        # What was frozen is written under numbers given out since the barrier: a restored store counts on from there.
        self.schemas = self._backend.schemas()
        self._backend.frozen_is_written()
        if self._error is not None:
            self._linked.set()
            return
        self._thread = threading.Thread(target=self._run, name=f"rocksdb-checkpoint {self._checkpoint_id}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._backend.store.create_checkpoint(self._directory)
            self._linked.set()
            self._use_files()
        except BaseException as error:
            self._error = error
        finally:
            self._linked.set()

    def _use_files(self) -> None:
        """On the thread: what is done with the linked files."""

    def settle(self) -> None:
        """Until the store may be changed again."""
        while not self._is_written:
            self._write_some(1 << 30)
        self._linked.wait()

    def cancel(self) -> None:
        """Gives up; what is frozen is dirty again."""
        self._is_cancelled = True
        if not self._is_written:
            self._is_written = True
            for table in self._tables:
                table.unfreeze()
            self._backend.frozen_is_written()
        if self._thread is not None:
            self._thread.join()
        self._linked.set()
        self._clean_up()

    def _clean_up(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class FilesSnapshot(FrozenSnapshot):
    """A checkpoint of the store's files: those that are known already are not uploaded again."""

    def __init__(
        self, backend: RocksDBBackend, writer: SnapshotWriter, checkpoint_id: int, known: dict[str, Any], threads: int
    ) -> None:
        super().__init__(backend, writer, checkpoint_id)
        self._known = known
        self._threads = threads
        self._files: dict[str, Any] = {}

    def _use_files(self) -> None:
        names = [name for name in sorted(os.listdir(self._directory)) if name not in _SKIPPED_FILES]
        new = [name for name in names if name not in self._known and not name.endswith(".log")]
        files = {name: self._known[name] for name in names if name in self._known}
        try:
            with ThreadPoolExecutor(min(self._threads, max(1, len(new))), "rocksdb-upload") as executor:
                files.update(zip(new, executor.map(self._upload, new), strict=True))
        finally:
            self._clean_up()
        self._files = files

    def _upload(self, name: str) -> Any:
        if self._is_cancelled:
            raise StateBackendError(f"checkpoint {self._checkpoint_id} was cancelled")
        path = f"{self._directory}/{name}"
        prefix = self._backend.context.file_prefix
        if name.endswith(".sst") and self._backend.is_incremental:
            return self._writer.put_shared(path, f"{prefix}-{name}")
        with open(path, "rb") as file:
            return self._writer.put(f"{prefix}-{name}", iter(lambda: file.read(1 << 20), b""))

    def finish(self) -> KeyedStateHandle:
        """Waits for the uploads."""
        if not self._is_written:
            raise InvariantError(f"checkpoint {self._checkpoint_id} was finished before it was written")
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise _as_backend_error(self._error, self._backend.place)
        self._backend.uploaded(self._checkpoint_id, self._files)
        return KeyedStateHandle(ROCKSDB, self._backend.key_group_range, self.schemas, self._files)


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

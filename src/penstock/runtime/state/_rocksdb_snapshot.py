"""Snapshots of the `rocksdb` backend: hard links of its files, or a savepoint read from a frozen view.

Both begin by writing what is frozen, in slices on the task's thread. Then a checkpoint's files are linked and uploaded
by a thread of their own, while the task goes on; a savepoint's entries are read from a RocksDB snapshot and encoded in
slices again.
"""

from __future__ import annotations

import contextlib
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
from penstock.runtime.state._rocksdb_store import after_prefix

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend
    from penstock.runtime.state._rocksdb_tables import CachedTable

__all__ = ["CanonicalSnapshot", "FilesSnapshot", "FrozenSnapshot"]

_WRITTEN_AT_ONCE: Final = 500
_GROUPED_AT_ONCE: Final = 512
_SKIPPED_FILES: Final = frozenset({"rocksdict-config.json"})


class FrozenSnapshot(StateSnapshot):
    """What the two share: writing what is frozen. Created and advanced by the task's thread.

    Attributes:
        is_flushing: True until the state at the barrier is safe, and the store may be changed again.
    """

    def __init__(self, backend: RocksDBBackend, writer: SnapshotWriter) -> None:
        self._backend = backend
        self._writer = writer
        self._tables = list(backend.tables.values())
        self._is_written = False
        self._cancelled = False
        self._error: BaseException | None = None
        for table in self._tables:
            table.freeze()
        self.schemas = backend.schemas()

    @property
    def is_flushing(self) -> bool:
        """Whether the store must not be changed."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to be done or cancelled."""
        raise NotImplementedError

    def advance(self, max_ms: float = 5.0) -> bool:
        """Writes what is frozen for about `max_ms`, then goes on with the rest."""
        deadline = time.perf_counter() + max_ms / 1000
        while not self._is_written:
            self._write_some(_WRITTEN_AT_ONCE)
            if time.perf_counter() >= deadline:
                return False
        return self._advance_rest(deadline)

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
        self._backend.frozen_is_written()
        self._start_rest()

    def _start_rest(self) -> None:
        """The store holds the state at the barrier and nothing newer."""
        raise NotImplementedError

    def _advance_rest(self, deadline: float) -> bool:
        raise NotImplementedError

    def settle(self) -> None:
        """Until the store may be changed again."""
        while not self._is_written:
            self._write_some(1 << 30)

    def cancel(self) -> None:
        """Gives up; what is frozen is dirty again."""
        if not self._is_written:
            self._is_written = True
            for table in self._tables:
                table.unfreeze()
            self._backend.frozen_is_written()
        self._cancelled = True
        self._cancel_rest()

    def _cancel_rest(self) -> None:
        raise NotImplementedError


class FilesSnapshot(FrozenSnapshot):
    """A checkpoint of the store's files: linked at once, uploaded by a thread, known files not again."""

    def __init__(
        self, backend: RocksDBBackend, writer: SnapshotWriter, checkpoint_id: int, known: dict[str, Any], threads: int
    ) -> None:
        super().__init__(backend, writer)
        self._checkpoint_id = checkpoint_id
        self._known = known
        self._threads = threads
        self._directory = f"{backend.directory}/chk-{checkpoint_id}-{os.urandom(3).hex()}"
        self._linked = threading.Event()
        self._thread: threading.Thread | None = None
        self._files: dict[str, Any] = {}

    @property
    def is_flushing(self) -> bool:
        """Until the files are linked."""
        return not self._linked.is_set()

    @property
    def is_over(self) -> bool:
        """The thread ended, or never began."""
        return self._is_written and (self._thread is None or not self._thread.is_alive())

    def _start_rest(self) -> None:
        if self._error is not None:
            self._linked.set()
            return
        self._thread = threading.Thread(target=self._run, name=f"rocksdb-checkpoint {self._checkpoint_id}", daemon=True)
        self._thread.start()

    def _advance_rest(self, deadline: float) -> bool:
        return True

    def settle(self) -> None:
        """Writes what is frozen, and waits for the files to be linked."""
        super().settle()
        self._linked.wait()

    def _run(self) -> None:
        try:
            self._backend.store.create_checkpoint(self._directory)
            self._linked.set()
            self._files = self._upload()
        except BaseException as error:
            self._error = error
        finally:
            self._linked.set()
            shutil.rmtree(self._directory, ignore_errors=True)

    def _upload(self) -> dict[str, Any]:
        names = [name for name in sorted(os.listdir(self._directory)) if name not in _SKIPPED_FILES]
        new = [name for name in names if name not in self._known and not name.endswith(".log")]
        files = {name: self._known[name] for name in names if name in self._known}
        with ThreadPoolExecutor(min(self._threads, max(1, len(new))), "rocksdb-upload") as executor:
            files.update(zip(new, executor.map(self._upload_file, new), strict=True))
        return files

    def _upload_file(self, name: str) -> Any:
        if self._cancelled:
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

    def _cancel_rest(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._linked.set()


class CanonicalSnapshot(FrozenSnapshot):
    """A savepoint: every entry in the canonical format, read from a view of the store that does not change."""

    def __init__(self, backend: RocksDBBackend, writer: SnapshotWriter) -> None:
        super().__init__(backend, writer)
        self._file: ChunkFile | None = None
        self._chunks: Iterator[tuple[int, bytes]] = iter(())
        self._view: Any = None
        self._is_encoded = False
        self._now_ms = backend.context.now_ms()

    @property
    def is_flushing(self) -> bool:
        """Until what is frozen is written: then a view of the store is held."""
        return not self._is_written

    @property
    def is_over(self) -> bool:
        """All is encoded."""
        return self._is_encoded

    def _start_rest(self) -> None:
        if self._error is None:
            self._view = self._backend.store.snapshot()
            self._chunks = self._encode()

    def _advance_rest(self, deadline: float) -> bool:
        if self._is_encoded:
            return True
        if self._error is None:
            if self._file is None:
                self._file = ChunkFile(self._writer, f"{self._backend.context.file_prefix}-keyed")
            try:
                while not self._file.has_failed:
                    if self._file.is_full:
                        return False
                    chunk = next(self._chunks, None)
                    if chunk is None:
                        break
                    self._file.add(*chunk)
                    if time.perf_counter() >= deadline:
                        return False
            except PenstockError as error:
                self._error = error
        self._end()
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
        own = self._backend.key_group_range
        for group in range(own.start, own.end + 1):
            prefix = table.head(group)
            yield from self._backend.store.scan(prefix, after_prefix(prefix), self._view)

    def _end(self) -> None:
        self._is_encoded = True
        self._chunks = iter(())
        self._view = None
        if self._file is not None:
            self._file.end()

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

    def _cancel_rest(self) -> None:
        with contextlib.suppress(PenstockError):
            self._end()
        if self._file is not None:
            self._file.cancel()


def _as_backend_error(error: BaseException, place: str) -> BaseException:
    if isinstance(error, PenstockError):
        return error
    return StateBackendError(f"The snapshot of {place} could not be written: {error}")

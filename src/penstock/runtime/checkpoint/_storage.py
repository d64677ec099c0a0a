"""Checkpoint storage: checkpoints and savepoints that are whole or not there, and how they are found and deleted.

    <dir>/<job id>/chk-<n>/_metadata      written last: it makes the checkpoint
    <dir>/<job id>/chk-<n>/…              its own files
    <dir>/<job id>/shared/…               files several checkpoints refer to (RocksDB's, incremental)
    <savepoint dir>/savepoint-<job>-<random>/_metadata, …

docs/data-layout.md describes the files.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from penstock.errors import InvariantError
from penstock.runtime.checkpoint._storage_files import (
    CheckpointStorageError,
    FileStore,
    WrittenFile,
    file_chunks,
    file_store_for,
)
from penstock.runtime.checkpoint._storage_metadata import (
    CheckpointHeader,
    CorruptCheckpointError,
    FileHandle,
    IncompleteCheckpointError,
    InlineHandle,
    encode,
    pickled_with_handles,
)
from penstock.runtime.checkpoint._storage_view import METADATA, CheckpointView

__all__ = ["CheckpointStorage", "CheckpointWriter", "open_checkpoint"]

_log = logging.getLogger(__name__)

SHARED: Final = "shared"
DEFAULT_INLINE_BYTES: Final = 20 << 10
"""`execution.checkpointing.data-inline-threshold`."""


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


class CheckpointWriter:
    """Writes one checkpoint. Its `put` methods may be called from any thread and, pickled, in another process.

    Attributes:
        checkpoint_id: its number.
        job_id: whose.
        kind: `checkpoint` or `savepoint`.
        directory: its directory relative to the store's root.
    """

    def __init__(
        self,
        url: str,
        directory: str,
        checkpoint_id: int,
        job_id: str,
        kind: str,
        inline_bytes: int,
        store: FileStore | None = None,
    ) -> None:
        self._url = url
        self._store = store if store is not None else file_store_for(url)
        self._inline_bytes = inline_bytes
        self._storage: CheckpointStorage | None = None
        self.directory = directory
        self.checkpoint_id = checkpoint_id
        self.job_id = job_id
        self.kind = kind
        self.is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self._url, self.directory, self.checkpoint_id, self.job_id, self.kind, self._inline_bytes)
        return CheckpointWriter, arguments

    @property
    def path(self) -> str:
        """The checkpoint's directory as a user would write it."""
        return self._store.full_path(self.directory)

    def put(self, name: str, data: bytes | Iterable[bytes]) -> FileHandle | InlineHandle:
        """Writes a file, or returns small data as it is, to lie in `_metadata`.

        Raises:
            CheckpointStorageError: it could not be written.
        """
        chunks = iter((data,) if isinstance(data, bytes) else data)
        head: list[bytes] = []
        held = 0
        for chunk in chunks:
            head.append(chunk)
            held += len(chunk)
            if held > self._inline_bytes:
                break
        else:
            return InlineHandle(b"".join(head))
        target = f"{self.directory}/{_file_name(name)}"
        return self._handle(target, self._store.create(target, itertools.chain(head, chunks)))

    def put_shared(self, path: str, key: str) -> FileHandle:
        """Uploads a local file that later checkpoints may refer to too, by the handle returned.

        A savepoint shares nothing: there the file becomes its own.

        Raises:
            CheckpointStorageError: it could not be written.
        """
        if self.kind == "savepoint":
            target = f"{self.directory}/{_file_name(key)}"
            return self._handle(target, self._store.create(target, file_chunks(path)))
        parent = self.directory.rpartition("/")[0]
        target = f"{parent}/{SHARED}/{_file_name(key)}" if parent else f"{SHARED}/{_file_name(key)}"
        return self._handle(target, self._store.adopt(target, path))

    def _handle(self, path: str, written: WrittenFile) -> FileHandle:
        size, checksum = written
        parent = self.directory.rpartition("/")[0]
        relative = path[len(parent) + 1 :] if parent else path
        return FileHandle(relative, size, checksum)

    def complete(self, metadata: Any, facts: dict[str, Any] | None = None) -> CheckpointView:
        """Makes the checkpoint: writes `_metadata`, reads it back, and lets the storage know.

        Args:
            metadata: what a restore needs: picklable, with the handles `put` returned in it.
            facts: JSON values anyone may read, e.g. for `penstock checkpoints`.

        Returns:
            The checkpoint, as a later run would open it.

        Raises:
            CheckpointStorageError: it could not be written; there is no such checkpoint.
        """
        if self.is_closed:
            raise InvariantError(f"checkpoint {self.checkpoint_id} was completed or aborted before")
        payload, handles = pickled_with_handles(metadata)
        files = tuple((handle.path, handle.size_bytes, handle.checksum) for handle in handles)
        from penstock import __version__

        header = CheckpointHeader(
            __version__, self.job_id, self.checkpoint_id, self.kind, _epoch_ms(), files, facts or {}
        )
        for folder in {path.rpartition("/")[0] for path, _, _ in files}:
            parent = self.directory.rpartition("/")[0]
            self._store.sync_directory(f"{parent}/{folder}" if parent else folder)
        self._store.create(f"{self.directory}/{METADATA}", (encode(header, payload),))
        self._store.sync_directory(self.directory)
        self._store.sync_directory(self.directory.rpartition("/")[0])
        self._store.sync_directory("")
        view = CheckpointView(self._store, self.directory, owned=self.kind == "checkpoint")
        self.is_closed = True
        if self._storage is not None:
            self._storage._completed(self, view)
        return view

    def abort(self) -> None:
        """Gives the checkpoint up and deletes its own files; files it shared are deleted by the storage's `sweep`."""
        if self.is_closed:
            return
        self.is_closed = True
        try:
            _remove_checkpoint(self._store, self.directory)
        finally:
            if self._storage is not None:
                self._storage._aborted(self)


def _file_name(name: str) -> str:
    """A name no other attempt uses."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}-{os.urandom(4).hex()}"


def _remove_checkpoint(store: FileStore, directory: str) -> None:
    """Deletes a checkpoint that must not be found again: what makes it one is gone for certain before anything else."""
    names = store.names(directory)
    if METADATA in names:
        store.remove(f"{directory}/{METADATA}")
        store.sync_directory(directory)
    if names:
        store.remove_directory(directory)


def open_checkpoint(path: str, *, verify: bool = True) -> CheckpointView:
    """Opens a checkpoint or savepoint by its directory or the `_metadata` file in it.

    Raises:
        CorruptCheckpointError: if it is none, or not all there; the message has the path and the reason.
    """
    directory = path.rstrip("/")
    if directory.rpartition("/")[2] == METADATA:
        directory = directory.rpartition("/")[0]
    parent, _, name = directory.rpartition("/")
    if parent and not parent.endswith("/"):
        store, relative = file_store_for(parent), name
    else:
        store, relative = file_store_for(directory), ""
    view = CheckpointView(store, relative)
    if verify:
        view.verify()
    return view


class CheckpointStorage:
    """The checkpoints of one job under a directory. Owned by the checkpoint coordinator; any one thread at a time.

    Attributes:
        url: the configured directory.
        refused: (path, reason) of checkpoints `latest` passed over.
    """

    def __init__(
        self,
        url: str,
        job_id: str,
        *,
        create_subdirectory: bool = True,
        inline_bytes: int = DEFAULT_INLINE_BYTES,
        store: FileStore | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.url = url
        self.job_id = job_id
        self.refused: list[tuple[str, str]] = []
        self._store = store if store is not None else file_store_for(url)
        self._given_store = store
        self._folder = job_id if create_subdirectory else ""
        self._inline_bytes = inline_bytes
        self._on_close = on_close
        self._lock = threading.Lock()
        self._completed_views: list[CheckpointView] | None = None
        self._writers: set[CheckpointWriter] = set()
        self._garbage: set[str] = set()
        self._was_aborted = False

    @classmethod
    def temporary(cls, job_id: str) -> CheckpointStorage:
        """Storage in a directory of its own, deleted by `close`: where no directory is configured."""
        import shutil
        import tempfile

        directory = tempfile.mkdtemp(prefix="penstock-checkpoints-")
        return cls(directory, job_id, on_close=lambda: shutil.rmtree(directory, ignore_errors=True))

    # -- writing ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Makes the configured directory, so that one that cannot be written to is found before the job runs.

        Raises:
            CheckpointStorageError: it cannot be made.
        """
        self._store.make_root()

    def begin(self, checkpoint_id: int) -> CheckpointWriter:
        """A writer for a checkpoint; what an earlier attempt left under its number is deleted."""
        if self._was_aborted and not self._writers:
            # Tasks that heard late that a checkpoint was aborted wrote on, into a directory that was gone.
            self._was_aborted = False
            try:
                self.sweep()
            except (CheckpointStorageError, OSError) as error:
                _log.warning("Leftovers of aborted checkpoints could not be deleted: %s", error)
        directory = self._in_folder(f"chk-{checkpoint_id}")
        _remove_checkpoint(self._store, directory)
        return self._writer(self.url, directory, checkpoint_id, "checkpoint", self._given_store)

    def begin_savepoint(self, directory: str, checkpoint_id: int) -> CheckpointWriter:
        """A writer for a savepoint under a directory of its own choice."""
        name = f"savepoint-{self.job_id[:6]}-{os.urandom(6).hex()}"
        return self._writer(directory, name, checkpoint_id, "savepoint", None)

    def _writer(
        self, url: str, directory: str, checkpoint_id: int, kind: str, store: FileStore | None
    ) -> CheckpointWriter:
        writer = CheckpointWriter(url, directory, checkpoint_id, self.job_id, kind, self._inline_bytes, store)
        writer._storage = self
        with self._lock:
            self._writers.add(writer)
        return writer

    def _completed(self, writer: CheckpointWriter, view: CheckpointView) -> None:
        known = self._views()
        with self._lock:
            self._writers.discard(writer)
            if writer.kind == "checkpoint" and all(other.path != view.path for other in known):
                known.append(view)
                known.sort(key=lambda each: each.checkpoint_id)

    def _aborted(self, writer: CheckpointWriter) -> None:
        with self._lock:
            self._was_aborted = True
            self._writers.discard(writer)

    # -- reading ---------------------------------------------------------------------------------

    def _in_folder(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def _views(self) -> list[CheckpointView]:
        """The completed checkpoints, oldest first."""
        if self._completed_views is None:
            views = []
            for name in self._store.names(self._folder):
                if re.fullmatch(r"chk-\d+", name) is None:
                    continue
                try:
                    views.append(CheckpointView(self._store, self._in_folder(name), owned=True))
                except IncompleteCheckpointError:
                    continue
                except CheckpointStorageError as error:
                    self._refuse(self._in_folder(name), error)
            self._completed_views = sorted(views, key=lambda view: view.checkpoint_id)
        return self._completed_views

    def _refuse(self, directory: str, error: CheckpointStorageError) -> None:
        path = self._store.full_path(directory)
        self.refused.append((path, str(error)))
        _log.warning("Checkpoint %s is passed over: %s", path, error)

    def list(self) -> list[CheckpointView]:
        """The completed checkpoints, oldest first; their files are not looked at."""
        return list(self._views())

    def latest(self) -> CheckpointView | None:
        """The newest checkpoint that is whole, every checksum compared; damaged ones are passed over with a warning."""
        views = self._views()
        while views:
            try:
                views[-1].verify()
            except CorruptCheckpointError as error:
                self._refuse(views.pop()._directory, error)
                continue
            return views[-1]
        return None

    # -- deleting --------------------------------------------------------------------------------

    def retain(self, count: int) -> None:
        """Discards all but the newest `count` checkpoints."""
        for view in self._views()[: -count or None]:
            self.discard(view)
        self._collect_garbage()

    def discard(self, view: CheckpointView) -> None:
        """Deletes a checkpoint: first what makes it one, then its files, then shared files nobody refers to."""
        views = self._views()
        if view in views:
            views.remove(view)
        self._store.remove(f"{view._directory}/{METADATA}")
        self._store.remove_directory(view._directory)
        self._garbage.update(handle.path for handle in view.files() if handle.is_shared)
        self._collect_garbage()

    def _collect_garbage(self) -> None:
        """Deletes shared files of discarded checkpoints, unless one that is being written may refer to them."""
        if self._garbage and not self._writers:
            for path in self._garbage - self._shared_in_use():
                self._store.remove(self._in_folder(path))
            self._garbage.clear()

    def discard_all(self) -> None:
        """Deletes every checkpoint of the job: it ended and keeps none."""
        for view in self.list():
            self.discard(view)
        if self._folder:
            self._store.remove_directory(self._folder)

    def _shared_in_use(self) -> set[str]:
        return {handle.path for view in self._views() for handle in view.files() if handle.is_shared}

    def sweep(self) -> int:
        """Deletes what crashes and aborted checkpoints left behind; returns how many files and directories.

        Only while no checkpoint is being written: a file that is uploaded belongs to no checkpoint yet. And only in a
        directory of the job's own: without `create-subdir` another job may be writing there.
        """
        if self._writers or not self._folder:
            return 0
        complete = {view._directory.rpartition("/")[2] for view in self._views()}
        refused = {path.rpartition("/")[2] for path, _ in self.refused}
        removed = 0
        for name in self._store.names(self._folder):
            if re.fullmatch(r"chk-\d+", name) and name not in complete and name not in refused:
                self._store.remove_directory(self._in_folder(name))
                removed += 1
        held = self._shared_in_use()
        for name in self._store.names(self._in_folder(SHARED)):
            if f"{SHARED}/{name}" not in held:
                self._store.remove(self._in_folder(f"{SHARED}/{name}"))
                removed += 1
        return removed

    def close(self) -> None:
        """Ends the storage's own directory, if it has one."""
        if self._on_close is not None:
            self._on_close()

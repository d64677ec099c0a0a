"""A completed checkpoint, opened for reading."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final

from penstock.runtime.checkpoint._storage_files import CheckpointStorageError, FileStore, LocalFiles
from penstock.runtime.checkpoint._storage_metadata import (
    CorruptCheckpointError,
    FileHandle,
    IncompleteCheckpointError,
    InlineHandle,
    decode,
    unpickled_with_handles,
)

__all__ = ["METADATA", "CheckpointView"]

METADATA: Final = "_metadata"
_BLOCK_BYTES: Final = 8 << 20
"""What is read at once from stores where every read is a request."""


class CheckpointView:
    """A checkpoint or savepoint whose `_metadata` is whole. Any thread may read.

    Attributes:
        path: as a user would write it.
        header: the readable part of its metadata.
        owned: whether it belongs to the job that reads it, which may then refer to its shared files.
    """

    def __init__(self, store: FileStore, directory: str, *, owned: bool = False) -> None:
        self._store = store
        self._directory = directory
        self._parent = directory.rpartition("/")[0]
        self.path = store.full_path(directory)
        self.owned = owned
        metadata_path = f"{directory}/{METADATA}" if directory else METADATA
        size = store.size(metadata_path)
        if size is None:
            raise IncompleteCheckpointError(f"{self.path} holds no complete checkpoint: there is no {METADATA} in it.")
        data = store.read(metadata_path)
        self.header, self._payload = decode(data, store.full_path(metadata_path))
        self._blocks: dict[str, tuple[int, bytes]] = {}
        self._lock = threading.Lock()

    @property
    def checkpoint_id(self) -> int:
        """Its number within its job."""
        return self.header.checkpoint_id

    @property
    def metadata(self) -> Any:
        """What the coordinator gave to `complete`, loaded anew.

        Raises:
            CorruptCheckpointError: if it refers to classes that cannot be loaded here.
        """
        return unpickled_with_handles(self._payload, self.header, self.path)

    def files(self) -> Iterator[FileHandle]:
        """Every file it needs."""
        for entry in self.header.files:
            yield FileHandle(*entry)

    def verify(self) -> None:
        """Reads every file and compares size and checksum.

        Raises:
            CorruptCheckpointError: naming the first file that is missing, truncated or damaged.
        """
        for handle in self.files():
            path = self._resolve(handle)
            size = self._store.size(path)
            where = self._store.full_path(path)
            if size is None:
                raise CorruptCheckpointError(f"Checkpoint {self.path} is incomplete: {where} is missing.")
            if size != handle.size_bytes:
                raise CorruptCheckpointError(
                    f"Checkpoint {self.path} is damaged: {where} has {size} bytes and had {handle.size_bytes}."
                )
            if self._store.checksum(path)[1] != handle.checksum:
                raise CorruptCheckpointError(
                    f"Checkpoint {self.path} is damaged: the checksum of {where} does not match."
                )

    def read(self, handle: FileHandle | InlineHandle, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file, or a range of them.

        Raises:
            CheckpointStorageError: if it cannot be read, or ends early.
        """
        if isinstance(handle, InlineHandle):
            return handle.data[offset : None if length is None else offset + length]
        if length is None:
            length = handle.size_bytes - offset
        path = self._resolve(handle)
        if isinstance(self._store, LocalFiles) or length >= _BLOCK_BYTES:
            data = self._store.read(path, offset, length)
        else:
            data = self._read_ahead(path, offset, length)
        if len(data) != length:
            raise CheckpointStorageError(
                f"Checkpoint file {self._store.full_path(path)} ends early: {length} bytes were wanted at {offset}, "
                f"{len(data)} are there."
            )
        return data

    def _read_ahead(self, path: str, offset: int, length: int) -> bytes:
        with self._lock:
            start, block = self._blocks.get(path, (0, b""))
            if not start <= offset <= offset + length <= start + len(block):
                start, block = offset, self._store.read(path, offset, max(length, _BLOCK_BYTES))
                self._blocks.clear()  # one file is read at a time
                self._blocks[path] = start, block
            return block[offset - start : offset - start + length]

    def download(self, handle: FileHandle | InlineHandle, path: str) -> None:
        """Copies a file to a local path.

        Raises:
            CheckpointStorageError: if it cannot be read.
            OSError: if it cannot be written.
        """
        with open(path, "wb") as file:
            if isinstance(handle, InlineHandle):
                file.write(handle.data)
                return
            for offset in range(0, handle.size_bytes, _BLOCK_BYTES):
                file.write(self.read(handle, offset, min(_BLOCK_BYTES, handle.size_bytes - offset)))

    def _resolve(self, handle: FileHandle) -> str:
        """Where a file lies now: next to the checkpoint's directory, which may have been moved or renamed."""
        first, _, rest = handle.path.partition("/")
        if first == "shared":
            return f"{self._parent}/{handle.path}" if self._parent else handle.path
        return f"{self._directory}/{rest}" if self._directory else rest

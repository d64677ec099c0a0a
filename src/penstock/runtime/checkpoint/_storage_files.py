"""The few file operations checkpoints need, on a local directory and on anything fsspec reaches.

A file appears under its name whole or not at all: on a local disk it is written under another name, synced, and
renamed; object stores show an object when its upload is complete; elsewhere it is written under another name and moved.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Final
from zlib import crc32

from penstock.errors import ConfigurationError, JobError

__all__ = ["CheckpointStorageError", "FileStore", "FsspecFiles", "LocalFiles", "WrittenFile", "file_store_for"]

COPY_BYTES: Final = 1 << 20
_ATOMIC_UPLOADS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "memory"})
_EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}


class CheckpointStorageError(JobError):
    """Checkpoint files that cannot be written, read or deleted: the storage's fault."""


WrittenFile = tuple[int, int]
"""Size in bytes and CRC-32 of what was written."""


class FileStore(ABC):
    """Files under one root directory, addressed by paths relative to it with `/`. Any thread.

    Attributes:
        root: the root as the user wrote it.
    """

    root: str

    def make_root(self) -> None:
        """Makes the root directory if it is not there.

        Raises:
            CheckpointStorageError: it cannot be made, or not be written to.
        """

    @abstractmethod
    def create(self, path: str, chunks: Iterable[bytes]) -> WrittenFile:
        """Writes a file with the parents it needs; it is there, durably, when this returns, and not before.

        Raises:
            CheckpointStorageError: it could not be written; nothing is left under `path`.
        """

    def adopt(self, path: str, local_path: str) -> WrittenFile:
        """Like `create`, with the bytes of a local file that nobody will ever change; it may be linked, not copied.

        Raises:
            CheckpointStorageError: it could not be written.
        """
        return self.create(path, file_chunks(local_path))

    @abstractmethod
    def sync_directory(self, path: str) -> None:
        """Makes the names in a directory durable."""

    @abstractmethod
    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file or a range of it; fewer where the file ends.

        Raises:
            CheckpointStorageError: it is not there or cannot be read.
        """

    @abstractmethod
    def size(self, path: str) -> int | None:
        """The size in bytes, None when there is no such file."""

    @abstractmethod
    def names(self, path: str) -> list[str]:
        """The names in a directory; empty when it does not exist."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Deletes a file; fine when there is none."""

    @abstractmethod
    def remove_directory(self, path: str) -> None:
        """Deletes a directory with all in it; fine when there is none."""

    def full_path(self, path: str) -> str:
        """The path as a user would write it."""
        return f"{self.root.rstrip('/')}/{path}" if path else self.root

    def checksum(self, path: str) -> WrittenFile:
        """Reads a whole file: its size and CRC-32."""
        size = checksum = 0
        while data := self.read(path, size, 8 * COPY_BYTES):
            size += len(data)
            checksum = crc32(data, checksum)
        return size, checksum


def file_chunks(path: str) -> Iterator[bytes]:
    """The bytes of a local file, piece by piece."""
    with open(path, "rb", 0) as file:
        while chunk := file.read(COPY_BYTES):
            yield chunk


def _temporary_name(target: str) -> str:
    return f"{os.path.dirname(target)}/.{os.path.basename(target)}.{os.urandom(4).hex()}.tmp"


class LocalFiles(FileStore):
    """A directory of this machine."""

    def __init__(self, root: str) -> None:
        self.root = root

    def make_root(self) -> None:
        """A directory this process may write to."""
        try:
            os.makedirs(self.root, exist_ok=True)
        except OSError as error:
            raise CheckpointStorageError(_write_failure(self.root, error, "directory")) from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            raise CheckpointStorageError(_write_failure(self.root, denied, "directory"))

    def create(self, path: str, chunks: Iterable[bytes]) -> WrittenFile:
        """Temporary name, fsync, rename."""
        target = self.full_path(path)
        temporary = _temporary_name(target)
        size = checksum = 0
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(temporary, "wb", COPY_BYTES) as file:
                for chunk in chunks:
                    file.write(chunk)
                    size += len(chunk)
                    checksum = crc32(chunk, checksum)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, target)
        except BaseException as error:
            _remove_quietly(temporary)
            if isinstance(error, OSError):
                raise CheckpointStorageError(_write_failure(target, error)) from error
            raise
        return size, checksum

    def adopt(self, path: str, local_path: str) -> WrittenFile:
        """Links it, where both are on one file system: a store of many gigabytes would else be copied again and again."""
        temporary = _temporary_name(path)
        linked, target = self.full_path(temporary), self.full_path(path)
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.link(local_path, linked)
        except OSError:
            return self.create(path, file_chunks(local_path))
        try:
            written = self.checksum(temporary)
            with open(linked, "rb") as file:
                os.fsync(file.fileno())
            os.rename(linked, target)
        except OSError as error:
            raise CheckpointStorageError(_write_failure(target, error)) from error
        finally:
            _remove_quietly(linked)  # also where the target was this very file: then rename does nothing
        return written

    def sync_directory(self, path: str) -> None:
        """Syncs it."""
        descriptor = os.open(self.full_path(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """One positioned read."""
        target = self.full_path(path)
        try:
            with open(target, "rb", 0) as file:
                if length is None:
                    length = max(0, os.fstat(file.fileno()).st_size - offset)
                return os.pread(file.fileno(), length, offset) if length else b""
        except OSError as error:
            raise CheckpointStorageError(f"Checkpoint file {target} cannot be read: {error.strerror}.") from error

    def size(self, path: str) -> int | None:
        """The size on disk."""
        try:
            return os.stat(self.full_path(path)).st_size
        except FileNotFoundError:
            return None

    def names(self, path: str) -> list[str]:
        """A listing."""
        try:
            return os.listdir(self.full_path(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove(self, path: str) -> None:
        """A deletion."""
        _remove_quietly(self.full_path(path))

    def remove_directory(self, path: str) -> None:
        """A recursive deletion."""
        import shutil

        shutil.rmtree(self.full_path(path), ignore_errors=True)


def _remove_quietly(path: str) -> None:
    try:
        os.remove(path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _write_failure(target: str, error: OSError, what: str = "file") -> str:
    message = f"Checkpoint {what} {target} cannot be written: {error.strerror or error}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message += (
            " Free space there, lower execution.checkpointing.num-retained, or set execution.checkpointing.dir to "
            "a larger disk."
        )
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        message += " Set execution.checkpointing.dir to a directory this process may write to."
    return message


class FsspecFiles(FileStore):
    """A directory of a file system that fsspec reaches."""

    def __init__(self, root: str, filesystem: Any, base: str) -> None:
        self.root = root
        self._filesystem = filesystem
        self._base = base.rstrip("/")
        protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
        self._uploads_are_atomic = not _ATOMIC_UPLOADS.isdisjoint(protocols)

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def create(self, path: str, chunks: Iterable[bytes]) -> WrittenFile:
        """An upload, or a file that is moved to its name."""
        target = self._path(path)
        parent, _, name = target.rpartition("/")
        written = target if self._uploads_are_atomic else f"{parent}/.{name}.{os.urandom(4).hex()}.tmp"
        try:
            if not self._uploads_are_atomic:
                self._filesystem.makedirs(parent, exist_ok=True)
            size, checksum = self._upload(written, chunks)
            if written != target:
                self._filesystem.mv(written, target)
        except Exception as error:
            self._remove_path(written)
            raise CheckpointStorageError(
                f"Checkpoint file {self.full_path(path)} cannot be written: {error}."
            ) from error
        return size, checksum

    def _upload(self, target: str, chunks: Iterable[bytes]) -> WrittenFile:
        size = checksum = 0
        file = self._filesystem.open(target, "wb")
        try:
            for chunk in chunks:
                file.write(chunk)
                size += len(chunk)
                checksum = crc32(chunk, checksum)
        except BaseException:
            if hasattr(file, "discard"):
                file.discard()  # closing would complete the upload of half a file
            else:
                file.close()
            raise
        file.close()
        return size, checksum

    def sync_directory(self, path: str) -> None:
        """Such stores are durable when a write returns."""

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """A ranged read."""
        try:
            data: bytes = self._filesystem.cat_file(
                self._path(path), start=offset, end=None if length is None else offset + length
            )
        except Exception as error:
            raise CheckpointStorageError(
                f"Checkpoint file {self.full_path(path)} cannot be read: {type(error).__name__}: {error}."
            ) from error
        return data

    def size(self, path: str) -> int | None:
        """The store's own figure."""
        self._filesystem.invalidate_cache()
        try:
            return int(self._filesystem.size(self._path(path)))
        except FileNotFoundError:
            return None

    def names(self, path: str) -> list[str]:
        """A listing."""
        self._filesystem.invalidate_cache()
        try:
            found = self._filesystem.ls(self._path(path), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name.rstrip("/").rpartition("/")[2] for name in found]

    def remove(self, path: str) -> None:
        """A deletion."""
        self._remove_path(self._path(path))

    def _remove_path(self, target: str) -> None:
        try:
            self._filesystem.rm_file(target)
        except FileNotFoundError:
            return

    def remove_directory(self, path: str) -> None:
        """A recursive deletion."""
        try:
            self._filesystem.rm(self._path(path), recursive=True)
        except FileNotFoundError:
            return


def file_store_for(url: str) -> FileStore:
    """The files under a directory given as a path or URL.

    Raises:
        ConfigurationError: if the URL's scheme is unknown or its package is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme in ("file", "local"):
        return LocalFiles(os.path.abspath(os.path.expanduser(rest if separator else url)))
    import fsspec

    try:
        filesystem, base = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        extra = _EXTRAS.get(scheme)
        hint = f" Install it with: pip install 'penstock[{extra}]'." if extra else ""
        raise ConfigurationError(f"Checkpoints cannot be kept under '{url}': {error}.{hint}") from error
    return FsspecFiles(url, filesystem, base)

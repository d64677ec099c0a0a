"""The file operations a file sink needs, with what each promises about a crash.

Local files are written so that what `sync` and `rename` have returned from survives the machine's power loss; files
behind a URL are as durable as their store is once they are closed.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from penstock.datastream.connectors._input_files import is_local, local_path, remote_file_system
from penstock.errors import JobError

__all__ = ["LocalOutputFiles", "OutputFiles", "OutputStream", "RemoteOutputFiles", "output_error", "output_files"]

_BUFFER_BYTES = 64 * 1024


class OutputStream(ABC):
    """A file being written. Owned by the task thread."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Appends."""

    @abstractmethod
    def tell(self) -> int:
        """Bytes in the file, those in buffers included."""

    @abstractmethod
    def sync(self) -> None:
        """Returns when everything written is durable, the file's name included."""

    @abstractmethod
    def finish(self) -> None:
        """Makes everything durable, then closes."""

    @abstractmethod
    def close(self) -> None:
        """Closes, without a promise about what was written."""


class OutputFiles(ABC):
    """The files of one file system. Paths are those `join` makes.

    Attributes:
        resumable: whether a file can be cut to a length and appended to after a crash.
    """

    resumable: bool

    @abstractmethod
    def join(self, base: str, *names: str) -> str:
        """A path below `base`; empty names are left out."""

    @abstractmethod
    def create(self, path: str) -> OutputStream:
        """A new file, with the directories above it."""

    @abstractmethod
    def resume(self, path: str, size_bytes: int) -> OutputStream:
        """An existing file cut to a length, to be appended to."""

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """An existing file for reading."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """The length of a file, None where there is none."""

    @abstractmethod
    def truncate(self, path: str, size_bytes: int) -> None:
        """Cuts a closed file to a length, durably."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Gives a closed file its name; a crash leaves it under the old one or the new one."""

    @abstractmethod
    def sync_names(self, paths: set[str]) -> None:
        """Returns when the names of these files are durable."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Removes a file; one that is not there is no error."""

    @abstractmethod
    def hidden_files(self, base: str) -> Iterator[str]:
        """All files below `base` whose names start with a dot."""


def output_files(path: str) -> tuple[OutputFiles, str]:
    """The file system of a path or URL, and the path as it knows it."""
    if is_local(path):
        return LocalOutputFiles(), local_path(path)
    return RemoteOutputFiles(path), path.rstrip("/")


def output_error(action: str, path: str, error: OSError) -> JobError:
    """What to say of a failed file operation."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return JobError(
            f"There is no space left to {action} {path!r}: {error}. Free space on that disk or choose another base "
            "path; what the last checkpoint covers is safe."
        )
    return JobError(f"The file sink cannot {action} {path!r}: {type(error).__name__}: {error}")


class LocalOutputFiles(OutputFiles):
    """Files of this machine."""

    resumable = True

    def join(self, base: str, *names: str) -> str:
        return os.path.join(base, *filter(None, names))

    def create(self, path: str) -> OutputStream:
        directory = os.path.dirname(path)
        _make_directories(directory)
        return _LocalOutputStream(open(path, "xb", buffering=_BUFFER_BYTES), path, 0)

    def resume(self, path: str, size_bytes: int) -> OutputStream:
        file = open(path, "r+b", buffering=_BUFFER_BYTES)  # noqa: SIM115 - closed by the stream
        try:
            file.truncate(size_bytes)
            file.seek(size_bytes)
        except OSError:
            file.close()
            raise
        return _LocalOutputStream(file, path, size_bytes)

    def open(self, path: str) -> BinaryIO:
        return open(path, "rb")

    def size(self, path: str) -> int | None:
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return None

    def truncate(self, path: str, size_bytes: int) -> None:
        with open(path, "r+b") as file:
            file.truncate(size_bytes)
            os.fsync(file.fileno())

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def sync_names(self, paths: set[str]) -> None:
        for directory in sorted({os.path.dirname(path) for path in paths}):
            _sync_directory(directory)

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def hidden_files(self, base: str) -> Iterator[str]:
        for directory, _, names in os.walk(base):
            for name in names:
                if name.startswith("."):
                    yield os.path.join(directory, name)


def _make_directories(path: str) -> None:
    """Like `os.makedirs`, with durable names."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    _make_directories(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
        _sync_directory(parent)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "there is a file in the place of a directory", path)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _LocalOutputStream(OutputStream):
    """Knows whether its name is durable yet."""

    def __init__(self, file: BinaryIO, path: str, size_bytes: int) -> None:
        self._file = file
        self._path = path
        self._size_bytes = size_bytes
        self._dirty = False
        self._name_unsafe = True

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._size_bytes += len(data)
        self._dirty = True

    def tell(self) -> int:
        return self._size_bytes

    def sync(self) -> None:
        if self._dirty or self._name_unsafe:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._dirty = False
        if self._name_unsafe:
            _sync_directory(os.path.dirname(self._path))
            self._name_unsafe = False

    def finish(self) -> None:
        try:
            self.sync()
        finally:
            self._file.close()

    def close(self) -> None:
        self._file.close()


class RemoteOutputFiles(OutputFiles):
    """Files behind a URL, through fsspec: written in one go, so that each checkpoint ends them.

    A rename is a copy and a removal: repeated after a crash it ends the same.
    """

    resumable = False

    def __init__(self, url: str) -> None:
        self._file_system = remote_file_system(url)[0]

    def join(self, base: str, *names: str) -> str:
        return "/".join(filter(None, (base.rstrip("/"), *names)))

    def create(self, path: str) -> OutputStream:
        parent = path.rpartition("/")[0]
        with contextlib.suppress(FileExistsError):
            self._file_system.makedirs(parent, exist_ok=True)
        return _RemoteOutputStream(self._file_system.open(path, "wb"))

    def resume(self, path: str, size_bytes: int) -> OutputStream:
        raise OSError(errno.EOPNOTSUPP, "files behind a URL cannot be appended to", path)

    def open(self, path: str) -> BinaryIO:
        file: Any = self._file_system.open(path, "rb")
        return io.BytesIO(file.getvalue()) if isinstance(file, io.BytesIO) else cast(BinaryIO, file)

    def size(self, path: str) -> int | None:
        self._file_system.invalidate_cache()
        try:
            return int(self._file_system.info(path)["size"])
        except FileNotFoundError:
            return None

    def truncate(self, path: str, size_bytes: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "files behind a URL cannot be cut", path)

    def rename(self, source: str, target: str) -> None:
        self._file_system.copy(source, target)
        self._file_system.rm_file(source)

    def sync_names(self, paths: set[str]) -> None:
        """Nothing to do: an object is durable under its name once it is written."""

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._file_system.rm_file(path)

    def hidden_files(self, base: str) -> Iterator[str]:
        self._file_system.invalidate_cache()
        for path in self._file_system.find(base):
            if path.rpartition("/")[2].startswith("."):
                yield self._file_system.unstrip_protocol(path)


class _RemoteOutputStream(OutputStream):
    def __init__(self, file: Any) -> None:
        self._file = file
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._size_bytes += len(data)

    def tell(self) -> int:
        return self._size_bytes

    def sync(self) -> None:
        raise OSError(errno.EOPNOTSUPP, "files behind a URL are durable only when finished")

    def finish(self) -> None:
        self._file.close()

    def close(self) -> None:
        discard = getattr(self._file, "discard", None)
        if discard is not None:
            with contextlib.suppress(Exception):
                discard()
                return
        self._file.close()

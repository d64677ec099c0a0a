"""Finding and opening the files a source reads: local ones directly, those behind a URL through fsspec."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["FoundFile", "find_files", "is_local", "local_path", "open_input", "remote_file_system"]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to read.

    Attributes:
        path: absolute for local files, else the URL.
        size_bytes: its length when it was found.
    """

    path: str
    size_bytes: int


def is_local(path: str) -> bool:
    """Whether a path names a file of this machine: no scheme, or `file:`."""
    return "://" not in path or path.startswith("file:")


def local_path(path: str) -> str:
    """The absolute path of a local file, from a path or a `file:` URL (`file:/a`, `file:///a`)."""
    if path.startswith("file:"):
        path = path[len("file:") :]
        if path.startswith("//"):
            path = "/" + path[2:].partition("/")[2]
    return os.path.abspath(path)


def remote_file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        ConfigurationError: if fsspec does not know the scheme, or its package is not installed.
    """
    import fsspec

    try:
        file_system, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"{url!r} cannot be reached: {error}. Local files need no scheme or `file://`; for other file systems "
            "install the fsspec package of the scheme (s3fs for s3://, gcsfs for gs://)."
        ) from error
    return file_system, path


def find_files(path: str) -> list[FoundFile]:
    """All files under a path, sorted by path; a path that is a file is found itself.

    Directories are searched recursively. Names that start with `.` or `_` are left out at every level, the path
    itself included, as Flink's `DefaultFileFilter` does.

    Raises:
        ConfigurationError: if the path does not exist or cannot be listed.
    """
    try:
        found = list(_find_local(local_path(path), ()) if is_local(path) else _find_remote(path))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"The input path {path!r} does not exist. Check the path given to FileSource; relative paths start at "
            f"{os.getcwd()!r}."
        ) from error
    except OSError as error:
        raise ConfigurationError(f"The input path {path!r} cannot be listed: {error}.") from error
    return sorted(found, key=lambda file: file.path)


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _find_local(path: str, parents: tuple[tuple[int, int], ...]) -> Iterator[FoundFile]:
    status = os.stat(path)
    if _hidden(os.path.basename(path)):
        return
    if not stat.S_ISDIR(status.st_mode):
        yield FoundFile(path, status.st_size)
        return
    identity = (status.st_dev, status.st_ino)
    if identity in parents:  # a symbolic link back to a directory above
        return
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        try:
            yield from _find_local(os.path.join(path, name), (*parents, identity))
        except FileNotFoundError:  # removed since it was listed, or a dangling link
            continue


def _find_remote(url: str) -> Iterator[FoundFile]:
    file_system, root = remote_file_system(url)
    if _hidden(root.rstrip("/").rpartition("/")[2]):
        return
    details = file_system.info(root)
    if details["type"] != "directory":
        yield FoundFile(file_system.unstrip_protocol(root), details["size"] or 0)
        return
    for _, directories, files in file_system.walk(root, detail=True):
        for name in [name for name in directories if _hidden(name)]:
            del directories[name]
        for name, file in files.items():
            if not _hidden(name):
                yield FoundFile(file_system.unstrip_protocol(file["name"]), file["size"] or 0)


def open_input(path: str) -> BinaryIO:
    """Opens a found file for reading bytes; local files unbuffered, so read in blocks.

    Raises:
        OSError: if it cannot be opened.
    """
    if not is_local(path):
        file_system, inner = remote_file_system(path)
        remote: Any = file_system.open(inner, "rb")
        if isinstance(remote, io.BytesIO):  # fsspec's memory:// has one position for all who open a file
            return io.BytesIO(remote.getvalue())
        return cast(BinaryIO, remote)
    file: Any = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by the reader
    if hasattr(os, "posix_fadvise") and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)  # lets the kernel read far ahead
    return cast(BinaryIO, file)

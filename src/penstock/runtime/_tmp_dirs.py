"""Directories for temporary files (`io.tmp.dirs`), and files there that never stay behind."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from typing import BinaryIO

from penstock.errors import ConfigurationError, JobError

__all__ = ["DiskFullError", "SpillError", "open_temporary", "spill_failure", "system_tmp_dir", "tmp_dirs"]


class SpillError(JobError):
    """Temporary files that cannot be written or read."""


class DiskFullError(SpillError):
    """A directory for temporary files is full."""


def system_tmp_dir() -> str:
    """What `tempfile.gettempdir` finds, without importing it: that is a thirtieth of a small job's time."""
    candidates = [*map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp"]
    usable = (name for name in candidates if name and os.path.isdir(name) and os.access(name, os.W_OK | os.X_OK))
    return os.path.abspath(next(usable, os.getcwd()))


def tmp_dirs(configured: str | None) -> tuple[str, ...]:
    """The directories an option such as `io.tmp.dirs` names, split as Flink splits them; else the system's.

    Raises:
        ConfigurationError: if one of them is no directory this process may write to.
    """
    names = [name.strip() for name in re.split(rf"[,|{re.escape(os.pathsep)}]", configured or "")]
    found = tuple(name for name in names if name) or (system_tmp_dir(),)
    for name in found:
        try:
            os.makedirs(name, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"'{name}' of io.tmp.dirs is no directory that can be used: {error.strerror}."
            ) from error
        if not os.access(name, os.W_OK | os.X_OK):
            raise ConfigurationError(f"'{name}' of io.tmp.dirs cannot be written to by this process.")
    return found


def open_temporary(directories: Sequence[str], turn: int) -> tuple[BinaryIO, str]:
    """A file without a name, which is gone when it is closed or the process dies, and the directory it takes space in.

    Raises:
        SpillError: if no file can be made there.
    """
    import tempfile

    directory = directories[turn % len(directories)]
    try:
        return tempfile.TemporaryFile(prefix="penstock-", dir=directory, buffering=0), directory
    except OSError as error:
        raise spill_failure(error, directory, 0) from error


def spill_failure(error: OSError, directory: str, spilled_bytes: int) -> SpillError:
    """The error of a temporary file: what happened, where, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"The disk of '{directory}' is full: {spilled_bytes} bytes are spilled there already. Free space, set "
            "io.tmp.dirs to larger disks (several are used in turn), or raise taskmanager.memory.managed.size so that "
            "less is spilled."
        )
    return SpillError(
        f"A temporary file in '{directory}' cannot be used: {error.strerror or error}. Set io.tmp.dirs to other "
        "directories."
    )

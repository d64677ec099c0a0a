"""Directories of RocksDB stores: each belongs to a process, and those of dead processes are deleted by the next."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from typing import Final

from penstock.runtime._tmp_dirs import spill_failure

__all__ = ["delete_directory", "owned_directory"]

_PREFIX: Final = "penstock-rocksdb"
_swept: set[str] = set()


def owned_directory(parent: str, name: str) -> str:
    """A new directory for a store; what a process that was killed left under `parent` is deleted first.

    Raises:
        penstock.runtime._tmp_dirs.SpillError: if it cannot be made.
    """
    if parent not in _swept:
        _swept.add(parent)
        _sweep(parent)
    directory = f"{parent}/{_PREFIX}-{os.getpid()}-{_started(os.getpid())}/{name}"
    try:
        os.makedirs(directory)
    except OSError as error:
        raise spill_failure(error, parent, 0) from error
    return directory


def delete_directory(directory: str) -> None:
    """Deletes a store's directory, and the process's own with the last of them."""
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # others are in it
        os.rmdir(os.path.dirname(directory))


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None if there is none. With the pid it is unique."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _sweep(parent: str) -> None:
    try:
        names = os.listdir(parent)
    except OSError:
        return
    for name in names:
        match = re.fullmatch(rf"{_PREFIX}-(\d+)-(\w+)", name)
        if match is not None and _started(int(match[1])) != match[2]:
            shutil.rmtree(f"{parent}/{name}", ignore_errors=True)

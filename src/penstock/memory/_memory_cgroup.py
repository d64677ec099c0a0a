"""A control group of our own for a child process, where the system lets us make one."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.memory._container_limit import MemoryGroup, find_memory_group

__all__ = ["MemoryCgroup"]

# memory.high throttles and reclaims; the kill at memory.max should come only when that was not enough.
_MAX_ABOVE_HIGH = 64


class MemoryCgroup:
    """A child control group with a memory limit; a context manager that removes it. Owned by the supervisor.

    Attributes:
        path: its directory.
        limit_bytes: the limit.
        version: 1 or 2.
    """

    def __init__(self, path: Path, limit_bytes: int, version: int) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self.version = version

    @classmethod
    def create(cls, name: str, limit_bytes: int, root: Path = Path("/")) -> MemoryCgroup | None:
        """Makes a group below the one this process is in; None where that is not permitted or there are none.

        Under cgroup v2 only groups without processes can have children with memory limits. The group around ours is
        tried first (where systemd delegates a subtree, ours is a leaf in it), then ours.

        Args:
            name: the directory's name.
            limit_bytes: the limit.
            root: where `proc` and the mounts are looked up.
        """
        group = find_memory_group(root)
        if group is None:
            return None
        for parent in _possible_parents(group):
            path = parent / name
            try:
                path.mkdir()
            except OSError:
                continue
            made = cls(path, limit_bytes, group.version)
            try:
                made._set_limit()
            except OSError:
                made.close()
                continue
            return made
        return None

    def add(self, process_id: int) -> None:
        """Moves a process into the group; its memory from now on, and that of its children, is charged here.

        Raises:
            OSError: it may not be moved.
        """
        (self.path / "cgroup.procs").write_text(str(process_id))

    @property
    def procs_file(self) -> str:
        """The file a process writes its id into to join."""
        return str(self.path / "cgroup.procs")

    def oom_kills(self) -> int:
        """Processes of the group that the kernel killed for its limit."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        return self._field(file, "oom_kill")

    def peak_bytes(self) -> int | None:
        """The most the group ever held, page cache included; None where the kernel does not say."""
        file = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        try:
            return int((self.path / file).read_text())
        except (OSError, ValueError):
            return None

    def usage_bytes(self) -> int | None:
        """What the group holds now, page cache included."""
        file = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        try:
            return int((self.path / file).read_text())
        except (OSError, ValueError):
            return None

    def close(self) -> bool:
        """Removes the group; False when processes are still in it."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def __enter__(self) -> MemoryCgroup:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_limit(self) -> None:
        if self.version == 2:
            (self.path / "memory.high").write_text(str(self.limit_bytes))
            (self.path / "memory.max").write_text(str(self.limit_bytes + self.limit_bytes // _MAX_ABOVE_HIGH))
            self._write_if_there("memory.swap.max", "0")
            # The job is one thing: without some of its processes it can only hang.
            self._write_if_there("memory.oom.group", "1")
            return
        (self.path / "memory.limit_in_bytes").write_text(str(self.limit_bytes))
        # Memory and swap together: without it a job over its limit would swap for hours instead of ending.
        self._write_if_there("memory.memsw.limit_in_bytes", str(self.limit_bytes))

    def _write_if_there(self, file: str, value: str) -> None:
        path = self.path / file
        if path.exists():
            try:
                path.write_text(value)
            except OSError:
                return

    def _field(self, file: str, name: str) -> int:
        try:
            for line in (self.path / file).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == name:
                    return int(value)
        except (OSError, ValueError):
            return 0
        return 0


def _possible_parents(group: MemoryGroup) -> list[Path]:
    if group.version == 1:
        return [group.path]
    around = [group.path.parent] if group.path != group.mount else []
    return [path for path in (*around, group.path) if os.access(path, os.W_OK) and _hands_on_memory(path)]


def _hands_on_memory(path: Path) -> bool:
    """Whether children of a v2 group have the memory controller; turns it on where that is allowed."""
    control = path / "cgroup.subtree_control"
    try:
        if "memory" in control.read_text().split():
            return True
        if "memory" not in (path / "cgroup.controllers").read_text().split():
            return False
        control.write_text("+memory")  # refused (EBUSY) while the group itself has processes
    except OSError:
        return False
    return True

"""The memory limit of the container this process runs in, from cgroup v2 or v1, and whether the plan fits into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.conf import MemorySize
from penstock.memory._limit_errors import ContainerLimitError

__all__ = [
    "ContainerLimit",
    "MemoryGroup",
    "check_container",
    "find_container_limit",
    "find_memory_group",
    "heap_limit_in_container",
]

# cgroup v1 says "no limit" with the largest multiple of the page size below 2^63.
_NO_LIMIT_BYTES = 1 << 62
_MIB = 1 << 20
# Below this share of the container the plan leaves most of what is paid for unused.
_HINT_BELOW_FRACTION = 0.5
_SPARE_MIN_BYTES = 64 * _MIB
_HEAP_MIN_BYTES = 64 * _MIB


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """The control group that accounts for this process's memory.

    Attributes:
        version: 1 or 2.
        path: its directory.
        mount: the mount point: the outermost group that can be seen.
    """

    version: int
    path: Path
    mount: Path

    @property
    def limit_file(self) -> str:
        """The name of the file that holds a group's limit."""
        return "memory.max" if self.version == 2 else "memory.limit_in_bytes"

    def ancestry(self) -> list[Path]:
        """The group's directory and those around it, innermost first, up to the mount point."""
        directories = [self.path]
        while directories[-1] != self.mount and self.mount in directories[-1].parents:
            directories.append(directories[-1].parent)
        return directories


@dataclass(frozen=True, slots=True)
class ContainerLimit:
    """What the kernel allows this process and its neighbours in the container together.

    Attributes:
        limit_bytes: the lowest limit of the group and those around it.
        source: the file it was read from.
        version: 1 or 2, of the control groups.
    """

    limit_bytes: int
    source: str
    version: int


def find_memory_group(root: Path = Path("/")) -> MemoryGroup | None:
    """The memory control group of this process; None outside Linux, or where none is mounted.

    Args:
        root: where `proc` and the mounts are looked up.
    """
    try:
        mounts = (root / "proc/self/mountinfo").read_text()
        groups = (root / "proc/self/cgroup").read_text()
    except OSError:
        return None
    paths: dict[str, str] = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    # A hybrid host mounts both versions: the memory controller is on the one that names it.
    for version, controller in ((1, "memory"), (2, "")):
        if controller in paths:
            for line in mounts.splitlines():
                located = _locate(line, version, paths[controller], root)
                if located is not None:
                    return located
    return None


def find_container_limit(root: Path = Path("/")) -> ContainerLimit | None:
    """The lowest memory limit on the way from this process's group outwards; None where nothing limits it."""
    group = find_memory_group(root)
    if group is None:
        return None
    lowest: ContainerLimit | None = None
    for directory in group.ancestry():
        limit_bytes = _read_limit(directory / group.limit_file)
        if limit_bytes is not None and (lowest is None or limit_bytes < lowest.limit_bytes):
            lowest = ContainerLimit(limit_bytes, str(directory / group.limit_file), group.version)
    if group.version == 1:
        # Covers groups outside what the container can see.
        outer_bytes = _read_field(group.path / "memory.stat", "hierarchical_memory_limit")
        if outer_bytes is not None and (lowest is None or outer_bytes < lowest.limit_bytes):
            lowest = ContainerLimit(outer_bytes, str(group.path / "memory.stat"), 1)
    return lowest


def machine_memory_bytes(root: Path = Path("/")) -> int | None:
    """The machine's physical memory."""
    kilobytes = _read_field(root / "proc/meminfo", "MemTotal:")
    return None if kilobytes is None else kilobytes * 1024


def check_container(
    planned_bytes: int,
    option: str = "taskmanager.memory.process.size",
    root: Path = Path("/"),
) -> str | None:
    """Compares the plan of a process with the limit of its container.

    Args:
        planned_bytes: total process memory of the plan.
        option: the option that sets it.
        root: where `proc` and the mounts are looked up.

    Returns:
        A hint when the plan leaves more than half of the container unused, or exceeds a machine without containers;
        None when there is nothing to say.

    Raises:
        ContainerLimitError: the plan exceeds the container. A container up to 1 MiB smaller passes: Flink's native
            Kubernetes mode cuts a container's size to whole MiB (`KubernetesResourceManagerDriver`).
    """
    container = find_container_limit(root)
    if container is None:
        machine_bytes = machine_memory_bytes(root)
        if machine_bytes is not None and planned_bytes > machine_bytes:
            return (
                f"The plan needs {MemorySize(planned_bytes).human()} of process memory, but the machine has "
                f"{MemorySize(machine_bytes).human()}: it may swap, or be killed. Lower '{option}'."
            )
        return None
    if planned_bytes - container.limit_bytes >= _MIB:
        raise ContainerLimitError(planned_bytes, container.limit_bytes, container.source, option)
    if planned_bytes < container.limit_bytes * _HINT_BELOW_FRACTION:
        return (
            f"The container is limited to {MemorySize(container.limit_bytes).human()} ({container.source}), but the "
            f"plan uses {MemorySize(planned_bytes).human()} of it. '{option}: {container.limit_bytes // _MIB}m' would "
            f"use all."
        )
    return None


def heap_limit_in_container(other_budgets_bytes: int, container_bytes: int, resident_file_bytes: int) -> int | None:
    """The heap that fits a container when the plan sets none: a local run in a container would else be killed by it.

    What the container has, less all other budgets, code, and a tenth (at least 64 MiB) for native memory without a
    budget.

    Args:
        other_budgets_bytes: managed and network memory, and whatever else the plan sets aside.
        container_bytes: the container's limit.
        resident_file_bytes: code and mapped files of this process.

    Returns:
        Bytes; None where less than 64 MiB would be left, too little to hold a program to.
    """
    spare_bytes = max(_SPARE_MIN_BYTES, container_bytes // 10)
    heap_bytes = container_bytes - other_budgets_bytes - resident_file_bytes - spare_bytes
    return heap_bytes if heap_bytes >= _HEAP_MIN_BYTES else None


def _locate(mount_line: str, version: int, path: str, root: Path) -> MemoryGroup | None:
    """The group's directory if this line of mountinfo is where its hierarchy is mounted."""
    own, _, described = mount_line.partition(" - ")
    mounted_root, mount_point = (_unescape(field) for field in own.split()[3:5])
    kind, _, options = described.split(" ", 2)
    if version == 2 and kind != "cgroup2":
        return None
    if version == 1 and (kind != "cgroup" or "memory" not in options.rpartition(" ")[2].split(",")):
        return None
    mount = root / mount_point.lstrip("/")
    # In a container without a cgroup namespace the path is the host's, of which the mount shows the part below its
    # root.
    below = path.removeprefix(mounted_root.rstrip("/")) if path.startswith(mounted_root) else ""
    directory = mount / below.lstrip("/")
    return MemoryGroup(version, directory if ".." not in below and directory.is_dir() else mount, mount)


def _unescape(field: str) -> str:
    """Mountinfo writes blanks and backslashes as octal escapes."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def _read_limit(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    if not text.isdigit():
        return None  # "max"
    limit_bytes = int(text)
    return limit_bytes if limit_bytes < _NO_LIMIT_BYTES else None


def _read_field(file: Path, name: str) -> int | None:
    """A number in a file of `name value` lines."""
    try:
        with file.open() as lines:
            for line in lines:
                if line.startswith(name):
                    value = int(line.split()[1])
                    return value if value < _NO_LIMIT_BYTES else None
    except (OSError, ValueError, IndexError):
        return None
    return None

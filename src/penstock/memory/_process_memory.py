"""What the kernel says this process holds."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ResidentMemory", "metaspace_warning", "peak_resident_bytes", "proportional_bytes", "resident_memory"]

_PAGE_BYTES = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096
_STATM = "/proc/self/statm"


@dataclass(frozen=True, slots=True)
class ResidentMemory:
    """Memory of the process that is in RAM now.

    Attributes:
        total_bytes: all of it (RSS).
        file_bytes: code, read-only data and mapped files, and shared memory: can be reclaimed, or is shared.
    """

    total_bytes: int
    file_bytes: int

    @property
    def anonymous_bytes(self) -> int:
        """The process's own data (RssAnon)."""
        return self.total_bytes - self.file_bytes


def resident_memory() -> ResidentMemory:
    """Reads the figures; about 5 µs. Outside Linux only the peak is known, and stands for the total."""
    try:
        descriptor = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ResidentMemory(peak_resident_bytes(), 0)
    try:
        _, resident, shared, *_ = os.read(descriptor, 128).split()
    finally:
        os.close(descriptor)
    return ResidentMemory(int(resident) * _PAGE_BYTES, int(shared) * _PAGE_BYTES)


def peak_resident_bytes() -> int:
    """The most the process ever held (RSS)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def proportional_bytes() -> int | None:
    """The process's memory with shared pages divided among those who share them (PSS).

    Walks all page tables: 18 ms with a heap of 800 MB. On demand only. None outside Linux.
    """
    try:
        with Path("/proc/self/smaps_rollup").open() as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def metaspace_warning(budget_bytes: int, used_bytes: int, option: str) -> str | None:
    """What to say after start-up when code takes more than the plan has for it; None when it does not."""
    if used_bytes <= budget_bytes:
        return None
    return (
        f"The interpreter, modules and native libraries take {used_bytes} bytes after start-up, more than the "
        f"{budget_bytes} bytes the plan has for code. The rest comes out of the overhead; raise '{option}'."
    )

"""What the kernel says this process holds."""

from __future__ import annotations

import os
import resource
import threading
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "ResidentMemory",
    "metaspace_warning",
    "peak_resident_bytes",
    "proportional_bytes",
    "resident_memory",
    "thread_stack_bytes",
    "thread_stack_size_bytes",
]

_PAGE_BYTES = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096
_STATM = "/proc/self/statm"
_GUARD_MAX_BYTES = 64 << 10
# Threads get the soft stack limit as their stack size, this where it is unlimited (pthread_create).
_UNLIMITED_STACK_BYTES = 2 << 20


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


def thread_stack_bytes(smaps: Path = Path("/proc/self/smaps")) -> int:
    """What the stacks of threads started by this process hold; the main thread's is in the heap's baseline.

    Walks all page tables, like `proportional_bytes`. A stack is an anonymous mapping right above its guard page, as
    large as stacks are; those that the C library keeps for the next thread count, too. 0 outside Linux.
    """
    stack_bytes = thread_stack_size_bytes()
    guard_end = ""
    in_stack = False
    held_bytes = 0
    try:
        with smaps.open() as lines:
            for line in lines:
                if line.startswith("Rss:"):
                    held_bytes += int(line.split()[1]) * 1024 if in_stack else 0
                    continue
                addresses, *fields = line.split()
                if addresses.endswith(":"):
                    continue
                start, _, end = addresses.partition("-")
                size_bytes = int(end, 16) - int(start, 16)
                anonymous = fields[3] == "0"
                in_stack = anonymous and fields[0] == "rw-p" and start == guard_end and size_bytes <= stack_bytes
                in_stack = in_stack and size_bytes > stack_bytes - _GUARD_MAX_BYTES
                guard_end = end if anonymous and fields[0] == "---p" and size_bytes <= _GUARD_MAX_BYTES else ""
    except OSError:
        return 0
    return held_bytes


def thread_stack_size_bytes() -> int:
    """The addresses a new thread sets aside for its stack."""
    stack_bytes = threading.stack_size()  # sets it to the default, too
    if stack_bytes:
        threading.stack_size(stack_bytes)
        return stack_bytes
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _UNLIMITED_STACK_BYTES if soft == resource.RLIM_INFINITY else soft


def metaspace_warning(budget_bytes: int, used_bytes: int, option: str) -> str | None:
    """What to say after start-up when code takes more than the plan has for it; None when it does not."""
    if used_bytes <= budget_bytes:
        return None
    return (
        f"The interpreter, modules and native libraries take {used_bytes} bytes after start-up, more than the "
        f"{budget_bytes} bytes the plan has for code. The rest comes out of the overhead; raise '{option}'."
    )

"""The backstop: a limit of the operating system a little above the sum of all budgets.

It is not what a job should ever meet: Python, NumPy and Arrow survive RLIMIT_DATA with a MemoryError, but RocksDB and
other native libraries abort, and a control group only kills. RLIMIT_AS is of no use: it counts mapped files and
reserved addresses.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

from penstock.conf import MemorySize
from penstock.memory._process_memory import thread_stack_size_bytes

__all__ = ["DataLimit", "data_limit_bytes", "describe_backstop", "idle_mapped_bytes"]

DEFAULT_THREADS = 16
MARGIN_FRACTION = 0.10


def data_limit_bytes(budget_bytes: int, threads: int = DEFAULT_THREADS, idle_mapped_bytes: int = 0) -> int:
    """The RLIMIT_DATA of a process whose budgets add up to `budget_bytes`.

    The kernel counts addresses, not memory in use, so what is mapped and never touched comes on top: each thread's
    whole stack, and what libraries set aside when they are loaded.

    Args:
        budget_bytes: the sum of all budgets (total process memory).
        threads: how many threads to allow for.
        idle_mapped_bytes: writable memory mapped but not in use at start-up.
    """
    stack_bytes = threads * thread_stack_size_bytes()
    return budget_bytes + int(budget_bytes * MARGIN_FRACTION) + stack_bytes + idle_mapped_bytes


def idle_mapped_bytes(root: Path = Path("/")) -> int:
    """Writable private memory that this process has mapped, but does not use."""
    data_bytes = used_bytes = 0
    try:
        with (root / "proc/self/status").open() as lines:
            for line in lines:
                if line.startswith("VmData:"):
                    data_bytes = int(line.split()[1]) * 1024
                elif line.startswith("RssAnon:"):
                    used_bytes = int(line.split()[1]) * 1024
    except OSError:
        return 0
    return max(0, data_bytes - used_bytes)


@dataclass(slots=True)
class DataLimit:
    """RLIMIT_DATA of this process while a job runs; a context manager. Owned by the process's main thread.

    Only the soft limit is lowered, so that it can be raised again; children inherit it.

    Attributes:
        limit_bytes: what was asked for.
        held_bytes: what holds: an existing lower limit is kept. None while not in force.
    """

    limit_bytes: int
    held_bytes: int | None = None
    _before: tuple[int, int] | None = None

    def __enter__(self) -> DataLimit:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        lowest = min((limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY), default=self.limit_bytes)
        self.held_bytes = min(self.limit_bytes, lowest)
        resource.setrlimit(resource.RLIMIT_DATA, (self.held_bytes, hard))
        self._before = (soft, hard)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            resource.setrlimit(resource.RLIMIT_DATA, self._before)
        self._before = self.held_bytes = None


def describe_backstop(
    data_limit: int | None, cgroup_path: str | None, cgroup_limit: int | None = None, *, isolated: bool = True
) -> str:
    """The sentence a run says about what holds the process as a whole.

    Args:
        data_limit: RLIMIT_DATA in bytes, or None where it is not set.
        cgroup_path: the control group that limits the process, or None.
        cgroup_limit: its limit in bytes.
        isolated: whether a control group was to be made for it.
    """
    if data_limit is None and cgroup_path is None:
        remedy = "" if isolated else "; taskmanager.memory.process.size sets one"
        return f"Nothing holds the process as a whole: its plan has no total (task heap is unlimited){remedy}."
    parts = []
    if data_limit is not None:
        parts.append(
            f"RLIMIT_DATA at {MemorySize(data_limit).human()} (the sum of all budgets, 10 % and the threads' stacks)"
        )
    if cgroup_path is not None and cgroup_limit is not None:
        parts.append(f"the control group {cgroup_path} at {MemorySize(cgroup_limit).human()}")
    missing = "no control group could be made for it" if isolated else "no control group limits it"
    rest = "" if cgroup_path is not None else f"; {missing}"
    return f"The process as a whole is held by {' and '.join(parts)}{rest}."

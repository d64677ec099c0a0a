"""What ended a process: from exit code, signal and the kernel's counters to a cause and a text."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from penstock.conf import MemorySize

__all__ = ["EXIT_HEAP_EXHAUSTED", "EXIT_TASK_UNRESPONSIVE", "EndCause", "ProcessEnd", "end_cause", "signal_name"]

EXIT_HEAP_EXHAUSTED = 84
"""The heap guard ended the process: one C call used the whole reserve up (as in _heapguard.c)."""

EXIT_TASK_UNRESPONSIVE = 85
"""The heap guard ended the process: a task caught MemoryError and went on (as in _heapguard.c)."""

_NEAR_LIMIT_FRACTION = 0.8


class EndCause(Enum):
    """Why a process ended."""

    FINISHED = "finished"
    FAILED = "failed"
    HEAP_EXHAUSTED = "heap-exhausted"
    TASK_UNRESPONSIVE = "task-unresponsive"
    CGROUP_OOM = "cgroup-oom"
    SYSTEM_OOM = "system-oom"
    ABORTED_AT_LIMIT = "aborted-at-limit"
    SIGNALLED = "signalled"

    @property
    def is_memory(self) -> bool:
        """Whether memory is what ended the process."""
        return self in _MEMORY_CAUSES


_MEMORY_CAUSES = {
    EndCause.HEAP_EXHAUSTED,
    EndCause.TASK_UNRESPONSIVE,
    EndCause.CGROUP_OOM,
    EndCause.SYSTEM_OOM,
    EndCause.ABORTED_AT_LIMIT,
}


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of a process.

    Attributes:
        name: what ran.
        process_id: its id.
        cause: why it ended.
        exit_code: as a shell reports it: its own, or 128 + the signal.
        signal_name: the signal that ended it, or None.
        peak_rss_bytes: the most it held, from the kernel.
        process_bytes: total process memory of the plan, or None.
        data_limit_bytes: RLIMIT_DATA it ran under, or None.
        cgroup_bytes: the limit of its control group, or None.
        cgroup_peak_bytes: the most its group held, page cache included, or None.
        option: the option that sets the process's size.
        reports: files it left.
    """

    name: str
    process_id: int
    cause: EndCause
    exit_code: int
    signal_name: str | None
    peak_rss_bytes: int
    process_bytes: int | None
    data_limit_bytes: int | None
    cgroup_bytes: int | None
    cgroup_peak_bytes: int | None
    option: str
    reports: tuple[str, ...]

    def text(self) -> str:
        """The report for people: what ended it, the numbers, what to do."""
        lines = [_HEADLINES[self.cause].format(name=self.name, pid=self.process_id, code=self.exit_code, by=self._by())]
        peak = f"Peak memory (RSS): {MemorySize(self.peak_rss_bytes).human()}"
        limits = [
            f"{label} {MemorySize(size).human()}"
            for label, size in (
                ("plan", self.process_bytes),
                ("RLIMIT_DATA", self.data_limit_bytes),
                ("control group", self.cgroup_bytes),
            )
            if size is not None
        ]
        lines.append(f"{peak}; {', '.join(limits)}." if limits else f"{peak}.")
        advice = _ADVICE.get(self.cause)
        if advice is not None:
            lines.append(advice.format(option=self.option))
        lines += [f"Report: {path} (penstock diagnose {path})" for path in self.reports]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**asdict(self), "cause": self.cause.value, "kind": "process-end", "reports": list(self.reports)}

    def write(self, directory: str) -> str:
        """Writes `process-end-<pid>.json` for `penstock diagnose` and returns its path.

        Raises:
            OSError: it cannot be written.
        """
        path = Path(directory) / f"process-end-{self.process_id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        return str(path)

    def _by(self) -> str:
        return self.signal_name or f"exit code {self.exit_code}"


def end_cause(
    exit_code: int,
    peak_rss_bytes: int,
    limits_bytes: Sequence[int | None],
    cgroup_kills: int = 0,
    system_kills: int = 0,
) -> EndCause:
    """Names the cause of a process's end.

    Args:
        exit_code: its exit code, or minus the signal.
        peak_rss_bytes: the most it held.
        limits_bytes: the limits it ran under; None for those that were not set.
        cgroup_kills: out-of-memory kills in its control group.
        system_kills: out-of-memory kills anywhere while it ran.
    """
    limits = [limit for limit in limits_bytes if limit is not None]
    near_limit = bool(limits) and peak_rss_bytes >= min(limits) * _NEAR_LIMIT_FRACTION
    if cgroup_kills:  # also where only a child of the process was killed, and the process failed of that
        return EndCause.CGROUP_OOM
    if exit_code >= 0:
        return _EXIT_CODES.get(exit_code, EndCause.FAILED)
    if exit_code == -signal.SIGKILL and system_kills:
        return EndCause.SYSTEM_OOM
    if -exit_code in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS) and near_limit:
        return EndCause.ABORTED_AT_LIMIT
    return EndCause.SIGNALLED


def signal_name(exit_code: int) -> str | None:
    """The signal behind a negative exit code; None for others."""
    if exit_code >= 0:
        return None
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


_EXIT_CODES = {
    0: EndCause.FINISHED,
    EXIT_HEAP_EXHAUSTED: EndCause.HEAP_EXHAUSTED,
    EXIT_TASK_UNRESPONSIVE: EndCause.TASK_UNRESPONSIVE,
}

_HEADLINES = {
    EndCause.FINISHED: "Process {pid} finished: {name}",
    EndCause.FAILED: "Process {pid} failed with {by}: {name}",
    EndCause.HEAP_EXHAUSTED: (
        "Process {pid} was ended by the heap guard ({by}): one call built more small objects than the heap's reserve "
        "holds: {name}"
    ),
    EndCause.TASK_UNRESPONSIVE: (
        "Process {pid} was ended by the heap guard ({by}): a task caught MemoryError and went on over the limit: {name}"
    ),
    EndCause.CGROUP_OOM: (
        "Process {pid} or a child of it was killed by the kernel at its control group's limit ({by}): {name}"
    ),
    EndCause.SYSTEM_OOM: (
        "Process {pid} was killed ({by}) while the kernel was killing processes for lack of memory, outside the limits "
        "of this job: {name}"
    ),
    EndCause.ABORTED_AT_LIMIT: (
        "Process {pid} crashed ({by}) near its memory limit, as native libraries do when memory is refused: {name}"
    ),
    EndCause.SIGNALLED: "Process {pid} was ended by {by}: {name}",
}

_ADVICE = {
    EndCause.HEAP_EXHAUSTED: "Build the objects in a Python loop or in portions, or raise the task heap.",
    EndCause.TASK_UNRESPONSIVE: "Let MemoryError pass or drop what was built, or raise the task heap.",
    EndCause.CGROUP_OOM: (
        "The heap guard did not stop it, so most of the memory is not the Python heap: native libraries, child "
        "processes, shared memory. Raise 'taskmanager.memory.task.off-heap.size' or '{option}'."
    ),
    EndCause.SYSTEM_OOM: (
        "The machine or the container around this job has too little memory for all that runs in it. Lower '{option}' "
        "so that the job stops itself earlier, or give the machine more."
    ),
    EndCause.ABORTED_AT_LIMIT: (
        "Native memory has outgrown what the plan leaves it. Raise 'taskmanager.memory.task.off-heap.size' or "
        "'{option}'."
    ),
}

"""What failed when memory ran out, whichever owner said no: one shape for reports and their diagnosis."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from penstock.memory._limit_errors import (
    MANAGED_SIZE_KEY,
    NETWORK_MIN_KEY,
    InsufficientNetworkBuffersError,
    ManagedMemoryExhaustedError,
)

__all__ = ["MemoryFailure", "StateFigure"]

HEAP_OPTION = "taskmanager.memory.task.heap.size"
OFF_HEAP_OPTION = "taskmanager.memory.task.off-heap.size"


@dataclass(frozen=True, slots=True)
class StateFigure:
    """One keyed state of one subtask.

    Attributes:
        operator: the operator's name.
        subtask: its index.
        descriptor: the state's name.
        backend: `hashmap`, `rocksdb`, …
        entries: how many it has; None where unknown.
        size_bytes: how large it is, an estimate; None where unknown.
    """

    operator: str
    subtask: int
    descriptor: str
    backend: str
    entries: int | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class MemoryFailure:
    """A refusal of memory that ended a task.

    Attributes:
        component: the ledger's name of what ran out: `heap`, `managed`, `network`, `off-heap`.
        error: the exception's class name.
        message: what it said.
        task: the task that failed, e.g. `Sum (1/2)`.
        operator: the operator at work, "" where unknown.
        subtask: its index, None where unknown.
        requested_bytes: the request that did not fit, 0 where unknown.
        used_bytes: what the component held then.
        limit_bytes: what it may hold.
        freed_bytes: what came back when the failed call's local variables were dropped.
        frames: the last frames of the failed call, innermost last.
        option: the option that sets the limit.
    """

    component: str
    error: str
    message: str
    task: str = ""
    operator: str = ""
    subtask: int | None = None
    requested_bytes: int = 0
    used_bytes: int = 0
    limit_bytes: int = 0
    freed_bytes: int = 0
    frames: tuple[str, ...] = ()
    option: str = HEAP_OPTION

    @classmethod
    def of(
        cls, error: BaseException, *, task: str = "", operator: str = "", subtask: int | None = None
    ) -> MemoryFailure | None:
        """What an exception says of memory; None for exceptions that are not about memory.

        Args:
            error: what the task failed with; its causes are looked at too.
            task: the task's name.
            operator: the operator at work.
            subtask: its index.
        """
        seen: BaseException | None = error
        for _ in range(10):
            if seen is None:
                return None
            found = _describe(seen)
            if found is not None:
                return replace(found, task=task or found.task, operator=operator, subtask=subtask)
            seen = seen.__cause__ or seen.__context__
        return None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "frames": list(self.frames)}


def _describe(error: BaseException) -> MemoryFailure | None:
    name = type(error).__name__
    if isinstance(error, ManagedMemoryExhaustedError):
        return MemoryFailure(
            "managed",
            name,
            str(error),
            task=error.owner,
            requested_bytes=error.requested_bytes,
            used_bytes=error.total_bytes - error.available_bytes,
            limit_bytes=error.total_bytes,
            option=MANAGED_SIZE_KEY,
        )
    if isinstance(error, InsufficientNetworkBuffersError):
        size_bytes = error.buffer_size_bytes
        return MemoryFailure(
            "network",
            name,
            str(error),
            task=error.owner,
            requested_bytes=error.required_buffers * size_bytes,
            used_bytes=(error.total_buffers - error.available_buffers) * size_bytes,
            limit_bytes=error.total_buffers * size_bytes,
            option=NETWORK_MIN_KEY,
        )
    return _describe_off_heap(error) or _describe_heap(error)


def _describe_off_heap(error: BaseException) -> MemoryFailure | None:
    """NumPy's and Arrow's refusals, told by their modules: neither library is imported for it."""
    library = type(error).__module__.partition(".")[0]
    if not isinstance(error, MemoryError) or library not in ("numpy", "pyarrow"):
        return None
    requested_bytes = getattr(error, "_total_size", 0)  # NumPy's
    return MemoryFailure(
        "off-heap",
        type(error).__name__,
        str(error),
        requested_bytes=requested_bytes if isinstance(requested_bytes, int) else 0,
        option=OFF_HEAP_OPTION,
    )


def _describe_heap(error: BaseException) -> MemoryFailure | None:
    failure = getattr(error, "failure", None)
    if failure is not None and hasattr(failure, "limit_bytes"):  # a TaskHeapError: the guard has all numbers
        if OFF_HEAP_OPTION in failure.message:  # NumPy was refused: the guard's other numbers are those of the heap
            return MemoryFailure(
                "off-heap",
                failure.cause,
                failure.message,
                task=failure.task,
                requested_bytes=failure.request_bytes,
                freed_bytes=failure.freed_bytes,
                frames=tuple(failure.frames),
                option=OFF_HEAP_OPTION,
            )
        return MemoryFailure(
            "heap",
            failure.cause,
            failure.message,
            task=failure.task,
            requested_bytes=failure.request_bytes,
            used_bytes=failure.used_bytes,
            limit_bytes=failure.limit_bytes,
            freed_bytes=failure.freed_bytes,
            frames=tuple(failure.frames),
        )
    if isinstance(error, MemoryError):
        return MemoryFailure("heap", type(error).__name__, str(error) or "an allocation was refused")
    return None

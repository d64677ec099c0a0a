"""The heap guard: holds the CPython heap to framework heap + task heap.

One guard a process. `install_heap_guard` gives an *enforced* guard, which meters every byte of the heap inside the
allocator and stops the thread that passes the limit, or, where the extension or the interpreter does not allow that, a
*polled* one with the same interface, which reads the process's anonymous memory some fifty times a second.

The runtime's part: mark its threads with `exempt()` or `mark_system`, bracket user code with `enter(slot)`/`leave()`
(or `task(name)`), run it through `call` or hand what it raised to `contain`, and read `over_soft()` between batches.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from penstock.errors import InvariantError
from penstock.memory._heap_failure import (
    HeapFailure,
    HeapOverrun,
    TaskHeapError,
    describe_with,
    drop_frames,
)
from penstock.memory._heap_limits import HeapLimits, mebibytes

__all__ = [
    "EXIT_HEAP_EXHAUSTED",
    "EXIT_TASK_UNRESPONSIVE",
    "HeapGuard",
    "TaskHeapUsage",
    "current_heap_guard",
    "install_heap_guard",
]

EXIT_HEAP_EXHAUSTED = 84
"""Exit code of a process whose reserve was used up within one C call, where no task could be stopped."""

EXIT_TASK_UNRESPONSIVE = 85
"""Exit code of a process in which a task caught MemoryError, and every escalation of it, and stayed over the limit."""

_HANDLING_ATTEMPTS = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TaskHeapUsage:
    """What the code of one task took from the heap: a diagnostic, right to about ten percent.

    Attributes:
        task: its name.
        net_bytes: taken minus given back by its thread while in the task; negative where it freed what others took.
        peak_bytes: the most that was.
    """

    task: str
    net_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class HeapIncident:
    """The last time the limit was passed.

    Attributes:
        kind: "raised"; "refused" for a single request that was not granted; "array" for one of NumPy's that was not.
        slot: the task's.
        used_bytes: the heap then; NumPy's arrays for "array".
        request_bytes: the request that passed the limit.
        stack_bytes: the part of the heap that was Python's own stacks.
    """

    kind: str
    slot: int
    used_bytes: int
    request_bytes: int
    stack_bytes: int


class HeapGuard(ABC):
    """Owned by the process; every method may be called from any thread, `enter`/`leave` mark the calling one.

    Attributes:
        mode: "enforced" or "polled".
        reason: why it is only polled, "" when enforced.
        limits: what is held; None: nothing, the heap is only metered.
        remedy: what a user raises to get more heap: an option's key or a flag.
    """

    mode: Literal["enforced", "polled"]
    reason: str = ""

    def __init__(self, limits: HeapLimits | None, remedy: str) -> None:
        self.limits = limits
        self.remedy = remedy
        self._alarms: list[Callable[[HeapGuard], None]] = []
        self._report: Callable[[BaseException, str], str | None] | None = None
        self._closed = False

    # What is used. -----------------------------------------------------------------------------------------------

    @abstractmethod
    def used(self) -> int:
        """Bytes the heap holds now, the baseline included."""

    @abstractmethod
    def peak(self) -> int:
        """The most `used` was since installation or `reset_peak`."""

    @abstractmethod
    def reset_peak(self) -> None:
        """Starts the peak again from what is used now."""

    @property
    @abstractmethod
    def baseline_bytes(self) -> int:
        """What the process held when the guard was installed: interpreter, modules, libraries' data."""

    @abstractmethod
    def over_soft(self) -> bool:
        """Whether the soft limit is on. Cheap enough to be read at every batch boundary."""

    @abstractmethod
    def over_limit(self) -> bool:
        """Whether the heap has reached into its reserve."""

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """How often what happened: soft_crossings, limit_crossings, raised, overruns, refused, trims."""

    @abstractmethod
    def trim(self) -> bool:
        """Gives the C library's free blocks back to the system. Takes up to 0.5 ms a free MiB; no GIL is held."""

    def allow(self, delta_bytes: int) -> None:
        """Moves the limit: memory that lies on the heap but is accounted in another budget comes (or goes)."""
        held = self.limits
        if held is None:
            return
        self.limits = HeapLimits(
            held.limit_bytes + delta_bytes,
            held.reserve_bytes,
            held.soft_high_bytes + delta_bytes,
            held.soft_low_bytes + delta_bytes,
        )
        self._apply(self.limits)

    @abstractmethod
    def _apply(self, limits: HeapLimits) -> None:
        """Holds new limits from now on."""

    # Who uses it. ------------------------------------------------------------------------------------------------

    @abstractmethod
    def open_slot(self, task: str) -> int:
        """A slot for a task's figures; 0, the slot of everything unnamed, when all are taken."""

    @abstractmethod
    def close_slot(self, slot: int) -> None:
        """Gives a slot back."""

    @abstractmethod
    def usage(self, slot: int) -> TaskHeapUsage:
        """The figures of a slot's task."""

    @abstractmethod
    def enter(self, slot: int) -> None:
        """The calling thread runs user code of that slot's task from here on: it may be stopped. Does not nest."""

    @abstractmethod
    def leave(self) -> None:
        """The calling thread is back in the runtime's code.

        Raises:
            HeapLimitError: it was on its way; past this call nothing strikes the runtime's code.
        """

    @abstractmethod
    def region(self, slot: int, exempt: bool) -> AbstractContextManager[object]:
        """Marks the calling thread for a `with` statement and puts its marks back; slot -1 keeps the slot."""

    @abstractmethod
    def mark_system(self, system: bool) -> None:
        """Marks the calling thread as the runtime's own (or not): exempt but between `enter` and `leave`."""

    def exempt(self) -> AbstractContextManager[object]:
        """For the runtime's own work: may use the reserve, is never told to fail."""
        return self.region(-1, True)

    @contextlib.contextmanager
    def task(self, name: str) -> Iterator[int]:
        """Marks the calling thread as a task for the length of a `with` statement; gives its slot."""
        slot = self.open_slot(name)
        try:
            with self.region(slot, False):
                yield slot
        finally:
            self.close_slot(slot)

    # When it is too much. ----------------------------------------------------------------------------------------

    @abstractmethod
    def _begin_recovery(self) -> int:
        """Marks the thread exempt and withdraws an exception on its way; returns what `_end_recovery` takes."""

    @abstractmethod
    def _end_recovery(self, exemption: int) -> None:
        """The failure was answered."""

    @abstractmethod
    def _incident(self, any_thread: bool = False) -> HeapIncident | None:
        """The calling thread's last incident since it entered its task; else, if asked for, the process's last."""

    def _was_refused(self) -> bool:
        """CPython turns some refused requests into a SystemError.

        Clean-up code that fails to allocate as well clears the MemoryError (seen in collections.deque).
        """
        incident = self._incident()
        return incident is not None and incident.kind == "refused"

    def contain(self, error: BaseException, slot: int = 0) -> HeapFailure:
        """Answers a failure by the heap's limit: drops what the failed frames held, then tells what happened.

        For the runtime's handler of MemoryError and HeapOverrun. A further one may strike before the first statement
        here has marked the thread exempt, unless the thread already is: call this again then, with the first error.

        Args:
            error: what was caught. Its traceback is gone afterwards.
            slot: the task's.
        """
        exemption = self._begin_recovery()
        try:
            used_bytes = self.used()
            incident = self._incident()
            message = self._sentence(incident, incident.used_bytes if incident is not None else used_bytes, slot)
            report = self._write_report(error, message)
            frames = drop_frames(error)
            if self.over_soft():
                gc.collect()  # what the task built may hold on to itself in cycles
            self.trim()
            return self._failure(message, type(error).__name__, incident, frames, used_bytes, slot, report)
        finally:
            self._end_recovery(exemption)

    def call(self, slot: int, function: Callable[..., T], *arguments: Any) -> T:
        """Runs user code as the task of `slot`, to the end or to one clean failure.

        Raises:
            TaskHeapError: it passed the heap's limit. Its frames are dropped and free memory is back with the system.
        """
        error: BaseException | None = None
        with self.exempt():
            for attempt in itertools.count():
                try:
                    if error is None:
                        self.enter(slot)
                        try:
                            return function(*arguments)
                        finally:
                            self.leave()
                    failure = self.contain(error, slot)
                    break
                except (MemoryError, HeapOverrun, SystemError) as raised:
                    if attempt > _HANDLING_ATTEMPTS or (isinstance(raised, SystemError) and not self._was_refused()):
                        raise
                    error = error or raised
        raise TaskHeapError(failure)

    def report_with(self, write: Callable[[BaseException, str], str | None] | None) -> None:
        """Has `contain` call `write(error, message)` while the failed frames still hold what they built.

        It runs exempt, inside the reserve, so it is bounded in memory and time. What it returns is the report's path.
        """
        self._report = write

    def _write_report(self, error: BaseException, message: str) -> str:
        if self._report is None:
            return ""
        try:
            return self._report(error, message) or ""
        except Exception:
            # The failure itself is what matters; a report that needs more than the reserve is not written.
            _log_exception("The report of a heap failure was not written")
            return ""

    def on_alarm(self, callback: Callable[[HeapGuard], None]) -> None:
        """Has `callback` called each time the soft limit or the limit is passed, soon after, on a thread of the guard.

        The thread is exempt, and starts with the first alarm. Exceptions of a callback are logged.
        """
        self._alarms.append(callback)
        if len(self._alarms) == 1:
            self._watch()

    @abstractmethod
    def _watch(self) -> None:
        """Sees to it that `_ring_alarms` is called when a limit is passed."""

    def _ring_alarms(self) -> None:
        for callback in tuple(self._alarms):
            try:
                callback(self)
            except Exception:
                _log_exception("An alarm of the heap guard failed")

    @abstractmethod
    def after_fork(self) -> None:
        """In the child of a fork: the guard's threads did not come along; the heap, and so the meter, did."""

    @abstractmethod
    def close(self) -> None:
        """Takes the guard out; the heap is neither metered nor limited afterwards. Closing twice does nothing."""

    # What is said. -----------------------------------------------------------------------------------------------

    def describe_incident(self) -> str:
        """The last incident, of the calling thread if it had one: all numbers, and the option to change."""
        incident = self._incident(any_thread=True)
        return self._sentence(incident, incident.used_bytes if incident is not None else self.used())

    def _sentence(self, incident: HeapIncident | None, used_bytes: int, slot: int = 0) -> str:
        slot = slot or (incident.slot if incident is not None else 0)
        task = self.usage(slot).task if slot else ""
        where = f" in task {task!r}" if task else ""
        if incident is None:
            return (
                f"MemoryError was raised{where}, but not by the heap's limit: the heap held {mebibytes(used_bytes)}"
                f"{self._limits_text()}. The program raised it itself, or a library or the process met its own limit."
            )
        if incident.kind == "array":
            return (
                f"The off-heap budget was passed{where}: NumPy's arrays held {mebibytes(used_bytes)}, a request of "
                f"{mebibytes(incident.request_bytes)} more was refused. Keep smaller arrays, or raise "
                "taskmanager.memory.task.off-heap.size."
            )
        text = f"The heap limit was passed{where}: the heap held {mebibytes(used_bytes)}"
        if incident.kind == "refused":
            text += f", a request of {mebibytes(incident.request_bytes)} more was refused"
        elif self.limits is not None and used_bytes < self.limits.line_bytes:
            text += (
                f", {mebibytes(incident.stack_bytes)} of it the stack of a deep recursion, which counts three times "
                "because its traceback takes twice as much again"
            )
        return f"{text}{self._limits_text()}. Keep less in memory, or raise {self.remedy}."

    def _limits_text(self) -> str:
        limits = self.limits
        if limits is None:
            return ""
        return (
            f"; tasks may use it up to {mebibytes(limits.line_bytes)} (limit {mebibytes(limits.limit_bytes)}, of which "
            f"{mebibytes(limits.reserve_bytes)} are the reserve for handling failures)"
        )

    def _failure(
        self,
        message: str,
        cause: str,
        incident: HeapIncident | None,
        frames: tuple[str, ...],
        used_bytes: int,
        slot: int,
        report: str,
    ) -> HeapFailure:
        limits = self.limits
        slot = slot or (incident.slot if incident is not None else 0)
        usage = self.usage(slot) if slot else None
        return HeapFailure(
            task=usage.task if usage is not None else "",
            cause=cause,
            message=message,
            frames=frames,
            used_bytes=used_bytes,
            line_bytes=limits.line_bytes if limits is not None else 0,
            limit_bytes=limits.limit_bytes if limits is not None else 0,
            request_bytes=incident.request_bytes if incident is not None else 0,
            task_bytes=usage.peak_bytes if usage is not None else 0,
            freed_bytes=max(0, used_bytes - self.used()),
            report=report,
        )


def _log_exception(message: str) -> None:
    import logging

    logging.getLogger("penstock.memory").exception(message)


_current: HeapGuard | None = None
_fork_hook_set = False


def current_heap_guard() -> HeapGuard | None:
    """The guard of this process, None where none is installed."""
    return _current


def install_heap_guard(
    limits: HeapLimits | None,
    *,
    remedy: str = "taskmanager.memory.task.heap.size",
    report_directory: str = "",
    grace_s: float = 10.0,
    malloc_arenas: int | None = 1,
    polled: bool = False,
) -> HeapGuard:
    """Installs the guard of this process. Its `mode` and `reason` say how the limit is held.

    Args:
        limits: what to hold; None: meter only.
        remedy: what the messages tell users to raise.
        report_directory: where a process that has to end at its limit leaves `heap-end-<pid>.json`; "" for nowhere.
        grace_s: how long the heap may stay over its limit after a task was told to fail, before the process ends.
        malloc_arenas: how many arenas the C library may have from here on, for its threads; None leaves that alone.
            What a second one keeps of freed blocks cannot be given back.
        polled: True takes the polled guard even where the heap can be metered.

    Raises:
        InvariantError: there is one already.
        ConfigurationError: the process holds more than the limit already.
    """
    global _current, _fork_hook_set
    if _current is not None:
        raise InvariantError("the heap guard is installed already")
    from penstock.memory._heap_guard_polled import PolledHeapGuard

    guard: HeapGuard | None = None
    reason = "it was asked for"
    if not polled:
        from penstock.memory._heap_guard_enforced import open_enforced_guard

        guard, reason = open_enforced_guard(limits, remedy, report_directory, grace_s, malloc_arenas)
    if guard is None:
        guard = PolledHeapGuard(limits, remedy, reason, grace_s)
    _current = guard
    describe_with(guard.describe_incident)
    if not _fork_hook_set:
        os.register_at_fork(after_in_child=_after_fork)
        _fork_hook_set = True
    return guard


def _forget(guard: HeapGuard) -> None:
    global _current
    if _current is guard:
        _current = None
        describe_with(None)


def _after_fork() -> None:
    guard = _current
    if guard is not None:
        guard.after_fork()

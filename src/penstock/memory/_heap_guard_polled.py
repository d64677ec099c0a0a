"""The polled heap guard: for interpreters whose heap cannot be metered, and installs without the extension.

A thread reads the process's anonymous memory (RssAnon: 2 us) every 20 ms and raises `HeapLimitError` in the task that
runs while it is over the line. What one C call takes between two looks is not seen in time: the process limit backs
this up.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal

from penstock.memory._heap_failure import HeapLimitError, HeapOverrun
from penstock.memory._heap_guard import (
    EXIT_HEAP_EXHAUSTED,
    EXIT_TASK_UNRESPONSIVE,
    HeapGuard,
    HeapIncident,
    TaskHeapUsage,
    _forget,
)
from penstock.memory._heap_limits import HeapLimits, mebibytes

__all__ = ["PolledHeapGuard"]

_INTERVAL_S = 0.02
_LIMIT_STRIKES = 3
_PAGE_BYTES = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096


class _Marks:
    """What one thread does: owned by that thread, read by the poller."""

    __slots__ = ("exempt", "home_exempt", "incident", "slot", "strikes")

    def __init__(self) -> None:
        self.slot = 0
        self.exempt = False
        self.home_exempt = False
        self.strikes = 0
        self.incident: HeapIncident | None = None


class PolledHeapGuard(HeapGuard):
    """Reads RssAnon at an interval. Native memory of libraries counts as heap here: it cannot be told apart."""

    mode: Literal["enforced", "polled"] = "polled"

    def __init__(self, limits: HeapLimits | None, remedy: str, reason: str, grace_s: float) -> None:
        super().__init__(limits, remedy)
        self.reason = reason
        self._grace_s = grace_s
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._baseline = self._peak = self.used()
        self._counts = dict.fromkeys(("soft_crossings", "limit_crossings", "raised", "overruns", "refused", "trims"), 0)
        self._soft = self._hard = False
        self._marks: dict[int, _Marks] = {}
        self._tasks: dict[int, str] = {0: ""}
        self._unanswered_since: float | None = None
        self._recovering = 0
        self._stop = threading.Event()
        self._poller: threading.Thread | None = None
        self._last_incident: HeapIncident | None = None
        self._start()

    # What is used. -----------------------------------------------------------------------------------------------

    def _apply(self, limits: HeapLimits) -> None:
        """See `HeapGuard._apply`: the poller reads them each time."""

    def used(self) -> int:
        """RssAnon; 2 us."""
        _, resident, shared, *_ = os.pread(self._statm, 128, 0).split()
        return (int(resident) - int(shared)) * _PAGE_BYTES

    def peak(self) -> int:
        """The highest value that was read."""
        return self._peak

    def reset_peak(self) -> None:
        """See `HeapGuard.reset_peak`."""
        self._peak = self.used()

    @property
    def baseline_bytes(self) -> int:
        """See `HeapGuard.baseline_bytes`."""
        return self._baseline

    def over_soft(self) -> bool:
        """As of the last look, at most 20 ms ago."""
        return self._soft

    def over_limit(self) -> bool:
        """As of the last look, at most 20 ms ago."""
        return self._hard

    def counters(self) -> dict[str, int]:
        """See `HeapGuard.counters`."""
        return dict(self._counts)

    def trim(self) -> bool:
        """See `HeapGuard.trim`."""
        import ctypes

        try:
            return bool(ctypes.CDLL(None).malloc_trim(0))
        except AttributeError:
            return False  # not glibc

    # Who uses it. ------------------------------------------------------------------------------------------------

    def open_slot(self, task: str) -> int:
        """See `HeapGuard.open_slot`."""
        slot = 1
        while slot in self._tasks:
            slot += 1
        self._tasks[slot] = task
        return slot

    def close_slot(self, slot: int) -> None:
        """See `HeapGuard.close_slot`."""
        if slot:
            self._tasks.pop(slot, None)

    def usage(self, slot: int) -> TaskHeapUsage:
        """The name alone: tasks are not metered here."""
        return TaskHeapUsage(self._tasks.get(slot, ""), 0, 0)

    def _own(self) -> _Marks:
        ident = threading.get_ident()
        marks = self._marks.get(ident)
        if marks is None:
            marks = self._marks[ident] = _Marks()
        return marks

    def enter(self, slot: int) -> None:
        """See `HeapGuard.enter`."""
        marks = self._own()
        marks.slot = slot
        marks.exempt = False
        marks.incident = None

    def leave(self) -> None:
        """See `HeapGuard.leave`."""
        marks = self._own()
        marks.slot = 0
        marks.exempt = marks.home_exempt

    def region(self, slot: int, exempt: bool) -> AbstractContextManager[object]:
        """See `HeapGuard.region`."""
        return _Region(self, slot, exempt)

    def mark_system(self, system: bool) -> None:
        """See `HeapGuard.mark_system`."""
        marks = self._own()
        marks.exempt = marks.home_exempt = system

    # When it is too much. ----------------------------------------------------------------------------------------

    def _begin_recovery(self) -> int:
        marks = self._own()
        exempt, marks.exempt = marks.exempt, True
        self._recovering += 1
        return int(exempt)

    def _end_recovery(self, exemption: int) -> None:
        marks = self._own()
        marks.strikes = 0
        marks.exempt = bool(exemption)
        self._recovering -= 1
        self._unanswered_since = None

    def _incident(self, any_thread: bool = False) -> HeapIncident | None:
        return self._own().incident or (self._last_incident if any_thread else None)

    def _start(self) -> None:
        if self.limits is None and not self._alarms:
            return
        self._stop.clear()
        self._poller = threading.Thread(target=self._poll, name="penstock heap guard", daemon=True)
        self._poller.start()

    def _watch(self) -> None:
        if self._poller is None:
            self._start()

    def _poll(self) -> None:
        self.mark_system(True)
        while not self._stop.wait(_INTERVAL_S):
            used = self.used()
            self._peak = max(self._peak, used)
            if self.limits is not None:
                self._judge(used, self.limits)

    def _judge(self, used: int, limits: HeapLimits) -> None:
        soft = used > limits.soft_high_bytes or (self._soft and used >= limits.soft_low_bytes)
        hard = used > limits.line_bytes
        crossed = (soft and not self._soft, hard and not self._hard)
        self._soft, self._hard = soft, hard
        self._counts["soft_crossings"] += crossed[0]
        self._counts["limit_crossings"] += crossed[1]
        if any(crossed):
            self._ring_alarms()
        if not hard:
            self._unanswered_since = None
            for marks in tuple(self._marks.values()):
                marks.strikes = 0
        elif not self._recovering:
            self._stop_a_task(used, limits)

    def _stop_a_task(self, used: int, limits: HeapLimits) -> None:
        now = time.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif now - self._unanswered_since > self._grace_s:
            self._end(EXIT_HEAP_EXHAUSTED if used > limits.limit_bytes else EXIT_TASK_UNRESPONSIVE, used)
        victim = self._victim()
        if victim is None:
            return
        ident, marks = victim
        marks.strikes += 1
        # A task in one long C call gets the exception when it comes back; telling it again would not help.
        if marks.strikes > 1 and marks.strikes % 10:
            return
        marks.incident = self._last_incident = HeapIncident("raised", marks.slot, used, 0, 0)
        error: type[BaseException] = HeapLimitError
        if marks.strikes > _LIMIT_STRIKES * 10:
            error = HeapOverrun
            self._counts["overruns"] += 1
        self._counts["raised"] += 1
        import ctypes

        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(error))

    def _victim(self) -> tuple[int, _Marks] | None:
        """A thread that runs user code: one inside a task before one that nobody marked."""
        alive = {thread.ident for thread in threading.enumerate()}
        for ident in tuple(self._marks):
            if ident not in alive:
                self._marks.pop(ident, None)
        running = [(ident, marks) for ident, marks in self._marks.items() if not marks.exempt]
        for found in running:
            if found[1].slot:
                return found
        if running:
            return running[0]
        main = threading.main_thread().ident
        if main is not None and main not in self._marks:
            return main, self._marks.setdefault(main, _Marks())
        return None

    def _end(self, code: int, used: int) -> None:
        limits = self.limits
        size = mebibytes(limits.limit_bytes) if limits is not None else "?"
        sys.stderr.write(
            f"\npenstock heap guard: process {os.getpid()} ends with exit code {code}: it holds {mebibytes(used)}, "
            f"its heap limit is {size}, and it did not give way to MemoryError. Raise {self.remedy}.\n"
        )
        sys.stderr.flush()
        os._exit(code)

    def after_fork(self) -> None:
        """See `HeapGuard.after_fork`."""
        os.close(self._statm)
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._recovering = 0
        self._unanswered_since = None
        self._start()

    def close(self) -> None:
        """See `HeapGuard.close`."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        if self._poller is not None and self._poller is not threading.current_thread():
            self._poller.join(5)
        os.close(self._statm)
        _forget(self)


class _Region:
    """Marks of one thread, set for the length of a `with` statement."""

    def __init__(self, guard: PolledHeapGuard, slot: int, exempt: bool) -> None:
        self._guard = guard
        self._slot = slot
        self._exempt = exempt
        self._saved = (0, False, False)

    def __enter__(self) -> _Region:
        marks = self._guard._own()
        self._saved = (marks.slot, marks.exempt, marks.home_exempt)
        if self._slot >= 0:
            marks.slot = self._slot
        marks.exempt = marks.home_exempt = self._exempt
        if not self._exempt:
            marks.incident = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        marks = self._guard._own()
        marks.slot, marks.exempt, marks.home_exempt = self._saved

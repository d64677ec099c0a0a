"""The heap guard of a program that knows nothing of it: what `penstock guard` puts into each of its interpreters.

Every thread may be told to fail; a failure nobody catches is printed out of the reserve; garbage is collected when the
heap nears its limit; and, with a report folder, the heap is described where and when the limit is passed.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError
from penstock.memory._heap_failure import HeapLimitError, HeapOverrun, tell_when_raised
from penstock.memory._heap_guard import HeapGuard, install_heap_guard
from penstock.memory._heap_limits import HeapLimits

if TYPE_CHECKING:
    from penstock.memory._oom_report import OomReport

__all__ = ["SITE_DIRECTORY", "VARIABLE", "GuardSettings", "start"]

VARIABLE = "PENSTOCK_GUARD"
"""The environment variable with the settings, inherited by child interpreters."""

SITE_DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_guard_site")
"""The folder whose `sitecustomize` starts the guard."""

REPORTS_MAX = 5
REPORT_INTERVAL_S = 10.0
REPORT_TIMEOUT_S = 3.0
_FRAMES_SHOWN = 6
_USAGE_EXIT_CODE = 2


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What a guarded program is held to.

    Attributes:
        heap_bytes: the heap's limit, the reserve included.
        reserve_bytes: the reserve; None for the default.
        remedy: what the messages tell users to raise.
        report_directory: where reports go, "" for nowhere.
        grace_s: how long the heap may stay over its limit.
    """

    heap_bytes: int
    reserve_bytes: int | None = None
    remedy: str = "--heap of penstock guard"
    report_directory: str = ""
    grace_s: float = 30.0

    def to_text(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))


def start(settings_text: str) -> None:
    """Puts the guard in force in this interpreter, before the program starts.

    Ends the process with code 2 if the limit cannot hold even the interpreter: SystemExit is a fatal error this early.
    """
    settings = GuardSettings(**json.loads(settings_text))
    try:
        guard = install_heap_guard(
            HeapLimits.of(settings.heap_bytes, reserve_bytes=settings.reserve_bytes),
            remedy=settings.remedy,
            report_directory=settings.report_directory,
            grace_s=settings.grace_s,
        )
    except ConfigurationError as error:
        sys.stderr.write(f"penstock guard: {error}\n")
        sys.stderr.flush()
        os._exit(_USAGE_EXIT_CODE)
    if guard.mode == "polled":
        sys.stderr.write(f"penstock guard: the heap limit is held by polling alone: {guard.reason}.\n")
    witness = _Witness(guard, settings)
    guard.on_alarm(_Collector())
    guard.on_alarm(witness.look_for_refusals)
    if settings.report_directory:
        _prepare_reports()
        tell_when_raised(witness.see)
    sys.excepthook = _telling(witness, sys.excepthook)
    threading.excepthook = _telling_of_threads(witness, threading.excepthook)


class _Collector:
    """Collects garbage and gives free memory back when the soft limit is passed, but not all the time."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, guard: HeapGuard) -> None:
        started_s = time.monotonic()
        if started_s < self._next_s or not guard.over_soft():
            return
        gc.collect()
        guard.trim()
        ended_s = time.monotonic()
        self._next_s = ended_s + 10 * (ended_s - started_s)


class _Witness:
    """Writes reports: few, and not in a row. Owned by the process; used by whichever thread fails."""

    def __init__(self, guard: HeapGuard, settings: GuardSettings) -> None:
        self.guard = guard
        self._directory = settings.report_directory
        self._remedy = settings.remedy
        self._written = 0
        self._next_s = 0.0
        self._lock = threading.Lock()
        self._refused = 0

    def see(self, error: BaseException) -> None:
        """The limit was passed: runs where the exception is raised, before any handler."""
        with self.guard.exempt():
            self._report(error)

    def look_for_refusals(self, guard: HeapGuard) -> None:
        """A refused request raises CPython's plain MemoryError, which nobody here sees if the program catches it."""
        refused = guard.counters()["refused"]
        if refused != self._refused:
            self._refused = refused
            sys.stderr.write(f"penstock guard: process {os.getpid()}: {guard.describe_incident()}\n")
            self._report(MemoryError())

    def uncaught(self, error: BaseException | None) -> None:
        """A MemoryError that nobody caught; the caller is exempt."""
        if isinstance(error, MemoryError) and not isinstance(error, HeapLimitError):
            sys.stderr.write(f"penstock guard: process {os.getpid()}: {self.guard.describe_incident()}\n")
        if error is not None:
            # Now with the traceback, and so with what the failed functions hold.
            self._next_s = 0.0
            self._report(error)

    def _report(self, error: BaseException) -> None:
        now_s = time.monotonic()
        if not self._directory or self._written >= REPORTS_MAX or now_s < self._next_s:
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread, or this one's own report
        try:
            self._next_s = now_s + REPORT_INTERVAL_S
            self._written += 1
            report = self._write(error)
            # For the message of the exception, and so for the log of whatever catches it.
            error.report = report.text_path or report.json_path  # type: ignore[attr-defined] # see HeapLimitError
            sys.stderr.write(f"penstock guard: process {os.getpid()}: report in {report.json_path}\n")
        except Exception as problem:  # a report that cannot be written must not replace the failure
            sys.stderr.write(f"penstock guard: process {os.getpid()}: no report: {problem!r}\n")
        finally:
            self._lock.release()

    def _write(self, error: BaseException) -> OomReport:
        from penstock.memory._memory_failure import MemoryFailure
        from penstock.memory._oom_report import ReportContext, witness_of_failure, write_oom_report

        limits = self.guard.limits
        failure = MemoryFailure(
            "heap",
            type(error).__name__,
            self.guard.describe_incident(),
            task=f"thread {threading.current_thread().name}",
            used_bytes=self.guard.used(),
            limit_bytes=limits.limit_bytes if limits is not None else 0,
            frames=_frames_of(error),
            option=self._remedy,
        )
        context = ReportContext(
            job=" ".join(getattr(sys, "argv", [])[:3]),
            role="guard",
            witness=witness_of_failure(error, timeout_s=REPORT_TIMEOUT_S / 3) if error.__traceback__ else None,
        )
        return write_oom_report(
            self._directory,
            failure,
            None,
            context,
            timeout_s=REPORT_TIMEOUT_S,
            allowance_bytes=limits.reserve_bytes // 4 if limits is not None else 2 << 20,
        )


def _prepare_reports() -> None:
    """Imports what a report needs while there is memory, and no thread holds an import's lock."""
    from penstock.memory import _memory_failure, _oom_report  # noqa: F401


def _frames_of(error: BaseException) -> tuple[str, ...]:
    """The last frames, innermost last: of the traceback, or of the thread where there is none yet."""
    entry = error.__traceback__
    last: deque[str] = deque(maxlen=_FRAMES_SHOWN)
    if entry is not None:
        while entry is not None:
            code = entry.tb_frame.f_code
            last.append(f"{code.co_filename}:{entry.tb_lineno} in {code.co_name}")
            entry = entry.tb_next
        return tuple(last)
    own = os.path.dirname(os.path.abspath(__file__)) + os.sep
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(last) < _FRAMES_SHOWN:
        code = frame.f_code
        if not code.co_filename.startswith(own):
            last.appendleft(f"{code.co_filename}:{frame.f_lineno} in {code.co_name}")
        frame = frame.f_back
    return tuple(last)


ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


def _telling(witness: _Witness, previous: ExceptHook) -> ExceptHook:
    def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, (MemoryError, HeapOverrun)):
            previous(kind, error, traceback)
            return
        with witness.guard.exempt():
            witness.uncaught(error)
            previous(kind, error, traceback)

    return excepthook


def _telling_of_threads(witness: _Witness, previous: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def excepthook(arguments: Any) -> None:
        if not issubclass(arguments.exc_type, (MemoryError, HeapOverrun)):
            previous(arguments)
            return
        with witness.guard.exempt():
            witness.uncaught(arguments.exc_value)
            previous(arguments)

    return excepthook

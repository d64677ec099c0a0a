"""Runs a job in a child process under the process's limits, and says in words what ended it.

A process that the kernel kills cannot report; whoever started it can. The supervisor holds no memory of the job and
stays
small: it forks, waits, and reads what the kernel and the heap guard left behind.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from penstock.memory._memory_cgroup import MemoryCgroup
from penstock.memory._process_end import EndCause, ProcessEnd, end_cause, signal_name
from penstock.memory._process_limit import describe_backstop

__all__ = ["EndCause", "ProcessEnd", "ProcessLimits", "Supervisor"]

EXIT_CANNOT_EXECUTE = 127
_PR_SET_PDEATHSIG = 1

Child = Sequence[str] | Callable[[], int | None]


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a child process may have.

    Attributes:
        process_bytes: total process memory of the plan; None where it has no total.
        data_limit_bytes: RLIMIT_DATA, see `data_limit_bytes()`; None sets none.
        cgroup_bytes: the limit of a control group of its own, where one can be made; None makes none.
        environment: variables to add to the child's.
        option: the option that sets the process's size, for the report.
    """

    process_bytes: int | None = None
    data_limit_bytes: int | None = None
    cgroup_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    option: str = "taskmanager.memory.process.size"


class Supervisor:
    """Runs one child process. Owned by the thread that made it, the main thread where signals are to be passed on.

    Attributes:
        backstop: the sentence that says what holds the child as a whole; set by `start`.
        process_id: the child, once started.
    """

    def __init__(self, limits: ProcessLimits, report_directory: str | None = None) -> None:
        """Prepares a run.

        Args:
            limits: what the child may have.
            report_directory: where the child leaves its reports (`heap-end-PID.json`, `oom-….json`), to name them.
        """
        self._limits = limits
        self._report_directory = report_directory
        self._cgroup: MemoryCgroup | None = None
        self._killed_before = 0
        self._name = ""
        self.backstop = ""
        self.process_id = 0

    def run(self, child: Child) -> ProcessEnd:
        """Starts a command or callable, passes SIGTERM, SIGHUP and SIGINT on to it, and waits for its end.

        Args:
            child: the words of a command, or a callable whose result is the exit code (None is 0).
        """
        with self._signals_passed_on() as early:
            self.start(child)
            for number in early:
                self.signal(number)
            return self.wait()

    def start(self, child: Child) -> int:
        """Starts the child and returns its process id. Its memory is limited before its first instruction."""
        self._name = child.__name__ if callable(child) else " ".join(child)
        if self._limits.cgroup_bytes is not None:
            self._cgroup = MemoryCgroup.create(f"penstock-{os.getpid()}-{id(self):x}", self._limits.cgroup_bytes)
        group = self._cgroup
        self.backstop = describe_backstop(
            self._limits.data_limit_bytes, str(group.path) if group else None, group.limit_bytes if group else None
        )
        self._killed_before = system_oom_kills()
        sys.stdout.flush()
        sys.stderr.flush()
        supervisor_id = os.getpid()
        process_id = os.fork()
        if process_id == 0:
            self._become(child, supervisor_id)
        self.process_id = process_id
        return process_id

    def wait(self) -> ProcessEnd:
        """Waits for the child's end, removes its control group, and says what ended it."""
        _, status, usage = os.wait4(self.process_id, 0)
        exit_code = os.waitstatus_to_exitcode(status)
        limits, group = self._limits, self._cgroup
        try:
            peak_rss_bytes = usage.ru_maxrss * 1024
            return ProcessEnd(
                name=self._name,
                process_id=self.process_id,
                cause=end_cause(
                    exit_code,
                    peak_rss_bytes,
                    (limits.data_limit_bytes, limits.process_bytes, group.limit_bytes if group else None),
                    cgroup_kills=group.oom_kills() if group else 0,
                    system_kills=system_oom_kills() - self._killed_before,
                ),
                exit_code=exit_code if exit_code >= 0 else 128 - exit_code,
                signal_name=signal_name(exit_code),
                peak_rss_bytes=peak_rss_bytes,
                process_bytes=limits.process_bytes,
                data_limit_bytes=limits.data_limit_bytes,
                cgroup_bytes=group.limit_bytes if group else None,
                cgroup_peak_bytes=group.peak_bytes() if group else None,
                option=limits.option,
                reports=self._reports(),
            )
        finally:
            if group is not None:
                group.close()
            self._cgroup = None

    def signal(self, number: int) -> None:
        """Sends the child a signal; nothing when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process_id, number)

    def _reports(self) -> tuple[str, ...]:
        if self._report_directory is None:
            return ()
        directory = Path(self._report_directory)
        found = [directory / f"heap-end-{self.process_id}.json", *directory.glob(f"oom-{self.process_id}-*.json")]
        return tuple(str(path) for path in found if path.is_file())

    @contextlib.contextmanager
    def _signals_passed_on(self) -> Iterator[list[int]]:
        """Yields the signals that came before there was a child to pass them to."""
        early: list[int] = []
        if threading.current_thread() is not threading.main_thread():
            yield early
            return

        def pass_on(number: int, _: FrameType | None) -> None:
            # Ctrl-C reaches the whole foreground group: the child has it already.
            if not self.process_id:
                early.append(number)
            elif number != signal.SIGINT or not _in_foreground():
                self.signal(number)

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, pass_on) for number in numbers]
        try:
            yield early
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _become(self, child: Child, supervisor_id: int) -> NoReturn:
        """In the child: takes on the limits, then the work. Never returns into the supervisor's stack."""
        code = 1
        try:
            self._take_on_limits(supervisor_id)
            os.environ.update(self._limits.environment)
            if callable(child):
                code = child() or 0
            else:
                code = _execute(child)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:  # whatever it is, it must not travel up a forked stack
            traceback.print_exc()
            code = 1
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _take_on_limits(self, supervisor_id: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
        _die_with(supervisor_id)
        if self._cgroup is not None:
            self._cgroup.add(os.getpid())
        if self._limits.data_limit_bytes is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            wanted = self._limits.data_limit_bytes
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def system_oom_kills() -> int:
    """Processes of the whole system that the kernel killed for lack of memory since it started."""
    with contextlib.suppress(OSError, ValueError), Path("/proc/vmstat").open() as lines:
        for line in lines:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _execute(command: Sequence[str]) -> int:
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
    return EXIT_CANNOT_EXECUTE


def _die_with(supervisor_id: int) -> None:
    """Asks the kernel for SIGTERM when the supervisor dies, so that no job outlives a supervisor that was killed."""
    with contextlib.suppress(OSError, AttributeError, ImportError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != supervisor_id:
        os._exit(128 + signal.SIGTERM)


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)

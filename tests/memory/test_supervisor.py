from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from penstock.memory._container_limit import find_memory_group
from penstock.memory._process_end import EndCause, end_cause, signal_name
from penstock.memory._supervisor import ProcessLimits, Supervisor

MIB = 1 << 20


def python(source: str) -> list[str]:
    return [sys.executable, "-S", "-c", source]


def test_a_command_that_finishes() -> None:
    end = Supervisor(ProcessLimits()).run(python("pass"))
    assert (end.cause, end.exit_code, end.signal_name) == (EndCause.FINISHED, 0, None)
    assert end.peak_rss_bytes > MIB
    assert not end.cause.is_memory


def test_a_callable_that_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise RuntimeError("no such table")

    end = Supervisor(ProcessLimits()).run(work)
    assert (end.cause, end.exit_code) == (EndCause.FAILED, 1)
    assert "no such table" in capfd.readouterr().err


def test_exit_codes_of_callables() -> None:
    assert Supervisor(ProcessLimits()).run(lambda: 7).exit_code == 7

    def leave() -> None:
        sys.exit(9)

    assert Supervisor(ProcessLimits()).run(leave).exit_code == 9


def test_a_command_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert Supervisor(ProcessLimits()).run(["penstock-no-such-command"]).exit_code == 127
    assert "penstock-no-such-command" in capfd.readouterr().err


def test_the_data_limit_holds_and_python_survives_it() -> None:
    source = "import sys\ntry:\n  bytearray(400 << 20)\nexcept MemoryError:\n  sys.exit(5)"
    supervisor = Supervisor(ProcessLimits(process_bytes=200 * MIB, data_limit_bytes=250 * MIB))
    assert supervisor.run(python(source)).exit_code == 5
    assert "RLIMIT_DATA" in supervisor.backstop


def test_the_environment_reaches_the_child() -> None:
    limits = ProcessLimits(environment={"PENSTOCK_PROBE": "11"})
    assert Supervisor(limits).run(python("import os,sys; sys.exit(int(os.environ['PENSTOCK_PROBE']))")).exit_code == 11


def test_a_group_that_kills_is_reported_as_such() -> None:
    limits = ProcessLimits(process_bytes=64 * MIB, cgroup_bytes=64 * MIB)
    supervisor = Supervisor(limits)
    source = "x = []\nfor _ in range(300): x.append(b'x' * (1 << 20))"
    supervisor.start(python(source))
    if "control group /" not in supervisor.backstop:
        supervisor.wait()
        pytest.skip("no memory control group can be made here")
    end = supervisor.wait()
    assert (end.cause, end.exit_code, end.signal_name) == (EndCause.CGROUP_OOM, 137, "SIGKILL")
    assert end.cause.is_memory
    assert end.cgroup_peak_bytes is not None
    assert end.cgroup_peak_bytes <= 66 * MIB
    assert "control group" in end.text()
    assert "taskmanager.memory.task.off-heap.size" in end.text()
    assert json.loads(json.dumps(end.as_dict()))["cause"] == "cgroup-oom"
    located = find_memory_group()
    assert located is not None
    assert not list(located.path.glob(f"penstock-{os.getpid()}-*"))


def test_signals_are_passed_on() -> None:
    supervisor = Supervisor(ProcessLimits())

    def work() -> None:
        os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()

    end = supervisor.run(work)
    assert (end.cause, end.exit_code, end.signal_name) == (EndCause.SIGNALLED, 143, "SIGTERM")


def test_reports_of_the_child_are_found(tmp_path: Path) -> None:
    def work() -> int:
        (tmp_path / f"heap-end-{os.getpid()}.json").write_text("{}")
        (tmp_path / f"oom-{os.getpid()}-1.json").write_text("{}")
        return 84

    end = Supervisor(ProcessLimits(), str(tmp_path)).run(work)
    assert end.cause is EndCause.HEAP_EXHAUSTED
    assert len(end.reports) == 2
    assert "penstock diagnose" in end.text()


def test_the_child_does_not_outlive_a_killed_supervisor() -> None:
    read, write = os.pipe()

    def supervise() -> None:
        Supervisor(ProcessLimits()).start(python("import time; time.sleep(600)"))
        os.kill(os.getpid(), signal.SIGKILL)

    def outer() -> None:
        os.close(read)
        Supervisor(ProcessLimits()).run(supervise)

    outer_process = Supervisor(ProcessLimits())
    outer_process.start(outer)
    os.close(write)
    assert outer_process.wait().exit_code == 0
    # Every descendant holds the pipe's other end: the end of file means that none is left.
    assert os.read(read, 1) == b""
    os.close(read)


@pytest.mark.parametrize(
    ("exit_code", "peak", "kills", "expected"),
    [
        (0, 10, {}, EndCause.FINISHED),
        (1, 10, {}, EndCause.FAILED),
        (84, 10, {}, EndCause.HEAP_EXHAUSTED),
        (85, 10, {}, EndCause.TASK_UNRESPONSIVE),
        (-9, 10, {"cgroup_kills": 1}, EndCause.CGROUP_OOM),
        (1, 10, {"cgroup_kills": 1}, EndCause.CGROUP_OOM),
        (-9, 10, {"system_kills": 2}, EndCause.SYSTEM_OOM),
        (-9, 10, {}, EndCause.SIGNALLED),
        (-6, 90, {}, EndCause.ABORTED_AT_LIMIT),
        (-11, 90, {}, EndCause.ABORTED_AT_LIMIT),
        (-6, 10, {}, EndCause.SIGNALLED),
    ],
)
def test_causes(exit_code: int, peak: int, kills: dict[str, int], expected: EndCause) -> None:
    assert end_cause(exit_code, peak, (100, None), **kills) is expected


def test_signals_without_a_name() -> None:
    assert signal_name(-9) == "SIGKILL"
    assert signal_name(-63) == "signal 63"
    assert signal_name(3) is None

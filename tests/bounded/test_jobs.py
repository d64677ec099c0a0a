"""Jobs in child processes under a memory budget: they finish, or one task fails with a report; nobody kills the process.

Peaks are read from outside: what the kernel says of the child when it has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from penstock.memory._memory_cgroup import MemoryCgroup

PROGRAM = str(Path(__file__).with_name("job_programs.py"))
MIB = 1 << 20
TASK_HEAP_MIB = 128
FRAMEWORK_HEAP_MIB = 128
HEAP_MIB = TASK_HEAP_MIB + FRAMEWORK_HEAP_MIB
GROUP_BYTES = 1 << 30
OPTIONS = ["-D", f"taskmanager.memory.task.heap.size={TASK_HEAP_MIB}m", "--target", "local"]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str
    peak_rss_mib: float


def run(tmp_path: Path, *arguments: str, options: tuple[str, ...] = ()) -> Outcome:
    """Runs a program in a control group, where one can be made; nothing but Penstock may end it."""
    command = [sys.executable, "-m", "penstock.cli.main", "run", "--report", str(tmp_path), *OPTIONS, *options]
    group = MemoryCgroup.create(f"penstock-bounded-{os.getpid()}-{tmp_path.name}", GROUP_BYTES)
    with group or nullcontext(), (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        join = None if group is None else partial(group.add, 0)  # 0: whoever writes it
        process = subprocess.Popen([*command, PROGRAM, *arguments], stdout=out, stderr=err, preexec_fn=join)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if group is not None:
            assert group.oom_kills() == 0
            assert (group.peak_bytes() or 0) > 10 * MIB
        out.seek(0)
        err.seek(0)
        return Outcome(process.returncode, out.read(), err.read(), usage.ru_maxrss / 1024)


FAILS_WITH_A_REPORT = ["hoarding_map", "ever_new_keys", "records_beyond_the_heap"]
FINISHES = ["huge_records", "threads", "cyclic_garbage", "slow_sink"]


@pytest.mark.parametrize("name", FAILS_WITH_A_REPORT)
def test_a_job_that_wants_too_much_fails_with_a_report(name: str, tmp_path: Path) -> None:
    outcome = run(tmp_path, name)
    assert outcome.code == 1, outcome.err
    assert "taskmanager.memory.task.heap.size" in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.glob("oom-*.json"))
    assert outcome.peak_rss_mib < HEAP_MIB * 1.05 + 32


@pytest.mark.parametrize("name", FINISHES)
def test_a_job_that_can_do_with_it_finishes(name: str, tmp_path: Path) -> None:
    outcome = run(tmp_path, name)
    assert (outcome.code, outcome.out) == (0, "finished\n"), outcome.err
    assert outcome.peak_rss_mib < HEAP_MIB * 1.05 + 32


def test_nine_tenths_of_the_budget_are_not_disturbed(tmp_path: Path) -> None:
    held = int((HEAP_MIB - 32) * 0.9 - 40) * MIB // 1033  # 40 MiB: the interpreter, its modules and the job
    outcome = run(tmp_path, "well_behaved", str(held))
    assert (outcome.code, outcome.out) == (0, "finished\n"), outcome.err


def test_a_function_that_swallows_memory_errors_is_failed_all_the_same(tmp_path: Path) -> None:
    outcome = run(tmp_path, "swallows_memory_error")
    assert outcome.code in (1, 85), outcome.err  # 85: the guard's watchdog ended the process, with a message
    assert "heap" in outcome.err
    assert outcome.peak_rss_mib < HEAP_MIB * 1.05 + 32


def test_numpy_is_refused_at_the_off_heap_budget(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    outcome = run(tmp_path, "numpy_hoarder", options=("-D", "taskmanager.memory.task.off-heap.size=64m"))
    assert outcome.code == 1, outcome.err
    assert "taskmanager.memory.task.off-heap.size" in outcome.err or "ArrayMemoryError" in outcome.err
    assert outcome.peak_rss_mib < 128 + 64 + 150


def test_arrow_is_stopped_after_the_batch_that_passed_the_budget(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    outcome = run(tmp_path, "arrow_hoarder", options=("-D", "taskmanager.memory.task.off-heap.size=64m"))
    assert outcome.code == 1, outcome.err
    assert "pyarrow holds" in outcome.err
    assert "after a batch of task 'numbers -> Map" in outcome.err
    (report,) = tmp_path.glob("oom-*.json")
    assert json.loads(report.read_text())["failure"]["component"] == "off-heap"


def test_neighbours_in_other_slots_finish(tmp_path: Path) -> None:
    outcome = run(tmp_path, "neighbours")
    assert (outcome.code, outcome.out) == (0, "neighbour 100 hoarder True\nfinished\n"), outcome.err
    assert list(tmp_path.glob("oom-*.json"))
    assert outcome.peak_rss_mib < HEAP_MIB * 1.05 + 32

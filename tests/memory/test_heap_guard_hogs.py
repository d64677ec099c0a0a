"""The heap guard from outside: programs that outgrow a heap of 200 MiB, watched through /proc by their parent."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HOGS = Path(__file__).parents[1] / "bounded" / "hogs"
LIMIT = 200 << 20
RESERVE = 32 << 20
OTHER_MEMORY = 12 << 20
"""What is resident beside the heap: the interpreter's and the libraries' code."""

ALONE = (
    "list_of_lists",
    "dict_of_tuples",
    "small_strings",
    "bytes_of_many_sizes",
    "growing_bytearray",
    "growing_string",
    "huge_bytearray",
    "deque_in_one_call",
    "deep_recursion",
    "json_documents",
    "generators",
    "big_integers",
    "cyclic_objects",
    "catches_memory_error",
    "catches_every_exception",
    "catches_and_goes_on_asking",
)


@dataclass
class Run:
    """What a child said and did; sizes in bytes."""

    events: list[dict[str, Any]] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    exit_code: int = 0
    stderr: str = ""

    def tasks(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == "task"]

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]


def run(*arguments: str, **environment: str) -> Run:
    """Runs the hogs; the peak of the process is read from /proc and set back at every event."""
    found = Run()
    source = str(Path(__file__).parents[2] / "src")
    with subprocess.Popen(
        [sys.executable, str(HOGS / "heap.py"), "--limit", str(LIMIT), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source, **environment},
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        for line in child.stdout:
            found.events.append(json.loads(line))
            found.peaks.append(take_peak(child.pid))
            if found.last["event"] == "done":
                child.stdin.write("\n")
                child.stdin.flush()
        found.stderr = child.stderr.read()
    found.exit_code = child.returncode
    return found


def take_peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def skip_unless_enforced(outcome: Run) -> None:
    if outcome.events and outcome.events[0].get("mode") == "polled":
        pytest.skip(outcome.events[0]["reason"])


@pytest.fixture(scope="module")
def alone() -> Run:
    outcome = run(",".join(ALONE))
    skip_unless_enforced(outcome)
    return outcome


def test_every_hog_fails_alone_and_the_next_one_runs(alone: Run) -> None:
    assert alone.exit_code == 0, alone.stderr
    assert [(task["hog"], task["outcome"]) for task in alone.tasks()] == [(hog, "failed") for hog in ALONE]


@pytest.mark.parametrize("hog", ALONE)
def test_the_failure_names_task_numbers_and_option(alone: Run, hog: str) -> None:
    message = next(task["message"] for task in alone.tasks() if task["hog"] == hog)
    assert f"in task {hog!r}" in message
    assert "limit 200.0 MiB" in message
    assert "raise taskmanager.memory.task.heap.size" in message
    assert f"in {hog}" in message or hog == "deep_recursion"


def test_the_process_stays_within_its_limit(alone: Run) -> None:
    peaks = dict(zip((event.get("hog") for event in alone.events), alone.peaks, strict=True))
    too_much = {hog: peak >> 20 for hog, peak in peaks.items() if peak > LIMIT * 1.05 + OTHER_MEMORY}
    assert not too_much


def test_the_memory_comes_back_after_every_failure(alone: Run) -> None:
    left = {task["hog"]: task["heap"] >> 20 for task in alone.tasks() if task["heap"] > 40 << 20}
    assert not left


def test_the_neighbour_is_not_disturbed(alone: Run) -> None:
    assert "error" not in alone.last["neighbour"]
    assert alone.last["neighbour"]["rounds"] > 0


@pytest.fixture(scope="module")
def at_once() -> Run:
    outcome = run(*(",".join(ALONE[number::4]) for number in range(4)))
    skip_unless_enforced(outcome)
    return outcome


def test_four_at_once_all_fail_as_tasks(at_once: Run) -> None:
    assert at_once.exit_code == 0, at_once.stderr
    assert sorted((task["hog"], task["outcome"]) for task in at_once.tasks()) == sorted(
        (hog, "failed") for hog in ALONE
    )
    assert "error" not in at_once.last["neighbour"]
    assert max(at_once.peaks) <= LIMIT * 1.05 + RESERVE
    assert at_once.last["heap"] < 60 << 20


def test_a_short_soak() -> None:
    mixed = ",".join(ALONE)
    outcome = run("--seconds", "5", mixed, mixed, mixed, mixed)
    skip_unless_enforced(outcome)
    assert outcome.exit_code == 0, outcome.stderr
    assert {task["outcome"] for task in outcome.tasks()} == {"failed"}
    assert max(outcome.peaks) <= LIMIT * 1.05 + RESERVE


@pytest.mark.parametrize(
    ("hog", "exit_code", "kind"),
    [
        ("tiny_blocks_in_one_call", 84, "heap-exhausted"),
        ("catches_everything", 85, "task-unresponsive"),
    ],
)
def test_what_cannot_be_stopped_ends_the_process_with_code_message_and_report(
    tmp_path: Path, hog: str, exit_code: int, kind: str
) -> None:
    reports = tmp_path / "reports"  # made when it is needed
    outcome = run("--grace", "1", "--report", str(reports), hog)
    skip_unless_enforced(outcome)
    assert outcome.exit_code in (exit_code, 84), outcome.stderr
    assert f"ends with exit code {outcome.exit_code}" in outcome.stderr
    assert f'in task "{hog}"' in outcome.stderr
    assert "taskmanager.memory.task.heap.size" in outcome.stderr
    assert f" in {hog}" in outcome.stderr or " in go_on" in outcome.stderr  # the Python stack, innermost frames first
    (path,) = reports.glob("heap-end-*.json")
    assert f"\nReport: {path}\n" in outcome.stderr
    report = json.loads(path.read_text())
    assert report["kind"] == kind if outcome.exit_code == exit_code else "heap-exhausted"
    assert report["task"] == hog
    assert report["exit_code"] == outcome.exit_code
    assert report["heap_limit_bytes"] == LIMIT
    assert report["heap_line_bytes"] == LIMIT - RESERVE


def test_the_debug_allocator_is_metered_as_well() -> None:
    outcome = run("list_of_lists,growing_bytearray,bytes_of_many_sizes", PYTHONMALLOC="debug")
    skip_unless_enforced(outcome)
    assert outcome.exit_code == 0, outcome.stderr
    assert {task["outcome"] for task in outcome.tasks()} == {"failed"}
    assert max(outcome.peaks) <= LIMIT * 1.05 + RESERVE


def test_another_allocator_is_said_and_polled() -> None:
    outcome = run("list_of_lists,catches_memory_error", PYTHONMALLOC="malloc")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.events[0]["mode"] == "polled"
    assert "pymalloc" in outcome.events[0]["reason"]
    assert {task["outcome"] for task in outcome.tasks()} == {"failed"}


def test_the_polled_guard_stops_ordinary_hogs() -> None:
    outcome = run("--mode", "polled", "list_of_lists,catches_every_exception,json_documents")
    assert outcome.exit_code == 0, outcome.stderr
    assert {task["outcome"] for task in outcome.tasks()} == {"failed"}
    assert outcome.last["heap"] < 80 << 20

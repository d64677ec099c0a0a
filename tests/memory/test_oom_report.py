from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import JobError
from penstock.memory._garbage import GarbagePolicy
from penstock.memory._heap_failure import HeapFailure, TaskHeapError
from penstock.memory._ledger import FigureKind, Ledger
from penstock.memory._limit_errors import InsufficientNetworkBuffersError, ManagedMemoryExhaustedError
from penstock.memory._memory_failure import MemoryFailure, StateFigure
from penstock.memory._oom_report import REPORT_KIND, ReportContext, witness_of_failure, write_oom_report

MIB = 1 << 20


def heap_error(freed_bytes: int = 0) -> TaskHeapError:
    failure = HeapFailure(
        task="Sum (1/2)",
        cause="HeapLimitError",
        message="The heap limit was passed in task 'Sum (1/2)'.",
        frames=("job.py:12 in hoard",),
        used_bytes=190 * MIB,
        line_bytes=184 * MIB,
        limit_bytes=200 * MIB,
        request_bytes=1000,
        task_bytes=150 * MIB,
        freed_bytes=freed_bytes,
    )
    return TaskHeapError(failure)


def test_every_refusal_of_memory_becomes_a_failure() -> None:
    heap = MemoryFailure.of(heap_error(), operator="Sum", subtask=0)
    assert heap is not None
    assert (heap.component, heap.task, heap.operator, heap.limit_bytes) == ("heap", "Sum (1/2)", "Sum", 200 * MIB)
    managed = MemoryFailure.of(ManagedMemoryExhaustedError("Sort", "OPERATOR", 300, 100, 1000, 1))
    assert managed is not None
    assert (managed.component, managed.used_bytes, managed.limit_bytes) == ("managed", 900, 1000)
    network = MemoryFailure.of(InsufficientNetworkBuffersError("Map", 9, 5, 20, 32768), task="Map (1/2)")
    assert network is not None
    assert (network.component, network.task, network.requested_bytes) == ("network", "Map (1/2)", 9 * 32768)
    refused = heap_error().failure
    arrays = MemoryFailure.of(TaskHeapError(replace(refused, message="raise taskmanager.memory.task.off-heap.size")))
    assert arrays is not None
    assert (arrays.component, arrays.option) == ("off-heap", "taskmanager.memory.task.off-heap.size")
    plain = MemoryFailure.of(MemoryError())
    assert plain is not None
    assert plain.message
    numpy = pytest.importorskip("numpy")
    with pytest.raises(MemoryError) as caught:
        numpy.zeros(2**60, dtype="u1")
    off_heap = MemoryFailure.of(caught.value)
    assert off_heap is not None
    assert (off_heap.component, off_heap.requested_bytes) == ("off-heap", 2**60)


def test_causes_are_followed_and_other_errors_are_not_about_memory() -> None:
    try:
        try:
            raise heap_error()
        except TaskHeapError as error:
            raise JobError("the job failed") from error
    except JobError as error:
        found = MemoryFailure.of(error)
    assert found is not None
    assert found.component == "heap"
    assert MemoryFailure.of(ValueError("no")) is None


def failing_call() -> BaseException:
    local_hoard = list(range(40_000))
    try:
        raise MemoryError(len(local_hoard))
    except MemoryError as error:
        return error


def a_ledger() -> Ledger:
    ledger = Ledger()
    ledger.register("heap", lambda: 190 * MIB, FigureKind.ENFORCED, budget_bytes=200 * MIB)
    ledger.register("broken", lambda: 1 // 0, FigureKind.SAMPLED)
    return ledger


def test_a_report_has_all_sections_and_a_readable_twin(tmp_path: Path) -> None:
    table = {index: [index] for index in range(50_000)}
    with GarbagePolicy(lambda: 0) as policy:
        policy.freeze()
        failure = MemoryFailure.of(heap_error(freed_bytes=50 * MIB), operator="Sum", subtask=0)
        assert failure is not None
        dropped: list[int] = []
        context = ReportContext(
            job="totals",
            configuration={"taskmanager.memory.task.heap.size": "72m"},
            plan={"task_heap": 72 * MIB},
            states=[
                StateFigure("Sum", 0, "small", "hashmap", 1, 100),
                StateFigure("Sum", 0, "count", "hashmap", 50_000, 5 * MIB),
                StateFigure("Sum", 1, "count", "rocksdb", None, None),
            ],
            roots=[("state 'count' of Sum (1/2)", table)],
            garbage=policy.statistics(),
            witness=witness_of_failure(failing_call()),
        )
        report = write_oom_report(
            str(tmp_path / "reports"), failure, a_ledger(), context, drop=lambda: dropped.append(1)
        )
        assert dropped == [1]
    content = json.loads(Path(report.json_path).read_text())
    assert content["kind"] == REPORT_KIND
    assert os.path.basename(report.json_path).startswith(f"oom-{os.getpid()}-")
    assert content["failure"]["operator"] == "Sum"
    assert [state["descriptor"] for state in content["states"]] == ["count", "small", "count"]
    assert "state 'count' of Sum (1/2)" in [figure["path"] for figure in content["heap"]["containers"]]
    assert any(figure["path"].startswith("local_hoard in failing_call()") for figure in content["call"]["containers"])
    assert content["ledger"]["entries"][0]["used_bytes"] == 190 * MIB
    assert content["ledger"]["entries"][1]["used_bytes"] is None
    assert content["configuration"] == {"taskmanager.memory.task.heap.size": "72m"}
    assert len(content["garbage"]["generations"]) == 3
    text = Path(report.text_path).read_text()
    for expected in (
        "Out of memory (heap) in Sum (1/2)",
        "job.py:12 in hoard",
        "50.0 MiB",
        "state 'count'",
        "(rocksdb)",
    ):
        assert expected in text
    assert gc.get_freeze_count() < 1000


def test_sections_fail_one_by_one(tmp_path: Path) -> None:
    class Broken(Ledger):
        def snapshot(self, *, pss: bool = False) -> Any:
            raise RuntimeError("no counters")

    failure = MemoryFailure("heap", "MemoryError", "no more")
    states: Any = [StateFigure("Sum", 0, "count", "hashmap", 1, 1), "not a figure"]
    report = write_oom_report(str(tmp_path), failure, Broken(), ReportContext(states=states), timeout_s=0.01)
    content = json.loads(Path(report.json_path).read_text())
    assert content["ledger"]["error"] == "RuntimeError: no counters"
    assert "error" in content["states"]
    assert "not available: RuntimeError: no counters" in Path(report.text_path).read_text()


# A task that hoards in its state passes a limit of 120 MB; the report is made out of the reserve, the state alive.
AT_THE_LIMIT = """
import json, sys
from penstock.memory._heap_guard import install_heap_guard
from penstock.memory._heap_limits import HeapLimits
from penstock.memory._heap_failure import TaskHeapError
from penstock.memory._ledger import FigureKind, Ledger
from penstock.memory._memory_failure import MemoryFailure
from penstock.memory._oom_report import ReportContext, write_oom_report
limits = HeapLimits.of(120 << 20)
guard = install_heap_guard(limits)
if guard.mode != "enforced":
    sys.exit(77)
guard.mark_system(True)  # as the runtime marks the thread that runs its tasks
state = {}
def hoard():
    number = 0
    while True:
        state[number] = (number, str(number) * 3)
        number += 1
slot = guard.open_slot("Sum (1/2)")
try:
    guard.call(slot, hoard)
except TaskHeapError as error:
    failure = MemoryFailure.of(error)
ledger = Ledger()
ledger.register("heap", guard.used, FigureKind.ENFORCED, budget_bytes=limits.limit_bytes, peak=guard.peak)
before = guard.used()
assert before > limits.limit_bytes // 2, before
guard.reset_peak()
with guard.exempt():
    report = write_oom_report(sys.argv[1], failure, ledger, ReportContext(roots=[("state 'count'", state)]))
print(json.dumps({"path": report.json_path, "took": guard.peak() - before, "left": limits.limit_bytes - guard.peak()}))
guard.close()
"""


def test_it_works_at_the_limit_out_of_the_reserve(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_LIMIT, str(tmp_path)], capture_output=True, text=True, timeout=100, check=False
    )
    if done.returncode == 77:
        pytest.skip("the heap cannot be metered here")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["took"] < 4 * MIB
    assert figures["left"] > 0
    content = json.loads(Path(figures["path"]).read_text())
    (largest, *_) = content["heap"]["containers"]
    assert largest["path"] == "state 'count'"
    assert largest["deep_bytes"] > 60 * MIB


# The list that grows is a local variable: the report names it, though its frame is gone when the report is written.
WITNESSED = """
import sys
from penstock.memory._call_witness import CallWitness
from penstock.memory._heap_failure import TaskHeapError
from penstock.memory._heap_guard import install_heap_guard
from penstock.memory._heap_limits import HeapLimits
guard = install_heap_guard(HeapLimits.of(120 << 20))
if guard.mode != "enforced":
    sys.exit(77)
witness = CallWitness(guard)
def hoard():
    rows = []
    while True:
        rows.append(str(len(rows)) * 10)
try:
    guard.call(guard.open_slot("Sum (1/2)"), hoard)
except TaskHeapError as error:
    freed = error.failure.freed_bytes
assert freed > 40 << 20, freed
census = witness.take()
assert witness.take() is None
(figure, *_) = census.containers
assert figure.path.startswith("rows in hoard() (<string>:"), figure
assert figure.deep_bytes > 40 << 20, figure
witness.close()
guard.close()
"""


def test_what_a_call_held_is_noted_before_it_is_dropped() -> None:
    done = subprocess.run([sys.executable, "-c", WITNESSED], capture_output=True, text=True, timeout=100, check=False)
    if done.returncode == 77:
        pytest.skip("the heap cannot be metered here")
    assert done.returncode == 0, done.stderr

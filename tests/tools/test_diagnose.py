from __future__ import annotations

import copy
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.conf import Configuration
from penstock.errors import ConfigurationError
from penstock.memory import Suggestion, plan_local, plan_task_manager
from penstock.memory._ledger import FigureKind, Ledger
from penstock.memory._memory_failure import MemoryFailure, StateFigure
from penstock.memory._oom_report import ReportContext, write_oom_report
from penstock.memory._process_end import EndCause, ProcessEnd
from penstock.tools.diagnose import diagnose, load_report

MIB = 1 << 20
GIB = 1 << 30


def report(**changes: Any) -> dict[str, Any]:
    """A heap failure at 512 MiB, without any dominating part."""
    failure = {
        "component": "heap",
        "error": "HeapLimitError",
        "message": "The heap limit was passed.",
        "task": "Sum (1/2)",
        "operator": "Sum",
        "subtask": 0,
        "requested_bytes": 1000,
        "used_bytes": 480 * MIB,
        "limit_bytes": 512 * MIB,
        "freed_bytes": 0,
        "frames": ["/x/penstock/memory/guard.py:1 in call", "job.py:12 in process"],
        "option": "taskmanager.memory.task.heap.size",
    }
    content: dict[str, Any] = {
        "kind": "penstock-oom-report",
        "version": 1,
        "role": "taskmanager",
        "failure": failure,
        "states": [],
        "garbage": {"unreachable_objects": 0},
        "heap": {
            "types": [{"type_name": "str", "count": 1000, "size_bytes": 400 * MIB}],
            "containers": [container("cache.SEEN", 10)],
        },
        "tracked": None,
        "configuration": {"taskmanager.memory.process.size": "1728m"},
    }
    for name, value in changes.items():
        if name in failure:
            failure[name] = value
        else:
            content[name] = value
    return content


def container(path: str, deep_mib: int) -> dict[str, Any]:
    return {"path": path, "type_name": "dict", "entries": 1_000_000, "deep_bytes": deep_mib * MIB}


def state(descriptor: str, size_mib: int, backend: str = "hashmap") -> dict[str, Any]:
    return {
        "operator": "Sum",
        "subtask": 0,
        "descriptor": descriptor,
        "backend": backend,
        "entries": 5,
        "size_bytes": size_mib * MIB,
    }


def test_keyed_state_is_named_with_the_backend_that_would_hold_it() -> None:
    found = diagnose(report(states=[state("count", 300), state("other", 900, "rocksdb")]))
    assert (found.component, found.cause) == ("heap", "keyed-state")
    assert "state 'count' of Sum" in found.explanation
    assert any("state.backend.type: rocksdb" in advice for advice in found.advice)
    assert "still growing" in found.caveat


def test_memory_of_a_function_is_named_by_its_path() -> None:
    found = diagnose(report(heap={"types": [], "containers": [container("job.SEEN", 400)]}))
    assert found.cause == "function-memory"
    assert "job.SEEN" in found.explanation
    hidden = report(
        heap={"types": [], "containers": []},
        tracked={"unnamed_containers": [{**container("x of the generator g()", 0), "own_bytes": 200 * MIB}]},
    )
    assert "generator g()" in diagnose(hidden).explanation


def test_local_variables_of_the_failed_call_are_named() -> None:
    call = {"containers": [container("rows in process() (job.py:12)", 300)]}
    found = diagnose(report(freed_bytes=300 * MIB, call=call))
    assert found.cause == "local-variables"
    assert "rows in process()" in found.evidence[0]
    assert found.evidence[-1] == "at job.py:12 in process"


def test_native_memory_is_named_by_what_holds_it() -> None:
    ledger = {"entries": [{"component": "off-heap", "peak_bytes": 127 * MIB}]}
    refused = report(component="off-heap", used_bytes=0, limit_bytes=0, requested_bytes=MIB, ledger=ledger)
    found = diagnose({**refused, "heap": {"types": [], "containers": [container("function.arrays", 120)]}})
    assert found.cause == "native-memory"
    assert "function.arrays" in found.evidence[0]
    assert found.remedy is not None
    assert found.remedy.changes == (("taskmanager.memory.task.off-heap.size", "32m"),)


def test_one_large_request() -> None:
    found = diagnose(report(requested_bytes=10 * GIB))
    assert (found.cause, found.caveat) == ("large-request", "")


def test_garbage_a_small_heap_and_many_objects() -> None:
    little = {"types": [{"type_name": "str", "count": 1, "size_bytes": MIB}], "containers": []}
    assert diagnose(report(garbage={"unreachable_objects": 10**6}, heap=little)).cause == "cyclic-garbage"
    assert diagnose(report(heap=little, limit_bytes=100 * MIB, used_bytes=90 * MIB)).cause == "small-heap"
    many = diagnose(report())
    assert many.cause == "many-objects"
    assert "type str" in many.evidence[0]


@pytest.mark.parametrize(
    "configuration",
    [
        {"taskmanager.memory.process.size": "1728m"},
        {"taskmanager.memory.flink.size": "1280m"},
        {"taskmanager.memory.task.heap.size": "384m", "taskmanager.memory.managed.size": "512m"},
        {"taskmanager.memory.flink.size": "1280m", "taskmanager.memory.task.heap.size": "384m"},
        {"taskmanager.memory.process.size": "2g", "taskmanager.memory.flink.size": "1600m"},
    ],
)
def test_the_value_would_have_sufficed_for_the_heap(configuration: dict[str, str]) -> None:
    found = diagnose(report(configuration=configuration))
    assert found.remedy is not None
    changed = Suggestion(found.remedy.changes, "").apply_to(Configuration.from_mapping(configuration))
    plan = plan_task_manager(changed)
    needed = int((512 * MIB + 1000) * 1.25)
    assert plan.jvm_heap_bytes >= needed
    key, value = found.remedy.changes[0]
    assert value is not None
    one_less = Suggestion(((key, f"{int(value.removesuffix('m')) - 1}m"),), "").apply_to(changed)
    try:
        smaller = plan_task_manager(one_less).jvm_heap_bytes
    except ConfigurationError:
        smaller = 0
    assert smaller < needed


def test_the_value_would_have_sufficed_locally() -> None:
    configuration = {"taskmanager.memory.task.heap.size": "384m"}
    found = diagnose(report(role="local", configuration=configuration))
    assert found.remedy is not None
    plan = plan_local(Configuration.from_mapping({**configuration, **dict(found.remedy.changes)}))
    assert plan.framework_heap_bytes + plan.task_heap_bytes >= 640 * MIB


@pytest.mark.parametrize(
    ("component", "part", "slots"),
    [("managed", "managed_bytes", 4), ("network", "network_bytes", 1), ("off-heap", "task_off_heap_bytes", 1)],
)
@pytest.mark.parametrize("role", ["taskmanager", "local"])
def test_the_value_would_have_sufficed_for_other_components(component: str, part: str, slots: int, role: str) -> None:
    configuration = {"taskmanager.memory.process.size": "1728m", "taskmanager.numberOfTaskSlots": str(slots)}
    found = diagnose(
        report(
            component=component,
            role=role,
            configuration=configuration,
            used_bytes=200 * MIB,
            limit_bytes=210 * MIB,
            requested_bytes=300 * MIB,
        )
    )
    assert found.remedy is not None
    assert found.cause in ("managed-memory-shared-out", "network-guarantees", "native-memory")
    changed = Configuration.from_mapping({**configuration, **dict(found.remedy.changes)})
    plan: Any = plan_local(changed) if role == "local" else plan_task_manager(changed)
    framework = plan.framework_off_heap_bytes if component == "off-heap" else 0
    assert getattr(plan, part) + framework >= 500 * MIB * slots


def test_without_a_configuration_the_option_of_the_failure_is_named() -> None:
    found = diagnose(report(configuration={}, option="--heap"))
    assert found.remedy is not None
    assert found.remedy.changes == (("--heap", "641m"),)
    found = diagnose(report(configuration={}))
    assert found.remedy is not None
    assert found.remedy.changes == (("taskmanager.memory.task.heap.size", "513m"),)


def test_last_words_of_the_heap_guard() -> None:
    words = {
        "kind": "heap-exhausted",
        "exit_code": 84,
        "pid": 7,
        "heap_used_bytes": 210 * MIB,
        "heap_limit_bytes": 200 * MIB,
        "heap_line_bytes": 184 * MIB,
        "reserve_bytes": 16 * MIB,
        "request_bytes": 32,
        "rss_anon_bytes": 211 * MIB,
        "task": "Sum (1/2)",
        "task_net_bytes": 180 * MIB,
        "option": "taskmanager.memory.task.heap.size",
    }
    found = diagnose(words)
    assert (found.component, found.cause) == ("heap", "one-call")
    assert "Sum (1/2)" in found.headline
    assert found.remedy is not None
    assert diagnose({**words, "kind": "task-unresponsive", "exit_code": 85}).cause == "memory-error-caught"


def process_end(**changes: Any) -> ProcessEnd:
    fields: dict[str, Any] = {
        "name": "job.py",
        "process_id": 7,
        "cause": EndCause.CGROUP_OOM,
        "exit_code": 128 + signal.SIGKILL,
        "signal_name": "SIGKILL",
        "peak_rss_bytes": 500 * MIB,
        "process_bytes": 512 * MIB,
        "data_limit_bytes": None,
        "cgroup_bytes": 512 * MIB,
        "cgroup_peak_bytes": 512 * MIB,
        "option": "taskmanager.memory.process.size",
        "reports": (),
    }
    return ProcessEnd(**{**fields, **changes})


def test_the_end_of_a_process(tmp_path: Path) -> None:
    found = diagnose(load_report(process_end().write(str(tmp_path))))
    assert (found.component, found.cause) == ("process", "outside-the-heap")
    assert found.remedy is not None
    assert found.remedy.changes == (("taskmanager.memory.process.size", "640m"),)
    unlimited = process_end(process_bytes=None, cgroup_bytes=None)
    assert diagnose(json.loads(json.dumps(unlimited.as_dict()))).remedy is None


def test_a_report_that_was_written_is_diagnosed_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {index: [index] for index in range(200_000)}
    failure = MemoryFailure("heap", "HeapLimitError", "The heap limit was passed.", limit_bytes=30 * MIB)
    ledger = Ledger()
    ledger.register("heap", lambda: 30 * MIB, FigureKind.ENFORCED, budget_bytes=30 * MIB)
    context = ReportContext(
        configuration={"taskmanager.memory.process.size": "1g"},
        roots=[("user function of Sum (1/1)", {"seen": table})],
        states=[StateFigure("Sum", 0, "count", "rocksdb", 1, 1)],
    )
    written = write_oom_report(str(tmp_path), failure, ledger, context)
    assert main(["diagnose", written.json_path]) == 0
    text = capsys.readouterr().out
    assert "user function of Sum (1/1)['seen']" in text
    assert "Would have sufficed" in text
    assert main(["diagnose", "--json", written.json_path]) == 0
    assert json.loads(capsys.readouterr().out)["cause"] == "function-memory"


def test_what_is_no_report_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", str(tmp_path / "missing.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    for content, words in (("not json", "no JSON"), ("[]", "no memory report"), ('{"kind": "x"}', "no memory report")):
        path = tmp_path / "file.json"
        path.write_text(content)
        assert main(["diagnose", str(path)]) == 2
        assert words in capsys.readouterr().err
    damaged = copy.deepcopy(report())
    del damaged["failure"]["used_bytes"]
    with pytest.raises(ConfigurationError, match="damaged"):
        diagnose(damaged)

"""An error names its numbers, the values that conflict, and a change that resolves it, which is tried here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.conf import Configuration, Source, configuration_from_flags
from penstock.memory import (
    MemoryPlanError,
    managed_fraction,
    plan_job_manager,
    plan_local,
    plan_rocksdb,
    plan_start_up,
    plan_task_manager,
)

Planner = Callable[[Configuration], Any]

PLANNERS: dict[str, Planner] = {
    "taskmanager": plan_task_manager,
    "jobmanager": plan_job_manager,
    "taskmanager-local": plan_local,
    "taskmanager-runtime": plan_start_up,
    "rocksdb": lambda configuration: plan_rocksdb(configuration, 2**30),
    "managed-fraction": lambda configuration: managed_fraction(configuration, "PYTHON", ["PYTHON", "OPERATOR"]),
}


def refused() -> list[tuple[str, dict[str, Any]]]:
    vectors = Path(__file__).parent.parent / "data" / "flink-2.2.1-memory.jsonl"
    cases = map(json.loads, vectors.read_text(encoding="utf-8").splitlines())
    wanted = [case for case in cases if case["role"] in PLANNERS and not case["expect"]["ok"] and "conf" in case]
    seen: dict[str, int] = {}
    chosen = []
    for case in wanted:
        kind = case["expect"]["error_id"]
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= 12:
            chosen.append((case["role"], case["conf"]))
    return chosen


@pytest.mark.parametrize(("role", "conf"), refused())
def test_each_suggestion_resolves_the_error_it_is_made_for(role: str, conf: dict[str, Any]) -> None:
    planner = PLANNERS[role]
    configuration = Configuration.from_mapping(conf)
    with pytest.raises(MemoryPlanError) as caught:
        planner(configuration)
    suggestions = caught.value.suggestions
    assert suggestions
    for suggestion in suggestions:
        planner(suggestion.apply_to(configuration))
        assert str(suggestion) in str(caught.value)
    assert configuration.raw_values() == conf


def error_of(planner: Planner, *flags: str) -> MemoryPlanError:
    with pytest.raises(MemoryPlanError) as caught:
        planner(configuration_from_flags(flags))
    return caught.value


def first_change(error: MemoryPlanError) -> dict[str, str | None]:
    return dict(error.suggestions[0].changes)


def test_a_total_that_is_too_small_is_raised_to_the_least_that_works() -> None:
    error = error_of(plan_task_manager, "taskmanager.memory.process.size=700m")
    assert error.error_id == "tm-derived-parts-exceed-flink"
    assert first_change(error) == {"taskmanager.memory.process.size": "982m"}
    message = str(error)
    for part in ("taskmanager.memory.process.size: 700m (-D)", "128.000mb", "64.000mb", "by ", "982m"):
        assert part in message


def test_a_misspelt_size_is_repaired() -> None:
    for text, repaired in (
        ("1.5g", "1536m"),
        ("4 GiB", "4g"),
        ("2048Mib", "2g"),
        ("4294967296byte", "4g"),
        ("'4g'", "4g"),
    ):
        error = error_of(plan_task_manager, f"taskmanager.memory.process.size={text}")
        assert error.error_id == "size-unreadable"
        assert first_change(error) == {"taskmanager.memory.process.size": repaired}


def test_totals_that_contradict_each_other() -> None:
    error = error_of(plan_task_manager, "taskmanager.memory.process.size=4g", "taskmanager.memory.flink.size=1g")
    assert error.error_id == "overhead-out-of-range"
    assert error.numbers["jvm_overhead"] == 2816 * 2**20
    options = [dict(suggestion.changes) for suggestion in error.suggestions]
    assert options[0] == {"taskmanager.memory.process.size": "1472m"}
    assert {"taskmanager.memory.process.size": None} in options
    assert {"taskmanager.memory.flink.size": None} in options


def test_several_faults_are_resolved_together() -> None:
    error = error_of(
        plan_task_manager,
        "taskmanager.memory.process.size=lots",
        "taskmanager.memory.network.fraction=2",
        "taskmanager.memory.jvm-overhead.min=2g",
        "taskmanager.numberOfTaskSlots=-3",
    )
    assert len(first_change(error)) >= 4


def test_nothing_configured() -> None:
    assert first_change(error_of(plan_task_manager)) == {"taskmanager.memory.process.size": "1728m"}
    assert first_change(error_of(plan_job_manager)) == {"jobmanager.memory.process.size": "1600m"}


def test_the_conflicting_values_are_named_with_their_sources() -> None:
    configuration = Configuration()
    configuration.set("jobmanager.heap.memory.size", "2g", Source("file", "config.yaml", 7))
    configuration.set("jobmanager.memory.flink.size", "1g", Source("environment", "FLINK_PROPERTIES", 2))
    with pytest.raises(MemoryPlanError) as caught:
        plan_job_manager(configuration)
    message = str(caught.value)
    assert "jobmanager.heap.memory.size: 2g (config.yaml:7)" in message
    assert "jobmanager.memory.flink.size: 1g ($FLINK_PROPERTIES:2)" in message
    assert caught.value.remarks == ("WARN foreign-key:jobmanager.heap.memory.size",)


def test_a_start_that_fails_on_page_size() -> None:
    error = error_of(plan_start_up, "taskmanager.memory.process.size=4g", "taskmanager.memory.segment-size=33k")
    assert error.error_id == "page-size-not-power-of-two"
    assert first_change(error) == {"taskmanager.memory.segment-size": None}
    # Derived settings are nothing the user configured.
    assert [configured.key for configured in error.inputs] == ["taskmanager.memory.segment-size"]

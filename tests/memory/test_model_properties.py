"""What holds for every configuration of the memory model."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conf import Configuration, MemorySize
from penstock.memory import (
    MemoryPlanError,
    TaskManagerPlan,
    derivations_of,
    plan_job_manager,
    plan_local,
    plan_start_up,
    plan_task_manager,
    remark_text,
)

MIB = 2**20
T, J = "taskmanager.memory.", "jobmanager.memory."

sizes = st.integers(0, 2**40) | st.integers(64, 8192).map(lambda mib: mib * MIB)
small_sizes = st.integers(0, 2**28)
fractions = st.floats(0, 0.5).map(repr)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def configurations(prefix: str, extra: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Configuration]:
    values = {
        prefix + "process.size": maybe(sizes),
        prefix + "flink.size": maybe(sizes),
        prefix + "jvm-metaspace.size": maybe(small_sizes),
        prefix + "jvm-overhead.min": maybe(small_sizes),
        prefix + "jvm-overhead.max": maybe(st.integers(2**27, 2**32)),
        prefix + "jvm-overhead.fraction": maybe(fractions),
        **{key: maybe(strategy) for key, strategy in extra.items()},
    }
    return st.fixed_dictionaries(values).map(
        lambda drawn: Configuration.from_mapping({key: value for key, value in drawn.items() if value is not None})
    )


task_managers = configurations(
    T,
    {
        T + "framework.heap.size": small_sizes,
        T + "framework.off-heap.size": small_sizes,
        T + "task.heap.size": sizes,
        T + "task.off-heap.size": small_sizes,
        T + "managed.size": sizes,
        T + "managed.fraction": fractions,
        T + "network.min": small_sizes,
        T + "network.max": sizes,
        T + "network.fraction": fractions,
        "taskmanager.numberOfTaskSlots": st.integers(1, 64),
    },
)
job_managers = configurations(
    J,
    {
        J + "heap.size": sizes,
        J + "off-heap.size": small_sizes,
        "jobmanager.network.memory.size": st.integers(0, 2**29),
        J + "enable-jvm-direct-memory-limit": st.booleans(),
    },
)


def refusal_of(planner: Callable[[Configuration], object], configuration: Configuration) -> MemoryPlanError | None:
    try:
        planner(configuration)
    except MemoryPlanError as error:
        return error
    return None


def made_valid(configuration: Configuration, planner: Callable[[Configuration], object]) -> Configuration:
    """The configuration, or if it is refused, with the first change that the refusal suggests."""
    refusal = refusal_of(planner, configuration)
    if refusal is None:
        return configuration
    assert refusal.suggestions, refusal
    for suggestion in refusal.suggestions:
        planner(suggestion.apply_to(configuration))  # each of them resolves it
    return refusal.suggestions[0].apply_to(configuration)


valid_task_managers = task_managers.map(lambda drawn: made_valid(drawn, plan_task_manager))
valid_job_managers = job_managers.map(lambda drawn: made_valid(drawn, plan_job_manager))


@given(valid_task_managers)
def test_the_parts_of_a_task_manager_add_up(configuration: Configuration) -> None:
    plan = plan_task_manager(configuration)
    parts = plan.components()
    assert all(size >= 0 for size in parts.values())
    assert parts["total_process"] == parts["total_flink"] + parts["jvm_metaspace"] + parts["jvm_overhead"]
    assert parts["total_flink"] == parts["jvm_heap"] + parts["jvm_direct"] + parts["managed"]
    for key, component in ((T + "process.size", "total_process"), (T + "flink.size", "total_flink")):
        # A given total is kept to the byte.
        if key in configuration:
            assert MemorySize.parse(str(configuration.raw(key))).bytes == parts[component]


@given(valid_task_managers)
def test_derived_settings_give_the_same_plan(configuration: Configuration) -> None:
    plan = plan_task_manager(configuration)
    again = plan_task_manager(Configuration.from_mapping(plan.dynamic_options()))
    assert again.components() == plan.components()
    assert (again.cpu_cores, again.slots) == (plan.cpu_cores, plan.slots)
    totals = {T + "process.size": plan.total_process_bytes, T + "flink.size": plan.total_flink_bytes}
    with_totals = Configuration.from_mapping({**plan.dynamic_options(), **totals})
    assert plan_task_manager(with_totals).components() == plan.components()


@given(valid_task_managers)
def test_slots_share_without_getting_more_than_there_is(configuration: Configuration) -> None:
    plan = plan_task_manager(configuration)
    refusal = refusal_of(plan_start_up, configuration)
    if refusal is not None:
        assert refusal.error_id == "too-many-pages"
        return
    start = plan_start_up(configuration)
    assert 0 <= plan.managed_bytes - start.slot.managed_bytes * start.slots < start.slots
    assert 0 <= plan.task_heap_bytes - start.slot.task_heap_bytes * start.slots < start.slots
    assert 0 <= plan.network_bytes - start.network_buffers * start.page_size_bytes < start.page_size_bytes
    assert start.slot == plan.slot_share(start.slots)


@given(valid_job_managers)
def test_the_parts_of_a_job_manager_add_up_and_derive_themselves(configuration: Configuration) -> None:
    plan = plan_job_manager(configuration)
    assert plan.total_flink_bytes == plan.jvm_heap_bytes + plan.off_heap_bytes
    assert plan.total_process_bytes == plan.total_flink_bytes + plan.jvm_metaspace_bytes + plan.jvm_overhead_bytes
    assert 0 <= plan.network_bytes <= plan.off_heap_bytes
    again = plan_job_manager(Configuration.from_mapping(plan.dynamic_options()))
    assert again.components() == plan.components()
    assert set(plan.components()) <= set(derivations_of(plan))


def total_of(plan: TaskManagerPlan, component: str) -> int:
    return plan.components()[component]


@pytest.mark.parametrize("total", ["process.size", "flink.size"])
@given(configuration=task_managers, more=st.integers(0, 2**34))
def test_more_memory_shrinks_nothing(total: str, configuration: Configuration, more: int) -> None:
    for key in ("process.size", "flink.size", "managed.size", "task.heap.size"):
        configuration.remove(T + key)
    configuration = made_valid(configuration.set(T + total, "1g"), plan_task_manager)
    before = plan_task_manager(configuration)
    size = before.total_process_bytes if total == "process.size" else before.total_flink_bytes
    after = plan_task_manager(configuration.copy().set(T + total, size + more))
    for component, bytes_before in before.components().items():
        # Task heap is what is left: overhead, managed and network memory may each have been cut off a byte lower
        # before.
        slack = 3 if component in ("task_heap", "jvm_heap") else 0
        assert total_of(after, component) >= bytes_before - slack, component


@given(valid_task_managers)
def test_every_component_says_how_it_came_about(configuration: Configuration) -> None:
    plan = plan_task_manager(configuration)
    derivations = derivations_of(plan)
    assert set(derivations) == set(plan.components())
    for component, derivation in derivations.items():
        assert derivation.size_bytes == total_of(plan, component)
        assert derivation.text
        for configured in derivation.inputs:
            assert str(configured.value) in derivation.text
    for remark in plan.provenance.remarks:
        assert remark_text(remark)


@given(task_managers | job_managers)
def test_a_refusal_survives_pickling_with_all_it_says(configuration: Configuration) -> None:
    for planner in (plan_task_manager, plan_job_manager, plan_local):
        refusal = refusal_of(planner, configuration)
        if refusal is None:
            continue
        copy = pickle.loads(pickle.dumps(refusal))
        assert (copy.error_id, copy.summary, copy.inputs) == (refusal.error_id, refusal.summary, refusal.inputs)
        assert str(copy) == str(refusal)
        assert all(configured.key in str(refusal) for configured in refusal.inputs)


@given(valid_task_managers)
def test_planning_changes_nothing_and_depends_on_nothing_else(configuration: Configuration) -> None:
    before = configuration.raw_values()
    plan = plan_task_manager(configuration)
    assert configuration.raw_values() == before
    assert plan_task_manager(configuration).components() == plan.components()
    shuffled = Configuration.from_mapping(dict(reversed(list(before.items()))))
    assert plan_task_manager(shuffled).components() == plan.components()
    assert pickle.loads(pickle.dumps(plan)).components() == plan.components()

"""The worked examples of Flink's documentation and start scripts, and what is surprising about the model."""

from __future__ import annotations

import pytest

from penstock.conf import Configuration, MemorySize, configuration_from_yaml
from penstock.memory import (
    ContainerMemory,
    JobManagerPlan,
    MemoryPlanError,
    TaskManagerPlan,
    container_memory,
    plan_job_manager,
    plan_local,
    plan_start_up,
    plan_task_manager,
)

MIB = 2**20
TM = "taskmanager.memory."
JM = "jobmanager.memory."


def task_manager(**values: object) -> TaskManagerPlan:
    return plan_task_manager(configured(TM, values))


def job_manager(**values: object) -> JobManagerPlan:
    return plan_job_manager(configured(JM, values))


def configured(prefix: str, values: dict[str, object]) -> Configuration:
    keys = {key.replace("__", "-").replace("_", "."): value for key, value in values.items()}
    return Configuration.from_mapping({prefix + key: value for key, value in keys.items()})


def error_of(plan: object, configuration: Configuration) -> MemoryPlanError:
    with pytest.raises(MemoryPlanError) as caught:
        plan(configuration)  # type: ignore[operator]
    return caught.value


def test_4096m() -> None:
    plan = task_manager(process_size="4096m")
    assert plan.components() == {
        "framework_heap": 134217728,
        "framework_off_heap": 134217728,
        "task_heap": 1530082070,
        "task_off_heap": 0,
        "network": 359703515,
        "managed": 1438814063,
        "jvm_metaspace": 268435456,
        "jvm_overhead": 429496736,
        "total_flink": 3597035104,
        "total_process": 4294967296,
        "jvm_heap": 1664299798,
        "jvm_direct": 493921243,
    }
    assert plan.jvm_arguments() == (
        "-Xmx1664299798 -Xms1664299798 -XX:MaxDirectMemorySize=493921243 -XX:MaxMetaspaceSize=268435456"
    )


def test_four_slots_of_4096m() -> None:
    configuration = configured(TM, {"process_size": "4096m"}).set("taskmanager.numberOfTaskSlots", 4)
    start = plan_start_up(configuration)
    assert start.slot.task_heap_bytes == 382520517
    assert start.slot.managed_bytes == 359703515
    assert start.slot.network_bytes == 89925878
    assert (start.network_buffers, start.page_size_bytes) == (10977, 32768)
    assert start.total.network_bytes - start.network_buffers * start.page_size_bytes == 9179


def test_the_shipped_configuration_by_either_total() -> None:
    by_flink, by_process = task_manager(flink_size="1280m"), task_manager(process_size="1728m")
    assert by_flink.components() == by_process.components()
    assert by_flink.jvm_overhead_bytes == 201326592
    assert by_flink.managed_bytes == 536870920
    assert by_flink.network_bytes == 134217730
    assert by_flink.task_heap_bytes == 402653174


def test_by_parts() -> None:
    plan = task_manager(task_heap_size="1g", managed_size="512m")
    assert (plan.network_bytes, plan.jvm_overhead_bytes, plan.total_process_bytes) == (208783135, 261807424, 2618074207)


@pytest.mark.parametrize(
    ("key", "least"), [("taskmanager.memory.process.size", 1029002586), ("taskmanager.memory.flink.size", 559240538)]
)
def test_least_sizes_with_defaults(key: str, least: int) -> None:
    plan_task_manager(Configuration.from_mapping({key: least}))
    error = error_of(plan_task_manager, Configuration.from_mapping({key: least - 1}))
    assert error.error_id == "tm-derived-parts-exceed-flink"


def test_job_manager_of_1600m() -> None:
    plan = job_manager(process_size="1600m")
    assert plan.jvm_heap_bytes == 1073741824
    assert plan.off_heap_bytes == 134217728
    assert plan.jvm_overhead_bytes == 201326592
    assert plan.provenance.remarks == ("INFO raised-to-min:jvm-overhead",)
    assert "MaxDirect" not in plan.jvm_arguments()
    limited = job_manager(process_size="1600m", enable__jvm__direct__memory__limit=True)
    assert "-XX:MaxDirectMemorySize=134217728" in limited.jvm_arguments()
    job_manager(process_size=576 * MIB + 1)
    assert error_of(plan_job_manager, configured(JM, {"process_size": "576m"})).error_id == "jm-flink-not-above-offheap"


def test_fractions_are_the_decimals_that_32_bit_floats_print_as() -> None:
    assert task_manager(process_size="4096m").jvm_overhead_bytes == 429496736  # a tenth would be 429496729
    text = configured(TM, {"flink_size": "4g", "managed_fraction": "1e-50"})
    assert plan_task_manager(text).managed_bytes == 0
    typed = configuration_from_yaml("taskmanager.memory: {flink.size: 4g, managed.fraction: 1e-50}")
    assert error_of(plan_task_manager, typed).error_id == "value-unparsable"
    almost_one = configured(TM, {"flink_size": "4g", "managed_fraction": "0.99999998"})
    assert error_of(plan_task_manager, almost_one).error_id == "range-inconsistent"
    assert task_manager(flink_size="4g", managed_fraction="-0.0", network_fraction=-0.0).managed_bytes == 0


def test_a_remainder_is_refused_where_a_fraction_would_be_capped() -> None:
    capped = task_manager(flink_size="2g", network_max="100m")
    assert capped.network_bytes == 100 * MIB
    assert capped.provenance.remarks == ("INFO capped-to-max:network",)
    given = configured(TM, {"flink_size": "2g", "network_max": "100m", "task_heap_size": "512m"})
    error = error_of(plan_task_manager, given)
    assert error.error_id == "network-out-of-range"
    assert error.numbers["max"] == 100 * MIB


def test_a_task_manager_may_have_no_memory_at_all() -> None:
    plan = task_manager(
        flink_size="0", framework_heap_size="0", network_min="0",
        framework_off__heap_size="0", jvm__overhead_min="0", jvm__metaspace_size="0",
    )  # fmt: skip
    assert plan.total_process_bytes == 0


def test_a_users_flag_is_laid_over_the_derived_settings_once_more() -> None:
    file = configured(TM, {"process_size": "4g"})
    flag = Configuration.from_mapping({"taskmanager.memory.network.max": "2g"})
    with pytest.raises(MemoryPlanError) as caught:
        plan_start_up(file, flag)
    assert caught.value.error_id == "local-network-min-max-differ"
    fixed = caught.value.suggestions[0].apply_to(file.overlay(flag))
    again = Configuration.from_mapping({key: fixed.raw(key) for key in flag if key in fixed})
    assert plan_start_up(fixed, again).total.network_bytes > 0
    same = Configuration.from_mapping({"taskmanager.memory.process.size": "4g"})
    assert plan_start_up(file, same).network_buffers == 10977


def test_minus_one_slot_means_one_where_cores_are_given() -> None:
    values = {"process_size": "4g"}
    alone = configured(TM, values).set("taskmanager.numberOfTaskSlots", -1)
    assert error_of(plan_task_manager, alone).error_id == "cpu-not-positive"
    with_cores = alone.copy().set("taskmanager.cpu.cores", "2.123456789")
    assert plan_start_up(with_cores).slots == 1
    assert plan_task_manager(with_cores).cpu_cores == "2.12345678"
    none = with_cores.copy().set("taskmanager.numberOfTaskSlots", "0")
    assert plan_task_manager(none).slots == 0
    assert error_of(plan_start_up, none).error_id == "slots-not-positive"


def test_local_execution_takes_parts_as_they_are() -> None:
    configuration = configured(TM, {"process_size": "rubbish", "network_max": "128m"})
    plan = plan_local(configuration)
    assert plan.network_bytes == 128 * MIB
    assert plan.task_heap_bytes == plan.task_off_heap_bytes == 2**40
    assert "WARN ignored-locally:taskmanager.memory.process.size" in plan.provenance.remarks
    assert plan.slots_for(8) == 8
    assert plan.managed_bytes // plan.slots_for(8) == 16 * MIB
    several = Configuration.from_mapping({"local.number-taskmanager": 3, "taskmanager.memory.task.heap.size": "1g"})
    assert plan_local(several).slots_for(8) == 3
    assert plan_local(several.set("taskmanager.numberOfTaskSlots", 5)).slots_for(8) == 5
    huge = configured(TM, {"task_heap_size": str(2**62), "task_off__heap_size": str(2**62 - 2**29)})
    assert plan_local(huge).total_process_bytes < 0


def test_a_container_asks_for_whole_mebibytes() -> None:
    plan = task_manager(task_heap_size="1g", managed_size="512m")
    assert container_memory(Configuration(), plan) == ContainerMemory(2496, 2496, 828511)
    factor = Configuration.from_mapping({"kubernetes.taskmanager.memory.limit-factor": "1.3"})
    assert container_memory(factor, plan).limit_mib == 3244
    assert container_memory(factor, job_manager(process_size="1600m")) == ContainerMemory(1600, 1600, 0)
    for value, error_id in (
        ("0.99", "limit-factor-too-small"),
        ("NaN", "limit-factor-too-small"),
        ("x", "value-unparsable"),
    ):
        factor.set("kubernetes.taskmanager.memory.limit-factor", value)
        with pytest.raises(MemoryPlanError) as caught:
            container_memory(factor, plan)
        assert caught.value.error_id == error_id
        assert container_memory(caught.value.suggestions[0].apply_to(factor), plan).limit_mib == 2496


class TestFlinkNetKeys:
    """`jobmanager.process.memory.size` and its kin, and network memory inside off-heap."""

    def test_they_stand_for_flinks_keys_which_win(self) -> None:
        foreign = Configuration.from_mapping(
            {"jobmanager.heap.memory.size": "1g", "jobmanager.offheap.memory.size": "256m"}
        )
        plan = plan_job_manager(foreign)
        assert (plan.jvm_heap_bytes, plan.off_heap_bytes) == (1024 * MIB, 256 * MIB)
        assert "WARN foreign-key:jobmanager.heap.memory.size" in plan.provenance.remarks
        both = foreign.copy().set("jobmanager.memory.heap.size", "2g")
        assert plan_job_manager(both).jvm_heap_bytes == 2048 * MIB
        process = Configuration.from_mapping({"jobmanager.process.memory.size": "1600m"})
        assert plan_job_manager(process).components() == job_manager(process_size="1600m").components()

    def test_network_raises_a_default_off_heap_and_heap_yields(self) -> None:
        plain = job_manager(process_size="1600m")
        network = plan_job_manager(
            configured(JM, {"process_size": "1600m"}).set("jobmanager.network.memory.size", "200m")
        )
        assert network.total_process_bytes == plain.total_process_bytes
        assert network.total_flink_bytes == plain.total_flink_bytes
        assert network.off_heap_bytes == network.network_bytes == 200 * MIB
        assert network.jvm_heap_bytes == plain.jvm_heap_bytes - 72 * MIB
        small = plan_job_manager(configured(JM, {"process_size": "1600m"}).set("jobmanager.network.memory.size", "64m"))
        assert small.off_heap_bytes == 128 * MIB
        assert small.components() == plain.components()

    def test_a_configured_off_heap_must_hold_it(self) -> None:
        values = configured(JM, {"process_size": "1600m", "off__heap_size": "100m"})
        error = error_of(plan_job_manager, values.set("jobmanager.network.memory.size", "101m"))
        assert error.error_id == "jm-network-exceeds-offheap"
        assert error.option == "jobmanager.network.memory.size"
        values.set("jobmanager.network.memory.size", "100m")
        assert plan_job_manager(values).network_bytes == 100 * MIB

    def test_beside_a_given_heap(self) -> None:
        heap = configured(JM, {"heap_size": "1g"}).set("jobmanager.network.memory.size", "300m")
        assert plan_job_manager(heap).total_flink_bytes == 1324 * MIB
        both = configured(JM, {"heap_size": "1g", "flink_size": "1200m"})
        plan = plan_job_manager(both.set("jobmanager.network.memory.size", "300m"))
        assert (plan.jvm_heap_bytes, plan.off_heap_bytes) == (900 * MIB, 300 * MIB)
        assert "WARN jm-heap-yields-to-network" in plan.provenance.remarks
        assert plan.total_flink_bytes == 1200 * MIB
        too_much = both.set("jobmanager.network.memory.size", "1200m")
        assert error_of(plan_job_manager, too_much).error_id == "jm-flink-not-above-offheap"


def test_dynamic_options_come_in_the_order_of_flinks_start_script() -> None:
    assert list(task_manager(process_size="1728m").dynamic_options()) == [
        "taskmanager.memory.network.min",
        "taskmanager.cpu.cores",
        "taskmanager.memory.task.off-heap.size",
        "taskmanager.memory.jvm-metaspace.size",
        "external-resources",
        "taskmanager.memory.jvm-overhead.min",
        "taskmanager.memory.framework.off-heap.size",
        "taskmanager.memory.network.max",
        "taskmanager.memory.framework.heap.size",
        "taskmanager.memory.managed.size",
        "taskmanager.memory.task.heap.size",
        "taskmanager.numberOfTaskSlots",
        "taskmanager.memory.jvm-overhead.max",
    ]


def test_sizes_set_by_a_program() -> None:
    configuration = Configuration().set("taskmanager.memory.process.size", MemorySize.of("4g"))
    assert plan_task_manager(configuration).total_process_bytes == 2**32

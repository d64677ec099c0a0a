"""How a TaskManager's memory follows from its options.

After Flink's `TaskExecutorProcessUtils` and `TaskExecutorFlinkMemoryUtils`.

The order of reads is Flink's: where several things are wrong, the first one read is the one reported.
"""

from __future__ import annotations

from penstock.conf import LONG_MAX, TaskManagerOptions, human_readable
from penstock.memory._arithmetic import add, cores_of, fraction_of
from penstock.memory._jvm_parts import ProcessOptions, jvm_parts_from_flink, jvm_parts_from_process
from penstock.memory._model_errors import MemoryPlanError, listed
from penstock.memory._option_reader import OptionReader
from penstock.memory._plans import Provenance, TaskManagerPlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf import Configuration

__all__ = ["plan_task_manager"]

_T = TaskManagerOptions

_PROCESS_OPTIONS = ProcessOptions(
    _T.TOTAL_PROCESS_MEMORY,
    _T.TOTAL_FLINK_MEMORY,
    _T.JVM_METASPACE,
    _T.JVM_OVERHEAD_MIN,
    _T.JVM_OVERHEAD_MAX,
    _T.JVM_OVERHEAD_FRACTION,
)

_FlinkParts = tuple[int, int, int, int, int, int]
"""Framework heap, framework off-heap, task heap, task off-heap, network, managed; bytes."""

_FIXED_PARTS = ("framework_heap", "framework_off_heap", "task_heap", "task_off_heap", "managed")


def plan_task_manager(configuration: Configuration) -> TaskManagerPlan:
    """Sizes a TaskManager.

    Raises:
        MemoryPlanError: a value cannot be read, or the values contradict each other.
    """
    return OptionReader(configuration).run(_plan, plan_task_manager)


def _plan(reader: OptionReader) -> TaskManagerPlan:
    if reader.is_set(_T.TASK_HEAP_MEMORY) and reader.is_set(_T.MANAGED_MEMORY_SIZE):
        route = "parts"
        parts = _parts_given(reader)
        metaspace, overhead = jvm_parts_from_flink(reader, _PROCESS_OPTIONS, add(*parts))
    elif reader.is_set(_T.TOTAL_FLINK_MEMORY):
        route = "flink"
        flink = reader.size(_T.TOTAL_FLINK_MEMORY)
        reader.steps.append(("total_flink", flink, "given", (_T.TOTAL_FLINK_MEMORY,)))
        parts = _split(reader, flink)
        metaspace, overhead = jvm_parts_from_flink(reader, _PROCESS_OPTIONS, flink)
    elif reader.is_set(_T.TOTAL_PROCESS_MEMORY):
        route = "process"
        flink, metaspace, overhead = jvm_parts_from_process(reader, _PROCESS_OPTIONS)
        parts = _split(reader, flink)
    else:
        raise MemoryPlanError(
            "not-configured",
            f"The TaskManager's memory is not configured: set '{_T.TOTAL_PROCESS_MEMORY.key}', "
            f"'{_T.TOTAL_FLINK_MEMORY.key}', or both '{_T.TASK_HEAP_MEMORY.key}' and '{_T.MANAGED_MEMORY_SIZE.key}'.",
        )
    cores_e8, slots = _cores_and_slots(reader)
    provenance = Provenance(route, tuple(reader.steps), reader.configured_inputs(), tuple(reader.remarks))
    return TaskManagerPlan(*parts, metaspace, overhead, cores_e8, slots, provenance)


def _given(reader: OptionReader, component: str, option: object) -> int:
    size = reader.size(option)  # type: ignore[arg-type]
    reader.steps.append((component, size, "given", (option,)))
    return size


def _parts_given(reader: OptionReader) -> _FlinkParts:
    """Route A: task heap and managed memory are given, network follows from them."""
    task_heap = _given(reader, "task_heap", _T.TASK_HEAP_MEMORY)
    managed = _given(reader, "managed", _T.MANAGED_MEMORY_SIZE)
    framework_heap = _given(reader, "framework_heap", _T.FRAMEWORK_HEAP_MEMORY)
    framework_off_heap = _given(reader, "framework_off_heap", _T.FRAMEWORK_OFF_HEAP_MEMORY)
    task_off_heap = _given(reader, "task_off_heap", _T.TASK_OFF_HEAP_MEMORY)
    fixed = framework_heap, framework_off_heap, task_heap, task_off_heap, managed
    taken = add(*fixed)
    if reader.is_set(_T.TOTAL_FLINK_MEMORY):
        flink = _given(reader, "total_flink", _T.TOTAL_FLINK_MEMORY)
        network = _network_remainder(reader, flink, fixed)
    else:
        bounds = reader.range(_T.NETWORK_MEMORY_MIN, _T.NETWORK_MEMORY_MAX, _T.NETWORK_MEMORY_FRACTION)
        network = reader.capped(taken, bounds, "network", inverse=True)
    return framework_heap, framework_off_heap, task_heap, task_off_heap, network, managed


def _split(reader: OptionReader, flink: int) -> _FlinkParts:
    """Routes B and C: the parts of known Flink memory."""
    framework_heap = _given(reader, "framework_heap", _T.FRAMEWORK_HEAP_MEMORY)
    framework_off_heap = _given(reader, "framework_off_heap", _T.FRAMEWORK_OFF_HEAP_MEMORY)
    task_off_heap = _given(reader, "task_off_heap", _T.TASK_OFF_HEAP_MEMORY)
    if reader.is_set(_T.TASK_HEAP_MEMORY):
        task_heap = _given(reader, "task_heap", _T.TASK_HEAP_MEMORY)
        managed = _managed(reader, flink)
        fixed = framework_heap, framework_off_heap, task_heap, task_off_heap, managed
        network = _network_remainder(reader, flink, fixed)
        return framework_heap, framework_off_heap, task_heap, task_off_heap, network, managed
    managed = _managed(reader, flink)
    bounds = reader.range(_T.NETWORK_MEMORY_MIN, _T.NETWORK_MEMORY_MAX, _T.NETWORK_MEMORY_FRACTION)
    network = reader.capped(flink, bounds, "network")
    taken = add(framework_heap, framework_off_heap, task_off_heap, managed, network)
    others = {
        "framework_heap": framework_heap,
        "framework_off_heap": framework_off_heap,
        "task_off_heap": task_off_heap,
        "managed": managed,
        "network": network,
    }
    if taken > flink:
        raise MemoryPlanError(
            "tm-derived-parts-exceed-flink",
            f"Together {listed(others)} exceed total Flink memory ({human_readable(flink)}) by "
            f"{human_readable(taken - flink)}.",
            numbers={**others, "total_flink": flink},
        )
    reader.steps.append(("task_heap", flink - taken, "remainder", (flink, others)))
    return framework_heap, framework_off_heap, flink - taken, task_off_heap, network, managed


def _managed(reader: OptionReader, flink: int) -> int:
    if reader.is_set(_T.MANAGED_MEMORY_SIZE):
        return _given(reader, "managed", _T.MANAGED_MEMORY_SIZE)
    fraction = reader.value(_T.MANAGED_MEMORY_FRACTION)
    if not 0 <= fraction < 1:
        raise MemoryPlanError(
            "range-inconsistent",
            f"'{_T.MANAGED_MEMORY_FRACTION.key}' ({fraction!r}) must be at least 0 and less than 1.",
            _T.MANAGED_MEMORY_FRACTION.key,
        )
    return reader.capped(flink, (0, LONG_MAX, fraction), "managed")


def _network_remainder(reader: OptionReader, flink: int, fixed: tuple[int, int, int, int, int]) -> int:
    """Network memory as what the fixed parts leave of Flink memory; out of its range it is refused, not capped."""
    others = dict(zip(_FIXED_PARTS, fixed, strict=True))
    taken = add(*fixed)
    if taken > flink:
        raise MemoryPlanError(
            "tm-fixed-parts-exceed-flink",
            f"Together {listed(others)} exceed total Flink memory ({human_readable(flink)}) by "
            f"{human_readable(taken - flink)}.",
            numbers={**others, "total_flink": flink},
        )
    network = flink - taken
    reader.steps.append(("network", network, "remainder", (flink, others)))
    least, greatest, fraction = reader.range(_T.NETWORK_MEMORY_MIN, _T.NETWORK_MEMORY_MAX, _T.NETWORK_MEMORY_FRACTION)
    if not least <= network <= greatest:
        raise MemoryPlanError(
            "network-out-of-range",
            f"Beside {listed(others)}, total Flink memory ({human_readable(flink)}) leaves {human_readable(network)} "
            f"of "
            f"network memory, which is outside its range [{human_readable(least)}, {human_readable(greatest)}].",
            numbers={**others, "total_flink": flink, "network": network, "min": least, "max": greatest},
        )
    if reader.is_set(_T.NETWORK_MEMORY_FRACTION) and fraction_of(flink, fraction) != network:
        reader.remark("INFO network-fraction-not-met")
    return network


def _cores_and_slots(reader: OptionReader) -> tuple[int, int]:
    """CPU cores in units of 10^-8, and the number of slots."""
    if reader.is_set(_T.CPU_CORES):
        cores = reader.value(_T.CPU_CORES)
    else:
        cores = float(reader.value(_T.NUM_TASK_SLOTS))
    assert cores is not None  # it is set
    if cores <= 0:
        raise MemoryPlanError(
            "cpu-not-positive",
            f"A TaskManager needs more than 0 CPU cores, not {cores!r}: set '{_T.CPU_CORES.key}', or "
            f"'{_T.NUM_TASK_SLOTS.key}' from which they follow.",
        )
    check_finite(cores)
    return cores_of(cores), reader.value(_T.NUM_TASK_SLOTS)


def check_finite(cores: float) -> None:
    """Refuses NaN and infinite CPU cores.

    Raises:
        MemoryPlanError: `cpu-not-finite`.
    """
    if cores - cores != 0:
        raise MemoryPlanError("cpu-not-finite", f"'{_T.CPU_CORES.key}' must be a finite number, not {cores!r}.")

"""The memory of local execution: parts are taken as they are (Flink's `TaskExecutorResourceUtils`)."""

from __future__ import annotations

from penstock.conf import ConfigOption, NetworkOptions, TaskManagerOptions, human_readable
from penstock.memory._arithmetic import add, cores_of
from penstock.memory._model_errors import MemoryPlanError
from penstock.memory._option_reader import OptionReader
from penstock.memory._plans import LocalPlan, Provenance
from penstock.memory._taskmanager import check_finite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from penstock.conf import Configuration

__all__ = ["UNLIMITED_BYTES", "plan_local", "read_cores", "read_network"]

_T = TaskManagerOptions

UNLIMITED_BYTES = 2**40
"""Task heap and off-heap of a local run that sets none: 1 TiB on paper, no limit in effect."""

_DEFAULT_CORES = 1_000_000
_DEFAULT_MANAGED_BYTES = 128 * 2**20
_DEFAULT_NETWORK_BYTES = 64 * 2**20
_DEFAULT_SORT_SHUFFLE_MIN_BUFFERS = 16

_IGNORED: tuple[ConfigOption[Any], ...] = (
    _T.TOTAL_PROCESS_MEMORY,
    _T.TOTAL_FLINK_MEMORY,
    _T.FRAMEWORK_HEAP_MEMORY,
    _T.FRAMEWORK_OFF_HEAP_MEMORY,
    _T.JVM_METASPACE,
    _T.JVM_OVERHEAD_MIN,
    _T.JVM_OVERHEAD_MAX,
    _T.JVM_OVERHEAD_FRACTION,
)


def plan_local(configuration: Configuration) -> LocalPlan:
    """Sizes the TaskManager of a local environment.

    Raises:
        MemoryPlanError: a value cannot be read, or the network limits differ.
    """
    return OptionReader(configuration).run(_plan, plan_local)


def _plan(reader: OptionReader) -> LocalPlan:
    for option in _IGNORED:
        if reader.is_set(option):
            reader.remark(f"WARN ignored-locally:{option.key}")
    cores_set = _set_or_remark(reader, _T.CPU_CORES)
    heap_set = _set_or_remark(reader, _T.TASK_HEAP_MEMORY)
    off_heap_set = _set_or_remark(reader, _T.TASK_OFF_HEAP_MEMORY)
    network_given = _one_network_limit(reader)
    managed_set = _set_or_remark(reader, _T.MANAGED_MEMORY_SIZE)

    network = read_network(reader) if network_given is None else network_given
    cores_e8 = read_cores(reader) if cores_set else _DEFAULT_CORES * 10**8
    task_heap = _part(reader, "task_heap", _T.TASK_HEAP_MEMORY, heap_set, UNLIMITED_BYTES)
    task_off_heap = _part(reader, "task_off_heap", _T.TASK_OFF_HEAP_MEMORY, off_heap_set, UNLIMITED_BYTES)
    managed = _part(reader, "managed", _T.MANAGED_MEMORY_SIZE, managed_set, _DEFAULT_MANAGED_BYTES)
    fixed = {
        "framework_heap": _T.FRAMEWORK_HEAP_MEMORY.default.bytes,
        "framework_off_heap": _T.FRAMEWORK_OFF_HEAP_MEMORY.default.bytes,
        "jvm_metaspace": _T.JVM_METASPACE.default.bytes,
        "jvm_overhead": _T.JVM_OVERHEAD_MAX.default.bytes,
    }
    for component, size in fixed.items():
        reader.steps.append((component, size, "local", ()))
    framework_heap, framework_off_heap, metaspace, overhead = fixed.values()
    add(task_heap, task_off_heap, network, managed, framework_heap, framework_off_heap)

    if reader.is_set(NetworkOptions.SORT_SHUFFLE_MIN_BUFFERS):
        min_buffers = reader.value(NetworkOptions.SORT_SHUFFLE_MIN_BUFFERS)
    else:
        min_buffers = _DEFAULT_SORT_SHUFFLE_MIN_BUFFERS
    task_managers, slots = _task_managers_and_slots(reader.configuration)
    provenance = Provenance("local", tuple(reader.steps), reader.configured_inputs(), tuple(reader.remarks))
    return LocalPlan(
        framework_heap, framework_off_heap, task_heap, task_off_heap, network, managed, metaspace, overhead, cores_e8,
        min_buffers, task_managers, slots, provenance,
    )  # fmt: skip


def _set_or_remark(reader: OptionReader, option: ConfigOption[Any]) -> bool:
    if reader.is_set(option):
        return True
    reader.remark(f"INFO local-default:{option.key}")
    return False


def _one_network_limit(reader: OptionReader) -> int | None:
    """Network memory where one limit stands for both, or none is set; None where both are set."""
    min_set = reader.is_set(_T.NETWORK_MEMORY_MIN)
    max_set = reader.is_set(_T.NETWORK_MEMORY_MAX)
    if min_set and max_set:
        return None
    if not min_set and not max_set:
        reader.remark(f"INFO local-default:{_T.NETWORK_MEMORY_MIN.key}")
        reader.remark(f"INFO local-default:{_T.NETWORK_MEMORY_MAX.key}")
        reader.steps.append(("network", _DEFAULT_NETWORK_BYTES, "local", ()))
        return _DEFAULT_NETWORK_BYTES
    given = _T.NETWORK_MEMORY_MIN if min_set else _T.NETWORK_MEMORY_MAX
    network = reader.plain_size(given)
    reader.steps.append(("network", network, "given", (given,)))
    return network


def _part(reader: OptionReader, component: str, option: ConfigOption[Any], is_set: bool, default: int) -> int:
    if not is_set:
        reader.steps.append((component, default, "local", ()))
        return default
    size = reader.plain_size(option)
    reader.steps.append((component, size, "given", (option,)))
    return size


def read_network(reader: OptionReader) -> int:
    """Network memory as a process takes it: minimum and maximum must be the same.

    Raises:
        MemoryPlanError: `local-network-min-max-differ`, or unreadable.
    """
    least = reader.plain_size(_T.NETWORK_MEMORY_MIN)
    greatest = reader.plain_size(_T.NETWORK_MEMORY_MAX)
    if least != greatest:
        raise MemoryPlanError(
            "local-network-min-max-differ",
            f"'{_T.NETWORK_MEMORY_MIN.key}' ({human_readable(least)}) and '{_T.NETWORK_MEMORY_MAX.key}' "
            f"({human_readable(greatest)}) must be equal here: no network memory is derived, they are its size.",
        )
    reader.steps.append(("network", least, "given", (_T.NETWORK_MEMORY_MIN, _T.NETWORK_MEMORY_MAX)))
    return least


def read_cores(reader: OptionReader) -> int:
    """CPU cores in units of 10^-8, as a process takes them: 0 is accepted.

    Raises:
        MemoryPlanError: `cpu-not-finite`, `cpu-negative`, or unreadable.
    """
    cores = reader.value(_T.CPU_CORES)
    assert cores is not None  # it is set
    check_finite(cores)
    cores_e8 = cores_of(cores)
    if cores_e8 < 0:
        raise MemoryPlanError("cpu-negative", f"'{_T.CPU_CORES.key}' must not be negative, but is {cores!r}.")
    return cores_e8


def _task_managers_and_slots(configuration: Configuration) -> tuple[int, int | None]:
    """How many TaskManagers the process has and the slots of each; unreadable values count as not set.

    The figures are for display and for starting a mini cluster, which reads, remarks on and refuses them itself.
    """
    reader = OptionReader(configuration)
    try:
        task_managers = max(1, reader.value(_T.NUM_TASK_MANAGERS))
        slots = reader.value(_T.NUM_TASK_SLOTS) if reader.is_set(_T.NUM_TASK_SLOTS) else None
    except MemoryPlanError:
        return 1, None
    return task_managers, slots

"""How the JobManager's memory follows from its options (Flink's `JobManagerFlinkMemoryUtils`)."""

from __future__ import annotations

from penstock.conf import JobManagerOptions, human_readable
from penstock.memory._arithmetic import add
from penstock.memory._jvm_parts import ProcessOptions, jvm_parts_from_flink, jvm_parts_from_process
from penstock.memory._model_errors import MemoryPlanError, listed
from penstock.memory._option_reader import OptionReader
from penstock.memory._plans import JobManagerPlan, Provenance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf import Configuration

__all__ = ["plan_job_manager"]

_J = JobManagerOptions

_PROCESS_OPTIONS = ProcessOptions(
    _J.TOTAL_PROCESS_MEMORY,
    _J.TOTAL_FLINK_MEMORY,
    _J.JVM_METASPACE,
    _J.JVM_OVERHEAD_MIN,
    _J.JVM_OVERHEAD_MAX,
    _J.JVM_OVERHEAD_FRACTION,
)

_RECOMMENDED_HEAP_BYTES = 128 * 2**20


def plan_job_manager(configuration: Configuration) -> JobManagerPlan:
    """Sizes the JobManager.

    Raises:
        MemoryPlanError: a value cannot be read, or the values contradict each other.
    """
    return OptionReader(configuration).run(_plan, plan_job_manager)


def _plan(reader: OptionReader) -> JobManagerPlan:
    if reader.is_set(_J.JVM_HEAP_MEMORY):
        route = "parts"
        heap, off_heap, network = _heap_given(reader)
        _remark_on_small_heap(reader, heap)
        metaspace, overhead = jvm_parts_from_flink(reader, _PROCESS_OPTIONS, add(heap, off_heap))
    elif reader.is_set(_J.TOTAL_FLINK_MEMORY):
        route = "flink"
        flink = reader.size(_J.TOTAL_FLINK_MEMORY)
        reader.steps.append(("total_flink", flink, "given", (_J.TOTAL_FLINK_MEMORY,)))
        heap, off_heap, network = _split(reader, flink)
        metaspace, overhead = jvm_parts_from_flink(reader, _PROCESS_OPTIONS, flink)
    elif reader.is_set(_J.TOTAL_PROCESS_MEMORY):
        route = "process"
        flink, metaspace, overhead = jvm_parts_from_process(reader, _PROCESS_OPTIONS)
        heap, off_heap, network = _split(reader, flink)
    else:
        raise MemoryPlanError(
            "not-configured",
            f"The JobManager's memory is not configured: set '{_J.TOTAL_PROCESS_MEMORY.key}', "
            f"'{_J.TOTAL_FLINK_MEMORY.key}' or '{_J.JVM_HEAP_MEMORY.key}'.",
        )
    limited = reader.value(_J.JVM_DIRECT_MEMORY_LIMIT_ENABLED)
    provenance = Provenance(route, tuple(reader.steps), reader.configured_inputs(), tuple(reader.remarks))
    return JobManagerPlan(heap, off_heap, metaspace, overhead, network, limited, provenance)


def _heap_given(reader: OptionReader) -> tuple[int, int, int]:
    """Route A: (heap, off-heap, network inside off-heap)."""
    heap = reader.size(_J.JVM_HEAP_MEMORY)
    default_off_heap = off_heap = reader.size(_J.OFF_HEAP_MEMORY)
    network = _network(reader)
    if not reader.is_set(_J.TOTAL_FLINK_MEMORY):
        off_heap = _hold_network(reader, off_heap, network)
        reader.steps.append(("jvm_heap", heap, "given", (_J.JVM_HEAP_MEMORY,)))
        return heap, off_heap, network
    flink = reader.size(_J.TOTAL_FLINK_MEMORY)
    reader.steps.append(("total_flink", flink, "given", (_J.TOTAL_FLINK_MEMORY,)))
    if reader.is_set(_J.OFF_HEAP_MEMORY):
        given = {"jvm_heap": heap, "off_heap": off_heap}
        if add(heap, off_heap) != flink:
            raise MemoryPlanError(
                "jm-heap-offheap-mismatch",
                f"{listed(given).capitalize()} do not add up to total Flink memory ({human_readable(flink)}).",
                numbers={**given, "total_flink": flink},
            )
        _hold_network(reader, off_heap, network)
        reader.steps.append(("jvm_heap", heap, "given", (_J.JVM_HEAP_MEMORY,)))
        return heap, off_heap, network
    if heap > flink:
        raise MemoryPlanError(
            "jm-heap-exceeds-flink",
            f"Heap ({human_readable(heap)}) exceeds total Flink memory ({human_readable(flink)}).",
            numbers={"jvm_heap": heap, "total_flink": flink},
        )
    off_heap = flink - heap
    if off_heap != default_off_heap:
        reader.remark("INFO jm-offheap-default-replaced")
    if off_heap < network:
        off_heap = network
        _check_heap_left(flink, off_heap)
        heap = flink - off_heap
        reader.remark("WARN jm-heap-yields-to-network")
        reader.steps.append(("jvm_heap", heap, "remainder", (flink, {"off_heap": off_heap})))
        reader.steps.append(("off_heap", off_heap, "raised", (_J.NETWORK_MEMORY_SIZE,)))
    else:
        reader.steps.append(("jvm_heap", heap, "given", (_J.JVM_HEAP_MEMORY,)))
        reader.steps.append(("off_heap", off_heap, "remainder", (flink, {"jvm_heap": heap})))
    return heap, off_heap, network


def _split(reader: OptionReader, flink: int) -> tuple[int, int, int]:
    """Routes B and C: (heap, off-heap, network inside off-heap) of known Flink memory."""
    off_heap = reader.size(_J.OFF_HEAP_MEMORY)
    network = _network(reader)
    off_heap = _hold_network(reader, off_heap, network)
    _check_heap_left(flink, off_heap)
    heap = flink - off_heap
    reader.steps.append(("jvm_heap", heap, "remainder", (flink, {"off_heap": off_heap})))
    _remark_on_small_heap(reader, heap)
    return heap, off_heap, network


def _check_heap_left(flink: int, off_heap: int) -> None:
    if flink <= off_heap:
        raise MemoryPlanError(
            "jm-flink-not-above-offheap",
            f"Total Flink memory ({human_readable(flink)}) leaves no heap beside {listed({'off_heap': off_heap})}.",
            numbers={"total_flink": flink, "off_heap": off_heap},
        )


def _network(reader: OptionReader) -> int:
    """What Flink.NET's key sets aside inside off-heap, 0 when it is not set."""
    if not reader.is_set(_J.NETWORK_MEMORY_SIZE):
        return 0
    network = reader.size(_J.NETWORK_MEMORY_SIZE)
    reader.steps.append(("network", network, "given", (_J.NETWORK_MEMORY_SIZE,)))
    return network


def _hold_network(reader: OptionReader, off_heap: int, network: int) -> int:
    """Off-heap that holds the network memory: a configured size must, the default is raised to it."""
    if off_heap >= network:
        reader.steps.append(("off_heap", off_heap, "given", (_J.OFF_HEAP_MEMORY,)))
        return off_heap
    if reader.is_set(_J.OFF_HEAP_MEMORY):
        raise MemoryPlanError(
            "jm-network-exceeds-offheap",
            f"Off-heap ({human_readable(off_heap)}) does not hold the network memory of '{_J.NETWORK_MEMORY_SIZE.key}' "
            f"({human_readable(network)}), which is a part of it.",
            _J.NETWORK_MEMORY_SIZE.key,
            numbers={"off_heap": off_heap, "network": network},
        )
    reader.steps.append(("off_heap", network, "raised", (_J.NETWORK_MEMORY_SIZE,)))
    return network


def _remark_on_small_heap(reader: OptionReader, heap: int) -> None:
    if heap < _RECOMMENDED_HEAP_BYTES:
        reader.remark("WARN jm-heap-below-recommended")

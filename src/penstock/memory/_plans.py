"""What the memory model answers: frozen plans of a TaskManager, of the JobManager, and of local execution."""

from __future__ import annotations

from penstock.conf import Record, java_double
from penstock.memory._arithmetic import CORES_SCALE, cores_text
from penstock.memory._java_hash_map import hash_map_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from penstock.memory._model_errors import Input

__all__ = ["JobManagerPlan", "LocalPlan", "Provenance", "SlotShare", "TaskManagerPlan"]


class Provenance(Record):
    """Where a plan came from.

    Attributes:
        route: which given sizes the derivation started from: `parts`, `flink`, `process` or `local`.
        steps: one tuple a derived component; `penstock.memory.explain` puts them into words.
        inputs: the configured values that were read.
        remarks: what Flink would log, as `LEVEL id`, each once, in the order of occurrence.
    """

    route: str
    steps: tuple[tuple[Any, ...], ...]
    inputs: tuple[Input, ...]
    remarks: tuple[str, ...]


class SlotShare(Record):
    """What a default slot has of a TaskManager: sizes divided by the number of slots, cut off.

    Only managed memory is a limit of the slot; heap and network buffers are shared by all slots, the figures serve
    scheduling.

    Attributes:
        cpu_cores_e8: cores in units of 10^-8.
        task_heap_bytes: of task heap.
        task_off_heap_bytes: of task off-heap.
        network_bytes: of network memory.
        managed_bytes: of managed memory.
    """

    cpu_cores_e8: int
    task_heap_bytes: int
    task_off_heap_bytes: int
    network_bytes: int
    managed_bytes: int

    @property
    def cpu_cores(self) -> str:
        """Cores as decimal text."""
        return cores_text(self.cpu_cores_e8)


class _TaskManagerSizes(Record):
    framework_heap_bytes: int
    framework_off_heap_bytes: int
    task_heap_bytes: int
    task_off_heap_bytes: int
    network_bytes: int
    managed_bytes: int
    jvm_metaspace_bytes: int
    jvm_overhead_bytes: int
    cpu_cores_e8: int

    @property
    def total_flink_bytes(self) -> int:
        """Framework and task memory on and off heap, network, managed."""
        return (
            self.framework_heap_bytes
            + self.framework_off_heap_bytes
            + self.task_heap_bytes
            + self.task_off_heap_bytes
            + self.network_bytes
            + self.managed_bytes
        )

    @property
    def total_process_bytes(self) -> int:
        """Total Flink memory, metaspace and overhead."""
        return self.total_flink_bytes + self.jvm_metaspace_bytes + self.jvm_overhead_bytes

    @property
    def cpu_cores(self) -> str:
        """Cores as decimal text, `2.5`."""
        return cores_text(self.cpu_cores_e8)

    def slot_share(self, slots: int) -> SlotShare:
        """What each of `slots` slots (>= 1) has."""
        return SlotShare(
            self.cpu_cores_e8 // slots,
            self.task_heap_bytes // slots,
            self.task_off_heap_bytes // slots,
            self.network_bytes // slots,
            self.managed_bytes // slots,
        )


class TaskManagerPlan(_TaskManagerSizes):
    """The memory of a TaskManager process (Flink's `TaskExecutorProcessSpec`).

    Attributes:
        framework_heap_bytes, framework_off_heap_bytes, task_heap_bytes, task_off_heap_bytes, network_bytes,
        managed_bytes,
            jvm_metaspace_bytes, jvm_overhead_bytes: the components.
        cpu_cores_e8: cores in units of 10^-8.
        slots: as configured; may be 0 or negative, which start-up refuses (-1 means 1 there).
        provenance: how it came about.
    """

    slots: int
    provenance: Provenance

    @property
    def jvm_heap_bytes(self) -> int:
        """Framework and task heap: the one heap of the process."""
        return self.framework_heap_bytes + self.task_heap_bytes

    @property
    def jvm_direct_bytes(self) -> int:
        """Framework and task off-heap, and network memory."""
        return self.framework_off_heap_bytes + self.task_off_heap_bytes + self.network_bytes

    def components(self) -> dict[str, int]:
        """Names to bytes, sums included."""
        return {
            "framework_heap": self.framework_heap_bytes,
            "framework_off_heap": self.framework_off_heap_bytes,
            "task_heap": self.task_heap_bytes,
            "task_off_heap": self.task_off_heap_bytes,
            "network": self.network_bytes,
            "managed": self.managed_bytes,
            "jvm_metaspace": self.jvm_metaspace_bytes,
            "jvm_overhead": self.jvm_overhead_bytes,
            "total_flink": self.total_flink_bytes,
            "total_process": self.total_process_bytes,
            "jvm_heap": self.jvm_heap_bytes,
            "jvm_direct": self.jvm_direct_bytes,
        }

    def jvm_arguments(self) -> str:
        """The arguments Flink's start script passes to the JVM."""
        heap = self.jvm_heap_bytes
        return (
            f"-Xmx{heap} -Xms{heap} -XX:MaxDirectMemorySize={self.jvm_direct_bytes} "
            f"-XX:MaxMetaspaceSize={self.jvm_metaspace_bytes}"
        )

    def dynamic_options(self) -> dict[str, str]:
        """The derived settings Flink hands to the process; read as a configuration they give this plan again.

        They come in the order Flink's start script prints them.
        """
        prefix = "taskmanager.memory."
        options = {
            "taskmanager.cpu.cores": java_double(self.cpu_cores_e8 / CORES_SCALE),
            prefix + "framework.heap.size": f"{self.framework_heap_bytes}b",
            prefix + "framework.off-heap.size": f"{self.framework_off_heap_bytes}b",
            prefix + "task.heap.size": f"{self.task_heap_bytes}b",
            prefix + "task.off-heap.size": f"{self.task_off_heap_bytes}b",
            prefix + "network.min": f"{self.network_bytes}b",
            prefix + "network.max": f"{self.network_bytes}b",
            prefix + "managed.size": f"{self.managed_bytes}b",
            prefix + "jvm-metaspace.size": f"{self.jvm_metaspace_bytes}b",
            prefix + "jvm-overhead.min": f"{self.jvm_overhead_bytes}b",
            prefix + "jvm-overhead.max": f"{self.jvm_overhead_bytes}b",
            "taskmanager.numberOfTaskSlots": str(self.slots),
            "external-resources": "none",
        }
        return {key: options[key] for key in hash_map_order(tuple(options))}


class LocalPlan(_TaskManagerSizes):
    """A TaskManager inside the client's process (Flink's `TaskExecutorResourceUtils.adjustForLocalExecution`).

    Attributes:
        framework_heap_bytes, framework_off_heap_bytes, task_heap_bytes, task_off_heap_bytes, network_bytes,
        managed_bytes,
            jvm_metaspace_bytes, jvm_overhead_bytes: the components; 1 TiB of task heap or off-heap stands for no limit.
        cpu_cores_e8: cores in units of 10^-8.
        sort_shuffle_min_buffers: buffers a blocking partition requires.
        task_managers: how many there are in the process.
        slots: of each, None where it follows from the job: see `slots_for`.
        provenance: how it came about.
    """

    sort_shuffle_min_buffers: int
    task_managers: int
    slots: int | None
    provenance: Provenance

    @property
    def total_process_bytes(self) -> int:
        """Total Flink memory, metaspace and overhead; wraps around in 64 bits, as Flink's does."""
        total = self.total_flink_bytes + self.jvm_metaspace_bytes + self.jvm_overhead_bytes
        return (total + 2**63) % 2**64 - 2**63

    def components(self) -> dict[str, int]:
        """Names to bytes, totals included."""
        return {
            "framework_heap": self.framework_heap_bytes,
            "framework_off_heap": self.framework_off_heap_bytes,
            "task_heap": self.task_heap_bytes,
            "task_off_heap": self.task_off_heap_bytes,
            "network": self.network_bytes,
            "managed": self.managed_bytes,
            "jvm_metaspace": self.jvm_metaspace_bytes,
            "jvm_overhead": self.jvm_overhead_bytes,
            "total_flink": self.total_flink_bytes,
            "total_process": self.total_process_bytes,
        }

    def slots_for(self, parallelism: int) -> int:
        """Slots of each TaskManager for a job of this largest parallelism."""
        if self.slots is not None:
            return self.slots
        return -(-parallelism // self.task_managers)


class JobManagerPlan(Record):
    """The memory of a JobManager process (Flink's `JobManagerProcessSpec`).

    Attributes:
        jvm_heap_bytes: heap.
        off_heap_bytes: off-heap.
        jvm_metaspace_bytes: metaspace.
        jvm_overhead_bytes: overhead.
        network_bytes: of off-heap, set aside by `jobmanager.network.memory.size`; Flink has no such part.
        direct_memory_limited: whether the JVM is told of off-heap as a limit.
        provenance: how it came about.
    """

    jvm_heap_bytes: int
    off_heap_bytes: int
    jvm_metaspace_bytes: int
    jvm_overhead_bytes: int
    network_bytes: int
    direct_memory_limited: bool
    provenance: Provenance

    @property
    def total_flink_bytes(self) -> int:
        """Heap and off-heap."""
        return self.jvm_heap_bytes + self.off_heap_bytes

    @property
    def total_process_bytes(self) -> int:
        """Total Flink memory, metaspace and overhead."""
        return self.total_flink_bytes + self.jvm_metaspace_bytes + self.jvm_overhead_bytes

    def components(self) -> dict[str, int]:
        """Names to bytes, totals included."""
        return {
            "jvm_heap": self.jvm_heap_bytes,
            "off_heap": self.off_heap_bytes,
            "jvm_metaspace": self.jvm_metaspace_bytes,
            "jvm_overhead": self.jvm_overhead_bytes,
            "total_flink": self.total_flink_bytes,
            "total_process": self.total_process_bytes,
        }

    def jvm_arguments(self) -> str:
        """The arguments Flink's start script passes to the JVM."""
        heap = self.jvm_heap_bytes
        direct = f"-XX:MaxDirectMemorySize={self.off_heap_bytes} " if self.direct_memory_limited else ""
        return f"-Xmx{heap} -Xms{heap} {direct}-XX:MaxMetaspaceSize={self.jvm_metaspace_bytes}"

    def dynamic_options(self) -> dict[str, str]:
        """The derived settings Flink hands to the process, in the order its start script prints them."""
        prefix = "jobmanager.memory."
        options = {
            prefix + "heap.size": f"{self.jvm_heap_bytes}b",
            prefix + "off-heap.size": f"{self.off_heap_bytes}b",
            prefix + "jvm-metaspace.size": f"{self.jvm_metaspace_bytes}b",
            prefix + "jvm-overhead.min": f"{self.jvm_overhead_bytes}b",
            prefix + "jvm-overhead.max": f"{self.jvm_overhead_bytes}b",
        }
        return {key: options[key] for key in hash_map_order(tuple(options))}

"""Options of the JobManager's memory."""

from __future__ import annotations

from penstock.conf._memory_size import MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, FLOAT, SIZE

__all__ = ["JobManagerOptions"]

_MIB = 2**20


class JobManagerOptions:
    """JobManager: memory (Flink's `JobManagerOptions`).

    The foreign keys are those of an early page of the Flink.NET project.
    """

    TOTAL_PROCESS_MEMORY: ConfigOption[MemorySize | None] = ConfigOption(
        "jobmanager.memory.process.size",
        SIZE,
        None,
        "All the memory the JobManager process uses. One of this, `jobmanager.memory.flink.size` or "
        "`jobmanager.memory.heap.size` is needed.",
        foreign_keys=("jobmanager.process.memory.size",),
    )
    TOTAL_FLINK_MEMORY: ConfigOption[MemorySize | None] = ConfigOption(
        "jobmanager.memory.flink.size",
        SIZE,
        None,
        "Total Flink memory of the JobManager: heap and off-heap.",
    )
    JVM_HEAP_MEMORY: ConfigOption[MemorySize | None] = ConfigOption(
        "jobmanager.memory.heap.size",
        SIZE,
        None,
        "Heap of the JobManager. Below 128 MiB is remarked on.",
        foreign_keys=("jobmanager.heap.memory.size",),
    )
    OFF_HEAP_MEMORY = ConfigOption(
        "jobmanager.memory.off-heap.size",
        SIZE,
        MemorySize(128 * _MIB),
        "Native memory of the JobManager. When heap and total Flink memory are set and this is not, it is what the "
        "heap leaves.",
        foreign_keys=("jobmanager.offheap.memory.size",),
    )
    JVM_METASPACE = ConfigOption(
        "jobmanager.memory.jvm-metaspace.size",
        SIZE,
        MemorySize(256 * _MIB),
        "Memory for code: interpreter, modules, native libraries.",
    )
    JVM_OVERHEAD_MIN = ConfigOption(
        "jobmanager.memory.jvm-overhead.min", SIZE, MemorySize(192 * _MIB), "Least overhead of the JobManager."
    )
    JVM_OVERHEAD_MAX = ConfigOption(
        "jobmanager.memory.jvm-overhead.max", SIZE, MemorySize(1024 * _MIB), "Most overhead of the JobManager."
    )
    JVM_OVERHEAD_FRACTION = ConfigOption(
        "jobmanager.memory.jvm-overhead.fraction",
        FLOAT,
        0.10000000149011612,
        "Overhead as a fraction of the JobManager's total process memory, within its minimum and maximum.",
        default_text="0.1",
    )
    JVM_DIRECT_MEMORY_LIMIT_ENABLED = ConfigOption(
        "jobmanager.memory.enable-jvm-direct-memory-limit",
        BOOLEAN,
        False,
        "Whether off-heap memory is passed to the JVM as a limit (`-XX:MaxDirectMemorySize`).",
    )
    NETWORK_MEMORY_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "jobmanager.network.memory.size",
        SIZE,
        None,
        "Flink.NET's name for network buffers of the JobManager, which Flink's model does not have. Penstock sets "
        "them aside "
        "inside off-heap memory: a configured off-heap size must hold them, one that is not configured is raised to "
        "hold them.",
    )

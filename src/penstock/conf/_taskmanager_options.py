"""Options of a TaskManager's memory, slots and cores."""

from __future__ import annotations

from penstock.conf._memory_size import LONG_MAX, MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._types import DOUBLE, FLOAT, INTEGER, SIZE

__all__ = ["TaskManagerOptions"]

_MIB = 2**20


class TaskManagerOptions:
    """TaskManager: memory and slots (Flink's `TaskManagerOptions`)."""

    TOTAL_PROCESS_MEMORY: ConfigOption[MemorySize | None] = ConfigOption(
        "taskmanager.memory.process.size",
        SIZE,
        None,
        "All the memory a TaskManager process uses: total Flink memory, metaspace and overhead. On a container set "
        "it to the "
        "container's memory. One of this, `taskmanager.memory.flink.size`, or `taskmanager.memory.task.heap.size` "
        "together "
        "with `taskmanager.memory.managed.size` is needed.",
    )
    TOTAL_FLINK_MEMORY: ConfigOption[MemorySize | None] = ConfigOption(
        "taskmanager.memory.flink.size",
        SIZE,
        None,
        "Total Flink memory: framework and task memory on and off heap, managed and network memory; without "
        "metaspace and overhead.",
    )
    FRAMEWORK_HEAP_MEMORY = ConfigOption(
        "taskmanager.memory.framework.heap.size",
        SIZE,
        MemorySize(128 * _MIB),
        "Heap set aside for the framework. It is part of the one heap of the process, but not given to slots.",
    )
    FRAMEWORK_OFF_HEAP_MEMORY = ConfigOption(
        "taskmanager.memory.framework.off-heap.size",
        SIZE,
        MemorySize(128 * _MIB),
        "Native memory set aside for the framework's own libraries.",
    )
    TASK_HEAP_MEMORY: ConfigOption[MemorySize | None] = ConfigOption(
        "taskmanager.memory.task.heap.size",
        SIZE,
        None,
        "Heap for the tasks: user functions and the state of the `hashmap` backend. Not set, it is what the other "
        "parts leave of "
        "total Flink memory.",
    )
    TASK_OFF_HEAP_MEMORY = ConfigOption(
        "taskmanager.memory.task.off-heap.size",
        SIZE,
        MemorySize(0),
        "Native memory of user code: NumPy, Arrow, C extensions.",
    )
    MANAGED_MEMORY_SIZE: ConfigOption[MemorySize | None] = ConfigOption(
        "taskmanager.memory.managed.size",
        SIZE,
        None,
        "Managed memory: sorting, hash tables, RocksDB and Python worker processes. Not set, it is "
        "`taskmanager.memory.managed.fraction` of total Flink memory.",
        ("taskmanager.memory.size",),
    )
    MANAGED_MEMORY_FRACTION = ConfigOption(
        "taskmanager.memory.managed.fraction",
        FLOAT,
        0.4000000059604645,
        "Managed memory as a fraction of total Flink memory; ignored where `taskmanager.memory.managed.size` is set.",
        default_text="0.4",
    )
    NETWORK_MEMORY_MIN = ConfigOption(
        "taskmanager.memory.network.min",
        SIZE,
        MemorySize(64 * _MIB),
        "Least network memory. With the maximum equal to it, network memory has this size exactly.",
        ("taskmanager.network.memory.min",),
    )
    NETWORK_MEMORY_MAX = ConfigOption(
        "taskmanager.memory.network.max",
        SIZE,
        MemorySize(LONG_MAX),
        "Most network memory.",
        ("taskmanager.network.memory.max",),
        default_text="no limit",
    )
    NETWORK_MEMORY_FRACTION = ConfigOption(
        "taskmanager.memory.network.fraction",
        FLOAT,
        0.10000000149011612,
        "Network memory as a fraction of total Flink memory, within its minimum and maximum.",
        ("taskmanager.network.memory.fraction",),
        default_text="0.1",
    )
    JVM_METASPACE = ConfigOption(
        "taskmanager.memory.jvm-metaspace.size",
        SIZE,
        MemorySize(256 * _MIB),
        "Memory for code: in Penstock the interpreter, modules and native libraries, as they are after start-up.",
    )
    JVM_OVERHEAD_MIN = ConfigOption(
        "taskmanager.memory.jvm-overhead.min",
        SIZE,
        MemorySize(192 * _MIB),
        "Least overhead: thread stacks, allocator slack and everything else that has no component of its own.",
    )
    JVM_OVERHEAD_MAX = ConfigOption(
        "taskmanager.memory.jvm-overhead.max",
        SIZE,
        MemorySize(1024 * _MIB),
        "Most overhead.",
    )
    JVM_OVERHEAD_FRACTION = ConfigOption(
        "taskmanager.memory.jvm-overhead.fraction",
        FLOAT,
        0.10000000149011612,
        "Overhead as a fraction of total process memory, within its minimum and maximum.",
        default_text="0.1",
    )
    CPU_CORES: ConfigOption[float | None] = ConfigOption(
        "taskmanager.cpu.cores",
        DOUBLE,
        None,
        "CPU cores of the TaskManager, for scheduling; the number of slots when not set. Cut off to eight decimals.",
    )
    NUM_TASK_SLOTS = ConfigOption(
        "taskmanager.numberOfTaskSlots",
        INTEGER,
        1,
        "Slots of a TaskManager: how many parallel pipelines it runs. Managed memory is divided evenly among them.",
    )
    MEMORY_SEGMENT_SIZE = ConfigOption(
        "taskmanager.memory.segment-size",
        SIZE,
        MemorySize(32 * 2**10),
        "Size of a network buffer and of a page of managed memory; a power of two, at least 4 kb.",
    )
    NUM_TASK_MANAGERS = ConfigOption(
        "minicluster.number-of-taskmanagers",
        INTEGER,
        1,
        "TaskManagers of a local environment.",
        ("local.number-taskmanager",),
    )

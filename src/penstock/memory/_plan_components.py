"""A ledger over the owners of a planned process: which component has which budget, gauge and option."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from penstock.memory._allocator import retained_bytes
from penstock.memory._ledger import FigureKind, Ledger
from penstock.memory._process_memory import resident_memory

if TYPE_CHECKING:
    from penstock.memory._heap_guard import HeapGuard
    from penstock.memory._manager import MemoryManager
    from penstock.memory._network_pool import NetworkBufferPool
    from penstock.memory._plans import LocalPlan, TaskManagerPlan

__all__ = ["HEAP", "MANAGED", "METASPACE", "NETWORK", "OVERHEAD", "TASK_OFF_HEAP", "open_ledger"]

HEAP = "heap"
MANAGED = "managed"
NETWORK = "network"
TASK_OFF_HEAP = "task off-heap"
METASPACE = "metaspace"
OVERHEAD = "overhead"

_UNLIMITED_BYTES = 2**40
"""Task heap and off-heap of a local run without a limit (`penstock.memory._local.UNLIMITED_BYTES`)."""


def open_ledger(
    plan: TaskManagerPlan | LocalPlan,
    *,
    heap_guard: HeapGuard | None = None,
    managers: Sequence[MemoryManager] = (),
    network: NetworkBufferPool | None = None,
    off_heap_used: Callable[[], int] | None = None,
    off_heap_peak: Callable[[], int] | None = None,
) -> Ledger:
    """The ledger of a TaskManager process or a local run.

    Args:
        plan: the budgets.
        heap_guard: the heap's owner; None where none is installed: the heap is then what the kernel says is left when
            everything else is subtracted.
        managers: the slots' memory managers.
        network: the network buffers.
        off_heap_used: reads what is known of native memory of user code (NumPy, Arrow), in bytes.
        off_heap_peak: reads its peak.
    """
    ledger = Ledger()
    _register_heap(ledger, plan, heap_guard, managers)
    for manager in managers:
        _register_manager(ledger, manager)
    if network is not None:
        _register_network(ledger, network)
    off_heap_bytes = plan.task_off_heap_bytes + plan.framework_off_heap_bytes
    ledger.register(
        TASK_OFF_HEAP,
        off_heap_used or _nothing,
        FigureKind.ENFORCED if off_heap_used is not None else FigureKind.SAMPLED,
        budget_bytes=None if plan.task_off_heap_bytes >= _UNLIMITED_BYTES else off_heap_bytes,
        peak=off_heap_peak,
        option="taskmanager.memory.task.off-heap.size",
    )
    ledger.register(
        METASPACE,
        lambda: resident_memory().file_bytes,
        FigureKind.SAMPLED,
        budget_bytes=plan.jvm_metaspace_bytes,
        option="taskmanager.memory.jvm-metaspace.size",
    )
    if retained_bytes() is not None:
        ledger.register(
            OVERHEAD,
            lambda: retained_bytes() or 0,
            FigureKind.SAMPLED,
            budget_bytes=plan.jvm_overhead_bytes,
            option="taskmanager.memory.jvm-overhead.max",
        )
    return ledger


def _register_heap(
    ledger: Ledger, plan: TaskManagerPlan | LocalPlan, guard: HeapGuard | None, managers: Sequence[MemoryManager]
) -> None:
    limited = plan.task_heap_bytes < _UNLIMITED_BYTES
    if guard is None:
        return

    def lent_bytes() -> int:
        # Sorted records are Python objects, but managed memory: the heap guard's limit has been raised by as much.
        return sum(manager.heap_bytes for manager in managers)

    ledger.register(
        HEAP,
        lambda: guard.used() - lent_bytes(),
        FigureKind.ENFORCED if guard.mode == "enforced" else FigureKind.SAMPLED,
        budget_bytes=plan.framework_heap_bytes + plan.task_heap_bytes if limited else None,
        peak=guard.peak,
        option="taskmanager.memory.task.heap.size",
    )


def _register_manager(ledger: Ledger, manager: MemoryManager) -> None:
    ledger.register(
        MANAGED,
        lambda: manager.reserved_bytes,
        FigureKind.RESERVED,
        budget_bytes=manager.total_bytes,
        peak=lambda: manager.peak_bytes,
        resident=manager.resident_bytes,
        slot=manager.slot_index,
        option="taskmanager.memory.managed.size",
    )


def _register_network(ledger: Ledger, network: NetworkBufferPool) -> None:
    size_bytes = network.buffer_size_bytes
    ledger.register(
        NETWORK,
        lambda: network.used_buffers * size_bytes,
        FigureKind.ENFORCED,
        budget_bytes=network.total_buffers * size_bytes,
        peak=lambda: network.peak_buffers * size_bytes,
        resident=lambda: network.touched_buffers * size_bytes,
        option="taskmanager.memory.network.max",
    )


def _nothing() -> int:
    return 0

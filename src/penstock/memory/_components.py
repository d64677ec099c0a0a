"""How each owner of memory shows in the ledger: name, budget, gauge, peak, option."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.memory._allocator import retained_bytes
from penstock.memory._ledger import FigureKind, Gauge, Ledger
from penstock.memory._process_memory import resident_memory

if TYPE_CHECKING:
    from penstock.memory._heap_guard import HeapGuard
    from penstock.memory._manager import MemoryManager
    from penstock.memory._network_pool import NetworkBufferPool

__all__ = [
    "register_allocator",
    "register_code",
    "register_heap",
    "register_managed",
    "register_network",
    "register_off_heap",
]


def register_heap(ledger: Ledger, guard: HeapGuard, budget_bytes: int | None) -> Gauge:
    """The CPython heap, framework and task heap together.

    Args:
        ledger: where to.
        guard: the heap's owner.
        budget_bytes: framework heap + task heap, None for no limit.
    """
    return ledger.register(
        "heap",
        guard.used,
        FigureKind.ENFORCED if guard.mode == "enforced" else FigureKind.SAMPLED,
        budget_bytes=budget_bytes,
        peak=guard.peak,
        option="taskmanager.memory.task.heap.size",
    )


def register_managed(ledger: Ledger, manager: MemoryManager) -> Gauge:
    """The managed memory of a slot."""
    return ledger.register(
        "managed",
        lambda: manager.reserved_bytes,
        FigureKind.RESERVED,
        budget_bytes=manager.total_bytes,
        peak=lambda: manager.peak_bytes,
        resident=manager.resident_bytes,
        slot=manager.slot_index,
        option="taskmanager.memory.managed.size",
    )


def register_network(ledger: Ledger, network: NetworkBufferPool) -> Gauge:
    """The network buffers."""
    size_bytes = network.buffer_size_bytes
    return ledger.register(
        "network",
        lambda: network.used_buffers * size_bytes,
        FigureKind.ENFORCED,
        budget_bytes=network.total_buffers * size_bytes,
        peak=lambda: network.peak_buffers * size_bytes,
        resident=lambda: network.touched_buffers * size_bytes,
        option="taskmanager.memory.network.max",
    )


def register_off_heap(
    ledger: Ledger, used: Callable[[], int], peak: Callable[[], int], budget_bytes: int | None
) -> Gauge:
    """Native memory of user code, as far as its libraries tell.

    Args:
        ledger: where to.
        used: reads what NumPy, Arrow and the like hold, in bytes.
        peak: reads its peak.
        budget_bytes: framework off-heap + task off-heap, None for no limit.
    """
    return ledger.register(
        "off-heap",
        used,
        FigureKind.ENFORCED,
        budget_bytes=budget_bytes,
        peak=peak,
        option="taskmanager.memory.task.off-heap.size",
    )


def register_code(ledger: Ledger, budget_bytes: int) -> Gauge:
    """Code: the interpreter, modules' and libraries' files in memory (metaspace, in Flink's terms)."""
    return ledger.register(
        "metaspace",
        lambda: resident_memory().file_bytes,
        FigureKind.SAMPLED,
        budget_bytes=budget_bytes,
        option="taskmanager.memory.jvm-metaspace.size",
    )


def register_allocator(ledger: Ledger, budget_bytes: int) -> Gauge | None:
    """What the C library's allocator keeps free (overhead, in Flink's terms); None where it does not tell."""
    if retained_bytes() is None:
        return None
    return ledger.register(
        "overhead",
        lambda: retained_bytes() or 0,
        FigureKind.SAMPLED,
        budget_bytes=budget_bytes,
        option="taskmanager.memory.jvm-overhead.max",
    )

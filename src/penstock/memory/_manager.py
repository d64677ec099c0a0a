"""Managed memory: what a slot's operators, state backends and Python workers reserve before they use it.

Flink's `MemoryManager`: pages and reservations draw on one budget; what is not there is refused at once, nothing waits
and nothing is taken from others.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from penstock.errors import ConfigurationError, InvariantError
from penstock.memory._limit_errors import ManagedFractionError, ManagedMemoryExhaustedError, MemoryLeakError
from penstock.memory._managed_shares import USE_CASES, bytes_for_fraction, pages_for_fraction
from penstock.memory._pages import MemoryPage
from penstock.memory._shared_resources import SharedLease, SharedResources

__all__ = [
    "CONSUMERS",
    "ROCKSDB_RESOURCE",
    "ManagedMemoryStatistics",
    "MemoryManager",
    "PageLease",
    "Reservation",
]

T = TypeVar("T")

CONSUMERS = USE_CASES
"""The consumer types of `taskmanager.memory.managed.consumer-weights`."""

ROCKSDB_RESOURCE = "state-rocks-managed-memory"
"""The shared resource of a slot's RocksDB instances, named as in Flink."""

DEFAULT_PAGE_SIZE_BYTES = 32 * 1024
_DEFAULT_WEIGHTS = MappingProxyType({"OPERATOR": 70, "STATE_BACKEND": 70, "PYTHON": 30})
_INT_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ManagedMemoryStatistics:
    """A slot's managed memory at one moment.

    Attributes:
        slot_index: the slot.
        total_bytes: its budget.
        reserved_bytes: what is reserved, pages included.
        peak_bytes: the most that ever was.
        heap_bytes: the part of `reserved_bytes` whose holders keep it as Python objects: the heap meter counts it too.
        page_bytes: the part held in pages.
        by_consumer: consumer type to reserved bytes.
        by_owner: owner to reserved bytes, without shared resources.
        shared: name of a shared resource to its bytes and its leases' owners.
    """

    slot_index: int
    total_bytes: int
    reserved_bytes: int
    peak_bytes: int
    heap_bytes: int
    page_bytes: int
    by_consumer: dict[str, int]
    by_owner: dict[str, int]
    shared: dict[str, tuple[int, tuple[str, ...]]]

    @property
    def available_bytes(self) -> int:
        """What can still be reserved."""
        return self.total_bytes - self.reserved_bytes


class Reservation:
    """Bytes of managed memory held for one owner; a context manager that gives them back. Owned by the task that asked.

    Attributes:
        owner: who holds them.
        consumer: as what.
        on_heap: whether the holder keeps them as Python objects.
        size_bytes: how many; changed by `resize` only.
    """

    __slots__ = ("_held", "_manager", "consumer", "on_heap", "owner", "size_bytes")

    def __init__(self, manager: MemoryManager, owner: str, consumer: str, on_heap: bool, size_bytes: int) -> None:
        if consumer not in CONSUMERS:
            raise InvariantError(f"{owner} asked for managed memory as {consumer!r}, which is no consumer type")
        self._manager = manager
        self._held = True
        self.owner = owner
        self.consumer = consumer
        self.on_heap = on_heap
        self.size_bytes = size_bytes

    def resize(self, size_bytes: int) -> None:
        """Grows or shrinks the reservation.

        Raises:
            ManagedMemoryExhaustedError: the growth does not fit; the reservation is as before.
            InvariantError: it was released, or the size is negative.
        """
        if not self._held or size_bytes < 0:
            raise InvariantError(f"{self.owner} resized a reservation to {size_bytes} bytes, held: {self._held}")
        self._manager._change(self, size_bytes - self.size_bytes)
        self.size_bytes = size_bytes

    def release(self) -> None:
        """Gives the bytes back.

        Raises:
            InvariantError: they were given back before.
        """
        if not self._held:
            raise InvariantError(f"{self.owner} released a reservation twice")
        self._held = False
        self._manager._change(self, -self.size_bytes)
        self._manager._forget(self)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self.release()


class PageLease(Reservation):
    """A reservation that consists of pages; a context manager that unmaps them. Owned by the task that asked."""

    __slots__ = ("_pages",)

    def __init__(self, manager: MemoryManager, owner: str, consumer: str) -> None:
        super().__init__(manager, owner, consumer, False, 0)
        self._pages: dict[MemoryPage, None] = {}

    @property
    def pages(self) -> list[MemoryPage]:
        """The pages held, in the order they were taken."""
        return list(self._pages)

    def take(self, count: int) -> list[MemoryPage]:
        """Adds pages to the lease and returns the new ones.

        Raises:
            ManagedMemoryExhaustedError: they do not fit; nothing was taken.
            OSError: the kernel refuses to map them; nothing was taken.
        """
        page_size_bytes = self._manager.page_size_bytes
        before_bytes = self.size_bytes
        self.resize(before_bytes + count * page_size_bytes)
        taken: list[MemoryPage] = []
        try:
            taken.extend(MemoryPage(page_size_bytes) for _ in range(count))
        except (OSError, MemoryError):
            for page in taken:
                page.unmap()
            self.resize(before_bytes)
            raise
        self._pages.update(dict.fromkeys(taken))
        self._manager._count_pages(count)
        return taken

    def give_back(self, page: MemoryPage) -> None:
        """Unmaps one page.

        Raises:
            InvariantError: it is not one of the lease's, or a slice of it is in use; nothing changed.
        """
        if page not in self._pages:
            raise InvariantError(f"{self.owner} gave back a page of managed memory that it does not hold")
        page.unmap()
        del self._pages[page]
        self._manager._count_pages(-1)
        self.resize(self.size_bytes - self._manager.page_size_bytes)

    def release(self) -> None:
        """Unmaps all pages and ends the lease.

        Raises:
            InvariantError: the lease ended before, or a slice of a page is in use: the lease goes on with what is left.
        """
        for page in reversed(self._pages.copy()):
            self.give_back(page)
        super().release()

    def __len__(self) -> int:
        return len(self._pages)


class MemoryManager:
    """The managed memory of one slot. Owned by the slot; any thread may call it.

    Owners are names such as `Sum (2/4)`; a part of a task adds itself after a slash: `Sum (2/4)/sort`.

    Attributes:
        total_bytes: the budget.
        page_size_bytes: the size of a page, `taskmanager.memory.segment-size`.
        slot_index: from 0.
    """

    def __init__(
        self,
        total_bytes: int,
        *,
        page_size_bytes: int = DEFAULT_PAGE_SIZE_BYTES,
        slot_index: int = 0,
        slots: int = 1,
        weights: Mapping[str, int] = _DEFAULT_WEIGHTS,
        heap_allowance: Callable[[int], None] | None = None,
    ) -> None:
        """Opens the budget.

        Args:
            total_bytes: the slot's managed memory.
            page_size_bytes: the size of a page.
            slot_index: the slot, from 0.
            slots: slots of the process; errors translate the slot's need into the option's value with it.
            weights: the configured consumer weights, for the message of a consumer without one.
            heap_allowance: called with the change in bytes whenever memory held as Python objects is reserved or given
                back, so that the heap's limit moves with it; not under a lock.

        Raises:
            ConfigurationError: more than 2^31 - 1 pages (`too-many-pages`).
        """
        if total_bytes // page_size_bytes > _INT_MAX:
            raise ConfigurationError(
                f"A slot's managed memory of {total_bytes} bytes is {total_bytes // page_size_bytes} pages of "
                f"{page_size_bytes} bytes; a slot has at most {_INT_MAX}. Raise 'taskmanager.memory.segment-size' "
                f"or lower 'taskmanager.memory.managed.size'."
            )
        self.total_bytes = total_bytes
        self.page_size_bytes = page_size_bytes
        self.slot_index = slot_index
        self._slots = slots
        self._weights = dict(weights)
        self._heap_allowance = heap_allowance
        self._lock = threading.Lock()
        self._shared = SharedResources()
        self._reservations: dict[int, Reservation] = {}
        self._by_consumer = dict.fromkeys(CONSUMERS, 0)
        self._reserved_bytes = 0
        self._peak_bytes = 0
        self._heap_bytes = 0
        self._pages = 0
        self._closed = False

    @property
    def available_bytes(self) -> int:
        """What can still be reserved."""
        return self.total_bytes - self._reserved_bytes

    @property
    def reserved_bytes(self) -> int:
        """What is reserved, pages included."""
        return self._reserved_bytes

    @property
    def peak_bytes(self) -> int:
        """The most that was ever reserved."""
        return self._peak_bytes

    @property
    def heap_bytes(self) -> int:
        """Reserved bytes that are held as Python objects: the heap meter counts them too."""
        return self._heap_bytes

    def resident_bytes(self) -> int:
        """What of the reserved bytes is in this process's memory, and in no other component.

        Not counted: what Python workers have, what shared resources do not use, and what the heap meter counts.
        """
        elsewhere_bytes = self._by_consumer["PYTHON"] + self._heap_bytes
        return max(0, self._reserved_bytes - elsewhere_bytes - self._shared.idle_bytes())

    def bytes_for(self, fraction: float, owner: str, consumer: str) -> int:
        """The bytes of a fraction of the slot (Flink's `computeMemorySize`).

        Raises:
            ManagedFractionError: the fraction is 0, because the consumer type has no weight, or outside (0, 1].
        """
        self._check_fraction(fraction, owner, consumer)
        return bytes_for_fraction(fraction, self.total_bytes)

    def pages_for(self, fraction: float, owner: str, consumer: str) -> int:
        """The whole pages of a fraction of the slot (Flink's `computeNumberOfPages`).

        Raises:
            ManagedFractionError: as for `bytes_for`.
        """
        self._check_fraction(fraction, owner, consumer)
        return pages_for_fraction(fraction, self.total_bytes, self.page_size_bytes)

    def reserve(self, owner: str, size_bytes: int, consumer: str = "OPERATOR", *, on_heap: bool = False) -> Reservation:
        """Reserves bytes for an owner.

        Args:
            owner: who asks, for messages and leak reports.
            size_bytes: how many, may be 0 (to grow later).
            consumer: the consumer type.
            on_heap: True when the holder keeps the bytes as Python objects: the heap's owner then allows for them.

        Raises:
            ManagedMemoryExhaustedError: they do not fit; nothing was reserved.
        """
        if size_bytes < 0:
            raise InvariantError(f"{owner} reserved {size_bytes} bytes of managed memory")
        reservation = Reservation(self, owner, consumer, on_heap, 0)
        self._change(reservation, size_bytes)
        reservation.size_bytes = size_bytes
        self._remember(reservation)
        return reservation

    def allocate_pages(self, owner: str, count: int, consumer: str = "OPERATOR") -> PageLease:
        """Maps pages for an owner.

        Raises:
            ManagedMemoryExhaustedError: they do not fit; nothing was taken.
            OSError: the kernel refuses to map them; nothing was taken.
        """
        lease = PageLease(self, owner, consumer)
        self._remember(lease)
        try:
            lease.take(count)
        except BaseException:
            lease.release()
            raise
        return lease

    def lease_shared(
        self,
        name: str,
        owner: str,
        size_bytes: int,
        create: Callable[[int], T],
        dispose: Callable[[T], None] | None = None,
        *,
        consumer: str = "STATE_BACKEND",
        usage: Callable[[T], int] | None = None,
    ) -> SharedLease[T]:
        """A share in a resource of the slot: the first lease reserves and creates it, the last frees both.

        Args:
            name: the resource, e.g. `ROCKSDB_RESOURCE`.
            owner: who asks.
            size_bytes: what to reserve if it does not exist yet; else it comes at the size it has.
            create: makes it from its size in bytes.
            dispose: frees it.
            consumer: the consumer type that pays.
            usage: reads the bytes it really uses, for the ledger; from any thread.

        Raises:
            ManagedMemoryExhaustedError: it does not fit; nothing was reserved.
            Exception: whatever `create` raises; nothing stays reserved.
        """

        def reserve(bytes_: int) -> Callable[[], None]:
            return self.reserve(name, bytes_, consumer).release

        return self._shared.lease(name, owner, size_bytes, create, dispose, reserve, usage)

    def lease_external(
        self,
        name: str,
        owner: str,
        size_bytes: int,
        create: Callable[[int], T],
        dispose: Callable[[T], None] | None = None,
    ) -> SharedLease[T]:
        """A share in a resource of the slot outside managed memory (`state.backend.rocksdb.memory.fixed-per-slot`)."""
        return self._shared.lease(f"external:{name}", owner, size_bytes, create, dispose)

    def release_all(self, owner: str) -> int:
        """Takes back what an owner that failed still holds, pages included; returns the bytes.

        Shared leases stay, and so do pages of which a slice is still in use: `verify_empty` names them.
        """
        with self._lock:
            found = [held for held in self._reservations.values() if _belongs(held.owner, owner)]
        before_bytes = sum(reservation.size_bytes for reservation in found)
        for reservation in found:
            with contextlib.suppress(InvariantError):
                reservation.release()
        with self._lock:
            return before_bytes - sum(held.size_bytes for held in found if id(held) in self._reservations)

    def held_by(self, owner: str | None = None) -> dict[str, int]:
        """Holders to bytes, of everybody or of one owner; the holder of a shared lease with the resource's bytes."""
        held = self._reserved_by(owner)
        for size_bytes, lessees in self._shared.owners().values():
            for lessee in lessees:
                if owner is None or _belongs(lessee, owner):
                    held[lessee] = held.get(lessee, 0) + size_bytes
        return held

    def verify_empty(self, owner: str | None = None) -> None:
        """Proves that an owner and its parts, or everybody, gave everything back: at the end of a task and of a slot.

        Raises:
            MemoryLeakError: somebody did not; the message names whom, and how much.
        """
        held = self.held_by(owner)
        if held:
            raise MemoryLeakError(f"managed memory of slot {self.slot_index}", held)
        if owner is None and (self._reserved_bytes or self._heap_bytes or self._pages):
            raise InvariantError(f"managed memory without owners: {self.statistics()}")

    def close(self) -> None:
        """Ends the slot: refuses all further reservations.

        Raises:
            MemoryLeakError: not everything was given back.
        """
        self._closed = True
        self.verify_empty()

    def statistics(self) -> ManagedMemoryStatistics:
        """What is reserved now, by whom, and the peak."""
        shared = self._shared.owners()
        by_owner = self._reserved_by(None)
        with self._lock:
            return ManagedMemoryStatistics(
                slot_index=self.slot_index,
                total_bytes=self.total_bytes,
                reserved_bytes=self._reserved_bytes,
                peak_bytes=self._peak_bytes,
                heap_bytes=self._heap_bytes,
                page_bytes=self._pages * self.page_size_bytes,
                by_consumer=dict(self._by_consumer),
                by_owner={owner: size for owner, size in by_owner.items() if size and owner not in shared},
                shared=shared,
            )

    def _check_fraction(self, fraction: float, owner: str, consumer: str) -> None:
        if not 0.0 < fraction <= 1.0:
            raise ManagedFractionError(owner, consumer, fraction, self._weights)

    def _change(self, reservation: Reservation, delta_bytes: int) -> None:
        with self._lock:
            if delta_bytes > 0:
                if self._closed:
                    raise InvariantError(f"{reservation.owner} reserved managed memory of a slot that is closed")
                if delta_bytes > self.total_bytes - self._reserved_bytes:
                    raise ManagedMemoryExhaustedError(
                        reservation.owner,
                        reservation.consumer,
                        delta_bytes,
                        self.total_bytes - self._reserved_bytes,
                        self.total_bytes,
                        self._slots,
                    )
            self._reserved_bytes += delta_bytes
            self._by_consumer[reservation.consumer] += delta_bytes
            self._peak_bytes = max(self._peak_bytes, self._reserved_bytes)
            if reservation.on_heap:
                self._heap_bytes += delta_bytes
        if reservation.on_heap and self._heap_allowance is not None:
            self._heap_allowance(delta_bytes)

    def _reserved_by(self, owner: str | None) -> dict[str, int]:
        reserved: dict[str, int] = {}
        with self._lock:
            for reservation in self._reservations.values():
                if owner is None or _belongs(reservation.owner, owner):
                    reserved[reservation.owner] = reserved.get(reservation.owner, 0) + reservation.size_bytes
        return reserved

    def _remember(self, reservation: Reservation) -> None:
        with self._lock:
            self._reservations[id(reservation)] = reservation

    def _forget(self, reservation: Reservation) -> None:
        with self._lock:
            del self._reservations[id(reservation)]

    def _count_pages(self, delta: int) -> None:
        with self._lock:
            self._pages += delta


def _belongs(name: str, owner: str) -> bool:
    return name == owner or name.startswith(owner + "/")

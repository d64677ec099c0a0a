from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from penstock.errors import ConfigurationError, InvariantError
from penstock.memory._limit_errors import ManagedFractionError, ManagedMemoryExhaustedError, MemoryLeakError
from penstock.memory._manager import CONSUMERS, ROCKSDB_RESOURCE, MemoryManager

SLOT = 359703515  # the slot of the specification's worked example


def test_a_sorter_reserves_grows_and_gives_back() -> None:
    manager = MemoryManager(1000)
    with manager.reserve("Sum (1/2)/sort", 400) as sort:
        sort.resize(900)
        assert manager.available_bytes == 100
        sort.resize(10)
        assert manager.statistics().by_owner == {"Sum (1/2)/sort": 10}
    manager.verify_empty("Sum (1/2)")
    assert (manager.reserved_bytes, manager.peak_bytes) == (0, 900)


def test_fractions_become_bytes_and_pages_as_in_flink() -> None:
    manager = MemoryManager(SLOT)
    assert manager.bytes_for(0.3, "worker", "PYTHON") == 107911054
    assert manager.bytes_for(0.7, "state", "STATE_BACKEND") == 251792460
    assert manager.bytes_for(0.4117647058823529, "sort", "OPERATOR") == 148113212
    assert manager.bytes_for(0.1764705882352941, "worker", "PYTHON") == 63477090
    assert manager.pages_for(0.7, "state", "STATE_BACKEND") == int((SLOT // 32768) * 0.7)
    assert manager.bytes_for(1.0, "x", "OPERATOR") == SLOT


def test_a_consumer_without_weight_fails_with_the_weights_that_would_do() -> None:
    manager = MemoryManager(SLOT, weights={"STATE_BACKEND": 70})
    with pytest.raises(ManagedFractionError, match="has no weight") as caught:
        manager.bytes_for(0.0, "Sort (1/1)", "OPERATOR")
    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.error_id == "fraction-zero"
    assert caught.value.changes == (("taskmanager.memory.managed.consumer-weights", "STATE_BACKEND:70,OPERATOR:70"),)
    for fraction in (-0.1, 1.0000001, float("nan")):
        with pytest.raises(ManagedFractionError) as caught:
            manager.pages_for(fraction, "Sort (1/1)", "OPERATOR")
        assert caught.value.error_id == "fraction-out-of-range"


def test_a_refusal_names_owner_numbers_and_an_option_value_that_would_do() -> None:
    manager = MemoryManager(1000, slots=4)
    with manager.reserve("a", 900), pytest.raises(ManagedMemoryExhaustedError) as caught:
        manager.reserve("Sum (1/2)", 300)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.owner, error.requested_bytes, error.available_bytes, error.total_bytes) == (
        "Sum (1/2)",
        300,
        100,
        1000,
    )
    ((key, value),) = error.changes
    assert key == "taskmanager.memory.managed.size"
    larger = MemoryManager(int(value.removesuffix("b")) // 4, slots=4)
    larger.reserve("a", 900)
    larger.reserve("Sum (1/2)", 300)
    with pytest.raises(ManagedMemoryExhaustedError):
        larger.reserve("b", 1)


def test_the_first_lease_creates_and_the_last_frees() -> None:
    manager = MemoryManager(1000)
    made: list[int] = []
    freed: list[str] = []

    def lease(owner: str, size: int) -> Any:
        return manager.lease_shared(
            ROCKSDB_RESOURCE, owner, size, lambda n: made.append(n) or f"cache of {n}", freed.append
        )

    first, second = lease("Sum (1/2)", 700), lease("Count (1/2)", 999)
    assert (made, first.resource, second.resource, second.size_bytes) == ([700], "cache of 700", "cache of 700", 700)
    assert manager.statistics().by_consumer["STATE_BACKEND"] == 700
    assert manager.statistics().shared == {ROCKSDB_RESOURCE: (700, ("Sum (1/2)", "Count (1/2)"))}
    first.release()
    manager.verify_empty("Sum (1/2)")
    with pytest.raises(MemoryLeakError, match=r"Count \(1/2\) holds 700"):
        manager.verify_empty("Count (1/2)")
    with pytest.raises(InvariantError):
        first.release()
    assert (freed, manager.reserved_bytes) == ([], 700)
    with second:
        pass
    assert (freed, manager.reserved_bytes) == (["cache of 700"], 0)
    manager.close()


def test_a_resource_that_cannot_be_made_reserves_nothing() -> None:
    manager = MemoryManager(1000)
    with pytest.raises(RuntimeError, match="disk"):
        manager.lease_shared("x", "a", 10, lambda _: (_ for _ in ()).throw(RuntimeError("disk")))
    with pytest.raises(ManagedMemoryExhaustedError):
        manager.lease_shared("x", "a", 1001, lambda size: size)
    manager.close()


def test_an_external_lease_costs_no_managed_memory() -> None:
    manager = MemoryManager(10)
    with manager.lease_external("rocksdb fixed", "a", 10**6, lambda size: size) as lease:
        assert (lease.resource, manager.reserved_bytes) == (10**6, 0)
    manager.close()


def test_pages_are_zeroed_writable_and_unusable_once_given_back() -> None:
    manager = MemoryManager(8 * 4096, page_size_bytes=4096)
    with manager.allocate_pages("a", 3) as lease:
        first = lease.pages[0]
        assert (len(first), bytes(first.view[:8])) == (4096, bytes(8))
        first.view[0] = 7
        (fourth,) = lease.take(1)
        lease.give_back(first)
        assert (len(lease), manager.reserved_bytes, lease.pages[-1]) == (3, 3 * 4096, fourth)
        with pytest.raises(ValueError, match="released"):
            first.view[0]
        with pytest.raises(InvariantError, match="does not hold"):
            lease.give_back(first)
    manager.close()


def test_a_page_cannot_be_given_back_while_a_slice_of_it_is_in_use() -> None:
    manager = MemoryManager(8 * 4096, page_size_bytes=4096)
    lease = manager.allocate_pages("a", 2)
    piece = lease.pages[1].view[10:20]
    with pytest.raises(InvariantError, match="slice"):
        lease.release()
    assert manager.release_all("a") == 0
    with pytest.raises(MemoryLeakError, match="a holds 8192"):
        manager.verify_empty("a")
    piece.release()
    lease.release()
    manager.close()


def test_what_a_failed_task_holds_is_taken_back() -> None:
    manager = MemoryManager(100 * 4096, page_size_bytes=4096)
    manager.reserve("Sum (1/2)", 10)
    manager.reserve("Sum (1/2)/sort", 20)
    manager.allocate_pages("Sum (1/2)/hash", 2)
    other = manager.reserve("Sum (1/20)", 5)
    with pytest.raises(MemoryLeakError):
        manager.verify_empty("Sum (1/2)")
    assert manager.release_all("Sum (1/2)") == 30 + 8192
    manager.verify_empty("Sum (1/2)")
    assert manager.held_by() == {"Sum (1/20)": 5}
    other.release()


def test_heap_kept_memory_moves_the_allowance() -> None:
    allowance = [0]

    def move(delta: int) -> None:
        allowance[0] += delta

    manager = MemoryManager(1000, heap_allowance=move)
    with manager.reserve("a", 100, on_heap=True) as held, manager.reserve("b", 50):
        held.resize(300)
        assert (allowance, manager.heap_bytes, manager.reserved_bytes) == ([300], 300, 350)
    assert (allowance, manager.heap_bytes) == ([0], 0)


def test_defects_are_told_apart_from_refusals() -> None:
    manager = MemoryManager(1000)
    with pytest.raises(InvariantError, match="no consumer type"):
        manager.reserve("a", 1, "DATAPROC")
    with pytest.raises(InvariantError):
        manager.reserve("a", -1)
    held = manager.reserve("a", 1)
    held.release()
    with pytest.raises(InvariantError):
        held.resize(5)
    manager.close()
    with pytest.raises(InvariantError, match="closed"):
        manager.reserve("a", 1)
    with pytest.raises(ConfigurationError, match="pages"):
        MemoryManager(2**31 * 4096, page_size_bytes=4096)


class ManagedMemoryModel(RuleBasedStateMachine):
    """Random reservations, pages and shared leases beside a plain dictionary of what they must add up to."""

    reservations = Bundle("reservations")
    leases = Bundle("leases")
    total = 40 * 4096

    def __init__(self) -> None:
        super().__init__()
        self.allowance = 0
        self.manager = MemoryManager(self.total, page_size_bytes=4096, heap_allowance=self.allow)
        self.expected: dict[Any, tuple[str, int]] = {}
        self.on_heap: dict[Any, int] = {}
        self.shared: dict[str, tuple[int, int]] = {}
        self.peak = 0

    def allow(self, delta: int) -> None:
        self.allowance += delta

    def used(self) -> int:
        return sum(n for _, n in self.expected.values()) + sum(size for size, _ in self.shared.values())

    def note_peak(self) -> None:
        self.peak = max(self.peak, self.used())

    @rule(
        target=reservations,
        size=st.integers(0, total),
        consumer=st.sampled_from(CONSUMERS),
        on_heap=st.booleans(),
    )
    def reserve(self, size: int, consumer: str, on_heap: bool) -> Any:
        if size > self.total - self.used():
            with pytest.raises(ManagedMemoryExhaustedError):
                self.manager.reserve("owner", size, consumer, on_heap=on_heap)
            return None
        held = self.manager.reserve("owner", size, consumer, on_heap=on_heap)
        self.expected[held] = (consumer, size)
        if on_heap:
            self.on_heap[held] = size
        self.note_peak()
        return held

    @rule(target=reservations, count=st.integers(0, 45))
    def allocate(self, count: int) -> Any:
        if count * 4096 > self.total - self.used():
            with pytest.raises(ManagedMemoryExhaustedError):
                self.manager.allocate_pages("pages", count)
            return None
        held = self.manager.allocate_pages("pages", count)
        self.expected[held] = ("OPERATOR", count * 4096)
        self.note_peak()
        return held

    @rule(held=reservations, size=st.integers(0, total))
    def resize(self, held: Any, size: int) -> None:
        if held is None or held not in self.expected or hasattr(held, "pages"):
            return
        consumer, before = self.expected[held]
        if size - before > self.total - self.used():
            with pytest.raises(ManagedMemoryExhaustedError):
                held.resize(size)
            return
        held.resize(size)
        self.expected[held] = (consumer, size)
        if held in self.on_heap:
            self.on_heap[held] = size
        self.note_peak()

    @rule(held=consumes(reservations))
    def release(self, held: Any) -> None:
        if held is not None:
            held.release()
            del self.expected[held]
            self.on_heap.pop(held, None)

    @rule(target=leases, name=st.sampled_from(["x", "y"]), size=st.integers(0, total // 2))
    def lease(self, name: str, size: int) -> Any:
        if name not in self.shared and size > self.total - self.used():
            with pytest.raises(ManagedMemoryExhaustedError):
                self.manager.lease_shared(name, "lessee", size, lambda n: n)
            return None
        lease = self.manager.lease_shared(name, "lessee", size, lambda n: n)
        size, count = self.shared.get(name, (size, 0))
        self.shared[name] = (size, count + 1)
        assert lease.resource == size
        self.note_peak()
        return lease

    @rule(lease=consumes(leases))
    def leave(self, lease: Any) -> None:
        if lease is not None:
            lease.release()
            size, count = self.shared.pop(lease.name)
            if count > 1:
                self.shared[lease.name] = (size, count - 1)

    @invariant()
    def adds_up(self) -> None:
        statistics = self.manager.statistics()
        assert statistics.reserved_bytes == self.used() <= self.total
        assert statistics.peak_bytes == self.peak
        assert statistics.heap_bytes == self.allowance == sum(self.on_heap.values())
        for consumer in CONSUMERS:
            shared = sum(size for size, _ in self.shared.values()) if consumer == "STATE_BACKEND" else 0
            own = sum(n for kind, n in self.expected.values() if kind == consumer)
            assert statistics.by_consumer[consumer] == own + shared

    def teardown(self) -> None:
        if self.expected or self.shared:
            with pytest.raises(MemoryLeakError):
                self.manager.verify_empty()
            for held in self.expected:
                held.release()
        if not self.shared:
            self.manager.close()


TestManagedMemoryModel = ManagedMemoryModel.TestCase
TestManagedMemoryModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

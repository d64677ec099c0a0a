"""What every pool and budget promises, whatever it hands out: one suite over all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.errors import InvariantError, PenstockError
from penstock.memory._limit_errors import MemoryLeakError
from penstock.memory._manager import MemoryManager
from penstock.memory._network_pool import NetworkBufferPool

CAPACITY = 12


class Budget:
    """Ten-and-a-bit units of anything: `take` returns a handle, or None when refused."""

    used: Callable[[], int]
    peak: Callable[[], int]
    verify_empty: Callable[[], None]
    close: Callable[[], None]

    def take(self, owner: str, units: int) -> Any:
        raise NotImplementedError

    def give(self, handle: Any) -> None:
        handle.release()


class ManagedBytes(Budget):
    def __init__(self) -> None:
        self.manager = MemoryManager(CAPACITY)
        self.used = lambda: self.manager.reserved_bytes
        self.peak = lambda: self.manager.peak_bytes
        self.verify_empty = self.manager.verify_empty
        self.close = self.manager.close

    def take(self, owner: str, units: int) -> Any:
        try:
            return self.manager.reserve(owner, units)
        except PenstockError:
            return None


class ManagedPages(Budget):
    def __init__(self) -> None:
        self.manager = MemoryManager(CAPACITY * 4096, page_size_bytes=4096)
        self.used = lambda: self.manager.statistics().page_bytes // 4096
        self.peak = lambda: self.manager.peak_bytes // 4096
        self.verify_empty = self.manager.verify_empty
        self.close = self.manager.close

    def take(self, owner: str, units: int) -> Any:
        try:
            return self.manager.allocate_pages(owner, units)
        except PenstockError:
            return None


class SharedBytes(Budget):
    """Shared leases, each of a resource of its own."""

    def __init__(self) -> None:
        self.manager = MemoryManager(CAPACITY)
        self.used = lambda: self.manager.reserved_bytes
        self.peak = lambda: self.manager.peak_bytes
        self.verify_empty = self.manager.verify_empty
        self.close = self.manager.close
        self.names = iter(range(10**9))

    def take(self, owner: str, units: int) -> Any:
        try:
            return self.manager.lease_shared(f"resource-{next(self.names)}", owner, units, lambda size: size)
        except PenstockError:
            return None


class NetworkGuarantees(Budget):
    def __init__(self) -> None:
        self.pool = NetworkBufferPool(CAPACITY * 4096, 4096)
        self.used = lambda: self.pool.required_buffers
        self.verify_empty = self.pool.verify_empty
        self.close = self.pool.close
        self.highest = 0
        self.peak = lambda: self.highest

    def take(self, owner: str, units: int) -> Any:
        try:
            pool = self.pool.create_pool(owner, units)
        except PenstockError:
            return None
        self.highest = max(self.highest, self.used())
        return [pool]

    def give(self, handle: Any) -> None:
        if not handle:
            raise InvariantError("closing a pool twice does nothing, by contract of its own")
        handle.pop().close()


class LocalBuffers(Budget):
    def __init__(self) -> None:
        self.network = NetworkBufferPool(2 * CAPACITY * 4096, 4096)
        self.pool = self.network.create_pool("the pool", CAPACITY, CAPACITY)
        self.lock = threading.Lock()
        self.used = lambda: self.pool.used_buffers
        self.peak = lambda: self.pool.statistics().peak
        self.holders: dict[int, str] = {}

    def take(self, owner: str, units: int) -> Any:
        taken = []
        for _ in range(units):
            buffer = self.pool.try_request()
            if buffer is None:
                for earlier in taken:
                    earlier.release()
                return None
            taken.append(buffer)
        return taken

    def give(self, handle: Any) -> None:
        for buffer in handle:
            buffer.release()

    def verify_empty(self) -> None:  # type: ignore[override]
        used = self.pool.used_buffers
        if used:
            self.network.verify_empty()

    def close(self) -> None:  # type: ignore[override]
        self.pool.close()
        self.network.close()


class Credits(Budget):
    def __init__(self) -> None:
        self.network = NetworkBufferPool(2 * CAPACITY * 4096, 4096)
        self.gate = self.network.create_gate("the pool", CAPACITY, CAPACITY)
        self.used = lambda: self.gate.used_buffers
        self.peak = lambda: self.gate.statistics().peak

    def take(self, owner: str, units: int) -> Any:
        if units > CAPACITY:  # a batch larger than the gate passes alone, by contract of its own
            return None
        return self.gate.try_acquire(units) or None

    def give(self, handle: Any) -> None:
        self.gate.release(handle)

    def verify_empty(self) -> None:  # type: ignore[override]
        if self.gate.used_buffers:
            self.network.verify_empty()

    def close(self) -> None:  # type: ignore[override]
        self.gate.close()
        self.network.close()


ALL = [ManagedBytes, ManagedPages, SharedBytes, NetworkGuarantees, LocalBuffers, Credits]


@pytest.fixture(params=ALL, ids=lambda kind: kind.__name__)
def budget(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = request.param()
    yield made
    made.close()


def test_what_is_taken_counts_until_it_is_given_back(budget: Any) -> None:
    assert budget.used() == 0
    first, second = budget.take("a", 5), budget.take("b", 3)
    assert budget.used() == 8
    budget.give(first)
    assert budget.used() == 3
    budget.give(second)
    assert budget.used() == 0
    budget.verify_empty()


def test_everything_can_be_had_but_no_unit_more(budget: Any) -> None:
    whole = budget.take("a", CAPACITY)
    assert whole is not None
    assert budget.take("b", 1) is None
    budget.give(whole)
    assert budget.take("a", CAPACITY + 1) is None


def test_a_refusal_changes_nothing(budget: Any) -> None:
    held = budget.take("a", 7)
    assert budget.take("b", 6) is None
    assert budget.used() == 7
    rest = budget.take("b", 5)
    assert rest is not None
    budget.give(held)
    budget.give(rest)


def test_the_peak_is_remembered(budget: Any) -> None:
    for units in (3, 9, 2):
        budget.give(budget.take("a", units))
    assert budget.peak() == 9


def test_giving_back_twice_is_a_defect_and_counts_nothing(budget: Any) -> None:
    held = budget.take("a", 2)
    budget.give(held)
    with pytest.raises(InvariantError):
        budget.give(held)
    assert budget.used() == 0


def test_what_is_not_given_back_is_named(budget: Any) -> None:
    held = budget.take("the pool", 2)
    with pytest.raises(MemoryLeakError, match="the pool holds"):
        budget.verify_empty()
    budget.give(held)
    budget.verify_empty()


def test_threads_never_get_more_than_there_is(budget: Any) -> None:
    excess: list[int] = []

    def work(seed: int) -> None:
        for step in range(200):
            held = budget.take(f"thread {seed}", 1 + (seed + step) % 5)
            used = budget.used()
            if used > CAPACITY:
                excess.append(used)
            if held is not None:
                budget.give(held)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not excess
    assert budget.used() == 0
    budget.verify_empty()

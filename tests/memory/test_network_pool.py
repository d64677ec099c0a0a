from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from penstock.errors import InvariantError
from penstock.memory._buffer_share import UNLIMITED_BUFFERS, spread_spare_buffers
from penstock.memory._limit_errors import (
    BufferPoolClosedError,
    BufferRequestTimeoutError,
    InsufficientNetworkBuffersError,
    MemoryLeakError,
)
from penstock.memory._network_pool import NetworkBufferPool

SEGMENT = 4096


@pytest.fixture
def network() -> Iterator[NetworkBufferPool]:
    pool = NetworkBufferPool(20 * SEGMENT + 100, SEGMENT)
    yield pool
    pool.close()


def in_thread(function: Any, *args: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def wait_until_waiting(network: NetworkBufferPool, count: int = 1) -> None:
    pause = threading.Event()
    while len(network._waiters) < count:
        pause.wait(0.001)


def test_a_partition_takes_and_returns_buffers(network: NetworkBufferPool) -> None:
    partition = network.create_pool("Map (1/2)", 3, 12)
    with partition.try_request() as buffer:  # type: ignore[union-attr]
        buffer.view[:5] = b"hello"
        buffer.length_bytes = 5
        assert (len(buffer), bytes(buffer.view[: buffer.length_bytes])) == (SEGMENT, b"hello")
    with pytest.raises(ValueError, match="released"):
        buffer.view[0]
    assert (partition.used_buffers, partition.idle_buffers, network.peak_buffers) == (0, 1, 1)
    partition.close()
    partition.close()
    network.verify_empty("Map (1/2)")


def test_a_remainder_belongs_to_nobody_and_no_buffers_are_fine() -> None:
    empty = NetworkBufferPool(SEGMENT - 1, SEGMENT)
    assert empty.total_buffers == 0
    with pytest.raises(InsufficientNetworkBuffersError):
        empty.create_pool("a", 1)
    empty.create_pool("b", 0).close()
    empty.close()


def test_too_few_buffers_names_numbers_and_a_value_that_suffices(network: NetworkBufferPool) -> None:
    held = network.create_pool("Map (1/2)", 15)
    with pytest.raises(InsufficientNetworkBuffersError, match="Insufficient number of network buffers") as caught:
        network.create_pool("Sum (1/2)", 9)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.required_buffers, error.available_buffers, error.total_buffers) == (9, 5, 20)
    assert network.required_buffers == 15
    held.close()

    changed = dict(error.changes)
    assert set(changed) == {"taskmanager.memory.network.min", "taskmanager.memory.network.max"}
    assert len(set(changed.values())) == 1
    larger = NetworkBufferPool(int(changed["taskmanager.memory.network.min"].removesuffix("b")), SEGMENT)
    fits = [larger.create_pool("Map (1/2)", 15), larger.create_pool("Sum (1/2)", 9)]
    with pytest.raises(InsufficientNetworkBuffersError):
        larger.create_pool("one more", 1)
    for pool in fits:
        pool.close()
    larger.close()


def test_a_whole_job_is_checked_at_once(network: NetworkBufferPool) -> None:
    network.check("job", 20)
    with pytest.raises(InsufficientNetworkBuffersError) as caught:
        network.check("job", 186)
    assert caught.value.changes[0][1] == f"{186 * SEGMENT}b"
    assert network.required_buffers == 0


def test_spare_buffers_are_spread_in_proportion_and_taken_back_lazily(network: NetworkBufferPool) -> None:
    first = network.create_pool("a", 2, 10)
    assert first.size == 10
    buffers = [first.try_request() for _ in range(10)]
    second = network.create_pool("b", 4, UNLIMITED_BUFFERS)
    # 14 are spare; wishes 8 and 14; 14 * 8 // 22 = 5, the rest 9
    assert (first.size, second.size) == (7, 13)
    assert (first.held_buffers, network.free_buffers) == (10, 10)
    for buffer in buffers[:5]:
        buffer.release()  # type: ignore[union-attr]
    assert (first.held_buffers, first.used_buffers, first.idle_buffers) == (7, 5, 2)
    second.close()
    assert first.size == 10
    for buffer in buffers[5:]:
        buffer.release()  # type: ignore[union-attr]
    first.close()


def test_overdraft_lets_a_record_finish_but_not_begin(network: NetworkBufferPool) -> None:
    partition = network.create_pool("a", 2, 2, overdraft=3)
    taken = [partition.try_request() for _ in range(2)]
    assert not partition.available
    assert partition.try_request(overdraft=False) is None
    taken += [partition.try_request() for _ in range(3)]
    assert partition.try_request() is None
    assert partition.used_buffers == 5
    taken.pop().release()  # type: ignore[union-attr]
    assert (partition.held_buffers, partition.available) == (4, False)  # back to the network pool, not kept
    for buffer in taken:
        buffer.release()  # type: ignore[union-attr]
    assert partition.available
    partition.close()


def test_a_full_subpartition_makes_the_partition_unavailable(network: NetworkBufferPool) -> None:
    partition = network.create_pool("a", 3, 10, subpartitions=2, buffers_per_subpartition=2)
    first = [partition.try_request(0), partition.try_request(0)]
    assert not partition.available
    other = partition.try_request(1)  # a record once begun may be finished
    called: list[str] = []
    partition.when_available(lambda: called.append("now"))
    assert not called
    first.pop().release()  # type: ignore[union-attr]
    assert partition.available
    assert called == ["now"]
    for buffer in (*first, other):
        buffer.release()  # type: ignore[union-attr]
    partition.close()


def test_a_retained_buffer_goes_back_with_its_last_user(network: NetworkBufferPool) -> None:
    pool = network.create_pool("a", 1, 1)
    buffer = pool.try_request()
    assert buffer is not None
    buffer.retain()
    buffer.release()
    assert pool.used_buffers == 1
    buffer.release()
    assert pool.used_buffers == 0
    with pytest.raises(InvariantError, match="twice"):
        buffer.release()
    with pytest.raises(InvariantError, match="retained"):
        buffer.retain()
    pool.close()


def test_waiting_threads_are_served_in_the_order_they_came(network: NetworkBufferPool) -> None:
    pool = network.create_pool("a", 1, 1)
    held = pool.try_request()
    assert held is not None
    order: list[int] = []

    def take(number: int) -> None:
        buffer = pool.request(30)
        assert buffer is not None
        order.append(number)
        buffer.release()

    threads = []
    for number in range(3):
        threads.append(in_thread(take, number))
        wait_until_waiting(network, number + 1)
    held.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
    pool.close()


def test_a_request_times_out_with_nothing_taken(network: NetworkBufferPool) -> None:
    pool = network.create_pool("a", 1, 1)
    held = pool.try_request()
    assert held is not None
    assert pool.request(0.01) is None
    held.release()
    assert (pool.used_buffers, network._waiters) == (0, [])
    pool.close()


def test_closing_a_pool_wakes_who_waits_and_lets_buffers_come_home(network: NetworkBufferPool) -> None:
    pool = network.create_pool("a", 1, 1)
    held = pool.try_request()
    assert held is not None
    failures: list[Exception] = []

    def wait() -> None:
        try:
            pool.request(30)
        except BufferPoolClosedError as error:
            failures.append(error)

    thread = in_thread(wait)
    wait_until_waiting(network)
    called: list[int] = []
    pool.when_available(lambda: called.append(1))
    pool.close()
    thread.join()
    assert len(failures) == 1
    assert called == [1]
    with pytest.raises(BufferPoolClosedError):
        pool.try_request()
    with pytest.raises(MemoryLeakError, match="a holds 1 buffers"):
        network.verify_empty("a")
    held.release()
    network.verify_empty("a")


def test_exclusive_buffers_are_taken_for_good_and_waited_for(network: NetworkBufferPool) -> None:
    greedy = network.create_pool("greedy", 1, UNLIMITED_BUFFERS)
    taken = [greedy.try_request() for _ in range(20)]
    assert network.free_buffers == 0
    with pytest.raises(BufferRequestTimeoutError, match="greedy: 20") as caught:
        network.request_exclusive("channel 0", 2, timeout_s=0.01)
    assert caught.value.requested_buffers == 2
    assert network.required_buffers == 1

    channels: list[Any] = []
    thread = in_thread(lambda: channels.append(network.request_exclusive("channel 0", 2, timeout_s=30)))
    wait_until_waiting(network)
    assert greedy.try_request() is None
    for buffer in taken:
        buffer.release()  # type: ignore[union-attr]
    thread.join()
    (channel,) = channels
    assert (channel.idle_buffers, channel.size, network.required_buffers) == (2, 2, 3)
    with pytest.raises(InsufficientNetworkBuffersError):
        network.request_exclusive("channel 1", 18)
    channel.close()
    greedy.close()


def test_who_waits_for_a_guarantee_goes_before_overdraft(network: NetworkBufferPool) -> None:
    greedy = network.create_pool("greedy", 10, 10, overdraft=20)
    taken = [greedy.try_request() for _ in range(19)]
    results: list[Any] = []
    thread = in_thread(lambda: results.append(network.request_exclusive("channel", 10, timeout_s=30)))
    wait_until_waiting(network)
    assert network.free_buffers == 1
    assert greedy.try_request() is None
    for buffer in taken:
        buffer.release()  # type: ignore[union-attr]
    thread.join()
    results[0].close()
    greedy.close()


def test_a_warning_when_maximums_do_not_fit(network: NetworkBufferPool) -> None:
    first = network.create_pool("a", 1, 12)
    assert network.usage_warning() is None
    second = network.create_pool("b", 5)
    warning = network.usage_warning()
    assert warning is not None
    assert "110%" in warning
    assert network.usage_warning() is None
    first.close()
    second.close()


def test_credits_bound_what_is_in_flight(network: NetworkBufferPool) -> None:
    gate = network.create_gate("Map (1/2) -> Sum", 3, 5)
    assert [gate.try_acquire() for _ in range(6)] == [1, 1, 1, 1, 1, 0]
    called: list[int] = []
    gate.when_available(lambda: called.append(1))
    assert called == []
    gate.release(2)
    assert called == [1]
    gate.when_available(lambda: called.append(2))
    assert called == [1, 2]
    gate.release(3)
    assert gate.try_acquire(100) == 5  # a batch larger than the gate passes alone
    assert gate.try_acquire(100) == 0
    gate.release(5)
    assert network.statistics().touched_buffers == 0
    gate.close()
    assert gate.try_acquire() == 0


def test_a_producer_that_cannot_stop_runs_into_debt(network: NetworkBufferPool) -> None:
    gate = network.create_gate("gate", 2, 2, overdraft=1)
    gate.charge(5)
    assert (gate.used_buffers, gate.debt, gate.available, gate.try_acquire()) == (3, 2, False, 0)
    called: list[int] = []
    gate.when_available(lambda: called.append(1))
    gate.release(2)
    assert (gate.used_buffers, gate.debt, gate.available) == (3, 0, False)
    gate.release(2)
    assert (gate.used_buffers, gate.try_acquire(), called) == (1, 1, [1])
    gate.release(2)
    with pytest.raises(InvariantError):
        gate.release(1)
    gate.close()


def test_credits_come_out_of_the_same_buffers(network: NetworkBufferPool) -> None:
    gate = network.create_gate("gate", 15)
    pool = network.create_pool("pool", 1)
    assert gate.try_acquire(15) == 15
    taken = [pool.try_request(overdraft=False) for _ in range(pool.size)]
    assert pool.size + gate.size == 20
    assert all(taken)
    rest = 0
    while gate.try_acquire():
        rest += 1
    assert (rest, network.free_buffers) == (gate.size - 15, 0)
    gate.release(15 + rest)
    assert gate.acquire(3, timeout_s=1) == 3
    gate.release(3)
    for buffer in taken:
        buffer.release()  # type: ignore[union-attr]
    gate.close()
    pool.close()


def test_segments_are_touched_only_when_needed(network: NetworkBufferPool) -> None:
    pool = network.create_pool("a", 2, 8)
    for _ in range(50):
        with pool.try_request() as buffer:  # type: ignore[union-attr]
            buffer.view[0] = 1
    assert network.statistics().touched_buffers == 1
    pool.close()


@given(
    spare=st.integers(0, 1000),
    limits=st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 10**6)).map(lambda p: (p[0], p[0] + p[1])), max_size=8
    ),
)
def test_spreading_loses_nothing_and_respects_limits(spare: int, limits: list[tuple[int, int]]) -> None:
    sizes = spread_spare_buffers(spare, limits)
    wishes = [min(spare, high - low) for low, high in limits]
    assert all(low <= size <= high for size, (low, high) in zip(sizes, limits, strict=True))
    assert sum(sizes) - sum(low for low, _ in limits) == min(spare, sum(wishes))
    for size, (low, _), wish in zip(sizes, limits, wishes, strict=True):
        assert abs((size - low) - min(spare, sum(wishes)) * wish / max(1, sum(wishes))) < 1


class NetworkModel(RuleBasedStateMachine):
    """Pools, gates and buffers come and go; the counts are those of plain lists."""

    pools = Bundle("pools")
    buffers = Bundle("buffers")
    total = 24

    def __init__(self) -> None:
        super().__init__()
        self.network = NetworkBufferPool(self.total * SEGMENT, SEGMENT)
        self.open: dict[Any, int] = {}
        self.out: dict[Any, int] = {}
        self.called = 0
        self.asked = 0

    @rule(
        target=pools,
        required=st.integers(1, 10),
        extra=st.integers(0, 20),
        overdraft=st.sampled_from([0, 3]),
        kind=st.sampled_from(["pool", "gate", "exclusive"]),
    )
    def create(self, required: int, extra: int, overdraft: int, kind: str) -> Any:
        if sum(self.open.values()) + required > self.total:
            with pytest.raises(InsufficientNetworkBuffersError):
                self.network.create_pool("x", required, required + extra)
            return None
        if kind == "gate":
            pool: Any = self.network.create_gate("gate", required, required + extra)
        elif kind == "pool":
            pool = self.network.create_pool("pool", required, required + extra, overdraft=overdraft)
        else:
            try:
                pool = self.network.request_exclusive("channel", required, timeout_s=0)
            except BufferRequestTimeoutError:
                return None
            assert pool.idle_buffers == required
        self.open[pool] = required
        return pool

    @rule(target=buffers, pool=pools)
    def take(self, pool: Any) -> Any:
        if pool not in self.open:
            return None
        available = pool.available
        if hasattr(pool, "try_acquire"):
            got = (pool, pool.try_acquire())
            if not got[1]:
                assert not available
                return None
            self.out[pool] = self.out.get(pool, 0) + 1
            return got
        buffer = pool.try_request()
        if buffer is None:
            assert not available
            return None
        self.out[pool] = self.out.get(pool, 0) + 1
        buffer.view[:2] = b"ok"
        return (pool, buffer)

    @rule(pool=pools)
    def listen(self, pool: Any) -> None:
        if pool in self.open:
            self.asked += 1
            pool.when_available(self.call)

    def call(self) -> None:
        self.called += 1

    @rule(taken=consumes(buffers))
    def give(self, taken: Any) -> None:
        if taken is None:
            return
        pool, buffer = taken
        if isinstance(buffer, int):
            pool.release(buffer)
        else:
            assert bytes(buffer.view[:2]) == b"ok"
            buffer.release()
        self.out[pool] -= 1

    @rule(pool=consumes(pools))
    def close(self, pool: Any) -> None:
        if pool is not None:
            pool.close()
            self.open.pop(pool)

    @invariant()
    def adds_up(self) -> None:
        statistics = self.network.statistics()
        assert statistics.required_buffers == sum(self.open.values())
        assert statistics.used_buffers == sum(self.out.values()) <= statistics.peak_buffers
        assert statistics.free_buffers + sum(pool.held for pool in statistics.pools) == self.total
        assert sum(pool.size for pool in self.open) <= self.total
        for pool in self.open:
            assert pool.required <= pool.size <= pool.maximum
            assert pool.used_buffers == self.out.get(pool, 0) <= pool.held_buffers
            if not (hasattr(pool, "overdraft") and pool.overdraft):
                assert pool.held_buffers == pool.used_buffers or pool.held_buffers <= pool.size
            if pool._listeners:
                assert not pool.available

    def teardown(self) -> None:
        for pool in self.open:
            pool.close()
        assert self.called == self.asked
        if not any(self.out.values()):
            self.network.close()


TestNetworkModel = NetworkModel.TestCase
TestNetworkModel.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from penstock.conf import Configuration
from penstock.memory._garbage import THRESHOLDS, GarbagePolicy

MIB = 1 << 20
FEW = 1000
"""CPython 3.12 moves some hundred immortal objects out of the collector's sight by itself."""


class Heap:
    """A meter and a clock that the test moves."""

    def __init__(self, used: int = 100 * MIB) -> None:
        self.used = used
        self.now = 0.0
        self.trims = 0

    def policy(self, policy: str = "auto") -> GarbagePolicy:
        return GarbagePolicy(lambda: self.used, policy=policy, trim=self.trim, clock=self.clock)

    def trim(self) -> None:
        self.trims += 1

    def clock(self) -> float:
        self.now += 0.001  # every reading takes a while, so collections do
        return self.now


@pytest.fixture(autouse=True)
def interpreter_settings() -> Iterator[None]:
    before = (gc.get_threshold(), gc.isenabled(), list(gc.callbacks))
    yield
    assert (gc.get_threshold(), gc.isenabled(), list(gc.callbacks)) == before
    assert gc.get_freeze_count() < FEW


def test_thresholds_hold_while_jobs_run_and_come_back() -> None:
    before = gc.get_threshold()
    heap = Heap()
    with heap.policy() as first:
        assert gc.get_threshold() == THRESHOLDS
        first.freeze()
        assert first.statistics().frozen_objects > FEW
        second = heap.policy()
        second.start()
        second.start()
        second.freeze(collect_first=True)
        assert gc.get_threshold() == THRESHOLDS
        second.stop()
        second.stop()
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > FEW
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() < FEW


def test_default_leaves_everything_alone_but_measures() -> None:
    before = gc.get_threshold()
    heap = Heap()
    with heap.policy("default") as policy:
        policy.freeze()
        heap.used *= 100
        assert (policy.after_batch(), policy.when_idle(), policy.at_soft_limit()) == (False, False, 0)
        assert gc.get_threshold() == before
        assert gc.get_freeze_count() < FEW
        gc.collect()
        old = policy.statistics().generations[2]
        assert old.collections == 1
        assert old.time_ns >= old.longest_ns > 0


def test_the_options_decide() -> None:
    values = {"penstock.gc.threshold": "5000", "penstock.gc.growth-fraction": "0.25"}
    with GarbagePolicy.from_configuration(Configuration.from_mapping(values), lambda: 0):
        assert gc.get_threshold() == (5000, *THRESHOLDS[1:])
    configuration = Configuration.from_mapping({"penstock.gc.policy": "default"})
    before = gc.get_threshold()
    with GarbagePolicy.from_configuration(configuration, lambda: 0) as policy:
        assert (policy.policy, gc.get_threshold()) == ("default", before)


def test_what_the_program_froze_itself_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    try:
        with Heap().policy() as policy:
            policy.freeze()
            assert gc.get_freeze_count() <= frozen
        assert 0 < gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()


def test_settings_a_program_changes_meanwhile_are_its_own() -> None:
    before = gc.get_threshold()
    try:
        with Heap().policy():
            gc.set_threshold(5000, 5, 5)
        assert gc.get_threshold() == (5000, 5, 5)
    finally:
        gc.set_threshold(*before)


def make_cycles(count: int) -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self

    for _ in range(count):
        Node()


def test_everything_is_collected_when_the_heap_has_grown_by_half() -> None:
    heap = Heap(100 * MIB)
    with heap.policy() as policy:
        heap.used = 150 * MIB
        assert not policy.after_batch()
        heap.used += 1
        make_cycles(60_000)
        assert policy.after_batch()
        assert not policy.after_batch()
        heap.used = 226 * MIB
        assert policy.after_batch()
        assert policy.statistics().by_reason == {"growth": 2, "soft-limit": 0, "idle": 0}
        assert policy.statistics().generations[2].collections == 2


def test_a_state_that_only_grows_is_frozen_and_seldom_looked_at_again() -> None:
    heap = Heap(100 * MIB)
    collected_at = []
    deep_at = []
    with heap.policy() as policy:
        for used in range(100, 5000, 10):
            heap.used = used * MIB
            deep = policy.statistics().deep_collections
            if policy.after_batch():
                collected_at.append(used)
                assert policy.statistics().frozen_objects > FEW
                if policy.statistics().deep_collections > deep:
                    deep_at.append(used)
        assert collected_at == [160, 250, 380, 580, 880, 1330, 2000, 3010, 4520]
        assert deep_at == [160, 380, 1330, 4520]  # after growth by 50 %, 100 %, and 200 % for good
        heap.used = 13_600 * MIB
        make_cycles(60_000)
        assert policy.after_batch()
        assert policy.statistics().frozen_objects < FEW  # it paid: what is there stays in sight
        heap.used = 20_500 * MIB
        assert policy.after_batch()
        assert policy.statistics().deep_collections == len(deep_at) + 2


def test_garbage_among_frozen_objects_is_found() -> None:
    heap = Heap(100 * MIB)

    class Node:
        alive = 0

        def __init__(self) -> None:
            self.me = self
            Node.alive += 1

        def __del__(self) -> None:
            Node.alive -= 1

    with heap.policy() as policy:
        nodes = [Node() for _ in range(100)]
        heap.used = 160 * MIB
        assert policy.after_batch()
        nodes.clear()
        heap.used = 250 * MIB
        assert policy.after_batch()
        assert Node.alive == 100
        heap.now += 60
        heap.used = 300 * MIB
        policy.at_soft_limit()
        assert Node.alive == 0


def test_growth_counts_from_the_lowest_and_small_heaps_are_left_alone() -> None:
    heap = Heap(1000 * MIB)
    with heap.policy() as policy:
        heap.used = 10 * MIB  # a window fired and was dropped
        assert not policy.after_batch()
        heap.used = 42 * MIB
        assert not policy.after_batch()
        heap.used = 43 * MIB
        assert policy.after_batch()


def test_at_the_soft_limit_it_collects_and_trims_but_not_all_the_time() -> None:
    heap = Heap(100 * MIB)
    with heap.policy() as policy:
        policy.at_soft_limit()
        assert heap.trims == 1
        heap.used += 50 * MIB
        assert policy.at_soft_limit() == 0  # too soon
        heap.now += 60
        policy.at_soft_limit()
        assert heap.trims == 2
        heap.now += 60
        policy.at_soft_limit()  # nothing new to collect
        assert heap.trims == 2


def test_when_idle_it_collects_what_has_grown() -> None:
    heap = Heap(100 * MIB)
    with heap.policy() as policy:
        assert not policy.when_idle()
        heap.used = 111 * MIB
        assert policy.when_idle()
        assert not policy.when_idle()
        heap.used = 130 * MIB
        assert not policy.when_idle()  # too soon
        heap.now += 60
        assert policy.when_idle()


def test_cycles_are_freed_and_counted() -> None:
    heap = Heap()
    with heap.policy() as policy:
        make_cycles(5000)
        heap.used *= 2
        assert policy.after_batch()
        assert policy.statistics().generations[2].collected_objects >= 5000


def test_while_a_snapshot_is_taken_young_objects_are_left_alone() -> None:
    heap = Heap(100 * MIB)
    with heap.policy() as policy:
        frozen = gc.get_freeze_count()
        policy.snapshot_under_way(True)
        policy.snapshot_under_way(True)
        assert gc.get_threshold()[0] > THRESHOLDS[0]
        heap.used = 190 * MIB  # the snapshot's: the values that were replaced
        assert not policy.after_batch()
        heap.used = 251 * MIB
        assert policy.after_batch()
        policy.snapshot_under_way(False)
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > frozen
        heap.used = policy._due_bytes + 1
        assert policy.after_batch()


def test_cycles_made_while_a_snapshot_was_taken_are_collected() -> None:
    with Heap().policy() as policy:
        policy.snapshot_under_way(True)
        collections = policy.statistics().generations[0].collections
        make_cycles(THRESHOLDS[0])
        assert policy.statistics().generations[0].collections == collections
        policy.snapshot_under_way(False)
        assert gc.get_freeze_count() < FEW
        make_cycles(10)
        assert policy.statistics().generations[0].collections > collections


def test_a_snapshot_leaves_settings_of_the_program_alone() -> None:
    before = gc.get_threshold()
    policy = Heap().policy()
    policy.start()
    policy.snapshot_under_way(True)
    policy.stop()  # before the snapshot has ended
    assert gc.get_threshold() == before
    policy.start()
    gc.set_threshold(5000)
    policy.snapshot_under_way(True)
    policy.snapshot_under_way(False)
    assert gc.get_threshold()[0] == 5000
    policy.stop()
    gc.set_threshold(*before)

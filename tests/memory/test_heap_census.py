from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.memory._heap_census import HeapCensus, frame_roots, module_roots, take_census
from penstock.memory._tracked_objects import count_tracked_objects, holder_path, tracked_object_count

MIB = 1 << 20


def deep(census: HeapCensus, path: str) -> int:
    return next(figure.deep_bytes for figure in census.containers if figure.path == path)


def exact_size(thing: Any, seen: set[int] | None = None) -> int:
    """The deep size by looking at everything: what the estimate is held against."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type):
        return 0
    seen.add(id(thing))
    return sys.getsizeof(thing) + sum(exact_size(below, seen) for below in gc.get_referents(thing))


def test_small_heaps_are_counted_exactly() -> None:
    orders = {"a": [1.5, 2.5], "b": ["x" * 100_000]}
    census = take_census([("orders", orders)])
    assert census.complete
    figures = {figure.type_name: (figure.count, figure.size_bytes) for figure in census.types}
    assert figures["float"] == (2, 2 * sys.getsizeof(1.5))
    assert figures["list"][0] == 2
    (largest,) = census.containers
    assert largest.path == "orders['b'][0]"
    assert largest.deep_bytes == sys.getsizeof("x" * 100_000)


@pytest.mark.parametrize(
    "build",
    [
        lambda: {index: (index, str(index) * 3) for index in range(100_000)},
        lambda: [{"a": float(index), "b": str(index)} for index in range(50_000)],
        lambda: [str(index) * 10 for index in range(100_000)],
        lambda: {str(index): {"w": [index] * 3} for index in range(30_000)},
        lambda: {(index, str(index)) for index in range(50_000)},
        lambda: deque([index] for index in range(50_000)),
        lambda: dict.fromkeys(range(100000)),
    ],
)
def test_large_containers_are_estimated_from_some_entries(build: Any) -> None:
    state = build()
    census = take_census([("state", state)])
    assert census.visited_objects < 2000
    assert deep(census, "state") == pytest.approx(exact_size(state), rel=0.2)


def test_an_entry_that_is_large_by_itself_is_found_and_not_multiplied() -> None:
    cache: dict[int, Any] = {index: index for index in range(10_000)}
    cache[7777] = list(range(500_000))
    census = take_census([("cache", cache)])
    assert census.containers[0].path == "cache[7777]"
    assert census.containers[0].entries == 500_000
    whole = sum(figure.size_bytes for figure in census.types)
    assert whole == pytest.approx(exact_size(cache), rel=0.2)


def test_shared_objects_are_counted_once() -> None:
    row = ["x" * 100_000]
    census = take_census([("first", [row] * 1000), ("second", {"again": row})])
    assert sum(figure.size_bytes for figure in census.types if figure.type_name == "str") < 101_000


class Account:
    def __init__(self) -> None:
        self.history = list(range(50_000))


class Slotted:
    __slots__ = ("entries", "missing")

    def __init__(self) -> None:
        self.entries = list(range(50_000))


def test_attributes_and_slots_name_the_path() -> None:
    census = take_census([("a", Account()), ("s", Slotted())])
    assert {figure.path for figure in census.containers} == {"a.history", "s.entries"}


def test_captured_variables_name_the_path() -> None:
    held = list(range(50_000))

    def hoard(value: int) -> None:
        held.append(value)

    (figure,) = take_census([("Map (1): function", hoard)]).containers
    assert figure.path == "Map (1): function.held"


HOARD = [object() for _ in range(30_000)]


class Registry:
    instances: dict[int, Any] = {}


def test_module_globals_and_class_attributes_are_roots() -> None:
    Registry.instances.update({index: [index] for index in range(30_000)})
    try:
        paths = {figure.path for figure in take_census(module_roots(), top=200).containers}
        assert f"{__name__}.HOARD" in paths
        assert f"{__name__}.Registry.instances" in paths
    finally:
        Registry.instances.clear()


def test_local_variables_are_roots() -> None:
    collected = list(range(30_000))
    census = take_census(frame_roots([sys._getframe()]))
    (figure,) = census.containers
    assert figure.path.startswith("collected in test_local_variables_are_roots() (test_heap_census.py:")
    assert figure.entries == len(collected)


def test_it_ends_when_the_time_or_the_count_is_up() -> None:
    chain: Any = None
    for _ in range(100_000):
        chain = [chain]
    deeply = take_census([("chain", chain)])
    assert deeply.visited_objects < 100
    assert not deeply.complete
    many = [[[index] for _ in range(60)] for index in range(60)]
    assert take_census([("many", many)], visited_max=500).visited_objects <= 501
    ticks = iter(range(10**9))
    assert take_census([("many", many)], clock=lambda: float(next(ticks)), timeout_s=3.0).visited_objects < 500


class Failing:
    def __sizeof__(self) -> int:
        raise RuntimeError("no")


def test_user_code_that_fails_is_survived() -> None:
    assert take_census([("x", [Failing()] * 3 + [Failing() for _ in range(1000)])]).types


def test_containers_that_change_meanwhile_are_survived() -> None:
    changing: dict[int, Any] = {index: index for index in range(1000)}

    class Grower:
        def __sizeof__(self) -> int:
            changing[len(changing)] = 1
            return 16

    changing[5] = Grower()
    changing[1] = Grower()
    assert take_census([("changing", changing)]).types


def test_allocation_sites_while_tracemalloc_traces() -> None:
    assert take_census([("x", [1.5])]).sites == ()
    tracemalloc.start()
    try:
        rows = [[index, str(index)] for index in range(20_000)]
        ((file, _), count, _), *_ = take_census([("rows", rows)]).sites
        assert file == __file__
        assert count > 20_000
    finally:
        tracemalloc.stop()


@pytest.fixture
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


class Counted:
    pass


def test_tracked_objects_are_counted_by_type(unfrozen: None) -> None:
    held = [Counted() for _ in range(20_000)]
    counted = count_tracked_objects(allowance_bytes=64 * MIB, top=1000)
    assert counted is not None
    figure = next(figure for figure in counted.types if figure.type_name.endswith("Counted"))
    assert figure.count == len(held)
    assert counted.complete
    assert any(thing is held for thing in counted.large)


def test_before_3_12_there_is_no_count_where_memory_does_not_allow_it(unfrozen: None) -> None:
    counted = count_tracked_objects(allowance_bytes=1000)
    assert (counted is None) == (sys.version_info < (3, 12))
    assert tracked_object_count() > 1000


def test_counting_ends_when_the_time_is_up(unfrozen: None) -> None:
    held = [[index] for index in range(20_000)]
    counted = count_tracked_objects(allowance_bytes=64 * MIB, timeout_s=-1.0)
    assert counted is not None
    assert not counted.complete
    assert counted.object_count < tracked_object_count()
    assert held


def test_what_holds_an_object_is_followed_backwards() -> None:
    deadline = time.monotonic() + 20
    assert holder_path(HOARD, deadline) == f"{__name__}.HOARD"

    def generate() -> Iterator[int]:
        hidden = [1, 2, 3]
        yield id(hidden)
        yield len(hidden)

    generator = generate()
    identity = next(generator)
    (hidden,) = [thing for thing in gc.get_objects() if id(thing) == identity]
    found = [holder_path(wrapped, deadline) for wrapped in [hidden]]
    assert "local variable" in found[0]

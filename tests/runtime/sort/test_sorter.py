"""The external sorter against sorted()."""

from __future__ import annotations

import errno
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvariantError, JobError
from penstock.runtime._tmp_dirs import DiskFullError, tmp_dirs
from penstock.runtime.operators.base import NO_TIMESTAMP
from penstock.runtime.sort import ExternalSorter
from penstock.runtime.state import freeze_key, thaw_key


def read(sorter: ExternalSorter) -> dict[Any, list[tuple[int, int, Any]]]:
    """Key (frozen) to (input, timestamp, value) in order; fails when a key comes twice."""
    found: dict[Any, list[tuple[int, int, Any]]] = {}
    for key, parts in sorter.groups():
        key = freeze_key(key)
        assert key not in found
        found[key] = [
            (index, timestamp, value)
            for index, timestamps, values in parts
            for timestamp, value in zip(timestamps, values, strict=True)
        ]
    return found


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_groups_come_with_their_records_in_time_order(tmp_path: Path) -> None:
    with ExternalSorter(1 << 20, [str(tmp_path)]) as sorter:
        sorter.add(["b", "a", "b", "a"], [5, 3, 1, 3], ["b5", "a3", "b1", "a3 again"])
        sorter.add(["a"], [NO_TIMESTAMP], ["a first"], input_index=1)
        assert read(sorter) == {
            "a": [(1, NO_TIMESTAMP, "a first"), (0, 3, "a3"), (0, 3, "a3 again")],
            "b": [(0, 1, "b1"), (0, 5, "b5")],
        }


@pytest.mark.parametrize("budget", [64 << 10, 200 << 10, 64 << 20])
def test_ten_times_more_than_the_budget(tmp_path: Path, budget: int) -> None:
    rng = random.Random(budget)
    records = [(f"key-{rng.randrange(3000)}", rng.randrange(1000), [number, "x" * 20]) for number in range(20_000)]
    before = open_files()
    sorter = ExternalSorter(budget, [str(tmp_path)])
    for start in range(0, len(records), 700):
        keys, timestamps, values = zip(*records[start : start + 700], strict=True)
        sorter.add(keys, timestamps, values)
    found = read(sorter)
    expected: dict[str, list[Any]] = {}
    for key, timestamp, value in sorted(records, key=lambda record: record[1]):
        expected.setdefault(key, []).append((0, timestamp, value))
    assert found == expected
    statistics = sorter.statistics()
    assert statistics.records == 20_000
    assert (statistics.runs == 0) == (budget == 64 << 20)
    assert list(tmp_path.iterdir()) == []
    sorter.close()
    assert open_files() == before


def test_the_budget_holds(tmp_path: Path) -> None:
    budget = 2 << 20
    value = "v" * 50
    tracemalloc.start()
    try:
        sorter = ExternalSorter(budget, [str(tmp_path)])
        base = tracemalloc.get_traced_memory()[0]
        for start in range(0, 60_000, 500):
            keys = [f"{(number * 7919) % 60_000}" for number in range(start, start + 500)]
            sorter.add(keys, range(500), [value] * 500)
        groups = sum(1 for _ in sorter.groups())
        peak = tracemalloc.get_traced_memory()[1] - base
        sorter.close()
    finally:
        tracemalloc.stop()
    assert groups == 60_000
    assert sorter.statistics().runs >= 4
    assert peak < budget * 1.15 + (256 << 10)


def test_groups_may_be_left_unread(tmp_path: Path) -> None:
    with ExternalSorter(64 << 10, [str(tmp_path)]) as sorter:
        sorter.add([number % 7 for number in range(50_000)], range(50_000), range(50_000))
        seen = []
        for key, parts in sorter.groups():
            seen.append(key)
            if key % 2:
                next(iter(parts))
        assert sorted(seen) == list(range(7))


def test_long_groups_come_in_parts(tmp_path: Path) -> None:
    with ExternalSorter(8 << 20, [str(tmp_path)]) as sorter:
        sorter.add(["k"] * 5000, range(5000), range(5000))
        ((_, parts),) = ((key, list(parts)) for key, parts in sorter.groups())
        assert [len(values) for _, _, values in parts] == [1024, 1024, 1024, 1024, 904]


def test_any_key_and_records_larger_than_the_budget(tmp_path: Path) -> None:
    keys = [None, True, 2, 1.5, "s", b"s", (1, [2]), [1], {"a": [1]}, -(2**80)]
    with ExternalSorter(64 << 10, [str(tmp_path)]) as sorter:
        for turn in range(2):
            sorter.add(keys, [turn] * len(keys), [b"x" * 100_000] * len(keys))
        found = read(sorter)
    assert len(found) == len(keys)
    assert {repr(thaw_key(key)) for key in found} == {repr(key) for key in keys}
    assert all(len(records) == 2 for records in found.values())


def test_runs_are_merged_in_several_passes(tmp_path: Path) -> None:
    with ExternalSorter(64 << 10, [str(tmp_path)]) as sorter:
        assert sorter._fan_in <= 8
        values = list(range(40_000))
        random.Random(1).shuffle(values)
        for start in range(0, len(values), 1000):
            part = values[start : start + 1000]
            sorter.add(part, [0] * len(part), part)
        assert len(open_files()) < 40
        assert [key for key, _ in sorter.groups()] == list(range(40_000))
        assert sorter.statistics().runs > sorter._fan_in**2


def test_misuse_is_an_invariant_error(tmp_path: Path) -> None:
    with ExternalSorter(1 << 20, [str(tmp_path)]) as sorter:
        sorter.add([1], [1], [1])
        assert list(read(sorter)) == [1]
        with pytest.raises(InvariantError):
            sorter.add([1], [1], [1])
        with pytest.raises(InvariantError):
            read(sorter)


def test_a_full_disk_is_a_clear_error_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.runtime.sort import _runs

    class Full:
        closed = False

        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            self.closed = True

    file = Full()
    monkeypatch.setattr(_runs, "open_temporary", lambda directories, turn: (file, directories[0]))
    sorter = ExternalSorter(64 << 10, [str(tmp_path)])
    with pytest.raises(DiskFullError, match=rf"{tmp_path}.*io\.tmp\.dirs"):
        sorter.add(range(10_000), [0] * 10_000, range(10_000))
    assert file.closed
    sorter.close()
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_pickled_is_shown(tmp_path: Path) -> None:
    with (
        ExternalSorter(1 << 20, [str(tmp_path)], "Sum") as sorter,
        pytest.raises(JobError, match="Sum cannot sort a record that cannot be pickled: <generator"),
    ):
        sorter.add([1], [1], [(x for x in ())])


def test_functions_of_a_program_can_be_sorted(tmp_path: Path) -> None:
    with ExternalSorter(1 << 20, [str(tmp_path)]) as sorter:
        sorter.add([1], [1], [lambda: 42])
        ((_, _, function),) = read(sorter)[1]
        assert function() == 42


def test_temporary_directories(tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert tmp_dirs(f"{one}, {two}") == (one, two)
    assert tmp_dirs(f"{one}|{two}") == (one, two)
    assert tmp_dirs(f"{one}:{two}") == (one, two)
    assert len(tmp_dirs(None)) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError.__mro__[1], match="no directory"):
        tmp_dirs(str(tmp_path / "file"))


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-3, 3), st.text(max_size=2), st.tuples(st.booleans(), st.none())),
            st.integers(-(1 << 63), (1 << 63) - 1),
            st.integers(0, 1),
        ),
        max_size=200,
    )
)
def test_it_is_a_stable_sort(records: list[tuple[Any, int, int]]) -> None:
    sorter = ExternalSorter(0, ["/tmp"])
    sorter._budget_bytes = 2000  # far below what can be configured, so that small examples spill
    for number, (key, timestamp, index) in enumerate(records):
        sorter.add([key], [timestamp], [number], index)
    found = read(sorter)
    sorter.close()
    expected: dict[Any, list[tuple[int, int, int]]] = {}
    for number, (key, timestamp, index) in sorted(enumerate(records), key=lambda item: item[1][1]):
        expected.setdefault(key, []).append((index, timestamp, number))
    assert found == expected

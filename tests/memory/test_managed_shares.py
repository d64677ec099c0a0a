from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conf import Configuration
from penstock.memory import (
    USE_CASES,
    MemoryPlanError,
    OperatorNeed,
    bytes_for_fraction,
    managed_fraction,
    managed_shares_of_group,
    pages_for_fraction,
    state_backend_uses_managed_memory,
)

WEIGHTS = "taskmanager.memory.managed.consumer-weights"
SLOT = 359703515
ROCKSDB = Configuration.from_mapping({"state.backend.type": "rocksdb"})


def fraction(use_case: str, *group: str, **values: object) -> float:
    configuration = Configuration.from_mapping({key.replace("__", "."): value for key, value in values.items()})
    return managed_fraction(configuration, use_case, group).fraction


def test_python_and_rocksdb_share_thirty_to_seventy() -> None:
    python = managed_fraction(ROCKSDB, "PYTHON", ["PYTHON", "STATE_BACKEND"])
    backend = managed_fraction(ROCKSDB, "STATE_BACKEND", ["PYTHON", "STATE_BACKEND"])
    assert (python.fraction, backend.fraction) == (0.3, 0.7)
    assert python.bytes_of(SLOT) == 107911054
    assert backend.bytes_of(SLOT) == 251792460


def test_with_sorting_operators_too() -> None:
    shares = {use_case: managed_fraction(ROCKSDB, use_case, USE_CASES) for use_case in USE_CASES}
    assert shares["OPERATOR"].fraction == 0.4117647058823529
    assert shares["PYTHON"].fraction == 0.1764705882352941
    assert shares["OPERATOR"].bytes_of(SLOT) == shares["STATE_BACKEND"].bytes_of(SLOT) == 148113212
    assert shares["PYTHON"].bytes_of(SLOT) == 63477090


def test_what_nobody_uses_takes_no_part() -> None:
    assert fraction("PYTHON", "PYTHON") == 1.0
    assert fraction("PYTHON", "PYTHON", "STATE_BACKEND") == 1.0  # the default backend lives on the heap
    assert fraction("STATE_BACKEND", "PYTHON", "STATE_BACKEND") == 0.0


def test_giving_weights_replaces_all_of_the_default() -> None:
    assert fraction("OPERATOR", "OPERATOR", "PYTHON", **{WEIGHTS: "PYTHON:30"}) == 0.0
    assert fraction("OPERATOR", "OPERATOR", **{WEIGHTS: "PYTHON:30"}) == 0.0
    assert fraction("PYTHON", "PYTHON", "OPERATOR", **{WEIGHTS: "{OPERATOR: 1, PYTHON: 2}"}) == 0.6666666666666666
    assert fraction("PYTHON", "PYTHON", **{WEIGHTS + ".PYTHON": 1}) == 1.0
    assert fraction("PYTHON", "PYTHON", **{WEIGHTS: ""}) == 0.0


def test_the_sum_of_weights_wraps_around() -> None:
    assert fraction("PYTHON", "PYTHON", "OPERATOR", **{WEIGHTS: "PYTHON:2147483647,OPERATOR:1"}) == 0.0


@pytest.mark.parametrize(
    ("text", "error_id", "option"),
    [
        ("PYTHON", "value-unparsable", WEIGHTS),
        ("PYTHON:1,PYTHON:2", "value-unparsable", WEIGHTS),
        ("PYTHON:1.5", "not-an-integer", None),
        ("OPERATOR:-1,PYTHON:x", "weight-negative", None),
        ("PYTHON:-1,STATE_BACKEND:x", "not-an-integer", None),  # looked at in the order of the kinds
        ("PYTHON: 2147483648", "not-an-integer", None),
    ],
)
def test_weights_that_are_none(text: str, error_id: str, option: str | None) -> None:
    with pytest.raises(MemoryPlanError) as caught:
        fraction("OPERATOR", "OPERATOR", **{WEIGHTS: text})
    assert (caught.value.error_id, caught.value.option) == (error_id, option)
    # They are not even read for a state backend that uses no managed memory.
    assert fraction("STATE_BACKEND", "STATE_BACKEND", **{WEIGHTS: text}) == 0.0


@pytest.mark.parametrize(
    ("name", "uses"),
    [("hashmap", False), ("HashMap", False), ("RocksDB", True), ("forst", True), ("", True), ("no.such.Backend", True),
     ("org.apache.flink.runtime.state.hashmap.HashMapStateBackendFactory", False)],
)  # fmt: skip
def test_which_backends_use_managed_memory(name: str, uses: bool) -> None:
    configuration = Configuration.from_mapping({"state.backend.type": name})
    assert state_backend_uses_managed_memory(configuration) is uses
    assert state_backend_uses_managed_memory(configuration, from_application=not uses) is not uses
    share = managed_fraction(configuration, "PYTHON", ["PYTHON"])
    assert ("WARN state-backend-unknown" in share.remarks) == (name in ("", "no.such.Backend"))


def test_the_jobs_backend_goes_before_the_clusters_but_not_its_weights() -> None:
    job = Configuration.from_mapping({"state.backend.type": "rocksdb", WEIGHTS: "PYTHON:1"})
    share = managed_fraction(Configuration(), "PYTHON", ["PYTHON", "STATE_BACKEND"], job_configuration=job)
    assert share.fraction == 0.3
    older = Configuration.from_mapping({"state.backend": "rocksdb"})
    remarked = managed_fraction(Configuration(), "STATE_BACKEND", ["STATE_BACKEND"], job_configuration=older)
    assert remarked.fraction == 1.0
    assert remarked.remarks == ("WARN deprecated-key:state.backend",)


def test_operators_of_a_group_share_by_weight() -> None:
    needs = [OperatorNeed({"OPERATOR": 64}), OperatorNeed({"OPERATOR": 128}, frozenset({"PYTHON"})), OperatorNeed()]
    first, second, third = managed_shares_of_group(Configuration(), needs)
    assert first["OPERATOR"].fraction == 0.3333333333333333 * 0.7
    assert second["OPERATOR"].fraction == 0.6666666666666666 * 0.7
    assert second["PYTHON"].fraction == 0.3
    assert first["PYTHON"].fraction == third["OPERATOR"].fraction == 0.0
    assert managed_shares_of_group(Configuration(), []) == []


@pytest.mark.parametrize(
    ("part", "error_id"),
    [(0.0, "fraction-zero"), (-0.0, "fraction-zero"), (1.0000000000000002, "fraction-out-of-range"),
     (-0.1, "fraction-out-of-range"), (math.nan, "fraction-out-of-range")],
)  # fmt: skip
def test_fractions_nothing_can_be_had_for(part: float, error_id: str) -> None:
    for compute in (bytes_for_fraction, pages_for_fraction):
        with pytest.raises(MemoryPlanError) as caught:
            compute(part, SLOT)
        assert caught.value.error_id == error_id


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(0, 2**40))
def test_shares_of_a_slot_never_exceed_it(weights: list[int], slot_bytes: int) -> None:
    needs = [OperatorNeed({"OPERATOR": weight}, frozenset({"PYTHON", "STATE_BACKEND"})) for weight in weights]
    shares = managed_shares_of_group(ROCKSDB, needs)
    operators = sum(own["OPERATOR"].bytes_of(slot_bytes) for own in shares)
    slot_wide = shares[0]["PYTHON"].bytes_of(slot_bytes) + shares[0]["STATE_BACKEND"].bytes_of(slot_bytes)
    assert operators + slot_wide <= slot_bytes

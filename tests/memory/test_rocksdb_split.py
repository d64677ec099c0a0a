from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conf import Configuration
from penstock.memory import MemoryPlanError, RocksDBPlan, check_write_buffer, plan_rocksdb

MIB = 2**20
PREFIX = "state.backend.rocksdb.memory."


def plan(slot_bytes: int, fraction: float = 1.0, **values: object) -> RocksDBPlan:
    configuration = Configuration.from_mapping({PREFIX + key.replace("_", "-"): value for key, value in values.items()})
    return plan_rocksdb(configuration, slot_bytes, fraction)


def test_512_mib() -> None:
    split = plan(512 * MIB)
    assert (split.source, split.total_bytes) == ("managed", 512 * MIB)
    assert split.cache_capacity_bytes == 447392426
    assert split.write_buffer_manager_bytes == 178956970


def test_where_the_budget_comes_from() -> None:
    assert plan(MIB, fixed_per_slot="2m", managed="false").source == "fixed-per-slot"
    assert plan(MIB, 0.5).total_bytes == MIB // 2
    shared = plan(MIB, managed=False, fixed_per_tm="3m")
    assert (shared.source, shared.total_bytes) == ("fixed-per-tm", 3 * MIB)
    for nothing in (plan(MIB, managed=False), plan(MIB, managed=False, fixed_per_tm="0")):
        assert (nothing.source, nothing.total_bytes, nothing.cache_capacity_bytes) == ("none", None, None)
    # What is not needed is not read.
    assert plan(MIB, fixed_per_tm="rubbish").source == "managed"


@pytest.mark.parametrize(("w", "h"), [("0.5", "0.6"), ("0.9", "0.5"), ("3", "0"), (1.0, 0.0)])
def test_ratios_that_leave_no_room(w: object, h: object) -> None:
    with pytest.raises(MemoryPlanError) as caught:
        plan(MIB, write_buffer_ratio=w, high_prio_pool_ratio=h)
    assert caught.value.error_id == "rocksdb-ratios-invalid"


def test_ratios_only_a_configuration_can_have() -> None:
    assert plan(3 * MIB, write_buffer_ratio="NaN").cache_capacity_bytes == 0
    negative = plan(3 * MIB, write_buffer_ratio="-1")
    assert (negative.cache_capacity_bytes, negative.write_buffer_manager_bytes) == (4 * MIB, -2 * MIB)
    assert check_write_buffer(64 * MIB, -2 * MIB + 1).mutable_limit_bytes == -1835007
    assert (
        plan(3 * MIB, write_buffer_ratio="Infinity", high_prio_pool_ratio="0").write_buffer_manager_bytes == 2**63 - 1
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("managed", "x"), ("fixed_per_slot", "1x"), ("write_buffer_ratio", ""), ("high_prio_pool_ratio", True)],
)
def test_values_that_cannot_be_read(key: str, value: object) -> None:
    with pytest.raises(MemoryPlanError) as caught:
        plan(MIB, **{key: value})
    assert caught.value.error_id == "value-unparsable"
    assert caught.value.option == PREFIX + key.replace("_", "-")


def test_a_state_backend_without_a_share() -> None:
    with pytest.raises(MemoryPlanError) as caught:
        plan(MIB, 0.0)
    assert caught.value.error_id == "fraction-zero"


def test_the_default_write_buffer_needs_about_29_mb() -> None:
    check = check_write_buffer(64 * MIB, plan(16 * MIB).write_buffer_manager_bytes or 0)
    assert (check.arena_block_bytes, check.fits) == (8 * MIB, False)
    assert check_write_buffer(64 * MIB, plan(28_800_000).write_buffer_manager_bytes or 0).fits
    assert check_write_buffer(1, 2**40).arena_block_bytes == 0
    assert check_write_buffer(8, 2**40).arena_block_bytes == 4096


@given(st.integers(0, 2**45), st.floats(0.01, 0.8))
def test_cache_and_half_the_write_buffers_are_the_budget(total: int, ratio: float) -> None:
    split = plan(total, write_buffer_ratio=repr(ratio), high_prio_pool_ratio="0")
    assert split.cache_capacity_bytes is not None
    assert split.write_buffer_manager_bytes is not None
    assert abs(split.cache_capacity_bytes + split.write_buffer_manager_bytes / 2 - total) <= 2

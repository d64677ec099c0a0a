from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conf import Configuration
from penstock.memory import Gate, MemoryPlanError, NetworkNeed, Partition, network_need

TYPES = ["PIPELINED", "PIPELINED_BOUNDED", "PIPELINED_APPROXIMATE", "BLOCKING", "BLOCKING_PERSISTENT"]
TYPES += ["HYBRID_FULL", "HYBRID_SELECTIVE"]
MAX_REQUIRED = "taskmanager.network.memory.read-buffer.required-per-gate.max"


def need(
    partitions: list[Partition], gates: list[Gate], buffers: int = 10**9, conf: dict[str, object] | None = None
) -> NetworkNeed:
    return network_need(Configuration.from_mapping(conf or {}), partitions, gates, buffers)


def test_all_to_all_at_parallelism_64() -> None:
    whole = need([Partition("PIPELINED_BOUNDED", 64)], [Gate("PIPELINED_BOUNDED", 64, 60)])
    assert whole.required_total == 186
    partition, gate = whole.partitions[0], whole.gates[0]
    assert (partition.min, partition.max, partition.overdraft) == (65, 136, 20)
    assert (gate.exclusive_per_channel, gate.required_floating, gate.total_floating) == (2, 1, 8)
    assert need([Partition("PIPELINED_BOUNDED", 64)], [Gate("PIPELINED_BOUNDED", 64, 60)], 186).fits
    short = need([Partition("PIPELINED_BOUNDED", 64)], [Gate("PIPELINED_BOUNDED", 64, 60)], 185)
    assert (short.fits, short.failed_required, short.failed_available) == (False, 2, 1)


@pytest.mark.parametrize(
    ("kind", "least", "most", "overdraft"),
    [
        ("PIPELINED", 5, 2**31 - 1, 20),
        ("PIPELINED_BOUNDED", 5, 16, 20),
        ("PIPELINED_APPROXIMATE", 5, 16, 0),
        ("BLOCKING", 512, 512, 0),
        ("BLOCKING_PERSISTENT", 512, 512, 0),
        ("HYBRID_FULL", 5, 2**31 - 1, 0),
        ("HYBRID_SELECTIVE", 5, 2**31 - 1, 0),
    ],
)
def test_partitions_of_four(kind: str, least: int, most: int, overdraft: int) -> None:
    partition = need([Partition(kind, 4)], []).partitions[0]
    assert (partition.min, partition.max, partition.overdraft) == (least, most, overdraft)


def test_blocking_partitions_follow_their_option() -> None:
    conf: dict[str, object] = {"taskmanager.network.sort-shuffle.min-buffers": "16"}
    assert need([Partition("BLOCKING", 100)], [], conf=conf).partitions[0].as_dict() == {
        "min": 16,
        "max": 400,
        "overdraft": 0,
    }


def test_a_limit_makes_exclusive_buffers_floating_ones() -> None:
    def gate(limit: int, channels: int = 10) -> tuple[int, int, int]:
        each = need([], [Gate("PIPELINED_BOUNDED", channels, channels)], conf={MAX_REQUIRED: limit}).gates[0]
        return each.exclusive_per_channel, each.required_floating, each.total_floating

    assert gate(21) == (2, 1, 8)
    assert gate(20) == (1, 10, 18)
    assert gate(11) == (1, 1, 18)
    assert gate(10) == (0, 10, 28)
    assert gate(1) == (0, 1, 28)
    assert gate(1000, 500) == (1, 500, 508)
    unlimited, limited = need([], [Gate("PIPELINED", 600, 0), Gate("BLOCKING", 600, 0)]).gates
    assert unlimited.exclusive_per_channel == 2
    assert (limited.exclusive_per_channel, limited.required_floating) == (1, 400)


@pytest.mark.parametrize(("value", "error_id"), [("0", "required-per-gate-not-positive"), ("x", "value-unparsable")])
def test_limits_that_are_refused(value: str, error_id: str) -> None:
    with pytest.raises(MemoryPlanError) as caught:
        need([], [], conf={MAX_REQUIRED: value})
    assert caught.value.error_id == error_id


@pytest.mark.parametrize(
    ("partitions", "gates"),
    [([Partition("PIPELINE", 1)], []), ([Partition("PIPELINED", 0)], []), ([], [Gate("PIPELINED", 0, 0)])],
)
def test_what_is_no_partition_or_gate(partitions: list[Partition], gates: list[Gate]) -> None:
    with pytest.raises(ValueError, match=r"type|needed"):
        need(partitions, gates)


partitions = st.lists(st.builds(Partition, st.sampled_from(TYPES), st.integers(1, 200)), max_size=4)
gates = st.lists(
    st.tuples(st.sampled_from(TYPES), st.integers(1, 200), st.integers(0, 200)).map(
        lambda drawn: Gate(drawn[0], drawn[1], min(drawn[1], drawn[2]))
    ),
    max_size=4,
)


@given(partitions, gates, st.integers(0, 3000))
def test_it_fits_exactly_if_what_is_required_does(partitions: list[Partition], gates: list[Gate], buffers: int) -> None:
    whole = need(partitions, gates, buffers)
    assert whole.fits == (whole.required_total <= buffers)
    if not whole.fits:
        assert whole.failed_required is not None
        assert whole.failed_available is not None
        assert whole.failed_available < whole.failed_required
    for gate in whole.gates:
        assert gate.total_floating >= gate.required_floating
    for partition in whole.partitions:
        assert partition.max >= partition.min

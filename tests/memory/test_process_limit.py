from __future__ import annotations

import resource
import threading

from penstock.memory._process_limit import DataLimit, data_limit_bytes, describe_backstop, idle_mapped_bytes

GIB = 1 << 30


def test_the_limit_lies_above_budgets_margin_and_stacks() -> None:
    before = threading.stack_size(1 << 20)
    try:
        assert data_limit_bytes(10 * GIB, threads=8) == 11 * GIB + (8 << 20)
        assert data_limit_bytes(10 * GIB, threads=8, idle_mapped_bytes=5) == 11 * GIB + (8 << 20) + 5
    finally:
        threading.stack_size(before)
    assert data_limit_bytes(GIB) > GIB + GIB // 10
    assert idle_mapped_bytes() > 0


def test_the_limit_holds_while_in_force_and_is_taken_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with DataLimit(100 * GIB) as limit:
        assert limit.held_bytes == 100 * GIB
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 100 * GIB
        with DataLimit(200 * GIB) as inner:  # a lower limit that is there already is kept
            assert inner.held_bytes == 100 * GIB
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_one_sentence_says_what_holds() -> None:
    assert "Nothing holds" in describe_backstop(None, None)
    assert "no control group" in describe_backstop(GIB, None)
    both = describe_backstop(GIB, "/sys/fs/cgroup/x", 2 * GIB)
    assert "RLIMIT_DATA" in both
    assert "/sys/fs/cgroup/x" in both
    assert "process.size sets one" in describe_backstop(None, None, isolated=False)
    assert "no control group limits it" in describe_backstop(GIB, None, isolated=False)

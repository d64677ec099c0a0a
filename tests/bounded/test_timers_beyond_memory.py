"""Timers of ten times the memory of a control group: all fire, in their order, and memory stays under the limit.

Needs the right to make a control group (root, memory controller); else skipped. A few minutes on an idle machine.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.bounded.test_state_beyond_memory import may_make_groups

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import state_beyond_memory as beyond

PROGRAM = str(Path(__file__).with_name("timer_program.py"))
TIMER_BYTES = 800
"""On the heap: a key of 400 bytes, a time and its places, a bucket."""

TIMERS = beyond.PROCESS_MIB * beyond.MIB * 10 // TIMER_BYTES


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not may_make_groups(), reason="may not make control groups here")
@pytest.mark.skipif(importlib.util.find_spec("rocksdict") is None, reason="rocksdict is not installed")
@pytest.mark.parametrize("backend", ["rocksdb", "auto"])
def test_timers_of_ten_times_the_memory_all_fire_under_the_limit(backend: str, tmp_path: Path) -> None:
    limit = beyond.PROCESS_MIB * beyond.MIB
    *command, _, _, _ = beyond.penstock_command("", 0, backend, str(tmp_path))
    outcome = beyond.run_limited([*command, PROGRAM, str(TIMERS)], limit, 3000)
    assert outcome.text(TIMERS) == "finished, right result", outcome.err[-3000:]
    assert outcome.peak_bytes < limit
    assert not list(tmp_path.rglob("*")), "files left in io.tmp.dirs"

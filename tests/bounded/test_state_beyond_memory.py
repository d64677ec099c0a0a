"""State ten times the memory of a control group: finishes with the right result, and its memory stays under the limit.

Needs the right to make a control group (root, memory controller); else skipped. A few minutes on an idle machine.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import state_beyond_memory as beyond

KEYS = beyond.PROCESS_MIB * beyond.MIB * 10 // beyond.RECORD_BYTES


def may_make_groups() -> bool:
    root = Path("/sys/fs/cgroup")
    return os.access(root / "memory" if (root / "memory").is_dir() else root, os.W_OK)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not may_make_groups(), reason="may not make control groups here")
@pytest.mark.parametrize(("mode", "backend"), [("streaming", "rocksdb"), ("streaming", "auto"), ("batch", "hashmap")])
def test_ten_times_the_memory_finishes_under_the_limit(mode: str, backend: str, tmp_path: Path) -> None:
    if backend != "hashmap" and importlib.util.find_spec("rocksdict") is None:
        pytest.skip("rocksdict is not installed")
    limit = beyond.PROCESS_MIB * beyond.MIB
    outcome = beyond.run_limited(beyond.penstock_command(mode, KEYS, backend, str(tmp_path)), limit, 3000)
    assert outcome.text(KEYS) == "finished, right result", outcome.err[-3000:]
    assert outcome.peak_bytes < limit
    assert not list(tmp_path.rglob("*")), "files left in io.tmp.dirs"

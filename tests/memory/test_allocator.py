from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.memory._allocator import allocator_environment, limit_arenas, retained_bytes, trim

# Blocks too large for pymalloc and too small for mappings of their own; every second one is freed.
SCATTERED = """
import sys
from penstock.memory._allocator import retained_bytes, trim
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [bytes(10_000) for _ in range(8000)]
last = blocks[-1]
del blocks[:-1]
kept, before = retained_bytes(), resident()
assert kept > 60_000_000, kept
assert trim()
assert before - resident() > 50_000_000, (before, resident())
"""


def test_what_glibc_keeps_is_seen_and_given_back() -> None:
    if retained_bytes() is None:
        pytest.skip("the C library is not glibc")
    subprocess.run([sys.executable, "-c", SCATTERED], check=True, timeout=60)


def test_settings_for_child_processes() -> None:
    assert allocator_environment() == {"MALLOC_ARENA_MAX": "2"}
    assert isinstance(limit_arenas(8), bool)
    assert isinstance(trim(), bool)

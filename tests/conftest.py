"""Fixtures of the whole suite: every test ends clean."""

from __future__ import annotations

import gc
import multiprocessing
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("fast", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fast")


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Fails a test that leaves a thread or a child process, or changes the interpreter's garbage collection."""
    threads = set(threading.enumerate())
    thresholds, frozen, enabled = gc.get_threshold(), _frozen(), gc.isenabled()
    yield
    left = []
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=5)
        if thread.is_alive():
            left.append(thread.name)
    assert not left, f"threads left behind: {left}"
    assert not multiprocessing.active_children(), "child processes left behind"
    assert (gc.get_threshold(), _frozen(), gc.isenabled()) == (thresholds, frozen, enabled)


def _frozen() -> int:
    """Objects out of the collector's sight, without the few hundred immortal ones that CPython 3.12 puts there itself."""
    count = gc.get_freeze_count()
    return count if count > 1000 else 0

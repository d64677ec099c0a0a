"""Seeded schedules of faults, over as many attempts and processes as they take: results as without faults, exactly once."""

from __future__ import annotations

import gc
import importlib.util
import threading
from collections import Counter

import pytest
from schedules import draw, run

from penstock.runtime.state._canonical import ChunkFile

# A process that dies in the simulation leaves its files open, as a real one does; here somebody sees it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

SHORT = {"hashmap": 30, "rocksdb": 8, "auto": 8}
LONG = {"hashmap": 1500, "rocksdb": 750, "auto": 750}
PORTIONS = 30
"""Each a test of its own, so that none runs into the time limit of a test."""


def end_writers_of_the_dead() -> None:
    """A process's threads end with it; in the simulation one may still wait for what its task would have written."""
    if any(thread.name.startswith("state-writer") for thread in threading.enumerate()):
        for file in [each for each in gc.get_objects() if isinstance(each, ChunkFile)]:
            file.cancel()


def run_all(backend: str, seeds: range) -> None:
    if backend != "hashmap" and importlib.util.find_spec("rocksdict") is None:
        pytest.skip("rocksdict is not installed")
    fired: Counter[str] = Counter()
    for seed in seeds:
        drawn = draw(seed, backend)
        try:
            faults = run(drawn)
        except Exception as error:
            pytest.fail(f"{drawn}: {error}")
        if faults.processes > 1:
            end_writers_of_the_dead()
        fired.update(fault.partition(" #")[0] for fault in faults.fired)
    gc.collect()
    assert fired, "no fault was reached"


@pytest.mark.parametrize("backend", SHORT)
def test_results_are_those_without_faults(backend: str) -> None:
    run_all(backend, range(SHORT[backend]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("portion", range(PORTIONS))
@pytest.mark.parametrize("backend", LONG)
def test_results_are_those_without_faults_at_length(backend: str, portion: int) -> None:
    share = LONG[backend] // PORTIONS
    start = 10_000 + portion * share
    run_all(backend, range(start, start + share))

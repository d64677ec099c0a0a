"""Jobs that stop with a savepoint and go on at another parallelism, on another backend, with faults in between."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from faults import Faults, SimulatedDisk, injected
from programs import BODIES, environment, file_sink, lines_of, numbers, use_record_clock
from schedules import RECORDS, difference, room_for_timers, stop_after, undisturbed

from penstock.errors import JobError
from penstock.runtime._checkpoints import SavepointRequest

PARALLELISMS = (2, 3, 1, 2)
STATELESS = ("async", "stateless")
BACKENDS = ["hashmap", "rocksdb", "mixed", "auto"]


def path_of(requests: list[SavepointRequest]) -> str | None:
    """Where the savepoint is, None if the job ended before."""
    done = [request.done for request in requests if request.done.done()]
    return next((future.result() for future in done if future.exception() is None), None)


def rescale(body: str, backends: str, seed: int, directory: Path) -> None:
    """Runs a job in four parts, each from the savepoint of the one before."""
    if backends != "hashmap" and importlib.util.find_spec("rocksdict") is None:
        pytest.skip("rocksdict is not installed")
    random = Random(f"rescaling {body} {seed}")
    faults, disk = Faults(random, random.choice([0, 2, 4]), crashes=False), SimulatedDisk()
    start: str | None = None
    expected = undisturbed(body)
    for part, parallelism in enumerate(PARALLELISMS):
        backend = ("hashmap", "rocksdb")[part % 2] if backends == "mixed" else backends
        options = {
            "execution.target": "local",
            "penstock.scheduler.seed": seed + part,
            "state.backend.type": backend,
            "penstock.state.auto.heap-size": "2 kb",
            **room_for_timers(seed + part),
            "execution.checkpointing.interval": f"{random.choice([5, 20])} ms",
            "execution.checkpointing.dir": "simulated://checkpoints",
            "execution.checkpointing.tolerable-failed-checkpoints": 100,
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 1_000_000,
            "restart-strategy.fixed-delay.delay": "0 ms",
        }
        if start is not None:
            options["execution.state-recovery.path"] = start
        with injected(faults, disk, late=random.choice([0, 60])), pytest.MonkeyPatch.context() as patch:
            use_record_clock(patch.setattr)
            stops = part < len(PARALLELISMS) - 1
            requests = stop_after(patch, random.randint(10, 150), again=True) if stops else []
            env = environment(parallelism, options)
            BODIES[body](env, numbers(env, RECORDS)).sink_to(file_sink(directory, "long")).uid("sink")
            try:
                env.execute()
            except JobError as error:  # it failed behind its savepoint: what it did not commit the next one does
                assert "has its savepoint" in str(error) and path_of(requests) is not None  # noqa: PT017, PT018
            start = path_of(requests)
        if start is None:
            break
    got = Counter(lines_of(directory))
    assert got == expected, f"seed {seed}, {faults.fired}: {difference(got, expected)}"


@pytest.mark.parametrize("backends", BACKENDS)
def test_results_at_another_parallelism_are_the_same(backends: str, tmp_path: Path) -> None:
    for seed, body in enumerate(BODIES):
        if body in STATELESS and backends != "hashmap":
            continue
        rescale(body, backends, seed, tmp_path / body)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("backends", BACKENDS)
@pytest.mark.parametrize("body", BODIES)
def test_results_at_another_parallelism_are_the_same_at_length(body: str, backends: str, tmp_path: Path) -> None:
    for seed in range(100, 120):
        rescale(body, backends, seed, tmp_path / str(seed))

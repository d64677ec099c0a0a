"""Runs one seeded schedule: a program, its settings and its faults are drawn, then its results are compared."""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults import Crash, Faults, SimulatedDisk, checkpoint_leftovers, injected
from programs import (
    BODIES,
    environment,
    file_sink,
    leftovers,
    lines_of,
    numbers,
    use_record_clock,
)

from penstock.errors import ConfigurationError
from penstock.runtime._checkpoints import CheckpointCoordinator, SavepointRequest
from penstock.runtime._scheduler import Scheduler

RECORDS = 240
CHECKPOINTS = "simulated://checkpoints"


@dataclass(frozen=True)
class Drawn:
    """What a seed stands for."""

    seed: int
    body: str
    backend: str
    parallelism: int
    rolls: str | None
    options: tuple[tuple[str, Any], ...]
    faults: int
    crashes: bool
    savepoints: int
    late: int


def draw(seed: int, backend: str) -> Drawn:
    random = Random(f"schedule {seed}")
    rolls = random.choice([None, "long", "checkpoint", "small"])
    concurrent = random.choice([1, 1, 1, 2, 3])
    expires = random.random() < 0.3  # sooner than most checkpoints are complete
    options = {
        "execution.target": "local",
        "penstock.scheduler.seed": seed,
        "execution.checkpointing.interval": f"{random.choice([3, 8, 20, 60])} ms",
        "execution.checkpointing.min-pause": f"{random.choice([0, 0, 5]) if concurrent == 1 else 0} ms",
        "execution.checkpointing.max-concurrent-checkpoints": concurrent,
        "execution.checkpointing.tolerable-failed-checkpoints": 1_000_000 if expires else random.choice([0, 1, 100]),
        "execution.checkpointing.num-retained": random.choice([1, 1, 2, 3]),
        "execution.checkpointing.dir": CHECKPOINTS,
        "execution.checkpointing.data-inline-threshold": random.choice(["0 b", "20 kb"]),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.timeout": "30 ms" if expires else "10 min",
        "execution.buffer-timeout.interval": random.choice(["0 ms", "5 ms", "100 ms"]),
        "pipeline.operator-chaining.enabled": random.choice(["true", "true", "false"]),
        "pipeline.auto-watermark-interval": random.choice(["5 ms", "50 ms"]),
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 1_000_000,
        "restart-strategy.fixed-delay.delay": "0 ms",
    }
    return Drawn(
        seed,
        random.choice(list(BODIES)),
        backend,
        random.choice([1, 1, 2, 3]),
        rolls,
        tuple(options.items()),
        random.randint(1, 12),
        rolls is not None and random.random() < 0.5,
        random.choice([0, 0, 10]),
        random.choice([0, 20, 100]),
    )


def room_for_timers(seed: int) -> dict[str, str]:
    """Of what is on disk all is in memory too, or nearly nothing: then timers are in RocksDB, unless they shall not."""
    random = Random(f"timers {seed}")
    return {
        "penstock.state.cache.size": random.choice(["1 kb", "1 kb", "256 mb"]),
        "state.backend.rocksdb.timer-service.factory": random.choice(["ROCKSDB", "ROCKSDB", "HEAP"]),
        "state.backend.rocksdb.timer-service.cache-size": random.choice(["1", "128"]),
    }


def results(body: str, parallelism: int, options: dict[str, Any], rolls: str | None, directory: Path) -> list[str]:
    env = environment(parallelism, options)
    stream = BODIES[body](env, numbers(env, RECORDS))
    if rolls is None:
        with stream.execute_and_collect() as collected:
            return list(collected)
    stream.sink_to(file_sink(directory, rolls)).uid("sink")
    env.execute()
    return lines_of(directory)


@functools.cache
def undisturbed(body: str) -> Counter[str]:
    """The results without faults."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        use_record_clock(patch.setattr)
        return Counter(results(body, 1, {"execution.target": "local"}, None, Path(directory)))


def run(drawn: Drawn) -> Faults:
    """Runs a schedule to its end over as many processes as it takes.

    Raises:
        AssertionError: the results are not those of the run without faults.
    """
    random = Random(f"faults {drawn.seed}")
    faults, disk = Faults(random, drawn.faults, crashes=drawn.crashes), SimulatedDisk()
    options = dict(drawn.options)
    options["state.backend.type"] = drawn.backend
    options["penstock.state.auto.heap-size"] = random.choice(["1 b", "2 kb", "5 kb"])
    options["execution.checkpointing.incremental"] = random.choice(["true", "false"])
    options.update(room_for_timers(drawn.seed))
    expected = undisturbed(drawn.body)
    with (
        tempfile.TemporaryDirectory() as directory,
        injected(faults, disk, drawn.savepoints, drawn.late),
        pytest.MonkeyPatch.context() as patch,
    ):
        use_record_clock(patch.setattr)
        out, tmp = Path(directory, "out"), Path(directory, "tmp")
        options["io.tmp.dirs"] = str(tmp)
        jobs: list[str] = []
        refused: list[str] = []
        while True:
            try:
                got = results(drawn.body, drawn.parallelism, options, drawn.rolls, out)
                break
            except ConfigurationError as error:  # its only checkpoint is torn, so that nothing was committed by it
                if "holds no complete checkpoint" not in str(error):
                    raise
                del jobs[jobs.index(options["execution.state-recovery.path"].rpartition("/")[2])]
                refused.append(options["execution.state-recovery.path"])
                start = newest_job(disk, jobs, refused)
            except Crash:
                faults.reboot()
                disk.power_lost(random)
                start = newest_job(disk, jobs, refused)
            if start is None:
                options.pop("execution.state-recovery.path", None)
            else:
                options["execution.state-recovery.path"] = start
        assert Counter(got) == expected, difference(Counter(got), expected)
        assert not faults.violations, faults.violations
        check_leftovers(drawn, faults, disk, jobs, out, tmp)
    return faults


def check_leftovers(drawn: Drawn, faults: Faults, disk: SimulatedDisk, jobs: list[str], out: Path, tmp: Path) -> None:
    """What the schedule left: of the job that finished nothing, of those that died only what was under way."""
    assert not drawn.rolls or faults.fired or not leftovers(out)
    if faults.processes == 1:  # a process that died in the simulation still has its files
        assert not list(tmp.rglob("*")), f"left in io.tmp.dirs: {list(tmp.rglob('*'))[:5]}"
    died: dict[str, list[str]] = {}
    for name in disk.names:
        if name.startswith(f"{CHECKPOINTS}/"):
            job, _, rest = name[len(CHECKPOINTS) + 1 :].partition("/")
            died.setdefault(job, []).append(rest)
    # A job that ends deletes what it has; where that fails it says so and leaves it.
    clean_up_failed = any("clean-up" in fault for fault in faults.fired)
    assert clean_up_failed or len(died) < faults.processes, f"the job that finished left {died}"
    for names in died.values():
        left = {name.partition("/")[0] for name in checkpoint_leftovers(names)} - {"shared"}
        # Under way, or being deleted. Tasks that hear late of an abort write on; the next checkpoint clears that up.
        allowed = 2 + int(dict(drawn.options)["execution.checkpointing.max-concurrent-checkpoints"])
        assert clean_up_failed or drawn.late or len(left) <= allowed, f"more than was under way when it died: {left}"


def newest_job(disk: SimulatedDisk, jobs: list[str], refused: list[str]) -> str | None:
    """The directory of the job that began last and completed a checkpoint."""
    prefix = f"{CHECKPOINTS}/"
    for name in disk.names:
        job = name[len(prefix) :].partition("/")[0]
        if name.startswith(prefix) and job not in jobs:
            jobs.append(job)
    for job in reversed(jobs):
        if f"{prefix}{job}" not in refused and any(
            name.startswith(f"{prefix}{job}/chk-") and name.endswith("/_metadata") for name in disk.names
        ):
            return f"{prefix}{job}"
    return None


def difference(got: Counter[str], expected: Counter[str]) -> str:
    lost, doubled = expected - got, got - expected
    return f"lost {sorted(lost.elements())[:5]} ({lost.total()}), too many {sorted(doubled.elements())[:5]} ({doubled.total()})"


def stop_after(patch: pytest.MonkeyPatch, steps: int, *, again: bool = False) -> list[SavepointRequest]:
    """The next job is asked to stop with a savepoint after so many steps, and `again` whenever that failed."""
    requests: list[SavepointRequest] = []
    coordinators: list[CheckpointCoordinator] = []
    left = [steps]
    start, step = CheckpointCoordinator.start, Scheduler.step

    def started(coordinator: CheckpointCoordinator, tasks: Any) -> None:
        coordinators.append(coordinator)
        start(coordinator, tasks)

    def stepped(scheduler: Scheduler) -> None:
        left[0] -= 1
        failed = bool(requests) and requests[-1].done.done() and requests[-1].done.exception() is not None
        if coordinators and ((left[0] <= 0 and not requests) or (again and failed)):
            requests.append(SavepointRequest("simulated://savepoints", stop=True))
            coordinators[-1].request_savepoint(requests[-1])
        step(scheduler)

    patch.setattr(CheckpointCoordinator, "start", started)
    patch.setattr(Scheduler, "step", stepped)
    return requests

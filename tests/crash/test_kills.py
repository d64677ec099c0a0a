"""Real kills at random moments: of the whole process, started again from its last checkpoint, and of single workers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults import checkpoint_leftovers
from programs import (
    BODIES,
    KILLED,
    environment,
    leftovers,
    lines_of,
    numbers,
    use_record_clock,
)

PENSTOCK = Path(sys.executable).with_name("penstock")
PROGRAM = Path(__file__).with_name("killed_program.py")
RECORDS = 6_000
BACKENDS = ["hashmap", "rocksdb", "auto"]
TARGETS = ["local", "local-processes"]
WAIT_S = 60.0  # far more than a start takes


def expected(records: int) -> Counter[str]:
    """What the files must hold: the bodies' results without any fault."""
    env = environment(1, {"execution.target": "local"})
    source = numbers(env, records, poll_max=1000, gap=1000)
    streams = [BODIES[body](env, source) for body in KILLED]
    with pytest.MonkeyPatch.context() as patch:
        use_record_clock(patch.setattr)
        return _results(streams)


def _results(streams: list[Any]) -> Counter[str]:
    with streams[0].union(*streams[1:]).execute_and_collect() as results:
        return Counter(results)


class Program:
    """Runs of the program over one directory."""

    def __init__(self, directory: Path, target: str, parallelism: int, backend: str, rolls: str) -> None:
        if backend != "hashmap" and importlib.util.find_spec("rocksdict") is None:
            pytest.skip("rocksdict is not installed")
        self.directory = directory
        self.options = ["--target", target]
        self.arguments = [str(directory), str(RECORDS), str(parallelism), backend, rolls]
        self.kills = 0
        self.killed_jobs = 0
        self.killed_unknown = 0

    def kill(self, process: int, *, job: bool) -> None:
        """Kills a process of a run: the job's, with which the job ends, or a worker."""
        self.killed_unknown += self.newest_checkpoints() is None
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
            self.kills += 1
            self.killed_jobs += job

    def newest_checkpoints(self) -> Path | None:
        """The directory of the job that completed a checkpoint last."""
        found = list(self.directory.glob("checkpoints/*/chk-*/_metadata"))
        times = []
        for path in found:
            with contextlib.suppress(FileNotFoundError):
                times.append((path.stat().st_mtime_ns, path))
        return max(times)[1].parent.parent if times else None

    @property
    def finished(self) -> bool:
        return (self.directory / "finished").exists()

    @contextlib.contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """A run, from the newest checkpoint where there is one."""
        newest = self.newest_checkpoints()
        restore = ["-s", str(newest)] if newest is not None else []
        command = [str(PENSTOCK), "run", *self.options, *restore, str(PROGRAM), *self.arguments]
        with (self.directory / "errors").open("ab") as errors:
            process = subprocess.Popen(command, stdout=errors, stderr=errors, start_new_session=True)
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                wait_for_group(process.pid)

    def check(self) -> None:
        """Every line once, whole, and nothing left in progress that a checkpoint knew of."""
        got, wanted = Counter(lines_of(self.directory / "out")), expected(RECORDS)
        assert got == wanted, (
            f"{self.kills} kills: lost {(wanted - got).most_common(5)}, too many {(got - wanted).most_common(5)}"
        )
        self.check_leftovers()

    def check_leftovers(self) -> None:
        """What the last run left, and what it did not clear up after those before it.

        A killed job's checkpoints are its user's to delete, and so are the files in progress of a FileSink that was
        killed before its first checkpoint: nobody knows whose they are (Flink leaves both).
        """
        unknown = leftovers(self.directory / "out")
        assert not unknown or self.killed_unknown, f"{self.kills} kills left files in progress: {unknown}"
        tmp = [str(path.relative_to(self.directory)) for path in (self.directory / "tmp").rglob("*")]
        assert not tmp, f"{self.kills} kills left in io.tmp.dirs: {tmp[:10]}"
        jobs = list((self.directory / "checkpoints").iterdir())
        assert len(jobs) <= self.killed_jobs, f"the job that finished left checkpoints: {jobs}, {self.killed_jobs} died"
        for job in jobs:
            left = checkpoint_leftovers(str(path.relative_to(job)) for path in job.rglob("*") if path.is_file())
            under_way = {name.partition("/")[0] for name in left}
            assert len(under_way - {"shared"}) <= 2, f"{job} has more than was under way when it was killed: {left}"


def wait_for_group(group: int) -> None:
    """Workers die with the job's process, a moment later."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.005)


def kill_and_restart(program: Program, random: Random, kills: int) -> None:
    """Kills run after run at random moments, lets the last one finish."""
    while program.kills < kills and not program.finished:
        with program.started() as process:
            before = program.newest_checkpoints()
            deadline = time.monotonic() + WAIT_S
            # A process that dies before its job has begun tests nothing: most runs get as far as a checkpoint of theirs.
            while random.random() < 0.9995 and program.newest_checkpoints() == before and process.poll() is None:
                assert time.monotonic() < deadline, (program.directory / "errors").read_text()[-3000:]
                time.sleep(0.002)
            time.sleep(random.random() ** 2 * 0.4)
            if process.poll() is None:
                program.kill(process.pid, job=True)
            else:
                assert process.returncode == 0, (program.directory / "errors").read_text()[-3000:]
    if not program.finished:
        with program.started() as process:
            assert process.wait(timeout=WAIT_S) == 0, (program.directory / "errors").read_text()[-3000:]
    program.check()


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in children.read_text().split()]
    return []


def kill_workers(program: Program, random: Random, kills: int) -> None:
    """Kills single workers of one run: the job goes on by its restart strategy."""
    with program.started() as process:
        deadline = time.monotonic() + 4 * WAIT_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05 + random.random() * 0.3)
            workers = workers_of(process.pid)
            if program.kills < kills and program.newest_checkpoints() is not None and workers:
                program.kill(random.choice(workers), job=False)
        assert process.returncode == 0, (program.directory / "errors").read_text()[-3000:]
    assert program.kills
    program.check()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_killed_processes_lose_and_double_nothing(backend: str, tmp_path: Path) -> None:
    kill_and_restart(Program(tmp_path, "local", 2, backend, "long"), Random(1), 2)


def test_killed_workers_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_workers(Program(tmp_path, "local-processes", 2, "auto", "checkpoint"), Random(2), 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rolls", ["long", "checkpoint", "small"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_hundred_kills(target: str, backend: str, rolls: str, tmp_path: Path) -> None:
    for round_ in range(2):
        directory = tmp_path / str(round_)
        directory.mkdir()
        kill_and_restart(Program(directory, target, 2, backend, rolls), Random(f"{backend} {rolls} {round_}"), 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rolls", ["long", "checkpoint", "small"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_many_killed_workers(backend: str, rolls: str, tmp_path: Path) -> None:
    kill_workers(Program(tmp_path, "local-processes", 3, backend, rolls), Random(f"{backend} {rolls}"), 8)

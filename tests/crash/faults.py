"""Faults by plan: where a job fails, and a disk that loses what a real one may lose.

A schedule is drawn from a seed: which steps fail, at which occurrence, whether the process lives on; how many steps the
background thread's work is put off. The same seed gives the same schedule.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from random import Random
from typing import Any
from zlib import crc32

import pytest

from penstock.datastream.connectors._file_committer import FileCommitter
from penstock.runtime import _job_checkpoints
from penstock.runtime._attempt import InProcessAttempt
from penstock.runtime._checkpoints import CheckpointCoordinator, SavepointRequest
from penstock.runtime._commits import CommitterBook
from penstock.runtime._job import LocalJob
from penstock.runtime._scheduler import Scheduler
from penstock.runtime._snapshots import SnapshotAgent
from penstock.runtime.checkpoint import CheckpointStorageError, CheckpointWriter, FileStore, _storage
from penstock.runtime.operators._async_calls import AsyncCalls


class InjectedError(Exception):
    """A step fails; the process lives on."""


class Crash(BaseException):
    """The process dies here."""


FAULTS: Faults | None = None
"""Of the schedule under way: user functions of jobs in this process look here."""

# How often a step is reached in a job of a few hundred records: the occurrence that fails is drawn below it.
STEPS = {
    "record": 700,
    "timer": 30,
    "capture, before": 60,
    "capture, after": 60,
    "state file, before": 60,
    "state file, half": 60,
    "state file, after": 60,
    "state, written": 40,
    "metadata, before": 20,
    "metadata, half": 20,
    "metadata, after": 20,
    "checkpoint, written": 15,
    "notification, before": 15,
    "notification, after": 15,
    "commit, before": 15,
    "commit, after a file": 15,
    "commit, after": 15,
    "task end, before": 6,
    "task end, after": 6,
    "clean-up": 15,
}


class Faults:
    """The faults of one schedule. Any thread may reach a step; one at a time does.

    Attributes:
        seen: how often each step was reached.
        fired: what failed, in order.
        crashed: whether the process is dead: then every step dies.
        processes: how many there were.
        violations: what was found wrong on the way, where raising it would pass for a fault.
    """

    def __init__(self, random: Random, count: int, *, crashes: bool) -> None:
        self.random = random
        self.seen: Counter[str] = Counter()
        self.fired: list[str] = []
        self.crashed = False
        self.processes = 1
        self.violations: list[str] = []
        self.plan: dict[tuple[str, int], bool] = {}
        for _ in range(count):
            step = random.choice(list(STEPS))
            occurrence = random.randint(1, STEPS[step])
            self.plan[step, occurrence] = crashes and random.random() < 0.4

    def reach(self, step: str) -> None:
        """A step is reached."""
        if self.crashed:
            raise Crash
        self.seen[step] += 1
        dies = self.plan.pop((step, self.seen[step]), None)
        if dies is None:
            return
        self.fired.append(f"{'crash' if dies else 'error'} at {step} #{self.seen[step]}")
        if dies:
            self.crashed = True
            raise Crash
        raise InjectedError(step)

    def reboot(self) -> None:
        """The next process."""
        self.crashed = False
        self.processes += 1


def checkpoint_leftovers(names: Iterable[str]) -> list[str]:
    """Of the files of one job's checkpoints, whole or left by a crash: those that belong to none that is complete.

    Args:
        names: relative to the job's directory.
    """
    held = list(names)
    complete = {name.partition("/")[0] for name in held if name.endswith("/_metadata")}
    return [name for name in held if "/." in name or name.partition("/")[0] not in {*complete, "shared"}]


def reach(step: str) -> None:
    """For user functions."""
    if FAULTS is not None:
        FAULTS.reach(step)


@dataclass
class SimulatedDisk:
    """The disk under the checkpoints; outlives the processes.

    Attributes:
        names: what a process sees.
        unsynced: names that changed and whose directory was not synced since, with what they held before.
    """

    names: dict[str, bytes] = field(default_factory=dict)
    unsynced: dict[str, bytes | None] = field(default_factory=dict)

    def change(self, path: str, data: bytes | None) -> None:
        """A name is made, replaced or removed."""
        self.unsynced.setdefault(path, self.names.get(path))
        if data is None:
            self.names.pop(path, None)
        else:
            self.names[path] = data

    def power_lost(self, random: Random) -> None:
        """Of what was not synced each name is as before, as after, or torn."""
        for path, before in self.unsynced.items():
            fate = random.randrange(3)
            after = self.names.get(path)
            if fate == 0 and before is not None:
                self.names[path] = before
            elif fate == 0:
                self.names.pop(path, None)
            elif fate == 1 and after:
                self.names[path] = after[: random.randrange(len(after))]
        self.unsynced.clear()


class SimulatedFiles(FileStore):
    """A directory of a simulated disk."""

    def __init__(self, disk: SimulatedDisk, faults: Faults, root: str) -> None:
        self.disk = disk
        self.faults = faults
        self.root = root.rstrip("/")

    def create(self, path: str, chunks: Iterable[bytes]) -> tuple[int, int]:
        kind = "metadata" if path.endswith("_metadata") else "state file"
        target = self.full_path(path)
        self._step(f"{kind}, before")
        data = b"".join(chunks)
        temporary = f"{target.rpartition('/')[0]}/.{target.rpartition('/')[2]}.tmp"
        try:
            self._step(f"{kind}, half")
        except Crash:
            self.disk.change(temporary, data[: len(data) // 2])
            raise
        self.disk.change(target, data)
        self._step(f"{kind}, after")
        return len(data), crc32(data)

    def _step(self, step: str) -> None:
        try:
            self.faults.reach(step)
        except InjectedError as error:
            raise CheckpointStorageError(f"No space left on the simulated disk: {error}") from error

    def sync_directory(self, path: str) -> None:
        self._alive()
        directory = self.full_path(path)
        for name in list(self.disk.unsynced):
            removed_below = name not in self.disk.names and name.startswith(directory + "/")
            if removed_below or name.rpartition("/")[0] == directory:
                del self.disk.unsynced[name]

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        self._alive()
        data = self.disk.names.get(self.full_path(path))
        if data is None:
            raise CheckpointStorageError(f"Checkpoint file {self.full_path(path)} cannot be read: it is not there.")
        return data[offset : None if length is None else offset + length]

    def size(self, path: str) -> int | None:
        self._alive()
        data = self.disk.names.get(self.full_path(path))
        return None if data is None else len(data)

    def names(self, path: str) -> list[str]:
        self._alive()
        prefix = self.full_path(path) + "/"
        return sorted({name[len(prefix) :].partition("/")[0] for name in self.disk.names if name.startswith(prefix)})

    def remove(self, path: str) -> None:
        self._step("clean-up")
        self.disk.change(self.full_path(path), None)

    def remove_directory(self, path: str) -> None:
        self._alive()
        prefix = self.full_path(path) + "/"
        for name in [name for name in self.disk.names if name.startswith(prefix)]:
            self.disk.change(name, None)

    def _alive(self) -> None:
        if self.faults.crashed:
            raise Crash


class SeededBackground(Executor):
    """The thread that writes checkpoints, as calls put off for a random number of the scheduler's steps."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.process = faults.processes
        self.waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future = _Prompt(self)
        self.waiting.append((future, lambda: function(*arguments, **options)))
        return future

    def run_one(self) -> None:
        future, call = self.waiting.popleft()
        try:
            result = call()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def step(self, *, idle: bool) -> None:
        if self.process != self.faults.processes:
            self.waiting.clear()  # died with its process
        if self.waiting and (idle or self.faults.random.random() < 0.2):
            self.run_one()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        while self.waiting and not self.faults.crashed:
            self.run_one()
        self.waiting.clear()


class _Prompt(Future[Any]):
    """Waiting for it runs what is before it."""

    def __init__(self, background: SeededBackground) -> None:
        super().__init__()
        self._of = background

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self._of.run_one()
        return super().result(timeout)


@contextlib.contextmanager
def injected(faults: Faults, disk: SimulatedDisk, savepoints: int = 0, late: int = 0) -> Iterator[None]:
    """Jobs that run inside meet the faults; checkpoints under `simulated://` lie on the disk.

    Args:
        faults: what fails.
        disk: under the checkpoints.
        savepoints: how many in a thousand steps.
        late: by how many steps tasks may hear later than sources what became of a checkpoint, as in other processes.
    """
    global FAULTS
    backgrounds: list[SeededBackground] = []
    stores = _storage.file_store_for

    def store_for(url: str) -> FileStore:
        return SimulatedFiles(disk, faults, url) if url.startswith("simulated://") else stores(url)

    def background(*_: Any, **__: Any) -> SeededBackground:
        backgrounds.append(SeededBackground(faults))
        return backgrounds[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_storage, "file_store_for", store_for)
        patch.setattr(_job_checkpoints, "file_store_for", store_for)
        patch.setattr(_job_checkpoints, "ThreadPoolExecutor", background)
        _instrument(patch, faults, backgrounds, savepoints)
        if late:
            _deliver_late(patch, faults, late)
        calls = _made(patch, AsyncCalls)
        FAULTS = faults
        try:
            yield
        finally:
            FAULTS = None
            left = [each for each in calls if each._thread.is_alive()]
            for each in left:
                each.close()
        assert not left or faults.processes > 1, "event loops left behind"  # those of a dead process end with it


def _made(patch: pytest.MonkeyPatch, kind: type) -> list[Any]:
    """The objects of a type that are made from now on."""
    made: list[Any] = []
    original = kind.__init__

    def init(made_one: Any, *arguments: Any, **options: Any) -> None:
        original(made_one, *arguments, **options)
        made.append(made_one)

    patch.setattr(kind, "__init__", init)
    return made


def _instrument(
    patch: pytest.MonkeyPatch, faults: Faults, backgrounds: list[SeededBackground], savepoints: int
) -> None:
    def around(owner: type, name: str, step: str, after: str = "after") -> None:
        original = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            faults.reach(f"{step}, before")
            result = original(*arguments, **options)
            faults.reach(f"{step}, {after}")
            return result

        patch.setattr(owner, name, call)

    def behind(owner: type, name: str, step: str) -> None:
        original = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            faults.reach(step)
            return result

        patch.setattr(owner, name, call)

    around(SnapshotAgent, "on_snapshot", "capture")
    around(SnapshotAgent, "on_finished", "task end")
    behind(CheckpointWriter, "complete", "checkpoint, written")
    behind(CheckpointWriter, "put", "state, written")
    around(LocalJob, "_checkpoint_completed", "notification")
    around(CommitterBook, "commit", "commit")
    behind(FileCommitter, "_commit_one", "commit, after a file")
    begin = _job_checkpoints.JobCheckpoints.begin_attempt

    def begun(checkpoints: _job_checkpoints.JobCheckpoints, attempt: int) -> None:
        begin(checkpoints, attempt)
        storage = checkpoints._storage
        if attempt == 0 or storage is None or any("clean-up" in fault for fault in faults.fired):
            return
        store, job = storage._store, storage._folder
        assert isinstance(store, SimulatedFiles)
        prefix = store.full_path(job) + "/"
        left = checkpoint_leftovers(name[len(prefix) :] for name in store.disk.names if name.startswith(prefix))
        shared = {f"{prefix}{path}" for path in storage._shared_in_use()}
        left += [name for name in store.disk.names if name.startswith(f"{prefix}shared/") and name not in shared]
        if left:
            faults.violations.append(f"attempt {attempt} began with {left[:5]}")

    patch.setattr(_job_checkpoints.JobCheckpoints, "begin_attempt", begun)
    step, start = Scheduler.step, CheckpointCoordinator.start
    coordinators: list[CheckpointCoordinator] = []

    def started(coordinator: CheckpointCoordinator, tasks: Any) -> None:
        coordinators.append(coordinator)
        start(coordinator, tasks)

    def stepped(scheduler: Scheduler) -> None:
        for background in backgrounds[-1:]:
            background.step(idle=not scheduler._ready)
        if savepoints and coordinators and faults.random.random() < savepoints / 1000:
            request = SavepointRequest("simulated://savepoints")
            coordinators[-1].request_savepoint(request)
        step(scheduler)

    patch.setattr(CheckpointCoordinator, "start", started)
    patch.setattr(Scheduler, "step", stepped)


def _deliver_late(patch: pytest.MonkeyPatch, faults: Faults, steps: int) -> None:
    """Tasks that are no sources hear of complete and aborted checkpoints some steps later, in order."""
    waiting: deque[tuple[int, InProcessAttempt, Callable[[Any], None]]] = deque()
    now = [0]
    step, stop = Scheduler.step, InProcessAttempt.stop

    def tell(attempt: InProcessAttempt, message: Callable[[Any], None]) -> None:
        for task in attempt.tasks:
            if task.reader is not None and not task.vertex.is_terminal:
                message(task)
        due = now[0] + faults.random.randrange(steps)
        waiting.append((max(due, waiting[-1][0] if waiting else 0), attempt, message))

    def completed(attempt: InProcessAttempt, barrier: Any) -> None:
        attempt._agent.forget(barrier.checkpoint_id, aborted=False)
        tell(attempt, lambda task: task.checkpoint_completed(barrier))

    def aborted(attempt: InProcessAttempt, barrier: Any) -> None:
        attempt._agent.forget(barrier.checkpoint_id, aborted=True)
        tell(attempt, lambda task: task.cancel_barrier(barrier.checkpoint_id))

    def stepped(scheduler: Scheduler) -> None:
        now[0] += 1
        while waiting and waiting[0][0] <= now[0]:
            _, attempt, message = waiting.popleft()
            for task in attempt.tasks:
                if task.reader is None and not task.vertex.is_terminal:
                    message(task)
        step(scheduler)

    def stopped(attempt: InProcessAttempt) -> None:
        waiting.clear()
        stop(attempt)

    patch.setattr(InProcessAttempt, "checkpoint_completed", completed)
    patch.setattr(InProcessAttempt, "checkpoint_aborted", aborted)
    patch.setattr(InProcessAttempt, "stop", stopped)
    patch.setattr(Scheduler, "step", stepped)

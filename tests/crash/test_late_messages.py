"""What tasks hear late, or after they have ended: ends, aborts, completions, and writing that takes longer than the job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from faults import Faults, SimulatedDisk, injected
from programs import BODIES, environment, file_sink, lines_of, numbers
from schedules import difference, stop_after, undisturbed

from penstock.runtime._attempt import InProcessAttempt
from penstock.runtime.checkpoint import CheckpointStorage, CheckpointStorageError, CheckpointWriter

NEVER = 1_000_000
OPTIONS = {
    "execution.target": "local",
    "execution.checkpointing.dir": "simulated://checkpoints",
    "execution.checkpointing.interval": "5 ms",
    "restart-strategy.type": "none",
}


def run(body: str, directory: Path, late: int, **options: Any) -> Counter[str]:
    faults = Faults(Random(1), 0, crashes=False)
    with injected(faults, SimulatedDisk(), late=late):
        env = environment(2, {**OPTIONS, "penstock.scheduler.seed": 3, **options})
        BODIES[body](env, numbers(env, 240)).sink_to(file_sink(directory, "long")).uid("sink")
        env.execute()
    return Counter(lines_of(directory))


@pytest.mark.parametrize("body", ["keyed counts", "windows", "stateless"])
def test_a_task_that_never_heard_of_a_failed_stop_ends_as_its_input_did(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = CheckpointWriter.complete

    def fails(writer: CheckpointWriter, *arguments: Any) -> Any:
        if writer.kind == "savepoint":
            raise CheckpointStorageError("No space left on the simulated disk")
        return complete(writer, *arguments)

    monkeypatch.setattr(CheckpointWriter, "complete", fails)
    requests = stop_after(monkeypatch, 60)
    got = run(body, tmp_path, NEVER)
    assert requests, "the job ended before it was asked to stop"
    assert "No space left" in str(requests[0].done.exception())
    assert got == undisturbed(body), difference(got, undisturbed(body))


def hear_of_one_when_the_next_is_complete(patch: pytest.MonkeyPatch) -> None:
    """Tasks that are no sources are always one checkpoint behind."""
    held: list[Any] = []

    def completed(attempt: InProcessAttempt, barrier: Any) -> None:
        attempt._agent.forget(barrier.checkpoint_id, aborted=False)
        heard = held[-1:]
        held.append(barrier)
        for task in attempt.tasks:
            if not task.vertex.is_terminal:
                for each in heard if task.reader is None else [barrier]:
                    task.checkpoint_completed(each)

    patch.setattr(InProcessAttempt, "checkpoint_completed", completed)


ROCKSDB = {
    "state.backend.type": "rocksdb",
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.num-retained": 1,
    "execution.checkpointing.data-inline-threshold": "0 b",
}


def test_a_checkpoint_never_refers_to_files_of_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rocksdict")
    retain: Callable[[CheckpointStorage, int], None] = CheckpointStorage.retain
    verified: set[int] = set()
    wrong: list[str] = []

    def retained(storage: CheckpointStorage, count: int) -> None:
        retain(storage, count)
        for view in storage.list():
            try:
                view.verify()
            except CheckpointStorageError as error:
                wrong.append(str(error))
            verified.add(view.checkpoint_id)

    monkeypatch.setattr(CheckpointStorage, "retain", retained)
    hear_of_one_when_the_next_is_complete(monkeypatch)
    got = run("keyed counts", tmp_path, 0, **ROCKSDB)
    assert not wrong, wrong
    assert len(verified) > 3
    assert got == undisturbed("keyed counts")


@pytest.mark.parametrize("seed", range(4))
def test_a_job_that_ends_while_its_state_is_written_completes_the_checkpoint(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("rocksdict")
    got = run("keyed counts", tmp_path, 0, **{**ROCKSDB, "penstock.scheduler.seed": seed})
    assert got == undisturbed("keyed counts")

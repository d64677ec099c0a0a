"""What every file sink does: each record exactly once in a visible file, whatever crashes whenever."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_files import Crash, SimulatedFiles

from penstock.common.serialization import Encoder
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.connectors import _file_writer
from penstock.datastream.connectors._buckets import BucketAssigner, BucketContext, RollingPolicy
from penstock.datastream.connectors._compaction import FileCompactor, FileCompactStrategy
from penstock.datastream.connectors._file_committer import FileCommitter
from penstock.datastream.connectors._file_sink import FileSink, StreamingFileSink
from penstock.datastream.connectors._file_writer import FileSinkPlan, FileWriter
from penstock.datastream.connectors._output_files import LocalOutputFiles, OutputFiles, RemoteOutputFiles
from penstock.datastream.connectors.base import WriterContext
from penstock.datastream.formats.csv import CsvBulkWriters, CsvSchema
from penstock.errors import JobError

BASE = "/out"
RECORDS = 60


class ByValue(BucketAssigner):
    """Many buckets, more than may be open."""

    def get_bucket_id(self, element: Any, context: BucketContext) -> str:
        return f"b{int(str(element[0] if isinstance(element, Row) else element)) % 5}"


def row_sink() -> Any:
    return FileSink.for_row_format(BASE, Encoder.simple_string_encoder()).with_bucket_assigner(
        BucketAssigner.base_path_bucket_assigner()
    )


def compaction(**settings: int) -> Any:
    strategy = FileCompactStrategy.builder()
    if "checkpoints" in settings:
        strategy.enable_compaction_on_checkpoint(settings["checkpoints"])
    if "size" in settings:
        strategy.set_size_threshold(settings["size"])
    return strategy.build(), FileCompactor.concat_file_compactor()


def csv_sink() -> Any:
    schema = CsvSchema.builder().add_string_column("s").build()
    return FileSink.for_bulk_format(BASE, CsvBulkWriters.for_schema(schema)).with_bucket_assigner(ByValue())


def legacy_sink() -> FileSinkPlan:
    with pytest.warns(DeprecationWarning, match="FileSink"):
        sink = StreamingFileSink.for_row_format(BASE, Encoder.simple_string_encoder()).build()
    return replace(sink.to_sink()._plan, legacy=True)


SMALL_PARTS = RollingPolicy.default_rolling_policy(25, 3_000, 2_000)
PLANS: dict[str, Callable[[], FileSinkPlan]] = {
    "rows that roll by size and time": lambda: row_sink().with_rolling_policy(SMALL_PARTS).build()._plan,
    "rows in one long file": lambda: row_sink().build()._plan,
    "rows that roll at checkpoints": lambda: (
        row_sink().with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build()._plan
    ),
    "rows in many buckets": lambda: row_sink().with_bucket_assigner(ByValue()).build()._plan,
    "bulk in many buckets": lambda: csv_sink().build()._plan,
    "compacted by checkpoints": lambda: (
        row_sink().with_rolling_policy(SMALL_PARTS).enable_compact(*compaction(checkpoints=2)).build()._plan
    ),
    "compacted by size": lambda: (
        row_sink()
        .with_bucket_assigner(ByValue())
        .with_rolling_policy(SMALL_PARTS)
        .enable_compact(*compaction(size=40))
        .build()
        ._plan
    ),
}


@pytest.fixture(autouse=True)
def few_open_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_writer, "_OPEN_PARTS_MAX", 2)


@dataclass
class Content:
    """A checkpoint: everything a job starts again from."""

    position: int
    committables: list[Any]
    states: list[Any]


class Job:
    """Runs writers and a committer as a job does, over as many attempts as it takes."""

    def __init__(self, plan: FileSinkPlan, files: OutputFiles, parallelism: int = 1) -> None:
        self.plan = replace(plan, check_interval_ms=1_000)
        self.files = files
        self.parallelism = parallelism
        self.now_ms = 1_700_000_000_000
        self.stored: bytes | None = None
        self.uncommitted: list[Any] = []
        self.writers: list[FileWriter] = []
        self.position = 0

    def start(self) -> None:
        content: Content | None = None if self.stored is None else pickle.loads(self.stored)
        committer = FileCommitter(self.files, self.plan.base_path)
        self.uncommitted = []
        states = [] if content is None else content.states
        if content is not None:
            committer.commit(content.committables)
        committer.abort_unknown(states)
        self.position = 0 if content is None else content.position
        self.writers = []
        for index in range(self.parallelism):
            own = states[index :: self.parallelism]
            context = WriterContext(index, self.parallelism, lambda: self.now_ms, Types.STRING(), True)
            self.writers.append(FileWriter(pickle.loads(pickle.dumps(self.plan)), self.files, context, own))

    def element(self, number: int) -> Any:
        return f"{number:05d}" if self.plan.encoder is not None else Row(f"{number:05d}")

    def write(self, count: int) -> None:
        for writer in self.writers:
            stop = min(RECORDS, self.position + count)
            writer.write([self.element(number) for number in range(self.position, stop)], None, 0)
            self.position = stop

    def tick(self, ms: int) -> None:
        self.now_ms += ms
        for writer in self.writers:
            writer.tick(self.now_ms)

    def checkpoint(self, complete: bool = True) -> None:
        for writer in self.writers:
            self.uncommitted.extend(pickle.loads(pickle.dumps(writer.prepare_commit())))
        self._store(complete)

    def _store(self, complete: bool) -> None:
        states = [writer.snapshot() for writer in self.writers]
        stored = pickle.dumps(Content(self.position, self.uncommitted, states))
        if complete:
            self.stored = stored
            committing = self.uncommitted
            FileCommitter(self.files, self.plan.base_path).commit(committing)
            self.uncommitted = []

    def end(self) -> None:
        self.write(RECORDS)
        for writer in self.writers:
            self.uncommitted.extend(pickle.loads(pickle.dumps(writer.finish())))
        self._store(complete=True)
        for writer in self.writers:
            writer.close()


EXPECTED = [f"{number:05d}" for number in range(RECORDS)]
SCENARIO: list[tuple[str, int]] = [
    ("write", 7), ("tick", 1_500), ("write", 3), ("checkpoint", 1), ("write", 9), ("tick", 4_000), ("checkpoint", 0),
    ("write", 5), ("checkpoint", 1), ("checkpoint", 1), ("write", 8), ("checkpoint", 1), ("write", 2),
]  # fmt: skip


def act(job: Job, scenario: Sequence[tuple[str, int]]) -> None:
    job.start()
    for action, argument in scenario:
        if action == "write":
            job.write(argument)
        elif action == "tick":
            job.tick(argument)
        else:
            job.checkpoint(complete=bool(argument))
    job.end()


def lines_of(visible: dict[str, bytes]) -> list[str]:
    return sorted(line for data in visible.values() for line in data.decode().splitlines())


def check_visible(files: SimulatedFiles, before: dict[str, bytes]) -> dict[str, bytes]:
    """What is visible is complete, single, and stays as it is."""
    visible = files.visible()
    lines = lines_of(visible)
    assert len(set(lines)) == len(lines), "a record is visible twice"
    assert set(lines) <= set(EXPECTED)
    for path, data in before.items():
        assert visible.get(path) == data, f"{path} was visible and has changed"
    return visible


def run(
    plan: FileSinkPlan, faults: Sequence[tuple[int, str, bool, int]], scenario: Sequence[tuple[str, int]] = SCENARIO
) -> tuple[SimulatedFiles, Job]:
    """Runs to the end through faults: operation, kind, whether the power fails too, and the parallelism after it."""
    files = SimulatedFiles()
    job = Job(plan, files)
    random = Random(repr(faults))
    seen: dict[str, bytes] = {}
    for operation, kind, power, parallelism in [*faults, (-1, "", False, job.parallelism)]:
        files.fail_at, files.kind = operation, kind
        try:
            act(job, scenario)
        except Crash:
            durable = dict(files.durable_names)
            if power:
                files.power_lost(random)
                seen = {path: data for path, data in seen.items() if path in durable}
            else:
                files.process_died(random)
        except JobError as error:
            assert "space" in str(error)  # noqa: PT017
            for writer in job.writers:
                writer.close()
        else:
            if operation >= 0:
                files.fail_at = -1
                break
        job.parallelism = parallelism
        seen = check_visible(files, seen)
    return files, job


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> FileSinkPlan:
    return PLANS[request.param]()


def test_everything_once_without_a_fault(plan: FileSinkPlan) -> None:
    files, _ = run(plan, [])
    assert lines_of(files.visible()) == EXPECTED
    assert set(files.visible()) == set(files.names), "files in progress are left"


@pytest.mark.parametrize("kind", ["before", "after", "torn", "error"])
@pytest.mark.parametrize("power", [False, True])
def test_a_crash_at_any_operation(plan: FileSinkPlan, kind: str, power: bool) -> None:
    if kind == "error" and power:
        pytest.skip("a full disk does not take the power away")
    operations = run(plan, [])[0].operations
    for operation in range(operations):
        files, _ = run(plan, [(operation, kind, power, 1)])
        assert lines_of(files.visible()) == EXPECTED, f"crash at operation {operation}"


faults = st.lists(
    st.tuples(
        st.integers(0, 60), st.sampled_from(["before", "after", "torn", "error"]), st.booleans(), st.integers(1, 3)
    ),
    max_size=5,
)
scenarios = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 12)),
        st.tuples(st.just("tick"), st.integers(0, 5_000)),
        st.tuples(st.just("checkpoint"), st.integers(0, 1)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("name", PLANS)
@given(faults=faults, scenario=scenarios)
@settings(max_examples=150)
def test_any_sequence_of_crashes(name: str, faults: Any, scenario: Any) -> None:
    files, job = run(PLANS[name](), faults, scenario)
    assert lines_of(files.visible()) == EXPECTED
    left = set(files.names) - set(files.visible())
    states = pickle.loads(job.stored or b"").states
    assert not [path for path in left if path.endswith(tuple(state.lineage for state in states))]


@pytest.mark.parametrize("scheme", ["", "memory://sinks"])
def test_real_files(plan: FileSinkPlan, scheme: str, tmp_path: Path) -> None:
    base = f"{scheme}{tmp_path}"
    files: OutputFiles = RemoteOutputFiles(base) if scheme else LocalOutputFiles()
    plan = replace(plan, base_path=base)
    job = Job(plan, files)
    job.start()
    job.write(20)
    job.checkpoint()
    job.write(10)
    job.checkpoint(complete=False)
    job.write(10)
    for writer in job.writers:  # the process dies: nothing more is said to the writers
        writer.close()
    job.parallelism = 2
    act(job, SCENARIO)
    if scheme:
        import fsspec

        memory = fsspec.filesystem("memory")
        found = {path: memory.cat(path) for path in memory.find(base)}
    else:
        found = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not [path for path in found if "inprogress" in path]
    assert lines_of(found) == EXPECTED


def test_streaming_file_sink_leaves_files_in_progress() -> None:
    files = SimulatedFiles()
    plan = replace(legacy_sink(), assigner=BucketAssigner.base_path_bucket_assigner())
    context = WriterContext(0, 1, lambda: 0, Types.STRING(), checkpointing=False)
    writer = FileWriter(plan, files, context)
    writer.write(["a", "b"], None, 0)
    assert writer.finish() == []
    writer.close()
    [(path, node)] = files.names.items()
    assert path.startswith(f"{BASE}/.part-0-0.inprogress.")
    assert node.data == b"a\nb\n"


def test_streaming_file_sink_counts_on_after_a_restart() -> None:
    files = SimulatedFiles()
    plan = replace(legacy_sink(), assigner=BucketAssigner.base_path_bucket_assigner(), policy=SMALL_PARTS)
    job = Job(plan, files)
    job.start()
    job.write(12)
    job.checkpoint()
    job.start()
    job.write(12)
    job.checkpoint()
    job.tick(10_000)
    job.checkpoint()
    assert lines_of(files.visible()) == EXPECTED[:24]
    assert sorted(files.visible()) == [f"{BASE}/part-0-{index}" for index in range(len(files.visible()))]

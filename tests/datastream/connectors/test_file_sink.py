"""FileSink: names, buckets, rolling, and what is said when a file cannot be written."""

from __future__ import annotations

import errno
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.common.serialization import Encoder
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.connectors._output_files import LocalOutputFiles
from penstock.datastream.connectors.base import WriterContext
from penstock.datastream.connectors.file_system import (
    BucketAssigner,
    DefaultRollingPolicy,
    FileCompactor,
    FileCompactStrategy,
    FileSink,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    RollingPolicy,
    StreamingFileSink,
)
from penstock.datastream.formats.json import JsonBulkWriters
from penstock.errors import ConfigurationError, JobError, UnsupportedFeatureError

NOON_MS = 1_709_210_096_789  # 2024-02-29T12:34:56.789Z
PART = re.compile(r"part-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-(\d+)")


class Clock:
    now_ms = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


def writer_of(sink: FileSink, clock: Clock | None = None, kind: Any = None, recovered: Any = ()) -> Any:
    return pickle.loads(pickle.dumps(sink)).create_writer(
        WriterContext(0, 1, clock or Clock(), kind, checkpointing=True), recovered
    )


def rows(base: Path) -> Any:
    return FileSink.for_row_format(str(base), Encoder.simple_string_encoder()).with_bucket_assigner(
        BucketAssigner.date_time_bucket_assigner(timezone_id="UTC")
    )


def files_in(base: Path) -> dict[str, str]:
    return {str(path.relative_to(base)): path.read_text() for path in base.rglob("*") if path.is_file()}


def test_the_plain_use(tmp_path: Path) -> None:
    sink = rows(tmp_path).build()
    writer = writer_of(sink)
    writer.write(["a", "b"], None, 0)
    writer.write(["c"], None, 0)
    [(hidden, _)] = files_in(tmp_path).items()
    assert re.fullmatch(rf"2024-02-29--12/\.{PART.pattern}\.inprogress\.[0-9a-f-]{{36}}", hidden)
    sink.create_committer().commit(writer.finish())
    writer.close()
    [(name, text)] = files_in(tmp_path).items()
    assert re.fullmatch(rf"2024-02-29--12/{PART.pattern}", name)
    assert text == "a\nb\nc\n"


def test_names_by_the_configuration(tmp_path: Path) -> None:
    config = OutputFileConfig.builder().with_part_prefix("pre").with_part_suffix(".ext").build()
    sink = rows(tmp_path).with_output_file_config(config).build()
    writer = writer_of(sink)
    writer.write(["a"], None, 0)
    sink.create_committer().commit(writer.finish())
    [name] = files_in(tmp_path)
    assert re.fullmatch(r"2024-02-29--12/pre-[0-9a-f-]{36}-0\.ext", name)


@pytest.mark.parametrize(
    ("kind", "values", "lines"),
    [
        (None, [("a", 1), None, 1.5], "('a', 1)\nNone\n1.5\n"),
        (Types.ROW([Types.INT(), Types.STRING()]), [Row(1, "a"), Row(None, "b")], "+I[1, a]\n+I[null, b]\n"),
        (Types.TUPLE([Types.INT(), Types.DOUBLE()]), [(1, 1e10)], "(1,1.0E10)\n"),
        (Types.BOOLEAN(), [True], "true\n"),
        (Types.STRING(), ["a\nb", ""], "a\nb\n\n"),
    ],
)
def test_lines_are_the_java_texts(tmp_path: Path, kind: Any, values: list[Any], lines: str) -> None:
    sink = rows(tmp_path).build()
    writer = writer_of(sink, kind=kind)
    writer.write(values, None, 0)
    sink.create_committer().commit(writer.finish())
    assert list(files_in(tmp_path).values()) == [lines]


def test_a_bucket_an_hour(tmp_path: Path) -> None:
    sink, clock = rows(tmp_path).build(), Clock()
    writer = writer_of(sink, clock)
    writer.write(["a"], None, 0)
    clock.now_ms += 3_600_000
    writer.write(["b"], None, 0)
    sink.create_committer().commit(writer.finish())
    assert sorted(name.partition("/")[0] for name in files_in(tmp_path)) == ["2024-02-29--12", "2024-02-29--13"]


def test_default_rolling(tmp_path: Path) -> None:
    policy = RollingPolicy.default_rolling_policy(part_size=4, rollover_interval=10_000, inactivity_interval=5_000)
    clock = Clock()
    sink = rows(tmp_path).with_rolling_policy(policy).with_bucket_check_interval(1_000).build()
    writer = writer_of(sink, clock)
    writer.write(["a", "b", "c", "d"], None, 0)  # rolls once more than four bytes are in the file
    assert [len(file.final) > 0 for file in writer.prepare_commit()] == [True]
    assert writer.tick(clock.now_ms) == NOON_MS + 1_000
    clock.now_ms += 5_000
    assert writer.tick(clock.now_ms) == clock.now_ms + 1_000
    assert len(writer.prepare_commit()) == 1  # idle
    writer.write(["e"], None, 0)
    for _ in range(4):
        clock.now_ms += 3_000
        writer.write([""], None, 0)
        writer.tick(clock.now_ms)
    assert len(writer.prepare_commit()) == 1  # old
    writer.close()


def test_counters_go_up_within_a_bucket(tmp_path: Path) -> None:
    policy = RollingPolicy.default_rolling_policy(part_size=1)
    sink = rows(tmp_path).with_rolling_policy(policy).build()
    writer = writer_of(sink)
    writer.write(["a", "b", "c"], None, 0)
    sink.create_committer().commit(writer.finish())
    counted = {PART.search(name)[2]: text for name, text in files_in(tmp_path).items()}  # type: ignore[index]
    assert counted == {"0": "a\n", "1": "b\n", "2": "c\n"}


def test_bulk_formats_roll_at_checkpoints(tmp_path: Path) -> None:
    factory = JsonBulkWriters.for_type_info(Types.ROW_NAMED(["a"], [Types.INT()]))
    builder = FileSink.for_bulk_format(tmp_path, factory)
    sink = builder.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build()
    writer = writer_of(sink)
    for number in range(2):
        writer.write([Row(a=number)], None, 0)
        sink.create_committer().commit(writer.prepare_commit())
        assert writer.snapshot().parts == ()
    assert sorted(files_in(tmp_path).values()) == ['{"a":0}\n', '{"a":1}\n']
    with pytest.raises(ValueError, match="OnCheckpointRollingPolicy"):
        builder.with_rolling_policy(RollingPolicy.default_rolling_policy())


def test_compaction_puts_files_together(tmp_path: Path) -> None:
    strategy = FileCompactStrategy.builder().enable_compaction_on_checkpoint(2).set_size_threshold(1_000).build()
    sink = (
        rows(tmp_path)
        .with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())
        .enable_compact(strategy, FileCompactor.concat_file_compactor(b"--\n"))
        .build()
    )
    writer = writer_of(sink)
    for number in range(4):
        writer.write([str(number)], None, 0)
        sink.create_committer().commit(writer.prepare_commit())
    assert sorted(files_in(tmp_path).values()) == ["0\n--\n1\n", "2\n--\n3\n"]
    assert all("/compacted-part-" in name for name in files_in(tmp_path))
    writer.close()
    identical = FileCompactor.identical_file_compactor()
    sink = (
        rows(tmp_path / "b").enable_compact(strategy, identical).disable_compact().enable_compact(strategy, identical)
    )
    writer = writer_of(sink.build())
    writer.write(["x"], None, 0)
    sink.build().create_committer().commit(writer.finish())
    assert list(files_in(tmp_path / "b").values()) == ["x\n"]


def test_compaction_switched_off_commits_what_waited(tmp_path: Path) -> None:
    strategy = FileCompactStrategy.builder().enable_compaction_on_checkpoint(5).build()
    builder = rows(tmp_path).with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())
    writer = writer_of(builder.enable_compact(strategy, FileCompactor.concat_file_compactor()).build())
    writer.write(["a"], None, 0)
    assert writer.prepare_commit() == []
    state = pickle.loads(pickle.dumps(writer.snapshot()))
    writer.close()
    sink = builder.disable_compact().build()
    again = writer_of(sink, recovered=[state])
    sink.create_committer().commit(again.prepare_commit())
    assert list(files_in(tmp_path).values()) == ["a\n"]


def test_leftovers_of_others_are_not_touched(tmp_path: Path) -> None:
    sink = rows(tmp_path).build()
    ours, theirs = writer_of(sink), writer_of(sink)
    for writer in (ours, theirs):
        writer.write(["a"], None, 0)
        writer.prepare_commit()
    state = ours.snapshot()
    ours.write(["b"], None, 0)
    ours.close()
    (tmp_path / ".note").write_text("mine")
    sink.create_committer().abort_unknown([state])
    assert len(files_in(tmp_path)) == 3
    theirs.close()
    again = writer_of(sink, recovered=[state])
    sink.create_committer().commit(again.finish())
    assert sorted(files_in(tmp_path).values()) == ["a\n", "a\n", "mine"]


def test_commits_may_be_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = rows(tmp_path).build()
    writer = writer_of(sink)
    writer.write(["a"], None, 0)
    committables = writer.finish()
    for _ in range(3):
        sink.create_committer().commit(committables)
    [name] = files_in(tmp_path)
    (tmp_path / name).unlink()
    sink.create_committer().commit(committables)
    assert "removed since" in caplog.text


def test_lost_files_are_an_error_and_committed_ones_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = rows(tmp_path).build()
    writer = writer_of(sink)
    writer.write(["aaa"], None, 0)
    writer.prepare_commit()
    state = writer.snapshot()
    writer.write(["b"], None, 0)
    committables = writer.finish()
    sink.create_committer().commit(committables)
    again = writer_of(sink, recovered=[state])  # an older checkpoint than the last
    assert "written again" in caplog.text
    again.close()
    [name] = files_in(tmp_path)
    os.rename(tmp_path / name, state.parts[0].in_progress)
    os.truncate(state.parts[0].in_progress, 2)
    with pytest.raises(JobError, match="too short"):
        writer_of(sink, recovered=[state])
    os.unlink(state.parts[0].in_progress)
    with pytest.raises(JobError, match="gone"):
        writer_of(sink, recovered=[state])


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    sink = rows(tmp_path).build()
    writer = writer_of(sink)
    writer.write(["a"], None, 0)
    [committable] = writer.finish()
    Path(committable.final).write_text("precious")
    with pytest.raises(JobError, match="never overwrites"):
        sink.create_committer().commit([committable])
    assert Path(committable.final).read_text() == "precious"


def failing(number: int) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("act", ["write", "checkpoint", "finish"])
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    from penstock.datastream.connectors import _output_files

    writer = writer_of(rows(tmp_path).build())
    writer.write(["a"], None, 0)
    monkeypatch.setattr(_output_files._LocalOutputStream, "write", failing(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    acts = {"write": lambda: writer.write(["b"], None, 0), "checkpoint": writer.prepare_commit, "finish": writer.finish}
    with pytest.raises(JobError, match="no space left"):
        acts[act]()
    monkeypatch.undo()
    writer.close()


def test_a_file_in_the_place_of_the_base_path(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    writer = writer_of(rows(tmp_path / "out").build())
    with pytest.raises(JobError, match="cannot write"):
        writer.write(["a"], None, 0)


def test_local_files_are_durable_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be synced before what: contents, then the name in progress; after a rename, the directory."""
    calls: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        calls.append(f"fsync {os.readlink(f'/proc/self/fd/{descriptor}').rpartition('/')[2][:5]}")
        real_fsync(descriptor)

    def rename(source: Any, target: Any) -> None:
        calls.append("rename")
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    sink = rows(tmp_path / "out").build()
    writer = writer_of(sink)
    writer.write(["a"], None, 0)
    committables = writer.finish()
    assert calls[-2:] == ["fsync .part", "fsync 2024-"]
    sink.create_committer().commit(committables)
    assert calls[-2:] == ["rename", "fsync 2024-"]


def test_local_files_resume_at_a_length(tmp_path: Path) -> None:
    files = LocalOutputFiles()
    path = str(tmp_path / "a" / "b" / "c")
    stream = files.create(path)
    stream.write(b"12345")
    stream.finish()
    with pytest.raises(FileExistsError):
        files.create(path)
    stream = files.resume(path, 2)
    stream.write(b"x")
    assert stream.tell() == 3
    stream.finish()
    assert Path(path).read_bytes() == b"12x"
    files.truncate(path, 1)
    assert files.size(path) == 1
    files.remove(path)
    files.remove(path)
    assert files.size(path) is None


def test_policies_are_those_of_flink() -> None:
    assert isinstance(RollingPolicy.default_rolling_policy(), DefaultRollingPolicy)
    assert isinstance(RollingPolicy.on_checkpoint_rolling_policy(), OnCheckpointRollingPolicy)
    with pytest.raises(ValueError, match="part_size"):
        RollingPolicy.default_rolling_policy(part_size=0)
    config = OutputFileConfig.builder().build()
    assert (config.get_part_prefix(), config.get_part_suffix()) == ("part", "")


def test_builders_refuse_what_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Encoder"):
        FileSink.for_row_format(tmp_path, "utf-8")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="BulkWriterFactory"):
        FileSink.for_bulk_format(tmp_path, object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="interval"):
        rows(tmp_path).with_bucket_check_interval(0)
    for wrapper in (BucketAssigner, RollingPolicy):
        with pytest.raises(UnsupportedFeatureError, match="JVM"):
            wrapper("a java object")
    with pytest.raises(ValueError, match="At least one"):
        FileCompactStrategy.builder().build()
    with pytest.raises(ValueError, match="more than 0"):
        FileCompactStrategy.builder().enable_compaction_on_checkpoint(0)
    with pytest.raises(ValueError, match="more than 0"):
        FileCompactStrategy.builder().set_num_compact_threads(0)
    strategy = FileCompactStrategy.builder().set_size_threshold(5).set_num_compact_threads(2).build()
    factory = JsonBulkWriters.for_type_info(Types.ROW([Types.INT()]))
    bulk = FileSink.for_bulk_format(tmp_path, factory).enable_compact(strategy, FileCompactor.concat_file_compactor())
    with pytest.raises(ConfigurationError, match="byte by byte"):
        bulk.build()
    assert FileSink.for_row_format(tmp_path, Encoder.simple_string_encoder()).build().get_transformer() is None


def test_streaming_file_sink_is_deprecated_and_works(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="FileSink"):
        sink = StreamingFileSink.for_row_format(tmp_path, Encoder.simple_string_encoder()).build()
    writer = sink.to_sink().create_writer(WriterContext(1, 2, Clock(), None, checkpointing=False))
    writer.write(["a"], None, 0)
    assert writer.finish() == []
    writer.close()
    [(name, text)] = files_in(tmp_path).items()
    assert Path(name).name.startswith(".part-1-0.inprogress.")
    assert text == "a\n"

"""FileSource: what is found, how it is read, and what is said when it cannot be."""

from __future__ import annotations

import gzip
import logging
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.common.time import Duration
from penstock.datastream.connectors import _file_source
from penstock.datastream.connectors._input_files import find_files, is_local, local_path
from penstock.datastream.connectors.base import END_OF_INPUT, Boundedness, ReaderContext, Source, SourceReader
from penstock.datastream.connectors.file_system import (
    FileEnumeratorProvider,
    FileSource,
    FileSplitAssignerProvider,
    StreamFormat,
)
from penstock.datastream.formats.json import JsonReaderFormat
from penstock.errors import ConfigurationError, JobError

WAIT_S = 20


def source(*paths: Any) -> Source:
    return FileSource.for_record_stream_format(StreamFormat.text_line_format(), *paths).build()


def read(built: Source) -> list[Any]:
    reader = built.create_reader(built.plan_splits(1), ReaderContext(0, 1, lambda: None, lambda: 0))
    values: list[Any] = []
    try:
        while (batch := reader.poll(100)) is not END_OF_INPUT:
            assert batch is not None
            values += batch.values
    finally:
        reader.close()
    return values


def test_the_plain_use(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nlast")
    built = source(str(tmp_path))
    assert built.boundedness is Boundedness.BOUNDED
    assert str(built.produced_type) == "String"
    assert read(built) == ["one", "two", "", "last"]


def test_paths_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b%20.txt").write_text("x\n")
    monkeypatch.chdir(tmp_path)
    for path in ("a b%20.txt", f"file://{tmp_path}/a b%20.txt", f"file:{tmp_path}/a b%20.txt", tmp_path / "a b%20.txt"):
        assert read(source(path)) == ["x"]
    assert read(source("a b%20.txt", "a b%20.txt")) == ["x", "x"]
    assert is_local("/a")
    assert not is_local("s3://a/b")
    assert local_path("file://localhost/a") == "/a"


def test_hidden_names_are_left_out_as_in_flink(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("root/.h/a", "root/_b", "root/c", "root/s/d", "root/s/t/e", "root/.f", "_root/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [file.path.removeprefix(f"{tmp_path}/") for file in find_files(str(tmp_path / "root"))]
    assert found == ["root/c", "root/s/d", "root/s/t/e"]
    assert find_files(str(tmp_path / "root" / "_b")) == []
    with caplog.at_level(logging.WARNING):
        assert source(tmp_path / "_root").plan_splits(1) == []
    assert "No input files" in caplog.text


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    assert [Path(file.path).name for file in find_files(str(tmp_path))] == ["a", "a"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        source(tmp_path / "nothing").plan_splits(1)
    with pytest.raises(ConfigurationError, match="charset"):
        StreamFormat.text_line_format("utf-99")
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        source("nosuchscheme://a/b").plan_splits(1)
    with pytest.raises(ValueError, match="at least one path"):
        source()
    with pytest.raises(TypeError, match="StreamFormat"):
        FileSource.for_record_stream_format("csv", "x")  # type: ignore[arg-type]
    (tmp_path / "a").write_text("x")
    splits = source(tmp_path).plan_splits(1)
    (tmp_path / "a").unlink()
    reader = source(tmp_path).create_reader(splits, ReaderContext(0, 1, lambda: None, lambda: 0))
    with pytest.raises(JobError, match="cannot be read"):
        reader.poll(1)
    reader.close()


def test_broken_files_are_named(tmp_path: Path) -> None:
    for name, data in (
        ("a.gz", b"no gzip"),
        ("b.gz", gzip.compress(b"x" * 100_000)[:-9]),
        ("c.xz", b"x"),
        ("d.deflate", b"x"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(JobError, match=name):
            read(source(tmp_path / name))
    (tmp_path / "e.json").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(JobError, match="e.json"):
        read(FileSource.for_record_stream_format(JsonReaderFormat.for_type_info(), tmp_path / "e.json").build())


def test_large_files_are_split_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_file_source, "_SMALLEST_RANGE_BYTES", 10)
    (tmp_path / "a").write_text("line\n" * 20)
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"x" * 100))
    builder = FileSource.for_record_stream_format(StreamFormat.text_line_format(), tmp_path)
    assert len(builder.build().plan_splits(4)) == 5
    assert len(builder.build().plan_splits(1)) == 2
    splitting = FileEnumeratorProvider.default_splittable_file_enumerator()
    assert len(builder.set_file_enumerator(splitting).build().plan_splits(4)) == 5
    whole = FileEnumeratorProvider.default_non_splittable_file_enumerator()
    assigner = FileSplitAssignerProvider.locality_aware_split_assigner()
    built = builder.set_file_enumerator(whole).set_split_assigner(assigner).build()
    assert len(built.plan_splits(4)) == 2
    wide = FileSource.for_record_stream_format(StreamFormat.text_line_format("UTF-16"), tmp_path / "a").build()
    assert len(wide.plan_splits(4)) == 1


def test_bytes_are_balanced_and_order_is_kept(tmp_path: Path) -> None:
    for number, size in enumerate((1, 900, 10, 500, 400, 20)):
        (tmp_path / f"{number}").write_bytes(b"x" * size)
    built = source(tmp_path)
    splits = built.plan_splits(2)
    dealt = built.deal_out(splits, 2)
    assert sorted(sum(split.size_bytes for split in own) for own in dealt) == [911, 920]
    assert all(own == sorted(own, key=lambda split: split.path) for own in dealt)
    assert built.deal_out(splits, 1) == [splits]


@pytest.mark.parametrize(
    "charset", ["UTF-8", "ISO-8859-1", "windows-1252", "GBK", "Shift_JIS", "UTF-16LE", "UTF-32", "cp037"]
)
def test_charsets(tmp_path: Path, charset: str) -> None:
    text = "a\r\nb\n\nlast é" if charset not in ("GBK", "Shift_JIS") else "a\r\n漢字\n\nlast"
    (tmp_path / "a").write_bytes(text.encode(charset))
    built = FileSource.for_record_stream_format(StreamFormat.text_line_format(charset), tmp_path).build()
    assert read(built) == text.replace("\r", "").split("\n")


def test_malformed_bytes_and_byte_order_marks_as_in_java(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"d\x0be\x85f\xc2\x85g\xff\xe2\x82|\xef\xbb\xbflast")
    assert read(source(tmp_path)) == ["d\x0be�f\x85g��|\ufefflast"]
    (tmp_path / "a").write_bytes("a\nb".encode("utf-16-be"))
    wide = FileSource.for_record_stream_format(StreamFormat.text_line_format("UTF-16"), tmp_path).build()
    assert read(wide) == ["a", "b"]
    (tmp_path / "a").write_bytes("\ufeffa\nb".encode("utf-16-le"))
    assert read(wide) == ["a", "b"]


def test_a_line_longer_than_many_blocks(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    (tmp_path / "a").write_text(f"a\n{long}\nb\n")
    assert read(source(tmp_path)) == ["a", long, "b"]


class Monitoring:
    """Readers of a source that watches, with a clock that stands still until told."""

    def __init__(self, built: Source, splits: list[Any], parallelism: int) -> None:
        self.now_ms = 0
        self.wakened = threading.Event()
        self.readers: list[SourceReader] = []
        for index, own in enumerate(built.deal_out(splits, parallelism)):
            context = ReaderContext(index, parallelism, self.wakened.set, lambda: self.now_ms)
            self.readers.append(built.create_reader(own, context))
        self.values: list[Any] = []

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.wakened.clear()
            moved = False
            for reader in self.readers:
                batch = reader.poll(3)
                assert batch is not END_OF_INPUT
                if batch is not None:
                    moved = True
                    self.values += batch.values
            if not moved and not condition():
                assert self.wakened.wait(WAIT_S)

    def quiet(self) -> None:
        """Polls until nothing more comes from a look."""
        for _ in range(3):
            for reader in self.readers:
                while (batch := reader.poll(100)) is not None:
                    assert batch is not END_OF_INPUT
                    self.values += batch.values

    def close(self) -> list[Any]:
        splits = [split for reader in self.readers for split in reader.snapshot()]
        for reader in self.readers:
            reader.close()
        return pickle.loads(pickle.dumps(splits))


@pytest.mark.parametrize("parallelism", [1, 3])
def test_new_files_are_read_once_also_after_a_restart(tmp_path: Path, parallelism: int) -> None:
    for number in range(4):
        (tmp_path / f"old{number}").write_text(f"old {number}\n" * 5)
    builder = FileSource.for_record_stream_format(StreamFormat.text_line_format(), tmp_path)
    built = builder.monitor_continuously(Duration.of_millis(100)).build()
    assert built.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    run = Monitoring(built, built.plan_splits(parallelism), parallelism)
    run.until(lambda: len(run.values) == 20)
    run.quiet()
    assert {reader.next_poll_ms() for reader in run.readers} == {100}
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "new").write_text("new 1\nnew 2\n")
    (tmp_path / "_hidden").write_text("hidden\n")
    run.quiet()
    assert len(run.values) == 20, "nothing is looked for before it is time"
    run.now_ms = 100
    run.until(lambda: len(run.values) == 22)
    splits = run.close()
    first = run.values
    for other in (1, 2, 5):
        again = Monitoring(built, splits, other)
        (tmp_path / f"later{other}").write_text(f"later {other}\n")
        again.now_ms = 1_000
        again.until(lambda again=again: len(again.values) == 1)
        assert again.values == [f"later {other}"]
        assert all(reader.progress() is None for reader in again.readers)
        splits = again.close()
    assert sorted(first) == sorted([f"old {number}" for number in range(4)] * 5 + ["new 1", "new 2"])


def test_an_interval_must_be_positive() -> None:
    builder = FileSource.for_record_stream_format(StreamFormat.text_line_format(), "x")
    with pytest.raises(ValueError, match="interval"):
        builder.monitor_continuously(Duration.of_millis(0))
    assert builder.process_static_file_set().build().boundedness is Boundedness.BOUNDED


def test_a_remote_file_that_fails_fails_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("memory://failing/a.gz", b"no gzip")
    built = source("memory://failing")
    wakened = threading.Event()
    reader = built.create_reader(built.plan_splits(1), ReaderContext(0, 1, wakened.set, lambda: 0))

    def poll_until_something() -> Any:
        while (batch := reader.poll(1)) is None:
            assert wakened.wait(WAIT_S)
            wakened.clear()
        return batch

    with pytest.raises(JobError, match=r"a\.gz"):
        poll_until_something()
    reader.close()


def test_a_reader_may_be_closed_while_its_thread_waits() -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("memory://large/a", b"line\n" * 1_000_000)
    built = source("memory://large")
    reader = built.create_reader(built.plan_splits(1), ReaderContext(0, 1, lambda: None, lambda: 0))
    reader.poll(1)
    reader.close()


def test_json_lines_without_a_type(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"a": [1, null]}\n\n5\n"x"\n')
    built = FileSource.for_record_stream_format(JsonReaderFormat.for_type_info(), tmp_path).build()
    assert built.produced_type is None
    assert read(built) == [{"a": [1, None]}, 5, "x"]

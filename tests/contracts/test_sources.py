"""What every source does: each record exactly once, at any parallelism, with a restart at any record."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_driver import Run

from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.connectors import _file_source, _text_lines
from penstock.datastream.connectors.base import Boundedness, Source
from penstock.datastream.connectors.datagen import DataGeneratorSource
from penstock.datastream.connectors.file_system import FileSource, StreamFormat
from penstock.datastream.connectors.hybrid_source import HybridSource
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.formats.avro import AvroBulkWriters, AvroReaderFormat, AvroSchema
from penstock.datastream.formats.csv import CsvReaderFormat, CsvSchema
from penstock.datastream.formats.json import JsonReaderFormat
from penstock.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat
from penstock.table import DataTypes

LINES = [f"line {index} {'ü' * (index % 7)}" for index in range(200)]
TEXT = "".join(line + ("\r\n" if index % 3 else "\n") for index, line in enumerate(LINES))
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "deflate": zlib.compress,
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes blocks and ranges so small that the edges are everywhere."""
    monkeypatch.setattr(_text_lines, "BLOCK_BYTES", 97)
    monkeypatch.setattr(_file_source, "_SMALLEST_RANGE_BYTES", 61)


def text_source(*paths: Path | str, charset: str = "UTF-8") -> Source:
    return FileSource.for_record_stream_format(StreamFormat.text_line_format(charset), *map(str, paths)).build()


def plain_text(folder: Path) -> tuple[Source, list[Any]]:
    (folder / "a.txt").write_bytes(TEXT.encode())
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_bytes(b"\n\nlast line without end")
    (folder / "_hidden").write_text("hidden")
    (folder / ".hidden").write_text("hidden")
    (folder / "empty").write_text("")
    return text_source(folder), [*LINES, "", "", "last line without end"]


def compressed_text(folder: Path) -> tuple[Source, list[Any]]:
    for suffix, compress in COMPRESSIONS.items():
        (folder / f"text.{suffix}").write_bytes(compress(TEXT.encode()))
    return text_source(folder), LINES * len(COMPRESSIONS)


def utf16_text(folder: Path) -> tuple[Source, list[Any]]:
    (folder / "a").write_bytes(TEXT.encode("utf-16"))
    (folder / "b").write_bytes(TEXT.encode("utf-16-be"))
    return text_source(folder, charset="UTF-16"), LINES * 2


def remote_text(folder: Path) -> tuple[Source, list[Any]]:
    import fsspec

    root = f"memory://{folder.name}"
    fsspec.filesystem("memory").pipe({f"{root}/a.txt": TEXT.encode(), f"{root}/_b.txt": b"hidden"})
    fsspec.filesystem("memory").pipe(f"{root}/sub/c.gz", gzip.compress(TEXT.encode()))
    return text_source(root), LINES * 2


def csv_files(folder: Path) -> tuple[Source, list[Any]]:
    schema = CsvSchema.builder().add_number_column("n").add_string_column("s").set_use_header().build()
    for name in ("a.csv", "b.csv"):
        lines = "".join(f'{index},"text ""{index}""\nsecond line"\n' for index in range(60))
        (folder / name).write_text("n,s\n" + lines)
    rows = [Row(n=index, s=f'text "{index}"\nsecond line') for index in range(60)]
    return FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(folder)).build(), rows * 2


def json_lines(folder: Path) -> tuple[Source, list[Any]]:
    (folder / "a.json").write_text("".join(f'{{"a": {index}, "b": "x"}}\n\n' for index in range(80)))
    kind = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])
    file_format = JsonReaderFormat.for_type_info(kind)
    return FileSource.for_record_stream_format(file_format, str(folder)).build(), [
        Row(a=index, b="x") for index in range(80)
    ]


def parquet_files(folder: Path) -> tuple[Source, list[Any]]:
    from penstock.common.configuration import Configuration

    row_type = DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT())])
    rows = [Row(a=index) for index in range(9000)]
    settings = Configuration().set_string("parquet.block.size", "1")
    with (folder / "a.parquet").open("wb") as stream:
        writer = ParquetBulkWriters.for_row_type(row_type, settings).create(stream)
        for start in range(0, len(rows), 500):
            writer.add_elements(rows[start : start + 500])
        writer.finish()
    return FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(row_type), str(folder)).build(), rows


def avro_files(folder: Path) -> tuple[Source, list[Any]]:
    schema = AvroSchema.parse_string('{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}')
    records = [{"a": index} for index in range(2500)]
    with (folder / "a.avro").open("wb") as stream:
        writer = AvroBulkWriters.for_generic_record(schema).create(stream)
        writer.add_elements(records)
        writer.finish()
    return FileSource.for_bulk_file_format(AvroReaderFormat.for_generic_record(schema), str(folder)).build(), records


def hybrid(folder: Path) -> tuple[Source, list[Any]]:
    text, lines = plain_text(folder)
    builder = HybridSource.builder(NumberSequenceSource(1, 50)).add_source(text)
    return builder.add_source(NumberSequenceSource(-5, 5)).build(), [*range(1, 51), *lines, *range(-5, 6)]


CASES: dict[str, Callable[[Path], tuple[Source, list[Any]]]] = {
    "number sequence": lambda folder: (NumberSequenceSource(-70, 333), list(range(-70, 334))),
    "one number": lambda folder: (NumberSequenceSource(7, 7), [7]),
    "longest sequence": lambda folder: (NumberSequenceSource(2**63 - 10, 2**63 - 1), list(range(2**63 - 10, 2**63))),
    "generator": lambda folder: (DataGeneratorSource(lambda i: f"r{i}", 150), [f"r{i}" for i in range(150)]),
    "no records": lambda folder: (DataGeneratorSource(lambda i: i, 0), []),
    "text": plain_text,
    "compressed text": compressed_text,
    "utf-16 text": utf16_text,
    "remote text": remote_text,
    "csv": csv_files,
    "json lines": json_lines,
    "parquet": parquet_files,
    "avro": avro_files,
    "hybrid": hybrid,
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Source, list[Any]]]:
    return CASES[request.param](tmp_path)


def counted(records: list[Any]) -> Counter[str]:
    return Counter(map(repr, records))


@pytest.mark.parametrize("parallelism", [1, 2, 3, 8])
def test_splits_cover_everything_once(case: tuple[Source, list[Any]], parallelism: int) -> None:
    source, expected = case
    assert source.boundedness is Boundedness.BOUNDED
    run = Run(source, parallelism, [100])
    run.to_the_end()
    assert counted(run.records) == counted(expected)


def test_one_reader_keeps_the_order_of_a_file(case: tuple[Source, list[Any]]) -> None:
    source, expected = case
    run = Run(source, 1, [13])
    run.to_the_end()
    assert run.records == expected


def test_progress_ends_at_the_total(case: tuple[Source, list[Any]]) -> None:
    source, _expected = case
    run = Run(source, 1, [5])
    reader = run.live[0]
    seen = []
    while run.live:
        progress = reader.progress()
        if progress is None:
            run.to_the_end()
            return
        seen.append(progress)
        run.step(lambda: len(run.records) >= len(seen) * 5)
    done, total = seen[-1]
    assert all(0 <= before <= total for before, _ in seen)
    assert done <= total


def test_sources_are_picklable_after_use(case: tuple[Source, list[Any]]) -> None:
    source, expected = case
    source.plan_splits(2)
    again = pickle.loads(pickle.dumps(source))
    assert str(again.produced_type) == str(source.produced_type)
    run = Run(again, 2, [1000])
    run.to_the_end()
    assert counted(run.records) == counted(expected)


def check_restarts(run: Run, crashes: list[tuple[int, int, int]]) -> list[Any]:
    """Each crash: records read before the checkpoint and after it, and the parallelism after the restart."""
    for before, after, parallelism in crashes:
        goal = len(run.records) + before
        run.step(lambda goal=goal: len(run.records) >= goal)
        checkpoint, kept = run.snapshot(), list(run.records)
        goal += after
        run.step(lambda goal=goal: len(run.records) >= goal)
        run.records = kept
        run.restart(checkpoint, parallelism)
    run.to_the_end()
    return run.records


@pytest.mark.parametrize("stop", [0, 1, 2, 37, 99, 150, 10_000])
def test_a_restart_at_any_record_loses_and_doubles_nothing(case: tuple[Source, list[Any]], stop: int) -> None:
    source, expected = case
    run = Run(source, 2, [1, 2, 3, 50])
    assert counted(check_restarts(run, [(stop, 11, 2), (7, 0, 3)])) == counted(expected)


crashes = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(1, 4)), max_size=4)


@pytest.mark.parametrize("name", ["number sequence", "generator", "text", "compressed text", "csv", "hybrid"])
@given(parallelism=st.integers(1, 4), polls=st.lists(st.integers(1, 40), min_size=1, max_size=5), crashes=crashes)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_restarts(
    name: str,
    parallelism: int,
    polls: list[int],
    crashes: list[tuple[int, int, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    source, expected = CASES[name](tmp_path_factory.mktemp("case"))
    run = Run(source, parallelism, polls)
    assert counted(check_restarts(run, crashes)) == counted(expected)


texts = st.binary(max_size=120).map(
    lambda data: data.translate(bytes(b"\n\rab \xc3\xbc\xff"[i % 8] for i in range(256)))
)


@given(data=texts, parallelism=st.integers(1, 5), block=st.integers(1, 20), smallest=st.integers(1, 30))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_of_any_bytes_are_those_of_java(
    data: bytes, parallelism: int, block: int, smallest: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "text"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_text_lines, "BLOCK_BYTES", block)
        patch.setattr(_text_lines, "_SCAN_BYTES", block)
        patch.setattr(_file_source, "_SMALLEST_RANGE_BYTES", smallest)
        run = Run(text_source(path), parallelism, [3])
        run.to_the_end()
    expected = [line.decode("utf-8", "replace") for line in data.splitlines()]  # bytes split as BufferedReader does
    assert counted(run.records) == counted(expected)
    if parallelism == 1:
        assert run.records == expected

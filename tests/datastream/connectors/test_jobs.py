"""Sources and sinks in whole jobs, as programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.common import Row, Types, WatermarkStrategy
from penstock.common.serialization import Encoder
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.connectors.file_system import FileSink, FileSource, StreamFormat, StreamingFileSink
from penstock.datastream.connectors.hybrid_source import HybridSource
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.connectors.socket_text import SocketTextSource
from penstock.datastream.formats.avro import AvroBulkWriters, AvroInputFormat, AvroSchema, GenericRecordAvroTypeInfo
from penstock.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from penstock.table import DataTypes

from .test_other_sources import server


@pytest.fixture(params=[1, 2])
def env(request: pytest.FixtureRequest) -> StreamExecutionEnvironment:
    environment = StreamExecutionEnvironment.get_execution_environment()
    environment.set_parallelism(request.param)
    return environment


def visible(base: Path) -> list[str]:
    files = [path for path in base.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(".")]
    return sorted(line for path in files for line in path.read_text().splitlines())


def test_text_through_a_job(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("b\na\nc")
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path / "in")).build()
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "files")
    assert stream.get_type() == Types.STRING()
    sink = FileSink.for_row_format(str(tmp_path / "out"), Encoder.simple_string_encoder()).build()
    stream.map(str.upper, Types.STRING()).sink_to(sink)
    env.execute()
    assert visible(tmp_path / "out") == ["A", "B", "C"]


def test_csv_through_a_job(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    schema = CsvSchema.builder().add_number_column("id", DataTypes.INT()).add_string_column("name").build()
    (tmp_path / "in").write_text('1,"x, y"\n2,z\n')
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(tmp_path / "in")).build()
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "csv")
    stream.sink_to(FileSink.for_bulk_format(str(tmp_path / "out"), CsvBulkWriters.for_schema(schema)).build())
    env.execute()
    assert visible(tmp_path / "out") == ['1,"x, y"', "2,z"]
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "csv")
    with stream.map(lambda row: row["name"]).execute_and_collect() as names:
        assert sorted(names) == ["x, y", "z"]


def test_a_hybrid_through_a_job(env: StreamExecutionEnvironment) -> None:
    source = HybridSource.builder(NumberSequenceSource(1, 3)).add_source(NumberSequenceSource(7, 9)).build()
    stream = env.from_source(source, WatermarkStrategy.for_monotonous_timestamps(), "numbers")
    with stream.execute_and_collect() as numbers:
        assert sorted(numbers) == [1, 2, 3, 7, 8, 9]


def test_a_socket_through_a_job(env: StreamExecutionEnvironment) -> None:
    with server([b"a\nb\n"]) as port:
        source = SocketTextSource("127.0.0.1", port)
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "socket")
        with stream.execute_and_collect() as lines:
            assert sorted(lines) == ["a", "b"]


def test_avro_through_a_job(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    schema = AvroSchema.parse_string('{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}')
    records: list[Any] = [{"a": 1}, {"a": 2}]
    stream = env.from_collection(records).map(lambda record: record, output_type=GenericRecordAvroTypeInfo(schema))
    stream.sink_to(FileSink.for_bulk_format(str(tmp_path), AvroBulkWriters.for_generic_record(schema)).build())
    env.execute()
    found = []
    for path in tmp_path.rglob("part-*"):
        with env.create_input(AvroInputFormat(str(path), schema)).execute_and_collect() as read:
            found += list(read)
    assert sorted(found, key=lambda record: record["a"]) == records


def test_streaming_file_sink_through_a_job(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    stream = env.from_collection([Row("ab", 1), Row("c", 2)], Types.ROW([Types.STRING(), Types.INT()]))
    with pytest.warns(DeprecationWarning, match="FileSink"):
        sink = StreamingFileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build()
    stream.map(lambda row: row[0], Types.STRING()).add_sink(sink)
    env.execute()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.name.startswith(".part-") for path in files)
    assert sorted(line for path in files for line in path.read_text().splitlines()) == ["ab", "c"]

"""Parquet, ORC and Avro files: what is written is read back, in any batches and from any position."""

from __future__ import annotations

import datetime
import io
import os
import pickle
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from penstock.common.configuration import Configuration
from penstock.common.time import Instant
from penstock.common.types import Row
from penstock.datastream.connectors._file_formats import FileSplit
from penstock.datastream.formats.avro import AvroBulkWriters, AvroReaderFormat, AvroSchema, GenericRecordAvroTypeInfo
from penstock.datastream.formats.orc import OrcBulkWriters
from penstock.datastream.formats.parquet import (
    AvroParquetReaders,
    AvroParquetWriters,
    ParquetBulkWriters,
    ParquetColumnarRowInputFormat,
)
from penstock.errors import ConfigurationError
from penstock.table import DataTypes as D

ROW_TYPE = D.ROW(
    [
        D.FIELD("s", D.STRING()),
        D.FIELD("b", D.BYTES()),
        D.FIELD("t", D.TINYINT()),
        D.FIELD("i", D.INT()),
        D.FIELD("l", D.BIGINT()),
        D.FIELD("f", D.FLOAT()),
        D.FIELD("d", D.DOUBLE()),
        D.FIELD("o", D.BOOLEAN()),
        D.FIELD("dec", D.DECIMAL(5, 2)),
        D.FIELD("date", D.DATE()),
        D.FIELD("time", D.TIME(3)),
        D.FIELD("ts", D.TIMESTAMP(3)),
        D.FIELD("ltz", D.TIMESTAMP_LTZ(3)),
        D.FIELD("a", D.ARRAY(D.INT())),
        D.FIELD("m", D.MAP(D.STRING(), D.BIGINT())),
        D.FIELD("r", D.ROW([D.FIELD("x", D.INT()), D.FIELD("y", D.STRING())])),
    ]
)


def row(index: int) -> Row:
    return Row(
        s=f"text {index}",
        b=bytes([index % 256]),
        t=index % 100,
        i=index,
        l=index * 10**10,
        f=index + 0.5,
        d=index / 3,
        o=index % 2 == 0,
        dec=Decimal(index % 1000).quantize(Decimal("0.01")),
        date=datetime.date(2024, 1, 1) + datetime.timedelta(days=index % 365),
        time=datetime.time(1, 2, 3, 4000),
        ts=datetime.datetime(2024, 2, 29, 1, 2, 3, 456000) + datetime.timedelta(hours=index % 100),
        ltz=Instant.of_epoch_milli(1_700_000_000_000 + index),
        a=[index, None],
        m={"k": index},
        r=Row(x=index, y=None),
    )


NOTHING = Row(**dict.fromkeys(ROW_TYPE.field_names()))
ROWS = [row(index) for index in range(300)] + [NOTHING]


def write(factory: Any, elements: list[Any], step: int = 7) -> bytes:
    stream = io.BytesIO()
    writer = pickle.loads(pickle.dumps(factory)).create(stream)
    for start in range(0, len(elements), step):
        writer.add_elements(elements[start : start + step])
    writer.finish()
    return stream.getvalue()


def read(file_format: Any, data: bytes, split: FileSplit | None = None) -> list[Any]:
    file_format = pickle.loads(pickle.dumps(file_format))
    records = file_format.open(io.BytesIO(data), split or FileSplit("f", len(data)), True)
    found: list[Any] = []
    while batch := records.next_batch():
        found += batch
    records.close()
    return found


@pytest.fixture(params=["UTC", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize("utc", [True, False])
def test_parquet_rows_come_back(zone: str, utc: bool) -> None:
    data = write(ParquetBulkWriters.for_row_type(ROW_TYPE, utc_timestamp=utc), ROWS)
    assert read(ParquetColumnarRowInputFormat(ROW_TYPE, is_utc_timestamp=utc, batch_size=64), data) == ROWS


def test_parquet_timestamps_are_stored_as_flink_stores_them(zone: str) -> None:
    import pyarrow.parquet as parquet

    for utc in (True, False):
        data = write(ParquetBulkWriters.for_row_type(ROW_TYPE, utc_timestamp=utc), [row(0)])
        stored = parquet.read_table(io.BytesIO(data)).to_pylist()[0]["ts"]
        expected = row(0)["ts"]
        assert stored == (expected if utc else expected.astimezone(datetime.UTC).replace(tzinfo=None))
        assert "INT96" in str(parquet.ParquetFile(io.BytesIO(data)).schema.column(11)).upper()


def test_parquet_settings_count() -> None:
    import pyarrow.parquet as parquet

    settings = Configuration().set_string("parquet.compression", "GZIP").set_string("parquet.block.size", "1")
    many = [row(index) for index in range(10_000)]
    data = write(ParquetBulkWriters.for_row_type(ROW_TYPE, settings), many, 1000)
    metadata = parquet.ParquetFile(io.BytesIO(data)).metadata
    assert metadata.row_group(0).column(0).compression == "GZIP"
    assert metadata.num_row_groups == 2


def test_parquet_splits_cover_every_row_group_once() -> None:
    settings = Configuration().set_string("parquet.block.size", "1")
    many = [row(index) for index in range(20_000)]
    data = write(ParquetBulkWriters.for_row_type(ROW_TYPE, settings, True), many, 1000)
    file_format = ParquetColumnarRowInputFormat(ROW_TYPE, is_utc_timestamp=True)
    assert file_format.splittable
    edges = [len(data) * part // 5 for part in range(5)]
    splits = [FileSplit("f", len(data), start, end) for start, end in zip(edges, [*edges[1:], None], strict=True)]
    parts = [read(file_format, data, split) for split in splits]
    assert [found for part in parts for found in part] == many
    assert sum(map(bool, parts)) > 1
    offset = len(parts[1]) - 5
    if parts[1]:
        again = FileSplit("f", len(data), splits[1].start, splits[1].end, offset=offset)
        assert read(file_format, data, again) == parts[1][offset:]


@pytest.mark.parametrize("position", [0, 1, 63, 64, 65, 299, 300, 301])
def test_parquet_goes_on_from_any_record(position: int) -> None:
    settings = Configuration().set_string("parquet.block.size", "1")
    data = write(ParquetBulkWriters.for_row_type(ROW_TYPE, settings, True), ROWS, 50)
    file_format = ParquetColumnarRowInputFormat(ROW_TYPE, is_utc_timestamp=True, batch_size=64)
    assert read(file_format, data, FileSplit("f", len(data), offset=position)) == ROWS[position:]


def test_parquet_columns_by_name_and_case() -> None:
    data = write(ParquetBulkWriters.for_row_type(ROW_TYPE, utc_timestamp=True), ROWS[:2])
    some = D.ROW([D.FIELD("L", D.BIGINT()), D.FIELD("S", D.STRING())])
    assert read(ParquetColumnarRowInputFormat(some, is_case_sensitive=False), data) == [
        Row(L=0, S="text 0"),
        Row(L=10**10, S="text 1"),
    ]
    with pytest.raises(ValueError, match="no column"):
        read(ParquetColumnarRowInputFormat(some), data)


def test_orc_rows_come_back() -> None:
    import pyarrow.orc as orc

    data = write(OrcBulkWriters.for_row_type(ROW_TYPE), ROWS)
    table = orc.ORCFile(io.BytesIO(data)).read().to_pylist()
    assert [found["i"] for found in table] == [expected["i"] for expected in ROWS]
    assert table[1]["time"] == 3_723_004
    assert table[1]["m"] == [("k", 1)]
    assert table[1]["r"] == {"x": 1, "y": None}
    with pytest.raises(TypeError, match="RowType"):
        OrcBulkWriters.for_row_type(D.INT())


def test_wrong_elements_are_refused() -> None:
    factory = ParquetBulkWriters.for_row_type(D.ROW([D.FIELD("a", D.TINYINT())]))
    for wrong in ((1,), Row(a=300), Row(a="x")):
        with pytest.raises(TypeError):
            write(factory, [wrong])


SCHEMA = AvroSchema.parse_string("""
{"type": "record", "name": "test", "fields": [
    {"name": "null", "type": "null"}, {"name": "boolean", "type": "boolean"}, {"name": "int", "type": "int"},
    {"name": "long", "type": "long"}, {"name": "float", "type": "float"}, {"name": "double", "type": "double"},
    {"name": "string", "type": "string"}, {"name": "bytes", "type": "bytes"},
    {"name": "suit", "type": {"type": "enum", "name": "Suit", "symbols": ["SPADES", "HEARTS"]}},
    {"name": "union", "type": ["int", "double", "null"]}, {"name": "maybe", "type": ["null", "string"]},
    {"name": "array", "type": {"type": "array", "items": {"type": "record", "name": "item", "fields": [
        {"name": "int", "type": "int"}, {"name": "double", "type": "double"}]}}},
    {"name": "map", "type": {"type": "map", "values": "long"}}, {"name": "again", "type": ["null", "item"]}]}
""")


def record(index: int) -> dict[str, Any]:
    return {
        "null": None,
        "boolean": index % 2 == 0,
        "int": index,
        "long": index * 10**10,
        "float": index + 0.5,
        "double": index / 3,
        "string": f"s{index}",
        "bytes": b"x" * (index % 3),
        "suit": ("SPADES", "HEARTS")[index % 2],
        "union": (index, index / 2, None)[index % 3],
        "maybe": (None, "m")[index % 2],
        "array": [{"int": index, "double": 2.0}] * (index % 3),
        "map": {"a": index},
        "again": (None, {"int": 1, "double": 2.0})[index % 2],
    }


RECORDS = [record(index) for index in range(2500)]


@pytest.mark.parametrize(
    ("writers", "readers"),
    [
        (AvroBulkWriters.for_generic_record, AvroReaderFormat.for_generic_record),
        (AvroParquetWriters.for_generic_record, AvroParquetReaders.for_generic_record),
    ],
)
def test_avro_records_come_back(writers: Any, readers: Any) -> None:
    data = write(writers(SCHEMA), RECORDS, 100)
    file_format = readers(SCHEMA)
    assert read(file_format, data) == RECORDS
    assert file_format.produced_type == GenericRecordAvroTypeInfo(SCHEMA)
    for position in (0, 1, 999, 1000, 1001, 2500):
        assert read(file_format, data, FileSplit("f", len(data), offset=position)) == RECORDS[position:]


def test_avro_schema() -> None:
    assert str(AvroSchema.parse_string('{"type": "record", "name": "a", "fields": []}')) == (
        '{"type":"record","name":"a","fields":[]}'
    )
    for wrong in ("x", '{"type": "nothing"}', "[]x"):
        with pytest.raises(ConfigurationError):
            AvroSchema.parse_string(wrong)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        AvroSchema.parse_file("/nowhere/schema.avsc")


def test_flink_can_read_what_the_union_writer_writes() -> None:
    import pyarrow.parquet as parquet

    data = write(AvroParquetWriters.for_generic_record(SCHEMA), RECORDS[:3])
    assert [found["union"] for found in parquet.read_table(io.BytesIO(data)).to_pylist()] == [
        {"member0": 0, "member1": None},
        {"member0": None, "member1": 0.5},
        None,
    ]

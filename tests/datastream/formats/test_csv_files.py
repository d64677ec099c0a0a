"""CSV files through FileSource's format and FileSink's writers, against Flink 2.2.1 and at block edges."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common.types import Row
from penstock.datastream.connectors import _text_lines
from penstock.datastream.connectors._file_formats import FileSplit
from penstock.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from penstock.errors import ConfigurationError
from penstock.table import DataTypes as D

from . import format_cases as cases
from .shapes import shape

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())


def schema_of(expression: str) -> CsvSchema:
    return eval(f"CsvSchema.builder().{expression}.build()", {"CsvSchema": CsvSchema, "D": D})


def read_all(schema: CsvSchema, data: bytes) -> list[Any]:
    records = CsvReaderFormat.for_schema(schema).open(io.BytesIO(data), FileSplit("f", len(data)), True)
    rows: list[Any] = []
    while batch := records.next_batch():
        rows += batch
    return rows


@pytest.mark.parametrize(("case", "expected"), list(zip(cases.CSV_FILE_CASES, EXPECTED["csv_file"], strict=True)))
def test_files_read_as_flink(case: Any, expected: list[Any]) -> None:
    expression, text = case
    if "error" in expected:
        with pytest.raises((ValueError, ConfigurationError)):
            read_all(schema_of(expression), text.encode())
    else:
        assert [shape(row) for row in read_all(schema_of(expression), text.encode())] == expected


@pytest.mark.parametrize(
    ("case", "expected"), list(zip(cases.CSV_FILE_WRITE_CASES, EXPECTED["csv_file_write"], strict=True))
)
def test_files_written_as_flink(case: str, expected: str) -> None:
    stream = io.BytesIO()
    writer = CsvBulkWriters.for_schema(schema_of(case)).create(stream)
    writer.add_elements([Row(*row) for row in cases.CSV_FILE_WRITE_ROWS])
    writer.finish()
    assert stream.getvalue().decode() == expected


@pytest.mark.parametrize(("case", "expected"), list(zip(cases.SCHEMA_TEXT_CASES, EXPECTED["schema_text"], strict=True)))
def test_schema_text_as_flink(case: str, expected: str) -> None:
    schema = schema_of(case)
    assert str(schema) == repr(schema) == expected
    assert len(schema) == schema.size() == expected.partition("],")[0].count("/")


def test_malformed_bytes_are_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        read_all(schema_of("add_string_column('a')"), b"\xff\n")


def test_formats_are_picklable() -> None:
    schema = schema_of("add_string_column('a').add_number_column('b', D.INT())")
    read_all(schema, b"x,1\n")
    assert read_all(pickle.loads(pickle.dumps(schema)), b"x,1\n") == [Row(a="x", b=1)]
    assert str(CsvReaderFormat.for_schema(schema).produced_type) == "RowTypeInfo(a: String, b: Integer)"


fields = st.text(alphabet='ab,"\r\n #\\é', max_size=8)


@given(
    rows=st.lists(st.tuples(fields, fields), max_size=20),
    block=st.integers(1, 40),
    stop=st.integers(0, 20),
    header=st.booleans(),
)
def test_any_block_size_and_any_restart_gives_every_record_once(
    rows: list[tuple[str, str]], block: int, stop: int, header: bool
) -> None:
    schema = schema_of("add_string_column('a').add_string_column('b')" + (".set_use_header()" if header else ""))
    stream = io.BytesIO()
    writer = CsvBulkWriters.for_schema(schema).create(stream)
    writer.add_elements([Row(a, b) for a, b in rows])
    writer.finish()
    data = stream.getvalue()
    expected = [Row(a=a, b=b) for a, b in rows]
    whole = _text_lines.BLOCK_BYTES
    _text_lines.BLOCK_BYTES = block
    try:
        reader_format = CsvReaderFormat.for_schema(schema)
        records = reader_format.open(io.BytesIO(data), FileSplit("f", len(data)), True)
        got: list[Any] = []
        position = FileSplit("f", len(data))
        while len(got) < stop and (batch := records.next_batch()):
            got += batch
            position = FileSplit("f", len(data), offset=records.offset, skip=records.before + len(batch))
        again = reader_format.open(io.BytesIO(data), position, True)
        rest: list[Any] = []
        while batch := again.next_batch():
            rest += batch
    finally:
        _text_lines.BLOCK_BYTES = whole
    assert got + rest[position.skip :] == expected

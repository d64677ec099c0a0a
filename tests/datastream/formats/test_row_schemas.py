"""JSON and CSV row schemas against what Flink 2.2.1 made of the same inputs (`record_expectations.py`)."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock.common.time import Instant
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.formats.csv import CsvRowDeserializationSchema, CsvRowSerializationSchema
from penstock.datastream.formats.json import JsonRowDeserializationSchema, JsonRowSerializationSchema
from penstock.errors import ConfigurationError, JobError

from . import format_cases as cases
from .shapes import shape

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())


def type_of(expression: str) -> Any:
    return eval(expression, {"T": Types, "R": lambda field: Types.ROW_NAMED(["a"], [field])})


@pytest.mark.parametrize(("case", "expected"), list(zip(cases.JSON_CASES, EXPECTED["json"], strict=True)))
def test_json_as_flink(case: Any, expected: Any) -> None:
    expression, text, options = case
    builder = JsonRowDeserializationSchema.builder().type_info(type_of(expression))
    for option in options:
        getattr(builder, option)()
    reader = builder.build()
    if expected[0] == "error":
        with pytest.raises(JobError):
            reader.deserialize(text.encode())
        return
    value = reader.deserialize(text.encode())
    assert shape(value) == expected[0]
    if value is not None:
        writer = JsonRowSerializationSchema.builder().with_type_info(type_of(expression)).build()
        assert writer.serialize(value).decode() == expected[1]


@pytest.mark.parametrize(("case", "expected"), list(zip(cases.CSV_CASES, EXPECTED["csv"], strict=True)))
def test_csv_as_flink(case: Any, expected: Any) -> None:
    expression, text, options = case
    builder = CsvRowDeserializationSchema.Builder(type_of(expression))
    for option, value in options.items():
        getattr(builder, option)(value)
    reader = builder.build()
    if expected[0] == "error":
        with pytest.raises(JobError):
            reader.deserialize(text.encode())
        return
    value = reader.deserialize(text.encode())
    assert shape(value) == expected[0]
    if value is not None and expected[1] != "error":
        assert CsvRowSerializationSchema.Builder(type_of(expression)).build().serialize(value).decode() == expected[1]


@pytest.mark.parametrize(("case", "expected"), list(zip(cases.CSV_WRITE_CASES, EXPECTED["csv_write"], strict=True)))
def test_csv_written_as_flink(case: Any, expected: str) -> None:
    text, options = case
    builder = CsvRowSerializationSchema.Builder(Types.ROW([Types.STRING(), Types.STRING()]))
    for option, value in options.items():
        getattr(builder, option)(*([] if value is None else [value]))
    assert builder.build().serialize(Row(text, "z")).decode() == expected


def test_schemas_survive_pickling_after_use() -> None:
    import pickle

    kind = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])
    row = Row(a=1, b="x,y")
    csv_writer = CsvRowSerializationSchema.Builder(kind).build()
    csv_reader = CsvRowDeserializationSchema.Builder(kind).build()
    json_writer = JsonRowSerializationSchema.builder().with_type_info(kind).build()
    json_reader = JsonRowDeserializationSchema.builder().type_info(kind).build()
    for writer, reader in ((csv_writer, csv_reader), (json_writer, json_reader)):
        for _ in range(2):
            assert reader.deserialize(writer.serialize(row)) == row
            writer, reader = pickle.loads(pickle.dumps((writer, reader)))


def test_rows_by_name_whatever_the_order() -> None:
    kind = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])
    assert (
        JsonRowSerializationSchema.builder().with_type_info(kind).build().serialize(Row(b="x", a=1))
        == b'{"a":1,"b":"x"}'
    )
    assert CsvRowSerializationSchema.Builder(kind).build().serialize(Row(b="x", a=1)) == b"1,x\n"


def test_what_is_no_row_is_refused_with_advice() -> None:
    kind = Types.ROW([Types.INT()])
    for schema in (
        JsonRowSerializationSchema.builder().with_type_info(kind).build(),
        CsvRowSerializationSchema.Builder(kind).build(),
    ):
        with pytest.raises(JobError, match=r"Types\.ROW"):
            schema.serialize((1,))
        with pytest.raises(JobError):
            schema.serialize(Row(1, 2))


def test_builders_refuse_what_flink_refuses() -> None:
    with pytest.raises(TypeError):
        JsonRowSerializationSchema.builder().build()
    with pytest.raises(TypeError):
        CsvRowSerializationSchema.Builder(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Row type"):
        JsonRowDeserializationSchema.builder().type_info(Types.INT()).build()
    with pytest.raises(ConfigurationError, match="Row type"):
        CsvRowDeserializationSchema.Builder(Types.TUPLE([Types.INT()]))
    for field in (
        Types.MAP(Types.STRING(), Types.INT()),
        Types.LIST(Types.INT()),
        Types.CHAR(),
        Types.PICKLED_BYTE_ARRAY(),
    ):
        with pytest.raises(ConfigurationError, match="Unsupported type information"):
            CsvRowDeserializationSchema.Builder(Types.ROW([field]))
    with pytest.raises(ConfigurationError, match="both true"):
        JsonRowDeserializationSchema.builder().type_info(
            Types.ROW([])
        ).fail_on_missing_field().ignore_parse_errors().build()


JSON_SCHEMAS = {
    '{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"number"},"c":{"type":"string"},'
    '"d":{"type":"boolean"}}}': "RowTypeInfo(a: BigDecimal, b: BigDecimal, c: String, d: Boolean)",
    '{"type":"object","properties":{"a":{"type":"string","format":"date"},"b":{"type":"string","format":"time"},'
    '"c":{"type":"string","format":"date-time"},"d":{"type":"string","contentEncoding":"base64"}}}': (
        "RowTypeInfo(a: DateTypeInfo, b: TimeTypeInfo, c: TimestampTypeInfo, d: PrimitiveArrayTypeInfo<Byte>)"
    ),
    '{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}}}': (
        "RowTypeInfo(a: ObjectArrayTypeInfo<BigDecimal>)"
    ),
    '{"type":"object","properties":{"a":{"type":["string","null"]},'
    '"b":{"oneOf":[{"type":"null"},{"type":"string"}]}}}': "RowTypeInfo(a: String, b: String)",
    '{"definitions":{"x":{"type":"object","properties":{"q":{"type":"string"}}}},"type":"object",'
    '"properties":{"a":{"$ref":"#/definitions/x"}}}': "RowTypeInfo(a: RowTypeInfo(q: String))",
}


@pytest.mark.parametrize(("schema", "expected"), JSON_SCHEMAS.items())
def test_json_schema(schema: str, expected: str) -> None:
    reader = JsonRowDeserializationSchema.builder().json_schema(schema).build()
    assert str(reader.produced_type) == expected


@pytest.mark.parametrize(
    "schema",
    [
        "{}",
        "x",
        '{"type":"foo"}',
        '{"type":"array"}',
        '{"type":["integer","string"]}',
        '{"allOf":[{"type":"integer"}]}',
        '{"$ref":"http://x/y"}',
        '{"$ref":"#/definitions/none"}',
        '{"type":"object","properties":{"a":{"enum":["x"]}}}',
        '{"definitions":{"a":{"$ref":"#/definitions/a"}},"$ref":"#/definitions/a"}',
    ],
)
def test_json_schemas_that_are_refused(schema: str) -> None:
    with pytest.raises(ConfigurationError):
        JsonRowDeserializationSchema.builder().json_schema(schema)


def test_values_flink_cannot_hold_are_written_whole() -> None:
    kind = Types.ROW_NAMED(["a", "b", "c"], [Types.SQL_TIMESTAMP(), Types.BIG_INT(), Types.INSTANT()])
    row = Row(datetime.datetime(2024, 2, 29, 1, 2, 3, 120000), 10**30, Instant(1, 5))
    text = JsonRowSerializationSchema.builder().with_type_info(kind).build().serialize(row)
    assert text == b'{"a":"2024-02-29T01:02:03.12Z","b":%d,"c":"1970-01-01T00:00:01.000000005Z"}' % 10**30
    assert JsonRowDeserializationSchema.builder().type_info(kind).build().deserialize(text)["c"] == Instant(1, 5)
    assert Decimal(10) == 10

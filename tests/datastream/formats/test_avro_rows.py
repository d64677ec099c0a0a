"""Avro row schemas: types as flink-avro converts them, and round trips."""

from __future__ import annotations

import datetime
import os
import pickle
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from penstock.common.types import Row
from penstock.datastream.formats.avro import AvroRowDeserializationSchema, AvroRowSerializationSchema
from penstock.errors import ConfigurationError, JobError, UnsupportedFeatureError

SCHEMA = """
{"type": "record", "name": "r", "fields": [
    {"name": "i", "type": "int"}, {"name": "s", "type": ["null", "string"]}, {"name": "b", "type": "bytes"},
    {"name": "d", "type": {"type": "int", "logicalType": "date"}},
    {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "dec", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
    {"name": "a", "type": {"type": "array", "items": ["null", "long"]}},
    {"name": "m", "type": {"type": "map", "values": {"type": "record", "name": "q", "fields": [
        {"name": "x", "type": "double"}]}}},
    {"name": "again", "type": ["null", "q"]}]}
"""
ROW = Row(
    i=1,
    s=None,
    b=b"xy",
    d=datetime.date(2024, 2, 29),
    t=datetime.time(1, 2, 3, 4000),
    ts=datetime.datetime(2024, 2, 29, 1, 2, 3, 456000),
    dec=Decimal("1.50"),
    e="B",
    a=[1, None],
    m={"k": Row(x=0.5)},
    again=Row(x=1.5),
)


@pytest.fixture(params=["UTC", "Asia/Tokyo"])
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


def test_rows_come_back_whatever_the_zone(zone: str) -> None:
    writer = AvroRowSerializationSchema(avro_schema_string=SCHEMA)
    reader = AvroRowDeserializationSchema(avro_schema_string=SCHEMA)
    message = writer.serialize(ROW)
    assert reader.deserialize(message) == ROW
    writer, reader = pickle.loads(pickle.dumps((writer, reader)))
    assert reader.deserialize(writer.serialize(ROW)) == ROW


def test_types_as_flink_converts_them() -> None:
    assert str(AvroRowDeserializationSchema(avro_schema_string=SCHEMA).produced_type) == (
        "RowTypeInfo(i: Integer, s: String, b: PrimitiveArrayTypeInfo<Byte>, d: DateTypeInfo, t: TimeTypeInfo, "
        "ts: TimestampTypeInfo, dec: BigDecimal, e: String, a: ObjectArrayTypeInfo<Long>, "
        "m: MapTypeInfo<String, RowTypeInfo(x: Double)>, again: RowTypeInfo(x: Double))"
    )


def test_bytes_as_in_the_specification() -> None:
    schema = '{"type":"record","name":"r","fields":[{"name":"id","type":"int"},{"name":"name","type":"string"}]}'
    writer = AvroRowSerializationSchema(avro_schema_string=schema)
    assert writer.serialize(Row(1, "hi")) == b"\x02\x04hi"


def test_what_does_not_fit_is_refused() -> None:
    writer = AvroRowSerializationSchema(avro_schema_string=SCHEMA)
    for wrong in ((1,), Row(1), {"i": 1}):
        with pytest.raises(JobError, match=r"Types\.ROW"):
            writer.serialize(wrong)
    with pytest.raises(JobError, match="Failed to deserialize Avro"):
        AvroRowDeserializationSchema(avro_schema_string=SCHEMA).deserialize(b"\x02")


def test_schemas_that_are_refused() -> None:
    with pytest.raises(TypeError):
        AvroRowSerializationSchema()
    with pytest.raises(UnsupportedFeatureError, match="JVM"):
        AvroRowDeserializationSchema(record_class="org.example.User")
    for wrong in ('"string"', "x", '{"type":"record","name":"r","fields":[{"name":"u","type":["int","string"]}]}'):
        with pytest.raises(ConfigurationError):
            AvroRowDeserializationSchema(avro_schema_string=wrong)

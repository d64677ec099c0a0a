"""Avro records in Parquet columns, in the layout of parquet-avro: unions as groups of `member0`, `member1`, …."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from penstock.datastream.formats._arrow_columns import pyarrow
from penstock.datastream.formats.avro import AvroSchema
from penstock.errors import ConfigurationError

__all__ = ["AvroColumns"]

Convert = Callable[[Any], Any]
_PYTHON_KINDS = {
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "string": (str,),
    "enum": (str,),
    "bytes": (bytes, bytearray),
    "fixed": (bytes, bytearray),
    "array": (list, tuple),
    "map": (dict,),
    "record": (dict,),
}


class AvroColumns:
    """How the records of one schema stand in columns.

    Attributes:
        names: the fields that have a column; those of type null have none.
        arrow_schema: the columns.
    """

    def __init__(self, schema: AvroSchema) -> None:
        self._package = pyarrow()
        self._named: dict[str, Any] = {}
        record = self._resolved(schema.parsed)
        if record["type"] != "record":
            raise ConfigurationError(f"Parquet files hold records, the schema is one of {record['type']}")
        self._nulls = [field["name"] for field in record["fields"] if field["type"] == "null"]
        fields = [field for field in record["fields"] if field["type"] != "null"]
        self.names = [field["name"] for field in fields]
        self.arrow_schema = self._package.schema([(field["name"], self._arrow(field["type"])) for field in fields])
        self._writers = [self._writer(field["type"]) for field in fields]
        self._readers = [self._reader(field["type"]) for field in fields]

    def batch(self, records: list[Any]) -> Any:
        """An Arrow record batch of dicts.

        Raises:
            TypeError: if a record lacks a field or has a value that its schema does not allow.
        """
        arrays = []
        for name, write, field in zip(self.names, self._writers, self.arrow_schema, strict=True):
            try:
                arrays.append(self._package.array([write(record[name]) for record in records], type=field.type))
            except (KeyError, self._package.ArrowInvalid, self._package.ArrowTypeError) as error:
                raise TypeError(f"the field {name!r} does not fit its Avro schema: {error!r}") from error
        return self._package.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)

    def records(self, batch: Any) -> list[Any]:
        """The dicts of an Arrow record batch."""
        columns = [
            [read(value) for value in column.to_pylist()]
            for column, read in zip(batch.columns, self._readers, strict=True)
        ]
        nulls = dict.fromkeys(self._nulls)
        return [nulls | dict(zip(self.names, values, strict=True)) for values in zip(*columns, strict=True)]

    def _resolved(self, schema: Any) -> Any:
        if isinstance(schema, str):
            return self._named.get(schema, {"type": schema})
        if isinstance(schema, dict) and isinstance(schema.get("type"), (dict, list)):
            return self._resolved(schema["type"])
        if isinstance(schema, dict) and "name" in schema:
            self._named[schema["name"]] = schema
        return schema

    def _members(self, schema: list[Any]) -> list[Any]:
        return [member for member in schema if member != "null"]

    def _arrow(self, schema: Any) -> Any:
        package = self._package
        schema = self._resolved(schema)
        if isinstance(schema, list):
            members = self._members(schema)
            if len(members) == 1:
                return self._arrow(members[0])
            return package.struct([(f"member{index}", self._arrow(member)) for index, member in enumerate(members)])
        kind, logical = schema["type"], schema.get("logicalType")
        if kind == "record":
            return package.struct([(field["name"], self._arrow(field["type"])) for field in schema["fields"]])
        if kind == "array":
            return package.list_(self._arrow(schema["items"]))
        if kind == "map":
            return package.map_(package.string(), self._arrow(schema["values"]))
        by_logical = {
            "date": package.date32(),
            "time-millis": package.time32("ms"),
            "time-micros": package.time64("us"),
            "timestamp-millis": package.timestamp("ms", "UTC"),
            "timestamp-micros": package.timestamp("us", "UTC"),
        }.get(logical)
        if by_logical is not None:
            return by_logical
        if logical == "decimal":
            return package.decimal128(schema["precision"], schema.get("scale", 0))
        simple = {
            "boolean": package.bool_(),
            "int": package.int32(),
            "long": package.int64(),
            "float": package.float32(),
            "double": package.float64(),
            "string": package.string(),
            "enum": package.string(),
            "bytes": package.binary(),
        }.get(kind)
        if simple is not None:
            return simple
        if kind == "fixed":
            return package.binary(schema["size"])
        raise ConfigurationError(f"Avro's {kind!r} has no Parquet column")

    def _writer(self, schema: Any) -> Convert:
        schema = self._resolved(schema)
        if isinstance(schema, list):
            return self._union_writer(self._members(schema))
        kind = schema["type"]
        if kind == "record":
            fields = [(field["name"], self._writer(field["type"])) for field in schema["fields"]]
            return lambda value: None if value is None else {name: write(value[name]) for name, write in fields}
        if kind == "array":
            item = self._writer(schema["items"])
            return lambda value: None if value is None else [item(part) for part in value]
        if kind == "map":
            inside = self._writer(schema["values"])
            return lambda value: None if value is None else [(key, inside(part)) for key, part in value.items()]
        return lambda value: value

    def _union_writer(self, members: list[Any]) -> Convert:
        writers = [self._writer(member) for member in members]
        if len(members) == 1:
            return writers[0]
        kinds = [_PYTHON_KINDS.get(self._resolved(member)["type"], ()) for member in members]

        def write(value: Any) -> Any:
            if value is None:
                return None
            for index, kind in enumerate(kinds):
                if type(value) in kind:
                    return {f"member{index}": writers[index](value)}
            raise TypeError(f"{value!r} is none of the union's types")

        return write

    def _reader(self, schema: Any) -> Convert:
        schema = self._resolved(schema)
        if isinstance(schema, list):
            members = self._members(schema)
            readers = [self._reader(member) for member in members]
            return readers[0] if len(members) == 1 else lambda value: _chosen(value, readers)
        kind = schema["type"]
        if kind == "record":
            fields = [(field["name"], self._reader(field["type"])) for field in schema["fields"]]
            return lambda value: None if value is None else {name: read(value[name]) for name, read in fields}
        if kind == "array":
            item = self._reader(schema["items"])
            return lambda value: None if value is None else [item(part) for part in value]
        if kind == "map":
            inside = self._reader(schema["values"])
            return lambda value: None if value is None else {key: inside(part) for key, part in value}
        if kind in ("string", "enum"):  # other writers may leave out that the bytes are a text
            return lambda value: value.decode("utf-8") if isinstance(value, bytes) else value
        return _whole if kind == "long" else lambda value: value


def _whole(value: Any) -> Any:
    return value.astimezone(datetime.UTC) if isinstance(value, datetime.datetime) else value


def _chosen(value: Any, readers: list[Convert]) -> Any:
    """The member of a union that is there."""
    if value is None:
        return None
    for index, read in enumerate(readers):
        member = value.get(f"member{index}")
        if member is not None:
            return read(member)
    return None

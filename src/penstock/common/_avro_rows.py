"""Rows to and from Avro binary: the schemas of Flink's Avro format (`pyflink.datastream.formats.avro`).

Types match as flink-avro's `AvroSchemaConverter` has it: records rows, enums STRING, arrays object arrays, maps from
STRING, unions of a type and null that type; dates, times, timestamps (UTC) and decimals by their logical types.
"""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable
from typing import Any

from penstock.common.serialization import DeserializationSchema, SerializationSchema
from penstock.common.typeinfo import TypeInformation, Types
from penstock.common.types import Row
from penstock.errors import ConfigurationError, JobError, UnsupportedFeatureError

__all__ = ["AvroRowDeserializationSchema", "AvroRowSerializationSchema", "fastavro", "parse_avro_schema"]

_PRIMITIVES: dict[str, Callable[[], TypeInformation]] = {
    "string": Types.STRING,
    "bytes": lambda: Types.PRIMITIVE_ARRAY(Types.BYTE()),
    "fixed": lambda: Types.PRIMITIVE_ARRAY(Types.BYTE()),
    "enum": Types.STRING,
    "int": Types.INT,
    "long": Types.LONG,
    "float": Types.FLOAT,
    "double": Types.DOUBLE,
    "boolean": Types.BOOLEAN,
}
_LOGICAL: dict[str, Callable[[], TypeInformation]] = {
    "date": Types.SQL_DATE,
    "time-millis": Types.SQL_TIME,
    "time-micros": Types.SQL_TIME,
    "timestamp-millis": Types.SQL_TIMESTAMP,
    "timestamp-micros": Types.SQL_TIMESTAMP,
    "local-timestamp-millis": Types.SQL_TIMESTAMP,
    "local-timestamp-micros": Types.SQL_TIMESTAMP,
    "decimal": Types.BIG_DEC,
}
_WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError, EOFError, OverflowError)


def fastavro() -> Any:
    """The fastavro package.

    Raises:
        ConfigurationError: if it is not installed.
    """
    try:
        import fastavro
    except ImportError as error:
        raise ConfigurationError("Avro needs fastavro: install penstock[avro].") from error
    return fastavro


def parse_avro_schema(text: str) -> Any:
    """Fastavro's form of a schema.

    Raises:
        ConfigurationError: if the text is no Avro schema, or fastavro is not installed.
    """
    package = fastavro()
    try:
        return package.parse_schema(json.loads(text), _write_hint=False)
    except (ValueError, KeyError, TypeError, AttributeError, package.schema.SchemaParseException) as error:
        raise ConfigurationError(
            f"not an Avro schema: {type(error).__name__}: {error}; it begins {text[:200]!r}"
        ) from error


class AvroRowDeserializationSchema(DeserializationSchema):
    """Avro binary of a record schema to Rows named by its fields.

    Args:
        record_class: PyFlink's way to a Java class; not possible here.
        avro_schema_string: the schema as JSON.

    Raises:
        TypeError: if neither is given.
        UnsupportedFeatureError: if a record class is given.
        ConfigurationError: if the schema is none, or not one of records.
    """

    def __init__(self, record_class: str | None = None, avro_schema_string: str | None = None) -> None:
        self._codec = _RowCodec(_schema_text(record_class, avro_schema_string))

    @property
    def produced_type(self) -> TypeInformation:
        """The row type of the schema."""
        return self._codec.type_info

    def deserialize(self, message: bytes) -> Row:
        """The row of a message.

        Raises:
            JobError: if the bytes are no record of the schema.
        """
        return self._codec.decode(message)


class AvroRowSerializationSchema(SerializationSchema):
    """Rows to Avro binary of a record schema; takes the arguments of AvroRowDeserializationSchema."""

    def __init__(self, record_class: str | None = None, avro_schema_string: str | None = None) -> None:
        self._codec = _RowCodec(_schema_text(record_class, avro_schema_string))

    def serialize(self, element: Any) -> bytes:
        """The message of a row.

        Raises:
            JobError: if the element is no Row of the schema.
        """
        return self._codec.encode(element)


def _schema_text(record_class: str | None, avro_schema_string: str | None) -> str:
    if record_class is not None:
        raise UnsupportedFeatureError(
            f"record_class={record_class!r} names a Java class; there is no JVM here. Use avro_schema_string."
        )
    if avro_schema_string is None:
        raise TypeError("record_class or avro_schema_string should be specified.")
    return avro_schema_string


class _RowCodec:
    """Encodes and decodes rows of one schema. Picklable; owned by its schema."""

    def __init__(self, text: str) -> None:
        self._text = text
        schema = parse_avro_schema(text)
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise ConfigurationError(f"Avro rows need a schema of records, got {text[:200]!r}")
        self._schema = schema
        self._package = fastavro()
        shape = _Shape()
        self.type_info = shape.type_info(schema)
        self._to_row = shape.reader(schema)
        self._from_row = shape.writer(schema)

    def __reduce__(self) -> tuple[Any, ...]:
        return _RowCodec, (self._text,)

    def decode(self, message: bytes) -> Row:
        try:
            row: Row = self._to_row(self._package.schemaless_reader(io.BytesIO(message), self._schema, None))
        except _WRONG as error:
            raise JobError(f"Failed to deserialize Avro record of {len(message)} bytes: {error!r}") from error
        return row

    def encode(self, element: Any) -> bytes:
        stream = io.BytesIO()
        try:
            self._package.schemaless_writer(stream, self._schema, self._from_row(element))
        except _WRONG as error:
            raise JobError(
                f"Could not serialize {element!r} as Avro {self._schema.get('name')!r}: {error}. The stream must hold "
                "Rows with the fields of the schema; declare its type as Types.ROW(…)."
            ) from error
        return stream.getvalue()


class _Shape:
    """What the parts of a schema mean for rows; knows the named schemas it has met."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}

    def _resolved(self, schema: Any) -> Any:
        """A schema as a dict with its type, references followed; a union of one type and null is that type."""
        if isinstance(schema, str):
            return self._named.get(schema, {"type": schema})
        if isinstance(schema, list):
            others = [option for option in schema if option != "null"]
            if len(others) == 1:
                return self._resolved(others[0])
            raise ConfigurationError(
                f"Avro rows have no type for the union {schema}; only one type and null may be united"
            )
        if isinstance(schema.get("type"), (dict, list)):
            return self._resolved(schema["type"])
        if "name" in schema:
            self._named[schema["name"]] = schema
        return schema

    def type_info(self, schema: Any) -> TypeInformation:
        """The type of a part."""
        schema = self._resolved(schema)
        kind = schema["type"]
        logical = _LOGICAL.get(schema.get("logicalType", ""))
        if logical is not None:
            return logical()
        if kind == "record":
            fields = {field["name"]: self.type_info(field["type"]) for field in schema["fields"]}
            return Types.ROW_NAMED(list(fields), list(fields.values()))
        if kind == "array":
            return Types.OBJECT_ARRAY(self.type_info(schema["items"]))
        if kind == "map":
            return Types.MAP(Types.STRING(), self.type_info(schema["values"]))
        primitive = _PRIMITIVES.get(kind)
        if primitive is None:
            raise ConfigurationError(f"Avro rows have no type for {kind!r}")
        return primitive()

    def reader(self, schema: Any) -> Callable[[Any], Any]:
        """The function from fastavro's value of a part to a row's."""
        schema = self._resolved(schema)
        kind = schema["type"]
        if kind == "record":
            names = [field["name"] for field in schema["fields"]]
            fields = [(field["name"], _nullable(self.reader(field["type"]))) for field in schema["fields"]]

            def read(value: Any) -> Row:
                row = Row(*[field(value[name]) for name, field in fields])
                row.set_field_names(names)
                return row

            return read
        if kind == "array":
            item = _nullable(self.reader(schema["items"]))
            return lambda value: [item(part) for part in value]
        if kind == "map":
            inside = _nullable(self.reader(schema["values"]))
            return lambda value: {key: inside(part) for key, part in value.items()}
        if schema.get("logicalType", "").startswith("timestamp"):
            return lambda value: value.astimezone(datetime.UTC).replace(tzinfo=None)
        return str if schema.get("logicalType") == "uuid" else lambda value: value

    def writer(self, schema: Any) -> Callable[[Any], Any]:
        """The function from a row's value of a part to fastavro's."""
        schema = self._resolved(schema)
        kind = schema["type"]
        if kind == "record":
            names = [field["name"] for field in schema["fields"]]
            fields = [_nullable(self.writer(field["type"])) for field in schema["fields"]]

            def write(value: Any) -> dict[str, Any]:
                if not isinstance(value, Row):
                    raise TypeError(f"expected a Row, got {type(value).__name__}")
                values = value.get_fields_by_names(names)
                return {name: field(part) for name, field, part in zip(names, fields, values, strict=True)}

            return write
        if kind == "array":
            item = _nullable(self.writer(schema["items"]))
            return lambda value: [item(part) for part in value]
        if kind == "map":
            inside = _nullable(self.writer(schema["values"]))
            return lambda value: {key: inside(part) for key, part in value.items()}
        if schema.get("logicalType", "").startswith("timestamp"):
            return lambda value: value.replace(tzinfo=datetime.UTC)  # fastavro takes naive ones for local times
        return lambda value: value


def _nullable(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else function(value)

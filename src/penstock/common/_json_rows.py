"""Rows to and from JSON objects: the schemas of Flink's JSON format (`pyflink.datastream.formats.json`).

How types and JSON values match, what is lenient and what is an error follows flink-json's
`JsonRowDeserializationSchema` and `JsonRowSerializationSchema`, observed on Flink 2.2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.common._json_readers import json_parser, json_reader
from penstock.common._json_schema import type_of_json_schema
from penstock.common._json_writers import json_writer
from penstock.common.serialization import DeserializationSchema, SerializationSchema
from penstock.common.typeinfo import RowTypeInfo, TypeInformation
from penstock.common.types import Row
from penstock.errors import ConfigurationError, JobError

__all__ = ["JsonRowDeserializationSchema", "JsonRowSerializationSchema"]

_SHOWN = 500  # characters of a bad message in an error


class JsonRowDeserializationSchema(DeserializationSchema):
    """A JSON object to a Row with the field names of its type; made by `builder()`.

    A message that is the JSON value null gives None, which sources leave out.
    """

    def __init__(self, type_info: RowTypeInfo, fail_on_missing_field: bool, ignore_parse_errors: bool) -> None:
        self._type_info = type_info
        self._fail_on_missing_field = fail_on_missing_field
        self._ignore_parse_errors = ignore_parse_errors
        self._functions: tuple[Callable[[str], Any], Callable[[Any], Any]] | None = None

    @staticmethod
    def builder() -> JsonRowDeserializationSchema.Builder:
        """Starts building."""
        return JsonRowDeserializationSchema.Builder()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_functions": None}

    @property
    def produced_type(self) -> TypeInformation:
        """The row type."""
        return self._type_info

    def deserialize(self, message: bytes) -> Any:
        """The row of a message in UTF-8.

        Raises:
            JobError: if it is no JSON object of the type, unless parse errors are ignored: then None.
        """
        try:
            return self.deserialize_text(message.decode("utf-8"))
        except UnicodeDecodeError as error:
            if self._ignore_parse_errors:
                return None
            raise JobError(f"Failed to deserialize JSON {message[:_SHOWN]!r}: {error}") from error

    def deserialize_text(self, text: str) -> Any:
        """The row of a message that is decoded already; see `deserialize`."""
        functions = self._functions
        if functions is None:
            reader = json_reader(self._type_info, self._fail_on_missing_field, self._ignore_parse_errors)
            functions = self._functions = (json_parser(self._type_info), reader)
        parse, read = functions
        try:
            node = parse(text)
            return None if node is None else read(node)
        except (ValueError, RecursionError) as error:
            if self._ignore_parse_errors:
                return None
            raise JobError(f"Failed to deserialize JSON '{text[:_SHOWN]}': {error}") from error

    class Builder:
        """Collects the settings of a JsonRowDeserializationSchema."""

        def __init__(self) -> None:
            self._type_info: TypeInformation | None = None
            self._fail_on_missing_field = False
            self._ignore_parse_errors = False

        def type_info(self, type_info: TypeInformation) -> JsonRowDeserializationSchema.Builder:
            """The type of the rows; the names of its fields are those of the JSON objects."""
            self._type_info = type_info
            return self

        def json_schema(self, json_schema: str) -> JsonRowDeserializationSchema.Builder:
            """Takes the type from a JSON schema, as flink-json's `JsonRowSchemaConverter` does.

            Raises:
                TypeError: if it is None.
                ConfigurationError: if it is not a schema Flink supports.
            """
            if json_schema is None:
                raise TypeError("The json_schema must not be None.")
            self._type_info = type_of_json_schema(json_schema)
            return self

        def fail_on_missing_field(self) -> JsonRowDeserializationSchema.Builder:
            """Makes a missing field an error; without this it is None."""
            self._fail_on_missing_field = True
            return self

        def ignore_parse_errors(self) -> JsonRowDeserializationSchema.Builder:
            """Makes a field that cannot be read None, and leaves out a message that cannot be read at all."""
            self._ignore_parse_errors = True
            return self

        def build(self) -> JsonRowDeserializationSchema:
            """The schema.

            Raises:
                ConfigurationError: if there is no row type, or both leniencies contradict each other.
            """
            if self._fail_on_missing_field and self._ignore_parse_errors:
                raise ConfigurationError(
                    "JSON format doesn't support failOnMissingField and ignoreParseErrors are both true: a missing "
                    "field would be an error and not. Call only one of fail_on_missing_field and ignore_parse_errors."
                )
            return JsonRowDeserializationSchema(
                _row_type(self._type_info), self._fail_on_missing_field, self._ignore_parse_errors
            )


class JsonRowSerializationSchema(SerializationSchema):
    """A Row to a JSON object in UTF-8, None fields included as null; made by `builder()`."""

    def __init__(self, type_info: RowTypeInfo) -> None:
        self._type_info = type_info
        self._write: Callable[[Any], str] | None = None

    @staticmethod
    def builder() -> JsonRowSerializationSchema.Builder:
        """Starts building."""
        return JsonRowSerializationSchema.Builder()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_write": None}

    def serialize(self, element: Any) -> bytes:
        """The message of a row.

        Raises:
            JobError: if the element is no Row of the type.
        """
        write = self._write
        if write is None:
            write = self._write = json_writer(self._type_info)
        try:
            return write(element).encode("utf-8")
        except (TypeError, ValueError, AttributeError) as error:
            hint = "" if isinstance(element, Row) else " Declare the stream's type as Types.ROW(…)."
            raise JobError(f"Could not serialize {element!r} as JSON of {self._type_info!r}: {error}.{hint}") from error

    class Builder:
        """Collects the settings of a JsonRowSerializationSchema."""

        def __init__(self) -> None:
            self._type_info: TypeInformation | None = None

        def with_type_info(self, type_info: TypeInformation) -> JsonRowSerializationSchema.Builder:
            """The type of the rows; the names of its fields become those of the JSON objects."""
            self._type_info = type_info
            return self

        def build(self) -> JsonRowSerializationSchema:
            """The schema.

            Raises:
                TypeError: if no type was given.
                ConfigurationError: if it is no row type, or has a part that JSON cannot hold.
            """
            if self._type_info is None:
                raise TypeError("Typeinfo should be set.")
            row_type = _row_type(self._type_info)
            json_writer(row_type)
            return JsonRowSerializationSchema(row_type)


def _row_type(type_info: TypeInformation | None) -> RowTypeInfo:
    if not isinstance(type_info, RowTypeInfo):
        raise ConfigurationError(f"Row type information expected for a JSON schema, got {type_info!r}; use Types.ROW.")
    type_info.check()
    return type_info

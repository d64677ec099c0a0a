"""JSON messages and files (`pyflink.datastream.formats.json`); the files are Penstock's own addition."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from penstock.common._json_rows import JsonRowDeserializationSchema, JsonRowSerializationSchema
from penstock.common.serialization import BulkWriterFactory
from penstock.common.typeinfo import TypeInformation
from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.connectors._file_formats import FileRecords, FileSplit, StreamFormat, TextLineFormat

__all__ = ["JsonBulkWriters", "JsonReaderFormat", "JsonRowDeserializationSchema", "JsonRowSerializationSchema"]


class JsonReaderFormat(StreamFormat):
    """Reads files of JSON values, one a line; empty lines are left out. Made by `JsonReaderFormat.for_type_info`."""

    def __init__(self, schema: JsonRowDeserializationSchema | None) -> None:
        self._schema = schema
        self._lines = TextLineFormat("UTF-8")

    @staticmethod
    def for_type_info(type_info: TypeInformation | None = None, ignore_parse_errors: bool = False) -> JsonReaderFormat:
        """A format for objects of a row type, or without a type for any JSON values as Python's `json` reads them.

        Args:
            type_info: a row type whose field names are those of the objects.
            ignore_parse_errors: leaves out lines that cannot be read, and makes fields that cannot be read None.

        Raises:
            ConfigurationError: if the type is no row type, or has a part that JSON cannot hold.
        """
        if type_info is None:
            return JsonReaderFormat(None)
        builder = JsonRowDeserializationSchema.builder().type_info(type_info)
        return JsonReaderFormat((builder.ignore_parse_errors() if ignore_parse_errors else builder).build())

    @property
    def produced_type(self) -> TypeInformation | None:
        """The row type, or None for untyped values."""
        return None if self._schema is None else self._schema.produced_type

    @property
    def splittable(self) -> bool:
        """True: a value is a line."""
        return True

    def open(self, file: BinaryIO, split: FileSplit, seekable: bool) -> FileRecords:
        """Reads the values of the split's lines."""
        parse = json.loads if self._schema is None else self._schema.deserialize_text
        return _JsonLines(self._lines.open(file, split, seekable), parse)


class _JsonLines(FileRecords):
    """Owned by the thread that reads the file."""

    def __init__(self, lines: FileRecords, parse: Callable[[str], Any]) -> None:
        self._lines = lines
        self._parse = parse

    def next_batch(self) -> list[Any]:
        while lines := self._lines.next_batch():
            self.offset = self._lines.offset
            values = [value for line in lines if line.strip() and (value := self._parse(line)) is not None]
            if values:
                return values
        self.offset = self._lines.offset
        return []


class JsonBulkWriters:
    """Makes writers of files of JSON objects, one a line, for `FileSink.for_bulk_format`."""

    @staticmethod
    def for_type_info(type_info: TypeInformation) -> JsonBulkWriterFactory:
        """Writers of Rows of this type.

        Raises:
            ConfigurationError: if it is no row type, or has a part that JSON cannot hold.
        """
        return JsonBulkWriterFactory(JsonRowSerializationSchema.builder().with_type_info(type_info).build())


class JsonBulkWriterFactory(BulkWriterFactory):
    """Makes a JSON writer for each file."""

    def __init__(self, schema: JsonRowSerializationSchema) -> None:
        super().__init__()
        self._schema = schema

    def create(self, stream: BinaryIO) -> BulkWriter:
        """A writer to a file just created."""
        return _JsonFileWriter(stream, self._schema)


class _JsonFileWriter(BulkWriter):
    """Owned by the task thread."""

    def __init__(self, stream: BinaryIO, schema: JsonRowSerializationSchema) -> None:
        self._stream = stream
        self._schema = schema

    def add_elements(self, elements: Sequence[Any]) -> None:
        serialize = self._schema.serialize
        self._stream.write(b"".join([serialize(element) + b"\n" for element in elements]))

    def flush(self) -> None:
        pass

    def finish(self) -> None:
        pass

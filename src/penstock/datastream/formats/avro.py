"""Avro files and messages (`pyflink.datastream.formats.avro`); needs fastavro, the extra `avro`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from penstock.common._avro_rows import (
    AvroRowDeserializationSchema,
    AvroRowSerializationSchema,
    fastavro,
    parse_avro_schema,
)
from penstock.common.io import InputFormat
from penstock.common.serialization import BulkWriterFactory
from penstock.common.typeinfo import TypeInformation
from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.connectors._file_formats import BulkFormat, FileRecords, FileSplit
from penstock.datastream.connectors._file_source import FileSource
from penstock.datastream.connectors.base import Source
from penstock.errors import ConfigurationError

__all__ = [
    "AvroBulkWriters",
    "AvroInputFormat",
    "AvroReaderFormat",
    "AvroRowDeserializationSchema",
    "AvroRowSerializationSchema",
    "AvroSchema",
    "GenericRecordAvroTypeInfo",
]

_BATCH_RECORDS = 1000


class AvroSchema:
    """An Avro schema; made by `parse_string` or `parse_file`. Immutable."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.parsed = parse_avro_schema(text)

    def __str__(self) -> str:
        return json.dumps(json.loads(self._text), separators=(",", ":"))

    def __reduce__(self) -> tuple[Any, ...]:
        return AvroSchema, (self._text,)

    @staticmethod
    def parse_string(json_schema: str) -> AvroSchema:
        """Of a JSON text.

        Raises:
            ConfigurationError: if it is no schema, or fastavro is not installed.
        """
        return AvroSchema(json_schema)

    @staticmethod
    def parse_file(file_path: str | os.PathLike[str]) -> AvroSchema:
        """Of a file with a JSON text.

        Raises:
            ConfigurationError: if it cannot be read or is no schema, or fastavro is not installed.
        """
        try:
            with open(file_path, encoding="utf-8") as file:
                return AvroSchema(file.read())
        except OSError as error:
            raise ConfigurationError(f"the Avro schema {os.fspath(file_path)!r} cannot be read: {error}") from error


class GenericRecordAvroTypeInfo(TypeInformation):
    """The type of records of an Avro schema, as plain Python values: dicts, lists, numbers, texts."""

    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenericRecordAvroTypeInfo) and str(self._schema) == str(other._schema)

    def __repr__(self) -> str:
        return f"GenericRecordAvroTypeInfo({self._schema})"


class AvroReaderFormat(BulkFormat):
    """Reads Avro container files as dicts, by the reader schema given; Penstock's own name."""

    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> AvroReaderFormat:
        """A format that resolves what is in the files to this schema."""
        return AvroReaderFormat(schema)

    @property
    def produced_type(self) -> TypeInformation:
        """GenericRecordAvroTypeInfo of the schema."""
        return GenericRecordAvroTypeInfo(self._schema)

    def open(self, file: BinaryIO, split: FileSplit, seekable: bool) -> FileRecords:
        """Reads from the start; a position is a number of records, which are read again and dropped."""
        return _AvroRecords(fastavro().reader(file, self._schema.parsed), split.offset or 0)


class _AvroRecords(FileRecords):
    """Owned by the thread that reads the file."""

    def __init__(self, records: Iterator[Any], skip: int) -> None:
        self._records = records
        self._read = 0
        while self._read < skip and next(records, None) is not None:
            self._read += 1

    def next_batch(self) -> list[Any]:
        self.offset = self._read
        batch = [record for _, record in zip(range(_BATCH_RECORDS), self._records, strict=False)]
        self._read += len(batch)
        return batch


class AvroInputFormat(InputFormat):
    """An Avro file for `env.create_input`; `to_source` is the FileSource that does the work."""

    def __init__(self, path: str | os.PathLike[str], schema: AvroSchema) -> None:
        self._path = os.fspath(path)
        self._schema = schema

    def get_produced_type(self) -> GenericRecordAvroTypeInfo:
        """The type of the records."""
        return GenericRecordAvroTypeInfo(self._schema)

    def to_source(self) -> Source:
        """A bounded source of the file's records."""
        return FileSource.for_bulk_file_format(AvroReaderFormat(self._schema), self._path).build()


class AvroBulkWriters:
    """Makes writers of Avro container files for `FileSink.for_bulk_format`."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> BulkWriterFactory:
        """Writers of plain Python values of this schema."""
        return AvroBulkWriterFactory(schema)


class AvroBulkWriterFactory(BulkWriterFactory):
    """Makes an Avro writer for each file."""

    def __init__(self, schema: AvroSchema) -> None:
        super().__init__()
        self._schema = schema

    def create(self, stream: BinaryIO) -> BulkWriter:
        """A writer to a file just created."""
        return _AvroFileWriter(stream, self._schema)


class _AvroFileWriter(BulkWriter):
    """Owned by the task thread."""

    def __init__(self, stream: BinaryIO, schema: AvroSchema) -> None:
        self._writer = fastavro().write.Writer(stream, schema.parsed)

    def add_elements(self, elements: Sequence[Any]) -> None:
        for element in elements:
            self._writer.write(element)

    def flush(self) -> None:
        self._writer.flush()

    def finish(self) -> None:
        self._writer.flush()

"""CSV files and messages (`pyflink.datastream.formats.csv`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

from penstock.common._csv_rows import CsvRowDeserializationSchema, CsvRowSerializationSchema
from penstock.common._csv_text import CsvDialect
from penstock.common.serialization import BulkWriterFactory
from penstock.common.typeinfo import TypeInformation
from penstock.datastream.connectors._file_formats import FileRecords, FileSplit, StreamFormat
from penstock.datastream.connectors._text_lines import line_blocks
from penstock.datastream.formats._csv_files import CsvColumn, CsvFileRecords, CsvFileWriter, CsvLayout
from penstock.datastream.formats._logical_types import LogicalType, logical_type

__all__ = [
    "CsvBulkWriters",
    "CsvReaderFormat",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "CsvSchema",
    "CsvSchemaBuilder",
]

_STRING = LogicalType("STRING")
_BIGINT = LogicalType("BIGINT")
_BOOLEAN = LogicalType("BOOLEAN")


class CsvSchema:
    """The columns of CSV files and how they are written; made by `CsvSchema.builder()`. Immutable."""

    def __init__(self, layout: CsvLayout) -> None:
        self._layout = layout

    @staticmethod
    def builder() -> CsvSchemaBuilder:
        """Starts building."""
        return CsvSchemaBuilder()

    def size(self) -> int:
        """Number of columns."""
        return len(self._layout.columns)

    def __len__(self) -> int:
        return self.size()

    def __str__(self) -> str:
        layout = self._layout
        columns = ",".join(f'"{column.name}"/{column.kind}' for column in layout.columns)
        rest = f"as '{layout.any_property_name}'" if layout.any_property_name is not None else "N/A"
        return (
            f"[CsvSchema: columns=[{columns}], header? {_java(layout.use_header)}, "
            f"skipFirst? {_java(layout.skip_first_data_row)}, comments? {_java(layout.dialect.comments)}, "
            f"any-properties? {rest}]"
        )

    def __repr__(self) -> str:
        return str(self)


def _java(value: bool) -> str:
    return "true" if value else "false"


class CsvSchemaBuilder:
    """Collects columns and settings of a CsvSchema; every method but the sizes returns the builder."""

    def __init__(self) -> None:
        self._layout = CsvLayout()

    def build(self) -> CsvSchema:
        """The schema."""
        return CsvSchema(self._layout)

    def add_array_column(self, name: str, separator: str = ";", element_type: Any | None = None) -> CsvSchemaBuilder:
        """Adds a column of several values, of `DataTypes.STRING()` by default."""
        element = _STRING if element_type is None else logical_type(element_type)
        return self._add(CsvColumn(name, "ARRAY", LogicalType("ARRAY", parts=(element,)), separator))

    def add_boolean_column(self, name: str) -> CsvSchemaBuilder:
        """Adds a column of booleans."""
        return self._add(CsvColumn(name, "BOOLEAN", _BOOLEAN))

    def add_number_column(self, name: str, number_type: Any | None = None) -> CsvSchemaBuilder:
        """Adds a column of numbers, of `DataTypes.BIGINT()` by default."""
        return self._add(CsvColumn(name, "NUMBER", _BIGINT if number_type is None else logical_type(number_type)))

    def add_string_column(self, name: str) -> CsvSchemaBuilder:
        """Adds a column of texts."""
        return self._add(CsvColumn(name, "STRING", _STRING))

    def add_columns_from(self, schema: CsvSchema) -> CsvSchemaBuilder:
        """Adds all columns of another schema."""
        return self._change(columns=self._layout.columns + schema._layout.columns)

    def clear_columns(self) -> CsvSchemaBuilder:
        """Drops all columns."""
        return self._change(columns=())

    def set_allow_comments(self, allow: bool = True) -> CsvSchemaBuilder:
        """Whether lines that start with `#` are comments."""
        return self._dialect(comments=allow)

    def set_any_property_name(self, name: str) -> CsvSchemaBuilder:
        """Allows more fields in a line than there are columns; they are dropped."""
        return self._change(any_property_name=name)

    def disable_array_element_separator(self) -> CsvSchemaBuilder:
        """Takes away the separator of array columns without one of their own."""
        return self._change(array_separator="")

    def remove_array_element_separator(self, index: int) -> CsvSchemaBuilder:
        """Takes away a column's own array separator.

        Raises:
            IndexError: if there is no such column.
        """
        columns = list(self._layout.columns)
        columns[index] = replace(columns[index], array_separator="")
        return self._change(columns=tuple(columns))

    def set_array_element_separator(self, separator: str) -> CsvSchemaBuilder:
        """Sets the separator of array columns without one of their own, `;` by default."""
        return self._change(array_separator=separator)

    def set_column_separator(self, char: str) -> CsvSchemaBuilder:
        """Sets the character between fields, `,` by default.

        Raises:
            ValueError: if it is not one character.
        """
        return self._dialect(separator=_single(char, "Column separator"))

    def disable_escape_char(self) -> CsvSchemaBuilder:
        """No escape character: the default."""
        return self._dialect(escape=None)

    def set_escape_char(self, char: str) -> CsvSchemaBuilder:
        """Sets the character before others that are taken as they are.

        Raises:
            ValueError: if it is not one character.
        """
        return self._dialect(escape=_single(char, "Escape char"))

    def set_line_separator(self, separator: str) -> CsvSchemaBuilder:
        r"""Sets what ends a written line, `\\n` by default; `\\n`, `\\r` and `\\r\\n` always end one that is read."""
        return self._change(line_separator=separator)

    def set_null_value(self, null_value: str) -> CsvSchemaBuilder:
        """Sets the text that means None; without it None is written as nothing, and nothing is read as None."""
        return self._change(null_value=null_value)

    def disable_quote_char(self) -> CsvSchemaBuilder:
        """No quotes, neither read nor written."""
        return self._dialect(quote=None)

    def set_quote_char(self, char: str) -> CsvSchemaBuilder:
        """Sets the quote character, `"` by default.

        Raises:
            ValueError: if it is not one character.
        """
        return self._dialect(quote=_single(char, "Quote char"))

    def set_skip_first_data_row(self, skip: bool = True) -> CsvSchemaBuilder:
        """Whether the first row, after a header, is left out."""
        return self._change(skip_first_data_row=skip)

    def set_strict_headers(self, strict: bool = True) -> CsvSchemaBuilder:
        """Whether a header must have the schema's column names in their order."""
        return self._change(strict_headers=strict)

    def set_use_header(self, use: bool = True) -> CsvSchemaBuilder:
        """Whether files start with a line of column names; columns are found by position all the same."""
        return self._change(use_header=use)

    def size(self) -> int:
        """Number of columns."""
        return len(self._layout.columns)

    def __len__(self) -> int:
        return self.size()

    def _add(self, column: CsvColumn) -> CsvSchemaBuilder:
        return self._change(columns=(*self._layout.columns, column))

    def _dialect(self, **changes: Any) -> CsvSchemaBuilder:
        dialect: CsvDialect = replace(self._layout.dialect, **changes)
        return self._change(dialect=dialect)

    def _change(self, **changes: Any) -> CsvSchemaBuilder:
        self._layout = replace(self._layout, **changes)
        return self


def _single(char: str, what: str) -> str:
    if len(char) != 1:
        raise ValueError(f"{what} must be a single char, got {char}")
    return char


class CsvReaderFormat(StreamFormat):
    """Reads the records of CSV files as Rows named by column; made by `CsvReaderFormat.for_schema`."""

    def __init__(self, layout: CsvLayout) -> None:
        self._layout = layout

    @staticmethod
    def for_schema(schema: CsvSchema) -> CsvReaderFormat:
        """A format for files of this schema, in UTF-8."""
        return CsvReaderFormat(schema._layout)

    @property
    def produced_type(self) -> TypeInformation:
        """A row with the names and types of the columns."""
        return self._layout.row_type.type_info

    def open(self, file: BinaryIO, split: FileSplit, seekable: bool) -> FileRecords:
        """Reads record by record; a record may go over several lines."""
        blocks = line_blocks(file, "utf-8", split.offset or 0, None, seekable, errors="strict")
        return CsvFileRecords(blocks, self._layout, at_start=not split.offset)


class CsvBulkWriters:
    """Makes writers of CSV files for `FileSink.for_bulk_format`."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """Writers of Rows of this schema, in UTF-8, with a header where the schema uses one."""
        return CsvBulkWriterFactory(schema._layout)


class CsvBulkWriterFactory(BulkWriterFactory):
    """Makes a CSV writer for each file."""

    def __init__(self, layout: CsvLayout) -> None:
        super().__init__()
        self._layout = layout

    def create(self, stream: BinaryIO) -> CsvFileWriter:
        """A writer to a file just created."""
        return CsvFileWriter(stream, self._layout)

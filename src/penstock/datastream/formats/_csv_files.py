"""CSV files: their layout, and how their records are read and written."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from penstock.common._csv_text import DEFAULT_DIALECT, CsvDialect, IncompleteRecordError
from penstock.common._text import java_text
from penstock.common._value_parsers import decimal, parser_for
from penstock.common.types import Row, RowKind, made_row
from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.connectors._file_formats import FileRecords
from penstock.datastream.connectors._text_lines import LineBlocks
from penstock.datastream.formats._logical_types import LogicalType, decimal_of
from penstock.errors import ConfigurationError

__all__ = ["CsvColumn", "CsvFileRecords", "CsvFileWriter", "CsvLayout"]


_INTEGER_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}


@dataclass(frozen=True, slots=True)
class CsvColumn:
    """One column.

    Attributes:
        name: the field's name in the Rows.
        kind: STRING, NUMBER, BOOLEAN or ARRAY.
        logical_type: what its values are.
        array_separator: between the elements of an ARRAY, empty for the layout's.
    """

    name: str
    kind: str
    logical_type: LogicalType
    array_separator: str = ""


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """Everything a CsvSchema says; see its builder."""

    columns: tuple[CsvColumn, ...] = ()
    dialect: CsvDialect = DEFAULT_DIALECT
    array_separator: str = ";"
    line_separator: str = "\n"
    null_value: str | None = None
    use_header: bool = False
    strict_headers: bool = False
    skip_first_data_row: bool = False
    any_property_name: str | None = None

    @property
    def row_type(self) -> LogicalType:
        """The type of the records."""
        parts = tuple(column.logical_type for column in self.columns)
        return LogicalType("ROW", parts=parts, names=tuple(column.name for column in self.columns))


class CsvFileRecords(FileRecords):
    """Reads records from blocks of lines; one that ends in a later block is read with that block.

    Owned by the thread that reads the file.
    """

    def __init__(self, blocks: LineBlocks, layout: CsvLayout, at_start: bool) -> None:
        self._blocks = blocks
        self._layout = layout
        self._readers = [_column_reader(column, layout) for column in layout.columns]
        self._names = [column.name for column in layout.columns]
        self._column_converters = [
            (index, _column_converter(column.logical_type, reader))
            for index, (column, reader) in enumerate(zip(layout.columns, self._readers, strict=True))
            if column.logical_type.root != "STRING"
        ]
        self._at_start = at_start
        self._header_due = at_start and layout.use_header
        self._skip_due = at_start and layout.skip_first_data_row
        self._rest = ""  # the start of a record that goes on in the next block
        self._ended = False
        self.offset = blocks.offset

    def next_batch(self) -> list[Any]:
        """The records that end in the next block."""
        if not self._rest:
            self.before = 0
        while not self._ended:
            text = self._next_text()
            rows = self._read(text)
            if rows:
                return rows
        return []

    def _next_text(self) -> str:
        """The rest and what follows it: as much again, so that a long record is not read over and over."""
        clean, texts, missing = not self._rest, [self._rest], len(self._rest)
        while True:
            text = self._blocks.next_text()
            if text is None:
                self._ended = True
                break
            if clean:
                self.offset = self._blocks.offset
                clean = False
            texts.append(text)
            missing -= len(text)
            if missing <= 0:
                break
        whole = "".join(texts)
        if self._at_start:
            self._at_start = False
            whole = whole.removeprefix("\ufeff")
        return whole

    def _read(self, text: str) -> list[Any]:
        """The rows of the records that end in the text; keeps the rest."""
        records, position = self._records(text)
        if position < len(text):
            position = self._scan(text, position, records)
        if records and (self._header_due or self._skip_due):
            records = [fields for fields in records if not self._consumed_as_head(fields)]
        rows = self._rows(records, text.isascii() and "_" not in text)
        self.before = self._read_before
        self._rest = text[position:]
        self._read_before = self.before + len(rows) if self._rest else 0
        return rows

    def _records(self, text: str) -> tuple[list[list[str]], int]:
        """The fields of the records from the start on that need no scanning, and where the rest begins."""
        dialect = self._layout.dialect
        if not dialect.needs_scanning(text):
            if "\r" in text:
                length = len(text)
                text = text.replace("\r\n", "\n").replace("\r", "\n")
                return _cut(text, dialect.separator), length
            return _cut(text, dialect.separator), len(text)
        if dialect.escape is not None or dialect.quote is None or (dialect.comments and "#" in text):
            return [], 0
        lines = list(io.StringIO(text, newline=""))
        reader = csv.reader(lines, delimiter=dialect.separator, quotechar=dialect.quote, strict=True)
        records: list[list[str]] = []
        done_lines = 0
        try:
            for fields in reader:
                records.append(fields or [""])
                done_lines = reader.line_num
        except csv.Error:  # what Python's reader refuses is for the dialect to decide
            return records, sum(map(len, lines[:done_lines]))
        return records, len(text)

    def _scan(self, text: str, position: int, records: list[list[str]]) -> int:
        """Reads the records from a position on one by one; returns where an incomplete one begins, or the end."""
        read_record = self._layout.dialect.read_record
        while position < len(text):
            try:
                fields, position = read_record(text, position)
            except IncompleteRecordError:
                if self._ended:
                    raise
                break
            if fields is not None:
                records.append(fields)
        return position

    def _rows(self, records: list[list[str]], plain: bool) -> list[Any]:
        """Rows of records; column by column where nothing is amiss, so that whole columns are converted at once."""
        if plain and self._layout.null_value is None and set(map(len, records)) == {len(self._names)}:
            columns: list[Any] = list(zip(*records, strict=True))
            for index, convert in self._column_converters:
                converted = convert(columns[index])
                if converted is None:
                    break
                columns[index] = converted
            else:
                names, insert = self._names, RowKind.INSERT
                return [made_row(names, list(values), insert) for values in zip(*columns, strict=True)]
        return [self._row(fields) for fields in records]

    _read_before = 0

    def _consumed_as_head(self, fields: list[str]) -> bool:
        if self._header_due:
            self._header_due = False
            if self._layout.strict_headers:
                self._check_header(fields)
            return True
        if self._skip_due:
            self._skip_due = False
            return True
        return False

    def _check_header(self, found: list[str]) -> None:
        if found != self._names:
            raise ValueError(f"mismatched CSV header: the schema has {self._names}, the file {found}")

    def _row(self, fields: list[str]) -> Row:
        readers = self._readers
        wanted = len(readers)
        if len(fields) > wanted:
            if len(fields) == wanted + 1 and not fields[-1]:
                pass  # a separator at the end of the line
            elif self._layout.any_property_name is None:
                raise ValueError(f"too many entries: expected at most {wanted}, got {len(fields)}: {fields}")
        elif len(fields) < wanted:
            raise ValueError(f"Row length mismatch. {wanted} fields expected but was {len(fields)}: {fields}")
        values = [read(field) for read, field in zip(readers, fields, strict=False)]
        return made_row(self._names, values, RowKind.INSERT)


def _cut(text: str, separator: str) -> list[list[str]]:
    """The fields of lines without quotes."""
    return [line.split(separator) for line in text.removesuffix("\n").split("\n")] if text else []


def _column_converter(kind: LogicalType, read: Callable[[str], Any]) -> Callable[[Sequence[str]], list[Any] | None]:
    """The function that converts a column of ASCII texts without underscores; None where cells must be looked at.

    For such texts Python's `int` and `float` accept what Java does, but for a few forms that are left to `read`.
    """
    bits = _INTEGER_BITS.get(kind.root)
    if bits is not None:
        most = 2 ** (bits - 1)

        def integers(column: Sequence[str]) -> list[Any] | None:
            try:
                values = list(map(int, column))
            except ValueError:
                return None
            return values if -most <= min(values) and max(values) < most else None

        return integers
    if kind.root == "DOUBLE":

        def doubles(column: Sequence[str]) -> list[Any] | None:
            try:
                values = list(map(float, column))
            except ValueError:
                return None
            # infinities and NaN have other names in Java, and show in the sum
            return values if math.isfinite(sum(values)) else None

        return doubles

    def cells(column: Sequence[str]) -> list[Any] | None:
        return [read(text) for text in column]

    return cells


def _column_reader(column: CsvColumn, layout: CsvLayout) -> Callable[[str], Any]:
    kind, null = column.logical_type, layout.null_value
    if kind.root != "ARRAY":
        return _cell_reader(kind, null, column.name)
    element = _cell_reader(kind.parts[0], null, column.name)
    separator = column.array_separator or layout.array_separator
    if not separator:
        raise ConfigurationError(
            f"the array column {column.name!r} has no separator; do not disable both its own and the schema's"
        )
    return lambda text: [element(item) for item in text.split(separator)] if text else []


def _cell_reader(kind: LogicalType, null: str | None, name: str) -> Callable[[str], Any]:
    parse = parser_for(kind.type_info)
    if parse is None:
        raise ConfigurationError(f"the column {name!r} has the type {kind.root}, which CSV files cannot hold")
    if kind.root == "DECIMAL":
        return lambda text: None if text == null else decimal_of(decimal(text), kind)
    if kind.root == "STRING":
        return (lambda text: None if text == null else text) if null is not None else str
    parse_text = parse

    def read(text: str) -> Any:
        if text == null:
            return None
        try:
            return parse_text(text)
        except ValueError as error:
            raise ValueError(f"Fail to deserialize at field: {name}. {error}") from error

    return read


class CsvFileWriter(BulkWriter):
    """Writes Rows to one CSV file. Owned by the task thread."""

    def __init__(self, stream: BinaryIO, layout: CsvLayout) -> None:
        self._stream = stream
        self._layout = layout
        quote = layout.dialect.text_writer()
        self._names = [column.name for column in layout.columns]
        self._writers = [_column_writer(column, layout, quote) for column in layout.columns]
        if layout.use_header:
            self._write_lines([[quote(name) for name in self._names]])

    def add_elements(self, elements: Sequence[Any]) -> None:
        """Writes rows by their field names.

        Raises:
            TypeError: if an element is no Row.
        """
        null, names, writers = self._layout.null_value or "", self._names, self._writers
        lines = []
        for element in elements:
            if not isinstance(element, Row):
                raise TypeError(f"CSV files are written from Rows, got {type(element).__name__}: {element!r}")
            values = element.get_fields_by_names(names)
            lines.append(
                [null if value is None else write(value) for write, value in zip(writers, values, strict=True)]
            )
        self._write_lines(lines)

    def _write_lines(self, lines: list[list[str]]) -> None:
        separator, end = self._layout.dialect.separator, self._layout.line_separator
        self._stream.write("".join([separator.join(line) + end for line in lines]).encode("utf-8"))

    def flush(self) -> None:
        """Nothing is held back."""

    def finish(self) -> None:
        """Nothing follows the last line."""


def _column_writer(column: CsvColumn, layout: CsvLayout, quote: Callable[[str], str]) -> Callable[[Any], str]:
    kind = column.logical_type
    if kind.root == "ARRAY":
        separator, write_element = column.array_separator or layout.array_separator, java_text(kind.parts[0].type_info)
        null = layout.null_value or ""
        return lambda value: quote(separator.join([null if item is None else write_element(item) for item in value]))
    write = java_text(kind.type_info)
    if kind.root in ("STRING", "TIMESTAMP", "TIMESTAMP_LTZ", "DATE", "TIME"):
        return lambda value: quote(write(value))
    if kind.root == "DECIMAL":
        return lambda value: str(decimal_of(value, kind))
    return write

"""Rows to and from CSV lines: the schemas of Flink's CSV format (`pyflink.datastream.formats.csv`).

What is lenient and what is an error follows flink-csv's `CsvRowDeserializationSchema` and `CsvRowSerializationSchema`,
observed on Flink 2.2.1.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.common._csv_text import DEFAULT_DIALECT, CsvDialect
from penstock.common._text import java_text
from penstock.common._value_parsers import JAVA_BLANKS, parser_for, rfc3339_instant
from penstock.common.serialization import DeserializationSchema, SerializationSchema
from penstock.common.typeinfo import (
    BasicArrayTypeInfo,
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    ObjectArrayTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TypeInformation,
)
from penstock.common.types import Row, RowKind, made_row
from penstock.errors import ConfigurationError, JobError

__all__ = ["CsvRowDeserializationSchema", "CsvRowSerializationSchema"]

_SHOWN = 500  # characters of a bad message in an error
_TEXTS = (BasicType.STRING, BasicType.INSTANT)  # quoted where they need it; the other basic types never are


@dataclass(frozen=True, slots=True)
class _Settings:
    """What the two builders collect."""

    dialect: CsvDialect = DEFAULT_DIALECT
    array_delimiter: str = ";"
    line_delimiter: str = "\n"
    null_literal: str | None = None
    ignore_parse_errors: bool = False


class CsvRowDeserializationSchema(DeserializationSchema):
    """A CSV line to a Row with the field names of its type; made by `CsvRowDeserializationSchema.Builder(type)`."""

    def __init__(self, type_info: RowTypeInfo, settings: _Settings) -> None:
        self._type_info = type_info
        self._settings = settings
        self._readers: list[Callable[[str], Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": None}

    @property
    def produced_type(self) -> TypeInformation:
        """The row type."""
        return self._type_info

    def deserialize(self, message: bytes) -> Any:
        """The row of the first line of a message in UTF-8.

        Raises:
            JobError: if the line does not fit the type, unless parse errors are ignored: then a field that cannot be
                read is None, and so is a line that is no CSV.
        """
        if self._readers is None:
            self._readers = [_field_reader(field, self._settings) for field in self._type_info.get_field_types()]
        try:
            values = self._fields(self._readers, message.decode("utf-8").removeprefix("\ufeff"))
        except ValueError as error:
            if self._settings.ignore_parse_errors:
                return None
            shown = message[:_SHOWN].decode("utf-8", "replace")
            raise JobError(f"Failed to deserialize CSV row '{shown}': {error}") from error
        return made_row(self._type_info.get_field_names(), values, RowKind.INSERT)

    def _fields(self, readers: Sequence[Callable[[str], Any]], text: str) -> list[Any]:
        settings, position = self._settings, 0
        fields: list[str] | None = None
        while fields is None:
            if position >= len(text):
                raise ValueError("there is no record in it")
            fields, position = settings.dialect.read_record(text, position)
        wanted = len(readers)
        if len(fields) == wanted + 1 and not fields[-1]:
            fields.pop()  # a separator at the end of the line
        if len(fields) > wanted:
            raise ValueError(f"Row length mismatch. {wanted} fields expected but was {len(fields)}.")
        if len(fields) < wanted and not settings.ignore_parse_errors:
            raise ValueError(f"Row length mismatch. {wanted} fields expected but was {len(fields)}.")
        values = [
            None if field == settings.null_literal else read(field)
            for read, field in zip(readers, fields, strict=False)
        ]
        return values + [None] * (wanted - len(values))

    class Builder:
        """Collects the settings of a CsvRowDeserializationSchema.

        Raises:
            TypeError: if the type is None.
            ConfigurationError: if it is no row type, or has a part that CSV cannot hold.
        """

        def __init__(self, type_info: TypeInformation) -> None:
            self._type_info = _checked(type_info)
            self._settings = _Settings()

        def set_field_delimiter(self, delimiter: str) -> CsvRowDeserializationSchema.Builder:
            """The character between fields, `,` by default."""
            return self._dialect(separator=_character(delimiter))

        def set_allow_comments(self, allow_comments: bool) -> CsvRowDeserializationSchema.Builder:
            """Whether lines that start with `#` are left out."""
            return self._dialect(comments=allow_comments)

        def set_array_element_delimiter(self, delimiter: str) -> CsvRowDeserializationSchema.Builder:
            """The text between the elements of arrays and nested rows, `;` by default."""
            self._settings = replace(self._settings, array_delimiter=delimiter)
            return self

        def set_quote_character(self, c: str) -> CsvRowDeserializationSchema.Builder:
            """The quote character, `"` by default."""
            return self._dialect(quote=_character(c))

        def set_escape_character(self, c: str) -> CsvRowDeserializationSchema.Builder:
            """The escape character; none by default."""
            return self._dialect(escape=_character(c))

        def set_null_literal(self, null_literal: str) -> CsvRowDeserializationSchema.Builder:
            """The text that means None; none by default."""
            self._settings = replace(self._settings, null_literal=null_literal)
            return self

        def set_ignore_parse_errors(self, ignore_parse_errors: bool) -> CsvRowDeserializationSchema.Builder:
            """Whether what cannot be read becomes None."""
            self._settings = replace(self._settings, ignore_parse_errors=ignore_parse_errors)
            return self

        def build(self) -> CsvRowDeserializationSchema:
            """The schema."""
            return CsvRowDeserializationSchema(self._type_info, self._settings)

        def _dialect(self, **changes: Any) -> CsvRowDeserializationSchema.Builder:
            self._settings = replace(self._settings, dialect=replace(self._settings.dialect, **changes))
            return self


class CsvRowSerializationSchema(SerializationSchema):
    """A Row to a CSV line with its line end; made by `CsvRowSerializationSchema.Builder(type)`."""

    def __init__(self, type_info: RowTypeInfo, settings: _Settings) -> None:
        self._type_info = type_info
        self._settings = settings
        self._writers: list[Callable[[Any], str]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writers": None}

    def serialize(self, element: Any) -> bytes:
        """The line of a row, in UTF-8.

        Raises:
            JobError: if the element is no Row of the type.
        """
        settings = self._settings
        if self._writers is None:
            quote = settings.dialect.text_writer()
            self._writers = [_field_writer(field, settings, quote) for field in self._type_info.get_field_types()]
        null = settings.null_literal or ""
        try:
            if not isinstance(element, Row):
                raise TypeError(
                    f"expected a Row, got {type(element).__name__}; declare the stream's type as Types.ROW(…)"
                )
            values = element.get_fields_by_names(self._type_info.get_field_names())
            fields = [
                null if value is None else write(value) for write, value in zip(self._writers, values, strict=True)
            ]
        except (TypeError, ValueError, AttributeError) as error:
            raise JobError(f"Could not serialize {element!r} as CSV of {self._type_info!r}: {error}.") from error
        return (settings.dialect.separator.join(fields) + settings.line_delimiter).encode("utf-8")

    class Builder:
        """Collects the settings of a CsvRowSerializationSchema.

        Raises:
            TypeError: if the type is None.
            ConfigurationError: if it is no row type, or has a part that CSV cannot hold.
        """

        def __init__(self, type_info: TypeInformation) -> None:
            self._type_info = _checked(type_info)
            self._settings = _Settings()

        def set_field_delimiter(self, c: str) -> CsvRowSerializationSchema.Builder:
            """The character between fields, `,` by default."""
            return self._dialect(separator=_character(c))

        def set_line_delimiter(self, delimiter: str) -> CsvRowSerializationSchema.Builder:
            r"""The text after the line, `\\n` by default; `\\r`, `\\r\\n` and nothing are the others.

            Raises:
                ConfigurationError: if it is another.
            """
            if delimiter not in ("\n", "\r", "\r\n", ""):
                raise ConfigurationError(f"a CSV line delimiter is \\n, \\r, \\r\\n or nothing, got {delimiter!r}")
            self._settings = replace(self._settings, line_delimiter=delimiter)
            return self

        def set_array_element_delimiter(self, delimiter: str) -> CsvRowSerializationSchema.Builder:
            """The text between the elements of arrays and nested rows, `;` by default."""
            self._settings = replace(self._settings, array_delimiter=delimiter)
            return self

        def disable_quote_character(self) -> CsvRowSerializationSchema.Builder:
            """Never quotes; texts with separators are then no longer one field."""
            return self._dialect(quote=None)

        def set_quote_character(self, c: str) -> CsvRowSerializationSchema.Builder:
            """The quote character, `"` by default."""
            return self._dialect(quote=_character(c))

        def set_escape_character(self, c: str) -> CsvRowSerializationSchema.Builder:
            """The escape character, doubled where it occurs in a text; none by default."""
            return self._dialect(escape=_character(c))

        def set_null_literal(self, s: str) -> CsvRowSerializationSchema.Builder:
            """The text for None, nothing by default."""
            self._settings = replace(self._settings, null_literal=s)
            return self

        def build(self) -> CsvRowSerializationSchema:
            """The schema."""
            return CsvRowSerializationSchema(self._type_info, self._settings)

        def _dialect(self, **changes: Any) -> CsvRowSerializationSchema.Builder:
            self._settings = replace(self._settings, dialect=replace(self._settings.dialect, **changes))
            return self


def _character(text: str) -> str:
    if len(text) != 1:
        raise ConfigurationError(f"CSV delimiters, quotes and escapes are single characters, got {text!r}")
    return text


def _checked(type_info: Any) -> RowTypeInfo:
    if type_info is None:
        raise TypeError("Type information must not be None")
    if not isinstance(type_info, RowTypeInfo):
        raise ConfigurationError(f"Row type information expected for a CSV schema, got {type_info!r}; use Types.ROW.")
    type_info.check()
    for name, field in zip(type_info.get_field_names(), type_info.get_field_types(), strict=True):
        for part in _parts(field):
            if not _is_simple(part):
                raise ConfigurationError(
                    f"Unsupported type information {part!r} for field {name!r}: a CSV field is a basic or SQL time "
                    "type, PRIMITIVE_ARRAY(BYTE), or a row or array of such."
                )
    return type_info


def _is_bytes(type_info: TypeInformation) -> bool:
    if not isinstance(type_info, PrimitiveArrayTypeInfo):
        return False
    element = type_info.element_type
    return isinstance(element, BasicTypeInfo) and element.basic_type is BasicType.BYTE


def _is_simple(type_info: TypeInformation) -> bool:
    if isinstance(type_info, BasicTypeInfo):
        return type_info.basic_type is not BasicType.CHAR
    return isinstance(type_info, (DateTypeInfo, TimeTypeInfo, TimestampTypeInfo)) or _is_bytes(type_info)


def _parts(type_info: TypeInformation) -> list[TypeInformation]:
    """What a field's text is made of: the types of a row's fields, of an array's elements, or the type itself."""
    if isinstance(type_info, RowTypeInfo):
        return type_info.get_field_types()
    if isinstance(type_info, (BasicArrayTypeInfo, ObjectArrayTypeInfo)):
        return [type_info.element_type]
    return [type_info]


def _instant(text: str) -> Any:
    return rfc3339_instant(text.strip(JAVA_BLANKS).replace(" ", "T", 1))


def _simple_reader(type_info: TypeInformation) -> Callable[[str], Any]:
    if _is_bytes(type_info):
        return lambda text: base64.b64decode(text, validate=True)
    return parser_for(type_info) or _instant


def _field_reader(type_info: TypeInformation, settings: _Settings) -> Callable[[str], Any]:
    """The reader of a field's text, lenient where parse errors are ignored."""
    readers = [_simple_reader(part) for part in _parts(type_info)]
    null_literal = settings.null_literal
    read: Callable[[str], Any]
    if isinstance(type_info, RowTypeInfo):
        names = type_info.get_field_names()

        def read(text: str) -> Any:
            texts = _elements(text, settings)
            if len(texts) != len(readers):
                raise ValueError(f"Row length mismatch. {len(readers)} fields expected but was {len(texts)}.")
            row = Row(*[None if item == null_literal else one(item) for one, item in zip(readers, texts, strict=True)])
            row.set_field_names(names)
            return row

    elif isinstance(type_info, (BasicArrayTypeInfo, ObjectArrayTypeInfo)):

        def read(text: str) -> Any:
            return [None if item == null_literal else readers[0](item) for item in _elements(text, settings)]

    else:
        read = readers[0]
    if not settings.ignore_parse_errors:
        return read

    def lenient(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            return None

    return lenient


def _elements(text: str, settings: _Settings) -> list[str]:
    return text.split(settings.array_delimiter) if text else []


def _simple_writer(type_info: TypeInformation) -> Callable[[Any], str]:
    if _is_bytes(type_info):
        return lambda value: base64.b64encode(bytes(value)).decode("ascii")
    return java_text(type_info)


def _field_writer(type_info: TypeInformation, settings: _Settings, quote: Callable[[str], str]) -> Callable[[Any], str]:
    """The writer of a field's text, quoted where it needs it."""
    writers = [_simple_writer(part) for part in _parts(type_info)]
    null, delimiter = settings.null_literal or "", settings.array_delimiter
    if isinstance(type_info, RowTypeInfo):
        names = type_info.get_field_names()

        def write_row(value: Any) -> str:
            values = value.get_fields_by_names(names)
            texts = [null if item is None else one(item) for one, item in zip(writers, values, strict=True)]
            return quote(delimiter.join(texts))

        return write_row
    write = writers[0]
    if isinstance(type_info, (BasicArrayTypeInfo, ObjectArrayTypeInfo)):
        return lambda value: quote(delimiter.join([null if item is None else write(item) for item in value]))
    if isinstance(type_info, BasicTypeInfo) and type_info.basic_type not in _TEXTS:
        return write
    return lambda value: quote(write(value))

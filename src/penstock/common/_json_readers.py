"""Values of declared types from parsed JSON, as flink-json reads them (see `_json_rows`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

from penstock.common._json_writers import WIDE, json_text
from penstock.common._value_parsers import (
    JAVA_BLANKS,
    big_integer,
    decimal,
    double,
    integer,
    iso_date,
    rfc3339_instant,
    rfc3339_time,
    rfc3339_timestamp,
)
from penstock.common.time import Instant
from penstock.common.typeinfo import (
    BasicArrayTypeInfo,
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    ObjectArrayTypeInfo,
    PickledBytesTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from penstock.common.types import Row, RowKind, made_row
from penstock.conf._numbers import narrow_to_float, read_float
from penstock.errors import ConfigurationError

__all__ = ["json_parser", "json_reader"]

Reader = Callable[[Any], Any]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_PLAIN = json.JSONDecoder(parse_constant=_refuse_constant)
_EXACT = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=Decimal)


def json_parser(type_info: TypeInformation) -> Callable[[str], Any]:
    """The parser for messages of a type: of the first JSON value in a text; what follows it is ignored, as in Jackson.

    Fractions become Decimals where the type has a BIG_DEC anywhere, else floats. It raises ValueError.
    """
    decode = (_EXACT if _has_decimal(type_info) else _PLAIN).raw_decode
    return lambda text: decode(text.lstrip("\ufeff \t\r\n"))[0]


def _has_decimal(type_info: TypeInformation) -> bool:
    if isinstance(type_info, BasicTypeInfo):
        return type_info.basic_type is BasicType.BIG_DEC
    if isinstance(type_info, (RowTypeInfo, TupleTypeInfo)):
        return any(map(_has_decimal, type_info.get_field_types()))
    if isinstance(type_info, MapTypeInfo):
        return _has_decimal(type_info.value_type)
    if isinstance(type_info, ListTypeInfo):
        return _has_decimal(type_info.elem_type)
    if isinstance(type_info, (PrimitiveArrayTypeInfo, BasicArrayTypeInfo, ObjectArrayTypeInfo)):
        return _has_decimal(type_info.element_type)
    return False


def json_reader(type_info: RowTypeInfo, fail_on_missing_field: bool, ignore_parse_errors: bool) -> Reader:
    """The function that makes a row of a parsed JSON object.

    The function raises ValueError for what does not fit the type.

    Raises:
        ConfigurationError: if a part of the type has no JSON form.
    """
    return _Readers(fail_on_missing_field, ignore_parse_errors).row(type_info)


class _Readers:
    """Makes the readers of a type's parts."""

    def __init__(self, fail_on_missing_field: bool, ignore_parse_errors: bool) -> None:
        self._fail_on_missing_field = fail_on_missing_field
        self._ignore_parse_errors = ignore_parse_errors

    def nullable(self, type_info: TypeInformation) -> Reader:
        """A reader that lets null be None, and where errors are ignored makes them None."""
        read = self._reader(type_info)
        if not self._ignore_parse_errors:
            return read if read in _NULLABLE else lambda node: None if node is None else read(node)

        def lenient(node: Any) -> Any:
            try:
                return None if node is None else read(node)
            except ValueError:
                return None

        return lenient

    def row(self, type_info: RowTypeInfo) -> Reader:
        """A reader of objects."""
        names = type_info.get_field_names()
        fields = [(name, self.nullable(field)) for name, field in zip(names, type_info.get_field_types(), strict=True)]
        fail_on_missing_field = self._fail_on_missing_field
        insert = RowKind.INSERT

        def read(node: Any) -> Row:
            if not isinstance(node, dict):
                raise ValueError(f"expected an object, got {json_text(node)}")
            if fail_on_missing_field:
                for name in names:
                    if name not in node:
                        raise ValueError(f"Could not find field with name '{name}'.")
            get = node.get
            return made_row(names, [field(get(name)) for name, field in fields], insert)

        return read

    def _reader(self, type_info: TypeInformation) -> Reader:
        if isinstance(type_info, BasicTypeInfo):
            return _BASIC[type_info.basic_type]
        if isinstance(type_info, RowTypeInfo):
            return self.row(type_info)
        if isinstance(type_info, (PrimitiveArrayTypeInfo, BasicArrayTypeInfo, ObjectArrayTypeInfo)):
            element = type_info.element_type
            if isinstance(element, BasicTypeInfo) and element.basic_type is BasicType.BYTE:
                return _bytes
            if isinstance(type_info, PrimitiveArrayTypeInfo):
                return self._primitive_list(element)
            return self._list(element)
        if isinstance(type_info, ListTypeInfo):
            return self._list(type_info.elem_type)
        if isinstance(type_info, MapTypeInfo):
            return self._map(type_info)
        if isinstance(type_info, TupleTypeInfo):
            return self._tuple(type_info)
        for kind, read in _BY_KIND.items():
            if isinstance(type_info, kind):
                return read
        raise ConfigurationError(
            f"{type_info!r} has no JSON form; use a basic, SQL time, array, list, map or row type."
        )

    def _list(self, element_type: TypeInformation) -> Reader:
        element = self.nullable(element_type)

        def read(node: Any) -> list[Any]:
            if not isinstance(node, list):
                raise ValueError(f"expected an array, got {json_text(node)}")
            return [element(item) for item in node]

        return read

    def _primitive_list(self, element_type: TypeInformation) -> Reader:
        """Lists without None: Java's arrays of primitives hold zero or false there."""
        read_list = self._list(element_type)
        boolean = isinstance(element_type, BasicTypeInfo) and element_type.basic_type is BasicType.BOOLEAN
        nothing = False if boolean else 0
        return lambda node: [nothing if item is None else item for item in read_list(node)]

    def _tuple(self, type_info: TupleTypeInfo) -> Reader:
        fields = [self.nullable(field) for field in type_info.get_field_types()]

        def read(node: Any) -> tuple[Any, ...]:
            if not isinstance(node, list) or len(node) != len(fields):
                raise ValueError(f"expected an array of {len(fields)}, got {json_text(node)}")
            return tuple(field(item) for field, item in zip(fields, node, strict=True))

        return read

    def _map(self, type_info: MapTypeInfo) -> Reader:
        key, value = self.nullable(type_info.key_type), self.nullable(type_info.value_type)

        def read(node: Any) -> dict[Any, Any]:
            if not isinstance(node, dict):
                return {}  # as flink-json has it
            return {key(name): value(item) for name, item in node.items()}

        return read


def _as_text(node: Any) -> str:
    """Jackson's `asText`: empty for arrays and objects."""
    if type(node) is str:
        return node
    return "" if isinstance(node, (dict, list)) else json_text(node)


def _string(node: Any) -> str | None:
    return node if type(node) is str or node is None else json_text(node)


def _boolean(node: Any) -> bool | None:
    if type(node) is bool or node is None:
        return node
    return type(node) is str and node.strip(JAVA_BLANKS).lower() == "true"


def _cut_integer(bits: int) -> Reader:
    """INT and LONG: a fraction in range is cut off."""
    parse, most = integer(bits), 2 ** (bits - 1)

    def read(node: Any) -> int | None:
        kind = type(node)
        if kind is int and -most <= node < most:
            whole: int = node
            return whole
        if node is None:
            return None
        if (kind is float or kind is Decimal) and -most <= node < most:
            return int(node)
        return parse(_as_text(node))

    return read


def _whole_integer(bits: int) -> Reader:
    """SHORT and BYTE: read by their text."""
    parse = integer(bits)
    return lambda node: parse(_as_text(node))


def _double(node: Any) -> float | None:
    kind = type(node)
    if kind is float:
        exact: float = node
        return exact
    if node is None:
        return None
    return float(node) if kind is int or kind is Decimal else double(_as_text(node))


def _float(node: Any) -> float:
    kind = type(node)
    return (
        narrow_to_float(float(node)) if kind is float or kind is int or kind is Decimal else read_float(_as_text(node))
    )


def _decimal(node: Any) -> Decimal:
    if type(node) is Decimal:
        return node.normalize(WIDE) if node else Decimal(0)
    return Decimal(node) if type(node) is int else decimal(_as_text(node))


def _character(node: Any) -> str:
    if type(node) is int and 0 <= node <= 0xFFFF:
        return chr(node)
    if type(node) is str and len(node) == 1:
        return node
    raise ValueError(f"expected one character, got {json_text(node)}")


def _instant(node: Any) -> Instant:
    if type(node) is int:
        return Instant(node, 0)
    if type(node) is float or type(node) is Decimal:
        seconds, fraction = divmod(Decimal(json_text(node)), 1)
        return Instant(int(seconds), int(fraction * 10**9))
    return rfc3339_instant(_as_text(node))


def _bytes(node: Any) -> bytes | None:
    if type(node) is not str:
        return None  # as flink-json has it
    return base64.b64decode(node, validate=True)


_BASIC: dict[BasicType, Reader] = {
    BasicType.STRING: _string,
    BasicType.BOOLEAN: _boolean,
    BasicType.BYTE: _whole_integer(8),
    BasicType.SHORT: _whole_integer(16),
    BasicType.INT: _cut_integer(32),
    BasicType.LONG: _cut_integer(64),
    BasicType.FLOAT: _float,
    BasicType.DOUBLE: _double,
    BasicType.CHAR: _character,
    BasicType.BIG_INT: lambda node: node if type(node) is int else big_integer(_as_text(node)),
    BasicType.BIG_DEC: _decimal,
    BasicType.INSTANT: _instant,
}
_NULLABLE = {_string, _double, _boolean, _BASIC[BasicType.INT], _BASIC[BasicType.LONG]}
"""Readers that let None pass by themselves: those of the most frequent types."""

_BY_KIND: dict[type[TypeInformation], Reader] = {
    DateTypeInfo: lambda node: iso_date(_as_text(node)),
    TimeTypeInfo: lambda node: rfc3339_time(_as_text(node)),
    TimestampTypeInfo: lambda node: rfc3339_timestamp(_as_text(node)),
    PickledBytesTypeInfo: _bytes,
}

"""JSON text of values of declared types, as flink-json writes them (see `_json_rows`)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from decimal import Context, Decimal
from json.encoder import encode_basestring
from typing import Any

from penstock.common._text import java_double, java_float, java_text
from penstock.common.typeinfo import (
    BasicArrayTypeInfo,
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    InstantTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    ObjectArrayTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from penstock.common.types import Row
from penstock.errors import ConfigurationError

__all__ = ["WIDE", "json_string", "json_text", "json_writer"]

Writer = Callable[[Any], str]

WIDE = Context(prec=10_000)
"""Decimal context in which nothing a message can hold is rounded."""

_CONTROL = re.compile(r"[\x00-\x1f]")
_ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")
_SHORT_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_ESCAPES = str.maketrans({**{chr(code): f"\\u{code:04X}" for code in range(32)}, **_SHORT_ESCAPES})


def json_string(text: str) -> str:
    """A string as Jackson writes it in UTF-8: characters beyond the basic plane as two escapes."""
    if _CONTROL.search(text) is not None:
        quoted = f'"{text.translate(_ESCAPES)}"'
    else:
        quoted = encode_basestring(text)
    return quoted if quoted.isascii() else _ASTRAL.sub(_surrogates, quoted)


def _surrogates(found: re.Match[str]) -> str:
    high, low = divmod(ord(found.group()) - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04X}\\u{0xDC00 + low:04X}"


def json_text(node: Any) -> str:
    """A parsed JSON value as text again, as Jackson's `toString` gives it: compact, numbers in Java's forms."""
    if node is None:
        return "null"
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, str):
        return json_string(node)
    if isinstance(node, float):
        return java_double(node)
    if isinstance(node, Decimal):
        return str(node.normalize(WIDE)) if node else "0"
    if isinstance(node, dict):
        return "{" + ",".join(f"{json_string(key)}:{json_text(value)}" for key, value in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(json_text, node)) + "]"
    return str(node)


def json_writer(type_info: TypeInformation) -> Writer:
    """The function that writes values of a type; it raises TypeError or AttributeError for other values.

    Raises:
        ConfigurationError: if a part of the type has no JSON form.
    """
    if isinstance(type_info, BasicTypeInfo) and not isinstance(type_info, InstantTypeInfo):
        return _BASIC.get(type_info.basic_type, _quoted_java_text(type_info))
    if isinstance(type_info, RowTypeInfo):
        return _row_writer(type_info)
    if isinstance(type_info, (PrimitiveArrayTypeInfo, BasicArrayTypeInfo, ObjectArrayTypeInfo)):
        element = type_info.element_type
        if isinstance(element, BasicTypeInfo) and element.basic_type is BasicType.BYTE:
            return _bytes
        return _list_writer(element)
    if isinstance(type_info, ListTypeInfo):
        return _list_writer(type_info.elem_type)
    if isinstance(type_info, TupleTypeInfo):
        return _tuple_writer(type_info)
    if isinstance(type_info, MapTypeInfo):
        return _map_writer(type_info)
    if isinstance(type_info, (DateTypeInfo, InstantTypeInfo)):
        return _quoted_java_text(type_info)
    if isinstance(type_info, TimeTypeInfo):
        return lambda value: f'"{value.replace(microsecond=0).isoformat()}Z"'
    if isinstance(type_info, TimestampTypeInfo):
        return _timestamp
    raise ConfigurationError(f"{type_info!r} has no JSON form; use a basic, SQL time, array, list, map or row type.")


def _nullable(type_info: TypeInformation) -> Writer:
    write = json_writer(type_info)
    return lambda value: "null" if value is None else write(value)


def _row_writer(type_info: RowTypeInfo) -> Writer:
    names = type_info.get_field_names()
    heads = [f"{',' if index else ''}{json_string(name)}:" for index, name in enumerate(names)]
    fields = [_nullable(field) for field in type_info.get_field_types()]

    def write(value: Any) -> str:
        if not isinstance(value, Row):
            raise TypeError(f"expected a Row, got {type(value).__name__}")
        values = value.get_fields_by_names(names)
        if len(values) != len(fields):
            raise ValueError(f"the row has {len(values)} fields, its type {len(fields)}")
        parts = [head + field(item) for head, field, item in zip(heads, fields, values, strict=True)]
        return "{" + "".join(parts) + "}"

    return write


def _list_writer(element_type: TypeInformation) -> Writer:
    element = _nullable(element_type)
    return lambda value: "[" + ",".join([element(item) for item in value]) + "]"


def _tuple_writer(type_info: TupleTypeInfo) -> Writer:
    fields = [_nullable(field) for field in type_info.get_field_types()]
    return lambda value: "[" + ",".join(field(item) for field, item in zip(fields, value, strict=True)) + "]"


def _map_writer(type_info: MapTypeInfo) -> Writer:
    key, value_writer = java_text(type_info.key_type), _nullable(type_info.value_type)
    return lambda value: (
        "{" + ",".join(f"{json_string(key(k))}:{value_writer(item)}" for k, item in value.items()) + "}"
    )


def _quoted_java_text(type_info: TypeInformation) -> Writer:
    text = java_text(type_info)
    return lambda value: json_string(text(value))


def _bytes(value: Any) -> str:
    return f'"{base64.b64encode(bytes(value)).decode("ascii")}"'


def _timestamp(value: Any) -> str:
    fraction = f"{value.microsecond:06d}".rstrip("0")
    whole = value.replace(microsecond=0, tzinfo=None).isoformat()
    return f'"{whole}.{fraction}Z"' if fraction else f'"{whole}Z"'


def _finite(write: Callable[[float], str]) -> Writer:
    def text(value: Any) -> str:
        number = write(float(value))
        return number if number[-1].isdigit() else f'"{number}"'  # NaN and Infinity are no JSON numbers

    return text


_BASIC: dict[BasicType, Writer] = {
    BasicType.STRING: json_string,
    BasicType.CHAR: json_string,
    BasicType.BOOLEAN: lambda value: "true" if value else "false",
    BasicType.BYTE: lambda value: str(int(value)),
    BasicType.SHORT: lambda value: str(int(value)),
    BasicType.INT: lambda value: str(int(value)),
    BasicType.LONG: lambda value: str(int(value)),
    BasicType.FLOAT: _finite(java_float),
    BasicType.DOUBLE: _finite(java_double),
    BasicType.BIG_INT: lambda value: str(int(value)),
    BasicType.BIG_DEC: lambda value: str(Decimal(value)),
}

"""Text forms of values: as `print()` writes them, and as Java's `toString` does in files.

Both follow the declared type of the stream (specification of the surface: print and text forms). Java's shortest
float form is that of JDK 19 and later.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from penstock.common._coercion import float32
from penstock.common.time import Instant
from penstock.common.typeinfo import (
    BasicArrayTypeInfo,
    BasicType,
    BasicTypeInfo,
    ExternalTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    ObjectArrayTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from penstock.common.types import Row

__all__ = ["Text", "java_double", "java_float", "java_text", "print_text"]

Text = Callable[[Any], str]


def print_text(type_info: TypeInformation | None) -> Text:
    """How `print()` writes values of the type: untyped ones as `str` does, rows as `+I[1,a]`, the rest as Java does."""
    if isinstance(type_info, ExternalTypeInfo):
        return print_text(type_info.type_info)
    if isinstance(type_info, RowTypeInfo):
        return _printed_row
    return java_text(type_info)


def java_text(type_info: TypeInformation | None) -> Text:
    """How Java writes values of the type, as in the lines of a file sink; untyped values as `str` does."""
    if isinstance(type_info, BasicTypeInfo):
        return _BASIC.get(type_info.basic_type, _any)
    if isinstance(type_info, TupleTypeInfo):
        return _tuple_text([java_text(field) for field in type_info.get_field_types()])
    if isinstance(type_info, RowTypeInfo):
        return _row_text([java_text(field) for field in type_info.get_field_types()])
    if isinstance(type_info, (PrimitiveArrayTypeInfo, BasicArrayTypeInfo, ObjectArrayTypeInfo)):
        return _list_text(type_info.element_type)
    if isinstance(type_info, ListTypeInfo):
        return _list_text(type_info.elem_type)
    if isinstance(type_info, MapTypeInfo):
        return _map_text(java_text(type_info.key_type), java_text(type_info.value_type))
    if isinstance(type_info, ExternalTypeInfo):
        return java_text(type_info.type_info)
    return str if type_info is None else _any


def java_double(value: float) -> str:
    """`Double.toString`: plain from 1e-3 up to 1e7, else with an exponent; at least one digit after the point."""
    # Of the texts with the fewest digits, two at least, Java takes the closest: 4.9E-324, not 5.0E-324.
    text = f"{value:.1e}"
    return _java_float_form(text if float(text) == value else repr(value), value)


def java_float(value: float) -> str:
    """`Float.toString`: like `java_double`, with the fewest digits that make the same 32-bit float."""
    single = float32(value)
    for digits in range(2, 10):
        text = f"{value:.{digits}g}"
        if float32(float(text)) == single:
            return _java_float_form(text, float(text))
    return _java_float_form(repr(single), value)


def _java_float_form(text: str, value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    figures = "".join(map(str, digits)).rstrip("0")
    minus = "-" if sign else ""
    if not figures:
        return f"{minus}0.0"
    point = len(digits) + exponent  # the value is 0.figures * 10 ** point
    if -2 <= point <= 7:
        if point <= 0:
            return f"{minus}0.{'0' * -point}{figures}"
        return f"{minus}{figures[:point].ljust(point, '0')}.{figures[point:] or '0'}"
    return f"{minus}{figures[0]}.{figures[1:] or '0'}E{point - 1}"


def _any(value: Any) -> str:
    """The Java form of a value without a type of its own."""
    if value is None:
        return "null"
    writer = _BY_CLASS.get(type(value))
    return writer(value) if writer is not None else str(value)


def _boolean(value: Any) -> str:
    return "null" if value is None else "true" if value else "false"


def _float(value: Any) -> str:
    return "null" if value is None else java_float(value)


def _double(value: Any) -> str:
    return "null" if value is None else java_double(float(value))


def _string(value: Any) -> str:
    return value if type(value) is str else _any(value)


def _timestamp(value: datetime.datetime) -> str:
    """`java.sql.Timestamp.toString`: the fraction without trailing zeros, but at least one digit."""
    fraction = f"{value.microsecond:06d}".rstrip("0") or "0"
    return f"{value.replace(microsecond=0, tzinfo=None).isoformat(sep=' ')}.{fraction}"


def _time(value: datetime.time) -> str:
    return value.replace(microsecond=0, tzinfo=None).isoformat()


_EPOCH = datetime.datetime(1970, 1, 1)


def _instant(value: Instant) -> str:
    """`java.time.Instant.toString`: the fraction in groups of three digits."""
    try:
        text = (_EPOCH + datetime.timedelta(seconds=value.seconds)).isoformat()
    except OverflowError:  # beyond the years datetime knows
        return repr(value)
    fraction = f"{value.nanos:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


_BASIC: dict[BasicType, Text] = {
    BasicType.STRING: _string,
    BasicType.CHAR: _string,
    BasicType.BOOLEAN: _boolean,
    BasicType.FLOAT: _float,
    BasicType.DOUBLE: _double,
}


def _tuple_text(fields: Sequence[Text]) -> Text:
    def write(value: Any) -> str:
        if not isinstance(value, tuple):
            return _any(value)
        inside = ["null" if item is None else field(item) for field, item in zip(fields, value, strict=False)]
        return f"({','.join(inside)})"

    return write


def _row_text(fields: Sequence[Text]) -> Text:
    def write(value: Any) -> str:
        if not isinstance(value, Row):
            return _any(value)
        inside = ["null" if item is None else field(item) for field, item in zip(fields, value, strict=False)]
        return f"{value.get_row_kind()}[{', '.join(inside)}]"

    return write


def _list_text(element_type: TypeInformation) -> Text:
    element = java_text(element_type)

    def write(value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, (bytes, bytearray)):
            value = [item - 256 if item > 127 else item for item in value]
        return f"[{', '.join('null' if item is None else element(item) for item in value)}]"

    return write


def _map_text(key: Text, value_text: Text) -> Text:
    def write(value: Any) -> str:
        if not isinstance(value, dict):
            return _any(value)
        inside = [f"{key(k)}={'null' if v is None else value_text(v)}" for k, v in value.items()]
        return "{" + ", ".join(inside) + "}"

    return write


def _printed_row(value: Any) -> str:
    if not isinstance(value, Row):
        return _any(value)
    return f"{value.get_row_kind()}[{','.join(map(str, value))}]"


_BY_CLASS: dict[type, Text] = {
    bool: _boolean,
    float: java_double,
    datetime.date: datetime.date.isoformat,
    datetime.time: _time,
    datetime.datetime: _timestamp,
    Instant: _instant,
    bytes: _list_text(TypeInformation()),
    bytearray: _list_text(TypeInformation()),
    list: _list_text(TypeInformation()),
    tuple: lambda value: f"({','.join(map(_any, value))})",
    dict: _map_text(_any, _any),
    Row: lambda value: f"{value.get_row_kind()}[{', '.join(map(_any, value))}]",
}

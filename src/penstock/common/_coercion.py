"""What a declared type turns a value into where it leaves an operator, and what it refuses.

The rules are those PyFlink's coders have (specification of the surface: types and values); None is let through
everywhere. Each coercer is a closure made for its type, so that the common case costs one or two checks.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite
from struct import Struct
from typing import Any, NamedTuple

from penstock.common._exact import INTEGER_BITS, with_exact_path, with_exact_path_for_batches
from penstock.common.time import Instant
from penstock.common.typeinfo import (
    BasicArrayTypeInfo,
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    ExternalTypeInfo,
    ListTypeInfo,
    LocalTimeTypeInfo,
    MapTypeInfo,
    ObjectArrayTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from penstock.common.types import Row, made_row

__all__ = [
    "Coercer",
    "batch_coercer_for",
    "checker_for",
    "client_coercer_for",
    "coercer_for",
    "collection_coercer_for",
    "float32",
]

Coercer = Callable[[Any], Any]

_FLOAT32 = Struct("f")


def coercer_for(type_info: TypeInformation | None) -> Coercer | None:
    """The function that turns a value into what `type_info` holds, or None where every value stays as it is.

    The function raises the errors PyFlink's coders raise: TypeError, OverflowError, AttributeError.
    """
    coerce = _coercer(type_info, _STRICT)
    return None if coerce is None else with_exact_path(type_info, coerce)


def batch_coercer_for(type_info: TypeInformation | None) -> Callable[[Sequence[Any]], list[Any]] | None:
    """`coercer_for` for many values at once: makes a new list of them; None where every value stays as it is."""
    coerce = _coercer(type_info, _STRICT)
    return None if coerce is None else with_exact_path_for_batches(type_info, with_exact_path(type_info, coerce))


def collection_coercer_for(type_info: TypeInformation | None) -> Coercer | None:
    """The same for `from_collection`: ROW takes a tuple, list, dict or object, TUPLE a list; integers wrap."""
    return _coercer(type_info, _LENIENT)


def checker_for(type_info: TypeInformation | None) -> Coercer | None:
    """Refuses what the type cannot hold, and returns every other value as it is."""
    coerce = coercer_for(type_info)
    if coerce is None:
        return None

    def check(value: Any) -> Any:
        coerce(value)
        return value

    return check


def client_coercer_for(type_info: TypeInformation | None) -> Coercer | None:
    """The same for what `execute_and_collect` hands out: a FLOAT is read from its decimal text, 0.1 is 0.1."""
    return _coercer(type_info, _CLIENT)


class _Composites(NamedTuple):
    """What differs with the place: coercers of types with fields, and of some basic types."""

    row: Callable[[list[str], Sequence[Coercer | None]], Coercer]
    tuple_: Callable[[Sequence[Coercer | None]], Coercer]
    integer: Callable[[BasicTypeInfo, int], Coercer]
    single: Coercer
    string: Coercer
    entries: Callable[[Any], Any]


def _coercer(type_info: TypeInformation | None, make: _Composites) -> Coercer | None:
    if isinstance(type_info, BasicTypeInfo):
        if type_info.basic_type is BasicType.FLOAT:
            return make.single
        if type_info.basic_type is BasicType.STRING:
            return make.string
        bits = INTEGER_BITS.get(type_info.basic_type)
        return _BASIC[type_info.basic_type] if bits is None else make.integer(type_info, bits)
    if isinstance(type_info, TupleTypeInfo):
        return make.tuple_([_coercer(field, make) for field in type_info.get_field_types()])
    if isinstance(type_info, RowTypeInfo):
        return make.row(type_info.get_field_names(), [_coercer(field, make) for field in type_info.get_field_types()])
    if isinstance(type_info, (PrimitiveArrayTypeInfo, BasicArrayTypeInfo, ObjectArrayTypeInfo)):
        primitive = isinstance(type_info, PrimitiveArrayTypeInfo)
        return _bytes_or_list_coercer(type_info.element_type, make, may_be_bytes=primitive)
    if isinstance(type_info, ListTypeInfo):
        return _bytes_or_list_coercer(type_info.elem_type, make, may_be_bytes=True)
    if isinstance(type_info, MapTypeInfo):
        return _map_coercer(_coercer(type_info.key_type, make), _coercer(type_info.value_type, make), make.entries)
    if isinstance(type_info, ExternalTypeInfo):
        return _coercer(type_info.type_info, make)
    if isinstance(type_info, LocalTimeTypeInfo):
        return _LOCAL[type_info.time_type]
    return _SQL.get(type(type_info))


def float32(value: Any) -> float | None:
    """`value` rounded to 32 bits; infinite where it is too large for them."""
    if value is None:
        return None
    try:
        rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    except OverflowError:
        rounded = float("inf") if value > 0 else float("-inf")
    except Exception as error:
        raise TypeError(f"FLOAT takes a number, got {type(value).__name__} {value!r}") from error
    return rounded


def _shortest_float32(value: Any) -> float | None:
    single = float32(value)
    if single is None or single.is_integer() or not isfinite(single):
        return single
    texts = (f"{single:.{digits}g}" for digits in range(1, 10))
    return next((short for short in map(float, texts) if float32(short) == single), single)


def _integer_coercer(type_info: BasicTypeInfo, bits: int) -> Coercer:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    name = type_info.basic_type.name

    def convert(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, (str, bytes, bytearray)) or not hasattr(value, "__int__"):
            raise TypeError(f"an integer is required: {name} takes an int, got {type(value).__name__} {value!r}")
        number = int(value)
        if not low <= number <= high:
            raise OverflowError(f"value too large: {name} holds {low} to {high}, got {number}")
        return number

    def coerce(value: Any) -> Any:
        return value if type(value) is int and low <= value <= high else convert(value)

    return coerce


def _wrapping_integer_coercer(type_info: BasicTypeInfo, bits: int) -> Coercer:
    """Java's narrowing: of a `long` the lowest bits count. What is no `long` is refused."""
    strict = _integer_coercer(type_info, 64)
    modulus, high = 1 << bits, (1 << bits - 1) - 1

    def coerce(value: Any) -> Any:
        number = strict(value)
        if number is None or -high <= number <= high:
            return number
        lowest = number % modulus
        return lowest if lowest <= high else lowest - modulus

    return coerce


def _big_int(value: Any) -> Any:
    if value is None or type(value) is int:
        return value
    if isinstance(value, (str, bytes, bytearray)) or not hasattr(value, "__int__"):
        raise TypeError(f"an integer is required: BIG_INT takes an int, got {type(value).__name__} {value!r}")
    return int(value)


def _double(value: Any) -> Any:
    if type(value) is float or value is None:
        return value
    if isinstance(value, (str, bytes, bytearray)):
        raise TypeError(f"must be real number: DOUBLE takes a number, got {type(value).__name__} {value!r}")
    return float(value)


def _boolean(value: Any) -> Any:
    if value is True or value is False or value is None:
        return value
    if isinstance(value, (str, bytes, bytearray)) or not hasattr(value, "__bool__"):
        raise TypeError(f"BOOLEAN takes a bool, got {type(value).__name__} {value!r}")
    return bool(value)


def _string(value: Any) -> Any:
    if type(value) is str or value is None:
        return value
    if isinstance(value, str):  # of numpy, an enum, …: what comes out of the encoding is a plain text
        return str.__str__(value)
    raise AttributeError(
        f"'{type(value).__name__}' object has no attribute 'encode': STRING takes a str, got {value!r}"
    )


def _decimal(value: Any) -> Any:
    if isinstance(value, Decimal) or value is None:
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise TypeError(f"BIG_DEC takes a Decimal, got {type(value).__name__} {value!r}") from None


def _instant(value: Any) -> Any:
    if isinstance(value, Instant) or value is None:
        return value
    raise AttributeError(
        f"'{type(value).__name__}' object has no attribute 'seconds': INSTANT takes an Instant, got {value!r}"
    )


def _date(value: Any) -> Any:
    if type(value) is datetime.date or value is None:
        return value
    if isinstance(value, datetime.date):
        return datetime.date(value.year, value.month, value.day)
    raise AttributeError(
        f"'{type(value).__name__}' object has no attribute 'toordinal': SQL_DATE takes a date, got {value!r}"
    )


def _time(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, datetime.time):
        raise AttributeError(
            f"'{type(value).__name__}' object has no attribute 'hour': SQL_TIME takes a time, got {value!r}"
        )
    return value.replace(microsecond=value.microsecond // 1000 * 1000, tzinfo=None)


def _timestamp(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, datetime.datetime):
        raise AttributeError(
            f"'{type(value).__name__}' object has no attribute 'microsecond': "
            f"SQL_TIMESTAMP takes a datetime, got {value!r}"
        )
    return value.replace(microsecond=value.microsecond // 1000 * 1000, tzinfo=None)


def _local_time(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime.time) else _time(value)


def _local_date_time(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else _timestamp(value)


_BASIC: dict[BasicType, Coercer] = {
    BasicType.STRING: _string,
    BasicType.CHAR: _string,
    BasicType.BOOLEAN: _boolean,
    BasicType.DOUBLE: _double,
    BasicType.BIG_INT: _big_int,
    BasicType.BIG_DEC: _decimal,
    BasicType.INSTANT: _instant,
}
_SQL: dict[type, Coercer] = {DateTypeInfo: _date, TimeTypeInfo: _time, TimestampTypeInfo: _timestamp}
_LOCAL: dict[LocalTimeTypeInfo.TimeType, Coercer] = {
    LocalTimeTypeInfo.TimeType.LOCAL_DATE: _date,
    LocalTimeTypeInfo.TimeType.LOCAL_TIME: _local_time,
    LocalTimeTypeInfo.TimeType.LOCAL_DATE_TIME: _local_date_time,
}


def _tuple_coercer(fields: Sequence[Coercer | None]) -> Coercer:
    size = len(fields)
    if size == 2:
        return _pair_coercer(*[field or _same for field in fields])

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not tuple or len(value) < size:
            _check_tuple(value, size)
        return tuple([item if field is None else field(item) for field, item in zip(fields, value, strict=False)])

    return coerce


def _pair_coercer(first: Coercer, second: Coercer) -> Coercer:
    def coerce(value: Any) -> Any:
        if type(value) is not tuple or len(value) < 2:
            if value is None:
                return None
            _check_tuple(value, 2)
        return first(value[0]), second(value[1])

    return coerce


def _check_tuple(value: Any, size: int) -> None:
    if not isinstance(value, tuple):
        raise TypeError(f"Expected tuple, got {type(value).__name__}: {value!r}")
    if len(value) < size:
        raise IndexError(f"tuple index out of range: TUPLE of {size} fields, got {value!r}")


def _same(value: Any) -> Any:
    return value


def _row_coercer(names: list[str], fields: Sequence[Coercer | None]) -> Coercer:
    size = len(names)

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        values = value.get_fields_by_names(names)
        if len(values) < size:
            raise IndexError(f"list index out of range: ROW of {size} fields {names}, got {value!r}")
        made = [item if field is None else field(item) for field, item in zip(fields, values, strict=False)]
        return made_row(names, made, value.get_row_kind())

    return coerce


def _lenient_row_coercer(names: list[str], fields: Sequence[Coercer | None]) -> Coercer:
    strict = _row_coercer(names, fields)

    def coerce(value: Any) -> Any:
        if value is None or isinstance(value, Row):
            return strict(value)
        if isinstance(value, (tuple, list)):
            return strict(Row(*value))
        if isinstance(value, dict):
            return strict(Row(*[value.get(name) for name in names]))
        attributes = getattr(value, "__dict__", None)
        if attributes is None:
            raise TypeError(f"Unexpected tuple {value!r} with RowTypeInfo")
        return strict(Row(*[attributes.get(name) for name in names]))

    return coerce


def _lenient_tuple_coercer(fields: Sequence[Coercer | None]) -> Coercer:
    strict = _tuple_coercer(fields)

    def coerce(value: Any) -> Any:
        return strict(tuple(value) if isinstance(value, list) else value)

    return coerce


def _bytes_or_list_coercer(element_type: TypeInformation, make: _Composites, may_be_bytes: bool) -> Coercer:
    element = _coercer(element_type, make)
    if may_be_bytes and isinstance(element_type, BasicTypeInfo) and element_type.basic_type is BasicType.BYTE:
        return _bytes
    return _list_coercer(element)


def _bytes(value: Any) -> Any:
    if type(value) is bytes or value is None:
        return value
    if isinstance(value, (str, int)):
        raise TypeError(f"an array of BYTE takes bytes, got {type(value).__name__} {value!r}")
    # Java's bytes are signed: lists of them come in either form.
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else bytes(item & 0xFF for item in value)


def _list_coercer(element: Coercer | None) -> Coercer:
    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__len__"):
            raise TypeError(f"an array or LIST takes a list, got {type(value).__name__} {value!r}")
        if element is None:
            return value if type(value) is list else list(value)
        return [element(item) for item in value]

    return coerce


def _map_coercer(key: Coercer | None, value_coercer: Coercer | None, entries: Callable[[Any], Any]) -> Coercer:
    coerce_key, coerce_value = key or _same, value_coercer or _same

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        return {coerce_key(k): coerce_value(v) for k, v in entries(value)}

    return coerce


def _entries(value: Any) -> Any:
    if not hasattr(value, "items"):
        raise TypeError(f"MAP takes a dict, got {type(value).__name__} {value!r}")
    return value.items()


def _entries_or_attributes(value: Any) -> Any:
    return _entries(value if hasattr(value, "items") else getattr(value, "__dict__", value))


def _text_of_anything(value: Any) -> str | None:
    """As Java's `toString` writes it."""
    if value is None or type(value) is str:
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


_STRICT = _Composites(_row_coercer, _tuple_coercer, _integer_coercer, float32, _string, _entries)
_LENIENT = _Composites(
    _lenient_row_coercer,
    _lenient_tuple_coercer,
    _wrapping_integer_coercer,
    float32,
    _text_of_anything,
    _entries_or_attributes,
)
_CLIENT = _Composites(_row_coercer, _tuple_coercer, _integer_coercer, _shortest_float32, _string, _entries)

"""Typed values from their texts, as Flink's formats read them: Java's number syntax, SQL dates and times.

All functions raise ValueError for a text that is none of the type.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from penstock.common.time import Instant
from penstock.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TypeInformation,
)
from penstock.conf._numbers import read_double, read_float

__all__ = [
    "JAVA_BLANKS",
    "big_integer",
    "boolean",
    "decimal",
    "double",
    "integer",
    "iso_date",
    "parser_for",
    "rfc3339_instant",
    "rfc3339_time",
    "rfc3339_timestamp",
    "sql_date",
    "sql_time",
    "sql_timestamp",
]

JAVA_BLANKS = "".join(map(chr, range(0x21)))  # what String.trim() cuts off
_INTEGER = re.compile(r"[+-]?\d+")
_PLAIN_DOUBLE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})", re.ASCII)
_TIMESTAMP = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2}) (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?", re.ASCII)
_RFC3339_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_RFC3339_TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1)


def integer(bits: int) -> Callable[[str], int]:
    """Parser of integers that fit `bits` bits: `Integer.parseInt` and its relatives, blanks around allowed."""
    most = 2 ** (bits - 1)

    def parse(text: str) -> int:
        if not text.isdecimal():
            text = text.strip(JAVA_BLANKS)
            if _INTEGER.fullmatch(text) is None:
                raise ValueError(f"not an integer: {text!r}")
        value = int(text)
        if not -most <= value < most:
            raise ValueError(f"{value} does not fit {bits} bits")
        return value

    return parse


def big_integer(text: str) -> int:
    """`new BigInteger(text)`, blanks around allowed."""
    text = text.strip(JAVA_BLANKS)
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"not an integer: {text!r}")
    return int(text)


def double(text: str) -> float:
    """`Double.parseDouble`."""
    return float(text) if _PLAIN_DOUBLE.fullmatch(text) is not None else read_double(text)


def decimal(text: str) -> Decimal:
    """`new BigDecimal(text)`, blanks around allowed; the scale is kept."""
    text = text.strip(JAVA_BLANKS)
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"not a decimal number: {text!r}")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"not a decimal number: {text!r}") from error


def boolean(text: str) -> bool:
    """`Boolean.parseBoolean`, blanks around allowed: everything but `true` in any case is False."""
    return text.strip(JAVA_BLANKS).lower() == "true"


def sql_date(text: str) -> datetime.date:
    """`java.sql.Date.valueOf`: `2024-2-9`."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a date (yyyy-mm-dd): {text!r}")
    return datetime.date(*map(int, match.groups()))


def iso_date(text: str) -> datetime.date:
    """`DateTimeFormatter.ISO_LOCAL_DATE`: `2024-02-09`, two digits each."""
    if len(text) != 10:
        raise ValueError(f"not an ISO date (yyyy-mm-dd): {text!r}")
    return sql_date(text)


def sql_time(text: str) -> datetime.time:
    """`java.sql.Time.valueOf`: `01:02:03`."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time (hh:mm:ss): {text!r}")
    hour, minute, second = map(int, match.groups())
    return datetime.time(hour, minute, second)


def sql_timestamp(text: str) -> datetime.datetime:
    """`java.sql.Timestamp.valueOf`: `2024-02-29 01:02:03.456`; cut to microseconds."""
    match = _TIMESTAMP.fullmatch(text.strip(JAVA_BLANKS))
    if match is None:
        raise ValueError(f"not a timestamp (yyyy-mm-dd hh:mm:ss[.fffffffff]): {text!r}")
    return _datetime(match)


def rfc3339_time(text: str) -> datetime.time:
    """`01:02:03Z`: UTC and whole seconds only, as Flink's JSON schemas have it."""
    match = _RFC3339_TIME.fullmatch(text)
    if match is None or (match[4] or "").strip("0"):
        raise ValueError(f"not a time in UTC without milliseconds (hh:mm:ssZ): {text!r}")
    return datetime.time(int(match[1]), int(match[2]), int(match[3]))


def rfc3339_timestamp(text: str) -> datetime.datetime:
    """`2024-02-29T01:02:03.456Z`, UTC only; naive, cut to microseconds."""
    match = _RFC3339_TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"not a timestamp in UTC (yyyy-mm-ddThh:mm:ss[.fffffffff]Z): {text!r}")
    return _datetime(match)


def rfc3339_instant(text: str) -> Instant:
    """`2024-02-29T01:02:03.456Z` to the nanosecond."""
    match = _RFC3339_TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"not an instant (yyyy-mm-ddThh:mm:ss[.fffffffff]Z): {text!r}")
    elapsed = rfc3339_timestamp(text) - _EPOCH
    return Instant(elapsed.days * 86_400 + elapsed.seconds, int((match[7] or "").ljust(9, "0") or 0))


def _datetime(match: re.Match[str]) -> datetime.datetime:
    """From groups year to second and the fraction's digits."""
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    microsecond = int(match[7].ljust(6, "0")[:6]) if match[7] else 0
    return datetime.datetime(year, month, day, hour, minute, second, microsecond)


_BY_BASIC_TYPE: dict[BasicType, Callable[[str], Any]] = {
    BasicType.STRING: str,
    BasicType.BOOLEAN: boolean,
    BasicType.BYTE: integer(8),
    BasicType.SHORT: integer(16),
    BasicType.INT: integer(32),
    BasicType.LONG: integer(64),
    BasicType.FLOAT: read_float,
    BasicType.DOUBLE: double,
    BasicType.BIG_INT: big_integer,
    BasicType.BIG_DEC: decimal,
}


def parser_for(type_info: TypeInformation) -> Callable[[str], Any] | None:
    """The parser of a simple type's SQL text form; None for types that have none."""
    if isinstance(type_info, BasicTypeInfo):
        return _BY_BASIC_TYPE.get(type_info.basic_type)
    if isinstance(type_info, DateTypeInfo):
        return sql_date
    if isinstance(type_info, TimeTypeInfo):
        return sql_time
    return sql_timestamp if isinstance(type_info, TimestampTypeInfo) else None

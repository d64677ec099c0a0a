"""The types an option can have, and how a configured value is converted to each.

A configured value is *text* (command line, environment, quoted YAML) or *typed* (unquoted YAML, JSON, or set by a
program). The conversions are Flink's `ConfigurationUtils`; where they differ between text and typed values, that is
Flink's too: the YAML value `1e-50` is no fraction, the text `"1e-50"` is 0.
"""

from __future__ import annotations

from penstock.conf._durations import parse_duration_ns
from penstock.conf._errors import MemorySizeError
from penstock.conf._memory_size import MemorySize, parse_bytes, size_text
from penstock.conf._numbers import (
    FLOAT_MAX,
    FLOAT_MIN,
    INT_MAX,
    INT_MIN,
    java_double,
    narrow_to_float,
    read_double,
    read_float,
    read_integer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, TypeVar

    T_co = TypeVar("T_co", covariant=True)

    class GenericBase(Generic[T_co]):
        """Lets `OptionType[int]` be written; for the type checker only."""
else:
    T_co = None

    class GenericBase:
        """Stands in for `typing.Generic`, whose module would be the dearest import of `penstock plan`."""

        __slots__ = ()

        def __class_getitem__(cls, item: object) -> type:
            return cls


__all__ = [
    "BOOLEAN",
    "DOUBLE",
    "DURATION",
    "FLOAT",
    "INTEGER",
    "LIST",
    "LONG",
    "MAP",
    "SIZE",
    "STRING",
    "OptionType",
    "choice_of",
    "printed",
    "size_bytes",
]


def printed(value: object) -> str:
    """A configured value as text, as Java prints it: `true`, `1.0E10`, `1 gb`, `a;b`, `k:v,k2:v2`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float):
        return java_double(value)
    if isinstance(value, MemorySize):
        return size_text(value.bytes)
    if isinstance(value, list | tuple):
        return ";".join(map(printed, value))
    if isinstance(value, dict):
        return ",".join(f"{printed(key)}:{printed(entry)}" for key, entry in value.items())
    if hasattr(value, "total_seconds"):  # datetime.timedelta, whose module is not worth importing here
        microseconds = round(value.total_seconds() * 1e6)
        return f"{microseconds // 1000} ms" if microseconds % 1000 == 0 else f"{microseconds} µs"
    name = getattr(value, "name", None)  # enum members
    return name if isinstance(name, str) else str(value)


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to print integers of many thousand digits, unless asked in another way
        from decimal import Decimal

        return format(Decimal(value), "f")


def size_bytes(value: object) -> int:
    """Converts a configured value to a size in bytes.

    Raises:
        MemorySizeError: it is no size.
    """
    if type(value) is str:
        return parse_bytes(value)
    if isinstance(value, MemorySize):
        return value.bytes
    return parse_bytes(printed(value))


class OptionType(GenericBase[T_co]):
    """A type of options. The instances are the constants of this module and what `choice_of` returns.

    Attributes:
        name: as the option reference prints it.
        example: a value of the type, for messages.
    """

    __slots__ = ("_convert", "example", "name")

    def __init__(self, name: str, convert: Any, example: str) -> None:
        self.name = name
        self.example = example
        self._convert = convert

    def convert(self, value: object) -> T_co:
        """Converts a configured value.

        Raises:
            ValueError: it is none of this type; a `MemorySizeError` for sizes.
        """
        converted: T_co = self._convert(value)
        return converted

    def __repr__(self) -> str:
        return f"<option type {self.name}>"


def _to_size(value: object) -> MemorySize:
    return value if isinstance(value, MemorySize) else MemorySize(size_bytes(value))


def _to_float(value: object) -> float:
    if type(value) is str:
        return read_float(value)
    if isinstance(value, float):
        if value != 0 and not FLOAT_MIN <= abs(value) <= FLOAT_MAX:
            raise ValueError(f"{java_double(value)} is outside the range of 32-bit floats")
        return narrow_to_float(value)
    return read_float(printed(value))


def _to_double(value: object) -> float:
    if isinstance(value, float):
        return value
    return read_double(printed(value))


def _to_whole(least: int, greatest: int) -> Any:
    def convert(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            if not least <= value <= greatest:
                raise ValueError(f"{printed(value)} is outside {least} to {greatest}")
            return value
        return read_integer(printed(value), least, greatest)

    return convert


def _to_boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    # Upper-cased as Java does it, so that the long s counts as an s.
    upper = printed(value).upper()
    if upper == "TRUE":
        return True
    if upper == "FALSE":
        return False
    raise ValueError(f"'{printed(value)}' is neither true nor false")


def _to_duration_ms(value: object) -> int:
    return parse_duration_ns(printed(value)) // 10**6


def _to_string(value: object) -> str:
    if isinstance(value, float) and value - value != 0:  # Flink prints typed values as YAML here
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    return printed(value)


def _to_list(value: object) -> list[str]:
    if isinstance(value, list | tuple):
        return [printed(item) for item in value]
    from penstock.conf._collections import read_list

    return read_list(printed(value))


def _to_map(value: object) -> dict[str, str]:
    if isinstance(value, dict):
        return {printed(key): printed(item) for key, item in value.items()}
    from penstock.conf._collections import read_map

    return read_map(printed(value))


SIZE: OptionType[MemorySize] = OptionType("memory size", _to_size, "512m")
"""Whole bytes; Python type `MemorySize`."""

FLOAT: OptionType[float] = OptionType("float", _to_float, "0.1")
"""A 32-bit float, as a Python float that has exactly its value."""

DOUBLE: OptionType[float] = OptionType("double", _to_double, "0.5")
"""A 64-bit float."""

INTEGER: OptionType[int] = OptionType("integer", _to_whole(INT_MIN, INT_MAX), "4")
"""A 32-bit integer."""

LONG: OptionType[int] = OptionType("long", _to_whole(-(2**63), 2**63 - 1), "1000")
"""A 64-bit integer."""

BOOLEAN: OptionType[bool] = OptionType("boolean", _to_boolean, "true")
"""`true` or `false`, in any case."""

DURATION: OptionType[int] = OptionType("duration", _to_duration_ms, "30 s")
"""A duration; Python type int, in whole milliseconds, cut off. A bare number is milliseconds."""

STRING: OptionType[str] = OptionType("string", _to_string, "text")
"""Any text."""

LIST: OptionType[list[str]] = OptionType("list of strings", _to_list, "a;b")
"""`a;b`, or a YAML sequence."""

MAP: OptionType[dict[str, str]] = OptionType("map", _to_map, "a:1,b:2")
"""`a:1,b:2`, or a YAML mapping, or several keys with the option's key and a dot as prefix."""


def choice_of(*names: str) -> OptionType[str]:
    """A type with these values, matched in any case; Python type str, spelt as here."""
    by_upper = {name.upper(): name for name in names}

    def convert(value: object) -> str:
        found = by_upper.get(printed(value).upper())
        if found is None:
            raise ValueError(f"'{printed(value)}' is none of {', '.join(names)}")
        return found

    return OptionType("one of " + ", ".join(names), convert, names[0])


def reason_and_detail(error: ValueError) -> tuple[str, str | None]:
    """What a failed conversion says, and for sizes its id."""
    return str(error), error.error_id if isinstance(error, MemorySizeError) else None

"""Memory sizes: whole bytes from 0 to 2^63 - 1, read and printed as Flink's `MemorySize` does."""

from __future__ import annotations

from functools import lru_cache

from penstock.conf._errors import MemorySizeError

__all__ = ["LONG_MAX", "MemorySize", "human_readable", "parse_bytes", "size_text"]

LONG_MAX = 2**63 - 1

_KIB, _MIB, _GIB, _TIB = 2**10, 2**20, 2**30, 2**40

_UNITS = {
    "": 1,
    **dict.fromkeys(("b", "bytes"), 1),
    **dict.fromkeys(("k", "kb", "kibibytes"), _KIB),
    **dict.fromkeys(("m", "mb", "mebibytes"), _MIB),
    **dict.fromkeys(("g", "gb", "gibibytes"), _GIB),
    **dict.fromkeys(("t", "tb", "tebibytes"), _TIB),
}

_UNIT_NAMES = "b, kb, mb, gb, tb (or bytes, k, m, g, t, kibibytes, mebibytes, gibibytes, tebibytes)"

_PRINTED_UNITS = ((_TIB, "tb"), (_GIB, "gb"), (_MIB, "mb"), (_KIB, "kb"))

DEFAULT_UNITS = {"BYTES": "b", "KILO_BYTES": "k", "MEGA_BYTES": "m", "GIGA_BYTES": "g", "TERA_BYTES": "t"}
"""Names of units for `MemorySize.parse`, to what is appended to a bare number."""

# Java's String.trim cuts everything up to U+0020, control characters included, and no other blanks.
_BLANKS = "".join(map(chr, range(0x21)))
_DIGITS = "0123456789"


@lru_cache(maxsize=4096)
def parse_bytes(text: str) -> int:
    """Reads a size such as `4g`, `512 mb` or `1024`, in bytes.

    Raises:
        MemorySizeError: the text is no size; its `error_id` says why.
    """
    trimmed = text.strip(_BLANKS)
    if not trimmed:
        raise MemorySizeError("size-empty", text, "the size is empty")
    rest = trimmed.lstrip(_DIGITS)
    digits = trimmed[: len(trimmed) - len(rest)]
    if not digits:
        raise MemorySizeError("size-no-number", text, f"the size '{text}' does not start with a digit")
    # Longer than any 64-bit number: said here, since int() refuses absurdly long texts with an error of its own.
    significant = digits.lstrip("0")
    number = int(significant or "0") if len(significant) <= 19 else LONG_MAX + 1
    if number > LONG_MAX:
        raise MemorySizeError("size-number-overflow", text, f"the number of the size '{text}' exceeds 2^63 - 1")
    unit = rest.strip(_BLANKS).lower()
    factor = _UNITS.get(unit)
    if factor is None:
        raise MemorySizeError(
            "size-unknown-unit", text, f"the size '{text}' has no known unit; units are {_UNIT_NAMES}"
        )
    if number * factor > LONG_MAX:
        raise MemorySizeError("size-bytes-overflow", text, f"the size '{text}' exceeds 2^63 - 1 bytes")
    return number * factor


def size_text(size_bytes: int) -> str:
    """Prints a size in the largest unit that divides it: `1 gb`, `1025 bytes`; 0 and whole TiB print as bytes."""
    if size_bytes % _TIB:
        for factor, unit in _PRINTED_UNITS:
            if size_bytes % factor == 0:
                return f"{size_bytes // factor} {unit}"
    return f"{size_bytes} bytes"


def human_readable(size_bytes: int) -> str:
    """Prints a size for messages: `1.500gb (1610612736 bytes)`, in the largest unit strictly smaller than the size."""
    for factor, unit in _PRINTED_UNITS:
        if size_bytes > factor:
            return f"{_three_decimals(size_bytes / factor)}{unit} ({size_bytes} bytes)"
    return f"{size_bytes} bytes"


def _three_decimals(quotient: float) -> str:
    """Java's `%.3f`: rounds the printed digits half up, where Python rounds the exact value half to even."""
    whole, _, decimals = repr(quotient).partition(".")
    thousandths = int(whole + (decimals + "000")[:3]) + (decimals[3:4] >= "5")
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


class MemorySize:
    """A number of bytes, from 0 to 2^63 - 1. Immutable.

    Attributes:
        bytes: the size.
    """

    __slots__ = ("bytes",)

    bytes: int

    def __init__(self, size_bytes: int) -> None:
        if not 0 <= size_bytes <= LONG_MAX:
            raise MemorySizeError(
                "size-bytes-overflow", str(size_bytes), f"{size_bytes} bytes is outside 0 to 2^63 - 1"
            )
        object.__setattr__(self, "bytes", size_bytes)

    @classmethod
    def parse(cls, text: str, default_unit: str | None = None) -> MemorySize:
        """Reads a text as Flink does: digits and an optional unit, `512m`, `4 gb`, `1024`.

        Args:
            text: the size.
            default_unit: unit of a text without one: `BYTES`, `KILO_BYTES`, `MEGA_BYTES`, `GIGA_BYTES` or `TERA_BYTES`.

        Raises:
            MemorySizeError: the text is no size.
            KeyError: there is no such default unit.
        """
        if default_unit is None:
            return cls(parse_bytes(text))
        suffix = DEFAULT_UNITS[default_unit]
        trimmed = text.strip(_BLANKS)
        if trimmed and not trimmed.strip(_DIGITS):
            text += suffix
        return cls(parse_bytes(text))

    @classmethod
    def of(cls, size: MemorySize | int | str) -> MemorySize:
        """A size from another one, from bytes, or from a text."""
        if isinstance(size, MemorySize):
            return size
        return cls.parse(size) if isinstance(size, str) else cls(size)

    @classmethod
    def of_mebi_bytes(cls, mebi_bytes: int) -> MemorySize:
        """A size of whole MiB."""
        return cls(mebi_bytes * _MIB)

    @property
    def kibi_bytes(self) -> int:
        """Whole KiB, cut off."""
        return self.bytes // _KIB

    @property
    def mebi_bytes(self) -> int:
        """Whole MiB, cut off."""
        return self.bytes // _MIB

    @property
    def gibi_bytes(self) -> int:
        """Whole GiB, cut off."""
        return self.bytes // _GIB

    @property
    def tebi_bytes(self) -> int:
        """Whole TiB, cut off."""
        return self.bytes // _TIB

    def human(self) -> str:
        """The size for messages, as in `1.500gb (1610612736 bytes)`."""
        return human_readable(self.bytes)

    def __add__(self, other: MemorySize) -> MemorySize:
        return MemorySize(self.bytes + other.bytes)

    def __sub__(self, other: MemorySize) -> MemorySize:
        return MemorySize(self.bytes - other.bytes)

    def __mul__(self, factor: int) -> MemorySize:
        return MemorySize(self.bytes * factor)

    def __floordiv__(self, divisor: int) -> MemorySize:
        return MemorySize(self.bytes // divisor)

    def __int__(self) -> int:
        return self.bytes

    def __index__(self) -> int:
        return self.bytes

    def __bool__(self) -> bool:
        return self.bytes != 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemorySize) and self.bytes == other.bytes

    def __hash__(self) -> int:
        return hash((MemorySize, self.bytes))

    def __lt__(self, other: MemorySize) -> bool:
        return self.bytes < other.bytes

    def __le__(self, other: MemorySize) -> bool:
        return self.bytes <= other.bytes

    def __gt__(self, other: MemorySize) -> bool:
        return self.bytes > other.bytes

    def __ge__(self, other: MemorySize) -> bool:
        return self.bytes >= other.bytes

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("MemorySize is immutable")

    def __reduce__(self) -> tuple[type[MemorySize], tuple[int]]:
        return MemorySize, (self.bytes,)

    def __str__(self) -> str:
        return size_text(self.bytes)

    def __repr__(self) -> str:
        return f"MemorySize({self.bytes})"

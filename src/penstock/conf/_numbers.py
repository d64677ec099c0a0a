"""Reading and printing numbers as Java does: 32- and 64-bit floats, 32- and 64-bit integers.

Flink's options are 32-bit floats read by `Float.parseFloat`, and they are multiplied as the decimal they print as; one
bit of difference in reading moves bytes in a plan. Python's own `float()` and `int()` accept other texts and round
differently.
"""

from __future__ import annotations

from functools import lru_cache
from struct import pack, unpack

__all__ = ["INT_MAX", "INT_MIN", "java_double", "narrow_to_float", "read_double", "read_float", "read_integer"]

INT_MAX = 2**31 - 1
INT_MIN = -(2**31)

_BLANKS = "".join(map(chr, range(0x21)))
_PLAIN_CHARACTERS = frozenset("0123456789.+-eE")
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf")}

FLOAT_MIN = 2.0**-149
"""The least positive 32-bit float."""

FLOAT_MAX = (2 - 2**-23) * 2.0**127
"""The greatest finite 32-bit float."""

# Halfway between FLOAT_MAX and the next power of two: from here on the nearest 32-bit float is infinity.
_FLOAT_OVERFLOW = (2 - 2**-24) * 2.0**127


@lru_cache(maxsize=1024)
def read_double(text: str) -> float:
    """Reads a text as `Double.parseDouble` does.

    Raises:
        ValueError: the text is no number.
    """
    trimmed = text.strip(_BLANKS)
    unsigned = trimmed[1:] if trimmed[:1] in ("+", "-") else trimmed
    if unsigned in _SPECIAL:
        return -_SPECIAL[unsigned] if trimmed[0] == "-" else _SPECIAL[unsigned]
    if unsigned[:2] in ("0x", "0X"):
        return _ratio_to_double(*_hex_ratio(trimmed))
    return float(_decimal_text(trimmed))


@lru_cache(maxsize=1024)
def read_float(text: str) -> float:
    """Reads a text as `Float.parseFloat` does: its exact value, rounded once to 32 bits, half to even.

    Returns:
        The 32-bit float, widened to a Python float.

    Raises:
        ValueError: the text is no number.
    """
    nearest_double = read_double(text)
    narrow = narrow_to_float(nearest_double)
    if narrow == nearest_double or nearest_double != nearest_double or nearest_double in (_INF, -_INF):
        return narrow
    # Rounding twice goes wrong only where the double lies halfway between two 32-bit floats and the text beside it.
    below, above = _float_neighbours(nearest_double)
    halfway = _FLOAT_OVERFLOW if above == _INF else (below + above) / 2
    if abs(nearest_double) != halfway:
        return narrow
    beside = _compare_exactly(text, nearest_double)
    if beside == 0:
        return narrow
    magnitude = above if beside > 0 else below
    return -magnitude if nearest_double < 0 else magnitude


_INF = float("inf")


def narrow_to_float(value: float) -> float:
    """Rounds a double to the nearest 32-bit float, half to even; beyond the range to infinity."""
    try:
        narrow: float = unpack("<f", pack("<f", value))[0]
    except OverflowError:
        return _INF if value > 0 else -_INF
    return narrow


def read_integer(text: str, least: int = INT_MIN, greatest: int = INT_MAX) -> int:
    """Reads a text as `Integer.parseInt` does: an optional sign and decimal digits, Unicode's too, no blanks.

    Raises:
        ValueError: the text is no integer, or outside `least` to `greatest`.
    """
    digits = text[1:] if text[:1] in ("+", "-") else text
    # Java looks at UTF-16 units, so that digits beyond the basic plane are none.
    if not digits.isdecimal() or not (digits.isascii() or max(digits) <= "\uffff"):
        raise ValueError(f"'{text}' is no integer")
    significant = digits.lstrip("0")
    if len(significant) > 4000:  # int() refuses longer texts; they may still be zeros of other scripts
        significant = "".join(str(int(digit)) for digit in significant).lstrip("0")
    if len(significant) > 4000:
        raise ValueError(f"{len(significant)} digits exceed the range of {least} to {greatest}")
    number = int(significant or "0")
    if text[0] == "-":
        number = -number
    if not least <= number <= greatest:
        raise ValueError(f"{number} is outside {least} to {greatest}")
    return number


def java_double(value: float) -> str:
    """Prints a double as `Double.toString` does: `0.1`, `26.0`, `1.0E10`, `NaN`, `-Infinity`."""
    if value != value:
        return "NaN"
    if value in (_INF, -_INF):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if repr(value)[0] == "-" else "0.0"
    sign = "-" if value < 0 else ""
    digits, exponent = shortest_decimal(abs(value))
    point = len(digits) + exponent  # where the decimal point stands, counted from the first digit
    if 1e-3 <= abs(value) < 1e7:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{point - 1}"


@lru_cache(maxsize=1024)
def shortest_decimal(value: float) -> tuple[str, int]:
    """The shortest decimal that reads back as `value`, finite and >= 0, as (digits, exponent): digits * 10^exponent.

    The digits have no leading or trailing zeros, except that 0 is ("0", 0).
    """
    if value == 0:  # -0.0 too
        return "0", 0
    mantissa, _, power = repr(value).partition("e")
    whole, _, decimals = mantissa.partition(".")
    exponent = int(power or "0") - len(decimals)
    digits = (whole + decimals).lstrip("0")
    stripped = digits.rstrip("0")
    return stripped, exponent + len(digits) - len(stripped)


def _decimal_text(trimmed: str) -> str:
    """The decimal number without Java's type suffix, checked to be one Python reads with the same meaning."""
    if trimmed and trimmed[-1] in "fFdD":
        trimmed = trimmed[:-1]
    if not _PLAIN_CHARACTERS.issuperset(trimmed):
        raise ValueError(f"'{trimmed}' is no number")
    return trimmed


def _hex_ratio(trimmed: str) -> tuple[int, int]:
    """(numerator, binary exponent) of a hexadecimal floating-point text such as `0x1.8p-2`."""
    import re

    match = re.fullmatch(
        r"([+-]?)0[xX](?:([0-9a-fA-F]+)\.?|([0-9a-fA-F]*)\.([0-9a-fA-F]+))[pP]([+-]?[0-9]+)[fFdD]?", trimmed
    )
    if match is None:
        raise ValueError(f"'{trimmed}' is no number")
    sign, whole, before, after, power = match.groups()
    fraction = after or ""
    significand = int(((whole or before or "") + fraction) or "0", 16)
    # An exponent beyond any float is cut, so that an absurd one costs nothing; the significand's length counts too.
    limit = 5000 + 4 * len(trimmed)
    bounded = power.lstrip("+-").lstrip("0")
    exponent = limit if len(bounded) > 9 else min(int(bounded or "0"), limit)
    if power[0] == "-":
        exponent = -exponent
    return (-significand if sign == "-" else significand), exponent - 4 * len(fraction)


def _ratio_to_double(numerator: int, exponent: int) -> float:
    """The double nearest to numerator * 2^exponent."""
    try:
        return float(numerator << exponent) if exponent >= 0 else numerator / (1 << -exponent)
    except OverflowError:
        return _INF if numerator > 0 else -_INF


def _float_neighbours(value: float) -> tuple[float, float]:
    """The 32-bit floats just below and above the magnitude of a double that is none itself; above may be infinity."""
    magnitude = abs(value)
    nearest = narrow_to_float(magnitude)
    bits: int = unpack("<I", pack("<f", nearest))[0]
    other: float = unpack("<f", pack("<I", bits + 1 if nearest < magnitude else bits - 1))[0]
    return (nearest, other) if nearest < other else (other, nearest)


def _compare_exactly(text: str, double: float) -> int:
    """Sign of |exact value of the text| - |double|."""
    trimmed = text.strip(_BLANKS)
    magnitude = abs(double)
    if "x" in trimmed or "X" in trimmed:
        numerator, exponent = _hex_ratio(trimmed)
        over, under = magnitude.as_integer_ratio()
        left, right = abs(numerator) * under, over
        left, right = (left << exponent, right) if exponent >= 0 else (left, right << -exponent)
        return (left > right) - (left < right)
    from decimal import Decimal

    exact = Decimal(_decimal_text(trimmed)).copy_abs()
    return (exact > magnitude) - (exact < magnitude)

"""Arithmetic on sizes as Flink does it: whole bytes, fractions multiplied exactly as the decimal they print as."""

from __future__ import annotations

from functools import lru_cache

from penstock.conf import LONG_MAX, human_readable, shortest_decimal
from penstock.memory._model_errors import MemoryPlanError

__all__ = [
    "CORES_SCALE",
    "add",
    "cores_of",
    "cores_text",
    "fraction_of",
    "inverse_ratio",
    "to_long",
    "wrap_int",
    "wrap_long",
]

CORES_SCALE = 10**8
"""CPU cores are counted in units of 10^-8, the eight decimals Flink keeps."""


def add(*sizes: int) -> int:
    """The sum of sizes.

    Raises:
        MemoryPlanError: `overflow`: the sum exceeds 2^63 - 1.
    """
    total = sum(sizes)
    if total > LONG_MAX:
        parts = " + ".join(map(human_readable, sizes))
        raise MemoryPlanError("overflow", f"The sum {parts} exceeds 2^63 - 1 bytes.")
    return total


@lru_cache(maxsize=1024)
def _as_ratio(fraction: float) -> tuple[int, int]:
    """The decimal a double >= 0 prints as, as numerator and denominator."""
    digits, exponent = shortest_decimal(fraction)
    return (int(digits) * 10**exponent, 1) if exponent >= 0 else (int(digits), 10**-exponent)


def fraction_of(size: int, fraction: float) -> int:
    """A fraction of a size, cut off: the exact product with the decimal that the fraction prints as.

    This is Flink's `MemorySize.multiply`; products of doubles, or with the exact value of the double, would differ.

    Args:
        size: bytes.
        fraction: >= 0.

    Raises:
        MemoryPlanError: `overflow`: the product exceeds 2^63 - 1.
    """
    numerator, denominator = _as_ratio(fraction)
    product = size * numerator // denominator
    if product > LONG_MAX:
        raise MemoryPlanError("overflow", f"{human_readable(size)} times {fraction!r} exceeds 2^63 - 1 bytes.")
    return product


def inverse_ratio(fraction: float) -> float:
    """What a base is multiplied by to get the part that is `fraction` of base and part together."""
    return fraction / (1.0 - fraction)


def cores_of(cores: float) -> int:
    """CPU cores in units of 10^-8, cut off; `cores` finite."""
    numerator, denominator = _as_ratio(abs(cores))
    scaled = numerator * CORES_SCALE // denominator
    return -scaled if cores < 0 else scaled


def cores_text(cores_e8: int) -> str:
    """CPU cores as decimal text without trailing zeros: `2.5`, `10`."""
    whole, decimals = divmod(abs(cores_e8), CORES_SCALE)
    text = f"{whole}.{decimals:08d}".rstrip("0").rstrip(".") if decimals else str(whole)
    return "-" + text if cores_e8 < 0 else text


def to_long(value: float) -> int:
    """Java's cast of a double to a 64-bit integer: cut off, limited to the range, 0 for NaN."""
    if value != value:
        return 0
    if value >= 2.0**63:
        return LONG_MAX
    if value <= -(2.0**63):
        return -(2**63)
    return int(value)


def wrap_long(value: int) -> int:
    """What is left of a whole number in 64 bits with sign."""
    return (value + 2**63) % 2**64 - 2**63


def wrap_int(value: int) -> int:
    """What is left of a whole number in 32 bits with sign."""
    return (value + 2**31) % 2**32 - 2**31

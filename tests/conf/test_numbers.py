from __future__ import annotations

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.conf import java_double, read_integer, shortest_decimal
from penstock.conf._numbers import FLOAT_MAX, narrow_to_float, read_double, read_float


def nearest_float(exact: Fraction) -> float:
    """The 32-bit float nearest to an exact value, half to even, by trying both neighbours."""
    if abs(exact) >= Fraction((2 - 2**-24) * 2.0**127):
        return math.copysign(math.inf, exact)
    magnitude = abs(exact)
    low = 0
    high = struct.unpack("<I", struct.pack("<f", FLOAT_MAX))[0]

    def value(bits: int) -> Fraction:
        return Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])

    while low < high:  # the greatest float not above the value
        middle = (low + high + 1) // 2
        if value(middle) <= magnitude:
            low = middle
        else:
            high = middle - 1
    below = value(low)
    top = struct.unpack("<I", struct.pack("<f", FLOAT_MAX))[0]
    above = value(low + 1) if low < top else Fraction(2) ** 128
    if magnitude - below > above - magnitude or (magnitude - below == above - magnitude and low % 2):
        below = above
    return math.copysign(float(below), exact)


@given(st.integers(-(10**12), 10**12), st.integers(-50, 40))
def test_decimal_texts_round_once_to_32_bits(digits: int, exponent: int) -> None:
    text = f"{digits}e{exponent}"
    assert read_float(text) == nearest_float(Fraction(digits) * Fraction(10) ** exponent)


@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=2.0**-100, max_value=2.0**100),
    st.integers(-2, 2),
)
@example(0.5, 0)
def test_texts_beside_the_middle_of_two_floats(value: float, nudge: int) -> None:
    # Exactly between two 32-bit floats, or less beside it than a double can tell.
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    above = struct.unpack("<f", struct.pack("<I", bits + 1))[0]
    exact = (Fraction(value) + Fraction(above)) / 2 + Fraction(nudge, 10**90)
    scale = 10**160
    assert (exact * scale).denominator == 1
    text = f"{(exact * scale).numerator}e-160"
    assert read_float(text) == nearest_float(exact)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+1e-3", 0.001),
        (" 3 ", 3.0),
        ("0.1f", 0.1),
        ("0.1D", 0.1),
        ("0x1.8p-2", 0.375),
        ("0X.8P1f", 1.0),
        ("0x1.p0", 1.0),
        ("-0x10p-4", -1.0),
        ("0x1p99999999999", math.inf),
        ("0x1p-99999999999", 0.0),
        ("1e400", math.inf),
        ("-1e400", -math.inf),
        ("1e-400", 0.0),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("+Infinity", math.inf),
        ("9" * 6000, math.inf),
        ("0." + "0" * 6000 + "1e6001", 1.0),
    ],
)
def test_doubles(text: str, value: float) -> None:
    assert read_double(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "abc", "1e", "0x", "0x1", "0x.p1", "1_0", "1 2", "--1", "+-1", "inf", "nan", "infinity",
     "NaNf", "Infinityd",
     "1ff", "f", ".", "e5", "\u0661", "1\u00a0", "0x1p", "1,5", "true"],
)  # fmt: skip
def test_no_doubles(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_double(text)


def test_nan() -> None:
    assert math.isnan(read_double("NaN"))
    assert math.isnan(read_float("-NaN"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.99999998", 1.0),  # to the nearest 32-bit float
        ("0.99999997", 0.9999999403953552),
        ("1e-46", 0.0),
        ("0.1", 0.10000000149011612),
        ("340282356779733661637539395458142568448", math.inf),  # halfway to 2^128: half to even is infinity
        ("340282356779733661637539395458142568447", FLOAT_MAX),
        ("0x1.ffffffp127", math.inf),
        ("0x1.fffffefffffffp127", FLOAT_MAX),
        ("7.006492321624085e-46", 0.0),  # half of the least float
        ("7.0064923216240854e-46", 1.401298464324817e-45),
    ],
)
def test_floats(text: str, value: float) -> None:
    assert read_float(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-0", 0), ("+5", 5), ("010", 10), ("2147483647", 2**31 - 1), ("-2147483648", -(2**31)),
     ("\u0661\u0662", 12), ("\uff15", 5), ("0" * 9000 + "7", 7), ("\u0660" * 9000 + "\u0667", 7)],
)  # fmt: skip
def test_integers(text: str, value: int) -> None:
    assert read_integer(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+",
        " 1",
        "1 ",
        "1_0",
        "1.0",
        "0x10",
        "2147483648",
        "-2147483649",
        "9" * 9000,
        "\U0001d7cf",
        "1e3",
        "--1",
    ],
)
def test_no_integers(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_integer(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (26.0, "26.0"),
        (100.0, "100.0"),
        (1024.0, "1024.0"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1e9, "1.0E9"),
        (1e22, "1.0E22"),
        (1.5e300, "1.5E300"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (1e-9, "1.0E-9"),
        (123456.789, "123456.789"),
        (4294967296.0, "4.294967296E9"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_doubles_print_as_in_java(value: float, text: str) -> None:
    assert java_double(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_doubles_read_back(value: float) -> None:
    assert read_double(java_double(value)) == value


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
@example(-0.0)
def test_shortest_decimals_are_their_double(value: float) -> None:
    digits, exponent = shortest_decimal(value)
    assert float(f"{digits}e{exponent}") == value
    assert digits == "0" or digits == digits.strip("0")


@given(st.floats())
def test_narrowing_is_what_the_machine_does(value: float) -> None:
    narrow = narrow_to_float(value)
    assert math.isnan(narrow) if math.isnan(value) else narrow_to_float(narrow) == narrow

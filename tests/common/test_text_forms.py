"""Text forms: what print() and Java write of values."""

import datetime
import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Instant, Row, RowKind, Types
from penstock.common._values import java_double, java_float, java_text, print_text
from penstock.common.typeinfo import ExternalTypeInfo

COUNTS = Types.MAP(Types.STRING(), Types.INT())
PAIR = Types.ROW([Types.INT(), Types.STRING()])


@pytest.mark.parametrize(
    ("type_info", "value", "text"),
    [
        (None, ("a", 1), "('a', 1)"),
        (None, None, "None"),
        (None, 1.5, "1.5"),
        (None, True, "True"),
        (None, Row(1, "x"), "<Row(1, 'x')>"),
        (PAIR, Row(1, "a"), "+I[1,a]"),
        (PAIR, Row.of_kind(RowKind.DELETE, None, "a"), "-D[None,a]"),
        (Types.ROW([PAIR]), Row(Row(f0=1, f1="a")), "+I[Row(f0=1, f1='a')]"),
        (ExternalTypeInfo(PAIR), Row(1, "a"), "+I[1,a]"),
        (Types.TUPLE([Types.INT(), Types.STRING(), Types.STRING()]), (1, "a", None), "(1,a,null)"),
        (Types.TUPLE([Types.TUPLE([Types.INT()]), Types.BOOLEAN()]), ((1,), True), "((1),true)"),
        (
            Types.TUPLE([Types.LIST(Types.INT()), Types.MAP(Types.STRING(), Types.INT())]),
            ([1, 2], {"k": 1}),
            "([1, 2],{k=1})",
        ),
        (Types.TUPLE([Types.FLOAT(), Types.DOUBLE()]), (0.1, 1e10), "(0.1,1.0E10)"),
        (Types.TUPLE([Types.PICKLED_BYTE_ARRAY()]), (1.5,), "(1.5)"),
        (Types.INT(), 5, "5"),
        (Types.BOOLEAN(), False, "false"),
        (Types.STRING(), "a", "a"),
        (Types.STRING(), None, "null"),
        (Types.FLOAT(), 0.10000000149011612, "0.1"),
        (Types.SQL_DATE(), datetime.date(2024, 2, 29), "2024-02-29"),
        (Types.SQL_TIME(), datetime.time(1, 2, 3, 456000), "01:02:03"),
        (Types.SQL_TIMESTAMP(), datetime.datetime(2024, 2, 29, 1, 2, 3, 456000), "2024-02-29 01:02:03.456"),
        (Types.SQL_TIMESTAMP(), datetime.datetime(2024, 2, 29, 1, 2, 3), "2024-02-29 01:02:03.0"),
        (Types.INSTANT(), Instant.of_epoch_milli(1700000000123), "2023-11-14T22:13:20.123Z"),
        (Types.INSTANT(), Instant(0, 0), "1970-01-01T00:00:00Z"),
        (Types.INSTANT(), Instant(0, 1500), "1970-01-01T00:00:00.000001500Z"),
        (Types.BIG_DEC(), Decimal("1.50"), "1.50"),
        (Types.BIG_INT(), 10**30, "1" + "0" * 30),
        (Types.MAP(Types.STRING(), Types.INT()), {"k": 1, "n": None}, "{k=1, n=null}"),
        (Types.LIST(Types.INT()), [1, 2], "[1, 2]"),
        (Types.PRIMITIVE_ARRAY(Types.DOUBLE()), [1.0, 0.5], "[1.0, 0.5]"),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), b"\x01\xff", "[1, -1]"),
        (Types.BASIC_ARRAY(Types.STRING()), [None, "hi"], "[null, hi]"),
    ],
)
def test_print(type_info, value, text):
    assert print_text(type_info)(value) == text


@pytest.mark.parametrize(
    ("type_info", "value", "text"),
    [
        (None, ("a", 1), "('a', 1)"),
        (PAIR, Row(1, None), "+I[1, null]"),
        (Types.ROW([PAIR, Types.DOUBLE()]), Row(Row(1, "a"), 1.0), "+I[+I[1, a], 1.0]"),
        (Types.ROW([Types.BOOLEAN()]), Row.of_kind(RowKind.UPDATE_BEFORE, True), "-U[true]"),
        (Types.TUPLE([PAIR]), (Row(1, "a"),), "(+I[1, a])"),
    ],
)
def test_java(type_info, value, text):
    assert java_text(type_info)(value) == text


def test_values_that_do_not_fit_the_type_are_written_as_what_they_are():
    assert print_text(PAIR)((1, "a")) == "(1,a)"
    assert java_text(PAIR)({"a": [1.0]}) == "{a=[1.0]}"
    assert java_text(Types.TUPLE([Types.INT()]))(Row(1, None)) == "+I[1, null]"
    assert java_text(Types.MAP(Types.INT(), Types.INT()))(5) == "5"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (100.0, "100.0"),
        (0.1, "0.1"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1e10, "1.0E10"),
        (1.5e-5, "1.5E-5"),
        (1e-5, "1.0E-5"),
        (123456.789, "123456.789"),
        (1e23, "1.0E23"),
        (5e-324, "4.9E-324"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_doubles_as_java_writes_them(value, text):
    assert java_double(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (3.4028235e38, "3.4028235E38"), (1.4e-45, "1.4E-45"), (16777216.0, "1.6777216E7"), (1.1, "1.1")],
)
def test_floats_as_java_writes_them(value, text):
    assert java_float(struct.unpack("f", struct.pack("f", value))[0]) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_reads_back(value):
    assert float(java_double(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_the_text_of_a_float_reads_back_as_the_same_float(value):
    read = float(java_float(value))
    assert struct.pack("f", read) == struct.pack("f", value)

from __future__ import annotations

import math
from datetime import timedelta
from enum import Enum

import pytest

from penstock.conf import (
    BOOLEAN,
    DOUBLE,
    DURATION,
    FLOAT,
    INTEGER,
    LIST,
    LONG,
    MAP,
    SIZE,
    STRING,
    MemorySize,
    OptionType,
    choice_of,
    printed,
)  # fmt: skip


class Mode(Enum):
    FAST = 1


@pytest.mark.parametrize(
    ("kind", "value", "converted"),
    [
        (SIZE, "1k", MemorySize(1024)),
        (SIZE, 7, MemorySize(7)),
        (SIZE, MemorySize(5), MemorySize(5)),
        (FLOAT, "0.1", 0.10000000149011612),
        (FLOAT, 0.1, 0.10000000149011612),
        (FLOAT, "1e-50", 0.0),
        (FLOAT, 0.0, 0.0),
        (FLOAT, 2, 2.0),
        (DOUBLE, 0.1, 0.1),
        (DOUBLE, 4294967296, 4294967296.0),
        (DOUBLE, " 3 ", 3.0),
        (DOUBLE, math.inf, math.inf),
        (INTEGER, "+2", 2),
        (INTEGER, -2, -2),
        (LONG, 2**62, 2**62),
        (BOOLEAN, "TrUe", True),
        (BOOLEAN, "fal\u017fe", False),  # the long s is an S in capitals
        (BOOLEAN, False, False),
        (DURATION, "5", 5),
        (DURATION, 5, 5),
        (DURATION, "1 min", 60_000),
        (DURATION, "1999 µs", 1),
        (DURATION, timedelta(seconds=2), 2000),
        (STRING, 1e10, "1.0E10"),
        (STRING, True, "true"),
        (STRING, math.nan, ".nan"),
        (STRING, -math.inf, "-.inf"),
        (STRING, Mode.FAST, "FAST"),
        (LIST, "a; b;'c;d'", ["a", "b", "c;d"]),
        (LIST, "[a, 'b c', 1]", ["a", "b c", "1"]),
        (LIST, ["a", 1], ["a", "1"]),
        (MAP, {"a": 1}, {"a": "1"}),
        (MAP, "a:1, b:2", {"a": "1", "b": "2"}),
        (choice_of("EXACTLY_ONCE", "AT_LEAST_ONCE"), "exactly_once", "EXACTLY_ONCE"),
        (choice_of("FAST"), Mode.FAST, "FAST"),
    ],
)
def test_conversions(kind: OptionType[object], value: object, converted: object) -> None:
    result = kind.convert(value)
    assert result == converted
    assert type(result) is type(converted)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (SIZE, 1024.0), (SIZE, 1e9), (SIZE, True), (SIZE, -1),
        (FLOAT, 1e-50), (FLOAT, math.nan), (FLOAT, math.inf), (FLOAT, 1e39), (FLOAT, True), (FLOAT, ""),
        (DOUBLE, True), (DOUBLE, "0x"),
        (INTEGER, 2.0), (INTEGER, True), (INTEGER, 2**31), (INTEGER, " 1"), (INTEGER, 2**70),
        (LONG, 2**63),
        (BOOLEAN, 1), (BOOLEAN, " true"), (BOOLEAN, "yes"), (BOOLEAN, 1.0),
        (DURATION, 1.5), (DURATION, "x"),
        (LIST, "'a"), (MAP, "a"), (MAP, "a:1,a:2"), (MAP, 5),
        (choice_of("A", "B"), "C"),
    ],
)  # fmt: skip
def test_values_that_are_none_of_their_type(kind: OptionType[object], value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        kind.convert(value)


def test_printed_integers_of_any_length() -> None:
    assert printed(10**6000) == "1" + "0" * 6000
    assert printed(-5) == "-5"

from __future__ import annotations

import pytest

from penstock.conf._durations import parse_duration_ns

S = 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("30 s", 30 * S), ("30000", 30 * S), (" 7\tms ", 7 * 10**6), ("1d", 86400 * S), ("2 Days", 172800 * S),
        ("1h", 3600 * S),
        ("1 hours", 3600 * S), ("1m", 60 * S), ("1MIN", 60 * S), ("1 minutes", 60 * S), ("1sec", S), ("1 secs", S),
        ("5 millis", 5 * 10**6), ("5 µs", 5000), ("5 micros", 5000), ("5ns", 5), ("5 nanoseconds", 5), ("00", 0),
        ("PT1S", S), ("pt1.5s", 15 * 10**8), ("P1DT2H3M4.000000005S", 93784 * S + 5), ("PT-1S", None), ("-PT-1S", S),
        ("PT0S", 0), ("P2D", 172800 * S), ("PT1M-0.5S", 59 * S + 5 * 10**8), ("PT0,5S", 5 * 10**8),
    ],
)  # fmt: skip
def test_durations(text: str, nanoseconds: int | None) -> None:
    if nanoseconds is None:
        with pytest.raises(ValueError, match="negative"):
            parse_duration_ns(text)
    else:
        assert parse_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "s",
        "-1 s",
        "1.5 s",
        "1 fortnight",
        "1 y",
        "PT",
        "P",
        "P1DT",
        "1 s s",
        "9" * 60 + " d",
        "P1Y",
        "\u0661s",
    ],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_duration_ns(text)

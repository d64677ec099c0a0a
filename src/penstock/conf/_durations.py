"""Durations, read as Flink's `TimeUtils.parseDuration` does."""

from __future__ import annotations

__all__ = ["parse_duration_ns"]

_BLANKS = "".join(map(chr, range(0x21)))
_DIGITS = "0123456789"

_NS = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}

_UNITS = {
    "": _NS["ms"],
    **dict.fromkeys(("d", "day", "days"), _NS["d"]),
    **dict.fromkeys(("h", "hour", "hours"), _NS["h"]),
    **dict.fromkeys(("min", "m", "minute", "minutes"), _NS["min"]),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), _NS["s"]),
    **dict.fromkeys(("ms", "milli", "millis", "millisecond", "milliseconds"), _NS["ms"]),
    **dict.fromkeys(("µs", "micro", "micros", "microsecond", "microseconds"), _NS["µs"]),
    **dict.fromkeys(("ns", "nano", "nanos", "nanosecond", "nanoseconds"), _NS["ns"]),
}

# java.time.Duration counts seconds in 64 bits.
_SECONDS_MAX = 2**63 - 1


def parse_duration_ns(text: str) -> int:
    """Reads a duration such as `30 s`, `200ms`, `5` (milliseconds) or `PT1M`, in nanoseconds.

    Raises:
        ValueError: the text is no duration.
    """
    trimmed = text.strip(_BLANKS)
    if not trimmed:
        raise ValueError("the duration is empty")
    rest = trimmed.lstrip(_DIGITS)
    digits = trimmed[: len(trimmed) - len(rest)]
    if not digits:
        return _iso_8601_ns(trimmed)
    factor = _UNITS.get(rest.strip(_BLANKS).lower())
    if factor is None:
        raise ValueError(f"'{text}' has no known unit of time; units are ns, µs, ms, s, min, h, d and their long names")
    significant = digits.lstrip("0")
    nanoseconds = int(significant or "0") * factor if len(significant) <= 40 else 10**40
    if nanoseconds // 10**9 > _SECONDS_MAX:
        raise ValueError(f"the duration '{text}' is too long")
    return nanoseconds


def _iso_8601_ns(text: str) -> int:
    """Reads `P[nD]T[nH][nM][n.nS]` as `java.time.Duration.parse` does, signs included; negative ones are refused."""
    import re

    match = re.fullmatch(
        r"([+-]?)P(?:([+-]?[0-9]+)D)?(T(?:([+-]?[0-9]+)H)?(?:([+-]?[0-9]+)M)?(?:([+-]?[0-9]+)(?:[.,]([0-9]{0,9}))?S)?)?",
        text,
        re.IGNORECASE | re.ASCII,
    )
    if match is None or text[-1] in "Tt" or not any(match.group(part) for part in (2, 4, 5, 6)):
        raise ValueError(f"'{text}' does not start with a digit, and is no ISO-8601 duration")
    sign, days, _, hours, minutes, seconds, decimals = match.groups()
    total = int(days or "0") * 86400 + int(hours or "0") * 3600 + int(minutes or "0") * 60 + int(seconds or "0")
    fraction = int((decimals or "").ljust(9, "0"))
    if seconds is not None and seconds[0] == "-":
        fraction = -fraction
    nanoseconds = total * 10**9 + fraction
    if sign == "-":
        nanoseconds = -nanoseconds
    if nanoseconds < 0:
        raise ValueError(f"the duration '{text}' is negative")
    if nanoseconds // 10**9 > _SECONDS_MAX:
        raise ValueError(f"the duration '{text}' is too long")
    return nanoseconds

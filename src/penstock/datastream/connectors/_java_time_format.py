"""Dates and times by the patterns of `java.time.format.DateTimeFormatter`, as bucket names use them.

Texts and week rules are those of the locale en-US.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from penstock.errors import ConfigurationError

__all__ = ["formatter", "zone_of"]

Part = Callable[[datetime.datetime], str]

_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[\[\]]|[^A-Za-z'\[\]]+|'")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OFFSET_ZONE = re.compile(r"(UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?")
_MILLIS_A_DAY = 86_400_000


def zone_of(timezone_id: str | None) -> datetime.tzinfo | None:
    """The zone of a Java zone id: a region, `Z`, `UTC`, or an offset such as `GMT-08:00`; None for the machine's.

    Raises:
        ConfigurationError: if there is no such zone.
    """
    if timezone_id is None:
        return None
    if timezone_id == "Z":
        return datetime.timezone(datetime.timedelta(0), "Z")
    match = _OFFSET_ZONE.fullmatch(timezone_id)
    if match is not None:
        sign = -1 if match[2] == "-" else 1
        hours, minutes, seconds = (int(match[group] or 0) for group in (3, 4, 5))
        offset = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if offset <= datetime.timedelta(hours=18):
            name = f"{match[1] or ''}{match[2]}{hours:02d}:{minutes:02d}" + (f":{seconds:02d}" if seconds else "")
            return datetime.timezone(sign * offset, name)
    try:
        return ZoneInfo(timezone_id)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"There is no time zone {timezone_id!r}. Use a region such as America/Los_Angeles, UTC, or an offset such "
            "as GMT-08:00."
        ) from error


def formatter(pattern: str, timezone_id: str | None = None) -> Callable[[int], str]:
    """A function from epoch ms to text.

    Raises:
        ConfigurationError: if the pattern has a letter that Java or Penstock does not know, or the zone is unknown.
    """
    parts = _parts(pattern)
    zone = zone_of(timezone_id)

    def text(epoch_ms: int) -> str:
        seconds, millis = divmod(epoch_ms, 1000)
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(microsecond=millis * 1000)
        local = moment.astimezone(zone)
        return "".join([part(local) for part in parts])

    return text


def _parts(pattern: str) -> list[Part]:
    parts: list[Part] = []
    padding = 0
    for match in _TOKEN.finditer(pattern):
        token = match.group()
        if token == "'":
            raise ConfigurationError(f"the date pattern {pattern!r} ends inside a quoted text")
        if token[0] == "p":
            padding = len(token)
            continue
        if match[2] is not None:
            part = _letters(token[0], len(token), pattern)
        elif match[1] is not None:
            part = _literal(match[1].replace("''", "'") if match[1] else "'")
        elif token in "[]":
            continue  # optional sections: every field is there
        elif any(reserved in token for reserved in "{}#"):
            raise ConfigurationError(f"the date pattern {pattern!r} has a reserved character: one of {{}}#")
        else:
            part = _literal(token)
        parts.append(_padded(part, padding) if padding else part)
        padding = 0
    return parts


def _literal(text: str) -> Part:
    return lambda moment: text


def _padded(part: Part, width: int) -> Part:
    return lambda moment: part(moment).rjust(width)


def _number(value: Callable[[datetime.datetime], int], width: int) -> Part:
    return lambda moment: str(value(moment)).rjust(width, "0")


@cache
def _numeric_fields() -> dict[str, tuple[Callable[[datetime.datetime], int], int]]:
    """Letters of plain numbers, with the most letters allowed."""
    return {
        "d": (lambda moment: moment.day, 2),
        "D": (lambda moment: moment.timetuple().tm_yday, 3),
        "H": (lambda moment: moment.hour, 2),
        "k": (lambda moment: moment.hour or 24, 2),
        "K": (lambda moment: moment.hour % 12, 2),
        "h": (lambda moment: moment.hour % 12 or 12, 2),
        "m": (lambda moment: moment.minute, 2),
        "s": (lambda moment: moment.second, 2),
        "A": (_millis_of_day, 19),
        "n": (lambda moment: moment.microsecond * 1000, 19),
        "N": (lambda moment: _millis_of_day(moment) * 1_000_000, 19),
        "w": (lambda moment: _week(moment)[1], 2),
        "W": (lambda moment: (moment.day - 1 + _weekday_before(moment, moment.day)) // 7 + 1, 1),
        "F": (lambda moment: (moment.day - 1) % 7 + 1, 1),
    }


def _millis_of_day(moment: datetime.datetime) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000


def _sunday_based(moment: datetime.date) -> int:
    """0 for Sunday to 6 for Saturday."""
    return moment.isoweekday() % 7


def _weekday_before(moment: datetime.datetime, days: int) -> int:
    """The Sunday-based weekday of the first day of the period whose day number `days` is `moment`."""
    return (_sunday_based(moment) - (days - 1)) % 7


def _week(moment: datetime.datetime) -> tuple[int, int]:
    """Week-based year and week: weeks start on Sunday, the first one is that of 1 January."""
    start = moment.date() - datetime.timedelta(days=_sunday_based(moment))
    year = (start + datetime.timedelta(days=6)).year
    first = datetime.date(year, 1, 1)
    first -= datetime.timedelta(days=_sunday_based(first))
    return year, (start - first).days // 7 + 1


def _letters(letter: str, count: int, pattern: str) -> Part:
    numeric = _numeric_fields().get(letter)
    part: Part | None = None
    if numeric is not None:
        value, most = numeric
        part = _number(value, count) if count <= most else None
    elif letter in "yu":
        part = _year(lambda moment: moment.year, count)
    elif letter == "Y":
        part = _year(lambda moment: _week(moment)[0], count)
    elif letter == "S" and count <= 9:
        part = _fraction(count)
    elif letter in _NAMED:
        part = _NAMED[letter](count)
    elif letter in "XxZOVz":
        part = _zone_part(letter, count)
    if part is None:
        raise ConfigurationError(
            f"the date pattern {pattern!r} has {letter * count!r}, which is not supported; use the letters of Java's "
            "DateTimeFormatter, such as yyyy-MM-dd--HH, and quote texts as in yyyy'T'HH"
        )
    return part


def _year(value: Callable[[datetime.datetime], int], count: int) -> Part:
    if count == 2:
        return lambda moment: f"{value(moment) % 100:02d}"
    return _number(value, count)


def _fraction(count: int) -> Part:
    return lambda moment: f"{moment.microsecond * 1000:09d}"[:count]


def _choice(number: Callable[[datetime.datetime], int], *texts: Part) -> Callable[[int], Part | None]:
    """Numbers of one or two letters, then the texts of three, four and five."""

    def part(count: int) -> Part | None:
        if count <= 2:
            return _number(number, count)
        return texts[count - 3] if count - 3 < len(texts) else None

    return part


def _month(moment: datetime.datetime) -> str:
    return _MONTHS[moment.month - 1]


def _day(moment: datetime.datetime) -> str:
    return _DAYS[moment.weekday()]


def _quarter(moment: datetime.datetime) -> int:
    return (moment.month + 2) // 3


def _months(count: int) -> Part | None:
    return _choice(lambda moment: moment.month, lambda m: _month(m)[:3], _month, lambda m: _month(m)[0])(count)


def _weekdays(count: int) -> Part | None:
    texts: tuple[Part, ...] = (lambda m: _day(m)[:3], _day, lambda m: _day(m)[0])
    return texts[max(0, count - 3)] if count <= 5 else None


def _local_weekdays(count: int) -> Part | None:
    return _weekdays(count) if count > 2 else _number(lambda moment: _sunday_based(moment) + 1, count)


def _quarters(count: int) -> Part | None:
    ordinals = ("1st", "2nd", "3rd", "4th")
    return _choice(
        _quarter,
        lambda m: f"Q{_quarter(m)}",
        lambda m: f"{ordinals[_quarter(m) - 1]} quarter",
        lambda m: str(_quarter(m)),
    )(count)


def _halves_of_day(count: int) -> Part | None:
    return (lambda moment: "AM" if moment.hour < 12 else "PM") if count == 1 else None


def _eras(count: int) -> Part | None:
    return _literal("AD" if count <= 3 else "Anno Domini" if count == 4 else "A") if count <= 5 else None


_NAMED: dict[str, Callable[[int], Part | None]] = {
    "M": _months,
    "L": _months,
    "E": _weekdays,
    "e": _local_weekdays,
    "c": _local_weekdays,
    "Q": _quarters,
    "q": _quarters,
    "a": _halves_of_day,
    "G": _eras,
}


def _zone_part(letter: str, count: int) -> Part | None:
    if letter == "V":
        return (lambda moment: _zone_id(moment)) if count == 2 else None
    if letter == "z":
        return (lambda moment: moment.tzname() or "") if count <= 3 else None
    if letter == "O":
        return _localized_offset(short=count == 1) if count in (1, 4) else None
    if letter == "Z":
        if count == 4:
            return _localized_offset(short=False)
        return _offset(2, "+0000") if count <= 3 else _offset(5, "Z") if count == 5 else None
    zero = "Z" if letter == "X" else {1: "+00", 2: "+0000", 3: "+00:00", 4: "+0000", 5: "+00:00"}.get(count, "")
    return _offset(count, zero) if count <= 5 else None


def _zone_id(moment: datetime.datetime) -> str:
    return getattr(moment.tzinfo, "key", None) or moment.tzname() or ""


def _offset_fields(moment: datetime.datetime) -> tuple[str, int, int, int]:
    offset = moment.utcoffset() or datetime.timedelta(0)
    sign = "-" if offset < datetime.timedelta(0) else "+"
    minutes, seconds = divmod(abs(offset).seconds, 60)
    return sign, minutes // 60, minutes % 60, seconds


def _offset(count: int, zero: str) -> Part:
    """Offsets as the letter X writes them; what is zero is left out where the count of letters allows."""

    def text(moment: datetime.datetime) -> str:
        sign, hours, minutes, seconds = _offset_fields(moment)
        if not (hours or minutes or seconds):
            return zero
        colon = ":" if count in (3, 5) else ""
        result = f"{sign}{hours:02d}"
        if count > 1 or minutes:
            result += f"{colon}{minutes:02d}"
        return result + f"{colon}{seconds:02d}" if count > 3 and seconds else result

    return text


def _localized_offset(short: bool) -> Part:
    def text(moment: datetime.datetime) -> str:
        sign, hours, minutes, seconds = _offset_fields(moment)
        if not (hours or minutes or seconds):
            return "GMT"
        if short and not minutes:
            return f"GMT{sign}{hours}"
        return f"GMT{sign}{hours}:{minutes:02d}" if short else f"GMT{sign}{hours:02d}:{minutes:02d}"

    return text

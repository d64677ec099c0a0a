"""Date patterns against Java's DateTimeFormatter (`record_time_formats.py`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.datastream.connectors._java_time_format import formatter, zone_of
from penstock.errors import ConfigurationError

EXPECTED = json.loads((Path(__file__).parent / "time_formats.json").read_text())


def test_patterns_as_java() -> None:
    wrong = [
        (pattern, zone, at, text, formatter(pattern, zone)(at))
        for pattern, zone, at, text in EXPECTED["formatted"]
        if formatter(pattern, zone)(at) != text
    ]
    assert wrong == []


@pytest.mark.parametrize("pattern", EXPECTED["refused"])
def test_patterns_that_java_refuses(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="pattern"):
        formatter(pattern)


def test_unknown_zones_are_refused() -> None:
    for zone in ("Mars/Olympus", "PSTX", "", "+25:00", "../etc/passwd"):
        with pytest.raises(ConfigurationError, match="time zone"):
            zone_of(zone)


def test_the_machines_zone_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert formatter("yyyy-MM-dd--HH XXX")(0) == "1970-01-01--09 +09:00"
    time.tzset()

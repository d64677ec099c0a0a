"""Asks Java's DateTimeFormatter for `time_formats.json`; run like `formats/record_expectations.py`."""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ.setdefault("JAVA_HOME", "/usr")
from pyflink.java_gateway import get_gateway

JVM = get_gateway().jvm
PATTERNS = [
    "yyyy-MM-dd--HH",
    "yyyyMMdd",
    "yy/M/d",
    "u-MM",
    "uuuu",
    "uuuuuu",
    "yyy",
    "y",
    "dd.MM.yyyy HH:mm:ss.SSS",
    "'day='yyyy-MM-dd",
    "yyyy''MM",
    "D",
    "DDD",
    "h a",
    "hh:mm a",
    "K",
    "kk",
    "k",
    "A",
    "n",
    "N",
    "SSSSSS",
    "S",
    "EEE",
    "EEEE",
    "E",
    "EEEEE",
    "MMM",
    "MMMM",
    "MMMMM",
    "LLL",
    "e",
    "ee",
    "eee",
    "c",
    "Q",
    "QQ",
    "QQQ",
    "QQQQ",
    "q",
    "G",
    "GGGG",
    "w",
    "ww",
    "W",
    "Y",
    "YYYY-'W'ww",
    "YY",
    "F",
    "X",
    "XX",
    "XXX",
    "XXXX",
    "XXXXX",
    "x",
    "xx",
    "xxx",
    "Z",
    "ZZZ",
    "ZZZZ",
    "ZZZZZ",
    "O",
    "OOOO",
    "VV",
    "[yyyy]-MM",
    "pppH",
    "ppH:mm",
    "yyyy/MM/dd/HH",
    "'''q'''",
    "_-.,:",
    "H'h'm",
]
INVALID = ["{yyyy}", "yyyy'", "b", "dddd", "HHH", "#", "VVV", "aaaaaa", "R", "ZZZZZZ"]
ZONES = ["UTC", "America/Los_Angeles", "GMT-08:00", "+05:30", "Asia/Kathmandu", "Z", "UTC+2", "+8", "GMT"]
MOMENTS = [0, 1709210096789, 1735603200000, 1767225599999, -1, 951782399000, 1704067200000, 1719835200123]


def main():
    expected = []
    for pattern in PATTERNS:
        shape = JVM.java.time.format.DateTimeFormatter.ofPattern(pattern, JVM.java.util.Locale.US)
        for zone in ZONES:
            if zone not in ZONES[:2] and not set("XxZOV") & set(pattern):
                continue
            zoned = shape.withZone(JVM.java.time.ZoneId.of(zone))
            expected += [[pattern, zone, at, zoned.format(JVM.java.time.Instant.ofEpochMilli(at))] for at in MOMENTS]
    refused = []
    for pattern in INVALID:
        try:
            JVM.java.time.format.DateTimeFormatter.ofPattern(pattern)
        except Exception:
            refused.append(pattern)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in expected)
    text = f'{{"refused": {json.dumps(refused)},\n"formatted": [\n{rows}\n]}}\n'
    (Path(__file__).parent / "time_formats.json").write_text(text)


if __name__ == "__main__":
    main()

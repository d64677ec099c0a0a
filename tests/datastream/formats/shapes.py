"""Values as tagged texts, in the form in which `record_expectations.py` writes Flink's values."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from penstock.common._text import java_text
from penstock.common.time import Instant
from penstock.common.typeinfo import Types
from penstock.common.types import Row


def shape(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        return f"{type(value).__name__}:{value}"
    if isinstance(value, float):
        return f"float:{value:.7g}"
    if isinstance(value, bytes):
        return f"bytes:{value.hex()}"
    if isinstance(value, Decimal):
        return f"Decimal:{value:f}"
    if isinstance(value, Row):
        return ["Row", *map(shape, value)]
    if isinstance(value, list):
        return ["list", *map(shape, value)]
    if isinstance(value, dict):
        return ["map", {str(key): shape(item) for key, item in value.items()}]
    if isinstance(value, datetime.datetime):
        text = value.isoformat()
        return f"datetime:{text.rstrip('0') if '.' in text else text}"
    if isinstance(value, Instant):
        return f"Instant:{java_text(Types.INSTANT())(value)}"
    return f"{type(value).__name__}:{value.isoformat()}"

"""The reduce functions behind `sum`, `min`, `max`, `min_by` and `max_by`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.common.types import Row
from penstock.datastream._functions import ReduceFunction

__all__ = ["FieldAccumulation", "accumulation_function"]

Combine = Callable[[Any, Any], Any]


def _add(first: Any, second: Any) -> Any:
    return first + second


def _lesser(first: Any, second: Any) -> Any:
    return second if second < first else first


def _greater(first: Any, second: Any) -> Any:
    return second if second > first else first


_FIELDS: dict[str, Combine] = {"SUM": _add, "MIN": _lesser, "MAX": _greater}


class FieldAccumulation(ReduceFunction[Any]):
    """Aggregates a field of tuples, lists or rows, or plain values as a whole.

    `SUM`, `MIN` and `MAX` replace the field in the first value and keep its other fields; `MIN_BY` and `MAX_BY` give
    the whole of one value, the first on ties. The values given are not changed.

    Args:
        kind: one of these five.
        position: index, or name in a Row; 0 for plain values.
    """

    def __init__(self, kind: str, position: int | str) -> None:
        self.kind = kind
        self.position = position

    def reduce(self, value1: Any, value2: Any) -> Any:
        """The aggregate with one more value."""
        position: Any = self.position
        if not isinstance(value2, (tuple, list, Row)):
            return self._plain(value1, value2)
        if self.kind == "MIN_BY":
            return value2 if value2[position] < value1[position] else value1
        if self.kind == "MAX_BY":
            return value2 if value2[position] > value1[position] else value1
        field = _FIELDS[self.kind](value1[position], value2[position])
        if isinstance(value1, Row):
            row = Row(*value1)
            if value1._names is not None:
                row.set_field_names(value1._names)
            row.set_row_kind(value1.get_row_kind())
            row[position] = field
            return row
        fields: Any = list(value1)
        fields[position] = field
        return tuple(fields) if isinstance(value1, tuple) else fields

    def _plain(self, value1: Any, value2: Any) -> Any:
        if self.position != 0:
            raise TypeError(
                f"The {self.position} field selected on a basic type. A field expression on a basic type can only "
                "select the 0th field (which means selecting the entire basic type)."
            )
        if self.kind == "MIN_BY":
            return _lesser(value1, value2)
        if self.kind == "MAX_BY":
            return _greater(value1, value2)
        return _FIELDS[self.kind](value1, value2)


def accumulation_function(kind: str, position: int | str) -> FieldAccumulation:
    """The function for `SUM`, `MIN`, `MAX`, `MIN_BY` or `MAX_BY` at a position."""
    return FieldAccumulation(kind, position)

"""The reduce functions behind `sum`, `min`, `max`, `min_by` and `max_by`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.common.types import Row, made_row
from penstock.datastream._functions import ReduceFunction

__all__ = ["ElementAccumulation", "FieldAccumulation", "accumulation_function"]

Combine = Callable[[Any, Any], Any]


def _add(first: Any, second: Any) -> Any:
    return first + second


def _lesser(first: Any, second: Any) -> Any:
    return second if second < first else first


def _greater(first: Any, second: Any) -> Any:
    return second if second > first else first


class _Accumulation(ReduceFunction[Any]):
    """An aggregation of a field of tuples, lists or rows, or of plain values as a whole. The values are not changed.

    Args:
        combine: makes one field of two.
        position: index, or name in a Row; 0 for plain values.
    """

    def __init__(self, combine: Combine, position: int | str) -> None:
        self._combine = combine
        self._position: Any = position

    def _plain(self, value1: Any, value2: Any) -> Any:
        if self._position != 0:
            raise TypeError(
                f"The {self._position} field selected on a basic type. A field expression on a basic type can only "
                "select the 0th field (which means selecting the entire basic type)."
            )
        return self._combine(value1, value2)


class FieldAccumulation(_Accumulation):
    """`sum`, `min` and `max`: replaces the field in the first value and keeps its other fields."""

    def reduce(self, value1: Any, value2: Any) -> Any:
        """The aggregate with one more value."""
        position = self._position
        if type(value1) is tuple:
            fields = list(value1)
            fields[position] = self._combine(value1[position], value2[position])
            return tuple(fields)
        if isinstance(value2, Row):
            row = made_row(value1._names, list(value1), value1.get_row_kind())
            row[position] = self._combine(value1[position], value2[position])
            return row
        if isinstance(value2, (tuple, list)):
            fields = list(value1)
            fields[position] = self._combine(value1[position], value2[position])
            return tuple(fields) if isinstance(value1, tuple) else fields
        return self._plain(value1, value2)


class ElementAccumulation(_Accumulation):
    """`min_by` and `max_by`: the whole of one value, the first on ties."""

    def reduce(self, value1: Any, value2: Any) -> Any:
        """The aggregate with one more value."""
        if not isinstance(value2, (tuple, list, Row)):
            return self._plain(value1, value2)
        field1 = value1[self._position]
        return value1 if self._combine(field1, value2[self._position]) is field1 else value2


_KINDS: dict[str, tuple[type[_Accumulation], Combine]] = {
    "SUM": (FieldAccumulation, _add),
    "MIN": (FieldAccumulation, _lesser),
    "MAX": (FieldAccumulation, _greater),
    "MIN_BY": (ElementAccumulation, _lesser),
    "MAX_BY": (ElementAccumulation, _greater),
}


def accumulation_function(kind: str, position: int | str) -> ReduceFunction[Any]:
    """The function for `SUM`, `MIN`, `MAX`, `MIN_BY` or `MAX_BY` at a position."""
    accumulation, combine = _KINDS[kind]
    return accumulation(combine, position)

"""Fast paths of coercion: values that are of their type exactly, told apart by one compiled expression.

Most values a program makes need nothing done to them. For scalars, tuples and rows of them the test is written out
(`type(v) is tuple and len(v) == 2 and type(v[0]) is str and …`) and compiled once per operator, several times faster
than asking a coercer for every field. What fails the test goes to the coercer, which decides alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from penstock.common.time import Instant
from penstock.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    PickledBytesTypeInfo,
    RowTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from penstock.common.types import Row, made_row

__all__ = ["INTEGER_BITS", "exact_test", "with_exact_path", "with_exact_path_for_batches"]

Coercer = Callable[[Any], Any]

INTEGER_BITS = {BasicType.BYTE: 8, BasicType.SHORT: 16, BasicType.INT: 32, BasicType.LONG: 64}

_CLASSES = {
    BasicType.STRING: "str",
    BasicType.CHAR: "str",
    BasicType.BOOLEAN: "bool",
    BasicType.DOUBLE: "float",
    BasicType.BIG_INT: "int",
    BasicType.BIG_DEC: "Decimal",
    BasicType.INSTANT: "Instant",
}
_NAMES = {"Decimal": Decimal, "Instant": Instant, "date": datetime.date, "Row": Row, "made_row": made_row}
_TESTS_AT_MOST = 24  # fields; a longer expression gains little and is hard to read in a traceback


def exact_test(type_info: TypeInformation | None, name: str) -> str | None:
    """An expression that is true when the value called `name` is of the type as it is; "" when every value is.

    None where there is no such expression: FLOAT has to be rounded, lists and maps to be gone through. It may use the
    names `Decimal`, `Instant` and `date`.
    """
    if type_info is None or isinstance(type_info, PickledBytesTypeInfo):
        return ""
    if isinstance(type_info, BasicTypeInfo):
        bits = INTEGER_BITS.get(type_info.basic_type)
        if bits is not None:
            return f"type({name}) is int and {-(1 << bits - 1)} <= {name} <= {(1 << bits - 1) - 1}"
        kind = _CLASSES.get(type_info.basic_type)
        return None if kind is None else f"type({name}) is {kind}"
    if isinstance(type_info, DateTypeInfo):
        return f"type({name}) is date"
    if isinstance(type_info, TupleTypeInfo):
        fields = type_info.get_field_types()
        inside = _fields_test(fields, name)
        return None if inside is None else f"type({name}) is tuple and len({name}) == {len(fields)}{inside}"
    return None


def with_exact_path(type_info: TypeInformation | None, coerce: Coercer) -> Coercer:
    """The coercer, with a fast path for exact values where there is one."""
    if isinstance(type_info, RowTypeInfo):
        return _row_coercer(type_info, coerce)
    test = exact_test(type_info, "value")
    if not test:
        return coerce
    return _compiled(type_info, f"def coerce(value):\n return value if {test} else slow(value)", slow=coerce)


def with_exact_path_for_batches(
    type_info: TypeInformation | None, coerce: Coercer
) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that makes a new list of a batch's values, coerced."""
    test = exact_test(type_info, "value")
    if not test:
        return lambda batch: list(map(coerce, batch))
    source = f"def coerce(batch):\n return [value if {test} else slow(value) for value in batch]"
    return _compiled(type_info, source, slow=coerce)


def _row_coercer(type_info: RowTypeInfo, coerce: Coercer) -> Coercer:
    """Named rows of the type stay; unnamed ones get its names."""
    fields, names = type_info.get_field_types(), type_info.get_field_names()
    inside = _fields_test(fields, "values")
    if inside is None:
        return coerce
    source = f"""\
def coerce(value):
 if type(value) is Row:
  values = value._values
  if len(values) == {len(fields)}{inside}:
   given = value._names
   if given is None:
    return made_row(names, values[:], value._row_kind)
   if given == names:
    return value
 return slow(value)"""
    return _compiled(type_info, source, slow=coerce, names=names)


def _fields_test(fields: Sequence[TypeInformation], name: str) -> str | None:
    """What follows the test of the length: " and …" for each field that not every value is right for."""
    tests = [exact_test(field, f"{name}[{index}]") for index, field in enumerate(fields)]
    found = [test for test in tests if test]
    if None in tests or sum(test.count("type(") for test in found) > _TESTS_AT_MOST:
        return None
    return "".join(f" and {test}" for test in found)


def _compiled(type_info: TypeInformation | None, source: str, **bound: Any) -> Callable[[Any], Any]:
    namespace: dict[str, Any] = _NAMES | bound
    exec(compile(source, f"<coercer of {type_info}>", "exec"), namespace)
    function: Callable[[Any], Any] = namespace["coerce"]
    return function

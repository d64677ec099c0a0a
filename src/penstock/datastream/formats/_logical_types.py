"""The column types of files: what `pyflink.table.DataTypes` describes, reduced to what a format needs.

Data types are recognized by PyFlink's class names, because this floor does not import the table API's.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from penstock.common.typeinfo import TypeInformation, Types
from penstock.errors import ConfigurationError

__all__ = ["LogicalType", "decimal_of", "logical_type", "row_logical_type"]

_WIDE = Context(prec=10_000, rounding=ROUND_HALF_UP)
_ROOTS = {
    "CharType": "STRING",
    "VarCharType": "STRING",
    "BinaryType": "BYTES",
    "VarBinaryType": "BYTES",
    "BooleanType": "BOOLEAN",
    "DecimalType": "DECIMAL",
    "TinyIntType": "TINYINT",
    "SmallIntType": "SMALLINT",
    "IntType": "INT",
    "BigIntType": "BIGINT",
    "FloatType": "FLOAT",
    "DoubleType": "DOUBLE",
    "DateType": "DATE",
    "TimeType": "TIME",
    "TimestampType": "TIMESTAMP",
    "LocalZonedTimestampType": "TIMESTAMP_LTZ",
    "ArrayType": "ARRAY",
    "MapType": "MAP",
    "RowType": "ROW",
}
_TYPE_INFOS: dict[str, Callable[[], TypeInformation]] = {
    "STRING": Types.STRING,
    "BYTES": lambda: Types.PRIMITIVE_ARRAY(Types.BYTE()),
    "BOOLEAN": Types.BOOLEAN,
    "DECIMAL": Types.BIG_DEC,
    "TINYINT": Types.BYTE,
    "SMALLINT": Types.SHORT,
    "INT": Types.INT,
    "BIGINT": Types.LONG,
    "FLOAT": Types.FLOAT,
    "DOUBLE": Types.DOUBLE,
    "DATE": Types.SQL_DATE,
    "TIME": Types.SQL_TIME,
    "TIMESTAMP": Types.SQL_TIMESTAMP,
    "TIMESTAMP_LTZ": Types.INSTANT,
}


@dataclass(frozen=True, slots=True)
class LogicalType:
    """A column's type.

    Attributes:
        root: STRING, INT, ARRAY, …: Flink's logical type roots, with lengths left out.
        precision: DECIMAL: digits; TIME and TIMESTAMPs: digits of the second's fraction.
        scale: DECIMAL: digits after the point.
        parts: ARRAY: the element; MAP: key and value; ROW: the fields.
        names: ROW: the field names.
    """

    root: str
    precision: int = 0
    scale: int = 0
    parts: tuple[LogicalType, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def type_info(self) -> TypeInformation:
        """The type of a stream that holds such values."""
        simple = _TYPE_INFOS.get(self.root)
        if simple is not None:
            return simple()
        inside = [part.type_info for part in self.parts]
        if self.root == "ARRAY":
            return Types.OBJECT_ARRAY(inside[0])
        return Types.MAP(inside[0], inside[1]) if self.root == "MAP" else Types.ROW_NAMED(list(self.names), inside)


def logical_type(data_type: Any) -> LogicalType:
    """The logical type of a `DataTypes` object.

    Raises:
        ConfigurationError: if it is none, or one that no file format has.
    """
    for kind in type(data_type).__mro__:
        root = _ROOTS.get(kind.__name__)
        if root is not None:
            break
    else:
        raise ConfigurationError(
            f"{data_type!r} is no column type; use pyflink.table.DataTypes, such as DataTypes.INT()."
        )
    if root == "ARRAY":
        return LogicalType(root, parts=(logical_type(data_type.element_type),))
    if root == "MAP":
        return LogicalType(root, parts=(logical_type(data_type.key_type), logical_type(data_type.value_type)))
    if root == "ROW":
        parts = tuple(logical_type(field.data_type) for field in data_type.fields)
        return LogicalType(root, parts=parts, names=tuple(field.name for field in data_type.fields))
    return LogicalType(root, getattr(data_type, "precision", 0) or 0, getattr(data_type, "scale", 0) or 0)


def row_logical_type(row_type: Any) -> LogicalType:
    """The logical type of a `DataTypes.ROW([...])`.

    Raises:
        TypeError: if it is no row type.
    """
    if type(row_type).__name__ != "RowType":
        raise TypeError("row_type must be an instance of RowType")
    return logical_type(row_type)


def decimal_of(value: Decimal, kind: LogicalType) -> Decimal | None:
    """A decimal in the type's scale, rounded half up; None if it has too many digits then (Flink's `DecimalData`)."""
    fitted = value.quantize(Decimal(1).scaleb(-kind.scale), context=_WIDE)
    return fitted if len(fitted.as_tuple().digits) <= kind.precision or not fitted else None


def as_datetime(value: Any) -> datetime.datetime:
    """A timestamp column's value: a naive datetime, or an Instant in UTC."""
    if isinstance(value, datetime.datetime):
        return value
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)

"""Stand-ins for `pyflink.table.DataTypes`: formats know column types by PyFlink's class names."""

from __future__ import annotations

from typing import Any


def _kind(name: str, *attributes: str) -> Any:
    def build(*values: Any) -> Any:
        made = type(name, (), {})()
        for attribute, value in zip(attributes, values, strict=False):
            setattr(made, attribute, value)
        return made

    return staticmethod(build)


class D:
    TINYINT = _kind("TinyIntType")
    SMALLINT = _kind("SmallIntType")
    INT = _kind("IntType")
    BIGINT = _kind("BigIntType")
    FLOAT = _kind("FloatType")
    DOUBLE = _kind("DoubleType")
    DECIMAL = _kind("DecimalType", "precision", "scale")
    STRING = _kind("VarCharType")
    CHAR = _kind("CharType", "length")
    BYTES = _kind("VarBinaryType")
    BOOLEAN = _kind("BooleanType")
    DATE = _kind("DateType")
    TIME = _kind("TimeType", "precision")
    TIMESTAMP = _kind("TimestampType", "precision")
    TIMESTAMP_LTZ = _kind("LocalZonedTimestampType", "precision")
    ARRAY = _kind("ArrayType", "element_type")
    MAP = _kind("MapType", "key_type", "value_type")
    FIELD = _kind("RowField", "name", "data_type")
    ROW = _kind("RowType", "fields")

"""Data types of the Table API (`pyflink.table.types`): columns of tables, and of CSV, Parquet and JSON formats.

They only describe; `penstock.datastream.formats` recognizes them by name.
"""

from __future__ import annotations

import copy
from typing import Any, Self

from penstock.common.types import Row, RowKind

__all__ = ["DataType", "DataTypes", "Row", "RowKind", "UserDefinedType"]


class DataType:
    """Base of the types. Immutable by use; equal when class and settings are."""

    def __init__(self, nullable: bool = True) -> None:
        self._nullable = nullable
        self._conversion_cls = ""

    @classmethod
    def type_name(cls) -> str:
        """The class's name without `Type`, in capitals."""
        return cls.__name__.removesuffix("Type").upper()

    def not_null(self) -> Self:
        """The type without nulls."""
        return self._with_nullable(False)

    def nullable(self) -> Self:
        """The type with nulls."""
        return self._with_nullable(True)

    def bridged_to(self, conversion_cls: str) -> Self:
        """Notes the Java class of the values, which has no effect here."""
        self._conversion_cls = conversion_cls
        return self

    def _with_nullable(self, nullable: bool) -> Self:
        changed = copy.copy(self)
        changed._nullable = nullable
        return changed

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.type_name()

    def __repr__(self) -> str:
        settings = [
            str(value).lower() if isinstance(value, bool) else repr(value)
            for name, value in self.__dict__.items()
            if name not in ("_nullable", "_conversion_cls")
        ]
        return f"{type(self).__name__}({', '.join([*settings, str(self._nullable).lower()])})"


class AtomicType(DataType):
    """A type without parts."""


class NullType(AtomicType):
    """Nothing but null."""


class NumericType(AtomicType):
    """Numbers."""


class IntegralType(NumericType):
    """Whole numbers."""


class FractionalType(NumericType):
    """Numbers with a fraction."""


class _LengthType(AtomicType):
    """Texts or bytes of a length."""

    def __init__(self, length: int = 1, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.length = length


class CharType(_LengthType):
    """Texts of one length."""


class VarCharType(_LengthType):
    """Texts up to a length."""


class BinaryType(_LengthType):
    """Bytes of one length."""


class VarBinaryType(_LengthType):
    """Bytes up to a length."""


class BooleanType(AtomicType):
    """True or False."""


class TinyIntType(IntegralType):
    """8 bits."""


class SmallIntType(IntegralType):
    """16 bits."""


class IntType(IntegralType):
    """32 bits."""


class BigIntType(IntegralType):
    """64 bits."""


class FloatType(FractionalType):
    """32 bits."""


class DoubleType(FractionalType):
    """64 bits."""


class DecimalType(FractionalType):
    """Decimals of so many digits, of which `scale` after the point."""

    def __init__(self, precision: int = 10, scale: int = 0, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.precision = precision
        self.scale = scale


class DateType(AtomicType):
    """Dates."""


class _PrecisionType(AtomicType):
    """Times, with so many digits of the second's fraction."""

    def __init__(self, precision: int = 0, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.precision = precision


class TimeType(_PrecisionType):
    """Times of day."""


class TimestampType(_PrecisionType):
    """Dates with times of day, without a zone."""


class LocalZonedTimestampType(_PrecisionType):
    """Points on the time line."""


class ArrayType(DataType):
    """Lists of one type."""

    def __init__(self, element_type: DataType, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.element_type = element_type


class MultisetType(ArrayType):
    """Bags of one type."""


class ListViewType(ArrayType):
    """Lists kept in state, for aggregate functions of the Table API."""


class MapType(DataType):
    """Maps."""

    def __init__(self, key_type: DataType, value_type: DataType, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.key_type = key_type
        self.value_type = value_type


class MapViewType(MapType):
    """Maps kept in state, for aggregate functions of the Table API."""


class RowField:
    """A field of a ROW. Immutable by use."""

    def __init__(self, name: str, data_type: DataType, description: str | None = None) -> None:
        self.name = name
        self.data_type = data_type
        self.description = description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowField) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.name, self.data_type))

    def __repr__(self) -> str:
        return f"RowField({self.name}, {self.data_type!r})"


class RowType(DataType):
    """Rows."""

    def __init__(self, fields: list[RowField] | None = None, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.fields = list(fields or [])
        self.names = [field.name for field in self.fields]

    def add(self, field: str | RowField, data_type: DataType | None = None) -> RowType:
        """Appends a field, and returns the type."""
        if isinstance(field, str):
            if data_type is None:
                raise ValueError(f"The field {field!r} needs a data type")
            field = RowField(field, data_type)
        self.fields.append(field)
        self.names.append(field.name)
        return self

    def field_names(self) -> list[str]:
        """The names."""
        return list(self.names)

    def field_types(self) -> list[DataType]:
        """The types."""
        return [field.data_type for field in self.fields]


class UserDefinedType(DataType):
    """Base of types of a program's own, which the Table API alone can use."""


class DataTypes:
    """Makes the types."""

    @staticmethod
    def NULL() -> NullType:
        """Nothing but null."""
        return NullType()

    @staticmethod
    def CHAR(length: int, nullable: bool = True) -> CharType:
        """Texts of one length."""
        return CharType(length, nullable)

    @staticmethod
    def VARCHAR(length: int, nullable: bool = True) -> VarCharType:
        """Texts up to a length."""
        return VarCharType(length, nullable)

    @staticmethod
    def STRING(nullable: bool = True) -> VarCharType:
        """Texts."""
        return VarCharType(0x7FFFFFFF, nullable)

    @staticmethod
    def BOOLEAN(nullable: bool = True) -> BooleanType:
        """True or False."""
        return BooleanType(nullable)

    @staticmethod
    def BINARY(length: int, nullable: bool = True) -> BinaryType:
        """Bytes of one length."""
        return BinaryType(length, nullable)

    @staticmethod
    def VARBINARY(length: int, nullable: bool = True) -> VarBinaryType:
        """Bytes up to a length."""
        return VarBinaryType(length, nullable)

    @staticmethod
    def BYTES(nullable: bool = True) -> VarBinaryType:
        """Bytes."""
        return VarBinaryType(0x7FFFFFFF, nullable)

    @staticmethod
    def DECIMAL(precision: int, scale: int, nullable: bool = True) -> DecimalType:
        """Decimals of so many digits, of which `scale` after the point."""
        return DecimalType(precision, scale, nullable)

    @staticmethod
    def TINYINT(nullable: bool = True) -> TinyIntType:
        """8 bits."""
        return TinyIntType(nullable)

    @staticmethod
    def SMALLINT(nullable: bool = True) -> SmallIntType:
        """16 bits."""
        return SmallIntType(nullable)

    @staticmethod
    def INT(nullable: bool = True) -> IntType:
        """32 bits."""
        return IntType(nullable)

    @staticmethod
    def BIGINT(nullable: bool = True) -> BigIntType:
        """64 bits."""
        return BigIntType(nullable)

    @staticmethod
    def FLOAT(nullable: bool = True) -> FloatType:
        """32 bits."""
        return FloatType(nullable)

    @staticmethod
    def DOUBLE(nullable: bool = True) -> DoubleType:
        """64 bits."""
        return DoubleType(nullable)

    @staticmethod
    def DATE(nullable: bool = True) -> DateType:
        """Dates."""
        return DateType(nullable)

    @staticmethod
    def TIME(precision: int = 0, nullable: bool = True) -> TimeType:
        """Times of day."""
        return TimeType(precision, nullable)

    @staticmethod
    def TIMESTAMP(precision: int = 6, nullable: bool = True) -> TimestampType:
        """Dates with times of day, without a zone."""
        return TimestampType(precision, nullable)

    @staticmethod
    def TIMESTAMP_WITH_LOCAL_TIME_ZONE(precision: int = 6, nullable: bool = True) -> LocalZonedTimestampType:
        """Points on the time line."""
        return LocalZonedTimestampType(precision, nullable)

    @staticmethod
    def TIMESTAMP_LTZ(precision: int = 6, nullable: bool = True) -> LocalZonedTimestampType:
        """Points on the time line."""
        return LocalZonedTimestampType(precision, nullable)

    @staticmethod
    def ARRAY(element_type: DataType, nullable: bool = True) -> ArrayType:
        """Lists of one type."""
        return ArrayType(element_type, nullable)

    @staticmethod
    def MULTISET(element_type: DataType, nullable: bool = True) -> MultisetType:
        """Bags of one type."""
        return MultisetType(element_type, nullable)

    @staticmethod
    def LIST_VIEW(element_type: DataType) -> ListViewType:
        """Lists kept in state."""
        return ListViewType(element_type)

    @staticmethod
    def MAP(key_type: DataType, value_type: DataType, nullable: bool = True) -> MapType:
        """Maps."""
        return MapType(key_type, value_type, nullable)

    @staticmethod
    def MAP_VIEW(key_type: DataType, value_type: DataType) -> MapViewType:
        """Maps kept in state."""
        return MapViewType(key_type, value_type)

    @staticmethod
    def FIELD(name: str, data_type: DataType, description: str | None = None) -> RowField:
        """A field of a ROW."""
        return RowField(name, data_type, description)

    @staticmethod
    def ROW(row_fields: list[Any] | None = None, nullable: bool = True) -> RowType:
        """Rows of fields; of types alone, the fields are named f0, f1, …."""
        fields = [
            field if isinstance(field, RowField) else RowField(f"f{index}", field)
            for index, field in enumerate(row_fields or [])
        ]
        return RowType(fields, nullable)

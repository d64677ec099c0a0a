"""Type information: the declared types of streams and state (`pyflink.common.typeinfo`).

A type says what a value is turned into where it crosses from one operator to the next, and how it is printed;
`penstock.common._values` holds those rules. The classes here only describe. Names, text forms and equality are
PyFlink's: equality is structural, field names of rows do not count, and type objects are unhashable.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = ["TypeInformation", "Types"]


class TypeInformation:
    """Base of all types. Immutable once made, except that rows get their default names lazily."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def check(self) -> None:
        """Raises what makes the type unusable; called when an operator or a state is declared with it.

        Raises:
            TypeError: for a type that cannot exist, such as a primitive array of strings.
            UnsupportedFeatureError: for a type that only the JVM has.
        """

    def get_java_type_info(self) -> NoReturn:
        """PyFlink's bridge to the Java type.

        Raises:
            TypeError: if the type itself is invalid.
            UnsupportedFeatureError: otherwise always; there is no JVM.
        """
        self.check()
        raise UnsupportedFeatureError(
            f"{type(self).__name__}.get_java_type_info is PyFlink's internal access to the JVM; Penstock has none. "
            "Pass the type itself."
        )

    def need_conversion(self) -> bool:
        """Whether values differ from what is sent to the JVM: never, there is none."""
        return False

    def to_internal_type(self, obj: Any) -> Any:
        """The value as it is; PyFlink's form for the JVM does not exist here."""
        return obj

    def from_internal_type(self, obj: Any) -> Any:
        """The value as it is; see `to_internal_type`."""
        return obj


class BasicType(Enum):
    """The basic types; the values are their text forms."""

    STRING = "String"
    BYTE = "Byte"
    BOOLEAN = "Boolean"
    SHORT = "Short"
    INT = "Integer"
    LONG = "Long"
    FLOAT = "Float"
    DOUBLE = "Double"
    CHAR = "Char"
    BIG_INT = "BigInteger"
    BIG_DEC = "BigDecimal"
    INSTANT = "Instant"


class BasicTypeInfo(TypeInformation):
    """A type without parts."""

    def __init__(self, basic_type: BasicType) -> None:
        self._basic_type = basic_type

    @property
    def basic_type(self) -> BasicType:
        """Which basic type it is."""
        return self._basic_type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BasicTypeInfo) and self._basic_type is other._basic_type

    def __repr__(self) -> str:
        return self._basic_type.value

    @staticmethod
    def STRING_TYPE_INFO() -> BasicTypeInfo:
        """Text."""
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BOOLEAN_TYPE_INFO() -> BasicTypeInfo:
        """True or False."""
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def BYTE_TYPE_INFO() -> BasicTypeInfo:
        """An integer of 8 bits."""
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def SHORT_TYPE_INFO() -> BasicTypeInfo:
        """An integer of 16 bits."""
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT_TYPE_INFO() -> BasicTypeInfo:
        """An integer of 32 bits."""
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG_TYPE_INFO() -> BasicTypeInfo:
        """An integer of 64 bits."""
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT_TYPE_INFO() -> BasicTypeInfo:
        """A float of 32 bits."""
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE_TYPE_INFO() -> BasicTypeInfo:
        """A float of 64 bits."""
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR_TYPE_INFO() -> BasicTypeInfo:
        """A text of one character."""
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT_TYPE_INFO() -> BasicTypeInfo:
        """An integer of any size."""
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC_TYPE_INFO() -> BasicTypeInfo:
        """A Decimal, its scale kept."""
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT_TYPE_INFO() -> BasicTypeInfo:
        """An Instant."""
        return InstantTypeInfo(BasicType.INSTANT)


class InstantTypeInfo(BasicTypeInfo):
    """The type of `Instant`."""


class SqlTimeTypeInfo(TypeInformation):
    """Makes the three SQL time types; never a type itself."""

    @staticmethod
    def DATE() -> DateTypeInfo:
        """`datetime.date`."""
        return DateTypeInfo()

    @staticmethod
    def TIME() -> TimeTypeInfo:
        """`datetime.time`, to the millisecond."""
        return TimeTypeInfo()

    @staticmethod
    def TIMESTAMP() -> TimestampTypeInfo:
        """Naive `datetime.datetime`, to the millisecond."""
        return TimestampTypeInfo()


class _ArrayTypeInfo(TypeInformation):
    """An array of elements of one type."""

    def __init__(self, element_type: TypeInformation) -> None:
        self._element_type = element_type

    @property
    def element_type(self) -> TypeInformation:
        """The type of the elements."""
        return self._element_type

    def check(self) -> None:
        self._element_type.check()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._element_type == other._element_type

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self._element_type}>"

    def _check_element(self, allowed: frozenset[BasicType]) -> None:
        element = self._element_type
        if not isinstance(element, BasicTypeInfo) or element.basic_type not in allowed:
            raise TypeError(
                f"Invalid element type for a primitive array: {element}. "
                "Use OBJECT_ARRAY or LIST for elements that are not basic types."
            )


_PRIMITIVES = frozenset(BasicType) - {BasicType.STRING, BasicType.BIG_INT, BasicType.BIG_DEC, BasicType.INSTANT}


class PrimitiveArrayTypeInfo(_ArrayTypeInfo):
    """An array of numbers, booleans or characters; of BYTE it holds `bytes`."""

    def check(self) -> None:
        self._check_element(_PRIMITIVES)


class BasicArrayTypeInfo(_ArrayTypeInfo):
    """An array of basic values, None among them."""

    def check(self) -> None:
        self._check_element(_PRIMITIVES | {BasicType.STRING})


class ObjectArrayTypeInfo(_ArrayTypeInfo):
    """An array of values of any one type, None among them."""


class PickledBytesTypeInfo(TypeInformation):
    """Untyped: any picklable object stays what it is."""

    def __repr__(self) -> str:
        return "PickledByteArrayTypeInfo"


class RowTypeInfo(TypeInformation):
    """A Row of typed fields, named or not."""

    def __init__(self, field_types: Sequence[TypeInformation], field_names: list[str] | None = None) -> None:
        self._field_types = list(field_types)
        self._field_names = field_names

    def get_field_names(self) -> list[str]:
        """The names; `f0`, `f1`, … where none were given, and from then on these are the type's names."""
        if not self._field_names:
            self._field_names = [f"f{index}" for index in range(len(self._field_types))]
        return self._field_names

    def get_field_index(self, field_name: str) -> int:
        """The position of a field, -1 where the type has no names (yet).

        Raises:
            ValueError: if the type has names and this is none of them.
        """
        return self._field_names.index(field_name) if self._field_names else -1

    def get_field_types(self) -> list[TypeInformation]:
        """The types by position."""
        return self._field_types

    def check(self) -> None:
        names = self._field_names
        if names is not None and len(names) != len(self._field_types):
            raise ValueError(f"ROW_NAMED has {len(names)} names for {len(self._field_types)} field types: {self!r}")
        for field_type in self._field_types:
            _check_part(self, field_type)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowTypeInfo) and self._field_types == other._field_types

    def __repr__(self) -> str:
        if not self._field_names:
            return f"RowTypeInfo({', '.join(map(str, self._field_types))})"
        fields = zip(self._field_names, self._field_types, strict=False)
        return f"RowTypeInfo({', '.join(f'{name}: {field_type}' for name, field_type in fields)})"


class TupleTypeInfo(TypeInformation):
    """A tuple of typed fields."""

    def __init__(self, field_types: Sequence[TypeInformation]) -> None:
        self._field_types = list(field_types)

    def get_field_types(self) -> list[TypeInformation]:
        """The types by position."""
        return self._field_types

    def check(self) -> None:
        for field_type in self._field_types:
            _check_part(self, field_type)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TupleTypeInfo) and self._field_types == other._field_types

    def __repr__(self) -> str:
        return f"TupleTypeInfo({', '.join(map(str, self._field_types))})"


class DateTypeInfo(TypeInformation):
    """`datetime.date`."""

    def __repr__(self) -> str:
        return "DateTypeInfo"


class TimeTypeInfo(TypeInformation):
    """`datetime.time`, to the millisecond."""

    def __repr__(self) -> str:
        return "TimeTypeInfo"


class TimestampTypeInfo(TypeInformation):
    """Naive `datetime.datetime`, to the millisecond."""

    def __repr__(self) -> str:
        return "TimestampTypeInfo"


class ListTypeInfo(TypeInformation):
    """A list of values of one type."""

    def __init__(self, element_type: TypeInformation) -> None:
        self.elem_type = element_type

    def check(self) -> None:
        _check_part(self, self.elem_type)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ListTypeInfo) and self.elem_type == other.elem_type

    def __repr__(self) -> str:
        return f"ListTypeInfo<{self.elem_type}>"


class MapTypeInfo(TypeInformation):
    """A dict with keys of one type and values of one type."""

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        self._key_type_info = key_type_info
        self._value_type_info = value_type_info

    @property
    def key_type(self) -> TypeInformation:
        """The type of the keys."""
        return self._key_type_info

    @property
    def value_type(self) -> TypeInformation:
        """The type of the values."""
        return self._value_type_info

    def check(self) -> None:
        _check_part(self, self._key_type_info)
        _check_part(self, self._value_type_info)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MapTypeInfo)
            and self._key_type_info == other._key_type_info
            and self._value_type_info == other._value_type_info
        )

    def __repr__(self) -> str:
        return f"MapTypeInfo<{self._key_type_info}, {self._value_type_info}>"


class LocalTimeTypeInfo(TypeInformation):
    """`date`, `time` or `datetime` as the Table API types them: to the microsecond."""

    class TimeType(Enum):
        """Which of the three."""

        LOCAL_DATE = 0
        LOCAL_TIME = 1
        LOCAL_DATE_TIME = 2

    def __init__(self, time_type: TimeType) -> None:
        self._time_type = time_type

    @property
    def time_type(self) -> TimeType:
        """Which of the three it is."""
        return self._time_type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalTimeTypeInfo) and self._time_type is other._time_type

    def __repr__(self) -> str:
        return f"LocalTimeTypeInfo<{self._time_type.name}>"


class ExternalTypeInfo(TypeInformation):
    """A type as the Table API hands it out; holds the same values as the type inside."""

    def __init__(self, type_info: TypeInformation) -> None:
        self._type_info = type_info

    @property
    def type_info(self) -> TypeInformation:
        """The type inside."""
        return self._type_info

    def check(self) -> None:
        _check_part(self, self._type_info)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExternalTypeInfo) and self._type_info == other._type_info

    def __repr__(self) -> str:
        return f"ExternalTypeInfo<{self._type_info}>"


def _check_part(whole: TypeInformation, part: Any) -> None:
    if not isinstance(part, TypeInformation):
        raise TypeError(f"{type(whole).__name__} is made of types, got {part!r}; write Types.INT(), Types.STRING(), …")
    part.check()


class Types:
    """The types a program declares; each call gives a new object."""

    STRING = staticmethod(BasicTypeInfo.STRING_TYPE_INFO)
    BYTE = staticmethod(BasicTypeInfo.BYTE_TYPE_INFO)
    BOOLEAN = staticmethod(BasicTypeInfo.BOOLEAN_TYPE_INFO)
    SHORT = staticmethod(BasicTypeInfo.SHORT_TYPE_INFO)
    INT = staticmethod(BasicTypeInfo.INT_TYPE_INFO)
    LONG = staticmethod(BasicTypeInfo.LONG_TYPE_INFO)
    FLOAT = staticmethod(BasicTypeInfo.FLOAT_TYPE_INFO)
    DOUBLE = staticmethod(BasicTypeInfo.DOUBLE_TYPE_INFO)
    CHAR = staticmethod(BasicTypeInfo.CHAR_TYPE_INFO)
    BIG_INT = staticmethod(BasicTypeInfo.BIG_INT_TYPE_INFO)
    BIG_DEC = staticmethod(BasicTypeInfo.BIG_DEC_TYPE_INFO)
    INSTANT = staticmethod(BasicTypeInfo.INSTANT_TYPE_INFO)
    SQL_DATE = staticmethod(SqlTimeTypeInfo.DATE)
    SQL_TIME = staticmethod(SqlTimeTypeInfo.TIME)
    SQL_TIMESTAMP = staticmethod(SqlTimeTypeInfo.TIMESTAMP)

    @staticmethod
    def PICKLED_BYTE_ARRAY() -> PickledBytesTypeInfo:
        """Untyped, as when no type is declared."""
        return PickledBytesTypeInfo()

    @staticmethod
    def ROW(field_types: list[TypeInformation]) -> RowTypeInfo:
        """A Row whose fields are named `f0`, `f1`, …."""
        return RowTypeInfo(field_types)

    @staticmethod
    def ROW_NAMED(field_names: list[str], field_types: list[TypeInformation]) -> RowTypeInfo:
        """A Row with named fields."""
        return RowTypeInfo(field_types, field_names)

    @staticmethod
    def TUPLE(field_types: list[TypeInformation]) -> TupleTypeInfo:
        """A tuple of a fixed number of typed fields."""
        return TupleTypeInfo(field_types)

    @staticmethod
    def PRIMITIVE_ARRAY(element_type: TypeInformation) -> PrimitiveArrayTypeInfo:
        """An array of numbers, booleans or characters; of BYTE it holds `bytes`."""
        return PrimitiveArrayTypeInfo(element_type)

    @staticmethod
    def BASIC_ARRAY(element_type: TypeInformation) -> BasicArrayTypeInfo:
        """An array of basic values or None."""
        return BasicArrayTypeInfo(element_type)

    @staticmethod
    def OBJECT_ARRAY(element_type: TypeInformation) -> ObjectArrayTypeInfo:
        """An array of values of any one type, or None."""
        return ObjectArrayTypeInfo(element_type)

    @staticmethod
    def MAP(key_type_info: TypeInformation, value_type_info: TypeInformation) -> MapTypeInfo:
        """A dict."""
        return MapTypeInfo(key_type_info, value_type_info)

    @staticmethod
    def LIST(element_type_info: TypeInformation) -> ListTypeInfo:
        """A list."""
        return ListTypeInfo(element_type_info)


def _from_java_type(j_type_info: Any) -> NoReturn:
    raise UnsupportedFeatureError(
        f"_from_java_type({type(j_type_info).__name__}) is PyFlink's internal access to the JVM; Penstock has none."
    )

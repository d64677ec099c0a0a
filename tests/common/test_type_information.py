"""Types: text forms, equality, names, and types that cannot be."""

import pickle

import pytest

from penstock.common import Types
from penstock.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    ExternalTypeInfo,
    LocalTimeTypeInfo,
    RowTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)
from penstock.errors import UnsupportedFeatureError

TEXTS = {
    "String": Types.STRING(),
    "Byte": Types.BYTE(),
    "Boolean": Types.BOOLEAN(),
    "Short": Types.SHORT(),
    "Integer": Types.INT(),
    "Long": Types.LONG(),
    "Float": Types.FLOAT(),
    "Double": Types.DOUBLE(),
    "Char": Types.CHAR(),
    "BigInteger": Types.BIG_INT(),
    "BigDecimal": Types.BIG_DEC(),
    "Instant": Types.INSTANT(),
    "DateTypeInfo": Types.SQL_DATE(),
    "TimeTypeInfo": Types.SQL_TIME(),
    "TimestampTypeInfo": Types.SQL_TIMESTAMP(),
    "PickledByteArrayTypeInfo": Types.PICKLED_BYTE_ARRAY(),
    "PrimitiveArrayTypeInfo<Float>": Types.PRIMITIVE_ARRAY(Types.FLOAT()),
    "BasicArrayTypeInfo<String>": Types.BASIC_ARRAY(Types.STRING()),
    "ObjectArrayTypeInfo<TupleTypeInfo(Integer)>": Types.OBJECT_ARRAY(Types.TUPLE([Types.INT()])),
    "ListTypeInfo<Integer>": Types.LIST(Types.INT()),
    "MapTypeInfo<String, Integer>": Types.MAP(Types.STRING(), Types.INT()),
    "TupleTypeInfo(String, Integer)": Types.TUPLE([Types.STRING(), Types.INT()]),
    "RowTypeInfo(String)": Types.ROW([Types.STRING()]),
    "RowTypeInfo(a: String, b: Integer)": Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()]),
    "LocalTimeTypeInfo<LOCAL_DATE>": LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_DATE),
    "ExternalTypeInfo<Integer>": ExternalTypeInfo(Types.INT()),
}


@pytest.mark.parametrize("text", TEXTS)
def test_text(text):
    assert str(TEXTS[text]) == text


@pytest.mark.parametrize("text", TEXTS)
def test_equality_is_structural(text):
    same = pickle.loads(pickle.dumps(TEXTS[text]))
    assert same == TEXTS[text]
    assert same is not TEXTS[text]
    assert [other for other in TEXTS if TEXTS[other] == same] == [text]


def test_each_call_gives_a_new_object_that_cannot_be_hashed():
    assert Types.INT() is not Types.INT()
    for type_info in TEXTS.values():
        with pytest.raises(TypeError, match="unhashable"):
            hash(type_info)


def test_equality_of_rows_ignores_names():
    assert Types.ROW([Types.INT()]) == Types.ROW_NAMED(["a"], [Types.INT()])
    assert Types.ROW([Types.INT()]) != Types.ROW([Types.LONG()])
    assert Types.ROW([Types.INT()]) != Types.TUPLE([Types.INT()])


def test_unnamed_rows_get_names_when_asked():
    row = Types.ROW([Types.STRING(), Types.INT()])
    assert row.get_field_index("f1") == -1
    assert row.get_field_names() == ["f0", "f1"]
    assert str(row) == "RowTypeInfo(f0: String, f1: Integer)"
    assert row.get_field_index("f1") == 1
    assert row.get_field_types() == [Types.STRING(), Types.INT()]


def test_parts_can_be_read():
    assert Types.TUPLE([Types.INT()]).get_field_types() == [Types.INT()]
    assert Types.LIST(Types.INT()).elem_type == Types.INT()
    assert Types.BASIC_ARRAY(Types.INT()).element_type == Types.INT()
    assert (Types.MAP(Types.INT(), Types.LONG()).key_type, Types.INT().basic_type) == (Types.INT(), BasicType.INT)
    assert BasicTypeInfo.STRING_TYPE_INFO() == Types.STRING()


@pytest.mark.parametrize(
    "wrong",
    [
        Types.PRIMITIVE_ARRAY(Types.STRING()),
        Types.PRIMITIVE_ARRAY(Types.LIST(Types.INT())),
        Types.BASIC_ARRAY(Types.BIG_DEC()),
        Types.ROW([Types.TUPLE([Types.PRIMITIVE_ARRAY(Types.STRING())])]),
        TupleTypeInfo([int]),
        Types.LIST("int"),
        Types.MAP(Types.INT(), None),
    ],
)
def test_types_that_cannot_be_are_refused_when_used(wrong):
    with pytest.raises(TypeError):
        wrong.check()
    with pytest.raises(TypeError):
        wrong.get_java_type_info()


def test_rows_need_as_many_names_as_types():
    with pytest.raises(ValueError, match="2 names for 1 field types"):
        RowTypeInfo([Types.INT()], ["a", "b"]).check()


def test_there_is_no_java_type():
    with pytest.raises(UnsupportedFeatureError, match="access to the JVM"):
        Types.INT().get_java_type_info()


def test_values_need_no_conversion():
    assert not TypeInformation().need_conversion()
    assert Types.SQL_DATE().from_internal_type(5) == Types.SQL_DATE().to_internal_type(5) == 5

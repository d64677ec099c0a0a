"""What declared types make of values, and what they refuse."""

import datetime
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Instant, Row, RowKind, Types
from penstock.common._coercion import _STRICT, _coercer, batch_coercer_for, coercer_for, collection_coercer_for
from penstock.common._exact import exact_test
from penstock.common.typeinfo import ExternalTypeInfo, LocalTimeTypeInfo

TIME = datetime.time(1, 2, 3, 123456)
STAMP = datetime.datetime(1965, 5, 6, 1, 2, 3, 123999)


def coerce(type_info, value):
    return coercer_for(type_info)(value)


def test_untyped_values_stay():
    assert coercer_for(None) is None
    assert coercer_for(Types.PICKLED_BYTE_ARRAY()) is None


@pytest.mark.parametrize(
    ("type_info", "value", "expected"),
    [
        (Types.INT(), 5, 5),
        (Types.INT(), 1.7, 1),
        (Types.INT(), -1.7, -1),
        (Types.INT(), True, 1),
        (Types.LONG(), 2**63 - 1, 2**63 - 1),
        (Types.BYTE(), -128, -128),
        (Types.SHORT(), Decimal("3.9"), 3),
        (Types.FLOAT(), 0.1, 0.10000000149011612),
        (Types.FLOAT(), 3, 3.0),
        (Types.FLOAT(), 1e300, float("inf")),
        (Types.FLOAT(), -1e300, float("-inf")),
        (Types.DOUBLE(), 3, 3.0),
        (Types.DOUBLE(), Decimal("0.5"), 0.5),
        (Types.BOOLEAN(), True, True),
        (Types.BOOLEAN(), 0, False),
        (Types.STRING(), "ä", "ä"),
        (Types.CHAR(), "c", "c"),
        (Types.BIG_INT(), 10**40, 10**40),
        (Types.BIG_DEC(), Decimal("1.20"), Decimal("1.20")),
        (Types.BIG_DEC(), 5, Decimal(5)),
        (Types.INSTANT(), Instant(1, 2), Instant(1, 2)),
        (Types.SQL_DATE(), datetime.date(2024, 2, 29), datetime.date(2024, 2, 29)),
        (Types.SQL_DATE(), STAMP, STAMP.date()),
        (Types.SQL_TIME(), TIME, TIME.replace(microsecond=123000)),
        (Types.SQL_TIMESTAMP(), STAMP, STAMP.replace(microsecond=123000)),
        (Types.SQL_TIMESTAMP(), STAMP.replace(tzinfo=datetime.UTC), STAMP.replace(microsecond=123000)),
        (Types.TUPLE([Types.INT(), Types.STRING()]), (1.5, "a"), (1, "a")),
        (Types.TUPLE([Types.INT(), Types.STRING()]), (1, "a", "more"), (1, "a")),
        (Types.TUPLE([Types.PICKLED_BYTE_ARRAY()]), ([1],), ([1],)),
        (Types.TUPLE([Types.INT()] * 3), (1, None, 3.5), (1, None, 3)),
        (Types.LIST(Types.INT()), (1, 2.5), [1, 2]),
        (Types.LIST(Types.BYTE()), [1, -1], b"\x01\xff"),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), bytearray(b"ab"), b"ab"),
        (Types.PRIMITIVE_ARRAY(Types.FLOAT()), [0.5, 0.1], [0.5, 0.10000000149011612]),
        (Types.BASIC_ARRAY(Types.BYTE()), [1, 2], [1, 2]),
        (Types.OBJECT_ARRAY(Types.TUPLE([Types.INT()])), [(1.5,), None], [(1,), None]),
        (Types.MAP(Types.STRING(), Types.INT()), {"a": 1.5}, {"a": 1}),
        (ExternalTypeInfo(Types.INT()), 1.5, 1),
        (LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_DATE_TIME), STAMP, STAMP),
        (LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_TIME), TIME, TIME),
        (LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_DATE), STAMP.date(), STAMP.date()),
    ],
)
def test_makes_values_of_the_type(type_info, value, expected):
    made = coerce(type_info, value)
    assert made == expected
    assert type(made) is type(expected)
    assert coerce(type_info, None) is None


@pytest.mark.parametrize(
    ("type_info", "value", "error", "message"),
    [
        (Types.INT(), "5", TypeError, "an integer is required.*INT takes an int, got str '5'"),
        (Types.INT(), None.__class__, TypeError, "an integer is required"),
        (Types.INT(), 2**31, OverflowError, "INT holds -2147483648 to 2147483647, got 2147483648"),
        (Types.BYTE(), 128, OverflowError, "BYTE"),
        (Types.BIG_INT(), "5", TypeError, "BIG_INT takes an int"),
        (Types.FLOAT(), "x", TypeError, "FLOAT takes a number"),
        (Types.DOUBLE(), "1.0", TypeError, "must be real number"),
        (Types.BOOLEAN(), "true", TypeError, "BOOLEAN takes a bool"),
        (Types.STRING(), 5, AttributeError, "'int' object has no attribute 'encode'"),
        (Types.STRING(), b"x", AttributeError, "'bytes' object has no attribute 'encode'"),
        (Types.BIG_DEC(), "x", TypeError, "BIG_DEC takes a Decimal"),
        (Types.INSTANT(), 5, AttributeError, "seconds"),
        (Types.SQL_DATE(), "2024-01-01", AttributeError, "toordinal"),
        (Types.SQL_TIME(), 5, AttributeError, "SQL_TIME takes a time"),
        (Types.SQL_TIMESTAMP(), datetime.date(2024, 1, 1), AttributeError, "SQL_TIMESTAMP takes a datetime"),
        (Types.TUPLE([Types.INT()]), [1], TypeError, "Expected tuple, got list"),
        (Types.TUPLE([Types.INT(), Types.INT()]), Row(1, 2), TypeError, "Expected tuple, got Row"),
        (Types.TUPLE([Types.INT(), Types.INT()]), (1,), IndexError, "tuple index out of range"),
        (Types.ROW([Types.INT()]), (1,), AttributeError, "get_fields_by_names"),
        (Types.ROW([Types.INT()]), {"f0": 1}, AttributeError, "get_fields_by_names"),
        (Types.ROW([Types.INT(), Types.INT()]), Row(1), IndexError, "index out of range"),
        (Types.ROW_NAMED(["a"], [Types.INT()]), Row(b=1), Exception, "not exist"),
        (Types.LIST(Types.INT()), "12", TypeError, "takes a list"),
        (Types.LIST(Types.INT()), 5, TypeError, "takes a list"),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), "ab", TypeError, "takes bytes"),
        (Types.MAP(Types.INT(), Types.INT()), [1], TypeError, "MAP takes a dict"),
    ],
)
def test_refuses_what_the_type_cannot_hold(type_info, value, error, message):
    with pytest.raises(error, match=message):
        coerce(type_info, value)


def test_rows_get_the_names_of_the_type_and_keep_their_kind():
    row = coerce(Types.ROW([Types.INT(), Types.STRING()]), Row.of_kind(RowKind.UPDATE_AFTER, 1.5, "x"))
    assert repr(row) == "Row(f0=1, f1='x')"
    assert row.get_row_kind() is RowKind.UPDATE_AFTER


def test_named_rows_are_matched_by_name():
    assert coerce(Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()]), Row(b="x", a=1)) == Row(a=1, b="x")


def test_the_row_given_is_not_changed():
    given_row = Row(1.5, [1])
    coerce(Types.ROW([Types.INT(), Types.PICKLED_BYTE_ARRAY()]), given_row)
    assert repr(given_row) == "<Row(1.5, [1])>"


@dataclass
class Point:
    x: int
    y: int


@pytest.mark.parametrize("element", [(1, 2), [1, 2], {"x": 1, "y": 2}, Row(1, 2), Row(y=2, x=1), Point(1, 2)])
def test_a_collection_takes_rows_in_many_forms(element):
    point = Types.ROW_NAMED(["x", "y"], [Types.INT(), Types.INT()])
    assert collection_coercer_for(point)(element) == Row(x=1, y=2)
    assert collection_coercer_for(Types.LIST(point))([element]) == [Row(x=1, y=2)]
    assert collection_coercer_for(Types.TUPLE([point, Types.INT()]))([element, 3]) == (Row(x=1, y=2), 3)


def test_a_collection_refuses_what_has_no_fields():
    with pytest.raises(TypeError, match="Unexpected"):
        collection_coercer_for(Types.ROW([Types.INT()]))(5)


@given(st.integers(), st.sampled_from([(Types.BYTE(), 8), (Types.SHORT(), 16), (Types.INT(), 32), (Types.LONG(), 64)]))
def test_integers_are_kept_or_refused_never_changed(number, kind):
    type_info, bits = kind
    if -(1 << bits - 1) <= number < 1 << bits - 1:
        assert coerce(type_info, number) == number
    else:
        with pytest.raises(OverflowError):
            coerce(type_info, number)


SIMPLE = [
    (Types.INT, st.integers(-(2**31), 2**31 - 1)),
    (Types.STRING, st.text(max_size=3)),
    (Types.DOUBLE, st.floats(allow_nan=False)),
    (Types.BOOLEAN, st.booleans()),
]


def typed_values(depth):
    """Pairs of a type and a value that it holds already."""
    simple = st.sampled_from(SIMPLE).flatmap(lambda pair: pair[1].map(lambda value: (pair[0](), value)))
    if depth == 0:
        return simple
    fields = st.lists(typed_values(depth - 1), min_size=1, max_size=3)
    tuples = fields.map(lambda found: (Types.TUPLE([t for t, _ in found]), tuple(v for _, v in found)))
    rows = fields.map(
        lambda found: (Types.ROW([t for t, _ in found]), Row(**{f"f{i}": v for i, (_, v) in enumerate(found)}))
    )
    lists = typed_values(depth - 1).map(lambda pair: (Types.LIST(pair[0]), [pair[1], pair[1]]))
    return st.one_of(simple, tuples, rows, lists)


@given(typed_values(2))
def test_a_value_of_the_type_stays_equal(pair):
    type_info, value = pair
    once = coerce(type_info, value)
    assert once == value
    assert coerce(type_info, once) == once
    assert collection_coercer_for(type_info)(value) == value


def outcome(function, value):
    """What a function makes of a value: a text of the result, or the class of the error."""
    try:
        made = function(value)
    except Exception as error:
        return type(error)
    return repr(made), made.get_row_kind() if isinstance(made, Row) else None


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=2), st.decimals(), st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(lambda values: Row(*values)),
        st.lists(inner, max_size=3).map(lambda values: Row(**{f"f{i}": v for i, v in enumerate(values)})),
    ),
    max_leaves=6,
)


@given(typed_values(2), ANYTHING)
def test_the_fast_path_decides_as_the_coercer_does(pair, other):
    type_info, value = pair
    for each in (value, other):
        assert outcome(coercer_for(type_info), each) == outcome(_coercer(type_info, _STRICT), each)


@given(st.lists(st.one_of(st.tuples(st.text(max_size=2), st.integers()), ANYTHING), max_size=6))
def test_a_batch_is_coerced_as_its_values_are(batch):
    type_info = Types.TUPLE([Types.STRING(), Types.INT()])
    single, whole = coercer_for(type_info), batch_coercer_for(type_info)
    outcomes = [outcome(single, value) for value in batch]
    if all(isinstance(each, tuple) for each in outcomes):
        made = whole(batch)
        assert [(repr(value), None) for value in made] == outcomes
        assert made is not batch
    else:
        with pytest.raises(next(each for each in outcomes if isinstance(each, type))):
            whole(batch)


def test_batches_without_a_fast_path_are_coerced_too():
    assert batch_coercer_for(None) is None
    assert batch_coercer_for(Types.LIST(Types.INT()))([(1.5,), [2]]) == [[1], [2]]
    assert batch_coercer_for(Types.ROW([Types.INT()]))([Row(1), Row(f0=2.5)]) == [Row(f0=1), Row(f0=2)]
    assert batch_coercer_for(Types.INT())([1, 2.5, None]) == [1, 2, None]


def test_exact_tests_are_expressions_over_a_name():
    assert exact_test(None, "v") == exact_test(Types.PICKLED_BYTE_ARRAY(), "v") == ""
    pair = Types.TUPLE([Types.STRING(), Types.PICKLED_BYTE_ARRAY(), Types.BYTE()])
    assert exact_test(pair, "v") == (
        "type(v) is tuple and len(v) == 3 and type(v[0]) is str and type(v[2]) is int and -128 <= v[2] <= 127"
    )
    for none in (Types.FLOAT(), Types.LIST(Types.INT()), Types.TUPLE([Types.FLOAT()]), Types.TUPLE([Types.INT()] * 40)):
        assert exact_test(none, "v") is None


def test_rows_that_are_exact_stay_what_they_are():
    row = Row(f0=1, f1="x")
    assert coerce(Types.ROW([Types.INT(), Types.STRING()]), row) is row
    unnamed = Row.of_kind(RowKind.DELETE, 1, "x")
    made = coerce(Types.ROW([Types.INT(), Types.STRING()]), unnamed)
    made[0] = 5
    assert (unnamed[0], made.get_row_kind()) == (1, RowKind.DELETE)

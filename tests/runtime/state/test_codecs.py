"""Values as bytes on disk."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common.typeinfo import Types
from penstock.common.types import Row, RowKind
from penstock.runtime.state import StateBackendError
from penstock.runtime.state._codecs import ValueCodec, code_of, stamp_of

TYPES = [
    Types.INT(), Types.LONG(), Types.DOUBLE(), Types.FLOAT(), Types.STRING(), Types.BOOLEAN(),
    Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.TUPLE([Types.LONG(), Types.STRING(), Types.DOUBLE(), Types.STRING()]),
    Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()]), Types.PICKLED_BYTE_ARRAY(), Types.BIG_DEC(),
    Types.TUPLE([Types.LIST(Types.INT())]), None,
]  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters(exclude_categories=[])),
    st.binary(), st.tuples(st.integers(), st.text(), st.floats(allow_nan=False), st.text()), st.lists(st.integers()),
    st.builds(Row, st.integers(), st.text()), st.builds(lambda a, b: Row(a=a, b=b), st.integers(), st.text()),
)  # fmt: skip


@given(st.sampled_from(TYPES), VALUES)
def test_any_value_of_any_type_comes_back_as_it_was(type_info: Any, value: Any) -> None:
    codec = ValueCodec("s", [], code_of(type_info), ttl=False)
    decoded = codec.decode(codec.encode(value))
    assert decoded == value
    assert repr(decoded) == repr(value)
    stamped = ValueCodec("s", [], code_of(type_info), ttl=True)
    data = stamped.encode((value, 1234567890123))
    assert stamp_of(data) == 1234567890123
    assert stamped.decode(data) == (value, 1234567890123)
    assert stamp_of(codec.encode(value)) is None


@given(st.sampled_from(TYPES), st.lists(VALUES, min_size=1))
def test_lists(type_info: Any, values: list[Any]) -> None:
    codec = ValueCodec("s", [], code_of(type_info), ttl=False)
    assert repr(codec.decode_list(codec.encode_list(values))) == repr(values)


def test_declared_types_are_compact() -> None:
    for type_info, value, size in (
        (Types.LONG(), 5, 9),
        (Types.DOUBLE(), 0.5, 9),
        (Types.STRING(), "abc", 4),
        (Types.TUPLE([Types.LONG(), Types.DOUBLE()]), (1, 0.5), 17),
        (Types.TUPLE([Types.STRING(), Types.LONG()]), ("abc", 1), 16),
        (Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()]), Row(a=1, b="abc"), 16),
    ):
        assert len(ValueCodec("s", [], code_of(type_info), ttl=False).encode(value)) == size
    longs = ValueCodec("s", [], "q", ttl=False)
    assert len(longs.encode_list([1, 2, 3])) == 25


def test_a_row_of_another_kind_keeps_it() -> None:
    codec = ValueCodec("s", [], code_of(Types.ROW_NAMED(["a"], [Types.INT()])), ttl=False)
    row = Row(a=1)
    row.set_row_kind(RowKind.DELETE)
    assert codec.decode(codec.encode(row)).get_row_kind() is RowKind.DELETE


def test_a_schema_keeps_the_codes_it_ever_had() -> None:
    before = ValueCodec("s", [], "q", ttl=False)
    data = before.encode(5)
    untyped = ValueCodec("s", before.codes, None, ttl=False)
    assert untyped.decode(data) == 5
    assert untyped.codes == ["q"]
    other = ValueCodec("s", before.codes, ["T", "q", "s"], ttl=True, born_ms=7)
    assert other.decode(data) == (5, 7)
    assert other.decode(other.encode(((1, "x"), 9))) == ((1, "x"), 9)
    assert other.decode_list(before.encode_list([1, 2])) == [(1, 7), (2, 7)]
    plain_again = ValueCodec("s", other.codes, "q", ttl=False)
    assert plain_again.decode(other.encode(((1, "x"), 9))) == (1, "x")
    assert plain_again.decode_list(other.encode_list([(1, 7)])) == [1]


def test_what_cannot_be_pickled_or_read_is_said() -> None:
    codec = ValueCodec("clicks", [], None, ttl=False)
    with pytest.raises(StateBackendError, match="State 'clicks' holds a value that cannot be pickled"):
        codec.encode(x for x in ())
    with pytest.raises(StateBackendError, match="state 'clicks' cannot be read.*importable"):
        codec.decode(b"\x00\x80\x04cno_such_module\nThing\n.")


def test_functions_and_local_classes_are_pickled_by_value() -> None:
    codec = ValueCodec("s", [], None, ttl=False)
    assert codec.decode(codec.encode(lambda: 42))() == 42

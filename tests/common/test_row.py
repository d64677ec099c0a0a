"""Rows: access, names, kinds, equality, text, pickles."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Row, RowKind
from penstock.common.types import _create_row


def test_reads_by_index_slice_name_and_attribute():
    row = Row(a=1, b="x", c=None)
    assert (row[0], row[-1], row[0:2], row["b"], row.b) == (1, None, [1, "x"], "x", "x")
    assert list(row) == [1, "x", None]
    assert len(row) == 3
    assert "a" in row
    assert 1 not in row


def test_values_are_what_an_unnamed_row_contains():
    assert 1 in Row(1, 2)
    assert "a" not in Row(1, 2)


def test_is_made_of_values_or_of_named_values():
    with pytest.raises(ValueError, match="can not use both args and kwargs"):
        Row(1, b=2)


def test_writes_by_index_slice_and_name_not_by_attribute():
    row = Row(a=1, b=2)
    row["a"] = 5
    row[1] = 6
    assert row == Row(a=5, b=6)
    row[0:2] = [7, 8]
    assert list(row) == [7, 8]
    with pytest.raises(AttributeError, match=r"row\['a'\]"):
        row.a = 1
    with pytest.raises(KeyError):
        Row(1)["a"] = 2
    with pytest.raises(ValueError, match="z"):
        row["z"] = 2


def test_missing_names():
    with pytest.raises(AttributeError):
        Row(a=1).b  # noqa: B018
    with pytest.raises(ValueError, match="b"):
        Row(a=1)["b"]
    with pytest.raises(AttributeError):
        Row(1)["b"]
    assert not hasattr(Row(1), "_fields")
    assert Row(a=1)._fields == ["a"]


def test_named_rows_are_equal_by_name_unnamed_ones_by_position():
    assert Row(a=1, b=2) == Row(b=2, a=1)
    assert Row(a=1, b=2) != Row(a=1, c=2)
    assert Row(a=1, b=2) != Row(1, 2)
    assert Row(1, 2) == Row(1, 2)
    assert Row(1, 2) != Row(2, 1)
    assert Row(1) != (1,)
    assert Row.of_kind(RowKind.DELETE, 1) != Row(1)


def test_hash_is_that_of_the_values():
    assert hash(Row(a=1, b=2)) == hash(Row(1, 2)) == hash((1, 2))
    with pytest.raises(TypeError):
        hash(Row([1]))


def test_text():
    assert repr(Row(a=1, b="x")) == "Row(a=1, b='x')"
    assert repr(Row(1, "x")) == "<Row(1, 'x')>"
    assert [str(kind) for kind in RowKind] == ["+I", "-U", "+U", "-D"]


def test_kind_is_insert_unless_set():
    row = Row(1)
    assert row.get_row_kind() is RowKind.INSERT
    row.set_row_kind(RowKind.UPDATE_AFTER)
    assert row.get_row_kind() is RowKind.UPDATE_AFTER
    assert Row.of_kind(RowKind.UPDATE_BEFORE, a=1)._is_retract_msg()
    assert Row(1)._is_accumulate_msg()


def test_as_dict():
    assert Row(a=1, b=Row(c=2)).as_dict() == {"a": 1, "b": Row(c=2)}
    nested = Row(a=[Row(c=2)], b={"k": Row(d=3)})
    assert nested.as_dict(recursive=True) == {"a": [{"c": 2}], "b": {"k": {"d": 3}}}
    with pytest.raises(TypeError, match="no field names"):
        Row(1).as_dict()


def test_calling_a_row_makes_a_row_of_its_values_as_names():
    person = Row("name", "age")
    assert person("Alice", 11) == Row(name="Alice", age=11)
    with pytest.raises(ValueError, match="expected 2 values"):
        person(1, 2, 3)


def test_fields_by_names():
    row = Row(a=1, b=2)
    assert row.get_fields_by_names(["b", "a"]) == [2, 1]
    assert row.get_fields_by_names(["a", "b"]) == [1, 2]
    assert Row(1, 2).get_fields_by_names(["x", "y"]) == [1, 2]
    with pytest.raises(Exception, match=r"Field names \['c'\] not exist in \['a', 'b'\]"):
        row.get_fields_by_names(["a", "c"])


@given(
    st.lists(st.one_of(st.integers(), st.text(), st.none()), max_size=5),
    st.booleans(),
    st.sampled_from(list(RowKind)),
)
def test_survives_pickling_and_copying_with_names_and_kind(values, named, kind):
    row = Row(**{f"f{i}": v for i, v in enumerate(values)}) if named and values else Row(*values)
    row.set_row_kind(kind)
    for other in (pickle.loads(pickle.dumps(row)), copy.deepcopy(row), copy.copy(row)):
        assert other == row
        assert repr(other) == repr(row)
        assert other.get_row_kind() is kind


def test_a_pickle_names_what_pyflink_names():
    assert Row(a=1).__reduce__() == (_create_row, (["a"], (1,), RowKind.INSERT))
    assert _create_row(("a",), (1,)) == Row(a=1)

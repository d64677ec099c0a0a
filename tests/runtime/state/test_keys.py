"""Keys as bytes, key groups."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import pickle
import subprocess
import sys
from collections import Counter
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common.types import Row
from penstock.datastream.window import TimeWindow
from penstock.errors import ConfigurationError
from penstock.runtime.state import (
    FrozenKey,
    KeyEncodingError,
    KeyGroups,
    decode_key,
    default_max_parallelism,
    encode_key,
    freeze_key,
    key_group_of,
    key_group_range,
    subtask_for,
    thaw_key,
)


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=[]), max_size=8),
    st.binary(max_size=8),
    st.dates(),
)
KEYS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner), st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(KEYS, st.binary(max_size=4), st.binary(max_size=4))
def test_decoding_gives_the_value_and_its_type_back(key: Any, before: bytes, after: bytes) -> None:
    encoded = encode_key(key)
    decoded, end = decode_key(before + encoded + after, len(before))
    assert end == len(before) + len(encoded)
    assert decoded == key
    assert typed(decoded) == typed(key)


def typed(value: Any) -> Any:
    """A value with the types of all its parts."""
    if isinstance(value, dict):
        return {(type(name), name): typed(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value), [typed(part) for part in value]
    return type(value), repr(value)


@given(KEYS, KEYS)
def test_no_encoding_is_a_prefix_of_another(left: Any, right: Any) -> None:
    if encode_key(left) != encode_key(right):
        assert not encode_key(left).startswith(encode_key(right))


@given(
    st.one_of(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1)),
        st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
    )
)
def test_numbers_sort_as_they_do(pair: Any) -> None:
    left, right = pair
    if left != right:
        assert (encode_key(left) < encode_key(right)) == (left < right)


@pytest.mark.parametrize(
    "key",
    [
        Colour.RED,
        Point(1, 2),
        decimal.Decimal("1.20"),
        Row(1, "x"),
        Row(a=[1]),
        TimeWindow(-5, 10),
        {1, 2},
        frozenset("ab"),
        datetime.datetime(2024, 1, 2, 3),
        math.inf,
        range(3),
    ],
    ids=repr,
)
def test_other_values_are_pickled(key: Any) -> None:
    decoded, _ = decode_key(encode_key(key))
    assert decoded == key
    assert type(decoded) is type(key)


def test_equal_values_built_differently_have_one_encoding() -> None:
    text = "ab"
    same, other = [text, text], ["ab", "".join(["a", "b"])]
    assert encode_key(same) == encode_key(other)
    assert encode_key(Row(text, text)) == encode_key(Row("ab", "".join(["a", "b"])))
    assert encode_key({"a": 1, "b": 2}) == encode_key({"b": 2, "a": 1})
    assert encode_key({3, 1, 2}) == encode_key({1, 2, 3})
    assert encode_key(numpy.int64(5)) == encode_key(5)


def test_frozen_keys() -> None:
    for key in ("text", 1, (1, "x"), None, Colour.RED):
        assert freeze_key(key) is key
        assert thaw_key(key) is key
    for key in ([1, 2], {"a": [1]}, (1, [2]), {1}):
        frozen = freeze_key(key)
        assert isinstance(frozen, FrozenKey)
        assert frozen == freeze_key(pickle.loads(pickle.dumps(key)))
        assert hash(frozen) == hash(freeze_key(key))
        assert thaw_key(frozen) == key
        assert pickle.loads(pickle.dumps(frozen)) == frozen
        assert encode_key(frozen) == encode_key(key)
        assert freeze_key(frozen) is frozen
    assert freeze_key([1]) != freeze_key([2])


def test_keys_without_an_identity_are_refused() -> None:
    with pytest.raises(KeyEncodingError, match="cannot be pickled"):
        encode_key(x for x in ())
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(KeyEncodingError, match="contains itself"):
        encode_key(endless)


def test_key_groups_are_the_same_in_every_process() -> None:
    keys = ["a", "é", 7, -1, 2**80, 1.5, None, True, b"x", (1, "b"), [1], {"k": 1}]
    program = f"from penstock.runtime.state import key_group_of; print([key_group_of(k, 128) for k in {keys!r}])"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "99"}
    )
    assert run.stdout.strip() == str([key_group_of(key, 128) for key in keys])
    assert [key_group_of(key, 128) for key in keys] == [74, 61, 84, 30, 1, 37, 95, 4, 26, 11, 81, 122]


def test_keys_that_are_equal_share_a_group() -> None:
    assert key_group_of(1, 128) == key_group_of(1.0, 128) == key_group_of(True, 128)
    assert key_group_of((1, 2.0), 128) == key_group_of((1.0, 2), 128)


@pytest.mark.parametrize(
    "keys",
    [[f"user-{n}" for n in range(12_800)], list(range(0, 12_800 * 128, 128)), [float(n) / 7 for n in range(12_800)]],
)
def test_groups_are_spread_evenly(keys: list[Any]) -> None:
    counts = Counter(key_group_of(key, 128) for key in keys)
    assert len(counts) == 128
    assert min(counts.values()) > 40
    assert max(counts.values()) < 180


def test_many_groups_at_once() -> None:
    groups = KeyGroups(128)
    keys = [f"k{number}" for number in range(1000)]
    assert groups.of_all(keys) == [key_group_of(key, 128) for key in keys] == groups.of_all(keys)
    assert groups.of("k1") == key_group_of("k1", 128)
    mixed: list[Any] = ["a", 1, True, 2.0, 2, b"a", (1, 2.0), None]
    for some in (keys, [1, 2, 3], [b"a"], mixed, []):
        assert groups.of_encoded(some, list(map(encode_key, some))) == [key_group_of(key, 128) for key in some]
    split = groups.split(keys)
    assert sorted(key for part in split.values() for key in part) == sorted(keys)
    assert groups.table(4) == [subtask_for(group, 128, 4) for group in range(128)]


@given(st.integers(1, 200), st.integers(1, 1000))
def test_ranges_divide_the_groups_among_the_subtasks(parallelism: int, more: int) -> None:
    max_parallelism = parallelism + more
    ranges = [key_group_range(subtask, max_parallelism, parallelism) for subtask in range(parallelism)]
    assert [group for r in ranges for group in range(r.start, r.end + 1)] == list(range(max_parallelism))
    for subtask, own in enumerate(ranges):
        assert subtask_for(own.start, max_parallelism, parallelism) == subtask
        assert subtask_for(own.end, max_parallelism, parallelism) == subtask
        assert own.start in own
        assert own.end + 1 not in own


def test_more_subtasks_than_groups_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Parallelism 5 is above the maximum parallelism 4"):
        key_group_range(0, 4, 5)


@pytest.mark.parametrize(("parallelism", "expected"), [(1, 128), (85, 128), (86, 256), (200, 512), (30_000, 32_768)])
def test_default_max_parallelism_is_flinks(parallelism: int, expected: int) -> None:
    assert default_max_parallelism(parallelism) == expected

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.conf import Configuration, ConfigurationFileError, configuration_from_yaml
from penstock.conf._simple_yaml import read_simple
from penstock.conf._yaml import read_entries


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10), ("+7", 7), ("-0", 0), ("0o17", 15), ("0x1F", 31), ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"), ("-9223372036854775809", "-9223372036854775809"),
        ("0x8000000000000000", "9223372036854775808"), ("9" * 5000, "9" * 5000),
        ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e9", 1e9), ("-1.5E-3", -0.0015), (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("true", True), ("True", True), ("FALSE", False), ("yes", "yes"), ("on", "on"), ("tRUE", "tRUE"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("0x1G", "0x1G"), ("0b1", "0b1"),
        ("1e", "1e"),
        ("'010'", "010"), ('"true"', "true"), ("\"a\\tb\"", "a\tb"), ("!!str 5", "5"), ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("|\n  512m", "512m\n"), (">-\n  a\n  b", "a b"), ("[a, 1, 'true']", "[a, 1, 'true']"), ("[]", "[]"),
        ("<<", "<<"),
        ("4 g # note", "4 g"), ("a#b", "a#b"), ("\u00e9", "\u00e9"), ("'it''s'", "it's"), ("+", "+"), ("-", None),
    ],
)  # fmt: skip
def test_what_a_scalar_is_in_yaml_1_2(text: str, value: object) -> None:
    if value is None:
        with pytest.raises(ConfigurationFileError):
            configuration_from_yaml(f"k: {text}\n")
        return
    found = configuration_from_yaml(f"k: {text}\n").raw("k")
    assert found == value
    assert type(found) is type(value)


def test_nan() -> None:
    value = configuration_from_yaml("k: .NaN").raw("k")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_nested_and_flat_keys_mix_and_the_later_one_wins() -> None:
    text = "a.b.c: 1\na:\n  b: {c: 2, d: 3}\n  e: x\na.e: y\n"
    assert configuration_from_yaml(text).raw_values() == {"a.b.c": 2, "a.b.d": 3, "a.e": "y"}


def test_a_null_key_is_the_text_null() -> None:
    assert configuration_from_yaml("~: x\na: {null: 1}\n").raw_values() == {"null": "x", "a.null": 1}


def test_anchors_and_merge_keys() -> None:
    text = "x: &x {m: 1}\ny: *x\nz:\n  <<: *x\n"
    assert configuration_from_yaml(text).raw_values() == {"x.m": 1, "y.m": 1, "z.<<.m": 1}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "{}", "a: {}\n", "\ufeff"])
def test_empty_configurations(text: str) -> None:
    assert configuration_from_yaml(text.lstrip("\ufeff")) == Configuration()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a:\n", 1), ("a: ~\n", 1), ("b: 1\na: null\n", 2), ("a:\n  b:\n  c: 1\n", 2),
        ("a: 1\na: 2\n", 2), ("a: {x: 1, x: 2}\n", 1), ("a:\n  x: 1\n  x: 2\n", 3),
        ("- a\n", 1), ("text\n", 1), ("5\n", 1), ("1: x\n", 1), ("true: x\n", 1), ("a: {1: x}\n", 1), ("[x]: 1\n", 1),
        ("a: [1\n", None), ("a: b: c\n", 1), ("a: 'x\n", None), ("a: *nope\n", 1), ("a: &x [*x]\n", 1),
        ("a: !foo x\n", 1),
        ("a: !!int x\n", 1), ("a: !!map 5\n", 1), ("a: 1\n---\nb: 2\n", None), ("a:\n\tb: 1\n", None), ("a: @x\n", 1),
        ("a: \"\\q\"\n", 1), ("a: 1\n b: 2\n", 2), ("a: +.inf\n", 1), ("%FOO\n---\na: 1\n...\n}", None), ("a: {[x]: 1}\n", None),
    ],
)  # fmt: skip
def test_files_that_are_refused_whole(text: str, line: int | None) -> None:
    with pytest.raises(ConfigurationFileError) as caught:
        configuration_from_yaml(text, "conf/config.yaml")
    error = caught.value
    assert error.error_id == "yaml-invalid"
    assert error.path == "conf/config.yaml"
    if line is not None:
        assert error.line == line
    assert str(error).startswith("conf/config.yaml")


@pytest.mark.parametrize(
    "text",
    ["a:\t1", "a: \t1", '{a:\t1}', "a: [1,\t2]", 'a: "x"\t', "a: [1]\t# c", "a:\t# c\n  b: 1", "\t\na: 1", "a: &x\t1",
     "a: {\n\tb: 1\n}", "a: b\n  \tc", "---\ta", "a: |\t\n  x"],
)  # fmt: skip
def test_tabs_separate_nothing(text: str) -> None:
    with pytest.raises(ConfigurationFileError):
        configuration_from_yaml(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a: 1\t", 1), ("a: x \t # c", "x"), ("a: x\ty", "x\ty"), ("a: |\n  x\ty\n", "x\ty\n"), ('a: "x\n\ty"', "x y"),
     ("a\t: 1", 1), ("a: x\t\n  y", "x y"), ('a: "x\ty"', "x\ty"), ("a: x # \t c", "x")],
)  # fmt: skip
def test_tabs_are_blanks_in_scalars(text: str, value: object) -> None:
    assert configuration_from_yaml(text).raw("a") == value


def test_values_know_their_line() -> None:
    configuration = configuration_from_yaml("a:\n  # note\n  b: 1\nc: [x,\n  y]\n", "f.yaml")
    assert str(configuration.source("a.b")) == "f.yaml:3"
    assert str(configuration.source("c")) == "f.yaml:4"


def test_too_many_aliases_of_collections() -> None:
    text = "x: &x {m: 1}\n" + "".join(f"y{index}: *x\n" for index in range(51))
    with pytest.raises(ConfigurationFileError):
        configuration_from_yaml(text)
    assert len(configuration_from_yaml("x: &x 1\n" + "".join(f"y{index}: *x\n" for index in range(60)))) == 61


KEYS = [
    "a",
    "b.c",
    "taskmanager",
    "memory",
    "x-y",
    "null",
    "true",
    "1",
    "a b",
    "'q'",
    '"q"',
    "size",
    "é",
    "?",
    "- a",
    "",
    "~",
    "<<",
]
words = st.sampled_from(KEYS)

SCALARS = (
    """1|010|4g|4 g|0.5|1.|1e9|0x10|true|Yes|null|~|'a'|"a"|'a''b'|"a\\tb"|a: b|[a]|{}|a #c|a#c|#c|-1|+1|5d|5f|1e5m"""
    """|0o7b|http://x:80|a:|&x a|*x|!t a|%a|-||12:30|1_0|'x' y|"x" # c|   4g   |é|x\tg|99999999999999999999|1.5.2"""
    """|2024-01-01|.inf"""
)
scalars = st.sampled_from([*SCALARS.split("|"), "|"])
lines = st.builds(
    lambda indent, key, space, scalar: " " * indent + key + ":" + " " * space + scalar,
    st.sampled_from([0, 0, 2, 2, 4, 1]), words, st.integers(0, 2), scalars,
) | st.sampled_from(["", "# c", "  # c", "---", "...", "a", "  b", "\t", "a:", "  b:", "c:  # note"])  # fmt: skip


@given(st.lists(lines, max_size=6))
def test_the_simple_reader_agrees_with_the_real_one_or_leaves_it_to_it(content: list[str]) -> None:
    text = "\n".join(content)
    simple = read_simple(text)
    if simple is not None:
        real = read_entries(text, "f")
        assert simple == real
        assert [type(value) for _, value, _ in simple] == [type(value) for _, value, _ in real]


def test_the_simple_reader_reads_what_configurations_look_like() -> None:
    text = """\
# TaskManager
taskmanager:
  numberOfTaskSlots: 4
  memory:
    process:
      size: 4g   # of the container
    network:
      fraction: 0.15
state.backend.type: 'rocksdb'
execution.checkpointing.dir: "file:///data"
parallelism:
  default: 1
"""
    assert read_simple(text) == read_entries(text, "f") is not None

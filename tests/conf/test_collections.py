from __future__ import annotations

import pytest

from penstock.conf._collections import read_list, read_map, split_quoted


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("  ", []),
        ("a;b", ["a", "b"]),
        (" a ; b ", ["a", "b"]),
        (";a;", ["a"]),
        ("a;;b", ["a", "", "b"]),
        ("'a;b';c", ["a;b", "c"]),
        ('"AB\'D";B', ["AB'D", "B"]),
        ("'AB''D;B';C", ["AB'D;B", "C"]),
        ("'' ;x", ["", "x"]),
        ("A'BD;B';C", ["A'BD", "B'", "C"]),
        ("a\u00a0;b", ["a\u00a0", "b"]),
    ],
)
def test_splitting_outside_quotes(text: str, parts: list[str]) -> None:
    assert split_quoted(text, ";") == parts


@pytest.mark.parametrize("text", ["'a", '"a', "'a'b", "'a' b", "'a''", "'a'\u00a0;b"])
def test_illegal_quotes(text: str) -> None:
    with pytest.raises(ValueError, match="quote"):
        split_quoted(text, ";")


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", {}),
        ("{}", {}),
        ("PYTHON:30", {"PYTHON": "30"}),
        ("OPERATOR:70,STATE_BACKEND:70,", {"OPERATOR": "70", "STATE_BACKEND": "70"}),
        (",a:1", {"a": "1"}),
        ("{OPERATOR: 70, PYTHON: 30}", {"OPERATOR": "70", "PYTHON": "30"}),
        ("PYTHON: 5", {"PYTHON": "5"}),
        ("PYTHON: 010", {"PYTHON": "10"}),
        ("PYTHON: 0x10", {"PYTHON": "16"}),
        ("PYTHON: 1.50", {"PYTHON": "1.5"}),
        ("PYTHON: true", {"PYTHON": "true"}),
        ("PYTHON: [1]", {"PYTHON": "[1]"}),
        ("PYTHON:3 ,  OPERATOR:\t4", {"PYTHON": "3", "OPERATOR": "4"}),  # a tab separates nothing in YAML
        ("{[a]: 1}", {"[a]": "1"}),
        ("OPERATOR: 70, PYTHON: 30", {"OPERATOR": "70", "PYTHON": "30"}),  # no YAML, but good pairs
        ("OPERATOR: 1\nPYTHON: 2", {"OPERATOR": "1", "PYTHON": "2"}),
        ("a:'c,d'", None),
        ("{a: 1, a: 2}", {"{a": "1", "a": "2}"}),  # a repeated key is no YAML; the pairs are odd but pairs
        ("{a: null}", {"{a": "null}"}),
        ("a:'x:y'", {"a": "x:y"}),
    ],
)
def test_maps(text: str, entries: dict[str, str] | None) -> None:
    if entries is None:
        with pytest.raises(ValueError, match=r"pair|quote"):
            read_map(text)
    else:
        assert read_map(text) == entries


@pytest.mark.parametrize(
    "text", ["PYTHON", "PYTHON:", "PYTHON: ", ":1", "a:b:c", "a:1,a:2", "a:1,,b:2", "'a", "[a]", "a:1 b:2:3"]
)
def test_no_maps(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_map(text)


def test_lists() -> None:
    assert read_list("[a, 'b;c', 1, true]") == ["a", "b;c", "1", "true"]
    assert read_list("- a\n- b") == ["a", "b"]
    assert read_list("[a, null]") == ["[a, null]"]
    assert read_list("a;b;") == ["a", "b"]
    assert read_list("") == []

"""Every vector is answered as Flink answers it: values, error ids with option and detail, and remarks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.tools.plan import answer_request

VECTORS = Path(__file__).parent.parent / "data" / "flink-2.2.1-memory.jsonl"

# Flink's own words and the place in its oracle, which no other implementation needs to match.
UNMATCHED = {"id", "error", "error_class", "stage"}


def load() -> dict[str, list[dict[str, Any]]]:
    by_role: dict[str, list[dict[str, Any]]] = {}
    for line in VECTORS.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        by_role.setdefault(case["role"], []).append(case)
    return by_role


CASES = load()


def question(case: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in case.items() if key not in ("expect", "family")}


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in UNMATCHED}


@pytest.mark.parametrize("role", sorted(CASES))
def test_all_vectors_of_a_role(role: str) -> None:
    wrong = {}
    for case in CASES[role]:
        given = comparable(json.loads(json.dumps(answer_request(question(case)))))
        if given != comparable(case["expect"]):
            wrong[case["id"]] = (given, case["expect"])
    assert not wrong


def test_there_are_all_vectors() -> None:
    assert len(CASES) == 9
    assert sum(map(len, CASES.values())) == 1506


def test_answers_come_out_of_the_script_one_a_line() -> None:
    requests = [question(cases[0]) for cases in CASES.values()]
    script = Path(__file__).with_name("answer.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        input="\n".join(map(json.dumps, requests)),
        capture_output=True,
        text=True,
        check=True,
    )
    given = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["id"] for each in given] == [each["id"] for each in requests]
    assert done.stderr == ""

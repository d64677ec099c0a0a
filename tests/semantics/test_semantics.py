"""Penstock gives what PyFlink gave: each case of each program, against its recorded answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from semantics_case import (
    EXPECTED,
    PROGRAMS,
    Case,
    arrange_lines,
    case_names,
    error_text,
    load_program,
    new_environment,
    run_case,
)

import penstock.compat

penstock.compat.install()


def all_cases() -> Iterator[Any]:
    for path in sorted(PROGRAMS.glob("*.py")):
        for name in case_names(path):
            yield pytest.param(path, name, id=f"{path.stem}:{name}")


@cache
def program(path: Path) -> dict[str, Case]:
    return load_program(path)


@pytest.mark.parametrize(("path", "name"), list(all_cases()))
def test_case(path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    this = program(path)[name]
    if this.error is not None and this.better is None:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the pattern is looked for in the causes, too
            run_case(this, new_environment(this))
        assert re.search(this.error, error_text(caught.value)), error_text(caught.value)
        return
    expected = this.better if this.better is not None else recorded_answer(path, this)
    actual = run_case(this, new_environment(this))
    if this.stdout:
        actual = arrange_lines(this, capfd.readouterr().out)
    assert actual == expected


def recorded_answer(path: Path, this: Case) -> Any:
    recorded = json.loads((EXPECTED / f"{path.stem}.json").read_text())
    assert this.name in recorded, f"no recorded answer; run tests/semantics/record.py {path.stem}:{this.name}"
    return recorded[this.name]["result"]


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.stem)
def test_recorded_failures_are_those_expected(path: Path) -> None:
    """PyFlink failed where a case says that both engines fail, with the text it names, and nowhere else."""
    recorded = json.loads((EXPECTED / f"{path.stem}.json").read_text())
    for each in program(path).values():
        if not each.record:
            assert each.better is not None
            assert each.why
        elif each.better is not None:
            assert each.why
        elif each.error is not None:
            assert re.search(each.error, recorded[each.name]["error"]), each.name
        else:
            assert "result" in recorded[each.name], each.name

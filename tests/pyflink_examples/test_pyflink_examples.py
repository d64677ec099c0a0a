"""PyFlink's own examples run unmodified and print what PyFlink prints.

The programs are those of an installed `apache-flink`; where there is none, set PENSTOCK_PYFLINK_HOME to an unpacked
`pyflink` package. Without either the tests skip: only what the programs print is kept here.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples import ENDLESS, EXAMPLES, Example, comparable, installed_examples

FOLDER = installed_examples()
PENSTOCK = Path(sys.executable).with_name("penstock")
needs_examples = pytest.mark.skipif(
    FOLDER is None, reason="no apache-flink installed, and PENSTOCK_PYFLINK_HOME names no pyflink package"
)


@needs_examples
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_prints_what_pyflink_prints(example: Example) -> None:
    assert FOLDER is not None
    ran = subprocess.run(
        [str(PENSTOCK), "run", str(FOLDER / example.path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert comparable(example, ran.stdout) == example.expected


@needs_examples
def test_example_writes_files_when_asked(tmp_path: Path) -> None:
    assert FOLDER is not None
    program = str(FOLDER / "word_count.py")
    subprocess.run(
        [str(PENSTOCK), "run", program, "--output", str(tmp_path)], capture_output=True, timeout=60, check=True
    )
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert all(re.fullmatch(r"prefix-[0-9a-f-]{36}-\d+\.ext", file.name) for file in files)
    lines = sorted(line for file in files for line in file.read_text().splitlines())
    assert lines == next(each for each in EXAMPLES if each.name == "word_count").expected


@needs_examples
@pytest.mark.parametrize("path", ENDLESS)
def test_endless_example_runs_until_interrupted(path: str) -> None:
    assert FOLDER is not None
    running = subprocess.Popen(
        [str(PENSTOCK), "run", str(FOLDER / path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert running.stdout is not None
    try:
        seen = [line for line in (running.stdout.readline() for _ in range(4)) if "stdout" not in line]
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    pattern = r'(\d+> )?(\(\w+,\d+\)|\{"user_id": -?\d+, .*\})'
    assert seen
    assert all(re.fullmatch(pattern, line.strip()) for line in seen), seen

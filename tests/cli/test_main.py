from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

import penstock
from penstock.cli import main as cli
from penstock.errors import ConfigurationError, JobError


def command(monkeypatch: pytest.MonkeyPatch, raised: BaseException | None, exit_code: int = 0) -> None:
    def run(name: str, given: list[str]) -> int:
        if raised is not None:
            raise raised
        return exit_code

    monkeypatch.setattr(cli, "_run_command", run)
    monkeypatch.delenv("PENSTOCK_TRACEBACK", raising=False)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"penstock {penstock.__version__}\n"
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in cli.COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["wibble"], ["--wibble"]])
def test_what_is_no_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("penstock: ")


@pytest.mark.parametrize(("error", "exit_code"), [(ConfigurationError("wrong"), 2), (JobError("wrong"), 1)])
def test_errors_for_users_are_one_message(
    error: Exception, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, error)
    assert cli.main(["plan"]) == exit_code
    assert capsys.readouterr().err == "penstock: wrong\n"
    with pytest.raises(type(error)):
        cli.main(["--traceback", "plan"])
    monkeypatch.setenv("PENSTOCK_TRACEBACK", "1")
    with pytest.raises(type(error)):
        cli.main(["plan"])


def test_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["plan"])


def test_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, KeyboardInterrupt())
    assert cli.main(["plan"]) == 130


def test_every_command_registers_and_is_described() -> None:
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as caught:
            cli.main([name, "--help"])
        assert caught.value.code == 0


def test_a_reader_that_goes_away_is_no_error() -> None:
    arguments = [sys.executable, "-m", "penstock.cli.main", "plan", "--batch"]
    environment = {key: value for key, value in os.environ.items() if key != "PENSTOCK_TRACEBACK"}
    process = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b'{"conf": {"taskmanager.memory.process.size": "4g"}}\n' * 200)
        process.stdin.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert errors == b""


def test_only_what_a_command_needs_is_loaded() -> None:
    program = (
        "import sys; from penstock.cli.main import main; code = main(['plan', '-D', "
        "'taskmanager.memory.process.size=4g']); "
        "dear = {'typing', 'dataclasses', 'yaml', 'json', 'shutil', 'decimal', 'fractions', 'difflib'}; "
        "print(code, sorted(dear & set(sys.modules)), file=sys.stderr)"
    )
    done: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "0 []\n"

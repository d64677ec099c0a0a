"""Records what real PyFlink answers to the semantics programs.

Needs Java and `pip install apache-flink==2.2.1`, in a Python whose `bin` directory is first on the PATH:

    python tests/semantics/record.py [program[:case] ...]

Each program runs in one JVM. Cases run in PyFlink's process mode unless they say otherwise.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from semantics_case import (
    EXPECTED,
    PROGRAMS,
    Case,
    arrange_lines,
    error_text,
    load_program,
    new_environment,
    root_message,
    run_case,
)

TIME_LIMIT_S = 60
NOISE = (
    "WARNING:",
    "SLF4J",
    "ERROR StatusConsoleListener",
    "[WARN",
    "[INFO",
    "DEBUG:",
    "INFO:",
    "Using Any for unsupported",
    "No module named google",
)


class TookTooLong(Exception):
    """A job that does not end."""


def record_program(path: Path, only: str | None) -> None:
    target = EXPECTED / f"{path.stem}.json"
    recorded: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    cases = load_program(path)
    recorded = {name: value for name, value in recorded.items() if name in cases}
    with tempfile.TemporaryFile("w+b") as printed:
        report = os.dup(1)
        os.dup2(printed.fileno(), 1)
        for each in cases.values():
            if not each.record or (only and each.name != only):
                continue
            began = time.monotonic()
            recorded[each.name] = answer(each, printed)
            line = f"{path.stem}:{each.name} {time.monotonic() - began:.1f} s {json.dumps(recorded[each.name])[:400]}\n"
            os.write(report, line.encode())
            target.write_text(json.dumps(recorded, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def answer(this: Case, printed: Any) -> dict[str, Any]:
    start = printed.seek(0, os.SEEK_END)
    signal.signal(signal.SIGALRM, stop_waiting)
    signal.alarm(TIME_LIMIT_S)
    try:
        outcome: dict[str, Any] = {"result": run_case(this, new_environment(this, flink_settings(this)))}
    except TookTooLong:
        return {"hangs": True}
    except Exception as error:
        outcome = {"error": root_message(error)}
        if this.error is None and this.better is None:
            print(error_text(error), file=sys.stderr)
    finally:
        signal.alarm(0)
    if this.stdout and "result" in outcome:
        sys.stdout.flush()
        printed.seek(start)
        text = printed.read().decode()
        kept = [line for line in text.splitlines() if not line.startswith(NOISE)]
        outcome = {"result": arrange_lines(this, "\n".join(kept))}
    return outcome


def flink_settings(this: Case) -> dict[str, str]:
    return {"python.fn-execution.bundle.time": "50", **this.flink_config}


def stop_waiting(signum: int, frame: object) -> None:
    raise TookTooLong


def main() -> None:
    wanted = sys.argv[1:] or sorted(path.stem for path in PROGRAMS.glob("*.py"))
    EXPECTED.mkdir(exist_ok=True)
    if len(wanted) > 1:
        for each in wanted:
            subprocess.run([sys.executable, __file__, each], check=False, stderr=subprocess.DEVNULL)
        return
    program, _, only = wanted[0].partition(":")
    record_program(PROGRAMS / f"{program}.py", only or None)


if __name__ == "__main__":
    main()

"""`penstock guard`: programs that know nothing of it, run as users run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, subprocess, sys, threading

def hoard():
    kept = []
    while True:
        kept.append({"number": len(kept), "text": str(len(kept))})

def child():
    try:
        hoard()
    except MemoryError as error:
        print("child:", error)

if __name__ == "__main__":
    how = sys.argv[1]
    if how == "main":
        hoard()
    elif how == "thread":
        thread = threading.Thread(target=hoard)
        thread.start()
        thread.join()
        print("the main thread lives")
    elif how == "child":
        print(subprocess.run([sys.executable, __file__, "main"], capture_output=True, text=True).stderr)
    elif how in ("fork", "spawn"):
        process = multiprocessing.get_context(how).Process(target=child)
        process.start()
        process.join()
    elif how == "large":
        bytearray(10**10)
    elif how == "fits":
        kept = [bytes(1000) for _ in range(100_000)]
        print("fits", len(kept))
    elif how == "tiny":
        import collections, itertools
        kept, ahead = itertools.tee(map(str, range(10**8)))
        collections.deque(ahead, maxlen=0)
"""


def enforced() -> bool:
    from penstock.memory._heap_guard import install_heap_guard

    guard = install_heap_guard(None, malloc_arenas=None)
    guard.close()
    return guard.mode == "enforced"


pytestmark = pytest.mark.skipif(not enforced(), reason="the heap cannot be metered in this interpreter")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def guard(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `penstock guard` with the given arguments."""
    command = [sys.executable, "-m", "penstock.cli.main", "guard", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def test_a_program_within_its_limit_is_not_touched(program: Path) -> None:
    done = guard("--heap", "200m", "--", sys.executable, str(program), "fits")
    assert (done.returncode, done.stdout, done.stderr) == (0, "fits 100000\n", "")


def test_a_program_over_its_limit_fails_with_a_report(program: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    done = guard("--heap", "100m", "--report", str(reports), "--", sys.executable, str(program), "main")
    assert done.returncode == 1
    assert "HeapLimitError: The heap limit was passed: the heap held 8" in done.stderr
    assert "limit 100.0 MiB" in done.stderr
    assert "raise --heap of penstock guard" in done.stderr
    written = [json.loads(path.read_text()) for path in reports.glob("oom-*.json")]
    assert written
    assert any(frame.endswith("in hoard") for report in written for frame in report["failure"]["frames"])
    largest = [report["call"]["containers"][0] for report in written if "call" in report]
    assert any(container["path"].startswith("kept in hoard()") for container in largest)


def test_a_thread_fails_and_the_program_goes_on(program: Path) -> None:
    done = guard("--heap", "100m", "--", sys.executable, str(program), "thread")
    assert done.returncode == 0
    assert done.stdout == "the main thread lives\n"
    assert "HeapLimitError" in done.stderr


@pytest.mark.parametrize("how", ["child", "spawn", "fork"])
def test_child_interpreters_are_held_too(program: Path, how: str) -> None:
    done = guard("--heap", "100m", "--", sys.executable, str(program), how)
    assert done.returncode == 0
    assert "The heap limit was passed" in done.stdout


def test_a_refused_request_is_told_on_standard_error(program: Path) -> None:
    done = guard("--heap", "100m", "--", sys.executable, str(program), "large")
    assert done.returncode == 1
    assert "a request of 9536.7 MiB more was refused" in done.stderr


def test_what_cannot_be_stopped_ends_with_exit_code_84(program: Path) -> None:
    done = guard("--heap", "100m", "--", sys.executable, str(program), "tiny")
    assert done.returncode == 84
    assert "ends with exit code 84" in done.stderr


def test_flinks_limit_for_python_workers_is_kept_to(program: Path) -> None:
    limit = str(100 << 20)
    done = guard("--", sys.executable, str(program), "main", _PYTHON_WORKER_MEMORY_LIMIT=limit)
    assert done.returncode == 1
    assert "raise taskmanager.memory.managed.size" in done.stderr


def test_without_any_limit_the_program_just_runs() -> None:
    done = guard("--", sys.executable, "-c", "import os; print('PENSTOCK_GUARD' in os.environ)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_a_sitecustomize_of_the_programs_own_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('own sitecustomize')\n")
    done = guard("--heap", "100m", "--", sys.executable, "-c", "print('program')", PYTHONPATH=str(tmp_path))
    assert done.stdout.endswith("own sitecustomize\nprogram\n")


def test_the_process_limit_is_handed_down() -> None:
    show = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[0])"
    done = guard("--heap", "100m", "--process", "900m", "--", sys.executable, "-c", show)
    assert done.stdout == f"{900 << 20}\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["--heap", "much", "--", "true"], 2, "much"),
        (["--heap", "1m", "--", "true"], 2, "too small for its reserve"),
        (["--heap", "9m", "--", sys.executable, "-c", "pass"], 2, "leaves nothing"),
        (["--heap", "100m", "--"], 2, "a command is needed"),
        (["--heap", "100m", "--", "no-such-program"], 127, "no program 'no-such-program'"),
        (["--heap", "100m", "--", "/"], 126, "cannot be started"),
        (["--heap", "100m", "--report", __file__, "--", "true"], 2, "no such folder can be made"),
        (["--heap", "100m", "--process", "99m", "--", "true"], 2, "set it well above --heap"),
        (["--process", "1m", "--", "true"], 2, "cannot hold an interpreter"),
    ],
)
def test_mistakes_are_told(arguments: list[str], exit_code: int, said: str) -> None:
    done = guard(*arguments)
    assert done.returncode == exit_code
    assert said in done.stderr
    assert "Traceback" not in done.stderr

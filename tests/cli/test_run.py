"""`penstock run` as a user meets it: output, exit codes, messages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TEXT = str(ROOT / "examples" / "data" / "declaration.txt")
HEAD = """
from pyflink.datastream import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
"""


def penstock(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def program(tmp_path: Path, body: str) -> str:
    path = tmp_path / "job.py"
    path.write_text(HEAD + body)
    return str(path)


def test_the_word_count_of_the_readme(tmp_path: Path) -> None:
    done = penstock("run", "--memory", str(ROOT / "examples" / "word_count.py"), "--input", TEXT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "(the,71)" in done.stdout.splitlines()
    assert "component" not in done.stdout
    assert "heap" in done.stderr
    assert "of budget" in done.stderr
    assert "thread stacks" in done.stderr
    assert re.search(r"^  state _op_state of \S+ .*B +sampled$", done.stderr, re.MULTILINE)
    assert "process as a whole" in done.stderr.splitlines()[-1]


def test_word_count_into_files(tmp_path: Path) -> None:
    out = tmp_path / "counts"
    done = penstock("run", str(ROOT / "examples" / "word_count.py"), "--input", TEXT, "--output", str(out))
    assert done.returncode == 0, done.stderr
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert files[0].name.startswith("counts-")
    assert files[0].suffix == ".txt"
    assert "(the,71)" in files[0].read_text().splitlines()


def test_a_failing_function(tmp_path: Path) -> None:
    path = program(tmp_path, "env.from_collection([2, 1, 0]).map(lambda x: 2 // x).print()\nenv.execute()\n")
    done = penstock("run", path)
    assert done.returncode == 1
    assert done.stdout == "1\n2\n"
    assert "Operator 'Map' failed in subtask" in done.stderr
    assert "record 0" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "runtime" not in done.stderr


def test_a_program_that_fails_itself_shows_its_own_traceback(tmp_path: Path) -> None:
    done = penstock("run", program(tmp_path, "def f():\n    raise KeyError('x')\nf()\n"))
    assert done.returncode == 1
    assert "KeyError: 'x'" in done.stderr
    assert "in f" in done.stderr
    assert "penstock" not in done.stderr


@pytest.mark.parametrize(("statement", "code"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('no')", 1)])
def test_the_programs_exit_code(tmp_path: Path, statement: str, code: int) -> None:
    assert penstock("run", program(tmp_path, f"import sys\n{statement}\n")).returncode == code


def test_arguments_and_imports_are_the_programs(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'\n")
    path = program(tmp_path, "import sys, beside\nprint(sys.argv[1:], beside.NAME, __name__)\n")
    done = penstock("run", path, "--memory", "-x")
    assert done.stdout == "['--memory', '-x'] beside __main__\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.py"], "Cannot read the program 'nowhere.py'"),
        (["run", "-D", "taskmanager.memory.managed.size=lots", "JOB"], "taskmanager.memory.managed.size"),
        (["run", "-D", "execution.runtime-mode=FAST", "JOB"], "STREAMING, BATCH, AUTOMATIC"),
        (["run", "-D", "taskmanager.memory.process.size=100m", "JOB"], "100"),
        (["run", "--from-savepoint", "/nowhere", "JOB"], "/nowhere"),
        (["run", "--report", "JOB", "JOB"], "no such folder can be made"),
        (["run", "--isol", "JOB"], "--isol"),
        (["run", "--memory-log", "/nowhere/log", "JOB"], "The memory log '/nowhere/log' cannot be written"),
        (["run", "-D", "taskmanager.memory.network.min=4000t", "JOB"], "taskmanager.memory.network.max"),
    ],
)
def test_usage_and_configuration_errors_are_one_message(tmp_path: Path, arguments: list[str], said: str) -> None:
    job = program(tmp_path, "env.from_collection([1]).print()\nenv.execute()\n")
    done = penstock(*[job if word == "JOB" else word for word in arguments])
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_needs_java_is_said_in_one_sentence(tmp_path: Path) -> None:
    body = "from pyflink.datastream import SourceFunction\nenv.add_source(SourceFunction('org.example.Source'))\n"
    done = penstock("run", program(tmp_path, body))
    assert done.returncode == 2
    assert "no JVM" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_memory_log(tmp_path: Path) -> None:
    log = tmp_path / "memory.jsonl"
    path = program(tmp_path, "env.from_collection([1]).print()\nenv.execute()\n")
    assert penstock("run", "--memory-log", str(log), path).returncode == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines
    assert lines[-1]["components"]["heap"]["used"] > 0


def test_a_report_can_be_diagnosed(tmp_path: Path) -> None:
    body = (
        "held = []\n"
        "def hoard(x):\n    held.append(bytes(1 << 20))\n    return x\n"
        "env.from_collection(list(range(1000))).map(hoard).print()\nenv.execute()\n"
    )
    done = penstock(
        "run", "--report", str(tmp_path), "-D", "taskmanager.memory.task.heap.size=16m", program(tmp_path, body)
    )
    assert done.returncode == 1, done.stderr
    (report,) = tmp_path.glob("oom-*.json")
    diagnosis = penstock("diagnose", str(report))
    assert diagnosis.returncode == 0, diagnosis.stderr
    assert "held" in diagnosis.stdout
    assert "taskmanager.memory.task.heap.size" in diagnosis.stdout
    both = penstock("diagnose", str(report), str(report))
    assert both.stdout.count(f"{report}\n{diagnosis.stdout.rstrip()}") == 2
    lines = penstock("diagnose", "--json", str(report), str(report)).stdout.splitlines()
    assert [json.loads(line)["component"] for line in lines] == ["heap", "heap"]


def test_isolation_says_what_ended_the_child(tmp_path: Path) -> None:
    path = program(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = penstock("run", "--isolate", path)
    assert done.returncode == 137
    assert "SIGKILL" in done.stderr


def test_isolation_passes_output_and_exit_code_on(tmp_path: Path) -> None:
    done = penstock("run", "--isolate", program(tmp_path, "print('here')\nimport sys\nsys.exit(5)\n"))
    assert (done.returncode, done.stdout) == (5, "here\n")


def test_a_program_that_outgrows_the_heap_itself_leaves_a_report(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    path.write_text("kept = []\nwhile True:\n    kept.append([1, 2, 3])\n")
    done = penstock("run", "-D", "taskmanager.memory.task.heap.size=16m", "--report", str(tmp_path), str(path))
    assert done.returncode == 1
    assert "in task 'the program itself'" in done.stderr
    assert "Traceback" not in done.stderr
    (report,) = tmp_path.glob("oom-*.json")
    containers = json.loads(report.read_text())["call"]["containers"]
    assert containers[0]["path"].startswith("kept in <module>()")


def test_a_job_that_could_use_more_buffers_than_there_are_is_warned_of(tmp_path: Path) -> None:
    path = program(
        tmp_path, "env.from_collection([1]).rebalance().map(str).set_parallelism(8).print()\nenv.execute()\n"
    )
    limits = [f"-Dtaskmanager.memory.network.{end}=1m" for end in ("min", "max")]
    done = penstock("run", *limits, path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("network buffers that all tasks could use") == 1


def test_a_parallelism_is_at_least_one(tmp_path: Path) -> None:
    path = program(tmp_path, "")
    done = penstock("run", "-p", "0", path)
    assert done.returncode == 2
    assert "a parallelism is a whole number of at least 1, not 0" in done.stderr
    path = tmp_path / "default.py"
    path.write_text(HEAD.replace("env.set_parallelism(1)", "env.from_collection([1]).map(str).print(); env.execute()"))
    done = penstock("run", "-D", "parallelism.default=0", str(path))
    assert done.returncode == 2
    assert "The value '0' of 'parallelism.default' (-D) cannot be used" in done.stderr


def test_a_key_that_can_be_no_option(tmp_path: Path) -> None:
    done = penstock("run", "-D", "nonsense", program(tmp_path, ""))
    assert done.returncode == 0
    assert "'nonsense' (-D) is no known option and is ignored" in done.stderr


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    path = program(tmp_path, "env.from_collection(list(range(100000))).map(lambda x: x).print()\nenv.execute()\n")
    command = [sys.executable, "-m", "penstock.cli.main", "run", path]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert job.stdout is not None
    assert job.stdout.readline() == b"0\n"
    job.stdout.close()
    assert job.wait() == 141
    assert job.stderr is not None
    assert job.stderr.read() == b""
    job.stderr.close()


def test_a_worker_that_its_heap_guard_ended_is_told_from_others(tmp_path: Path) -> None:
    body = (
        "import collections, itertools\n"
        "def exhaust(x):\n"
        "    kept, ahead = itertools.tee(map(str, range(10**8)))\n"
        "    collections.deque(ahead, maxlen=0)\n"
        "env.from_collection([1]).map(exhaust).print()\nenv.execute()\n"
    )
    reports = tmp_path / "new" / "reports"
    options = ["--target", "local-processes", "-D", "taskmanager.memory.task.heap.size=16m", "--report", str(reports)]
    done = penstock("run", *options, program(tmp_path, body))
    assert done.returncode == 1
    assert "Worker process 0 was ended by its heap guard, which says above why (exit code 84)" in done.stderr
    (report,) = reports.glob("heap-end-*.json")
    assert "Build the objects in a Python loop" in penstock("diagnose", str(report)).stdout


def test_a_job_that_is_restarted_again_and_again_does_not_fill_the_disk_with_reports(tmp_path: Path) -> None:
    path = program(tmp_path, "env.from_collection([1]).map(lambda x: bytearray(10 << 30)).print()\nenv.execute()\n")
    restarts = {"type": "fixed-delay", "fixed-delay.attempts": "12", "fixed-delay.delay": "1ms"}
    options = [f"-Drestart-strategy.{key}={value}" for key, value in restarts.items()]
    done = penstock("run", *options, "-Dtaskmanager.memory.task.heap.size=16m", "--report", str(tmp_path), path)
    assert done.returncode == 1
    assert len(list(tmp_path.glob("oom-*.json"))) == 10
    assert done.stderr.count("no further report") == 1


def test_a_program_ends_as_any_does(tmp_path: Path) -> None:
    path = program(
        tmp_path,
        "import atexit, sys\n"
        "class Resource:\n"
        "    def __del__(self):\n"
        "        print('let go')\n"
        "held = Resource()\n"
        "held.itself = held.__class__\n"
        "atexit.register(lambda: print('exit', held is not None))\n"
        "sys.exit(3)\n",
    )
    done = penstock("run", path)
    assert done.returncode == 3, done.stderr
    assert done.stdout == "exit True\nlet go\n"

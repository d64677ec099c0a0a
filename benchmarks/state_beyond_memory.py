"""State ten times the memory of a control group: what becomes of the same job on Penstock and elsewhere.

    sudo python -m benchmarks.state_beyond_memory [--limit-mib 160] [--times 10] [--engines penstock-rocksdb …]

Each engine runs `beyond_memory_programs.py` in a control group of its own (memory controller of version 1 or 2; needs
the right to make one) with the limit as its memory and no swap. Anonymous memory is sampled from outside every 20 ms.
Bytewax needs the package in this environment; PyFlink and Pathway are run by the interpreters given with
`--pyflink-python` and `--pathway-python`, and left out without them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import table

MIB = 1 << 20
PROGRAM = Path(__file__).with_name("beyond_memory_programs.py")
RECORD_BYTES = 1100
PLAN_MIB = {
    "taskmanager.memory.framework.heap.size": 32,
    "taskmanager.memory.task.heap.size": 40,
    "taskmanager.memory.framework.off-heap.size": 8,
    "taskmanager.memory.network.min": 4,
    "taskmanager.memory.network.max": 4,
    "taskmanager.memory.managed.size": 32,
    "taskmanager.memory.jvm-metaspace.size": 28,
    "taskmanager.memory.jvm-overhead.min": 16,
    "taskmanager.memory.jvm-overhead.max": 16,
}
"""What is set."""

PROCESS_MIB = sum(mib for key, mib in PLAN_MIB.items() if not key.endswith(".max"))


class ControlGroup:
    """A control group with a memory limit."""

    def __init__(self, limit_bytes: int) -> None:
        root = Path("/sys/fs/cgroup")
        self._is_v1 = (root / "memory").is_dir()
        self.path = (root / "memory" if self._is_v1 else root) / f"penstock-benchmark-{os.getpid()}"
        self.path.mkdir()
        self._write("memory.limit_in_bytes" if self._is_v1 else "memory.max", limit_bytes)
        with contextlib.suppress(OSError):  # where swap is not accounted there is none to forbid
            self._write("memory.swappiness" if self._is_v1 else "memory.swap.max", 0)

    def _write(self, name: str, value: int) -> None:
        (self.path / name).write_text(str(value))

    def join(self) -> None:
        """Called in the child."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def anonymous_bytes(self) -> int:
        name = "total_rss" if self._is_v1 else "anon"
        for line in (self.path / "memory.stat").read_text().splitlines():
            if line.split()[0] == name:
                return int(line.split()[1])
        return 0

    def killed(self) -> int:
        """How many processes the kernel killed in it."""
        text = (self.path / ("memory.oom_control" if self._is_v1 else "memory.events")).read_text()
        return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)

    def close(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for pid in (self.path / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                self.path.rmdir()
                return
            time.sleep(0.1)


@contextlib.contextmanager
def control_group(limit_bytes: int) -> Iterator[ControlGroup]:
    group = ControlGroup(limit_bytes)
    try:
        yield group
    finally:
        group.close()


@dataclass(frozen=True)
class Outcome:
    """What became of a run: exit code or minus the signal, output, peak of anonymous memory, kernel kills."""

    code: int | None
    out: str
    err: str
    peak_bytes: int
    kills: int
    seconds: float

    def text(self, keys: int) -> str:
        if self.code == 0 and f"all {keys}" in self.out:
            return "finished, right result"
        if self.code is None:
            return "not finished in time"
        if self.kills:
            return f"the kernel killed {self.kills} of its processes"
        return f"exit code {self.code}: {(self.err.strip().splitlines() or [''])[-1][:100]}"


def run_limited(command: list[str], limit_bytes: int, timeout_s: float, **environment: str) -> Outcome:
    """Runs a command in a control group of its own."""
    with (
        control_group(limit_bytes) as group,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdout=out, stderr=err, preexec_fn=group.join, env={**os.environ, **environment}
        )
        peak = 0
        while process.poll() is None and time.monotonic() - began < timeout_s:
            peak = max(peak, group.anonymous_bytes())
            time.sleep(0.02)
        code = process.poll()
        kills = group.killed()
        if code is None:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        return Outcome(code, out.read(), err.read(), peak, kills, time.monotonic() - began)


def penstock_command(mode: str, keys: int, backend: str, directory: str) -> list[str]:
    options = {
        **{key: f"{mib}m" for key, mib in PLAN_MIB.items()},
        "taskmanager.memory.process.size": f"{PROCESS_MIB}m",
        "state.backend.type": backend,
        "io.tmp.dirs": directory,
    }
    flags = [part for key, value in options.items() for part in ("-D", f"{key}={value}")]
    return [
        sys.executable,
        "-m",
        "penstock.cli.main",
        "run",
        "--target",
        "local",
        *flags,
        str(PROGRAM),
        mode,
        str(keys),
    ]


def commands(keys: int, directory: str, pyflink: str | None, pathway: str | None) -> dict[str, list[str]]:
    found = {
        "penstock-rocksdb": penstock_command("streaming", keys, "rocksdb", directory),
        "penstock-auto": penstock_command("streaming", keys, "auto", directory),
        "penstock-batch": penstock_command("batch", keys, "hashmap", directory),
        "penstock-hashmap": penstock_command("streaming", keys, "hashmap", directory),
        "bytewax": [sys.executable, str(PROGRAM), "bytewax", str(keys)],
    }
    if pyflink is not None:
        found["pyflink"] = [pyflink, str(PROGRAM), "streaming", str(keys)]
    if pathway is not None:
        found["pathway"] = [pathway, str(PROGRAM), "pathway", str(keys)]
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit-mib", type=int, default=PROCESS_MIB)
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--timeout-s", type=float, default=1800.0)
    parser.add_argument("--engines", nargs="+")
    parser.add_argument("--pyflink-python")
    parser.add_argument("--pathway-python")
    options = parser.parse_args([] if arguments is None else arguments)
    keys = int(options.limit_mib * MIB * options.times / RECORD_BYTES)
    rows = []
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as directory:
        for name, command in commands(keys, directory, options.pyflink_python, options.pathway_python).items():
            if options.engines and name not in options.engines:
                continue
            outcome = run_limited(
                command,
                options.limit_mib * MIB,
                options.timeout_s,
                PATH=f"{Path(command[0]).parent}:{os.environ['PATH']}",
            )
            seconds = f"{outcome.seconds:.0f}"
            rows.append([name, outcome.text(keys), f"{outcome.peak_bytes / MIB:.0f}", seconds])
            print(rows[-1], file=sys.stderr, flush=True)
    table(
        f"{keys:,} keys of 1 kB, {options.times:g} times the {options.limit_mib} MiB of the control group",
        ["", "what became of it", "peak anonymous MiB", "s"],
        rows,
    )


if __name__ == "__main__":
    main(sys.argv[1:])

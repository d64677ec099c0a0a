"""Runs programs of the bounded-memory suite under Penstock and its peers, each in a control group of the same size.

    python -m tests.bounded.peers.compare [--limit 1728m] [--bytewax PYTHON] [--pathway PYTHON] [--pyflink PYTHON] [PROGRAM...]

PYTHON is an interpreter that has the engine. PyFlink runs `job_programs.py`, the same file as Penstock, in its local
mode. Says of each how it ended, and the peak of its control group, which all of its processes are in.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.conf import MemorySize
from penstock.memory._memory_cgroup import MemoryCgroup

HERE = Path(__file__).parent
JOBS = str(HERE.parent / "job_programs.py")
PROGRAMS = ("hoarding_map", "ever_new_keys")


def commands(arguments: argparse.Namespace, program: str) -> Iterator[tuple[str, list[str]]]:
    size = f"-Dtaskmanager.memory.process.size={arguments.limit}"
    yield "penstock", [sys.executable, "-m", "penstock.cli.main", "run", size, JOBS, program]
    if arguments.bytewax:
        yield "bytewax", [arguments.bytewax, str(HERE / "bytewax_flows.py"), program]
    if arguments.pathway:
        yield "pathway", [arguments.pathway, str(HERE / "pathway_programs.py"), program]
    if arguments.pyflink:
        yield "pyflink", [arguments.pyflink, JOBS, program]


def run_in_group(command: Sequence[str], limit_bytes: int, timeout_s: float) -> str:
    """How it ended, in one line."""
    group = MemoryCgroup.create(f"penstock-peer-{os.getpid()}", limit_bytes)
    if group is None:
        raise SystemExit("no control group can be made here: run this as root, or where a subtree is delegated")
    # PyFlink's JVM starts `python`: it has to be the one that has PyFlink.
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}"}
    with group, tempfile.TemporaryFile("w+") as said:
        started_s = time.monotonic()
        child = subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env=environment,
            preexec_fn=lambda: group.add(os.getpid()),
        )
        try:
            code = str(child.wait(timeout_s))
        except subprocess.TimeoutExpired:
            code = f"still running after {timeout_s:.0f} s"
        took_s = time.monotonic() - started_s
        end_all(group, child)
        said.seek(0)
        lines = [line for line in said.read().splitlines() if line.strip()]
        peak = (group.peak_bytes() or 0) >> 20
        kills = group.oom_kills()
    last = next((line for line in lines if "emory" in line), lines[-1] if lines else "")
    return (
        f"exit {code}, {kills} killed by the kernel, peak {peak} MiB, {took_s:.0f} s | {len(lines)} lines: {last[:200]}"
    )


def end_all(group: MemoryCgroup, child: subprocess.Popen[bytes]) -> None:
    """Ends what is left of it: a JVM and its workers outlive a client that was killed."""
    for _ in range(100):
        left = [int(line) for line in Path(group.procs_file).read_text().split()]
        if not left:
            break
        for process_id in left:
            os.kill(process_id, signal.SIGKILL)
        time.sleep(0.1)
    child.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", default="1728m")
    parser.add_argument("--timeout", type=float, default=300)
    for peer in ("bytewax", "pathway", "pyflink"):
        parser.add_argument(f"--{peer}", metavar="PYTHON")
    parser.add_argument("programs", nargs="*", default=PROGRAMS)
    arguments = parser.parse_args()
    limit_bytes = MemorySize.parse(arguments.limit).bytes
    for program in arguments.programs:
        for engine, command in commands(arguments, program):
            print(f"{program:14} {engine:9} {run_in_group(command, limit_bytes, arguments.timeout)}", flush=True)


if __name__ == "__main__":
    main()

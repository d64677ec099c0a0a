"""Measuring: variants interleaved in random order in one run, medians of CPU time, ratios to the first."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds: CPU seconds of the calling thread, and wall seconds."""

    cpu_s: float
    wall_s: float
    result: Any


def interleaved(variants: dict[str, Callable[[], Any]], rounds: int = 5) -> dict[str, Timing]:
    """Runs every variant once a round, in random order; the first round warms up."""
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    wall: dict[str, list[float]] = {name: [] for name in variants}
    results: dict[str, Any] = {}
    for turn in range(rounds + 1):
        for name in random.sample(list(variants), len(variants)):
            begin_cpu, begin = time.process_time(), time.perf_counter()
            results[name] = variants[name]()
            if turn:
                cpu[name].append(time.process_time() - begin_cpu)
                wall[name].append(time.perf_counter() - begin)
    return {
        name: Timing(statistics.median(cpu[name]), statistics.median(wall[name]), results[name]) for name in variants
    }


@dataclass(frozen=True)
class ProcessRun:
    """One finished process: wall and CPU seconds, its output."""

    wall_s: float
    cpu_s: float
    stdout: str
    stderr: str


def _environment(command: list[str], **more: str) -> dict[str, str]:
    """PyFlink looks for `python` on the path when it starts its workers."""
    return {**os.environ, "PATH": f"{Path(command[0]).parent}:{os.environ['PATH']}", **more}


def run_process(command: list[str], **environment: str) -> ProcessRun:
    """Runs a command to its end and reads what the kernel accounted to it."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=_environment(command, **environment))
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        run = ProcessRun(wall, usage.ru_utime + usage.ru_stime, out.read(), err.read())
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}:\n{run.stderr[-2000:]}")
    return run


def peak_rss_bytes(command: list[str], interval_s: float = 0.02) -> int:
    """Runs a command and samples the RSS of it and all its descendants (a JVM, workers); the largest sum."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(command))
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_rss_bytes(process.pid))
        time.sleep(interval_s)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    return peak


def _tree_rss_bytes(process_id: int) -> int:
    try:
        pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
        children = [
            int(child)
            for task in Path(f"/proc/{process_id}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (OSError, IndexError):
        return 0  # it has ended
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_tree_rss_bytes, children))


def median_process(command: list[str], rounds: int = 5, **environment: str) -> ProcessRun:
    """The run with the median wall time."""
    runs = sorted((run_process(command, **environment) for _ in range(rounds)), key=lambda run: run.wall_s)
    return runs[len(runs) // 2]


def table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Prints a Markdown table."""
    print(f"\n### {title}\n")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for index, row in enumerate([header, *rows]):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if index == 0:
            print("| " + " | ".join("-" * width for width in widths) + " |")
    sys.stdout.flush()

"""What the collection policy brings with a large state, and that a job that makes cycles stays bounded.

    python -m benchmarks.garbage_collection [--keys 5000000] [--python PATH]...

A keyed state of `keys` entries (int -> [int, float]) is built and then updated at random, in batches of 1,000, once
with the interpreter's own settings and once under the policy; then a job makes reference cycles that live for 20,000
records. Each measurement is a process of its own, under each interpreter named (default: the one that runs this). Rates
and pauses are by CPU time of the thread; "full" counts full collections while building and while updating.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parents[1] / "src"
BATCH = 1000
UPDATES = 5_000_000
CYCLES = 1_500_000
CYCLE_WINDOW = 20_000


def anonymous_bytes() -> int:
    resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")


class Payload:
    """Refers to itself, as objects with callbacks and back references do."""

    def __init__(self, number: int) -> None:
        self.data = bytearray(1000)
        self.me = self
        self.number = number


class Pauses:
    """Collections by the CPU time of the thread: the clock would count what other processes take."""

    def __init__(self) -> None:
        self.longest_s = self.all_s = self._started_s = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        now_s = time.thread_time()
        if phase == "start":
            self._started_s = now_s
            return
        self.all_s += now_s - self._started_s
        self.longest_s = max(self.longest_s, now_s - self._started_s)


def keyed_state(policy: Any, keys: int) -> dict[str, Any]:
    state: dict[int, list[Any]] = {}
    started = time.thread_time()
    for first in range(0, keys, BATCH):
        for key in range(first, min(first + BATCH, keys)):
            state[key] = [key, 0.5]
        policy.after_batch()
    built_s = time.thread_time() - started
    built_at = policy.statistics().generations[2].collections
    draw = random.Random(7).randrange
    started = time.thread_time()
    for _ in range(0, UPDATES, BATCH):
        for _ in range(BATCH):
            key = draw(keys)
            old = state[key]
            state[key] = [old[0] + 1, old[1] * 0.9]
        policy.after_batch()
    steady_s = time.thread_time() - started
    full = policy.statistics().generations[2].collections
    return {"build_s": built_s, "records_per_s": UPDATES / steady_s, "full": [built_at, full - built_at]}


def cycles(policy: Any) -> dict[str, Any]:
    window: deque[Payload] = deque(maxlen=CYCLE_WINDOW)
    started = time.thread_time()
    peak = 0
    for first in range(0, CYCLES, BATCH):
        for number in range(first, first + BATCH):
            window.append(Payload(number))
        policy.after_batch()
        if not first % (50 * BATCH):
            peak = max(peak, anonymous_bytes())
    return {"records_per_s": CYCLES / (time.thread_time() - started), "peak_mib": peak / 2**20}


def measure(job: str, policy_name: str, keys: int) -> dict[str, Any]:
    sys.path.insert(0, str(SOURCES))
    from penstock.memory._garbage import GarbagePolicy

    if policy_name == "disabled":
        gc.disable()
    with GarbagePolicy(anonymous_bytes, policy="auto" if policy_name == "auto" else "default") as policy:
        policy.freeze(collect_first=True)
        pauses = Pauses()
        gc.callbacks.append(pauses)
        figures = keyed_state(policy, keys) if job == "state" else cycles(policy)
        statistics = policy.statistics()
    figures["collections"] = [generation.collections for generation in statistics.generations]
    figures["longest_ms"] = pauses.longest_s * 1e3
    figures["paused_s"] = pauses.all_s
    return figures


def run(python: str, job: str, policy: str, keys: int) -> dict[str, Any]:
    command = [python, __file__, "--measure", job, "--policy", policy, "--keys", str(keys)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--measure", choices=["state", "cycles"])
    parser.add_argument("--policy", default="auto")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.policy, arguments.keys)))
        return
    for python in arguments.python or [sys.executable]:
        version = subprocess.run(
            [python, "-c", "import platform; print(platform.python_version())"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        print(f"CPython {version}, {arguments.keys:,} keys")
        for policy in ("default", "auto"):
            print("  state   ", policy.ljust(9), state_line(run(python, "state", policy, arguments.keys)))
        for policy in ("default", "auto", "disabled"):
            print("  cycles  ", policy.ljust(9), cycles_line(run(python, "cycles", policy, arguments.keys)))


def state_line(figures: dict[str, Any]) -> str:
    return (
        f"build {figures['build_s']:5.2f} s  {figures['records_per_s'] / 1e3:6.0f} k records/s"
        f"  longest pause {figures['longest_ms']:6.1f} ms  paused {figures['paused_s']:5.2f} s"
        f"  collections {figures['collections']}, full {figures['full']}"
    )


def cycles_line(figures: dict[str, Any]) -> str:
    return (
        f"peak {figures['peak_mib']:5.0f} MiB  {figures['records_per_s'] / 1e3:6.0f} k records/s"
        f"  longest pause {figures['longest_ms']:6.1f} ms  collections {figures['collections']}"
    )


if __name__ == "__main__":
    main()

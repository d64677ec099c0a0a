"""Whole jobs: Penstock against the hand-written loop, PyFlink and Bytewax.

PyFlink runs where `PENSTOCK_PYFLINK_PYTHON` names a Python that has apache-flink; thread mode, its documented fast mode.
Bytewax runs where it is installed. Equal results are checked.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks.measure import interleaved, peak_rss_bytes, run_process, table
from penstock import compat

RECORDS = int(os.environ.get("PENSTOCK_BENCH_RECORDS", "2000000"))
ROUNDS = 5
PEER_ROUNDS = int(os.environ.get("PENSTOCK_BENCH_PEER_ROUNDS", "3"))
PROGRAM = str(Path(programs.__file__))
CASES = [
    ("chain", 1000, "map → filter → flat_map → filter", 1.25),
    ("keyed_sum", 10, "keyed sum, 10 keys", 1.3),
    ("keyed_sum", 1000, "keyed sum, 1 k keys", 1.3),
    ("keyed_sum", 1_000_000, "keyed sum, 1 M keys", 1.3),
    ("tumbling", 1000, "event-time tumbling count, 1 k keys", 2.0),
    ("process", 1000, "KeyedProcessFunction, ValueState, timers", 3.0),
]


def penstock_job(name: str, records: int, keys: int) -> list[Any]:
    """One job in this process, results collected."""
    from pyflink.datastream import StreamExecutionEnvironment

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    with programs.build(name, env, records, keys).execute_and_collect() as results:
        return list(results)


def against_the_loop() -> None:
    """Ratios to the loop that calls the same user functions."""
    rows = []
    for name, keys, title, target in CASES:
        timings = interleaved(
            {
                "loop": lambda name=name, keys=keys: programs.BY_HAND[name](RECORDS, keys),
                "penstock": lambda name=name, keys=keys: penstock_job(name, RECORDS, keys),
            },
            ROUNDS,
        )
        loop, ours = timings["loop"], timings["penstock"]
        same = programs.checksum(loop.result) == programs.checksum(ours.result)
        rows.append(
            [
                title,
                f"{RECORDS / loop.cpu_s / 1e6:.2f} M/s",
                f"{RECORDS / ours.cpu_s / 1e6:.2f} M/s",
                f"{ours.cpu_s / loop.cpu_s:.2f}",
                f"≤ {target}",
                "equal" if same else "DIFFERENT",
            ]
        )
    table("Against the hand-written loop", ["job", "loop", "Penstock", "ratio of times", "target", "results"], rows)
    rows = []
    for name in ("session", "sliding"):
        timing = interleaved({name: lambda name=name: penstock_job(name, RECORDS // 4, 1000)}, 3)[name]
        rows.append([f"{name} windows, 1 k keys", f"{RECORDS / 4 / timing.cpu_s / 1e6:.2f} M/s"])
    table("Windows without a loop to compare with", ["job", "Penstock"], rows)


def process_rate(command: list[str], small: int, large: int, at: int) -> float:
    """Records a second of a process, without its start-up: the difference of two sizes."""
    times = []
    for _ in range(PEER_ROUNDS):
        seconds = []
        for records in (small, large):
            seconds.append(run_process([*command[:at], str(records), *command[at:]]).wall_s)
        times.append(max(seconds[1] - seconds[0], 1e-9))
    return (large - small) / statistics.median(times)


def against_pyflink() -> None:
    """Ratios of rates to PyFlink's thread mode, each in its own process."""
    python = os.environ.get("PENSTOCK_PYFLINK_PYTHON")
    if not python:
        print("\nPyFlink: not measured; set PENSTOCK_PYFLINK_PYTHON to a Python that has apache-flink.")
        return
    rows = []
    for name, keys, title in [
        *((name, keys, title) for name, keys, title, _ in CASES),
        ("session", 1000, "session windows"),
        ("sliding", 1000, "sliding windows, size/slide 10"),
    ]:
        # Some seconds each, so that the start's jitter is small beside it.
        large = 1_100_000 if name == "chain" else 120_000
        command = [python, PROGRAM, name, str(keys), "python.execution-mode=thread"]
        peer = process_rate(command, 20_000, large, 3)
        own = process_rate(
            [sys.executable, "-m", "penstock.cli.main", "run", PROGRAM, name, str(keys)], 100_000, 1_100_000, 6
        )
        rows.append([title, f"{peer / 1e3:.1f} k/s", f"{own / 1e3:.0f} k/s", f"{own / peer:.0f}"])
    table("Against PyFlink, thread mode", ["job", "PyFlink", "Penstock", "times its rate"], rows)


def start_and_memory() -> None:
    """Start to first result of ten records, and peak RSS of the keyed sum."""
    peers = {"Penstock": [sys.executable, "-m", "penstock.cli.main", "run", PROGRAM]}
    if os.environ.get("PENSTOCK_PYFLINK_PYTHON"):
        peers["PyFlink"] = [os.environ["PENSTOCK_PYFLINK_PYTHON"], PROGRAM]
    if importlib.util.find_spec("bytewax"):
        peers["Bytewax"] = [sys.executable, str(Path(__file__).parent / "bytewax_flows.py")]
    rows = []
    for peer, command in peers.items():
        starts = sorted(run_process([*command, "keyed_sum", "10", "10"]).wall_s for _ in range(5))
        peak = peak_rss_bytes([*command, "keyed_sum", "300000", "1000"])
        rows.append([peer, f"{starts[2]:.2f} s", f"{peak / 2**20:.0f} MiB"])
    table("Start and memory", ["", "ten records, start to end", "peak RSS with children, keyed sum of 1 k keys"], rows)


def against_bytewax() -> None:
    """Ratios of rates to Bytewax."""
    if not importlib.util.find_spec("bytewax"):
        print("\nBytewax: not installed.")
        return
    flows = str(Path(__file__).parent / "bytewax_flows.py")
    rows = []
    for name, keys, title, _ in CASES:
        if name == "process":  # Bytewax has no timers of its own
            continue
        peer = process_rate([sys.executable, flows, name, str(keys)], 100_000, 1_100_000, 3)
        own = process_rate(
            [sys.executable, "-m", "penstock.cli.main", "run", PROGRAM, name, str(keys)], 100_000, 1_100_000, 6
        )
        rows.append([title, f"{peer / 1e3:.0f} k/s", f"{own / 1e3:.0f} k/s", f"{own / peer:.1f}"])
    table("Against Bytewax", ["job", "Bytewax", "Penstock", "times its rate"], rows)


def main() -> None:
    """All comparisons that can be made here."""
    compat.install()
    against_the_loop()
    start_and_memory()
    against_pyflink()
    against_bytewax()


if __name__ == "__main__":
    main()

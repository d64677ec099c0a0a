"""What a checkpoint every second costs a keyed sum: RocksDB with 1 GB of state, the heap with 1 M entries.

    python -m benchmarks.checkpoint_cost [--rounds 3] [--only hashmap]

A job fills its state, then updates keys drawn at random; measured is the second part, with and without checkpoints in
turn, each a process of its own: CPU of all its threads a record, and records a second.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import run_process, table

NOISE = random.Random(5).randbytes(1 << 20)
MARKS: dict[str, Any] = {}
CASES = {"hashmap": (1_000_000, 0, 12_000_000), "rocksdb": (1_000_000, 1000, 1_000_000)}
"""Entries, bytes of each, and updates measured."""

COMMAND = [sys.executable, "-m", "penstock.cli.main", "run", "-D", "taskmanager.memory.task.heap.size=2g"]


class Draw:
    """Numbers to (key, sum, payload): first every key once, then some at random; notes when the second part begins."""

    def __init__(self, entries: int, value_bytes: int) -> None:
        self.entries = entries
        self.value_bytes = value_bytes

    def __call__(self, number: int) -> tuple[int, int, bytes]:
        if number == self.entries:
            MARKS["began"] = time.perf_counter(), time.process_time()
        at = number * 7919 % (len(NOISE) - 1000)
        key = number if number < self.entries else number * 2654435761 % 4294967296 * self.entries >> 32
        return key, 1, NOISE[at : at + self.value_bytes]


def add(left: Any, right: Any) -> Any:
    return left[0], left[1] + right[1], right[2]


def run_job(backend: str, entries: int, value_bytes: int, updates: int, interval: str) -> dict[str, float]:
    """In a child: CPU us and wall us a record of the second part, and how many checkpoints were complete."""
    from penstock.common import Configuration, Types, WatermarkStrategy
    from penstock.datastream import StreamExecutionEnvironment
    from penstock.datastream.connectors.number_seq import NumberSequenceSource
    from penstock.runtime._checkpoints import CheckpointCoordinator

    coordinators: list[CheckpointCoordinator] = []
    start = CheckpointCoordinator.start

    def started(coordinator: CheckpointCoordinator, tasks: Any) -> None:
        coordinators.append(coordinator)
        start(coordinator, tasks)

    CheckpointCoordinator.start = started  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as directory:
        conf = Configuration()
        options = {
            "execution.target": "local",
            "state.backend.type": backend,
            "state.backend.rocksdb.memory.fixed-per-slot": "256m",
            "io.tmp.dirs": directory,
            "execution.checkpointing.incremental": "true",
            "execution.checkpointing.dir": str(Path(directory, "checkpoints")),
        }
        if interval != "none":
            options["execution.checkpointing.interval"] = interval
        for key, value in options.items():
            conf.set_string(key, value)
        env = StreamExecutionEnvironment.get_execution_environment(conf)
        env.set_parallelism(1)
        source = NumberSequenceSource(0, entries + updates - 1)
        numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
        summed = numbers.map(Draw(entries, value_bytes)).key_by(lambda r: r[0], Types.LONG()).reduce(add)
        summed.filter(lambda r: False).print()
        env.execute()
        wall, cpu = (
            now - then for now, then in zip((time.perf_counter(), time.process_time()), MARKS["began"], strict=True)
        )
    return {"cpu": cpu / updates * 1e6, "wall": wall / updates * 1e6, "checkpoints": coordinators[0].completed}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=CASES)
    options = parser.parse_args([] if arguments is None else arguments)
    rows = []
    for backend, (entries, value_bytes, updates) in CASES.items():
        if options.only not in (None, backend):
            continue
        found: dict[str, list[dict[str, float]]] = {"none": [], "1 s": []}
        for _ in range(options.rounds):
            for interval in found:
                facts = [backend, str(entries), str(value_bytes), str(updates), interval]
                run = run_process([*COMMAND, __file__, *facts])
                found[interval].append(json.loads(run.stdout.splitlines()[-1]))
                print(backend, interval, found[interval][-1], file=sys.stderr, flush=True)
        middle = {
            interval: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            for interval, runs in found.items()
        }
        rows.append(
            [
                f"{backend}, {entries:,} entries" + (f" of {value_bytes} B" if value_bytes else ""),
                *(f"{middle[interval][name]:.2f}" for name in ("cpu", "wall") for interval in ("none", "1 s")),
                *(f"{(middle['1 s'][name] / middle['none'][name] - 1) * 100:.0f} %" for name in ("cpu", "wall")),
                f"{middle['1 s']['checkpoints']:.0f}",
            ]
        )
    table(
        "Keyed sum over random keys, with a checkpoint every second and without, us a record",
        ["", "CPU without", "CPU with", "wall without", "wall with", "CPU", "wall", "checkpoints"],
        rows,
    )


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in CASES:
        backend_, *numbers_, interval_ = sys.argv[1:]
        sys.path.insert(0, str(Path(__file__).parent.parent))
        # As a module of that name: jobs pickle its functions by reference, and write into its marks.
        from benchmarks import checkpoint_cost

        entries_, value_bytes_, updates_ = map(int, numbers_)
        print(json.dumps(checkpoint_cost.run_job(backend_, entries_, value_bytes_, updates_, interval_)))
    else:
        main(sys.argv[1:])

"""`penstock plan`: start-up as a ratio to an empty Python process, and configurations a second in a batch."""

from __future__ import annotations

import io
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import run_process, table

ROUNDS = 25
FLEET = 20_000

CONFIG_YAML = """\
jobmanager:
  memory:
    process:
      size: 1600m
taskmanager:
  numberOfTaskSlots: 4
  memory:
    process:
      size: 4g
    network:
      fraction: 0.15
parallelism:
  default: 4
state.backend.type: rocksdb
"""


def main() -> None:
    """Prints both tables."""
    start_up()
    batch()


def start_up() -> None:
    """CPU time of whole processes, with byte code compiled as an installed package has it."""
    penstock = str(Path(sys.executable).with_name("penstock"))
    process = "-Dtaskmanager.memory.process.size=4g"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(CONFIG_YAML)
        environment = {"PYTHONPYCACHEPREFIX": f"{folder}/pycache", "PYTHONDONTWRITEBYTECODE": ""}
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "penstock --version": [penstock, "--version"],
            "plan -D": [penstock, "plan", process],
            "plan --conf-dir": [penstock, "plan", "--conf-dir", folder],
            "plan --format json": [penstock, "plan", process, "--format", "json"],
            "plan --format svg": [penstock, "plan", process, "--format", "svg"],
        }
        for command in commands.values():
            run_process(command, **environment)
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name in random.sample(list(commands), len(commands)):
                taken[name].append(run_process(commands[name], **environment).cpu_s)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    empty = medians["python -c pass"]
    rows = [[name, f"{1000 * time_s:.1f}", f"{time_s / empty:.2f}"] for name, time_s in medians.items()]
    table("Start-up of penstock plan (at most 4 times an empty process)", ["command", "CPU ms", "ratio"], rows)


def batch() -> None:
    """A fleet of configurations none of which is like another."""
    from penstock.tools.plan import answer_batch

    requests = fleet(FLEET)
    begin = time.process_time()
    answers = io.StringIO()
    answer_batch(requests, answers)
    taken = time.process_time() - begin
    planned = answers.getvalue().count('"ok": true')
    row = [str(FLEET), str(planned), f"{taken:.2f}", f"{FLEET / taken:,.0f}"]
    table("penstock plan --batch, one core (aim: 10,000 a second)", ["requests", "planned", "CPU s", "a second"], [row])


def fleet(count: int) -> list[str]:
    """Requests with random sizes, fractions and slots."""
    choose = random.Random(7)
    lines = []
    for index in range(count):
        conf: dict[str, object] = {
            "taskmanager.memory.process.size": f"{choose.randint(1 << 20, 1 << 28)}k",
            "taskmanager.numberOfTaskSlots": str(choose.randint(1, 64)),
        }
        for key, value in (
            ("network.fraction", repr(choose.uniform(0.01, 0.3))),
            ("managed.fraction", repr(choose.uniform(0.01, 0.5))),
            ("jvm-overhead.fraction", repr(choose.uniform(0.01, 0.3))),
            ("jvm-metaspace.size", f"{choose.randint(64, 512)}m"),
            ("task.off-heap.size", f"{choose.randint(1, 1 << 18)}k"),
        ):
            if choose.random() < 0.4:
                conf[f"taskmanager.memory.{key}"] = value
        lines.append(json.dumps({"id": index, "role": "taskmanager", "conf": conf}) + "\n")
    return lines


if __name__ == "__main__":
    main()

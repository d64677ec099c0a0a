"""How much of a process the ledger accounts for: unattributed memory against RSS while benchmark jobs run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAMS = str(Path(__file__).with_name("programs.py"))
ROCKSDB = "-Dstate.backend.type=rocksdb"
EVERY = "-Dpenstock.memory.log.interval=100ms"
JOBS: dict[str, tuple[str, ...]] = {
    "chain": ("chain", "1500000", "1000"),
    "keyed sum, 1,000 keys": ("keyed_sum", "1500000", "1000"),
    "keyed sum, 300,000 keys": ("keyed_sum", "1500000", "300000"),
    "tumbling windows": ("tumbling", "500000", "1000"),
    "keyed sum in RocksDB, 1,000 keys": ("keyed_sum", "500000", "1000", ROCKSDB),
    "keyed sum in RocksDB, 300,000 keys": ("keyed_sum", "500000", "300000", ROCKSDB),
}


def snapshots(name: str, records: str, keys: str, *options: str) -> list[dict[str, int]]:
    """The ledger every tenth of a second while a job ran."""
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as log:
        run = [sys.executable, "-m", "penstock.cli.main", "run", EVERY, *options, "--memory-log", log.name]
        subprocess.run([*run, PROGRAMS, name, records, keys], check=True, capture_output=True)
        return [json.loads(line) for line in log]


def main() -> None:
    """Prints a table: RSS and the unattributed part of it, in the middle and at worst."""
    print("| job | snapshots | peak RSS | unattributed, median | at worst |\n| --- | --- | --- | --- | --- |")
    for job, words in JOBS.items():
        taken = snapshots(*words)
        peak_mib = max(snapshot["rss"] for snapshot in taken) / (1 << 20)
        shares = [100 * snapshot["unattributed"] / snapshot["rss"] for snapshot in taken]
        worst = max(shares, key=abs)
        middle = statistics.median(shares)
        print(f"| {job} | {len(taken)} | {peak_mib:.0f} MiB | {middle:+.1f} % | {worst:+.1f} % |", flush=True)


if __name__ == "__main__":
    main()

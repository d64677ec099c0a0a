"""Grouping keyed records in less memory than they take: the external sorter, sorted(), DuckDB, Polars.

    python -m benchmarks.external_sort [--records 5000000] [--budget-mib 64]

The records are (str key, int) with as many distinct keys as records, drawn at random, made in batches of 1,000 as a
task would hand them over; every variant then goes through all records in the order of their keys. Each is a process of
its own: CPU seconds of the whole process (making the records is measured apart and taken off) and the growth of its
peak RSS. DuckDB gets the same memory limit and may spill; Polars and sorted() work in memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from benchmarks.measure import table

MIB = 1 << 20
BATCH = 1000


def batches(records: int) -> Iterator[tuple[list[str], list[int]]]:
    draw = random.Random(1).randrange
    for start in range(0, records, BATCH):
        yield [f"key-{draw(records)}" for _ in range(BATCH)], list(range(start, start + BATCH))


def external(records: int, budget: int, directory: str) -> int:
    from penstock.runtime.operators.base import NO_TIMESTAMP
    from penstock.runtime.sort import ExternalSorter

    stamps = [NO_TIMESTAMP] * BATCH
    groups = 0
    with ExternalSorter(budget, [directory]) as sorter:
        for keys, values in batches(records):
            sorter.add(keys, stamps, list(zip(keys, values, strict=True)))
        for _, parts in sorter.groups():
            for _, _, _ in parts:
                pass
            groups += 1
        print(sorter.statistics(), file=sys.stderr)
    return groups


def in_memory(records: int, budget: int, directory: str) -> int:
    rows = [row for keys, values in batches(records) for row in zip(keys, values, strict=True)]
    rows.sort(key=lambda row: row[0])
    groups = 0
    for _, part in groupby(rows, key=lambda row: row[0]):
        for _ in part:
            pass
        groups += 1
    return groups


def duckdb(records: int, budget: int, directory: str) -> int:
    import duckdb
    import pyarrow

    connection = duckdb.connect(
        f"{directory}/data.db",
        config={"memory_limit": f"{budget // MIB}MiB", "temp_directory": directory, "threads": 1},
    )
    connection.execute("CREATE TABLE records (key VARCHAR, value BIGINT)")
    for keys, values in batches(records):
        chunk = pyarrow.table({"key": keys, "value": values})
        connection.execute("INSERT INTO records SELECT * FROM chunk")
        del chunk
    result = connection.execute("SELECT key, value FROM records ORDER BY key")
    groups, last = 0, None
    while rows := result.fetchmany(10_000):
        for key, _ in rows:
            if key != last:
                groups, last = groups + 1, key
    return groups


def polars(records: int, budget: int, directory: str) -> int:
    import polars

    frame = polars.concat([polars.DataFrame({"key": keys, "value": values}) for keys, values in batches(records)])
    groups, last = 0, None
    for key, _ in frame.sort("key").iter_rows():
        if key != last:
            groups, last = groups + 1, key
    return groups


def making(records: int, budget: int, directory: str) -> int:
    return sum(1 for _ in batches(records))


VARIANTS: dict[str, Callable[[int, int, str], int]] = {
    "making": making,
    "external": external,
    "sorted": in_memory,
    "duckdb": duckdb,
    "polars": polars,
}


def measure(name: str, records: int, budget: int) -> dict[str, float]:
    for module in {"duckdb": ("duckdb", "pyarrow"), "polars": ("polars",)}.get(name, ()):
        importlib.import_module(module)
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as directory:
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, wall = time.process_time(), time.perf_counter()
        groups = VARIANTS[name](records, budget, directory)
        return {
            "cpu_s": time.process_time() - began,
            "wall_s": time.perf_counter() - wall,
            "mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024,
            "groups": groups,
        }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--budget-mib", type=int, default=64)
    options = parser.parse_args([] if arguments is None else arguments)
    found: dict[str, dict[str, float]] = {}
    for name in VARIANTS:
        if name in ("duckdb", "polars") and importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: pip install 'penstock[bench]'")
            continue
        command = [sys.executable, "-m", "benchmarks.external_sort", "--child", name]
        command += [str(options.records), str(options.budget_mib * MIB)]
        run = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        if run.returncode:
            raise RuntimeError(run.stderr[-2000:])
        found[name] = json.loads(run.stdout.splitlines()[-1])
        print(".", end="", flush=True)
    made = found.pop("making")["cpu_s"]
    base = found["sorted"]["cpu_s"] - made
    rows = [
        [
            name,
            f"{(figures['cpu_s'] - made) / options.records * 1e6:.2f}",
            f"{(figures['cpu_s'] - made) / base:.1f}",
            f"{figures['mib']:.0f}",
            f"{figures['groups']:.0f}",
        ]
        for name, figures in found.items()
    ]
    print()
    table(
        f"{options.records:,} records, budget {options.budget_mib} MiB",
        ["", "CPU us a record", "x sorted()", "peak RSS growth MiB", "groups"],
        rows,
    )


def child(arguments: list[str]) -> Any:
    return measure(arguments[0], int(arguments[1]), int(arguments[2]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2:])))
    else:
        main(sys.argv[1:])

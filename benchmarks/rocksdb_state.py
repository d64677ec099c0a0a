"""The RocksDB backend: what memory it takes for a budget, and how fast it is against the heap and against plain RocksDB.

    python -m benchmarks.rocksdb_state [memory | speed | uniform | checkpoints] [--gigabytes 2] [--budgets 32 64 256]

`memory`: anonymous RSS above the idle process, sampled from outside, while values are written and then read at random
over 1 and 8 states; the budget is `state.backend.rocksdb.memory.fixed-per-slot`, and the cache of objects is 1 MiB.
`speed`: a keyed sum in batches of 1,000 records, CPU time of the thread.
`uniform`: the same where the state is ten times all memory, against a loop of single get and put on the same store.
`checkpoints`: the longest pause and the time to write 1 GB (or 1 M entries on the heap), and to restore it.
Every measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import table

MIB = 1 << 20
BATCH = 1000


def anonymous_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def backend(kind: str, directory: str, budget: int = 64 * MIB, cache: int = 64 * MIB, **settings: Any) -> Any:
    from penstock.conf import Configuration
    from penstock.memory import plan_rocksdb
    from penstock.runtime.state import BackendContext, HashMapBackend
    from penstock.runtime.state._heap_share import HeapShare
    from penstock.runtime.state._rocksdb import RocksDBBackend, RocksDBSettings
    from penstock.runtime.state._rocksdb_memory import RocksDBMemory

    context = BackendContext("0" * 32, "Sum", 0, 1, 128, lambda: time.time_ns() // 1_000_000)
    if kind == "hashmap":
        return HashMapBackend(context)
    configuration = Configuration.from_mapping({"state.backend.rocksdb.memory.fixed-per-slot": f"{budget}b"})
    lease = RocksDBMemory.lease(plan_rocksdb(configuration, 0), "benchmark", None)
    return RocksDBBackend(context, RocksDBSettings((directory,), **settings), lease, HeapShare(cache))


def child(*arguments: str) -> Any:
    """Runs a measurement in a process of its own; its last line is its result."""
    command = [sys.executable, "-m", "benchmarks.rocksdb_state", "--child", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MALLOC_ARENA_MAX": "2"})
    if run.returncode:
        raise RuntimeError(run.stderr[-2000:])
    return json.loads(run.stdout.splitlines()[-1])


# -- memory --------------------------------------------------------------------------------------


def measure_memory(budget_mib: int, states: int, gigabytes: float) -> dict[str, Any]:
    """In the child: writes values of 1 kB under random keys and reads 200,000, while a process outside looks on."""
    from penstock.common.typeinfo import Types
    from penstock.runtime.state import StateKind, TableSpec

    directory = tempfile.mkdtemp(prefix="penstock-benchmark-")
    subject = backend("rocksdb", directory, budget_mib * MIB, MIB)
    tables = [subject.table(TableSpec(f"s{n}", StateKind.VALUE, Types.STRING())) for n in range(states)]
    count = int(gigabytes * (1 << 30) / 1024)
    draw = random.Random(1).randrange
    noise = "".join(random.Random(2).choices("0123456789abcdefghijklmnopqrstuvwxyz", k=1000))
    warm_up(tables[0], noise)
    watcher = Watcher()
    began = time.perf_counter()
    for start in range(0, count, BATCH):
        subject_table = tables[start // BATCH % states]
        keys = [draw(count * 2) for _ in range(BATCH)]
        for key in keys:
            subject_table.put(key, noise[key % 500 :] + noise[: key % 500])
        subject.end_batch()
    written_s = time.perf_counter() - began
    peak_write = watcher.peak_bytes()
    began = time.perf_counter()
    for start in range(0, 200_000, BATCH):
        keys = [draw(count * 2) for _ in range(BATCH)]
        subject_table = tables[start // BATCH % states]
        subject_table.prefetch(keys)
        subject.end_batch()
    read_s = time.perf_counter() - began
    peak = watcher.stop()
    subject.close()
    shutil.rmtree(directory)
    return {"write": peak_write, "all": peak, "written_s": written_s, "read_s": read_s, "count": count}


def warm_up(subject_table: Any, value: str) -> None:
    """What the idle process of a job has, too: libraries loaded, a store open."""
    keys = list(range(BATCH))
    for key in keys:
        subject_table.put(key, value)
    subject_table.write_all()
    subject_table.prefetch(keys)


class Watcher:
    """Samples this process's anonymous RSS from a process outside, every 5 ms."""

    SOURCE = """
import sys, time
path, base, peak = f"/proc/{sys.argv[1]}/status", None, 0
import threading
def answer():
    for line in sys.stdin:
        print(peak, flush=True)
threading.Thread(target=answer, daemon=True).start()
while True:
    try:
        with open(path) as file:
            for line in file:
                if line.startswith("RssAnon"):
                    now = int(line.split()[1]) * 1024
    except OSError:
        break
    peak = max(peak, now)
    time.sleep(0.005)
"""

    def __init__(self) -> None:
        self._base = anonymous_bytes(os.getpid())
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.SOURCE, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def peak_bytes(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()) - self._base

    def stop(self) -> int:
        peak = self.peak_bytes()
        self._process.kill()
        self._process.communicate()
        return peak


def memory(budgets: list[int], gigabytes: float) -> None:
    rows = []
    for budget in budgets:
        for states in (1, 8):
            found = child("memory", str(budget), str(states), str(gigabytes))
            allowed = 1.15 * budget + 16
            rows.append(
                [
                    f"{budget}",
                    f"{states}",
                    f"{found['write'] / MIB:.0f}",
                    f"{found['all'] / MIB:.0f}",
                    f"{allowed:.0f}",
                    "yes" if found["all"] / MIB <= allowed else "NO",
                    f"{found['count'] / found['written_s'] / 1000:.0f}",
                    f"{200 / found['read_s']:.0f}",
                ]
            )
            print(".", end="", flush=True)
    print()
    table(
        f"{gigabytes:g} GB of 1 kB values: anonymous RSS above the idle process, MiB",
        ["budget", "states", "peak writing", "peak", "1.15 x + 16", "within", "k writes/s", "k reads/s"],
        rows,
    )


# -- speed ---------------------------------------------------------------------------------------


def sum_batches(subject: Any, batches: Iterator[list[int]]) -> Callable[[], None]:
    """A keyed sum as the chain compiler writes it."""
    from penstock.common.typeinfo import Types
    from penstock.runtime.state import StateKind, TableSpec

    state = subject.table(TableSpec("sum", StateKind.REDUCING, Types.LONG()))

    def run() -> None:
        for keys in batches:
            entries = state.open_batch(keys)
            for key in keys:
                held = entries.get(key)
                entries[key] = 1 if held is None else add(held, 1)
            state.close_batch(keys)
            subject.end_batch()

    return run


def add(left: int, right: int) -> int:
    return left + right


def plain_rocksdb(directory: str, budget: int) -> Callable[[Iterable[list[int]]], None]:
    """A loop of single get and put with the same options, pickled values."""
    import pickle

    import rocksdict

    from penstock.conf import Configuration
    from penstock.memory import plan_rocksdb
    from penstock.runtime.state import encode_key
    from penstock.runtime.state._rocksdb_memory import RocksDBMemory, RocksDBTuning, store_options

    configuration = Configuration.from_mapping({"state.backend.rocksdb.memory.fixed-per-slot": f"{budget}b"})
    memory_ = RocksDBMemory.create(plan_rocksdb(configuration, 0))
    store = rocksdict.Rdict(f"{directory}/plain", store_options(memory_, RocksDBTuning()))
    options = rocksdict.WriteOptions()
    options.disable_wal = True

    def run(batches: Iterable[list[int]]) -> None:
        for keys in batches:
            for key in keys:
                name = encode_key(key)
                held = store.get(name)
                value = 1 if held is None else add(pickle.loads(held), 1)
                store.put(name, pickle.dumps(value, 5), options)

    run.memory = memory_  # type: ignore[attr-defined]  # what the store uses, for as long
    return run


def drawn(keys: int, records: int, seed: int) -> Iterator[list[int]]:
    draw = random.Random(seed).randrange
    for _ in range(0, records, BATCH):
        yield [draw(keys) for _ in range(BATCH)]


def measure_speed(kind: str, keys: int, records: int, cache_mib: float) -> dict[str, float]:
    directory = tempfile.mkdtemp(prefix="penstock-benchmark-")
    budget = 64 * MIB
    try:
        batches = list(drawn(keys, records, 7))
        filling = ([*range(start, min(start + BATCH, keys))] for start in range(0, keys, BATCH))
        if kind == "plain":
            get_and_put = plain_rocksdb(directory, budget)
            get_and_put(filling)
            began = time.thread_time()
            get_and_put(batches)
            return {"us": (time.thread_time() - began) / records * 1e6}
        subject = backend(kind, directory, budget, int(cache_mib * MIB))
        sum_batches(subject, filling)()
        warm = sum_batches(subject, drawn(keys, min(records, keys), 5))
        warm()
        measured = sum_batches(subject, iter(batches))
        began = time.thread_time()
        measured()
        used = time.thread_time() - began
        subject.close()
        return {"us": used / records * 1e6}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measure_uniform(keys: int, budget_mib: float, cache_mib: float, rounds: int) -> dict[str, list[float]]:
    """A store that is larger than all memory: a keyed sum, and a plain loop on the same store, in turn.

    Returns:
        Wall and CPU us (of all threads) a record of each round, for each of the two.
    """
    directory = tempfile.mkdtemp(prefix="penstock-benchmark-")
    subject = backend("rocksdb", directory, int(budget_mib * MIB), int(cache_mib * MIB))
    try:
        state = filled_store(subject, keys)
        records = 200_000
        sum_batches(subject, drawn(keys, records, 5))()
        found: dict[str, list[float]] = {f"{kind}_{what}": [] for kind in ("plain", "sum") for what in ("wall", "cpu")}
        for number in range(2 * rounds):
            batches = list(drawn(keys, records, 10 + number))
            if number % 2:
                kind, run = "sum", sum_batches(subject, iter(batches))
            else:
                kind, run = "plain", plain_loop(state, batches)
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            found[f"{kind}_wall"].append((time.perf_counter() - wall) / records * 1e6)
            found[f"{kind}_cpu"].append((time.process_time() - cpu) / records * 1e6)
        return found
    finally:
        subject.close()
        shutil.rmtree(directory, ignore_errors=True)


def filled_store(subject: Any, keys: int) -> Any:
    """The state of `sum_batches` with a value for each key, written in random order, and compacted as far as it goes."""
    from penstock.common.typeinfo import Types
    from penstock.runtime.state import StateKind, TableSpec

    state = subject.table(TableSpec("sum", StateKind.REDUCING, Types.LONG()))
    order = list(range(keys))
    random.Random(9).shuffle(order)
    for start in range(0, keys, BATCH):
        part = order[start : start + BATCH]
        state.load(None, part, [key * 2654435761 & 0xFFFFFFFFFF for key in part])
    time.sleep(5)
    return state


def plain_loop(state: Any, batches: list[list[int]]) -> Callable[[], None]:
    """Single gets and puts on the store of a state; the rows' keys are known, but each is encoded as any loop must."""
    from penstock.runtime.state import encode_key

    state.write_all()
    rows = [state._row_keys(state._void, keys) for keys in batches]
    store, encode, decode = state._backend.store._db, state.codec.encode, state.codec.decode
    options = state._backend.store._write_options

    def run() -> None:
        get, put = store.get, store.put
        for keys, names in zip(batches, rows, strict=True):
            for key, name in zip(keys, names, strict=True):
                encode_key(key)
                held = get(name)
                value = 1 if held is None else add(decode(held), 1)
                put(name, encode(value), options)

    return run


def speed() -> None:
    rows = []
    for keys, records, cache, label in (
        (1_000, 1_000_000, 64, "1,000 keys, all cached"),
        (100_000, 1_000_000, 64, "100,000 keys, all cached"),
        (1_000_000, 1_000_000, 512, "1 M keys, all cached"),
    ):
        found = {}
        for kind in ("hashmap", "rocksdb", "plain"):
            found[kind] = min(
                child("speed", kind, str(keys), str(records), str(cache))["us"]
                for _ in range(2 if keys < 1_000_000 else 1)
            )
            print(".", end="", flush=True)
        rows.append(
            [
                label,
                *(f"{found[kind]:.2f}" for kind in ("hashmap", "rocksdb", "plain")),
                f"{found['hashmap'] / found['rocksdb']:.2f}",
                f"{found['plain'] / found['rocksdb']:.2f}",
            ]
        )
    print()
    table(
        "Keyed sum, batches of 1,000, CPU us of the task's thread a record",
        ["", "hashmap", "rocksdb", "get and put", "rate / hashmap's", "rate / get and put's"],
        rows,
    )


def uniform() -> None:
    keys, budget, cache = 8_000_000, 16, 8
    found = child("uniform", str(keys), str(budget), str(cache), "5")
    middle = {name: statistics.median(values) for name, values in found.items()}
    table(
        f"Keyed sum over {keys:,} keys drawn evenly (31 B each in the store), {budget} MiB for RocksDB and {cache} MiB of "
        "cached objects, us a record; median of 5 rounds in turn on one store",
        ["", "get and put", "keyed sum", "rate / get and put's", "each round"],
        [
            [
                what,
                f"{middle[f'plain_{name}']:.2f}",
                f"{middle[f'sum_{name}']:.2f}",
                f"{middle[f'plain_{name}'] / middle[f'sum_{name}']:.2f}",
                " ".join(f"{a / b:.2f}" for a, b in zip(found[f"plain_{name}"], found[f"sum_{name}"], strict=True)),
            ]
            for what, name in (("wall", "wall"), ("CPU, all threads", "cpu"))
        ],
    )


# -- checkpoints ---------------------------------------------------------------------------------


def measure_checkpoint(kind: str, entries: int, value_bytes: int) -> dict[str, float]:
    from penstock.common.typeinfo import Types
    from penstock.runtime.checkpoint import CheckpointStorage
    from penstock.runtime.state import StateKind, TableSpec

    directory = tempfile.mkdtemp(prefix="penstock-benchmark-")
    try:
        subject = backend(kind, directory, 128 * MIB, 64 * MIB, **({} if kind == "hashmap" else {"incremental": True}))
        state = subject.table(TableSpec("s", StateKind.VALUE))
        rng = random.Random(3)
        value = (1, 0.5) if value_bytes == 0 else None
        for start in range(0, entries, BATCH):
            for key in range(start, start + BATCH):
                state.put(f"key-{key}", value or rng.randbytes(value_bytes))
            subject.end_batch()
        storage = CheckpointStorage(f"{directory}/checkpoints", "a" * 32)
        found: dict[str, float] = {}
        for number, changes in ((1, 0), (2, 50_000)):
            for _ in range(0, changes, BATCH):
                keys = [f"key-{rng.randrange(entries)}" for _ in range(BATCH)]
                live = state.open_batch(keys)
                for key in keys:
                    live[key] = value or rng.randbytes(value_bytes)
                state.close_batch(keys)
            writer = storage.begin(number)
            began = time.perf_counter()
            snapshot = subject.snapshot(number, writer)
            longest = barrier = time.perf_counter() - began
            done = False
            while not done:
                slice_began = time.perf_counter()
                done = snapshot.advance(5)
                longest = max(longest, time.perf_counter() - slice_began)
            handle = snapshot.finish()
            view = writer.complete(handle)
            subject.checkpoint_completed(number)
            found |= {f"barrier_{number}": barrier * 1e3, f"longest_{number}": longest * 1e3}
            found[f"seconds_{number}"] = time.perf_counter() - began
            found[f"new_mib_{number}"] = (
                sum(f.stat().st_size for f in Path(f"{directory}/checkpoints").rglob("*") if f.is_file()) / MIB
            )
        subject.close()
        again = backend(kind, directory, 128 * MIB, 64 * MIB)
        began = time.perf_counter()
        again.restore([(view.metadata, view)])
        again.table(TableSpec("s", StateKind.VALUE))
        found["restore_s"] = time.perf_counter() - began
        again.close()
        del Types
        return found
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def checkpoints() -> None:
    rows = []
    for label, kind, entries, value_bytes in (
        ("hashmap, 1 M entries", "hashmap", 1_000_000, 0),
        ("rocksdb, 1 M entries", "rocksdb", 1_000_000, 0),
        ("rocksdb, 1 GB", "rocksdb", 1_000_000, 1000),
    ):
        found = child("checkpoints", kind, str(entries), str(value_bytes))
        rows.append(
            [
                label,
                f"{found['barrier_1']:.0f}",
                f"{max(found['longest_1'], found['longest_2']):.0f}",
                f"{found['seconds_1']:.1f}",
                f"{found['new_mib_1']:.0f}",
                f"{found['seconds_2']:.1f}",
                f"{found['new_mib_2'] - found['new_mib_1']:.0f}",
                f"{found['restore_s']:.1f}",
            ]
        )
        print(".", end="", flush=True)
    print()
    table(
        "Checkpoints to local disk; the second after 50,000 changes",
        ["", "barrier ms", "longest pause ms", "first s", "MiB", "second s", "new MiB", "restore s"],
        rows,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["memory", "speed", "uniform", "checkpoints"])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--budgets", type=int, nargs="+", default=[32, 64, 256])
    options = parser.parse_args([] if arguments is None else arguments)
    if "memory" in options.what:
        memory(options.budgets, options.gigabytes)
    if "speed" in options.what:
        speed()
    if "uniform" in options.what:
        uniform()
    if "checkpoints" in options.what:
        checkpoints()


def run_child(what: str, arguments: list[str]) -> None:
    if what == "memory":
        found: Any = measure_memory(int(arguments[0]), int(arguments[1]), float(arguments[2]))
    elif what == "speed":
        found = measure_speed(arguments[0], int(arguments[1]), int(arguments[2]), float(arguments[3]))
    elif what == "uniform":
        found = measure_uniform(int(arguments[0]), float(arguments[1]), float(arguments[2]), int(arguments[3]))
    else:
        found = measure_checkpoint(arguments[0], int(arguments[1]), int(arguments[2]))
    assert threading.active_count() == 1, threading.enumerate()
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], sys.argv[3:])
    else:
        main(sys.argv[1:])

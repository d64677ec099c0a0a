"""What glibc's settings make of a process's memory: peak, what is kept after a burst, and after a trim.

    python -m benchmarks.allocator_settings

Each line is a process of its own. The bursts are blocks of 600 bytes to 20 kB (what pymalloc does not serve and the
kernel does not map one by one) and JSON documents, made by several threads and then let go.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

SETTINGS: dict[str, dict[str, str]] = {
    "default": {},
    "MALLOC_ARENA_MAX=2": {"MALLOC_ARENA_MAX": "2"},
    "MALLOC_ARENA_MAX=1": {"MALLOC_ARENA_MAX": "1"},
    "ARENA_MAX=2, TRIM_THRESHOLD=1 MiB": {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": str(1 << 20)},
    "ARENA_MAX=2, MMAP_THRESHOLD=16 KiB": {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(16 << 10)},
}
SHAPES = {"one thread": (1, 12_000, 3), "six threads": (6, 2_000, 4)}
"""Name -> threads, blocks each, rounds."""


def anonymous_mib() -> float:
    resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE") / 2**20


def blocks(seed: int, count: int) -> list[bytes]:
    size = Random(seed).randrange
    return [bytes(size(600, 20_000)) for _ in range(count)]


def documents(seed: int) -> list[object]:
    text = json.dumps([{"id": number, "name": f"name {number}", "tags": ["a", "b"] * 5} for number in range(100)])
    return [json.loads(text) for _ in range(40 + seed % 2)] + [text * 3 for _ in range(20)]


def measure(shape: str) -> dict[str, float]:
    thread_count, block_count, rounds = SHAPES[shape]
    peak = 0.0
    before = anonymous_mib()

    def work(seed: int) -> None:
        nonlocal peak
        for step in range(rounds):
            held = (blocks(seed + step, block_count), documents(seed + step))
            peak = max(peak, anonymous_mib())
            del held

    started = time.process_time()
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(thread_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu_s = time.process_time() - started
    kept = anonymous_mib()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from penstock.memory._allocator import trim

    trim()
    return {"peak": peak - before, "kept": kept - before, "trimmed": anonymous_mib() - before, "cpu_s": cpu_s}


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2])))
        return
    for shape in SHAPES:
        print(f"{shape:36}  {'peak':>9}  {'kept':>9}  {'trimmed':>9}  {'CPU':>7}   (medians of 5)")
        for name, environment in SETTINGS.items():
            runs = []
            for _ in range(5):
                command = [sys.executable, __file__, "--measure", shape]
                variables = {**os.environ, **environment}
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
                runs.append(json.loads(done.stdout))
            median = {key: sorted(run[key] for run in runs)[2] for key in runs[0]}
            print(
                f"{name:36}  {median['peak']:5.0f} MiB  {median['kept']:5.0f} MiB  {median['trimmed']:5.0f} MiB"
                f"  {median['cpu_s']:5.2f} s"
            )


if __name__ == "__main__":
    main()

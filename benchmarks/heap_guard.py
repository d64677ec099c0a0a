"""What the heap guard costs: the same work with its hooks in and out, in pairs within one process.

    python -m benchmarks.heap_guard [--pairs 100]

The hooks are put in and taken out at random between the two halves of each pair; thread CPU time; the median of the
ratios with a 95 % bootstrap interval. "control" compares the work without hooks to itself by the same procedure: what
it shows beside 1.000 is noise. In is with a limit in force, and inside a task's slot.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import timeit
from collections.abc import Callable
from time import thread_time

from penstock.memory._heap_guard import HeapGuard, install_heap_guard
from penstock.memory._heap_limits import HeapLimits

Work = Callable[[], object]

DOCUMENT = json.dumps([{"id": n, "name": f"name {n}", "tags": ["a", "b"], "score": n / 7} for n in range(1500)])
RECORDS = [(n * 7919 % 1000, n) for n in range(60_000)]
SIZES = [600 + n * 37 % 5000 for n in range(1000)]


def dictionaries() -> None:
    """A keyed reduce over 1,000 keys, then as many small dicts."""
    state: dict[int, tuple[int, int]] = {}
    for key, value in RECORDS:
        old = state.get(key)
        state[key] = (1, value) if old is None else (old[0] + 1, old[1] + value)
    kept = [{"key": key, "count": count} for key, (count, _) in state.items()]
    del kept


def lists() -> None:
    """Growing lists of small lists."""
    kept = []
    for _, value in RECORDS:
        kept.append([value, value + 1])
    kept.sort()


def strings() -> None:
    """Formatting, joining, splitting."""
    text = ",".join([f"{key}:{value}" for key, value in RECORDS])
    kept = [part.upper() for part in text.split(",")]
    del kept


def documents() -> None:
    """JSON there and back."""
    json.dumps(json.loads(DOCUMENT))


def large_blocks() -> None:
    """Nothing but blocks of 600 to 5,600 bytes, 200 of them alive."""
    kept: list[bytes | None] = [None] * 200
    for turn in range(30):
        for n, size in enumerate(SIZES):
            kept[(n + turn) % 200] = bytes(size)


WORKS: dict[str, Work] = {
    "dictionaries": dictionaries,
    "lists": lists,
    "strings": strings,
    "JSON": documents,
    "large blocks only": large_blocks,
}
TARGET, TARGET_OF_LARGE_BLOCKS = 1.01, 1.03


class Hooks:
    """Puts the guard in and takes it out."""

    def __init__(self) -> None:
        self._guard: HeapGuard | None = None

    def put_in(self) -> None:
        if self._guard is None:
            self._guard = install_heap_guard(HeapLimits.of(8 << 30), malloc_arenas=None)
            if self._guard.mode != "enforced":
                reason = self._guard.reason
                self._guard.close()
                raise SystemExit(f"The heap cannot be metered here: {reason}")
            self._guard.enter(self._guard.open_slot("benchmark"))

    def take_out(self) -> None:
        if self._guard is not None:
            self._guard.leave()
            self._guard.close()
            self._guard = None


def timed(work: Work) -> float:
    started = thread_time()
    work()
    return thread_time() - started


def ratios(work: Work, pairs: int, hooks: Hooks, control: bool) -> list[float]:
    """With hooks to without, a pair at a time, in random order."""
    found = []
    for _ in range(pairs):
        seconds = {}
        for hooked in random.sample((True, False), 2):
            (hooks.put_in if hooked and not control else hooks.take_out)()
            work()
            seconds[hooked] = min(timed(work), timed(work))
        found.append(seconds[True] / seconds[False])
    hooks.take_out()
    return found


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median."""
    medians = sorted(statistics.median(random.choices(values, k=len(values))) for _ in range(1000))
    return medians[25], medians[975]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    options = parser.parse_args(arguments if arguments is not None else [])
    hooks = Hooks()
    header = ("guard / without", "95 % interval", "target", "control", "95 % interval")
    print("| work | " + " | ".join(header) + " |\n" + "| --- " * 6 + "|")
    for name, work in WORKS.items():
        columns = []
        for control in (False, True):
            values = ratios(work, options.pairs, hooks, control)
            low, high = interval(values)
            columns += [f"{statistics.median(values):.3f}", f"{low:.3f} to {high:.3f}"]
        target = TARGET_OF_LARGE_BLOCKS if work is large_blocks else TARGET
        columns.insert(2, f"<= {target}")
        print(f"| {name} | " + " | ".join(columns) + " |", flush=True)
    hooks.put_in()
    guard = hooks._guard
    assert guard is not None
    calls = 200_000
    loop = min(timeit.repeat("f", globals={"f": int}, number=calls, repeat=5))
    for name, call in (("used()", guard.used), ("over_soft()", guard.over_soft)):
        taken = min(timeit.repeat("f()", globals={"f": call}, number=calls, repeat=5)) - loop
        print(f"{name:20} {taken / calls * 1e9:13.0f} ns")
    slot = guard.open_slot("timed")
    pair = {"enter": guard.enter, "leave": guard.leave, "slot": slot}
    taken = min(timeit.repeat("enter(slot); leave()", globals=pair, number=calls, repeat=5)) - loop
    print(f"{'enter() + leave()':20} {taken / calls * 1e9:13.0f} ns")
    hooks.take_out()


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])

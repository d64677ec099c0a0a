"""A program of tasks that outgrow their heap: run as a child process, watched from outside.

    python heap.py --limit BYTES [--mode enforced|polled] [--rounds N | --seconds S] HOG[,HOG...] ...

Each argument is one thread: the hogs it runs in turn, each as a task under the heap guard. Beside them a neighbour
works in little memory. Prints one JSON line an event and at the end waits for a line on standard input, so that the
parent can read the peak of the process from /proc before it is gone.
"""

from __future__ import annotations

import argparse
import collections
import functools
import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from penstock.memory._heap_failure import TaskHeapError
from penstock.memory._heap_guard import HeapGuard, install_heap_guard
from penstock.memory._heap_limits import HeapLimits

HOGS: dict[str, Callable[[], Any]] = {}


def hog(function: Callable[[], Any]) -> Callable[[], Any]:
    HOGS[function.__name__] = function
    return function


@hog
def list_of_lists() -> None:
    kept = []
    while True:
        kept.append([1, 2, 3])


@hog
def dict_of_tuples() -> None:
    kept = {}
    for number in itertools.count():
        kept[number] = (number, str(number))


@hog
def small_strings() -> None:
    kept = []
    for number in itertools.count():
        kept.append(str(number) * 3)


@hog
def bytes_of_many_sizes() -> None:
    kept = []
    draw = random.Random(7)
    while True:
        kept.append(bytes(draw.randrange(10, 8000)))


@hog
def growing_bytearray() -> None:
    kept = bytearray()
    while True:
        kept += b"x" * 1000


@hog
def growing_string() -> None:
    kept = ""
    while True:
        kept += "a sentence that is appended again and again "


@hog
def huge_bytearray() -> None:
    bytearray(10 * 1000**3)


@hog
def list_in_one_call() -> None:
    """Fails as a task if the list grows again before its strings have used the reserve up, else ends the process."""
    list(map(str, range(10**8)))


@hog
def deque_in_one_call() -> None:
    collections.deque(map(str, range(10**8)))


@hog
def deep_recursion() -> None:
    sys.setrecursionlimit(1 << 30)

    def down(depth: int) -> int:
        return down(depth + 1) + 1

    down(0)


@functools.cache
def _document() -> str:
    return json.dumps(
        [{"id": number, "name": f"name {number}", "tags": ["a", "b", [1, 2.5, None]]} for number in range(5000)]
    )


@hog
def json_documents() -> None:
    kept = []
    while True:
        kept.append(json.loads(_document()))


@hog
def generators() -> None:
    def numbers(start: int) -> Iterator[int]:
        held = list(range(start, start + 20))
        yield from held

    kept = []
    for number in itertools.count():
        generator = numbers(number)
        next(generator)
        kept.append(generator)


@hog
def big_integers() -> None:
    kept = []
    value = 3**2000
    while True:
        value = value * 3**50
        kept.append(value)


class _Node:
    def __init__(self, previous: _Node | None) -> None:
        self.previous = previous
        self.itself = self


@hog
def cyclic_objects() -> None:
    kept = None
    while True:
        kept = _Node(kept)


# The inner loop is what makes these catch: the jump back of the outer one is outside its `try`, and a bytecode boundary.


@hog
def catches_memory_error() -> None:
    kept = []
    while True:
        try:
            while True:
                kept.append([len(kept)])
        except MemoryError:
            pass


@hog
def catches_every_exception() -> None:
    kept = []
    while True:
        try:
            while True:
                kept.append("x" * 1000 + str(len(kept)))
        except Exception:
            pass


@hog
def catches_and_goes_on_asking() -> None:
    kept = []
    while True:
        try:
            while True:
                kept.append(None)
        except MemoryError:
            pass


@hog
def catches_everything() -> None:
    """Nothing but the end of the process stops it: what gets past one handler is caught by the next."""
    kept = []

    def go_on(depth: int) -> None:
        while True:
            try:
                if depth:
                    go_on(depth - 1)
                while True:
                    kept.append([len(kept)])
            except BaseException:
                pass

    go_on(50)


@hog
def tiny_blocks_in_one_call() -> None:
    """No bytecode runs in between, and every single request is tiny."""
    kept, ahead = itertools.tee(map(str, range(10**8)))
    collections.deque(ahead, maxlen=0)
    del kept


ENDS_THE_PROCESS = ("catches_everything", "tiny_blocks_in_one_call")
CONTAINED = tuple(name for name in HOGS if name not in (*ENDS_THE_PROCESS, "list_in_one_call"))
"""The hogs that always fail as a task."""


def say(**event: Any) -> None:
    os.write(1, (json.dumps(event) + "\n").encode())


def run_hog(guard: HeapGuard, name: str) -> None:
    slot = guard.open_slot(name)
    started = time.monotonic()
    try:
        guard.call(slot, HOGS[name])
        outcome, message = "finished", ""
    except TaskHeapError as error:
        outcome, message = "failed", str(error)
    finally:
        guard.close_slot(slot)
    say(
        event="task",
        hog=name,
        outcome=outcome,
        message=message,
        seconds=round(time.monotonic() - started, 3),
        heap=guard.used(),
        peak=guard.peak(),
    )


def neighbour(guard: HeapGuard, stop: threading.Event, result: dict[str, Any]) -> None:
    """A task in another slot that needs little and must not be disturbed."""
    guard.mark_system(True)

    def work() -> int:
        rounds = 0
        table = dict.fromkeys(range(5000), 0)
        while not stop.is_set():
            for key in table:
                table[key] += 1
            "-".join(map(str, range(500)))
            rounds += 1
            time.sleep(0.001)
        return rounds

    slot = guard.open_slot("neighbour")
    try:
        result["rounds"] = guard.call(slot, work)
    except BaseException as error:
        result["error"] = f"{type(error).__name__}: {error}"
    finally:
        guard.close_slot(slot)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--mode", default="enforced")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--report", default="")
    parser.add_argument("threads", nargs="+")
    arguments = parser.parse_args()
    _document()
    guard = install_heap_guard(
        HeapLimits.of(arguments.limit),
        polled=arguments.mode == "polled",
        grace_s=arguments.grace,
        report_directory=arguments.report,
    )
    guard.mark_system(True)
    say(event="started", mode=guard.mode, reason=guard.reason, reserve=guard.limits.reserve_bytes, heap=guard.used())
    stop, beside = threading.Event(), {}
    watcher = threading.Thread(target=neighbour, args=(guard, stop, beside))
    watcher.start()
    end = time.monotonic() + arguments.seconds if arguments.seconds else None

    def run(names: list[str], seed: int) -> None:
        guard.mark_system(True)
        draw = random.Random(seed)
        done = 0
        while time.monotonic() < end if end else done < arguments.rounds:
            for name in names if end is None else draw.sample(names, len(names)):
                run_hog(guard, name)
            done += 1

    threads = [
        threading.Thread(target=run, args=(names.split(","), seed)) for seed, names in enumerate(arguments.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    guard.trim()
    say(event="done", neighbour=beside, heap=guard.used(), peak=guard.peak(), counters=guard.counters())
    sys.stdin.readline()
    guard.close()


if __name__ == "__main__":
    main()

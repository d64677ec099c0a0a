"""Keyed state in the ledger: a part of `heap` for each descriptor of the hashmap backend.

Sizes are sampled between batches, on the thread that changes the state, seldom enough to cost little: between two
samples of a task passes at least fifty times as long as one takes. RocksDB's state is not here: what it holds in memory
is `managed`, the rest is on disk.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from penstock.runtime.state import HashMapBackend

if TYPE_CHECKING:
    from penstock.memory import Gauge, Ledger
    from penstock.runtime._scheduler import Runnable

__all__ = ["StateLedger"]

_INTERVAL_S = 0.1
_REST_FACTOR = 50


class StateLedger:
    """Owned by the process's memory; `sample` is called on the scheduler's thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held_bytes: dict[str, dict[int, int]] = {}
        self._gauges: list[Gauge] = []
        self._due_s: dict[int, float] = {}

    def sample(self, task: Runnable) -> None:
        """Reads the sizes of a task's states if the last time is long enough ago."""
        started_s = time.monotonic()
        if started_s < self._due_s.get(id(task), 0.0):
            return
        backend = getattr(task, "backend", None)
        backend = getattr(backend, "inner", backend)  # `auto` holds the one in use
        if isinstance(backend, HashMapBackend):
            context = backend.context
            for size in backend.sizes():
                held_bytes = self._of(f"state {size.name} of {context.operator_name}")
                held_bytes[context.subtask_index] = size.size_bytes
        ended_s = time.monotonic()
        self._due_s[id(task)] = ended_s + max(_INTERVAL_S, _REST_FACTOR * (ended_s - started_s))

    def close(self) -> None:
        """The job has ended: takes its states out of the ledger."""
        for gauge in self._gauges:
            gauge.close()
        self._gauges.clear()
        self._held_bytes.clear()
        self._due_s.clear()

    def _of(self, component: str) -> dict[int, int]:
        held_bytes = self._held_bytes.get(component)
        if held_bytes is None:
            held_bytes = self._held_bytes[component] = {}
            self._gauges.append(self._register(component, held_bytes))
        return held_bytes

    def _register(self, component: str, held_bytes: dict[int, int]) -> Gauge:
        from penstock.memory import FigureKind

        return self._ledger.register(
            component, lambda: sum(tuple(held_bytes.values())), FigureKind.SAMPLED, within="heap"
        )

"""When Python's cycle collector runs while a job runs.

The interpreter's own settings collect the oldest generation whenever it has grown by a quarter, wherever the program
happens to
be: with millions of objects of state that is a third of a second, several times a second. The policy here raises the
thresholds so that only young objects are looked at on the way, keeps what was there before the job out of sight, and
collects everything when the heap's growth says that it may pay, between batches. docs/memory.md has the measurements.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.conf import Configuration, RuntimeOptions

__all__ = ["GarbagePolicy", "GarbageStatistics", "GenerationStatistics", "show_frozen_objects"]

THRESHOLDS = (100_000, 50, 1000)
"""Young collections every 100,000 net allocations of containers; the oldest generation practically never by itself."""

_SPARED = 1000
"""While a snapshot is taken the first threshold is so many times as high: practically never reached."""

GROWTH_FRACTION = 0.5
_GROWTH_FLOOR_BYTES = 32 << 20
_IDLE_GROWTH_FRACTION = 0.1
_IDLE_GROWTH_FLOOR_BYTES = 4 << 20
# A state that only grows has nothing to collect. What a collection found no garbage in is frozen: the next one looks at
# what has come since, and its pause follows the growth, not the heap. Garbage among frozen objects is found by the deep
# collections: after growth by half, by the whole, by twice the heap while they find nothing; at the soft limit; idle.
_FRUITFUL_FRACTION = 0.1
_FRUITFUL_OBJECTS = 50_000
_PATIENCE_MAX = 4
# CPython 3.12 moves immortal objects, some hundred, out of the collector's sight by itself.
_INTERPRETER_FROZEN_MAX = 1000
# At the soft limit and when idle: at most a tenth of the time goes into full collections.
_REST_FACTOR = 10


@dataclass(frozen=True, slots=True)
class GenerationStatistics:
    """Collections of one generation.

    Attributes:
        collections: how many.
        collected_objects: what they freed.
        uncollectable_objects: garbage they could not free.
        time_ns: how long they took together.
        longest_ns: the longest of them.
    """

    collections: int
    collected_objects: int
    uncollectable_objects: int
    time_ns: int
    longest_ns: int


@dataclass(frozen=True, slots=True)
class GarbageStatistics:
    """What the collector did while the policy was in force.

    Attributes:
        policy: `auto` or `default`.
        generations: the three generations, youngest first.
        by_reason: full collections the runtime decided on: `growth`, `soft-limit`, `idle`.
        deep_collections: those of them that looked at frozen objects too.
        frozen_objects: objects that collections do not look at.
    """

    policy: str
    generations: tuple[GenerationStatistics, GenerationStatistics, GenerationStatistics]
    by_reason: dict[str, int]
    deep_collections: int
    frozen_objects: int


class _PauseMeter:
    """Counts and times every collection of the process, through `gc.callbacks`."""

    def __init__(self) -> None:
        self.counts = [[0, 0, 0, 0, 0] for _ in range(3)]
        self._started_ns = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._started_ns = time.perf_counter_ns()
            return
        took_ns = time.perf_counter_ns() - self._started_ns
        count = self.counts[info["generation"]]
        count[0] += 1
        count[1] += info["collected"]
        count[2] += info["uncollectable"]
        count[3] += took_ns
        if took_ns > count[4]:
            count[4] = took_ns


def _shielded(meter: _PauseMeter) -> Callable[..., object]:
    """The meter as the collector may call it: what the heap guard raises in it would be swallowed, and printed."""
    try:
        from penstock.memory import _heapguard
    except ImportError:
        return meter
    return _heapguard.shielded(meter)


class _Settings:
    """The interpreter's collector settings, which all jobs of a process share: the first saves, the last restores."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: tuple[int, int, int] = (700, 10, 10)
        self._during: tuple[int, int, int] = THRESHOLDS
        self._frozen = False

    def take(self, thresholds: tuple[int, int, int]) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before = gc.get_threshold()
                self._during = thresholds
                self._frozen = False
                gc.set_threshold(*thresholds)

    def freeze(self) -> bool:
        """Hides all objects there are from collections.

        Not where the program froze some itself: which are whose could then not be told apart at the end.
        """
        with self._lock:
            if not self._frozen and gc.get_freeze_count() > _INTERPRETER_FROZEN_MAX:
                return False
            gc.freeze()
            self._frozen = True
            return True

    def unfreeze(self) -> None:
        """Lets collections see again what `freeze` hid."""
        with self._lock:
            if self._frozen:
                gc.unfreeze()
                self._frozen = False

    def give_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            if gc.get_threshold() == self._during:  # else the program set its own meanwhile
                gc.set_threshold(*self._before)
            if self._frozen:
                gc.unfreeze()
                self._frozen = False


_settings = _Settings()


def show_frozen_objects() -> None:
    """Lets the collector see what policies froze, for a look at the whole heap; the next collection freezes anew."""
    _settings.unfreeze()


class GarbagePolicy:
    """Decides on collections for a job. Owned by its scheduler; called from the scheduler's thread, between batches.

    Under `default` it leaves the interpreter's settings alone and only measures.

    Attributes:
        policy: `auto` or `default`.
    """

    def __init__(
        self,
        used: Callable[[], int],
        *,
        policy: str = "auto",
        thresholds: tuple[int, int, int] = THRESHOLDS,
        growth_fraction: float = GROWTH_FRACTION,
        trim: Callable[[], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares a policy; `start` puts it in force.

        Args:
            used: the heap's meter, in bytes; read after each batch.
            policy: `auto` or `default`.
            thresholds: of the three generations, for `gc.set_threshold`.
            growth_fraction: by how much the heap grows until everything is collected.
            trim: gives memory that the allocator keeps back to the kernel, called after a collection at the soft limit.
            clock: seconds, monotonic.
        """
        self.policy = policy
        self._auto = policy == "auto"
        self._used = used
        self._thresholds = thresholds
        self._growth_fraction = growth_fraction
        self._trim = trim
        self._clock = clock
        self._meter = _PauseMeter()
        self._callback = _shielded(self._meter)
        self._by_reason = {"growth": 0, "soft-limit": 0, "idle": 0}
        self._low_bytes = 0
        self._due_bytes = 0
        self._deep = 0
        self._deep_low_bytes = 0
        self._deep_due_bytes = 0
        self._last_bytes = 0
        self._patience = 1
        self._rest_until_s = 0.0
        self._spares = False
        self._snapshot_bytes = 0  # what a snapshot may hold of values that were replaced: no sign of garbage
        self._running = False

    @classmethod
    def from_configuration(
        cls, configuration: Configuration, used: Callable[[], int], trim: Callable[[], Any] | None = None
    ) -> GarbagePolicy:
        """The policy that `penstock.gc.*` describes."""
        threshold = configuration.get(RuntimeOptions.GARBAGE_THRESHOLD)
        return cls(
            used,
            policy=configuration.get(RuntimeOptions.GARBAGE_POLICY),
            thresholds=(threshold, *THRESHOLDS[1:]),
            growth_fraction=configuration.get(RuntimeOptions.GARBAGE_GROWTH),
            trim=trim,
        )

    def start(self) -> None:
        """Puts the policy in force; the interpreter's settings come back with `stop`."""
        if self._running:
            return
        self._running = True
        gc.callbacks.append(self._callback)
        if self._auto:
            _settings.take(self._thresholds)
        self._settle(self._used(), deep=True)

    def freeze(self, *, collect_first: bool = False) -> None:
        """After start-up, and after a large state was restored: keeps what is there out of all further collections.

        Args:
            collect_first: collects everything before, so that no garbage is kept until the job's end. Takes about 70
                ns an object: worth it for a job that runs for long.
        """
        if not (self._auto and self._running):
            return
        if collect_first:
            gc.collect()
        _settings.freeze()
        self._settle(self._used(), deep=True)

    def after_batch(self) -> bool:
        """Collects if the heap has grown enough since it was lowest; True if it did."""
        used_bytes = self._used()
        if used_bytes < self._low_bytes:
            self._settle(used_bytes, deep=used_bytes < self._deep_low_bytes)
        elif used_bytes > self._due_bytes + self._snapshot_bytes and self._auto:
            self._collect("growth", deep=used_bytes > self._deep_due_bytes)
            return True
        return False

    def at_soft_limit(self) -> int:
        """Collects everything, before anything is spilled; returns the bytes that came free.

        Does nothing when the last collection is so recent, or the heap has grown so little since, that it cannot pay.
        """
        if not self._auto or self._clock() < self._rest_until_s:
            return 0
        used_bytes = self._used()
        if used_bytes - self._last_bytes < _IDLE_GROWTH_FLOOR_BYTES and self._last_bytes:
            return 0
        self._collect("soft-limit", deep=True)
        if self._trim is not None:
            self._trim()
        return max(0, used_bytes - self._used())

    def snapshot_under_way(self, under_way: bool) -> None:
        """Told between batches: while a snapshot of state is taken young objects are not collected.

        The snapshot holds values that were replaced, so those that came instead count as growth, and the collector
        would look at all of them, for nothing: half of what a checkpoint of the heap costs. Afterwards they are frozen,
        unless more is left than was replaced.
        """
        if under_way == self._spares or not (self._auto and self._running):
            return
        self._spares = under_way
        self._snapshot_bytes = self._low_bytes if under_way else 0
        threshold, *older = self._thresholds
        spared = (threshold * _SPARED, *older)
        if gc.get_threshold() != (self._thresholds if under_way else spared):
            return  # the program set its own
        gc.set_threshold(*(spared if under_way else self._thresholds))
        if not under_way and gc.get_count()[0] <= threshold:
            _settings.freeze()

    def when_idle(self) -> bool:
        """Collects everything if the heap has grown by a tenth and there is nothing else to do; True if it did."""
        used_bytes = self._used()
        growth_bytes = max(_IDLE_GROWTH_FLOOR_BYTES, int(self._low_bytes * _IDLE_GROWTH_FRACTION))
        if not self._auto or used_bytes - self._low_bytes < growth_bytes or self._clock() < self._rest_until_s:
            return False
        self._collect("idle", deep=True)
        return True

    def stop(self) -> None:
        """Ends the policy: with the last one of the process the interpreter's own settings come back."""
        if not self._running:
            return
        self.snapshot_under_way(False)
        self._running = False
        gc.callbacks.remove(self._callback)
        if self._auto:
            _settings.give_back()

    def statistics(self) -> GarbageStatistics:
        """Counts and pauses a generation since `start`."""
        young, middle, old = (GenerationStatistics(*count) for count in self._meter.counts)
        frozen_objects = gc.get_freeze_count()
        return GarbageStatistics(self.policy, (young, middle, old), dict(self._by_reason), self._deep, frozen_objects)

    def __enter__(self) -> GarbagePolicy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _collect(self, reason: str, deep: bool) -> None:
        before_bytes = self._used()
        started_s = self._clock()
        if deep:
            _settings.unfreeze()
        unreachable_objects = gc.collect()
        ended_s = self._clock()
        self._by_reason[reason] += 1
        self._rest_until_s = ended_s + _REST_FACTOR * (ended_s - started_s)
        used_bytes = self._used()
        growth_bytes = before_bytes - self._low_bytes
        fruitful = (
            before_bytes - used_bytes > growth_bytes * _FRUITFUL_FRACTION or unreachable_objects > _FRUITFUL_OBJECTS
        )
        hidden = not fruitful and _settings.freeze()
        deep = deep or not hidden
        if deep:
            self._deep += 1
            self._patience = 1 if fruitful else min(2 * self._patience, _PATIENCE_MAX)
        self._last_bytes = used_bytes
        self._settle(used_bytes, deep)

    def _settle(self, low_bytes: int, deep: bool) -> None:
        self._low_bytes = low_bytes
        self._due_bytes = low_bytes + max(_GROWTH_FLOOR_BYTES, int(low_bytes * self._growth_fraction))
        if deep:
            patient_bytes = int(low_bytes * self._growth_fraction * self._patience)
            self._deep_low_bytes = low_bytes
            self._deep_due_bytes = low_bytes + max(_GROWTH_FLOOR_BYTES, patient_bytes)

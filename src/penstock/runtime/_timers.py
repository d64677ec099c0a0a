"""Timers: when a key asked to be called back, in event time and in processing time.

One service belongs to one operator of one subtask. A time domain is a heap of distinct times with, for each, the keys
that wait for it in the order of their registration: registering a timer at a time that is already known costs one
dictionary access, and however many keys wait for one time, the heap has one entry for it. Keys are frozen keys
(`penstock.runtime.state.freeze_key`): they can be hashed. A backend on disk may take timers of late times out of memory
(`penstock.runtime._spilled_timers`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.errors import InvariantError

if TYPE_CHECKING:
    from penstock.runtime._spilled_timers import SpillingTimerQueue
    from penstock.runtime.state._timers import StoredTimer, TimerStore

__all__ = ["SLOT_BYTES", "TIMER_BYTES", "TIME_BYTES", "Timer", "TimerQueue", "TimerService", "TimerSnapshot"]

OnTimer = Callable[[int, Any, Any], Iterable[tuple[Any, int]] | None]
"""What a timer calls: (timestamp, key, namespace) -> Timed results or None."""

_COMPACT_FROM = 1024
"""Below this many times the heap is never rebuilt: it is cheaper to skip what is empty when it comes up."""


TIME_BYTES = 300
"""What a time takes: its bucket, its number, its places in the heap and the dict."""

SLOT_BYTES = 70
"""What each of its timers takes besides its key: its place in the bucket."""

TIMER_BYTES = SLOT_BYTES + 60
"""The same with a short key."""

_COUNTED_EACH = 16
_COUNTED_AT_ONCE = 2000
"""A queue's timers are counted with every so many questions for its size; those of so few times each time."""


class Timer(NamedTuple):
    """One registered timer: its time in ms, its key and its namespace (a window, or None)."""

    timestamp: int
    key: Any
    namespace: Any


class TimerSnapshot(NamedTuple):
    """The timers of one key group.

    Attributes:
        event_time: in the order in which they will fire.
        processing_time: the same.
    """

    event_time: list[Timer]
    processing_time: list[Timer]


class _Several(dict[Any, bool]):
    """The namespaces of one key at one time, where it has more than one; True while they wait."""

    __slots__ = ()


class _Gone:
    """Marks a timer of the round in work: it fired, or was deleted by an earlier one."""

    def __repr__(self) -> str:
        return "<gone>"


_GONE = _Gone()
_NOTHING: dict[Any, Any] = {}


class TimerQueue:
    """The timers of one time domain. Owned by the task's thread.

    Event-time timers that are due are taken out in *rounds*: first all that are due at the beginning, in the order of
    their times, then those that were registered meanwhile and are due as well, and so on. PyFlink's operators do the
    same, because what a timer registers reaches the JVM after the round
    (`AbstractExternalPythonStreamOperator.advanceWatermark`).

    Attributes:
        heap: the distinct times, among them some whose last timer was deleted.
        buckets: for each time in the heap, key -> namespace (or `_Several`).
        firing: the same for the times of the round in work; empty in between.
        in_rounds: False: timers registered meanwhile fire in the order of their times among the others, those that lie
            before the one that fires with the next call. (A trigger that sets its timer to a time long past, again and
            again, must not keep the task from all else.)
    """

    __slots__ = ("_asked", "_counted", "_emptied", "_put_off", "buckets", "firing", "heap", "in_rounds")

    def __init__(self) -> None:
        self.heap: list[int] = []
        self.buckets: dict[int, dict[Any, Any]] = {}
        self._emptied = 0  # buckets that lost their last timer since the last compaction
        self._put_off: set[int] = set()  # times out of the heap until timers have fired
        self._asked = self._counted = 0
        self.firing: dict[int, dict[Any, Any]] = {}
        self.in_rounds = True

    def add(self, timestamp: int, key: Any, namespace: Any) -> None:
        """Registers a timer; a second one of the same time, key and namespace is the same timer."""
        if type(timestamp) is not int:
            timestamp = _as_time(timestamp)
        if self.firing and self._is_about_to_fire(timestamp, key, namespace):
            return
        bucket = self.buckets.get(timestamp)
        if bucket is None:
            self.buckets[timestamp] = {key: namespace}
            heapq.heappush(self.heap, timestamp)
            return
        present = bucket.setdefault(key, namespace)
        if present is namespace or present == namespace:
            return
        if isinstance(present, _Several):
            present[namespace] = True
        else:
            bucket[key] = _Several({present: True, namespace: True})

    def remove(self, timestamp: int, key: Any, namespace: Any) -> None:
        """Deletes a timer; one that does not exist (any more) is fine."""
        if self.firing and self._is_about_to_fire(timestamp, key, namespace):
            _mark_gone(self.firing[timestamp], key, namespace)
            return
        bucket = self.buckets.get(timestamp)
        if bucket is not None and key in bucket:
            self._remove_from(bucket, key, namespace)

    def _is_about_to_fire(self, timestamp: int, key: Any, namespace: Any) -> bool:
        """Whether the timer is one of the round in work that has not fired yet."""
        return _waits_in(self.firing.get(timestamp, _NOTHING), key, namespace)

    def _remove_from(self, bucket: dict[Any, Any], key: Any, namespace: Any) -> None:
        present = bucket[key]
        if isinstance(present, _Several):
            present.pop(namespace, None)
            if len(present) == 1:
                bucket[key] = next(iter(present))
            return
        if present is not namespace and present != namespace:
            return
        del bucket[key]
        if not bucket:
            self._emptied += 1
            if self._emptied > _COMPACT_FROM and self._emptied * 2 > len(self.heap):
                self._compact()

    def _compact(self) -> None:
        """Forgets the times without timers: a program that moves its timer with each element leaves one behind each."""
        put_off = self._put_off
        for timestamp in [time for time, bucket in self.buckets.items() if not bucket and time not in put_off]:
            del self.buckets[timestamp]
        self.heap[:] = [time for time in self.buckets if time not in put_off] if put_off else self.buckets
        heapq.heapify(self.heap)
        self._emptied = 0

    def next_time(self) -> int | None:
        """The earliest time with a timer, or None."""
        heap, buckets = self.heap, self.buckets
        while heap:
            if buckets[heap[0]]:
                return heap[0]
            del buckets[heapq.heappop(heap)]
        return None

    def due(self, limit: int) -> Iterator[tuple[int, Any, Any]]:
        """Takes out the timers up to and including `limit` one by one, also those that are added meanwhile."""
        return self._due_in_rounds(limit) if self.in_rounds else self._due_in_order(limit)

    def _due_in_rounds(self, limit: int) -> Iterator[tuple[int, Any, Any]]:
        heap, buckets = self.heap, self.buckets
        while heap and heap[0] <= limit:
            while heap and heap[0] <= limit:
                timestamp = heapq.heappop(heap)
                self.firing[timestamp] = buckets.pop(timestamp)
            for timestamp in list(self.firing):
                yield from self._due_at(timestamp, self.firing[timestamp])
                del self.firing[timestamp]

    def _due_in_order(self, limit: int) -> Iterator[tuple[int, Any, Any]]:
        heap, latest, put_off = self.heap, None, self._put_off
        try:
            while heap and heap[0] <= limit:
                timestamp = heapq.heappop(heap)
                if latest is not None and timestamp <= latest:
                    put_off.add(timestamp)
                    continue
                latest = timestamp
                self.firing[timestamp] = self.buckets.pop(timestamp)
                yield from self._due_at(timestamp, self.firing[timestamp])
                del self.firing[timestamp]
        finally:
            for timestamp in put_off:
                heapq.heappush(heap, timestamp)
            put_off.clear()

    def _due_at(self, timestamp: int, bucket: dict[Any, Any]) -> Iterator[tuple[int, Any, Any]]:
        for key, namespace in bucket.items():
            if isinstance(namespace, _Several):
                yield from self._due_of_key(timestamp, key, namespace)
            elif namespace is not _GONE:
                bucket[key] = _GONE
                yield timestamp, key, namespace

    def _due_of_key(self, timestamp: int, key: Any, namespaces: _Several) -> Iterator[tuple[int, Any, Any]]:
        for namespace, waits in namespaces.items():
            if waits:
                namespaces[namespace] = False
                yield timestamp, key, namespace

    def timers(self) -> Iterator[Timer]:
        """All timers in the order in which they will fire."""
        for timestamp, bucket in self.firing.items():
            yield from _timers_in(timestamp, bucket)
        for timestamp in sorted(self.buckets):
            yield from _timers_in(timestamp, self.buckets[timestamp])

    def __len__(self) -> int:
        return sum(1 for _ in self.timers())

    def estimated_bytes(self) -> int:
        """About what it takes in memory; the timers are not counted each time."""
        times = len(self.buckets)
        if self._asked % _COUNTED_EACH == 0 or times <= _COUNTED_AT_ONCE:
            self._counted = sum(map(len, self.buckets.values()))
        self._asked += 1
        return times * TIME_BYTES + max(times, self._counted) * TIMER_BYTES


def _waits_in(bucket: dict[Any, Any], key: Any, namespace: Any) -> bool:
    """Whether a timer of the round in work has not fired yet."""
    present = bucket.get(key, _GONE)
    if isinstance(present, _Several):
        return present.get(namespace, False)
    return present is not _GONE and bool(present == namespace)


def _mark_gone(bucket: dict[Any, Any], key: Any, namespace: Any) -> None:
    if isinstance(bucket[key], _Several):
        bucket[key][namespace] = False
    else:
        bucket[key] = _GONE


def _timers_in(timestamp: int, bucket: dict[Any, Any]) -> Iterator[Timer]:
    for key, namespace in bucket.items():
        if isinstance(namespace, _Several):
            for several, waits in namespace.items():
                if waits:
                    yield Timer(timestamp, key, several)
        elif namespace is not _GONE:
            yield Timer(timestamp, key, namespace)


def _as_time(timestamp: Any) -> int:
    """A time that is not an int, as the LONG it becomes on a cluster."""
    try:
        return int(timestamp)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a timer needs its time in ms as an int, not {timestamp!r}") from error


class TimerService:
    """The timers of one operator of one subtask (Flink's `InternalTimerService`). Owned by the task's thread.

    Attributes:
        name: the service's name, part of its place in a snapshot.
        current_watermark: the operator's event time, MIN_LONG before the first watermark. While timers fire it is the
            watermark that fires them.
        event_time: the queue of event-time timers.
        processing_time: the queue of processing-time timers.
        backend: keyed state, whose `current_key` is set before a timer fires.
    """

    def __init__(
        self,
        name: str,
        on_event_time: OnTimer,
        on_processing_time: OnTimer,
        backend: Any,
        now_ms: Callable[[], int],
    ) -> None:
        self.name = name
        self.backend = backend
        self.now_ms = now_ms
        self.current_watermark = MIN_LONG_VALUE
        self.event_time = TimerQueue()
        self.processing_time = TimerQueue()
        self.processing_time.in_rounds = False  # the clock moves in small steps: one after the other is what comes out
        self._on_event_time = on_event_time
        self._on_processing_time = on_processing_time

    def register_event_time_timer(self, timestamp: int, namespace: Any = None) -> None:
        """For the backend's current key; at or before the watermark it fires with the next advance."""
        self.event_time.add(timestamp, self.backend.current_key, namespace)

    def register_processing_time_timer(self, timestamp: int, namespace: Any = None) -> None:
        """For the backend's current key; `timestamp` in epoch ms."""
        self.processing_time.add(timestamp, self.backend.current_key, namespace)

    def delete_event_time_timer(self, timestamp: int, namespace: Any = None) -> None:
        """Of the backend's current key; a timer that does not exist is fine."""
        self.event_time.remove(timestamp, self.backend.current_key, namespace)

    def delete_processing_time_timer(self, timestamp: int, namespace: Any = None) -> None:
        """Of the backend's current key; a timer that does not exist is fine."""
        self.processing_time.remove(timestamp, self.backend.current_key, namespace)

    def next_processing_time(self) -> int | None:
        """When the task has to call `advance_processing_time`, epoch ms, or None."""
        return self.processing_time.next_time()

    def advance_watermark(self, watermark: int) -> Iterator[tuple[Any, int]]:
        """Fires the event-time timers up to `watermark`, lazily, in the order of their times.

        The watermark counts as risen from the call on. A timer registered meanwhile at or before the watermark fires
        too, after those that were due before. The iterator must be used up before the next record is processed.
        """
        self.current_watermark = watermark
        return self._fire(self.event_time, watermark, self._on_event_time)

    def advance_processing_time(self, now_ms: int) -> Iterator[tuple[Any, int]]:
        """Fires the processing-time timers up to `now_ms` like `advance_watermark`."""
        return self._fire(self.processing_time, now_ms, self._on_processing_time)

    def end_key(self) -> Iterator[tuple[Any, int]]:
        """BATCH: the last record of a key was processed: fires all its timers, both kinds, then resets the watermark.

        As in Flink's `BatchExecutionInternalTimeService`, the watermark is MAX_LONG meanwhile.
        """
        self.current_watermark = MAX_LONG_VALUE
        yield from self._fire(self.event_time, MAX_LONG_VALUE, self._on_event_time)
        yield from self._fire(self.processing_time, MAX_LONG_VALUE, self._on_processing_time)
        self.current_watermark = MIN_LONG_VALUE

    def _fire(self, queue: TimerQueue, limit: int, on_timer: OnTimer) -> Iterator[tuple[Any, int]]:
        backend = self.backend
        for timestamp, key, namespace in queue.due(limit):
            backend.current_key = key
            results = on_timer(timestamp, key, namespace)
            if results is not None:
                yield from results

    def snapshot(self) -> dict[int, TimerSnapshot]:
        """The timers by key group; those that have fired are not among them, also while others are firing."""
        groups: dict[int, TimerSnapshot] = {}
        for position, queue in enumerate((self.event_time, self.processing_time)):
            for timer in queue.timers():
                group = self.backend.key_groups.of(timer.key)
                if group not in groups:
                    groups[group] = TimerSnapshot([], [])
                groups[group][position].append(timer)
        return groups

    def heap_bytes(self) -> int:
        """About what the timers take in memory."""
        return self.event_time.estimated_bytes() + self.processing_time.estimated_bytes()

    def take_back(self, domain: str, timers: Iterable[StoredTimer]) -> None:
        """Adds timers of a time domain (`event`, `processing`) that a restored backend has on disk."""
        queue = self.event_time if domain == "event" else self.processing_time
        for timestamp, key, namespace in timers:
            queue.add(timestamp, key, namespace)

    def spill_to(self, domain: str, store: TimerStore) -> SpillingTimerQueue:
        """Gives the queue of a time domain a store; it may hold timers already. Not while timers fire."""
        from penstock.runtime._spilled_timers import SpillingTimerQueue

        if domain == "event":
            self.event_time = queue = SpillingTimerQueue(self.event_time, store)
        else:
            self.processing_time = queue = SpillingTimerQueue(self.processing_time, store)
        return queue

    def restore(self, groups: Iterable[TimerSnapshot]) -> None:
        """Adds the timers of the key groups that belong to this subtask; before the first record."""
        if self.current_watermark != MIN_LONG_VALUE:
            raise InvariantError(f"timers of {self.name!r} restored after the first watermark")
        for group in groups:
            for timestamp, key, namespace in group[0]:
                self.event_time.add(timestamp, key, namespace)
            for timestamp, key, namespace in group[1]:
                self.processing_time.add(timestamp, key, namespace)

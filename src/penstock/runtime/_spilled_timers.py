"""Timers that outgrow memory: those of the latest times go to the backend's store, and come back page by page.

Memory is where timers are registered; between batches, where it holds too many, the latest go to the store. The
*horizon* is a time that none in the store is before: what is earlier is in memory alone, what is not may be in both. A
timer that comes back is dropped where memory has it too, so it fires once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.runtime._timers import (
    _GONE,
    SLOT_BYTES,
    TIME_BYTES,
    TIMER_BYTES,
    Timer,
    TimerQueue,
    _mark_gone,
    _Several,
    _timers_in,
    _waits_in,
)
from penstock.runtime.state._values import object_size_bytes

if TYPE_CHECKING:
    from penstock.runtime.state._timers import StoredTimer, TimerStore

__all__ = ["SpillingTimerQueue"]

_SPILLED_AT_ONCE: Final = 5_000
"""About 15 ms of writing; a batch that adds more has more written."""

_DELETED_AT_ONCE: Final = 256
_DELETED_MAX: Final = 100_000
_SAMPLED: Final = 16
_SMOOTHING: Final = 0.1

_LOOKED_EACH: Final = 1_000
"""Timers that fire between two looks at those they register."""

_DUE_BYTES_MAX: Final = 1 << 20
"""From here on, and twice the limit, timers of the next round go to the store, too, and take their turn in this one."""

_LOOKS: Final = 16
"""Looks at the size come at least so far apart as a part of what may be held; each takes as long as there are times."""


class SpillingTimerQueue(TimerQueue):
    """A queue whose latest timers are in a store. Owned by the task's thread.

    Attributes:
        horizon: no timer in the store is before; None as long as it is empty.
        heap_bytes: about what is in memory, as of the last look.
    """

    __slots__ = (
        "_deleted",
        "_fired",
        "_last_count",
        "_look_after",
        "_most",
        "_page",
        "_page_time",
        "_store",
        "_timer_bytes",
        "_times_max",
        "_to_spill",
        "_unseen",
        "heap_bytes",
        "horizon",
    )

    def __init__(self, held: TimerQueue, store: TimerStore) -> None:
        """Goes on with a queue: its heap and dicts stay those that others hold."""
        super().__init__()
        self.heap, self.buckets, self.firing = held.heap, held.buckets, held.firing
        self.in_rounds, self._emptied = held.in_rounds, held._emptied
        self.horizon = store.first_time()
        self.heap_bytes = 0
        self._store = store
        self._deleted: list[StoredTimer] = []
        self._page: dict[Any, Any] = {}  # some of the timers of one time, on their way from the store
        self._page_time: int | None = None
        self._to_spill: list[int] = []  # times, ascending
        self._timer_bytes = float(TIMER_BYTES)
        self._unseen = self._last_count = self._fired = 0
        self._look_after = self._most = self._times_max = 0  # records, timers, times

    # -- as in memory ----------------------------------------------------------------------------

    def remove(self, timestamp: int, key: Any, namespace: Any) -> None:
        """Deletes a timer; what the store may have of it goes later."""
        if timestamp == self._page_time and _waits_in(self._page, key, namespace):
            _mark_gone(self._page, key, namespace)
        else:
            super().remove(timestamp, key, namespace)
        if self.horizon is not None:
            time = timestamp if type(timestamp) is int else _same_time(timestamp)
            if time is not None and time >= self.horizon:
                self._deleted.append((time, key, namespace))

    def _is_about_to_fire(self, timestamp: int, key: Any, namespace: Any) -> bool:
        if timestamp == self._page_time and _waits_in(self._page, key, namespace):
            return True
        return super()._is_about_to_fire(timestamp, key, namespace)

    def next_time(self) -> int | None:
        """The earliest time that may have a timer, or None."""
        earliest, horizon = super().next_time(), self.horizon
        return horizon if earliest is None or (horizon is not None and horizon < earliest) else earliest

    def timers(self) -> Iterator[Timer]:
        """All timers in memory in the order in which they will fire."""
        if self._page_time is not None:
            yield from _timers_in(self._page_time, self._page)
        yield from super().timers()

    # -- firing ----------------------------------------------------------------------------------

    def _due_in_rounds(self, limit: int) -> Iterator[tuple[int, Any, Any]]:
        heap, buckets, firing = self.heap, self.buckets, self.firing
        while (heap and heap[0] <= limit) or (self.horizon is not None and self.horizon <= limit):
            while heap and heap[0] <= limit:
                timestamp = heapq.heappop(heap)
                firing[timestamp] = buckets.pop(timestamp)
            times = list(firing)
            while times or (self.horizon is not None and self.horizon <= limit):
                timestamp = self.horizon if self.horizon is not None and self.horizon <= limit else times[0]
                if not times or timestamp < times[0]:
                    heapq.heappush(times, timestamp)
                    firing[timestamp] = {}
                timestamp = times[0]
                if self.horizon is not None and self.horizon <= timestamp:
                    yield from self._due_from_store(timestamp, limit, times)
                heapq.heappop(times)
                bucket = firing[timestamp]
                yield from self._due_at(timestamp, bucket)
                del firing[timestamp]
                self._look_while_firing(len(bucket), limit)

    def _due_in_order(self, limit: int) -> Iterator[tuple[int, Any, Any]]:
        heap, firing, put_off = self.heap, self.firing, self._put_off
        latest: int | None = None
        try:
            while (heap and heap[0] <= limit) or (self.horizon is not None and self.horizon <= limit):
                timestamp = heap[0] if heap else limit
                if heap and latest is not None and timestamp <= latest:
                    put_off.add(heapq.heappop(heap))
                    continue
                if self.horizon is not None:
                    timestamp = min(timestamp, self.horizon)
                latest = timestamp
                is_known = heap and heap[0] == timestamp
                firing[timestamp] = self.buckets.pop(heapq.heappop(heap)) if is_known else {}
                if self.horizon is not None and self.horizon <= timestamp:
                    yield from self._due_from_store(timestamp, timestamp, [timestamp])
                yield from self._due_at(timestamp, firing[timestamp])
                self._look_while_firing(len(firing.pop(timestamp)), latest)
        finally:
            for timestamp in put_off:
                heapq.heappush(heap, timestamp)
            put_off.clear()

    def _due_from_store(self, timestamp: int, limit: int, times: list[int]) -> Iterator[tuple[int, Any, Any]]:
        """Loads pages until the store has nothing of a time, and fires what would be too much of it to hold.

        Args:
            timestamp: the time that comes next; it is among those that fire.
            limit: what is loaded up to here is among them, too.
            times: those that fire, a heap.
        """
        while self.horizon is not None and self.horizon <= timestamp:
            self._settle()
            page, self.horizon = self._store.take()
            if self.horizon != timestamp or page[0][0] != timestamp:
                for timer in page:
                    self._take_in(timer, limit, times)
                continue
            bucket = self.firing[timestamp]
            self._page = {}
            for _, key, namespace in page:
                self._forget_double(timestamp, key, namespace)
                if not _waits_in(bucket, key, namespace):
                    _let_wait(self._page, key, namespace)
            self._page_time = timestamp
            yield from self._due_at(timestamp, self._page)
            self._page_time = None
            self._page = {}
            self._look_while_firing(len(page), limit)

    def _take_in(self, timer: StoredTimer, limit: int, times: list[int]) -> None:
        """A timer comes back into memory: among those that fire if it is due, else among those that wait."""
        timestamp, key, namespace = timer
        if timestamp > limit:
            self.add(timestamp, key, namespace)
            return
        self._forget_double(timestamp, key, namespace)
        bucket = self.firing.get(timestamp)
        if bucket is None:
            bucket = self.firing[timestamp] = {}
            heapq.heappush(times, timestamp)
        _let_wait(bucket, key, namespace)

    def _forget_double(self, timestamp: int, key: Any, namespace: Any) -> None:
        """What was registered since timers fire, while the same timer waited in the store."""
        bucket = self.buckets.get(timestamp)
        if bucket is not None and key in bucket:
            self._remove_from(bucket, key, namespace)

    # -- the store -------------------------------------------------------------------------------

    def write_deleted(self) -> None:
        """Deletes what is to be deleted; only while the store may be written."""
        if self._deleted:
            deleted, self._deleted = self._deleted, []
            self._store.delete([timer for timer in deleted if _can_be_stored(timer[0])])

    def _settle(self) -> None:
        self._store.settle()
        self.write_deleted()

    def after_batch(self, records: int) -> None:
        """Between batches: moves timers to the store where there are too many in memory."""
        self._look_after_records(records, None)

    def _look_while_firing(self, fired: int, above: int) -> None:
        """What is registered while timers fire and is due as well stays in memory: its turn is behind the others'."""
        self._fired += fired
        if self._fired >= _LOOKED_EACH:
            records, self._fired = self._fired, 0
            is_too_much = self.in_rounds and self.heap_bytes > max(2 * self._store.limit_bytes, _DUE_BYTES_MAX)
            self._look_after_records(records, None if is_too_much else above)

    def _look_after_records(self, records: int, above: int | None) -> None:
        """Each record or timer may have registered one: looks whether they are too many.

        Args:
            records: so many since the last time.
            above: only timers of later times may go to the store.
        """
        if len(self._deleted) >= _DELETED_AT_ONCE:
            if self._store.may_write():
                self.write_deleted()
            elif len(self._deleted) >= _DELETED_MAX:
                self._settle()
        self._unseen += records
        if self._to_spill:
            self._spill(max(_SPILLED_AT_ONCE, 2 * records), above)
        elif self._unseen >= self._look_after or len(self.buckets) > self._times_max:
            self._look(above)

    def _look(self, above: int | None) -> None:
        """Counts the timers; where they are too many, those from some time on are to go."""
        limit, buckets = self._store.limit_bytes, self.buckets
        before, unseen = self._last_count, max(1, self._unseen)
        for bucket in islice(reversed(buckets.values()), _SAMPLED):
            for key in islice(bucket, 1):
                self._timer_bytes += (SLOT_BYTES + object_size_bytes(key) - self._timer_bytes) * _SMOOTHING
        self._recount()
        count, timer_bytes = self._last_count, self._timer_bytes
        most = max(1, limit * count // max(1, self.heap_bytes)) if count else limit // (TIME_BYTES + int(timer_bytes))
        self._most, self._times_max = most, limit // TIME_BYTES
        growth = max((count - before) / unseen, 0.01)
        self._look_after = int(min(max((most - count) / growth, most // _LOOKS), most))
        if self.heap_bytes <= limit:
            return
        kept = 0.0
        times = sorted(buckets)
        for position, timestamp in enumerate(times):
            kept += TIME_BYTES + len(buckets[timestamp]) * timer_bytes
            if kept > limit // 2 and (above is None or timestamp > above):
                self._to_spill = times[position:]
                break
        self._spill(_SPILLED_AT_ONCE, above)

    def _spill(self, count: int, above: int | None) -> None:
        """Moves about so many timers to the store, the latest first."""
        if not self._store.may_write():
            if self._unseen < self._most // 2:
                return  # a checkpoint is being linked: not much more than the limit waits for that
            self._unseen = 0
        self._settle()
        taken: list[StoredTimer] = []
        times, buckets = self._to_spill, self.buckets
        while times and len(taken) < count:
            timestamp = times[-1]
            if above is not None and timestamp <= above:
                times.clear()
                break
            bucket = buckets.get(timestamp)
            while bucket and len(taken) < count and _can_be_stored(timestamp):
                key, namespaces = bucket.popitem()
                each = namespaces if isinstance(namespaces, _Several) else (namespaces,)
                taken.extend((timestamp, key, namespace) for namespace in each)
            if bucket and _can_be_stored(timestamp):
                break
            times.pop()
            self._emptied += 1
        if taken:
            earliest = taken[-1][0]
            self.horizon = earliest if self.horizon is None else min(self.horizon, earliest)
            self._store.put(taken)
        if not times:
            self._compact()
            self._recount()

    def _recount(self) -> None:
        self._last_count = sum(map(len, self.buckets.values()))
        self.heap_bytes = len(self.buckets) * TIME_BYTES + int(self._last_count * self._timer_bytes)
        self._unseen = 0


def _same_time(timestamp: Any) -> int | None:
    """The int that is equal, as a dict would find it."""
    try:
        time = int(timestamp)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if time == timestamp else None


def _can_be_stored(timestamp: int) -> bool:
    """Times outside a LONG never come on a cluster; here they wait in memory."""
    return MIN_LONG_VALUE <= timestamp <= MAX_LONG_VALUE


def _let_wait(bucket: dict[Any, Any], key: Any, namespace: Any) -> None:
    present = bucket.get(key, _GONE)
    if present is _GONE or (not isinstance(present, _Several) and present == namespace):
        bucket[key] = namespace
    elif isinstance(present, _Several):
        present[namespace] = True
    else:
        bucket[key] = _Several({present: True, namespace: True})

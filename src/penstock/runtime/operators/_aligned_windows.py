"""Tumbling and sliding event-time windows with their default trigger, a batch at a time.

What the general operator does for each element (assigner, trigger, a timer a key and window) is known beforehand here:
a window fires for all its keys when the watermark reaches its end, and is over when the allowed lateness has passed.
So elements go straight into the window's entries, and one heap of windows takes the place of the timers.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.datastream.window import SlidingEventTimeWindows, TimeWindow
from penstock.errors import JobError
from penstock.runtime._failure import RecordFailure
from penstock.runtime.operators._function import keyed_backend
from penstock.runtime.operators._window import LATE_RECORDS_DROPPED
from penstock.runtime.operators._window_contents import load_aggregation, open_contents
from penstock.runtime.operators._window_functions import WindowFunctionCaller, has_window_function
from penstock.runtime.operators._window_loops import Assignment, make_loop, record_in_loop
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP, Operator, OperatorContext, Timed
from penstock.runtime.state import PLAIN_KEY_TYPES, freeze_key, thaw_key

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream._transformations import WindowSpec

__all__ = ["AlignedWindowOperator", "NoTimestampError", "hashable_keys"]


_contents = itemgetter(1)


class NoTimestampError(JobError):
    """An element without a timestamp came to event-time windows."""

    def __init__(self) -> None:
        # The text is PyFlink's: programs match on it.
        super().__init__(
            "Record has Java Long.MIN_VALUE timestamp (= no timestamp marker). Is the time characteristic set to "
            "'ProcessingTime', or did you forget to call 'data_stream.assign_timestamps_and_watermarks(...)'?"
        )


def hashable_keys(keys: Sequence[Any]) -> Sequence[Any]:
    """Frozen keys of a batch."""
    return keys if PLAIN_KEY_TYPES.issuperset(map(type, keys)) else list(map(freeze_key, keys))


class AlignedWindowOperator(Operator):
    """Tumbling and sliding event-time windows. Owned by the task's thread.

    Windows are known by their start. A window is *open* from its first element until the watermark reaches its end;
    then it fires for all keys. With an allowed lateness it is kept until that has passed too, and each further element
    fires it again for its key.
    """

    emits_timestamps = True
    takes_batches = True
    broadcasts_state = True  # barriers are aligned: all subtasks have seen the same watermark

    def __init__(self, spec: WindowSpec, assigner: Any, element_type: TypeInformation | None, name: str) -> None:
        self._spec = spec
        self._name = name
        self._element_type = element_type
        self._size: int = assigner._size
        self._offset: int = assigner._offset
        sliding = type(assigner) is SlidingEventTimeWindows
        self._slide: int = assigner._slide if sliding else self._size
        self._overlapping = self._slide != self._size
        self._lateness = spec.allowed_lateness_ms
        self.may_side_output = spec.late_tag is not None or has_window_function(spec)
        self._caller: Any = None  # a WindowFunctionCaller once opened
        self._watermark = NO_TIMESTAMP
        self._fired_until = NO_TIMESTAMP  # windows that end up to here had fired before a recovery
        self._due: list[tuple[int, int]] = []  # heap of (when it fires or is over, start of the window)
        self._known: set[int] = set()  # windows in the heap
        self._results: list[Timed] = []
        self._opened: dict[int, dict[Any, Any] | None] = {}  # entries of the windows used in this batch
        self._panes: dict[int, tuple[dict[Any, Any], ...] | None] = {}  # the same by pane, where windows overlap
        self._batch_keys: dict[int, list[Any]] | None = None  # their keys, where the table wants to know them

    def open(self, context: OperatorContext) -> None:
        """Loads the functions and finds the windows in restored state."""
        spec = self._spec
        self._backend = backend = keyed_backend(context)
        self._batch_mode = context.batch_mode
        self._late_records_dropped = context.counter(LATE_RECORDS_DROPPED)
        aggregation = load_aggregation(spec, self._element_type)
        self._contents = open_contents(backend, aggregation, self._element_type)
        if self._overlapping:
            pane = math.gcd(self._size, self._slide)
            self._loop = make_loop(Assignment.OVERLAPPING, aggregation, pane, self._offset)
            self._find: Any = self._find_pane
        else:
            self._loop = make_loop(Assignment.SINGLE, aggregation, self._size, self._offset)
            self._find = self._find_window
        for window in self._contents.table.namespaces():
            self._schedule(window.start)
        caller = WindowFunctionCaller(spec, context, backend, aggregation, lambda: self._watermark, merging=False)
        self._caller = caller
        caller.open()

    def close(self) -> None:
        """Closes the functions."""
        if self._caller is not None:
            self._caller.close()

    def snapshot(self) -> Any:
        """The watermark: it tells which of the windows that are kept for late elements have fired."""
        return max(self._watermark, self._fired_until) if self._lateness > 0 else None

    def restore(self, states: list[Any]) -> None:
        """The earliest watermark counts: a window may fire twice after a recovery, but never not at all."""
        self._fired_until = min((state for state in states if state is not None), default=NO_TIMESTAMP)

    # -- elements --------------------------------------------------------------------------------

    def process(self, value: Any, timestamp: int) -> Iterable[Timed] | None:
        """One element of the backend's current key."""
        return self.process_batch([value], [timestamp], [self._backend.current_key])

    def process_batch(
        self, values: Sequence[Any], timestamps: Sequence[int], keys: Sequence[Any]
    ) -> Iterable[Timed] | None:
        """Adds the elements to their windows; what fires at once, and late elements, are in the result."""
        keys = hashable_keys(keys)
        self._results = []
        self._panes = {}
        opened = self._panes if self._overlapping else self._opened
        try:
            if self._contents.table.needs_keys and not self._prepare(timestamps, keys):
                for value, timestamp, key in zip(values, timestamps, keys, strict=True):
                    self._add_special(value, timestamp, key)
            else:
                self._loop(values, timestamps, keys, opened, self._find, self._add_special)
        except Exception as error:
            record = record_in_loop(error.__traceback__, self._loop)
            raise RecordFailure(self._name, record, error) from error
        self._close_batch()
        return self._results or None

    def _prepare(self, timestamps: Sequence[int], keys: Sequence[Any]) -> bool:
        """Collects the keys of each window; False if some elements need `_add_special` and others do not.

        Such elements may share windows, and `_add_special` changes them through the table, which must not happen while
        the windows' entries are open.
        """
        by_window: dict[int, list[Any]] = {}
        self._batch_keys = by_window
        for timestamp, key in zip(timestamps, keys, strict=True):
            for start in self._windows_of(timestamp):
                by_window.setdefault(start, []).append(key)
        return not self._overlapping or all(self._is_over(start) or not self._has_fired(start) for start in by_window)

    def _close_batch(self) -> None:
        batch_keys = self._batch_keys
        for start, entries in self._opened.items():
            if entries is not None:
                self._contents.close_batch(() if batch_keys is None else batch_keys[start], self._window(start))
        self._opened.clear()
        self._batch_keys = None

    def _find_window(self, start: int, timestamp: int) -> dict[Any, Any] | None:
        """For the loop: a window's entries; None if it has fired."""
        if timestamp == MIN_LONG_VALUE:
            raise NoTimestampError
        if not self._has_fired(start):
            return self._open_window(start)
        self._opened[start] = None
        return None

    def _find_pane(self, start: int, timestamp: int) -> tuple[dict[Any, Any], ...] | None:
        """For the loop: the entries of a pane's windows; None if one of them fires again, or all are over."""
        if timestamp == MIN_LONG_VALUE:
            raise NoTimestampError
        windows = [window for window in self._windows_of(start) if not self._is_over(window)]
        entries = None
        if windows and not any(map(self._has_fired, windows)):
            entries = tuple(self._entries_of(window) for window in windows)
        self._panes[start] = entries
        return entries

    def _entries_of(self, start: int) -> dict[Any, Any]:
        entries = self._opened.get(start)
        return self._open_window(start) if entries is None else entries

    def _open_window(self, start: int) -> dict[Any, Any]:
        keys = () if self._batch_keys is None else self._batch_keys[start]
        entries = self._opened[start] = self._contents.open_batch(keys, self._window(start))
        self._schedule(start)
        return entries

    def _add_special(self, value: Any, timestamp: int, key: Any) -> None:
        """An element by itself: fires windows that have fired before again, and finds out whether it is late."""
        if timestamp == MIN_LONG_VALUE:
            raise NoTimestampError
        backend, skipped = self._backend, True
        for start in self._windows_of(timestamp):
            if self._is_over(start):
                continue
            skipped = False
            window = self._window(start)
            self._contents.add(key, window, value)
            self._schedule(start)
            if self._has_fired(start):
                contents = self._contents.get(key, window)
                if contents is not None:
                    backend.current_key, backend.current_namespace = key, window
                    results = self._caller.evaluate(thaw_key(key), window, contents)
                    self._results.extend(zip(results, repeat(window.max_timestamp())))
        if skipped and timestamp + self._lateness <= self._watermark:
            if self._spec.late_tag is not None:
                self._results.append(((self._spec.late_tag, value), timestamp))
            else:
                self._late_records_dropped.inc()

    # -- windows ---------------------------------------------------------------------------------

    def _windows_of(self, timestamp: int) -> range:
        """The starts of an element's windows, the latest first as in the assigners."""
        last = timestamp - (timestamp - self._offset) % self._slide
        return range(last, timestamp - self._size, -self._slide)

    def _window(self, start: int) -> TimeWindow:
        return TimeWindow(start, start + self._size)

    def _has_fired(self, start: int) -> bool:
        end = start + self._size - 1
        return end <= self._watermark or end <= self._fired_until

    def _is_over(self, start: int) -> bool:
        return start + self._size - 1 + self._lateness <= self._watermark

    def _over_at(self, start: int) -> int:
        return min(start + self._size - 1 + self._lateness, MAX_LONG_VALUE)

    def _schedule(self, start: int) -> None:
        if start not in self._known:
            self._known.add(start)
            fired = self._has_fired(start)
            heapq.heappush(self._due, (self._over_at(start) if fired else start + self._size - 1, start))

    # -- time ------------------------------------------------------------------------------------

    def advance_watermark(self, watermark: int) -> Iterable[Timed]:
        """Fires the windows that have ended, in the order of their ends, and forgets those that are over."""
        self._watermark = watermark
        if self._batch_mode and watermark == MAX_WATERMARK:
            return self._end_key()
        return self._advance() if self._due and self._due[0][0] <= watermark else ()

    def _end_key(self) -> Iterator[Timed]:
        """BATCH: a key's elements are all there; the next key begins without a watermark."""
        yield from self._advance()
        self._watermark = NO_TIMESTAMP
        self._due.clear()
        self._known.clear()

    def _advance(self) -> Iterator[Timed]:
        due = self._due
        while due and due[0][0] <= self._watermark:
            time, start = heapq.heappop(due)
            window = self._window(start)
            if time == window.max_timestamp():
                yield from self._fire(window)
                if self._lateness > 0:
                    heapq.heappush(due, (self._over_at(start), start))
                    continue
            if time < MAX_LONG_VALUE:  # a lateness without end: never over
                self._forget(window)
                self._known.discard(start)

    def _fire(self, window: TimeWindow) -> Iterator[Timed]:
        end = window.max_timestamp()
        caller, contents_of_keys = self._caller, self._contents.of_window(window)
        if caller.function is None:
            yield from zip(map(_contents, contents_of_keys), repeat(end))
            return
        backend, evaluate = self._backend, caller.evaluate
        for key, contents in contents_of_keys:
            backend.current_key, backend.current_namespace = key, window
            yield from zip(evaluate(thaw_key(key), window, contents), repeat(end))

    def _forget(self, window: TimeWindow) -> None:
        if self._caller.clears:
            for key in self._contents.keys_of(window):
                self._backend.current_key, self._backend.current_namespace = key, window
                self._caller.clear(window)
        self._contents.drop(window)

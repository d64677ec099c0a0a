"""Tumbling and sliding processing-time windows with their default trigger, a batch at a time.

All elements of a batch belong to the windows of one instant. A window fires for all its keys when the clock reaches its
end, and is over with that. One timer wakes the operator for a window; it belongs to one of the window's keys, as
timers do, and any subtask that restores part of a window sets its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from penstock.datastream.window import SlidingProcessingTimeWindows, TimeWindow
from penstock.runtime._failure import RecordFailure
from penstock.runtime.operators._aligned_windows import hashable_keys
from penstock.runtime.operators._function import keyed_backend
from penstock.runtime.operators._window import WINDOW_TIMERS
from penstock.runtime.operators._window_contents import load_aggregation, open_contents
from penstock.runtime.operators._window_functions import WindowFunctionCaller, has_window_function
from penstock.runtime.operators._window_loops import Assignment, make_loop, record_in_loop
from penstock.runtime.operators.base import Operator, OperatorContext, Timed
from penstock.runtime.state import thaw_key

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream._transformations import WindowSpec

__all__ = ["ProcessingTimeWindowOperator"]

_contents = itemgetter(1)


class ProcessingTimeWindowOperator(Operator):
    """Tumbling and sliding processing-time windows. Owned by the task's thread."""

    emits_timestamps = True
    takes_batches = True

    def __init__(self, spec: WindowSpec, assigner: Any, element_type: TypeInformation | None, name: str) -> None:
        self._spec = spec
        self._name = name
        self._element_type = element_type
        self._size: int = assigner._size
        self._offset: int = assigner._offset
        sliding = type(assigner) is SlidingProcessingTimeWindows
        self._slide: int = assigner._slide if sliding else self._size
        self.may_side_output = has_window_function(spec)
        self._caller: Any = None  # a WindowFunctionCaller once opened
        self._known: set[int] = set()  # starts of the windows that have a timer

    def open(self, context: OperatorContext) -> None:
        """Loads the functions and sets timers for the windows in restored state."""
        spec = self._spec
        self._backend = backend = keyed_backend(context)
        self._now_ms = context.now_ms
        self._timers = context.timers(WINDOW_TIMERS, self._on_event_time, self._on_processing_time)
        aggregation = load_aggregation(spec, self._element_type)
        self._contents = open_contents(backend, aggregation, self._element_type)
        self._loop = make_loop(Assignment.TOGETHER, aggregation)
        for window in self._contents.table.namespaces():
            self._schedule(window, self._contents.keys_of(window)[0])
        self._caller = WindowFunctionCaller(
            spec, context, backend, aggregation, lambda: self._timers.current_watermark, merging=False
        )
        self._caller.open()

    def close(self) -> None:
        """Closes the functions."""
        if self._caller is not None:
            self._caller.close()

    def process(self, value: Any, timestamp: int) -> None:
        """One element of the backend's current key."""
        self.process_batch([value], [timestamp], [self._backend.current_key])

    def process_batch(
        self, values: Sequence[Any], timestamps: Sequence[int], keys: Sequence[Any]
    ) -> Iterable[Timed] | None:
        """Adds the elements to the windows of the current time."""
        now_ms = self._now_ms()
        last = now_ms - (now_ms - self._offset) % self._slide
        windows = [TimeWindow(start, start + self._size) for start in range(last, now_ms - self._size, -self._slide)]
        if not windows or not values:
            return None
        keys = hashable_keys(keys)
        contents = self._contents
        opened = [contents.open_batch(keys, window) for window in windows]
        try:
            self._loop(values, keys, opened)
        except Exception as error:
            raise RecordFailure(self._name, record_in_loop(error.__traceback__, self._loop), error) from error
        for window in windows:
            contents.close_batch(keys, window)
            self._schedule(window, keys[0])
        return None

    def _schedule(self, window: TimeWindow, key: Any) -> None:
        if window.start not in self._known:
            self._known.add(window.start)
            self._backend.current_key = key
            self._timers.register_processing_time_timer(window.max_timestamp(), window)

    def _on_event_time(self, timestamp: int, key: Any, window: Any) -> None:
        """Nothing registers event-time timers here."""

    def _on_processing_time(self, timestamp: int, key: Any, window: Any) -> Iterator[Timed]:
        """The window ends: fires it for all keys. After a recovery it may have further timers, which find nothing."""
        caller, contents_of_keys = self._caller, self._contents.of_window(window)
        if caller.function is None:
            yield from zip(map(_contents, contents_of_keys), repeat(timestamp))
        else:
            backend, evaluate = self._backend, caller.evaluate
            for each, contents in contents_of_keys:
                backend.current_key, backend.current_namespace = each, window
                yield from zip(evaluate(thaw_key(each), window, contents), repeat(timestamp))
        if caller.clears:
            for each in self._contents.keys_of(window):
                self._backend.current_key, self._backend.current_namespace = each, window
                caller.clear(window)
        self._contents.drop(window)
        self._known.discard(window.start)

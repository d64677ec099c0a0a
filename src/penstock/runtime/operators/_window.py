"""The general window operator: any assigner, any trigger, one element at a time.

Windows of built-in assigners with their default triggers run in the operators of `_aligned_windows`,
`_session_windows` and `_processing_windows`, batch by batch; their results are the same as this one's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from penstock.common.constants import MAX_LONG_VALUE
from penstock.datastream.window import MergingWindowAssigner, TriggerResult
from penstock.errors import JobError
from penstock.runtime.operators._function import keyed_backend
from penstock.runtime.operators._merging_windows import MERGING_WINDOWS, MergingWindows
from penstock.runtime.operators._trigger_context import AssignerContext, TriggerContext
from penstock.runtime.operators._window_contents import load_aggregation, open_contents
from penstock.runtime.operators._window_functions import WindowFunctionCaller, has_window_function
from penstock.runtime.operators.base import Operator, OperatorContext, Timed
from penstock.runtime.state import StateKind, TableSpec, thaw_key

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream._transformations import WindowSpec

__all__ = ["LATE_RECORDS_DROPPED", "WINDOW_TIMERS", "WindowMergeError", "WindowOperator"]

LATE_RECORDS_DROPPED = "numLateRecordsDropped"
WINDOW_TIMERS = "window-timers"
"""The names are Flink's."""

_WINDOWS_MAX = 4096
"""Windows remembered, for as long as they are few."""


class WindowMergeError(JobError):
    """Windows merged into one that is over, or with a trigger that cannot merge."""


class WindowOperator(Operator):
    """Any windows (Flink's and PyFlink's `WindowOperator`). Owned by the task's thread."""

    emits_timestamps = True

    def __init__(self, spec: WindowSpec, element_type: TypeInformation | None = None) -> None:
        self._spec = spec
        self._element_type = element_type
        self.may_side_output = spec.late_tag is not None or has_window_function(spec)
        self._windows: dict[Any, Any] = {}
        self._caller: Any = None  # a WindowFunctionCaller once opened

    def open(self, context: OperatorContext) -> None:
        """Loads assigner, trigger and functions."""
        spec = self._spec
        self._backend = backend = keyed_backend(context)
        self._assigner = spec.assigner.load()
        self._trigger = spec.trigger.load()
        self._is_event_time = self._assigner.is_event_time()
        self._timers = context.timers(WINDOW_TIMERS, self._on_event_time, self._on_processing_time)
        self._register = (
            self._timers.register_event_time_timer
            if self._is_event_time
            else self._timers.register_processing_time_timer
        )
        self._now_ms = context.now_ms
        self._late_records_dropped = context.counter(LATE_RECORDS_DROPPED)
        self._merging = isinstance(self._assigner, MergingWindowAssigner)
        self._merging_table = backend.table(TableSpec(MERGING_WINDOWS, StateKind.MAP)) if self._merging else None
        self._assigner_context = AssignerContext(context)
        self._trigger_context = TriggerContext(context, backend, self._timers)
        aggregation = load_aggregation(spec, self._element_type)
        self._contents = open_contents(backend, aggregation, self._element_type)
        caller = WindowFunctionCaller(
            spec, context, backend, aggregation, lambda: self._timers.current_watermark, self._merging
        )
        self._caller = caller
        caller.open()

    def close(self) -> None:
        """Closes the functions."""
        if self._caller is not None:
            self._caller.close()

    # -- elements --------------------------------------------------------------------------------

    def process(self, value: Any, timestamp: int) -> Iterable[Timed]:
        """Adds the element to its windows; what fires at once is in the result."""
        merging = self._merging_windows() if self._merging else None
        skipped = True
        for assigned in self._assigner.assign_windows(value, timestamp, self._assigner_context):
            window = state_window = self._interned(assigned)
            if merging is not None:
                window = merging.add(window, self._on_merge)
                state_window = merging.state_window(window)
            over_at = self._cleanup_time(window)
            if self._is_event_time and over_at <= self._timers.current_watermark:
                if merging is not None:
                    merging.retire(window)
                continue
            skipped = False
            self._contents.add(self._backend.current_key, state_window, value)
            self._trigger_context.enter(window)
            action = self._trigger.on_element(value, timestamp, window, self._trigger_context)
            if action is not TriggerResult.CONTINUE:
                yield from self._act(action, window, state_window, timestamp)
            if over_at != MAX_LONG_VALUE:  # else it is never over
                self._register(over_at, window)
        if skipped and self._is_event_time and timestamp + self._spec.allowed_lateness_ms <= self._watermark:
            if self._spec.late_tag is not None:
                yield (self._spec.late_tag, value), timestamp
            else:
                self._late_records_dropped.inc()

    def _interned(self, window: Any) -> Any:
        """The same object for equal windows: comparing windows is Python code, and tables and timers do it often."""
        if len(self._windows) >= _WINDOWS_MAX:
            self._windows.clear()
        return self._windows.setdefault(window, window)

    def _act(self, action: Any, window: Any, state_window: Any, timestamp: int) -> Iterator[Timed]:
        """Does what a trigger decided.

        Results of a window without an end have the timestamp of the element or timer that fired it, as in PyFlink.
        """
        key = self._backend.current_key
        if action.is_fire():
            contents = self._contents.get(key, state_window)
            if contents is not None:
                self._backend.current_namespace = window
                results = self._caller.evaluate(thaw_key(key), window, contents)
                latest = window.max_timestamp()
                yield from zip(results, repeat(timestamp if latest == MAX_LONG_VALUE else latest))
        if action.is_purge():
            self._contents.clear(key, state_window)

    # -- timers ----------------------------------------------------------------------------------

    def _on_event_time(self, timestamp: int, key: Any, window: Any) -> Iterator[Timed]:
        return self._on_timer(timestamp, window, self._trigger.on_event_time, self._is_event_time)

    def _on_processing_time(self, timestamp: int, key: Any, window: Any) -> Iterator[Timed]:
        return self._on_timer(timestamp, window, self._trigger.on_processing_time, not self._is_event_time)

    def _on_timer(self, timestamp: int, window: Any, on_time: Any, cleans_up: bool) -> Iterator[Timed]:
        merging = self._merging_windows() if self._merging else None
        state_window = window if merging is None else merging.state_window(window)
        if state_window is None:
            return  # a timer that the trigger left behind when the window was merged or cleared
        self._trigger_context.enter(window)
        action = on_time(timestamp, window, self._trigger_context)
        if action is not TriggerResult.CONTINUE:
            yield from self._act(action, window, state_window, timestamp)
        if cleans_up and timestamp == self._cleanup_time(window):
            self._clear(window, state_window, merging)

    def _clear(self, window: Any, state_window: Any, merging: MergingWindows | None) -> None:
        """The window is over."""
        self._contents.clear(self._backend.current_key, state_window)
        self._trigger_context.enter(window)
        self._trigger.clear(window, self._trigger_context)
        self._caller.clear(window)
        if merging is not None:
            merging.retire(window)

    # -- merging ---------------------------------------------------------------------------------

    def _merging_windows(self) -> MergingWindows:
        assert self._merging_table is not None
        return MergingWindows(self._assigner, self._merging_table, self._backend.current_key)

    def _on_merge(self, window: Any, merged: Sequence[Any], state_window: Any, states: Sequence[Any]) -> None:
        self._check_merge(window)
        ctx = self._trigger_context
        ctx.enter(window)
        ctx.merged_windows = merged
        self._trigger.on_merge(window, ctx)
        ctx.merged_windows = ()
        for part in merged:
            ctx.enter(part)
            self._trigger.clear(part, ctx)
            self._delete_cleanup(part)
        self._contents.merge(self._backend.current_key, state_window, states)

    def _check_merge(self, window: Any) -> None:
        # The texts are PyFlink's: programs match on them.
        if not self._trigger.can_merge():
            raise WindowMergeError(
                "A merging window assigner cannot be used with a trigger that does not support merging. "
                f"{type(self._trigger).__name__}.can_merge() is False."
            )
        if self._is_event_time:
            if self._is_window_late(window):
                raise WindowMergeError(
                    "The end timestamp of an event-time window cannot become earlier than the current watermark by "
                    f"merging. Current watermark: {self._watermark} window: {window}"
                )
        elif window.max_timestamp() <= (now_ms := self._now_ms()):
            raise WindowMergeError(
                "The end timestamp of a processing-time window cannot become earlier than the current processing "
                f"time by merging. Current processing time: {now_ms} window: {window}"
            )

    # -- lateness --------------------------------------------------------------------------------

    @property
    def _watermark(self) -> int:
        return self._timers.current_watermark

    def _cleanup_time(self, window: Any) -> int:
        latest: int = window.max_timestamp()
        if self._is_event_time:
            latest += self._spec.allowed_lateness_ms
        return min(latest, MAX_LONG_VALUE)

    def _is_window_late(self, window: Any) -> bool:
        return self._is_event_time and self._cleanup_time(window) <= self._watermark

    def _delete_cleanup(self, window: Any) -> None:
        time = self._cleanup_time(window)
        if time == MAX_LONG_VALUE:
            return
        if self._is_event_time:
            self._timers.delete_event_time_timer(time, window)
        else:
            self._timers.delete_processing_time_timer(time, window)

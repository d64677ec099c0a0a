"""Session windows with the default trigger, a batch at a time.

A key's sessions are one value of its state: a list of [start, end, contents, due] in the order of time, `end` being the
time of an element plus its gap, `due` that of the timer that looks after the session next. Most elements fall into the
last session and only move its end. A timer is not moved along: when it fires and the session has grown meanwhile, it is
set anew for the session's end. So a timer costs a session's life, not each element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.datastream.window import TimeWindow
from penstock.runtime._failure import RecordFailure
from penstock.runtime.operators._aligned_windows import NoTimestampError, hashable_keys
from penstock.runtime.operators._function import keyed_backend
from penstock.runtime.operators._window import LATE_RECORDS_DROPPED, WINDOW_TIMERS
from penstock.runtime.operators._window_contents import load_aggregation
from penstock.runtime.operators._window_functions import WindowFunctionCaller, has_window_function
from penstock.runtime.operators._window_loops import Assignment, make_loop, record_in_loop
from penstock.runtime.operators.base import NO_TIMESTAMP, Operator, OperatorContext, Timed
from penstock.runtime.state import StateKind, TableSpec, thaw_key

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream._transformations import WindowSpec

__all__ = ["SESSIONS", "SessionWindowOperator"]

SESSIONS = "window-sessions"
"""The name of the state that holds the sessions."""

Session = list[Any]
"""[start, end, contents, due]"""


class SessionWindowOperator(Operator):
    """Sessions in event time or processing time. Owned by the task's thread.

    A session *waits* until its end has come, then it fires. With an allowed lateness it is kept for that long; each
    further element of it fires it again, or makes it wait again if it moves the end beyond the watermark.
    """

    emits_timestamps = True
    takes_batches = True

    def __init__(self, spec: WindowSpec, assigner: Any, element_type: TypeInformation | None, name: str) -> None:
        self._spec = spec
        self._name = name
        self._element_type = element_type
        self._gap: int | None = getattr(assigner, "_session_gap", None)
        self._gap_of: Callable[[Any], int] = assigner._gap
        self._is_event_time: bool = assigner.is_event_time()
        self._lateness = spec.allowed_lateness_ms if self._is_event_time else 0
        self.may_side_output = spec.late_tag is not None or has_window_function(spec)
        self._caller: Any = None  # a WindowFunctionCaller once opened
        self._results: list[Timed] = []
        self._entries: dict[Any, list[Session]] = {}  # sessions by key, open for the batch's keys

    def open(self, context: OperatorContext) -> None:
        """Loads the functions."""
        spec = self._spec
        self._backend = backend = keyed_backend(context)
        self._now_ms = context.now_ms
        self._timers = timers = context.timers(WINDOW_TIMERS, self._on_timer, self._on_timer)
        # A timer that is set anew for a session that grew has its place among the others.
        timers.event_time.in_rounds = False
        self._register = (
            timers.register_event_time_timer if self._is_event_time else timers.register_processing_time_timer
        )
        self._late_records_dropped = context.counter(LATE_RECORDS_DROPPED)
        self._aggregation = aggregation = load_aggregation(spec, self._element_type)
        self._table = backend.table(TableSpec(SESSIONS, StateKind.VALUE))
        if self._gap is None:
            self._loop = make_loop(Assignment.DYNAMIC_SESSION, aggregation, gap_of=self._gap_of)
        else:
            self._loop = make_loop(Assignment.SESSION, aggregation, self._gap)
        self._caller = WindowFunctionCaller(
            spec, context, backend, aggregation, lambda: timers.current_watermark, merging=True
        )
        self._caller.open()

    def close(self) -> None:
        """Closes the functions."""
        if self._caller is not None:
            self._caller.close()

    @property
    def _watermark(self) -> int:
        """Sessions that end up to here have fired."""
        return self._timers.current_watermark if self._is_event_time else NO_TIMESTAMP

    # -- elements --------------------------------------------------------------------------------

    def process(self, value: Any, timestamp: int) -> Iterable[Timed] | None:
        """One element of the backend's current key."""
        return self.process_batch([value], [timestamp], [self._backend.current_key])

    def process_batch(
        self, values: Sequence[Any], timestamps: Sequence[int], keys: Sequence[Any]
    ) -> Iterable[Timed] | None:
        """Adds the elements to their sessions; what fires at once, and late elements, are in the result."""
        keys = hashable_keys(keys)
        if not self._is_event_time:
            timestamps = [self._now_ms()] * len(keys)
        self._results = []
        self._entries = self._table.open_batch(keys)
        try:
            self._loop(values, timestamps, keys, self._entries.get, self._watermark + 1, self._add)
        except Exception as error:
            raise RecordFailure(self._name, record_in_loop(error.__traceback__, self._loop), error) from error
        self._table.close_batch(keys)
        return self._results or None

    def _add(self, value: Any, timestamp: int, key: Any, end: int) -> None:
        """An element, its gap ending at `end`, that begins a session, joins some, or comes after its session fired."""
        if timestamp == MIN_LONG_VALUE:
            raise NoTimestampError
        sessions = self._entries.get(key) or []
        if not sessions or timestamp > sessions[-1][1]:
            self._begin(value, timestamp, key, end, sessions)
            return
        joined = [session for session in sessions if session[0] <= end and timestamp <= session[1]]
        if not joined:
            if end - 1 + self._lateness <= self._watermark:
                self._drop(value, timestamp)
                return
            joined.append([timestamp, end, None if self._aggregation else [], MAX_LONG_VALUE])
        session = self._join(joined, timestamp, end)
        session[2] = self._with(session[2], value)
        kept = [other for other in sessions if other[0] > session[1] or other[1] < session[0]]
        self._entries[key] = sorted([*kept, session], key=_start)
        self._settle(session, key)

    def _begin(self, value: Any, timestamp: int, key: Any, end: int, sessions: list[Session]) -> None:
        """An element after all of its key's sessions, or the first of its key."""
        if end - 1 + self._lateness <= self._watermark:
            self._drop(value, timestamp)
            return
        session = [timestamp, end, self._with(None if self._aggregation else [], value), MAX_LONG_VALUE]
        if sessions:
            sessions.append(session)
        else:
            self._entries[key] = [session]
        self._settle(session, key)

    def _settle(self, session: Session, key: Any) -> None:
        """After an element: fires a session that the watermark has passed already; sees to the timer of any other."""
        self._backend.current_key = key
        latest = session[1] - 1
        if latest <= self._watermark:
            self._results.extend(self._fire(session))
            self._await_end(session)
        elif latest < session[3]:
            session[3] = latest
            self._register(latest)

    def _join(self, joined: list[Session], timestamp: int, end: int) -> Session:
        """One session of several and of an element's time; contents are merged from the earliest on."""
        start, latest, contents, due = joined[0]
        for session in joined[1:]:
            latest = max(latest, session[1])
            contents = self._merged(contents, session[2])
            due = min(due, session[3])
        return [min(start, timestamp), max(latest, end), contents, due]

    def _merged(self, left: Any, right: Any) -> Any:
        if self._aggregation is None:
            left.extend(right)
            return left
        if left is None or right is None:
            return right if left is None else left
        return self._aggregation.merge(left, right)

    def _with(self, contents: Any, value: Any) -> Any:
        if self._aggregation is None:
            contents.append(value)
            return contents
        return self._aggregation.add(contents, value)

    def _drop(self, value: Any, timestamp: int) -> None:
        if self._spec.late_tag is not None:
            self._results.append(((self._spec.late_tag, value), timestamp))
        else:
            self._late_records_dropped.inc()

    # -- time ------------------------------------------------------------------------------------

    def _over_at(self, session: Session) -> int:
        end: int = session[1]
        return min(end - 1 + self._lateness, MAX_LONG_VALUE)

    def _await_end(self, session: Session) -> None:
        """A timer for the end of a session that has fired."""
        session[3] = over_at = self._over_at(session)
        if over_at < MAX_LONG_VALUE:  # else it is never over
            self._register(over_at)

    def _on_timer(self, timestamp: int, key: Any, namespace: Any) -> Iterator[Timed]:
        """Looks after the sessions of a key: those that end now fire, those that grew get a timer for their end."""
        sessions = self._table.get(key)
        if sessions is None:
            return
        # Without lateness sessions come due in their order, and those before have gone.
        due = sessions if self._lateness else sessions[:1]
        for session in [session for session in due if session[3] <= timestamp]:
            latest = session[1] - 1
            if latest > timestamp:
                session[3] = latest
                self._register(latest)
                continue
            if latest == timestamp:
                yield from self._fire(session)
            if self._over_at(session) <= timestamp:
                self._clear(session)
                sessions.remove(session)
            else:
                self._await_end(session)
        if sessions:
            self._table.put(key, sessions)
        else:
            self._table.remove(key)

    def _fire(self, session: Session) -> Iterable[Timed]:
        """The results of a session of the current key."""
        start, end, contents, _ = session
        if self._aggregation is None:
            contents = contents[:]
        elif self._aggregation.result is not None and contents is not None:
            contents = self._aggregation.result(contents)
        if contents is None:
            return ()
        key = thaw_key(self._backend.current_key)
        return zip(self._caller.evaluate(key, TimeWindow(start, end), contents), repeat(end - 1))

    def _clear(self, session: Session) -> None:
        if self._caller.clears:
            self._caller.clear(TimeWindow(session[0], session[1]))


def _start(session: Session) -> int:
    start: int = session[0]
    return start

"""The loops over a batch that put elements into windows, generated for how windows are assigned and what they hold.

They are what a careful engineer would write by hand: the window of the last element is remembered, and the user's
functions are called directly. The generated source is registered with `linecache`, so tracebacks and debuggers show it.

In all of them `special(value, timestamp, key)`, for sessions with the end of the element's gap as a fourth argument,
handles an element by itself: its window is new in a way the loop does not know, has fired already, or is over.
"""

from __future__ import annotations

import linecache
import textwrap
from collections.abc import Callable
from enum import Enum
from functools import cache
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any

from penstock.runtime._failure import CHAIN_FILE_PREFIX

if TYPE_CHECKING:
    from penstock.runtime.operators._window_contents import Aggregation

__all__ = ["Assignment", "make_loop", "record_in_loop"]


class Assignment(Enum):
    """How elements find their windows; the value is the source of the loop."""

    # Windows that do not overlap. `opened`: the entries (key -> contents) of the windows used in this batch by their
    # start, None where elements need `special`; `find(start, timestamp)` opens one that is not there.
    SINGLE = """
        def run(values, timestamps, keys, opened, find, special):
            start = end = 0
            entries = None
            for value, timestamp, key in zip(values, timestamps, keys):
                if not start <= timestamp < end:
                    start = timestamp - (timestamp - offset) % size
                    end = start + size
                    entries = opened.get(start, MISSING)
                    if entries is MISSING:
                        entries = find(start, timestamp)
                if entries is None:
                    special(value, timestamp, key)
                    continue
                ABSORB
    """

    # Windows that overlap. A pane is a stretch of `size` ms whose elements all belong to the same windows; `opened`
    # has a tuple of the entries of these windows by the start of the pane.
    OVERLAPPING = """
        def run(values, timestamps, keys, opened, find, special):
            start = end = 0
            windows = ()
            for value, timestamp, key in zip(values, timestamps, keys):
                if not start <= timestamp < end:
                    start = timestamp - (timestamp - offset) % size
                    end = start + size
                    windows = opened.get(start, MISSING)
                    if windows is MISSING:
                        windows = find(start, timestamp)
                if windows is None:
                    special(value, timestamp, key)
                    continue
                for entries in windows:
                    ABSORB
    """

    # All elements of the batch belong to the same windows: those of the processing time. `windows`: their entries.
    TOGETHER = """
        def run(values, keys, windows):
            for entries in windows:
                for value, key in zip(values, keys):
                    ABSORB
    """

    # Sessions with a gap of `size` ms. `sessions_of(key)`: a key's sessions in order, each [start, end, contents, …].
    # The loop handles the element that falls into, or goes on with, the last session that did not fire yet.
    SESSION = """
        def run(values, timestamps, keys, sessions_of, fired_until, special):
            for value, timestamp, key in zip(values, timestamps, keys):
                sessions = sessions_of(key)
                if sessions is not None:
                    session = sessions[-1]
                    if session[0] <= timestamp <= session[1] > fired_until:
                        if timestamp + size > session[1]:
                            session[1] = timestamp + size
                        ABSORB
                        continue
                special(value, timestamp, key, timestamp + size)
    """

    # The same with a gap that depends on the element: `gap_of(value)` ms.
    DYNAMIC_SESSION = """
        def run(values, timestamps, keys, sessions_of, fired_until, special):
            for value, timestamp, key in zip(values, timestamps, keys):
                end = timestamp + gap_of(value)
                sessions = sessions_of(key)
                if sessions is not None:
                    session = sessions[-1]
                    if session[0] <= timestamp <= session[1] > fired_until:
                        if end > session[1]:
                            session[1] = end
                        ABSORB
                        continue
                special(value, timestamp, key, end)
    """


_INTO_ENTRIES = {
    "reduce": """
        held = entries.get(key)
        result = value if held is None else reduce(held, value)
        if result is not None:
            entries[key] = result
        elif held is not None:
            del entries[key]
    """,
    "aggregate": """
        held = entries.get(key)
        result = None if value is None else add(value, create() if held is None else held)
        if result is not None:
            entries[key] = result
        elif held is not None:
            del entries[key]
    """,
    "list": """
        held = entries.get(key)
        if held is None:
            entries[key] = [value]
        else:
            held.append(value)
    """,
}
_INTO_SESSION = {
    "reduce": """
        held = session[2]
        session[2] = value if held is None else reduce(held, value)
    """,
    "aggregate": """
        held = session[2]
        session[2] = None if value is None else add(value, create() if held is None else held)
    """,
    "list": """
        session[2].append(value)
    """,
}

_MISSING: Any = object()


def make_loop(
    assignment: Assignment,
    aggregation: Aggregation | None,
    size: int = 0,
    offset: int = 0,
    gap_of: Callable[[Any], int] | None = None,
) -> Callable[..., None]:
    """The loop for windows or panes of `size` ms that begin at its multiples plus `offset`.

    For sessions `size` is the gap, or `gap_of` gives that of an element.
    """
    kind = "list" if aggregation is None else aggregation.name
    names: dict[str, Any] = {"size": size, "offset": offset, "gap_of": gap_of, "MISSING": _MISSING}
    if aggregation is not None:
        names.update(aggregation.steps)
    scope: dict[str, Any] = {}
    exec(_compiled(assignment, kind, tuple(names)), scope)
    loop: Callable[..., None] = scope["make"](**names)
    return loop


@cache
def _compiled(assignment: Assignment, kind: str, names: tuple[str, ...]) -> CodeType:
    """Closures of one code: at most one for each member of `Assignment` and kind of contents."""
    sessions = assignment in (Assignment.SESSION, Assignment.DYNAMIC_SESSION)
    steps = _INTO_SESSION if sessions else _INTO_ENTRIES
    lines = []
    for line in textwrap.dedent(assignment.value).strip().splitlines():
        if line.strip() == "ABSORB":
            indent = line[: len(line) - len(line.lstrip())]
            lines.extend(textwrap.indent(textwrap.dedent(steps[kind]).strip(), indent).splitlines())
        else:
            lines.append(line)
    body = textwrap.indent("\n".join([*lines, "return run"]), "    ")
    source = f"def make({', '.join(names)}):\n{body}\n"
    filename = f"{CHAIN_FILE_PREFIX}windows [{assignment.name.lower()} {kind}]>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return compile(source, filename, "exec")


def record_in_loop(trace: TracebackType | None, loop: Callable[..., None]) -> Any:
    """The element a loop was working on when it raised."""
    code = getattr(loop, "__code__", None)
    while trace is not None:
        if trace.tb_frame.f_code is code:
            return trace.tb_frame.f_locals.get("value")
        trace = trace.tb_next
    return None

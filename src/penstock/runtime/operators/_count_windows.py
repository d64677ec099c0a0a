"""Count windows with their default trigger, a batch at a time.

Windows have ids from 0 for each key, and element number i of a key belongs to each window with
`id * slide <= i < id * slide + size`, as in PyFlink (Java's count windows are global windows with an evictor). So an
element completes at most one window, which fires and is gone: only complete windows are ever emitted. A key's state is
one value: [elements so far, {window id: contents}].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from penstock.common.constants import MIN_LONG_VALUE
from penstock.datastream.window import CountWindow
from penstock.runtime._failure import RecordFailure
from penstock.runtime.operators._aligned_windows import hashable_keys
from penstock.runtime.operators._function import keyed_backend
from penstock.runtime.operators._window_contents import load_aggregation
from penstock.runtime.operators._window_functions import WindowFunctionCaller, has_window_function
from penstock.runtime.operators.base import Operator, OperatorContext, Timed
from penstock.runtime.state import StateKind, TableSpec, thaw_key

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream._transformations import WindowSpec

__all__ = ["COUNT_WINDOWS", "CountWindowOperator"]

COUNT_WINDOWS = "count-windows"
"""The name of the state that holds the windows."""


class CountWindowOperator(Operator):
    """Tumbling and sliding count windows. Owned by the task's thread.

    Results have the timestamp of the element that completed the window, as in PyFlink.
    """

    emits_timestamps = True
    takes_batches = True

    def __init__(self, spec: WindowSpec, assigner: Any, element_type: TypeInformation | None, name: str) -> None:
        self._spec = spec
        self._name = name
        self._element_type = element_type
        self._size: int = assigner._window_size
        self._slide: int = getattr(assigner, "_window_slide", self._size)
        self.may_side_output = has_window_function(spec)
        self._watermark = MIN_LONG_VALUE
        self._caller: Any = None  # a WindowFunctionCaller once opened

    def open(self, context: OperatorContext) -> None:
        """Loads the functions."""
        self._backend = backend = keyed_backend(context)
        aggregation = load_aggregation(self._spec, self._element_type)
        self._add = _append if aggregation is None else aggregation.add
        self._result = None if aggregation is None else aggregation.result
        self._table = backend.table(TableSpec(COUNT_WINDOWS, StateKind.VALUE))
        self._caller = WindowFunctionCaller(
            self._spec, context, backend, aggregation, lambda: self._watermark, merging=False
        )
        self._caller.open()

    def close(self) -> None:
        """Closes the functions."""
        if self._caller is not None:
            self._caller.close()

    def advance_watermark(self, watermark: int) -> Iterable[Timed]:
        """Remembers it for the context."""
        self._watermark = watermark
        return ()

    def process(self, value: Any, timestamp: int) -> Iterable[Timed] | None:
        """One element of the backend's current key."""
        return self.process_batch([value], [timestamp], [self._backend.current_key])

    def process_batch(
        self, values: Sequence[Any], timestamps: Sequence[int], keys: Sequence[Any]
    ) -> Iterable[Timed] | None:
        """Adds the elements to their windows; those that are complete are in the result."""
        keys = hashable_keys(keys)
        results: list[Timed] = []
        entries = self._table.open_batch(keys)
        size, slide, add = self._size, self._slide, self._add
        value = None
        try:
            for value, timestamp, key in zip(values, timestamps, keys, strict=True):
                held = entries.get(key)
                if held is None:
                    held = entries[key] = [0, {}]
                index, windows = held
                held[0] = index + 1
                for window in range(max(0, (index - size) // slide + 1), index // slide + 1):
                    windows[window] = add(windows.get(window), value)
                completed = index - size + 1
                if completed >= 0 and completed % slide == 0:
                    window = completed // slide
                    results.extend(zip(self._fire(key, window, windows.pop(window)), repeat(timestamp)))
        except Exception as error:
            raise RecordFailure(self._name, value, error) from error
        self._table.close_batch(keys)
        return results or None

    def _fire(self, key: Any, window_id: int, contents: Any) -> Iterable[Any]:
        if contents is not None and self._result is not None:
            contents = self._result(contents)
        if contents is None:
            return ()
        window = CountWindow(window_id)
        self._backend.current_key, self._backend.current_namespace = key, window
        results: Iterable[Any] = self._caller.evaluate(thaw_key(key), window, contents)
        return results


def _append(held: list[Any] | None, value: Any) -> list[Any]:
    if held is None:
        return [value]
    held.append(value)
    return held

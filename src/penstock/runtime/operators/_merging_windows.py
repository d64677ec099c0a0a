"""Windows that merge: which windows of a key are in flight, and under which of them the contents are kept.

When windows merge, the contents stay where the first of them had them: the *state window*. Only the mapping from
window to state window changes, and the contents of the others move (Flink's `MergingWindowSet`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from penstock.datastream.window import MergingWindowAssigner, TimeWindow

if TYPE_CHECKING:
    from penstock.runtime.state import MapTable

__all__ = ["MERGING_WINDOWS", "MergingWindows", "OnMerge"]

MERGING_WINDOWS = "merging-window-set"
"""The name of the state that holds the mapping (Flink's name)."""

OnMerge = Callable[[Any, Sequence[Any], Any, Sequence[Any]], None]
"""Called with: the resulting window, the merged ones, the state window, the state windows that move into it."""


class _Merges(MergingWindowAssigner.MergeCallback[Any]):
    """Collects what an assigner wants merged."""

    def __init__(self) -> None:
        self.found: list[tuple[Any, list[Any]]] = []

    def merge(self, to_be_merged: Iterable[Any], merge_result: Any) -> None:
        """Notes one merge."""
        self.found.append((merge_result, list(to_be_merged)))


class MergingWindows:
    """The windows of the current key in flight; made for one element or timer. Owned by the task's thread."""

    def __init__(self, assigner: MergingWindowAssigner[Any, Any], table: MapTable, key: Any) -> None:
        self._assigner = assigner
        self._table = table
        self._key = key
        self._state_windows: dict[Any, Any] = dict(table.items(key))

    def state_window(self, window: Any) -> Any:
        """Where the contents of a window are, None if it is not in flight."""
        return self._state_windows.get(window)

    def retire(self, window: Any) -> None:
        """A window is over."""
        self._remove(window)

    def add(self, window: Any, on_merge: OnMerge) -> Any:
        """Adds a window and merges what has to be merged; returns the window it became part of."""
        merges = _Merges()
        self._assigner.merge_windows([*self._state_windows, window], merges)
        result = window
        for merged_into, parts in merges.found:
            if window in parts:
                result = merged_into
            self._merge(merged_into, self._in_order(part for part in parts if part in self._state_windows), on_merge)
        if result not in self._state_windows:
            self._put(result, result)
        return result

    def _in_order(self, windows: Iterable[Any]) -> list[Any]:
        """Merges give one result, whatever the order of the sets they come in: earlier windows first."""
        known = set(windows)
        ordered = [window for window in self._state_windows if window in known]
        if all(type(window) is TimeWindow for window in ordered):
            ordered.sort()
        return ordered

    def _merge(self, into: Any, merged: list[Any], on_merge: OnMerge) -> None:
        if not merged or merged == [into]:
            return  # the new window lies within the one that is there
        states = [self._remove(window) for window in merged]
        self._put(into, states[0])
        on_merge(into, merged, states[0], states[1:])

    def _remove(self, window: Any) -> Any:
        self._table.discard(self._key, window)
        return self._state_windows.pop(window)

    def _put(self, window: Any, state_window: Any) -> None:
        self._state_windows[window] = state_window
        self._table.put(self._key, window, state_window)

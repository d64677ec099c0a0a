"""Elements in flight and the order in which their results may leave.

Watermarks stand between *segments* of elements. The ordered mode emits in the order of the input; the unordered mode
emits within the first segment whatever is ready, and goes on to the next when that segment is empty: nothing overtakes
a watermark (Flink's `UnorderedStreamElementQueue`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

__all__ = ["ElementQueue", "InFlight"]


class InFlight:
    """One element and, once it is done, its results. Owned by the task's thread.

    Attributes:
        value: the element.
        timestamp: its time, given to its results.
        results: None until it is done.
    """

    __slots__ = ("results", "timestamp", "value")

    def __init__(self, value: Any, timestamp: int) -> None:
        self.value = value
        self.timestamp = timestamp
        self.results: list[Any] | None = None


class _Segment:
    """The elements between two watermarks.

    Attributes:
        elements: ordered: all that were not emitted, in the order of the input; unordered: those that are done, in the
            order in which they became so. Bounded by the operator's capacity.
        unfinished: how many are not done.
        watermark: what follows the segment, None while it is the last.
    """

    __slots__ = ("elements", "unfinished", "watermark")

    def __init__(self) -> None:
        self.elements: deque[InFlight] = deque()  # bounded by the capacity
        self.unfinished = 0
        self.watermark: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all elements were emitted."""
        return not self.unfinished and not self.elements


class ElementQueue:
    """The queue of one subtask. Owned by the task's thread.

    Args:
        ordered: whether results keep the order of the input.

    Attributes:
        watermark: the last watermark that left the queue, None before the first.
    """

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._segments: deque[_Segment] = deque([_Segment()])
        self._segment_of: dict[InFlight, _Segment] = {}
        self.watermark: int | None = None

    def __len__(self) -> int:
        return len(self._segment_of)

    def __iter__(self) -> Iterator[InFlight]:
        """The elements in the order of the input, also those that are done and were not emitted yet."""
        return iter(self._segment_of)

    def add(self, value: Any, timestamp: int) -> InFlight:
        """Puts an element in."""
        element = InFlight(value, timestamp)
        segment = self._segment_of[element] = self._segments[-1]
        segment.unfinished += 1
        if self._ordered:
            segment.elements.append(element)
        return element

    def add_watermark(self, watermark: int) -> None:
        """Puts a watermark behind all elements so far; of several in a row the last counts."""
        if self._segments[-1].is_empty and len(self._segments) > 1:
            self._segments[-2].watermark = watermark
        else:
            self._segments[-1].watermark = watermark
            self._segments.append(_Segment())

    def complete(self, element: InFlight, results: list[Any]) -> None:
        """An element is done."""
        element.results = results
        segment = self._segment_of[element]
        segment.unfinished -= 1
        if not self._ordered:
            segment.elements.append(element)

    def emit(self) -> Iterator[InFlight]:
        """Takes out what may leave, up to the next watermark; when that is reached, it leaves too."""
        segment = self._segments[0]
        elements = segment.elements
        while elements and elements[0].results is not None:
            element = elements.popleft()
            del self._segment_of[element]
            yield element
        if segment.watermark is not None and segment.is_empty:
            self.watermark = segment.watermark
            self._segments.popleft()

    @property
    def may_emit(self) -> bool:
        """Whether `emit` would take out an element or a watermark."""
        segment = self._segments[0]
        if segment.elements:
            return segment.elements[0].results is not None
        return segment.watermark is not None and not segment.unfinished

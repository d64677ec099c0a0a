"""Windows and their serializers; `window.py` re-exports them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from io import BytesIO
from struct import Struct
from typing import TYPE_CHECKING

from penstock.common.constants import MAX_LONG_VALUE
from penstock.common.serializer import TypeSerializer

if TYPE_CHECKING:
    from penstock.datastream._window_assigners import MergingWindowAssigner

__all__ = [
    "CountWindow",
    "CountWindowSerializer",
    "GlobalWindow",
    "GlobalWindowSerializer",
    "TimeWindow",
    "TimeWindowSerializer",
    "Window",
]


class Window(ABC):
    """A finite group of elements. Immutable by use, hashable."""

    __slots__ = ()

    @abstractmethod
    def max_timestamp(self) -> int:
        """The last timestamp an element of the window can have, epoch ms."""


class TimeWindow(Window):
    """The time from `start` to before `end`, epoch ms."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end

    def max_timestamp(self) -> int:
        """`end` - 1."""
        return self.end - 1

    def intersects(self, other: TimeWindow) -> bool:
        """Whether the two share time or touch."""
        return self.start <= other.end and self.end >= other.start

    def cover(self, other: TimeWindow) -> TimeWindow:
        """The smallest window around both."""
        return TimeWindow(min(self.start, other.start), max(self.end, other.end))

    @staticmethod
    def get_window_start_with_offset(timestamp: int, offset: int, window_size: int) -> int:
        """The start of the window a timestamp falls into, for windows of one size shifted by `offset`; all in ms."""
        return timestamp - (timestamp - offset + window_size) % window_size

    @staticmethod
    def merge_windows(windows: Iterable[TimeWindow], callback: MergingWindowAssigner.MergeCallback[TimeWindow]) -> None:
        """Calls back for every group of windows that share time or touch."""
        groups: list[tuple[TimeWindow, set[TimeWindow]]] = []
        for window in sorted(windows):
            if groups and groups[-1][0].intersects(window):
                merged, parts = groups.pop()
                groups.append((merged.cover(window), parts | {window}))
            else:
                groups.append((window, {window}))
        for merged, parts in groups:
            if len(parts) > 1:
                callback.merge(parts, merged)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TimeWindow)
            and type(self) is type(other)
            and self.start == other.start
            and self.end == other.end
        )

    def __hash__(self) -> int:
        return hash((self.start, self.end))

    def __lt__(self, other: TimeWindow) -> bool:
        return (self.start, self.end) < self._bounds(other)

    def __le__(self, other: TimeWindow) -> bool:
        return (self.start, self.end) <= self._bounds(other)

    @staticmethod
    def _bounds(other: TimeWindow) -> tuple[int, int]:
        if not isinstance(other, TimeWindow):
            raise Exception(f"Does not support comparison with non-TimeWindow {other}")
        return other.start, other.end

    def __repr__(self) -> str:
        return f"TimeWindow(start={self.start}, end={self.end})"


class CountWindow(Window):
    """A window of a number of elements; `id` counts the windows of a key from 0."""

    __slots__ = ("id",)

    def __init__(self, id: int) -> None:  # noqa: A002  (PyFlink's name)
        self.id = id

    def max_timestamp(self) -> int:
        """MAX_LONG_VALUE: a count window is not over by time."""
        return MAX_LONG_VALUE

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CountWindow) and type(self) is type(other) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"CountWindow(id={self.id})"


class GlobalWindow(Window):
    """The one window of everything; all instances are equal."""

    __slots__ = ()

    @staticmethod
    def get() -> GlobalWindow:
        """The window."""
        return _GLOBAL

    def max_timestamp(self) -> int:
        """MAX_LONG_VALUE."""
        return MAX_LONG_VALUE

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "GlobalWindow"


_GLOBAL = GlobalWindow()
_TWO_LONGS = Struct(">qq")
_LONG = Struct(">q")


class TimeWindowSerializer(TypeSerializer[TimeWindow]):
    """Start and end, 8 bytes each, big-endian."""

    def serialize(self, element: TimeWindow, stream: BytesIO) -> None:
        """Writes 16 bytes."""
        stream.write(_TWO_LONGS.pack(element.start, element.end))

    def deserialize(self, stream: BytesIO) -> TimeWindow:
        """Reads 16 bytes."""
        return TimeWindow(*_TWO_LONGS.unpack(stream.read(16)))


class CountWindowSerializer(TypeSerializer[CountWindow]):
    """The id, 8 bytes, big-endian."""

    def serialize(self, element: CountWindow, stream: BytesIO) -> None:
        """Writes 8 bytes."""
        stream.write(_LONG.pack(element.id))

    def deserialize(self, stream: BytesIO) -> CountWindow:
        """Reads 8 bytes."""
        return CountWindow(*_LONG.unpack(stream.read(8)))


class GlobalWindowSerializer(TypeSerializer[GlobalWindow]):
    """A zero byte."""

    def serialize(self, element: GlobalWindow, stream: BytesIO) -> None:
        """Writes 1 byte."""
        stream.write(b"\0")

    def deserialize(self, stream: BytesIO) -> GlobalWindow:
        """Reads 1 byte."""
        stream.read(1)
        return _GLOBAL

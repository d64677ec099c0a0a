"""Window functions: what makes results of a window's elements; `functions.py` re-exports them.

Results may be a list, any iterable, or come from a generator. The runtime implements the contexts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from penstock.datastream._functions import Function, KeyedStateStore

__all__ = ["AllWindowFunction", "ProcessAllWindowFunction", "ProcessWindowFunction", "WindowFunction"]

IN = TypeVar("IN")
OUT = TypeVar("OUT")
KEY = TypeVar("KEY")
W = TypeVar("W")
W2 = TypeVar("W2")


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Makes results of a key's window."""

    @abstractmethod
    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """The results for the window's elements."""


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """Makes results of a window over the whole stream."""

    @abstractmethod
    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """The results for the window's elements."""


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Makes results of a key's window, with times and state."""

    class Context(ABC, Generic[W2]):
        """Given with each firing and with `clear`."""

        @abstractmethod
        def window(self) -> W2:
            """The window."""

        @abstractmethod
        def current_processing_time(self) -> int:
            """The wall clock, epoch ms."""

        @abstractmethod
        def current_watermark(self) -> int:
            """The event time reached, epoch ms."""

        @abstractmethod
        def window_state(self) -> KeyedStateStore:
            """State of this key and window; with merging assigners its getters raise."""

        @abstractmethod
        def global_state(self) -> KeyedStateStore:
            """State of this key across windows."""

    @abstractmethod
    def process(self, key: KEY, context: ProcessWindowFunction.Context[W], elements: Iterable[IN]) -> Iterable[OUT]:
        """The results for the window's elements."""

    def clear(self, context: ProcessWindowFunction.Context[W]) -> None:
        """Called before the window is dropped: clears what `window_state` holds."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """Makes results of a window over the whole stream, with state."""

    class Context(ABC, Generic[W2]):
        """Given with each firing and with `clear`."""

        @abstractmethod
        def window(self) -> W2:
            """The window."""

        @abstractmethod
        def window_state(self) -> KeyedStateStore:
            """State of this window; with merging assigners its getters raise."""

        @abstractmethod
        def global_state(self) -> KeyedStateStore:
            """State across windows."""

    @abstractmethod
    def process(self, context: ProcessAllWindowFunction.Context[W], elements: Iterable[IN]) -> Iterable[OUT]:
        """The results for the window's elements."""

    def clear(self, context: ProcessAllWindowFunction.Context[W]) -> None:
        """Called before the window is dropped: clears what `window_state` holds."""

"""The thread in which a connector waits for a client that blocks, and the bounded queue it hands its finds over by."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Fetcher", "FetcherStopped"]

T = TypeVar("T")


class FetcherStopped(Exception):
    """Raised by `Fetcher.put` in the fetcher's thread once the reader is closed: leave."""


class Fetcher(Generic[T]):
    """Runs `fetch(self)` in a thread; what it `put`s is `take`n on the task's thread.

    Created, asked and closed by the task's thread; `put`, `wait` and `closing` belong to the fetching thread.

    Attributes:
        capacity: items that may wait; a full queue stops the thread, which is the back-pressure.
    """

    def __init__(self, name: str, fetch: Callable[[Fetcher[T]], None], wake: Callable[[], None], capacity: int) -> None:
        self.capacity = capacity
        self._fetch = fetch
        self._wake = wake
        self._items: deque[T] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._closing = False
        self._done = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self) -> T | None:
        """The next item, or None when there is none right now.

        Raises:
            BaseException: what ended the thread, once everything put before it has been taken.
        """
        with self._changed:
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None

    @property
    def exhausted(self) -> bool:
        """Whether the thread has come to its end without an error and everything it put is taken."""
        with self._changed:
            return self._done and self._error is None and not self._items

    def put(self, item: T) -> None:
        """Hands an item over, waiting while the queue is full.

        Raises:
            FetcherStopped: if the reader has been closed.
        """
        with self._changed:
            while len(self._items) >= self.capacity and not self._closing:
                self._changed.wait()
            if self._closing:
                raise FetcherStopped
            self._items.append(item)
        self._wake()

    def wait(self, timeout_s: float) -> None:
        """Sleeps in the fetching thread, ending early when the reader is closed.

        Raises:
            FetcherStopped: if the reader has been closed.
        """
        with self._changed:
            if not self._closing:
                self._changed.wait(timeout_s)
            if self._closing:
                raise FetcherStopped

    @property
    def closing(self) -> bool:
        """Whether the reader has been closed."""
        return self._closing

    def close(self, interrupt: Callable[[], None] | None = None, timeout_s: float = 10.0) -> None:
        """Ends the thread: tells it, calls `interrupt` to break a blocking call, and waits for its end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if interrupt is not None:
            interrupt()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._fetch(self)
        except FetcherStopped:
            pass
        except BaseException as problem:  # raised again on the task's thread by take()
            error = problem
        with self._changed:
            self._error = None if self._closing else error
            self._done = True
        self._wake()

"""Results that come later (`pyflink.common.completable_future`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["CompletableFuture"]

T = TypeVar("T")


class CompletableFuture(Generic[T]):
    """The outcome of a call, made when it is first asked for and then kept.

    Nothing runs in the background on its account, so a future nobody asks costs nothing. May be used from any thread.

    Args:
        call: gives the result or raises.
        is_ready: whether `call` would return at once; None means it always would.
        cancel: stops what the result is waiting for; None where that cannot be done.
    """

    def __init__(
        self,
        call: Callable[[], T],
        is_ready: Callable[[], bool] | None = None,
        cancel: Callable[[], None] | None = None,
    ) -> None:
        self._call = call
        self._is_ready = is_ready
        self._cancel = cancel
        self._lock = threading.Lock()
        self._done = False
        self._cancelled = False
        self._result: T | None = None
        self._error: Exception | None = None

    def cancel(self) -> bool:
        """Gives up waiting, where there is something to stop; says whether it did."""
        if self._done or self._cancel is None:
            return False
        self._cancel()
        self._cancelled = True
        return True

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._cancelled

    def done(self) -> bool:
        """Whether the result is there."""
        return self._done or self._cancelled or self._is_ready is None or self._is_ready()

    def result(self) -> T:
        """The result; waits for it.

        Raises:
            Exception: what the call raised.
        """
        self._complete()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # T may be Optional itself

    def exception(self) -> Exception | None:
        """What the call raised, None where it gave a result; waits for it."""
        self._complete()
        return self._error

    def _complete(self) -> None:
        with self._lock:
            if self._done:
                return
            try:
                self._result = self._call()
            except Exception as error:
                self._error = error
            self._done = True

    def __str__(self) -> str:
        if not self._done:
            return "CompletableFuture[Not completed]"
        return "CompletableFuture[Completed exceptionally]" if self._error else "CompletableFuture[Completed normally]"

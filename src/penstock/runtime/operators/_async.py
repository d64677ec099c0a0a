"""Asynchronous functions: many elements in flight, results in order or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from penstock.runtime.operators._async_calls import AsyncCalls
from penstock.runtime.operators._async_queue import ElementQueue, InFlight
from penstock.runtime.operators._function import close_function, open_function
from penstock.runtime.operators.base import NO_TIMESTAMP, Operator, OperatorContext, Timed

if TYPE_CHECKING:
    from penstock.datastream._transformations import AsyncSpec

__all__ = ["AsyncOperator"]


class AsyncOperator(Operator):
    """An AsyncFunction (Flink's `AsyncWaitOperator`). Owned by the task's thread; calls run on a loop of their own.

    Results leave through `drain`, never through `process`. Watermarks wait for the elements before them: the task must
    not pass an input's watermark on, but `output_watermark` when it has risen, after it has passed on what a method
    returned. What is in flight is operator state: it is called again after recovery, as in Flink.

    Attributes:
        holds_watermarks: True: see above.
        output_watermark: what may be passed on.
    """

    emits_timestamps = True
    holds_watermarks = True

    def __init__(self, spec: AsyncSpec) -> None:
        self._spec = spec
        self._queue = ElementQueue(spec.ordered)
        self._restored: list[tuple[Any, int]] = []
        self._waiting: deque[InFlight] = deque()  # in the queue, not called yet; a batch at most
        self._done: deque[tuple[InFlight, list[Any] | None, BaseException | None]] = deque()  # as many as in flight
        self._has_woken = False
        self._finishing = False
        self._calls: AsyncCalls | None = None
        self._function: Any = None
        self.output_watermark = NO_TIMESTAMP

    def open(self, context: OperatorContext) -> None:
        """Opens the function, starts the loop, and calls again what was in flight at the checkpoint."""
        spec = self._spec
        self._wake = context.wake
        function = spec.function.load()
        retry = None if spec.retry is None else spec.retry.load()
        open_function(function, context.runtime_context)
        self._function = function
        self._calls = AsyncCalls(
            function, spec.timeout_ms, retry, self._on_done, f"async {context.name} ({context.subtask_index + 1})"
        )
        restored, self._restored = self._restored, []
        for value, timestamp in restored:
            self.process(value, timestamp)

    def process(self, value: Any, timestamp: int) -> None:
        """Starts a call, or puts it off: a batch may bring more elements than there is room for."""
        self._waiting.append(self._queue.add(value, timestamp))
        self._start_calls()

    def _start_calls(self) -> None:
        """As many as the capacity has room for; an element takes it from its first attempt until its results leave."""
        calls, waiting = self._calls, self._waiting
        assert calls is not None
        while waiting and len(self._queue) - len(waiting) < self._spec.capacity:
            element = waiting.popleft()
            calls.submit(element, element.value)
        in_queue = len(self._queue)
        self.busy = in_queue > 0 if self._finishing else in_queue >= self._spec.capacity

    def advance_watermark(self, watermark: int) -> Iterable[Timed]:
        """Puts the watermark behind what is in flight."""
        self._queue.add_watermark(watermark)
        return self.drain()

    def drain(self) -> Iterator[Timed]:
        """Results that may leave, up to the next watermark.

        Raises:
            AsyncFunctionError: if a call failed.
        """
        self._has_woken = False  # before the first is taken: what is done from now on wakes anew
        while self._done:
            element, results, error = self._done.popleft()
            if results is None:
                assert error is not None
                raise error
            self._queue.complete(element, results)
        for element in self._queue.emit():
            timestamp = element.timestamp
            for result in element.results or ():
                yield result, timestamp
        if self._queue.watermark is not None:
            self.output_watermark = self._queue.watermark
        self._start_calls()
        if self._queue.may_emit:
            self._wake()

    def finish(self) -> Iterable[Timed]:
        """What is ready; `busy` until all is."""
        self._finishing = True
        self.busy = len(self._queue) > 0
        return self.drain()

    def snapshot(self) -> Any:
        """The elements whose results have not left."""
        return [(element.value, element.timestamp) for element in self._queue]

    def restore(self, states: list[Any]) -> None:
        """Elements to be called again in `open`."""
        for state in states:
            self._restored.extend(state)

    def close(self) -> None:
        """Cancels what is in flight and closes the function."""
        calls, self._calls = self._calls, None
        function, self._function = self._function, None
        try:
            if calls is not None:
                calls.close()
        finally:
            if function is not None:
                close_function(function)

    def _on_done(self, element: InFlight, results: list[Any] | None, error: BaseException | None) -> None:
        """On the loop's thread."""
        self._done.append((element, results, error))
        if not self._has_woken:
            self._has_woken = True
            self._wake()

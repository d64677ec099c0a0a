"""Asynchronous calls: an event loop in a thread of its own, with timeouts and retries."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from penstock.errors import InvariantError, JobError

__all__ = ["AsyncCalls", "AsyncFunctionError"]

_STOP_TIMEOUT_S = 10
"""How long the end of a task waits for cancelled calls."""

OnDone = Callable[[Any, list[Any] | None, BaseException | None], None]
"""Called on the loop's thread: (token, results, error)."""


class AsyncFunctionError(JobError):
    """An AsyncFunction failed, or returned what it must not."""


class _Call:
    """One element's call with all its attempts. Owned by the loop's thread.

    Attributes:
        token: what the caller knows it by.
        value: the element.
        task: the running attempts.
        is_settled: whether results or an error were handed over; what comes later is ignored.
    """

    __slots__ = ("is_settled", "task", "timer", "token", "value")

    def __init__(self, token: Any, value: Any) -> None:
        self.token = token
        self.value = value
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_settled = False


class AsyncCalls:
    """Runs an AsyncFunction's calls. Created, used and closed by the task's thread; calls run on the loop's thread.

    Args:
        function: the loaded AsyncFunction.
        timeout_ms: from the first attempt to the last, 0 for none.
        retry: an AsyncRetryStrategy, or None.
        on_done: takes each call's outcome; runs on the loop's thread.
        name: of the thread.
    """

    def __init__(self, function: Any, timeout_ms: int, retry: Any, on_done: OnDone, name: str) -> None:
        self._function = function
        self._invoke = function.async_invoke
        self._timeout_s = timeout_ms / 1000
        self._retry = retry
        predicates = None if retry is None else retry.get_retry_predicate()
        self._retries_result = _predicate(predicates and predicates.result_predicate())
        self._retries_error = _predicate(predicates and predicates.exception_predicate())
        self._on_done = on_done
        self._submitted: deque[_Call] = deque()  # bounded by the operator's capacity
        self._start_is_scheduled = False
        self._calls: set[_Call] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name=name, daemon=True)
        self._thread.start()

    def submit(self, token: Any, value: Any) -> None:
        """Starts a call; `on_done` will be called for it once, unless `close` comes first."""
        self._submitted.append(_Call(token, value))
        if not self._start_is_scheduled:  # one wake-up of the loop serves all that were submitted meanwhile
            self._start_is_scheduled = True
            self._loop.call_soon_threadsafe(self._start_submitted)

    def close(self) -> None:
        """Cancels what runs and ends the thread.

        Raises:
            InvariantError: if a call does not end although it was cancelled.
        """
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_TIMEOUT_S)
        if self._thread.is_alive():
            raise InvariantError(
                f"the event loop of {self._thread.name} did not end within {_STOP_TIMEOUT_S} s: "
                "async_invoke blocks, or ignores its cancellation"
            )

    # -- on the loop's thread --------------------------------------------------------------------

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._cancel_all())
        finally:
            self._loop.close()

    async def _cancel_all(self) -> None:
        for call in self._calls:
            call.is_settled = True
            if call.timer is not None:
                call.timer.cancel()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    def _start_submitted(self) -> None:
        self._start_is_scheduled = False  # before the first is taken: what is submitted from now on schedules anew
        while self._submitted:
            call = self._submitted.popleft()
            self._calls.add(call)
            if self._timeout_s > 0:
                call.timer = self._loop.call_later(self._timeout_s, self._time_out, call)
            call.task = self._loop.create_task(self._attempts(call))

    async def _attempts(self, call: _Call) -> None:
        retry: Any = None
        attempt = 1
        while True:
            result, error = await self._attempt(call)
            if call.is_settled:
                return
            try:
                again = self._wants_retry(result, error)
                if again and retry is None:
                    retry = copy.copy(self._retry)  # a strategy may remember its last delay: that of this element
                again = again and retry.can_retry(attempt)
                delay_ms = retry.get_backoff_time_millis(attempt) if again else 0
            except Exception as failure:
                again, error = False, failure
            if not again:
                self._settle(call, result, error)
                return
            await asyncio.sleep(delay_ms / 1000)
            attempt += 1

    async def _attempt(self, call: _Call) -> tuple[Any, BaseException | None]:
        try:
            return await self._invoke(call.value), None
        except asyncio.CancelledError as error:
            if call.is_settled:
                raise
            return None, error  # the user's own cancellation is a failure like any other
        except BaseException as error:
            return None, error

    def _wants_retry(self, result: Any, error: BaseException | None) -> bool:
        if error is not None:
            return bool(self._retries_error(error))
        return result is not None and bool(self._retries_result(result))

    def _time_out(self, call: _Call) -> None:
        if call.is_settled:
            return
        try:
            result, error = self._function.timeout(call.value), None
        except BaseException as failure:
            result, error = None, failure
        self._settle(call, result, error)
        if call.task is not None:
            call.task.cancel()

    def _settle(self, call: _Call, result: Any, error: BaseException | None) -> None:
        """Hands the outcome over, once."""
        call.is_settled = True
        self._calls.discard(call)
        if call.timer is not None:
            call.timer.cancel()
        results: list[Any] | None = None
        if error is None:
            try:
                results = self._checked(result)
            except BaseException as failure:
                error = failure
        if error is not None and not isinstance(error, AsyncFunctionError):
            # The texts here and below are PyFlink's: programs match on them.
            wrapped = AsyncFunctionError(
                f"Error happens inside the class '{type(self._function)}' during handling input '{call.value}'"
            )
            wrapped.__cause__ = error
            error = wrapped
        self._on_done(call.token, results, error)

    def _checked(self, result: Any) -> list[Any]:
        problem = "cannot be none" if result is None else "should be of list type"
        if result is None or not isinstance(result, Iterable):
            raise AsyncFunctionError(
                f"The result of AsyncFunction {problem}, please check the methods 'async_invoke' and 'timeout' of "
                f"class '{type(self._function)}'."
            )
        return list(result)


def _predicate(predicate: Callable[[Any], bool] | None) -> Callable[[Any], bool]:
    return predicate if predicate is not None else _never


def _never(_: Any) -> bool:
    return False

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.datastream._transformations import AsyncSpec, UserFunction
from penstock.datastream.async_retry_predicates import empty_result_predicate, has_exception_predicate
from penstock.datastream.functions import AsyncFunction, AsyncRetryStrategy
from penstock.runtime.operators import create_operator
from penstock.runtime.operators._async_calls import AsyncFunctionError
from penstock.runtime.operators._async_queue import ElementQueue
from penstock.runtime.testing import OperatorTestHarness

GATES: dict[Any, threading.Event] = {}
ATTEMPTS: dict[Any, int] = {}
FATE: dict[Any, str] = {}


@pytest.fixture(autouse=True)
def fresh_world() -> None:
    """What the functions below share with their tests: they are loaded by reference to this module."""
    for shared in (GATES, ATTEMPTS, FATE):
        shared.clear()


class Waits(AsyncFunction):
    """An element waits until its gate is opened; then it is doubled."""

    async def async_invoke(self, value: Any) -> Any:
        ATTEMPTS[value] = ATTEMPTS.get(value, 0) + 1
        gate = GATES.get(value)
        while gate is not None and not gate.is_set():
            await asyncio.sleep(0.001)
        return [value, value]


class Timed(Waits):
    def timeout(self, value: Any) -> Any:
        return [f"{value} timed out"]


class Fails(AsyncFunction):
    async def async_invoke(self, value: Any) -> Any:
        if value == "raise":
            raise ValueError("broken")
        if value == "cancel":
            raise asyncio.CancelledError
        return {"none": None, "number": 5}.get(value, iter([value]))


class Flaky(AsyncFunction):
    """Fails twice, or gives nothing twice, and then succeeds."""

    async def async_invoke(self, value: Any) -> Any:
        ATTEMPTS[value] = ATTEMPTS.get(value, 0) + 1
        if ATTEMPTS[value] <= 2:
            if value == "error":
                raise ValueError("not yet")
            return []
        return [value]


def spec(
    function: AsyncFunction[Any, Any], ordered: bool = True, timeout_ms: int = 0, capacity: int = 100, retry: Any = None
) -> AsyncSpec:
    return AsyncSpec(
        UserFunction(function), ordered, timeout_ms, capacity, None if retry is None else UserFunction(retry)
    )


def harness_of(*arguments: Any, restored: Any = (), **settings: Any) -> OperatorTestHarness:
    return OperatorTestHarness(
        create_operator(spec(*arguments, **settings), keyed=False, name="async"), restored=restored
    )


def wait_for(harness: OperatorTestHarness, condition: Callable[[], bool]) -> None:
    """Drains until the condition holds: it depends on another thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        harness.drain()
        time.sleep(0.001)


def gated(*values: Any) -> None:
    for value in values:
        GATES[value] = threading.Event()


def test_ordered_results_wait_for_those_before_them() -> None:
    gated(1, 2, 3)
    with harness_of(Waits()) as harness:
        for value in (1, 2, 3):
            harness.process_element(value, value * 10)
        GATES[2].set()
        GATES[3].set()
        harness.drain()
        assert harness.output == []
        GATES[1].set()
        wait_for(harness, lambda: len(harness.output) == 6)
        assert harness.output == [(1, 10), (1, 10), (2, 20), (2, 20), (3, 30), (3, 30)]


def test_unordered_results_overtake_but_not_across_a_watermark() -> None:
    gated(1, 2, 3)
    with harness_of(Waits(), ordered=False) as harness:
        harness.process_element(1, 1)
        harness.process_element(2, 2)
        harness.process_watermark(5)
        harness.process_element(3, 6)
        GATES[3].set()
        GATES[2].set()
        wait_for(harness, lambda: len(harness.output) == 2)
        assert harness.values == [2, 2]
        assert harness.watermarks == []
        GATES[1].set()
        wait_for(harness, lambda: len(harness.output) == 6)
        assert harness.values == [2, 2, 1, 1, 3, 3]
        assert harness.watermarks == [5]


def test_watermarks_pass_at_once_where_nothing_is_in_flight() -> None:
    with harness_of(Waits()) as harness:
        harness.process_watermark(5)
        harness.process_watermark(7)
        harness.drain()
        assert harness.watermarks == [5, 7]


def test_a_full_operator_is_busy() -> None:
    gated(1, 2)
    with harness_of(Waits(), capacity=2) as harness:
        harness.process_element(1)
        assert not harness.operator.busy
        harness.process_element(2)
        assert harness.operator.busy
        GATES[1].set()
        wait_for(harness, lambda: not harness.operator.busy)
        assert harness.values == [1, 1]


def test_the_end_of_input_waits_for_what_is_in_flight() -> None:
    gated(1)
    with harness_of(Waits()) as harness:
        harness.process_element(1, 4)
        harness.end_input()
        assert harness.operator.busy
        assert harness.watermarks == []
        GATES[1].set()
        wait_for(harness, lambda: not harness.operator.busy)
        assert harness.values == [1, 1]
        assert harness.watermarks == [2**63 - 1]


def test_a_call_that_takes_too_long_gets_the_timeouts_result() -> None:
    gated(1)
    with harness_of(Timed(), timeout_ms=5) as harness:
        harness.process_element(1)
        harness.process_element(2)
        wait_for(harness, lambda: len(harness.output) == 3)
        assert harness.values == ["1 timed out", 2, 2]


def test_a_timeout_fails_the_job_unless_it_is_written() -> None:
    gated(1)
    with harness_of(Waits(), timeout_ms=5) as harness:
        harness.process_element(1)
        with pytest.raises(AsyncFunctionError, match=r"Error happens inside the class .*Waits.* input '1'") as raised:
            wait_for(harness, lambda: False)
        assert isinstance(raised.value.__cause__, TimeoutError)
        assert "Async function call has timed out for input: 1" in str(raised.value.__cause__)


@pytest.mark.parametrize(
    ("value", "message", "cause"),
    [
        ("raise", r"Error happens inside the class '<class '.*Fails'>' during handling input 'raise'", ValueError),
        ("cancel", "Error happens inside the class", asyncio.CancelledError),
        ("none", "The result of AsyncFunction cannot be none, please check the methods", type(None)),
        ("number", "The result of AsyncFunction should be of list type, please check the methods", type(None)),
    ],
)
def test_what_fails_the_job(value: str, message: str, cause: type) -> None:
    with harness_of(Fails()) as harness:
        harness.process_element("fine")
        wait_for(harness, lambda: harness.values == ["fine"])
        harness.process_element(value)
        with pytest.raises(AsyncFunctionError, match=message) as raised:
            wait_for(harness, lambda: False)
        assert isinstance(raised.value.__cause__, cause)


@pytest.mark.parametrize("value", ["error", "empty"])
def test_retries(value: str) -> None:
    retry = AsyncRetryStrategy.fixed_delay(2, 1, empty_result_predicate, has_exception_predicate)
    with harness_of(Flaky(), timeout_ms=10_000, retry=retry) as harness:
        harness.process_element(value)
        wait_for(harness, lambda: harness.values == [value])
        assert ATTEMPTS[value] == 3


def test_retries_end_with_the_last_outcome() -> None:
    retry = AsyncRetryStrategy.exponential_backoff(1, 1, 10, 2, empty_result_predicate, has_exception_predicate)
    with harness_of(Flaky(), timeout_ms=10_000, retry=retry) as harness:
        harness.process_element("empty")
        harness.process_element("error")
        with pytest.raises(AsyncFunctionError, match="input 'error'"):
            wait_for(harness, lambda: False)
        assert ATTEMPTS == {"empty": 2, "error": 2}


def test_without_a_predicate_there_is_no_retry() -> None:
    retry = AsyncRetryStrategy.fixed_delay(5, 1, None, None)
    with harness_of(Flaky(), timeout_ms=10_000, retry=retry) as harness:
        harness.process_element("empty")
        harness.process_watermark(1)
        wait_for(harness, lambda: harness.watermarks == [1])
        assert harness.values == []
        assert ATTEMPTS == {"empty": 1}


def test_the_timeout_covers_all_attempts() -> None:
    class Never(Timed):
        async def async_invoke(self, value: Any) -> Any:
            return []

    retry = AsyncRetryStrategy.fixed_delay(1_000_000, 1, empty_result_predicate, None)
    with harness_of(Never(), timeout_ms=20, retry=retry) as harness:
        harness.process_element(1)
        wait_for(harness, lambda: harness.values == ["1 timed out"])


def test_a_predicate_that_fails_fails_the_job() -> None:
    def broken(result: Any) -> bool:
        raise KeyError("predicate")

    retry = AsyncRetryStrategy.fixed_delay(5, 1, broken, None)
    with harness_of(Flaky(), timeout_ms=10_000, retry=retry) as harness:
        harness.process_element("empty")
        with pytest.raises(AsyncFunctionError) as raised:
            wait_for(harness, lambda: False)
        assert isinstance(raised.value.__cause__, KeyError)


def test_what_is_in_flight_is_called_again_after_a_recovery() -> None:
    gated(1, 2)
    with harness_of(Waits()) as harness:
        harness.process_element(1, 10)
        harness.process_element(2, 20)
        snapshot = harness.snapshot()
    assert snapshot.operator_state == [(1, 10), (2, 20)]
    GATES[1].set()
    GATES[2].set()
    with harness_of(Waits(), capacity=1, restored=[snapshot]) as harness:
        assert harness.operator.busy
        wait_for(harness, lambda: len(harness.output) == 4)
        assert harness.output == [(1, 10), (1, 10), (2, 20), (2, 20)]
        assert not harness.operator.busy
        assert harness.snapshot().operator_state == []


def test_closing_cancels_what_is_in_flight() -> None:
    gated(1)
    harness = harness_of(Waits(), timeout_ms=60_000)
    harness.open()
    harness.process_element(1)
    harness.close()
    harness.close()


class QueueRun:
    """A queue, what went in and what came out: elements as numbers, watermarks as ("w", number)."""

    def __init__(self, ordered: bool) -> None:
        self.queue = ElementQueue(ordered)
        self.log: list[Any] = []
        self.emitted: list[Any] = []
        self.pending: dict[int, Any] = {}

    def act(self, action: Any) -> None:
        number = len(self.log)
        if action == "add":
            self.pending[number] = self.queue.add(number, 0)
            self.log.append(number)
        elif action == "watermark":
            self.queue.add_watermark(number)
            self.log.append(("w", number))
        elif action == "emit":
            self.emit()
        elif self.pending:
            done = sorted(self.pending)[action % len(self.pending)]
            self.queue.complete(self.pending.pop(done), [done])

    def emit(self) -> None:
        while self.queue.may_emit:
            before = self.queue.watermark
            self.emitted.extend(element.value for element in self.queue.emit())
            if self.queue.watermark != before:
                self.emitted.append(("w", self.queue.watermark))


def numbers(entries: list[Any]) -> list[int]:
    return [each for each in entries if isinstance(each, int)]


@given(
    st.booleans(),
    st.lists(st.one_of(st.just("add"), st.just("watermark"), st.integers(0, 30), st.just("emit")), max_size=60),
)
def test_the_queue_keeps_the_order_it_promises(ordered: bool, actions: list[Any]) -> None:
    run = QueueRun(ordered)
    for action in actions:
        run.act(action)
    while run.pending:
        run.act(0)
    run.emit()
    assert len(run.queue) == 0
    assert sorted(numbers(run.emitted)) == numbers(run.log)
    if ordered:
        assert numbers(run.emitted) == numbers(run.log)
    position = {each: index for index, each in enumerate(run.log)}
    for index, each in enumerate(run.emitted):
        if isinstance(each, tuple):
            assert all(position[other] < position[each] for other in run.emitted[:index])
            assert all(position[other] > position[each] for other in run.emitted[index + 1 :])

"""Asynchronous functions."""

import asyncio
import time

from pyflink.common import Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import AsyncDataStream, AsyncFunction, AsyncRetryStrategy, KeyedProcessFunction
from pyflink.datastream import async_retry_predicates as predicates
from pyflink.datastream.window import TumblingEventTimeWindows
from semantics_case import case


class Doubling(AsyncFunction):
    def __init__(self, delay=0.0):
        self.delay = delay

    async def async_invoke(self, value):
        await asyncio.sleep(self.delay * value)
        return [value * 2]


def numbers(env, count=5):
    return env.from_collection(list(range(count)))


@case(order="any")
def unordered(env):
    return AsyncDataStream.unordered_wait(numbers(env), Doubling(0.01), Time.seconds(10), 5, Types.INT())


@case()
def ordered_keeps_the_order(env):
    class Reversed(Doubling):
        async def async_invoke(self, value):
            await asyncio.sleep(0.1 - value * 0.02)
            return [value * 2]

    return AsyncDataStream.ordered_wait(numbers(env), Reversed(), Time.seconds(10))


@case()
def ordered_with_capacity_one(env):
    return AsyncDataStream.ordered_wait(numbers(env), Doubling(0.001), Time.seconds(10), 1)


@case(order="any")
def results_may_be_many_or_none(env):
    class Repeat(AsyncFunction):
        async def async_invoke(self, value):
            return [value] * value

    return AsyncDataStream.unordered_wait(numbers(env, 4), Repeat(), Time.seconds(10))


@case()
def open_and_close_are_called(env):
    class Opened(AsyncFunction):
        def open(self, runtime_context):
            self.name = runtime_context.get_number_of_parallel_subtasks()

        async def async_invoke(self, value):
            return [(value, self.name)]

    return AsyncDataStream.ordered_wait(numbers(env, 2), Opened(), Time.seconds(10))


@case(order="any")
def timeout_may_be_handled(env):
    class Slow(AsyncFunction):
        async def async_invoke(self, value):
            await asyncio.sleep(5 if value == 1 else 0)
            return [value]

        def timeout(self, value):
            return [f"timeout {value}"]

    return AsyncDataStream.unordered_wait(numbers(env, 3), Slow(), Time.milliseconds(300))


@case(error="TimeoutError|timed out|timeout|Timeout")
def timeout_fails_by_default(env):
    class Slow(AsyncFunction):
        async def async_invoke(self, value):
            await asyncio.sleep(5)
            return [value]

    return AsyncDataStream.unordered_wait(numbers(env, 1), Slow(), Time.milliseconds(300))


@case(error="ValueError: inside|inside")
def an_exception_fails_the_job(env):
    class Failing(AsyncFunction):
        async def async_invoke(self, value):
            raise ValueError("inside")

    return AsyncDataStream.unordered_wait(numbers(env, 1), Failing(), Time.seconds(10))


@case(error="cannot be none")
def a_result_of_none_fails(env):
    class Empty(AsyncFunction):
        async def async_invoke(self, value):
            return None

    return AsyncDataStream.unordered_wait(numbers(env, 1), Empty(), Time.seconds(10))


@case(error="should be of list type")
def a_result_must_be_a_list(env):
    class Single(AsyncFunction):
        async def async_invoke(self, value):
            return value

    return AsyncDataStream.unordered_wait(numbers(env, 1), Single(), Time.seconds(10))


@case(error="async|coroutine")
def async_invoke_must_be_a_coroutine(env):
    class Plain(AsyncFunction):
        def async_invoke(self, value):
            return [value]

    AsyncDataStream.unordered_wait(numbers(env, 1), Plain(), Time.seconds(10))


class FailingTwice(AsyncFunction):
    def __init__(self):
        self.attempts = {}

    async def async_invoke(self, value):
        self.attempts[value] = self.attempts.get(value, 0) + 1
        if self.attempts[value] < 3:
            raise ValueError(f"attempt {self.attempts[value]}")
        return [(value, self.attempts[value])]


@case()
def retry_with_fixed_delay(env):
    strategy = AsyncRetryStrategy.fixed_delay(5, 10, None, predicates.has_exception_predicate)
    return AsyncDataStream.ordered_wait_with_retry(numbers(env, 2), FailingTwice(), Time.seconds(20), strategy)


@case(order="any")
def retry_with_exponential_backoff(env):
    strategy = AsyncRetryStrategy.exponential_backoff(5, 10, 100, 2.0, None, predicates.has_exception_predicate)
    return AsyncDataStream.unordered_wait_with_retry(numbers(env, 2), FailingTwice(), Time.seconds(20), strategy)


@case(error="attempt 2")
def retries_are_limited(env):
    strategy = AsyncRetryStrategy.fixed_delay(1, 10, None, predicates.has_exception_predicate)
    return AsyncDataStream.ordered_wait_with_retry(numbers(env, 1), FailingTwice(), Time.seconds(20), strategy)


@case()
def retry_on_empty_results(env):
    class Eventually(AsyncFunction):
        def __init__(self):
            self.calls = 0

        async def async_invoke(self, value):
            self.calls += 1
            return [] if self.calls < 3 else [self.calls]

    strategy = AsyncRetryStrategy.fixed_delay(5, 10, predicates.empty_result_predicate, None)
    return AsyncDataStream.ordered_wait_with_retry(numbers(env, 1), Eventually(), Time.seconds(20), strategy)


@case()
def no_retry_strategy(env):
    return AsyncDataStream.ordered_wait_with_retry(
        numbers(env, 2), Doubling(), Time.seconds(20), AsyncRetryStrategy.no_restart()
    )


@case(error="imeout")
def retry_needs_a_positive_timeout(env):
    strategy = AsyncRetryStrategy.fixed_delay(1, 10, None, None)
    AsyncDataStream.ordered_wait_with_retry(numbers(env, 1), Doubling(), Time.seconds(0), strategy)


@case()
def predicate_values(env):
    return [
        predicates.empty_result_predicate([]),
        predicates.empty_result_predicate([1]),
        predicates.has_exception_predicate(ValueError()),
        predicates.has_exception_predicate(None),
    ]


@case(order="any")
def capacity_bounds_what_is_in_flight(env):
    class Watching(AsyncFunction):
        def __init__(self):
            self.running = 0
            self.highest = 0

        async def async_invoke(self, value):
            self.running += 1
            self.highest = max(self.highest, self.running)
            await asyncio.sleep(0.01)
            self.running -= 1
            return [self.highest <= 3]

    return AsyncDataStream.unordered_wait(numbers(env, 20), Watching(), Time.seconds(10), 3)


@case(order="any")
def windows_behind_an_asynchronous_function(env):
    class Second(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return value[1]

    class Slow(AsyncFunction):
        async def async_invoke(self, value):
            await asyncio.sleep(0.05 / (1 + value[1]))
            return [value]

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    timed = env.from_collection([("a", number) for number in range(10)]).assign_timestamps_and_watermarks(strategy)
    waited = AsyncDataStream.unordered_wait(timed, Slow(), Time.seconds(10), 4)
    windowed = waited.key_by(lambda v: v[0]).window(TumblingEventTimeWindows.of(Time.milliseconds(4)))
    return windowed.reduce(lambda left, right: (left[0], left[1] + right[1]))


@case(
    order="any",
    config={"pipeline.auto-watermark-interval": "20 ms"},
    flink_config={"python.fn-execution.bundle.size": "1"},
)
def watermarks_wait_for_asynchronous_results(env):
    class Second(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return value[1]

    class Slow(AsyncFunction):
        async def async_invoke(self, value):
            await asyncio.sleep(0.8 if value[1] == 1 else 0)
            return [value]

    def wait(value):
        time.sleep(0.2)
        return value

    class Late(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield value[1], ctx.timer_service().current_watermark() >= value[1]

    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    source = env.from_collection([("a", 1), ("a", 100), ("a", 200)]).map(wait).disable_chaining()
    waited = AsyncDataStream.unordered_wait(source.assign_timestamps_and_watermarks(strategy), Slow(), Time.seconds(10))
    return waited.key_by(lambda v: v[0]).process(Late())

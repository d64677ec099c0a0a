"""Asking something outside for each element (`pyflink.datastream.async_data_stream`)."""

from __future__ import annotations

import inspect
from typing import Any

from penstock.common.time import Time
from penstock.datastream._async_functions import AsyncFunction, AsyncRetryStrategy
from penstock.datastream._data_stream import DataStream, OutputType, declared_type
from penstock.datastream._transformations import AsyncSpec, UserFunction
from penstock.datastream.async_retry_strategies import NO_RETRY_STRATEGY, NoRetryStrategy

__all__ = ["AsyncDataStream"]

NAME = "async wait operator"


class AsyncDataStream:
    """Applies asynchronous functions to streams.

    `timeout` counts from an element's first try and includes the retries; 0 means none. `capacity` is the number of
    elements in flight. Without order results may overtake each other, but never a watermark.
    """

    @staticmethod
    def unordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Time,
        capacity: int = 100,
        output_type: OutputType = None,
    ) -> DataStream:
        """Results as they come."""
        return AsyncDataStream.unordered_wait_with_retry(
            data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type
        )

    @staticmethod
    def unordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Time,
        async_retry_strategy: AsyncRetryStrategy[Any],
        capacity: int = 100,
        output_type: OutputType = None,
    ) -> DataStream:
        """Results as they come, with retries."""
        return _wait(data_stream, async_function, timeout, async_retry_strategy, capacity, output_type, ordered=False)

    @staticmethod
    def ordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Time,
        capacity: int = 100,
        output_type: OutputType = None,
    ) -> DataStream:
        """Results in the order of the elements."""
        return AsyncDataStream.ordered_wait_with_retry(
            data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type
        )

    @staticmethod
    def ordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Time,
        async_retry_strategy: AsyncRetryStrategy[Any],
        capacity: int = 100,
        output_type: OutputType = None,
    ) -> DataStream:
        """Results in the order of the elements, with retries."""
        return _wait(data_stream, async_function, timeout, async_retry_strategy, capacity, output_type, ordered=True)


def _wait(
    data_stream: DataStream,
    async_function: AsyncFunction[Any, Any],
    timeout: Time,
    retry: AsyncRetryStrategy[Any],
    capacity: int,
    output_type: OutputType,
    *,
    ordered: bool,
) -> DataStream:
    _check(async_function, timeout, retry)
    if capacity < 1:
        raise ValueError(f"The capacity of an asynchronous operator must be positive, got {capacity}")
    spec = AsyncSpec(
        UserFunction(async_function),
        ordered,
        timeout.to_milliseconds(),
        capacity,
        None if isinstance(retry, NoRetryStrategy) else UserFunction(retry),
    )
    return data_stream._plain()._transform(NAME, spec, declared_type(output_type))


def _check(function: Any, timeout: Any, retry: Any) -> None:
    if not isinstance(function, AsyncFunction):
        raise TypeError(f"The input must be an AsyncFunction, got {type(function).__name__}")
    if not isinstance(timeout, Time):
        raise TypeError(f"timeout must be a Time such as Time.seconds(5), got {type(timeout).__name__}")
    if not inspect.iscoroutinefunction(function.async_invoke):
        raise Exception(f"Method 'async_invoke' of class '{type(function)}' should be declared as 'async def'.")
    if retry is None:
        raise Exception("Async retry strategy should not be None.")
    if not isinstance(retry, NoRetryStrategy) and timeout.to_milliseconds() <= 0:
        raise Exception("Timeout should be configured when do async with retry.")
    if retry.get_retry_predicate() is None:
        raise Exception(f"Retry predicate of the async retry strategy '{type(retry)}' is None.")

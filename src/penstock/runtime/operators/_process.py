"""Process functions of one input, and what all process functions share: contexts set for each record, timers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Any

from penstock.datastream.time_domain import TimeDomain
from penstock.runtime.operators._contexts import (
    KeyedContext,
    KeyedFunctionContext,
    KeyedTimerAccess,
    UnkeyedContext,
    UnkeyedTimerAccess,
)
from penstock.runtime.operators._function import FunctionOperator, keyed_backend
from penstock.runtime.operators.base import InContext, OperatorContext, Timed

if TYPE_CHECKING:
    from penstock.datastream._transformations import UserFunction
    from penstock.runtime._timers import TimerService

__all__ = [
    "KeyedProcessOperator",
    "ProcessOperator",
    "TimedFunctionOperator",
    "UntimedFunctionOperator",
]

TIMER_SERVICE = "user-timers"
"""The name of the service that holds what user functions register (Flink's name)."""


class UntimedFunctionOperator(FunctionOperator):
    """A function without keys: it may ask for the watermark, but has no timers."""

    def __init__(self, function: UserFunction) -> None:
        super().__init__(function)
        self._access: UnkeyedTimerAccess | None = None

    def _timer_access(self, context: OperatorContext) -> UnkeyedTimerAccess:
        self._access = UnkeyedTimerAccess(context.now_ms)
        return self._access

    def advance_watermark(self, watermark: int) -> Iterable[Timed]:
        """Remembers it for the context."""
        if self._access is not None:
            self._access.watermark = watermark
        return ()


class TimedFunctionOperator(FunctionOperator):
    """A function with keys and timers.

    Attributes:
        timers: the operator's timers, None before `open`.
    """

    def __init__(self, function: UserFunction) -> None:
        super().__init__(function)
        self.timers: TimerService | None = None

    def _timer_access(self, context: OperatorContext) -> KeyedTimerAccess:
        self.timers = context.timers(
            TIMER_SERVICE,
            self._on_timer(TimeDomain.EVENT_TIME),
            self._on_timer(TimeDomain.PROCESSING_TIME),
        )
        return KeyedTimerAccess(self.timers)

    def _on_timer(self, domain: TimeDomain) -> Callable[[int, Any, Any], Iterable[Timed] | None]:
        def on_timer(timestamp: int, _key: Any, _namespace: Any) -> Iterable[Timed] | None:
            ctx = self._timer_context
            ctx.record_timestamp = timestamp
            ctx.domain = domain
            results = self.function.on_timer(timestamp, ctx)
            return zip(results, repeat(timestamp)) if results else None

        return on_timer

    _timer_context: KeyedFunctionContext
    """What `on_timer` is given; set by `_prepare`."""


class ProcessOperator(UntimedFunctionOperator):
    """A ProcessFunction."""

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        ctx = UnkeyedContext(self._timer_access(context))
        self._handle_with(InContext(function.process_element, ctx))


class KeyedProcessOperator(TimedFunctionOperator):
    """A KeyedProcessFunction."""

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        self._timer_context = ctx = KeyedContext(self._timer_access(context), keyed_backend(context))
        self._handle_with(InContext(function.process_element, ctx))

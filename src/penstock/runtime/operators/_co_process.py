"""Functions of two connected inputs: CoMap, CoFlatMap, CoProcess and KeyedCoProcess."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from penstock.runtime.operators._contexts import KeyedContext, UnkeyedContext
from penstock.runtime.operators._function import FunctionOperator, Process, keyed_backend
from penstock.runtime.operators._process import TimedFunctionOperator, UntimedFunctionOperator
from penstock.runtime.operators.base import InContext, OperatorContext

__all__ = ["CoFlatMapOperator", "CoMapOperator", "CoProcessOperator", "KeyedCoProcessOperator"]


class CoMapOperator(FunctionOperator):
    """A CoMapFunction, on keyed or plain streams. A result of None is dropped, as in PyFlink and unlike `map`."""

    may_side_output = False

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        self._handle_with(_mapped(function.map1), _mapped(function.map2))


def _mapped(map_value: Callable[[Any], Any]) -> Process:
    def process(value: Any, _timestamp: int) -> Iterable[Any] | None:
        result = map_value(value)
        return None if result is None else (result,)

    return process


class CoFlatMapOperator(FunctionOperator):
    """A CoFlatMapFunction, on keyed or plain streams. None instead of an iterable is no result."""

    may_side_output = False

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        self._handle_with(_flat_mapped(function.flat_map1), _flat_mapped(function.flat_map2))


def _flat_mapped(flat_map: Callable[[Any], Iterable[Any] | None]) -> Process:
    def process(value: Any, _timestamp: int) -> Iterable[Any] | None:
        return flat_map(value)

    return process


class CoProcessOperator(UntimedFunctionOperator):
    """A CoProcessFunction."""

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        ctx = UnkeyedContext(self._timer_access(context))
        self._handle_with(InContext(function.process_element1, ctx), InContext(function.process_element2, ctx))


class KeyedCoProcessOperator(TimedFunctionOperator):
    """A KeyedCoProcessFunction: both inputs share keyed state and timers."""

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        self._timer_context = ctx = KeyedContext(self._timer_access(context), keyed_backend(context))
        self._handle_with(InContext(function.process_element1, ctx), InContext(function.process_element2, ctx))

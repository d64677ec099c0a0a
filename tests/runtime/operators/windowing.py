"""Window specs and functions that the window tests share."""

from __future__ import annotations

from typing import Any

from penstock.datastream._transformations import UserFunction, WindowSpec
from penstock.datastream.functions import (
    AggregateFunction,
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from penstock.datastream.output_tag import OutputTag
from penstock.runtime.operators import create_operator
from penstock.runtime.operators._window import WindowOperator
from penstock.runtime.testing import OperatorTestHarness

LATE = OutputTag("late")


class Sum(AggregateFunction):
    """Sums the second fields; the accumulator is changed in place."""

    def create_accumulator(self) -> list[int]:
        return [0]

    def add(self, value: Any, accumulator: list[int]) -> list[int]:
        accumulator[0] += value[1]
        return accumulator

    def get_result(self, accumulator: list[int]) -> int:
        return accumulator[0]

    def merge(self, acc_a: list[int], acc_b: list[int]) -> list[int]:
        return [acc_a[0] + acc_b[0]]


class Elements(ProcessWindowFunction):
    """Key, window, elements, watermark; counts in the state of the key how often it fired."""

    def open(self, runtime_context: Any) -> None:
        from penstock.common.typeinfo import Types
        from penstock.datastream.state import ValueStateDescriptor

        self.fired = ValueStateDescriptor("fired", Types.LONG())

    def process(self, key: Any, context: Any, elements: Any) -> Any:
        state = context.global_state().get_state(self.fired)
        state.update((state.value() or 0) + 1)
        yield key, repr(context.window()), list(elements), context.current_watermark(), state.value()


class Applied(WindowFunction):
    def apply(self, key: Any, window: Any, inputs: Any) -> Any:
        return [(key, repr(window), list(inputs))]


class AllElements(ProcessAllWindowFunction):
    def process(self, context: Any, elements: Any) -> Any:
        yield repr(context.window()), list(elements)


class AllApplied(AllWindowFunction):
    def apply(self, window: Any, inputs: Any) -> Any:
        return [(repr(window), list(inputs))]


def add_second(left: Any, right: Any) -> Any:
    """A reduce that shows the order of its arguments where it matters."""
    return left[0], left[1] + right[1]


FUNCTIONS: dict[str, dict[str, Any]] = {
    "reduce": {"kind": "reduce", "function": add_second},
    "reduce + process": {"kind": "reduce", "function": add_second, "window_function": Elements()},
    "aggregate": {"kind": "aggregate", "function": Sum()},
    "aggregate + apply": {"kind": "aggregate", "function": Sum(), "window_function": Applied()},
    "apply": {"kind": "apply", "function": Applied()},
    "process": {"kind": "process", "function": Elements()},
}


def window_spec(
    assigner: Any, function: str | dict[str, Any] = "process", trigger: Any = None, **settings: Any
) -> WindowSpec:
    """A spec; the trigger is the assigner's default unless given."""
    chosen = FUNCTIONS[function] if isinstance(function, str) else function
    window_function = chosen.get("window_function")
    return WindowSpec(
        assigner=UserFunction(assigner),
        trigger=UserFunction(trigger or assigner.get_default_trigger(None)),
        kind=chosen["kind"],
        function=UserFunction(chosen["function"]),
        window_function=None if window_function is None else UserFunction(window_function),
        **settings,
    )


def first(value: Any) -> Any:
    return value[0]


def batch_harness(spec: WindowSpec, **options: Any) -> OperatorTestHarness:
    """A harness around the operator that a job would use."""
    key_selector = options.pop("key_selector", first)
    return OperatorTestHarness(create_operator(spec, keyed=True, name="windows"), key_selector, **options)


def general_harness(spec: WindowSpec, **options: Any) -> OperatorTestHarness:
    """A harness around the general operator."""
    key_selector = options.pop("key_selector", first)
    return OperatorTestHarness(WindowOperator(spec), key_selector, **options)


def late_dropped(harness: OperatorTestHarness) -> int:
    return dict(harness.metrics.values())["operator.numLateRecordsDropped"]

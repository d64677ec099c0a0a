"""Which window operator a `WindowSpec` gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.datastream.window import (
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
    DynamicEventTimeSessionWindows,
    DynamicProcessingTimeSessionWindows,
    EventTimeSessionWindows,
    EventTimeTrigger,
    ProcessingTimeSessionWindows,
    ProcessingTimeTrigger,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from penstock.runtime.operators._aligned_windows import AlignedWindowOperator
from penstock.runtime.operators._count_windows import CountWindowOperator
from penstock.runtime.operators._processing_windows import ProcessingTimeWindowOperator
from penstock.runtime.operators._session_windows import SessionWindowOperator
from penstock.runtime.operators._window import WindowOperator

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream._transformations import WindowSpec
    from penstock.runtime.operators.base import Operator

__all__ = ["create_window_operator"]

_BATCH_OPERATORS: dict[tuple[type, type], Any] = {
    (TumblingEventTimeWindows, EventTimeTrigger): AlignedWindowOperator,
    (SlidingEventTimeWindows, EventTimeTrigger): AlignedWindowOperator,
    (TumblingProcessingTimeWindows, ProcessingTimeTrigger): ProcessingTimeWindowOperator,
    (SlidingProcessingTimeWindows, ProcessingTimeTrigger): ProcessingTimeWindowOperator,
    (EventTimeSessionWindows, EventTimeTrigger): SessionWindowOperator,
    (ProcessingTimeSessionWindows, ProcessingTimeTrigger): SessionWindowOperator,
    (DynamicEventTimeSessionWindows, EventTimeTrigger): SessionWindowOperator,
    (DynamicProcessingTimeSessionWindows, ProcessingTimeTrigger): SessionWindowOperator,
    (CountTumblingWindowAssigner, CountTrigger): CountWindowOperator,
    (CountSlidingWindowAssigner, CountTrigger): CountWindowOperator,
}
"""By assigner and trigger, of exactly these classes: a subclass may behave differently."""


def create_window_operator(spec: WindowSpec, element_type: TypeInformation | None, name: str) -> Operator:
    """The operator that works on whole batches where assigner and trigger are known, else the general one."""
    assigner, trigger = spec.assigner.load(), spec.trigger.load()
    operator = _BATCH_OPERATORS.get((type(assigner), type(trigger)))
    if operator is None or (operator is CountWindowOperator and trigger._window_size != assigner._window_size):
        return WindowOperator(spec, element_type)
    chosen: Operator = operator(spec, assigner, element_type, name)
    return chosen

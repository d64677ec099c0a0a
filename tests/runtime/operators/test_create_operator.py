from __future__ import annotations

from typing import Any

import pytest

from penstock.datastream._transformations import AsyncSpec, MapSpec, ProcessSpec, TwoInputSpec, UserFunction
from penstock.datastream.window import (
    CountTrigger,
    CountTumblingWindowAssigner,
    DynamicEventTimeSessionWindows,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindows,
    ProcessingTimeSessionWindows,
    PurgingTrigger,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from penstock.errors import InvariantError
from penstock.runtime.operators import create_operator
from tests.runtime.operators.windowing import window_spec


class Gap(SessionWindowTimeGapExtractor):
    def extract(self, element: Any) -> int:
        return 1


F = UserFunction(len)


@pytest.mark.parametrize(
    ("spec", "keyed", "name"),
    [
        (ProcessSpec(F), False, "ProcessOperator"),
        (ProcessSpec(F), True, "KeyedProcessOperator"),
        (TwoInputSpec("map", F), False, "CoMapOperator"),
        (TwoInputSpec("flat_map", F), True, "CoFlatMapOperator"),
        (TwoInputSpec("process", F), False, "CoProcessOperator"),
        (TwoInputSpec("process", F), True, "KeyedCoProcessOperator"),
        (TwoInputSpec("broadcast_process", F), False, "BroadcastProcessOperator"),
        (TwoInputSpec("broadcast_process", F), True, "KeyedBroadcastProcessOperator"),
        (AsyncSpec(F, True, 0, 1), False, "AsyncOperator"),
        (window_spec(TumblingEventTimeWindows(5, 0)), True, "AlignedWindowOperator"),
        (window_spec(SlidingEventTimeWindows(5, 1, 0)), True, "AlignedWindowOperator"),
        (window_spec(TumblingProcessingTimeWindows(5, 0)), True, "ProcessingTimeWindowOperator"),
        (window_spec(SlidingProcessingTimeWindows(5, 1, 0)), True, "ProcessingTimeWindowOperator"),
        (window_spec(EventTimeSessionWindows(5)), True, "SessionWindowOperator"),
        (window_spec(DynamicEventTimeSessionWindows(Gap())), True, "SessionWindowOperator"),
        (window_spec(ProcessingTimeSessionWindows(5)), True, "SessionWindowOperator"),
        (window_spec(CountTumblingWindowAssigner(5)), True, "CountWindowOperator"),
        (window_spec(CountTumblingWindowAssigner(5), trigger=CountTrigger(4)), True, "WindowOperator"),
        (window_spec(GlobalWindows()), True, "WindowOperator"),
        (window_spec(TumblingEventTimeWindows(5, 0), trigger=CountTrigger(4)), True, "WindowOperator"),
        (
            window_spec(TumblingEventTimeWindows(5, 0), trigger=PurgingTrigger(EventTimeTrigger())),
            True,
            "WindowOperator",
        ),
    ],
)
def test_each_spec_has_its_operator(spec: Any, keyed: bool, name: str) -> None:
    assert type(create_operator(spec, keyed=keyed, name="x")).__name__ == name


def test_what_the_chain_compiler_writes_has_none() -> None:
    with pytest.raises(InvariantError, match="MapSpec has no operator object"):
        create_operator(MapSpec(F), keyed=False)
    with pytest.raises(InvariantError, match="no operator for connected streams of kind 'join'"):
        create_operator(TwoInputSpec("join", F), keyed=False)

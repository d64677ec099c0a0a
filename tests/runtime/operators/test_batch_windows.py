"""The batch window operators give the results of the general one, element by element, on any stream."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.datastream.window import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    DynamicEventTimeSessionWindows,
    DynamicProcessingTimeSessionWindows,
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from penstock.runtime.operators._window import WindowOperator
from penstock.runtime.state import BackendContext
from penstock.runtime.testing import MemoryStorage
from tests.contracts.state_backends import BACKENDS
from tests.runtime.operators.windowing import FUNCTIONS, LATE, batch_harness, general_harness, window_spec


class GapByValue(SessionWindowTimeGapExtractor):
    def extract(self, element: Any) -> int:
        return int(element[1]) + 1


event_time_assigners = st.one_of(
    st.builds(
        lambda size, offset: TumblingEventTimeWindows(size, offset % size), st.integers(1, 20), st.integers(0, 19)
    ),
    st.builds(
        lambda size, slide, offset: SlidingEventTimeWindows(size, slide, offset % slide),
        st.integers(1, 20),
        st.integers(1, 25),
        st.integers(0, 25),
    ),
    st.builds(EventTimeSessionWindows, st.integers(1, 15)),
    st.just(DynamicEventTimeSessionWindows(GapByValue())),
)
processing_time_assigners = st.one_of(
    st.builds(lambda size: TumblingProcessingTimeWindows(size, 0), st.integers(1, 20)),
    st.builds(lambda size, slide: SlidingProcessingTimeWindows(size, slide, 0), st.integers(1, 20), st.integers(1, 25)),
    st.builds(ProcessingTimeSessionWindows, st.integers(1, 15)),
    st.just(DynamicProcessingTimeSessionWindows(GapByValue())),
)
count_assigners = st.one_of(
    st.builds(CountTumblingWindowAssigner, st.integers(1, 5)),
    st.builds(CountSlidingWindowAssigner, st.integers(1, 5), st.integers(1, 7)),
)
elements = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-20, 100), st.integers(0, 9)), max_size=12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("elements"), elements),
        st.tuples(st.just("time"), st.integers(0, 30)),
        st.tuples(st.just("restore"), st.none()),
        st.tuples(st.just("snapshot"), st.none()),
    ),
    max_size=12,
)


class Run:
    """One operator driven through the steps."""

    def __init__(self, make: Any, spec: Any, **options: Any) -> None:
        self.make, self.spec, self.options = make, spec, options
        self.harness = make(spec, **options)
        self.harness.open()
        self.results: list[Any] = []
        self.snapshot: Any = None

    def begin_snapshot(self) -> None:
        """From here on a snapshot guards the state, until the next one or the end."""
        if self.snapshot is not None:
            while not self.snapshot.advance():
                pass
            self.snapshot.finish()
        self.snapshot = self.harness.backend.snapshot(1, MemoryStorage(), canonical=True)

    def restore(self) -> None:
        self.snapshot = None
        snapshot = self.harness.snapshot()
        self.collect()
        self.harness.close()
        self.harness = self.make(self.spec, restored=[snapshot], now_ms=self.harness.now_ms, **self.options)
        self.harness.open()

    def collect(self) -> None:
        """Results of one step in the order of their timestamps; between keys at one timestamp there is none."""
        harness = self.harness
        late = harness.side_outputs.pop("late", [])
        self.results.append((sorted(harness.take_output(), key=lambda each: (each[1], repr(each))), late))
        counters = dict(harness.metrics.values())
        self.results.append(counters.get("operator.numLateRecordsDropped", 0))


def drive(runs: list[Run], steps: list[Any], advance: Any, may_restore: bool = True) -> None:
    now = 0
    for kind, argument in steps:
        if kind == "restore" and not may_restore:
            continue
        now += argument if kind == "time" else 0
        for run in runs:
            if kind == "elements":
                run.harness.process_batch([((key, value), timestamp) for key, timestamp, value in argument])
            elif kind == "time":
                advance(run.harness, now)
            elif kind == "snapshot":
                run.begin_snapshot()
            else:
                run.restore()
            run.collect()
        assert runs[0].results == runs[1].results
    for run in runs:
        run.harness.end_input()
        run.collect()
        run.harness.close()
    assert runs[0].results == runs[1].results


@given(
    assigner=event_time_assigners,
    function=st.sampled_from(sorted(FUNCTIONS)),
    lateness=st.sampled_from([0, 0, 5, 30]),
    late_tag=st.sampled_from([None, LATE]),
    steps=steps,
)
def test_event_time_windows(assigner: Any, function: str, lateness: int, late_tag: Any, steps: Any) -> None:
    spec = window_spec(assigner, function, allowed_lateness_ms=lateness, late_tag=late_tag)
    runs = [Run(batch_harness, spec), Run(general_harness, spec)]
    assert not isinstance(runs[0].harness.operator, WindowOperator)
    # With lateness the two may differ between a recovery and the next watermark: see AlignedWindowOperator.restore.
    drive(runs, steps, lambda harness, now: harness.process_watermark(now), may_restore=lateness == 0)


@given(assigner=processing_time_assigners, function=st.sampled_from(sorted(FUNCTIONS)), steps=steps)
def test_processing_time_windows(assigner: Any, function: str, steps: Any) -> None:
    spec = window_spec(assigner, function)
    runs = [Run(batch_harness, spec), Run(general_harness, spec)]
    assert not isinstance(runs[0].harness.operator, WindowOperator)
    drive(runs, steps, lambda harness, now: harness.set_processing_time(now))


@given(assigner=count_assigners, function=st.sampled_from(sorted(FUNCTIONS)), steps=steps)
def test_count_windows(assigner: Any, function: str, steps: Any) -> None:
    spec = window_spec(assigner, function)
    runs = [Run(batch_harness, spec), Run(general_harness, spec)]
    assert not isinstance(runs[0].harness.operator, WindowOperator)
    drive(runs, steps, lambda harness, now: harness.process_watermark(now))


@pytest.mark.parametrize("backend", ["rocksdb", "rocksdb-uncached"])
@settings(max_examples=15)
@given(
    assigner=st.one_of(event_time_assigners, count_assigners),
    function=st.sampled_from(sorted(FUNCTIONS)),
    lateness=st.sampled_from([0, 0, 5, 30]),
    steps=steps,
)
def test_windows_on_disk(
    tmp_path_factory: pytest.TempPathFactory, backend: str, assigner: Any, function: str, lateness: int, steps: Any
) -> None:
    pytest.importorskip("rocksdict")
    spec = window_spec(assigner, function, allowed_lateness_ms=lateness, late_tag=LATE)

    def make_backend(context: BackendContext) -> Any:
        return BACKENDS[backend](context.now_ms, tmp_path_factory.mktemp("state"))

    runs = [Run(batch_harness, spec, make_backend=make_backend), Run(general_harness, spec)]
    drive(runs, steps, lambda harness, now: harness.process_watermark(now), may_restore=lateness == 0)

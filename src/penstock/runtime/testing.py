"""Drive one operator by hand: its elements, watermarks and clock, and see what it emits.

A function's state and timers can be tested without a job, as with Flink's `KeyedOneInputStreamOperatorTestHarness`:

    with OperatorTestHarness.of(CountWithTimeout(), key_selector=lambda value: value[0]) as harness:
        harness.process_element(("a", 1), timestamp=10)
        harness.process_watermark(60_010)
        assert harness.output == [(("a", 1), 60_010)]
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from penstock.common.constants import MAX_LONG_VALUE
from penstock.datastream._transformations import ProcessSpec, TwoInputSpec, UserFunction
from penstock.datastream.functions import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    ProcessFunction,
)
from penstock.datastream.output_tag import OutputTag
from penstock.errors import ConfigurationError
from penstock.runtime._metrics import MetricRegistry
from penstock.runtime._runtime_context import StreamingRuntimeContext, TaskFacts
from penstock.runtime._timers import TimerService, TimerSnapshot
from penstock.runtime.operators import NO_TIMESTAMP, Operator, OperatorContext, create_operator
from penstock.runtime.state import (
    BackendContext,
    HashMapBackend,
    KeyedStateBackend,
    KeyedStateHandle,
    freeze_key,
)

__all__ = ["MemoryStorage", "OperatorSnapshot", "OperatorTestHarness"]


@dataclass(frozen=True, slots=True)
class OperatorSnapshot:
    """What an operator had at a checkpoint; `OperatorTestHarness(..., restored=[snapshot])` goes on from it.

    Attributes:
        operator_state: of the operator object.
        timers: by service, then by key group.
        keyed_state: handle and storage, None without keys.
    """

    operator_state: Any
    timers: dict[str, dict[int, TimerSnapshot]]
    keyed_state: tuple[KeyedStateHandle, Any] | None


@dataclass(slots=True)
class MemoryStorage:
    """Keeps the files of a snapshot in memory. Owned by the harness; `put` may be called from any thread."""

    files: dict[str, bytes] = field(default_factory=dict)
    owned: bool = True
    numbers: Any = field(default_factory=itertools.count)

    def put(self, name: str, data: bytes | Iterable[bytes]) -> str:
        """Keeps a file."""
        handle = f"{name}-{next(self.numbers)}"
        self.files[handle] = data if isinstance(data, bytes) else b"".join(data)
        return handle

    def put_shared(self, path: str, key: str) -> str:
        """Keeps a local file."""
        with open(path, "rb") as file:
            return self.put(key, file.read())

    def read(self, handle: Any, offset: int = 0, length: int | None = None) -> bytes:
        """Gives a file back."""
        return self.files[handle][offset : None if length is None else offset + length]

    def download(self, handle: Any, path: str) -> None:
        """Writes a file."""
        with open(path, "wb") as file:
            file.write(self.files[handle])


class OperatorTestHarness:
    """One operator with its state, timers and a clock that stands still until it is set. Owned by one thread.

    Args:
        operator: what `create_operator` returns.
        key_selector: `element -> key` of the first input, None where it is not keyed.
        key_selector2: the same for the second input.
        now_ms: the clock, epoch ms.
        batch_mode: RuntimeExecutionMode.BATCH.
        make_backend: creates the keyed state, `HashMapBackend` by default.
        subtask_index: from 0.
        parallelism: subtasks of the operator.
        max_parallelism: key groups.
        restored: snapshots of all subtasks to go on from.

    Attributes:
        output: what was emitted: (value, timestamp).
        watermarks: those that were passed on.
        side_outputs: by tag id: (value, timestamp).
        metrics: what the function registered.
    """

    def __init__(
        self,
        operator: Operator,
        key_selector: Callable[[Any], Any] | None = None,
        key_selector2: Callable[[Any], Any] | None = None,
        *,
        now_ms: int = 0,
        batch_mode: bool = False,
        make_backend: Callable[[BackendContext], KeyedStateBackend] = HashMapBackend,
        subtask_index: int = 0,
        parallelism: int = 1,
        max_parallelism: int = 128,
        restored: Sequence[OperatorSnapshot] = (),
    ) -> None:
        self.operator: Any = operator
        self.now_ms = now_ms
        self.output: list[tuple[Any, int]] = []
        self.side_outputs: dict[str, list[tuple[Any, int]]] = {}
        self.watermarks: list[int] = []
        self.metrics = MetricRegistry()
        self.backend: Any = None
        self._key_selectors = (key_selector, key_selector2)
        self._services: list[TimerService] = []
        self._restored = restored
        self._wakes = 0
        facts = TaskFacts("harness", subtask_index, parallelism, max_parallelism)
        if key_selector is not None:
            self.backend = make_backend(
                BackendContext("0" * 32, "harness", subtask_index, parallelism, max_parallelism, self._clock)
            )
        group = self.metrics.group("operator")
        self._context = OperatorContext(
            name="harness",
            subtask_index=subtask_index,
            parallelism=parallelism,
            max_parallelism=max_parallelism,
            runtime_context=StreamingRuntimeContext(facts, group, self.backend),
            now_ms=self._clock,
            backend=self.backend,
            timers=self._make_timers,
            batch_mode=batch_mode,
            wake=self._wake,
            counter=group.counter,
        )

    @classmethod
    def of(
        cls,
        function: Any,
        key_selector: Callable[[Any], Any] | None = None,
        key_selector2: Callable[[Any], Any] | None = None,
        *,
        broadcast_descriptors: Sequence[Any] = (),
        **options: Any,
    ) -> OperatorTestHarness:
        """A harness for a process function or a function of connected streams.

        Args:
            function: (Keyed)ProcessFunction, (Keyed)CoProcessFunction, (Keyed)BroadcastProcessFunction, CoMapFunction
                or CoFlatMapFunction.
            key_selector: as above; required by the keyed functions.
            key_selector2: as above; the first input's by default.
            broadcast_descriptors: the MapStateDescriptors of a broadcast state.
            options: as above.

        Raises:
            ConfigurationError: if it is no such function, or keys are missing.
        """
        spec: ProcessSpec | TwoInputSpec
        user_function = UserFunction(function)
        if isinstance(function, (ProcessFunction, KeyedProcessFunction)):
            spec = ProcessSpec(user_function)
        else:
            spec = TwoInputSpec(_kind(function), user_function, tuple(broadcast_descriptors))
        keyed = isinstance(function, (KeyedProcessFunction, KeyedCoProcessFunction, KeyedBroadcastProcessFunction))
        if keyed and key_selector is None:
            raise ConfigurationError(f"{type(function).__name__} runs on keyed streams: pass key_selector.")
        operator = create_operator(spec, keyed=keyed, name=type(function).__name__)
        if isinstance(function, (CoMapFunction, CoFlatMapFunction, KeyedCoProcessFunction)):
            key_selector2 = key_selector2 or key_selector
        return cls(operator, key_selector, key_selector2, **options)

    def __enter__(self) -> OperatorTestHarness:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- life ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Restores what was given, then opens the operator."""
        if self.backend is not None:
            self.backend.restore([snapshot.keyed_state for snapshot in self._restored if snapshot.keyed_state])
        states = [snapshot.operator_state for snapshot in self._restored if snapshot.operator_state is not None]
        if states:
            self.operator.restore(states)
        self.operator.open(self._context)

    def close(self) -> None:
        """Closes operator and state."""
        self.operator.close()
        if self.backend is not None:
            self.backend.close()

    def snapshot(self) -> OperatorSnapshot:
        """State and timers as of now."""
        keyed_state = None
        if self.backend is not None:
            storage = MemoryStorage()
            snapshot = self.backend.snapshot(1, storage, canonical=True)
            while not snapshot.advance():
                pass
            keyed_state = (snapshot.finish(), storage)
        timers = {service.name: service.snapshot() for service in self._services}
        return OperatorSnapshot(self.operator.snapshot(), timers, keyed_state)

    # -- inputs ----------------------------------------------------------------------------------

    def process_element(self, value: Any, timestamp: int = NO_TIMESTAMP) -> None:
        """One element of the first input."""
        self._process(0, self.operator.process, value, timestamp)

    process_element1 = process_element

    def process_element2(self, value: Any, timestamp: int = NO_TIMESTAMP) -> None:
        """One element of the second input."""
        self._process(1, self.operator.process2, value, timestamp)

    def process_batch(self, elements: Sequence[tuple[Any, int]]) -> None:
        """Several (value, timestamp) pairs at once, if the operator can."""
        if not getattr(self.operator, "takes_batches", False):
            for value, timestamp in elements:
                self.process_element(value, timestamp)
            return
        key_of = self._key_selectors[0]
        values = [value for value, _ in elements]
        keys = [key_of(value) for value in values] if key_of is not None else [None] * len(values)
        self._emit(self.operator.process_batch(values, [timestamp for _, timestamp in elements], keys))

    def process_watermark(self, watermark: int) -> None:
        """The watermark of all inputs rises."""
        for service in self._services:
            self._emit(service.advance_watermark(watermark))
        self._emit(self.operator.advance_watermark(watermark))
        if getattr(self.operator, "holds_watermarks", False):
            self._pass_held_watermark()
        else:
            self.watermarks.append(watermark)

    def set_processing_time(self, now_ms: int) -> None:
        """The clock moves to `now_ms`; timers that are due fire."""
        self.now_ms = now_ms
        for service in self._services:
            self._emit(service.advance_processing_time(now_ms))

    def drain(self) -> None:
        """Collects what asynchronous calls have finished."""
        wakes = None
        while wakes != self._wakes:
            wakes = self._wakes
            self._emit(self.operator.drain())
            self._pass_held_watermark()

    def end_input(self) -> None:
        """The last watermark, then the operator finishes."""
        self.process_watermark(MAX_LONG_VALUE)
        self._emit(self.operator.finish())

    # -- outputs ---------------------------------------------------------------------------------

    @property
    def values(self) -> list[Any]:
        """What was emitted, without timestamps."""
        return [value for value, _ in self.output]

    def side_output(self, tag: OutputTag) -> list[Any]:
        """What was emitted to a side output, without timestamps."""
        return [value for value, _ in self.side_outputs.get(tag.tag_id, [])]

    def take_output(self) -> list[tuple[Any, int]]:
        """What was emitted since the last time."""
        taken, self.output = self.output, []
        return taken

    # -- inside ----------------------------------------------------------------------------------

    def _clock(self) -> int:
        return self.now_ms

    def _wake(self) -> None:
        self._wakes += 1

    def _make_timers(self, name: str, on_event_time: Any, on_processing_time: Any) -> TimerService:
        service = TimerService(name, on_event_time, on_processing_time, self.backend, self._clock)
        for snapshot in self._restored:
            groups = snapshot.timers.get(name, {})
            service.restore(group for number, group in groups.items() if number in self.backend.key_group_range)
        if not self._context.batch_mode:
            self.backend.keep_timers(service)
        self._services.append(service)
        return service

    def _process(self, index: int, process: Callable[[Any, int], Any], value: Any, timestamp: int) -> None:
        key_of = self._key_selectors[index]
        if key_of is not None:
            self.backend.current_key = freeze_key(key_of(value))
        results = process(value, timestamp)
        if results is not None:
            self._emit(results if self.operator.emits_timestamps else ((result, timestamp) for result in results))

    def _emit(self, results: Iterable[tuple[Any, int]] | None) -> None:
        for value, timestamp in results or ():
            if self.operator.may_side_output and isinstance(value, tuple) and isinstance(value[0], OutputTag):
                self.side_outputs.setdefault(value[0].tag_id, []).append((value[1], timestamp))
            else:
                self.output.append((value, timestamp))

    def _pass_held_watermark(self) -> None:
        watermark = getattr(self.operator, "output_watermark", NO_TIMESTAMP)
        if watermark > (self.watermarks[-1] if self.watermarks else NO_TIMESTAMP):
            self.watermarks.append(watermark)


def _kind(function: Any) -> str:
    if isinstance(function, CoMapFunction):
        return "map"
    if isinstance(function, CoFlatMapFunction):
        return "flat_map"
    if isinstance(function, (CoProcessFunction, KeyedCoProcessFunction)):
        return "process"
    if isinstance(function, (BroadcastProcessFunction, KeyedBroadcastProcessFunction)):
        return "broadcast_process"
    raise ConfigurationError(
        f"{type(function).__name__} is neither a process function nor a function of connected streams. "
        "Call the methods of plain functions directly."
    )

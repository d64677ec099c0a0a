"""The operator contract: what a task asks of an operator that the chain compiler does not write inline.

A task runs one chain on one thread. The generated loop of the chain calls `process` for each record (after setting
`backend.current_key` on keyed inputs); everything that happens between records (watermarks, timers, the end of
input, snapshots) goes through the other methods, and what those return is pushed through the rest of the chain.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE

if TYPE_CHECKING:
    from penstock.runtime._timers import TimerService
    from penstock.runtime.state import KeyedStateBackend

__all__ = ["MAX_WATERMARK", "NO_TIMESTAMP", "InContext", "Operator", "OperatorContext", "Timed"]

NO_TIMESTAMP = MIN_LONG_VALUE
"""The timestamp of a record that has none, and the watermark before the first."""

MAX_WATERMARK = MAX_LONG_VALUE
"""The watermark that says no record will follow."""

Timed = tuple[Any, int]
"""A result outside `process`: (value, timestamp). A value that is an (OutputTag, value) pair goes to that side output."""


class InContext:
    """A `process` that sets the context's timestamp and calls `function(value, context)`; the compiler writes it inline.

    Attributes:
        function: a user's method.
        context: what it is given, with a `record_timestamp`.
    """

    __slots__ = ("context", "function")

    def __init__(self, function: Callable[[Any, Any], Iterable[Any] | None], context: Any) -> None:
        self.function = function
        self.context = context

    def __call__(self, value: Any, timestamp: int) -> Iterable[Any] | None:
        """One record."""
        self.context.record_timestamp = timestamp
        return self.function(value, self.context)


@dataclass(slots=True)
class OperatorContext:
    """What an operator may know and use; owned by its task's thread.

    Attributes:
        name: the operator's name.
        subtask_index: from 0.
        parallelism: subtasks of this operator.
        max_parallelism: key groups.
        runtime_context: the RuntimeContext handed to user functions' `open`.
        now_ms: the clock, epoch ms.
        backend: keyed state, None on inputs that are not keyed.
        timers: creates a timer service: `timers(name, on_event_time, on_processing_time)`; the callbacks take
            (timestamp, key, namespace), run with `backend.current_key` set to the key, and return Timed results or None.
        batch_mode: True in RuntimeExecutionMode.BATCH.
        wake: callable from any thread: asks the task to call `drain` (asynchronous operators).
        counter: creates or finds a counter metric by name: an object with `inc(n=1)`.
    """

    name: str
    subtask_index: int
    parallelism: int
    max_parallelism: int
    runtime_context: Any
    now_ms: Callable[[], int]
    backend: KeyedStateBackend | None
    timers: Callable[..., TimerService]
    batch_mode: bool = False
    wake: Callable[[], None] = lambda: None
    counter: Callable[[str], Any] = field(default=lambda name: None)


class Operator(ABC):  # noqa: B024 - every method has a default, none makes sense alone
    """One subtask's instance of an operator. Created and used by its task's thread only.

    Attributes:
        emits_timestamps: False: results of `process` take the input record's timestamp; True: they are `Timed` pairs.
        may_side_output: whether results may be (OutputTag, value) pairs; the compiler leaves the check out otherwise.
        broadcasts_state: whether every subtask has the same `snapshot`, so that on recovery each gets a whole one.
        takes_batches: whether `process_batch(values, timestamps, keys)` replaces `process` where the operator heads its chain.
        busy: True while a further record must not be given (an asynchronous operator at its capacity).
        holds_watermarks: True: watermarks leave when `output_watermark` rises, not when they arrive.
        output_watermark: the last watermark that may leave, of an operator that holds them.
    """

    emits_timestamps: bool = False
    may_side_output: bool = False
    broadcasts_state: bool = False
    takes_batches: bool = False
    busy: bool = False
    holds_watermarks: bool = False
    output_watermark: int = NO_TIMESTAMP

    def open(self, context: OperatorContext) -> None:
        """Before the first record, after state was restored: loads the user function and calls its `open`."""

    def process(self, value: Any, timestamp: int) -> Iterable[Any] | None:
        """One record of the first input; results may be lazy, and are consumed before the next call."""
        raise NotImplementedError

    def process2(self, value: Any, timestamp: int) -> Iterable[Any] | None:
        """One record of the second input."""
        raise NotImplementedError

    def advance_watermark(self, watermark: int) -> Iterable[Timed]:
        """The input watermark rose, event-time timers have fired already: results that precede the watermark."""
        return ()

    def drain(self) -> Iterable[Timed]:
        """After `context.wake()`: results that became ready."""
        return ()

    def finish(self) -> Iterable[Timed]:
        """The inputs ended, after the final watermark. May be called again while `busy` (waiting for asynchronous results)."""
        return ()

    def snapshot(self) -> Any:
        """Operator state beside keyed state and timers: picklable, or None. Called between records."""
        return None

    def restore(self, states: list[Any]) -> None:
        """Before `open`: the snapshots dealt to this subtask (several after a change of parallelism)."""

    def close(self) -> None:
        """Once at the end, also after a failure: calls the user function's `close`."""

"""The contexts of triggers and window assigners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.datastream.window import Trigger, WindowAssigner
from penstock.errors import JobError

if TYPE_CHECKING:
    from penstock.metrics import MetricGroup
    from penstock.runtime._timers import TimerService
    from penstock.runtime.operators.base import OperatorContext
    from penstock.runtime.state import KeyedStateBackend

__all__ = ["AssignerContext", "StateNotMergeableError", "TriggerContext"]


class StateNotMergeableError(JobError):
    """A trigger wants state merged that cannot be."""


class TriggerContext(Trigger.OnMergeContext):
    """What a trigger may use: state and timers of the current key and window. Owned by the task's thread.

    Attributes:
        window: set with `enter` before each call.
        merged_windows: in `on_merge` the windows that became `window`.
    """

    def __init__(self, context: OperatorContext, backend: KeyedStateBackend, timers: TimerService) -> None:
        self._context = context
        self._backend = backend
        self._timers = timers
        self._states: dict[str, tuple[Any, Any]] = {}
        self.window: Any = None
        self.merged_windows: Sequence[Any] = ()

    def enter(self, window: Any) -> None:
        """From here on state and timers are those of `window`."""
        self.window = window
        self._backend.current_namespace = window

    def get_current_processing_time(self) -> int:
        """The clock, epoch ms."""
        return self._context.now_ms()

    def get_metric_group(self) -> MetricGroup:
        """The operator's metrics."""
        group: MetricGroup = self._context.runtime_context.get_metrics_group()
        return group

    def get_current_watermark(self) -> int:
        """The operator's event time."""
        return self._timers.current_watermark

    def register_processing_time_timer(self, time: int) -> None:
        """Asks for `on_processing_time` at `time`, epoch ms."""
        self._timers.register_processing_time_timer(time, self.window)

    def register_event_time_timer(self, time: int) -> None:
        """Asks for `on_event_time` when the watermark reaches `time`, epoch ms."""
        self._timers.register_event_time_timer(time, self.window)

    def delete_processing_time_timer(self, time: int) -> None:
        """Takes a registration back."""
        self._timers.delete_processing_time_timer(time, self.window)

    def delete_event_time_timer(self, time: int) -> None:
        """Takes a registration back."""
        self._timers.delete_event_time_timer(time, self.window)

    def get_partitioned_state(self, state_descriptor: Any) -> Any:
        """State of the current key and window."""
        name = state_descriptor.get_name()
        known = self._states.get(name)
        if known is not None and known[0] is state_descriptor:
            return known[1]  # triggers ask for their state with every element
        state = self._backend.state(state_descriptor, windowed=True)
        self._states[name] = state_descriptor, state
        return state

    def merge_partitioned_state(self, state_descriptor: Any) -> None:
        """In `on_merge`: moves the state of the merged windows to that of the new one."""
        if not self.merged_windows:
            return
        state = self.get_partitioned_state(state_descriptor)
        merge = getattr(state, "merge_namespaces", None)
        if merge is None:
            raise StateNotMergeableError(
                "The given state descriptor does not refer to a mergeable state (MergingState): "
                f"{state_descriptor.get_name()!r} is a {type(state_descriptor).__name__}. Triggers of merging windows "
                "keep list, reducing or aggregating state."
            )
        merge(self.window, list(self.merged_windows))


class AssignerContext(WindowAssigner.WindowAssignerContext):
    """What an assigner may use. Owned by the task's thread."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    def get_current_processing_time(self) -> int:
        """The clock, epoch ms."""
        return self._context.now_ms()

    def get_runtime_context(self) -> Any:
        """The operator's runtime context."""
        return self._context.runtime_context

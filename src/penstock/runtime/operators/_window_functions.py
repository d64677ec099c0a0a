"""Window functions as the operators call them: one shape for the four kinds, and their contexts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from penstock.datastream.functions import (
    KeyedStateStore,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
)
from penstock.errors import JobError
from penstock.runtime.operators._function import close_function, open_function

if TYPE_CHECKING:
    from penstock.datastream._transformations import WindowSpec
    from penstock.runtime.operators._window_contents import Aggregation
    from penstock.runtime.operators.base import OperatorContext
    from penstock.runtime.state import KeyedStateBackend

__all__ = ["MergingWindowStateError", "WindowContext", "WindowFunctionCaller", "has_window_function"]


def has_window_function(spec: WindowSpec) -> bool:
    """Whether results come from a window function, which may send them to side outputs."""
    return spec.kind in ("apply", "process") or spec.window_function is not None


class MergingWindowStateError(JobError):
    """State of a window was asked for where windows merge."""


class _WindowState(KeyedStateStore):
    """State of the current key and window. Owned by the task's thread."""

    def __init__(self, backend: KeyedStateBackend) -> None:
        self._backend = backend

    def _state(self, descriptor: Any) -> Any:
        return self._backend.state(descriptor, windowed=True)

    def get_state(self, state_descriptor: Any) -> Any:
        """One value."""
        return self._state(state_descriptor)

    def get_list_state(self, state_descriptor: Any) -> Any:
        """A list."""
        return self._state(state_descriptor)

    def get_map_state(self, state_descriptor: Any) -> Any:
        """A map."""
        return self._state(state_descriptor)

    def get_reducing_state(self, state_descriptor: Any) -> Any:
        """One value, made by reducing what is added."""
        return self._state(state_descriptor)

    def get_aggregating_state(self, state_descriptor: Any) -> Any:
        """One accumulator, made by aggregating what is added."""
        return self._state(state_descriptor)


class _NoWindowState(_WindowState):
    """Refuses, because the windows of merged sessions come and go."""

    def _state(self, descriptor: Any) -> Any:
        # The text is PyFlink's: programs match on it.
        raise MergingWindowStateError("Per-window state is not allowed when using merging windows.")


class WindowContext(ProcessWindowFunction.Context[Any], ProcessAllWindowFunction.Context[Any]):
    """The context of window functions. Owned by the task's thread.

    Attributes:
        current_window: set before each call.
    """

    def __init__(self, context: OperatorContext, watermark: Callable[[], int], window_state: KeyedStateStore) -> None:
        self.current_window: Any = None
        self._now_ms = context.now_ms
        self._watermark = watermark
        self._window_state = window_state
        self._global_state: KeyedStateStore = context.runtime_context

    def window(self) -> Any:
        """The window."""
        return self.current_window

    def current_processing_time(self) -> int:
        """The clock, epoch ms."""
        return self._now_ms()

    def current_watermark(self) -> int:
        """The operator's event time."""
        return self._watermark()

    def window_state(self) -> KeyedStateStore:
        """State of this key and window."""
        return self._window_state

    def global_state(self) -> KeyedStateStore:
        """State of this key across windows."""
        return self._global_state


class WindowFunctionCaller:
    """Calls the user's window function, if there is one, with what it expects. Owned by the task's thread.

    Attributes:
        function: the window function, None when the contents are the result.
        clears: whether the function has a `clear` of its own, to be called for each key of a window that is over.
        evaluate: (user key, window, contents) -> results. `backend.current_key` and, where windows do not merge,
            `backend.current_namespace` must be set.
    """

    def __init__(
        self,
        spec: WindowSpec,
        context: OperatorContext,
        backend: KeyedStateBackend,
        aggregation: Aggregation | None,
        watermark: Callable[[], int],
        merging: bool,
    ) -> None:
        if aggregation is None:
            self.function = spec.function.load()
        else:
            self.function = None if spec.window_function is None else spec.window_function.load()
        self._context = WindowContext(context, watermark, (_NoWindowState if merging else _WindowState)(backend))
        self._aggregated = aggregation is not None
        self._opens = [self.function] if aggregation is None else [aggregation.function, self.function]
        self._runtime_context = context.runtime_context
        self._opened: list[Any] = []
        inherited = (ProcessWindowFunction.clear, ProcessAllWindowFunction.clear)
        self.clears = getattr(type(self.function), "clear", inherited[0]) not in inherited
        self.evaluate = self._evaluator(spec.all_windows)

    def open(self) -> None:
        """Opens the functions, once everything they may ask for is there."""
        for function in self._opens:
            if function is not None:
                open_function(function, self._runtime_context)
                self._opened.append(function)

    def close(self) -> None:
        """Closes those that were opened."""
        while self._opened:
            close_function(self._opened.pop())

    def clear(self, window: Any) -> None:
        """Tells the function that a window of the current key is over."""
        if self.clears:
            self._context.current_window = window
            self.function.clear(self._context)

    def _evaluator(self, all_windows: bool) -> Callable[[Any, Any, Any], Iterable[Any]]:
        function, ctx = self.function, self._context
        if function is None:
            return lambda _key, _window, contents: (contents,)
        elements = _single if self._aggregated else _as_they_are
        if isinstance(function, ProcessWindowFunction | ProcessAllWindowFunction):
            process: Callable[..., Iterable[Any]] = function.process

            def process_keyed(key: Any, window: Any, contents: Any) -> Any:
                ctx.current_window = window
                return process(key, ctx, elements(contents))

            def process_all(_key: Any, window: Any, contents: Any) -> Any:
                ctx.current_window = window
                return process(ctx, elements(contents))

            return process_all if all_windows else process_keyed
        apply = function.apply
        if all_windows:
            return lambda _key, window, contents: apply(window, elements(contents))
        return lambda key, window, contents: apply(key, window, elements(contents))


def _single(contents: Any) -> Any:
    return [contents]


def _as_they_are(contents: Any) -> Any:
    return contents

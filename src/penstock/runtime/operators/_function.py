"""User functions in operators: loading, `open`, `close`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from penstock.errors import InvariantError
from penstock.runtime.operators.base import Operator, OperatorContext

if TYPE_CHECKING:
    from penstock.datastream._transformations import UserFunction
    from penstock.runtime.state import KeyedStateBackend

__all__ = ["FunctionOperator", "Process", "close_function", "keyed_backend", "open_function"]

Process = Callable[[Any, int], Iterable[Any] | None]
"""The type of `Operator.process`."""


def open_function(function: Any, runtime_context: Any) -> None:
    """Calls `open` where the function has it: a plain callable does not."""
    opens = getattr(function, "open", None)
    if opens is not None:
        opens(runtime_context)


def close_function(function: Any) -> None:
    """Calls `close` where the function has it."""
    closes = getattr(function, "close", None)
    if closes is not None:
        closes()


class FunctionOperator(Operator):
    """An operator around one user function. Owned by the task's thread.

    Subclasses say in `_prepare`, after the function was loaded and before its `open`, what handles records.

    Attributes:
        function: the loaded user function, None before `open`.
    """

    may_side_output = True

    def __init__(self, function: UserFunction) -> None:
        self._function = function
        self.function: Any = None

    def open(self, context: OperatorContext) -> None:
        """Loads and opens the function."""
        function = self._function.load()
        self._prepare(function, context)
        open_function(function, context.runtime_context)
        self.function = function

    def _prepare(self, function: Any, context: OperatorContext) -> None:
        raise NotImplementedError

    def _handle_with(self, process: Process, process2: Process | None = None) -> None:
        """Makes functions the operator's `process` and `process2`: closures over what they need, not methods.

        That saves a look-up or two for each record.
        """
        vars(self)["process"] = process
        if process2 is not None:
            vars(self)["process2"] = process2

    def close(self) -> None:
        """Closes the function if it was opened."""
        function, self.function = self.function, None
        if function is not None:
            close_function(function)


def keyed_backend(context: OperatorContext) -> KeyedStateBackend:
    """The keyed state of an operator that cannot do without."""
    if context.backend is None:
        raise InvariantError(f"{context.name} runs on a keyed stream and was given no keyed state backend")
    return context.backend

"""The error tree: everything that is the world's fault is a `PenstockError`, everything that is ours an `InvariantError`.

The command line turns a `PenstockError` into one message and its `exit_code`; nothing else may reach a user as a
bare traceback. Packages define their own errors below these classes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ConfigurationError", "InvariantError", "JobError", "PenstockError", "UnsupportedFeatureError"]


class _Root(Exception):
    """Lets `penstock.compat` put py4j's error in its place: Python changes the bases of a class only for like ones."""


class PenstockError(_Root):
    """Base of all errors meant for users: a message that says what, where, why and what to do.

    Errors survive pickling with all their fields, so that they can cross a process boundary.
    """

    exit_code = 1

    def __init__(self, *args: object) -> None:
        Exception.__init__(self, *args)

    def __str__(self) -> str:
        return Exception.__str__(self)

    @property
    def java_exception(self) -> JavaThrowable:
        """The error as programs written for PyFlink look into it."""
        return JavaThrowable(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


class ConfigurationError(PenstockError):
    """A configuration or usage that cannot work; the command line exits with 2."""

    exit_code = 2


class JobError(PenstockError):
    """A job that failed while it ran; the command line exits with 1."""


class UnsupportedFeatureError(PenstockError, NotImplementedError):
    """A part of PyFlink's API that needs Java, or that Penstock does not offer: names it, says why, and what to use."""

    exit_code = 2


class InvariantError(RuntimeError):
    """A broken promise of Penstock's own code. Never caught, never a user's fault."""


class JavaThrowable:
    """An error under the names of Java's `Throwable`, which PyFlink's errors carry."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def getMessage(self) -> str:
        """The message."""
        return str(self._error)

    def toString(self) -> str:
        """The class and the message."""
        return f"{type(self._error).__name__}: {self._error}"

    def getCause(self) -> JavaThrowable | None:
        """What caused it, or None."""
        return None if self._error.__cause__ is None else JavaThrowable(self._error.__cause__)

    def __str__(self) -> str:
        return self.toString()


def _rebuild(kind: type[PenstockError], args: tuple[Any, ...], fields: dict[str, Any]) -> PenstockError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error

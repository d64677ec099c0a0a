"""What is raised when the heap's limit is passed, and the recipe that turns it into one failed task.

`HeapLimitError` reaches the thread that passed the limit at its next bytecode; `HeapOverrun` follows where it was
caught and the heap stayed over the limit. Both carry no text of their own (they are made inside the allocator's slow
path), they ask the guard when printed.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType

from penstock.errors import JobError

__all__ = ["HeapFailure", "HeapLimitError", "HeapOverrun", "TaskHeapError"]

FRAMES_SHOWN = 6
_CHAIN_LIMIT = 20

_describe: Callable[[], str] | None = None


class HeapLimitError(MemoryError):
    """The heap passed its limit: raised in the thread that took the memory, at its next bytecode boundary.

    An ordinary MemoryError for programs that can do with less; the memory they drop is theirs to use again.
    """

    def __str__(self) -> str:
        return _text(self)

    def __reduce__(self) -> tuple[type[BaseException], tuple[str]]:
        return type(self), (_text(self),)  # another process has another guard


class HeapOverrun(BaseException):
    """MemoryError was caught and the heap stayed over its limit: ends the task past any `except Exception`."""

    def __str__(self) -> str:
        return _text(self)

    def __reduce__(self) -> tuple[type[BaseException], tuple[str]]:
        return type(self), (_text(self),)  # another process has another guard


@dataclass(frozen=True, slots=True)
class HeapFailure:
    """One failure of a task by the heap's limit.

    Attributes:
        task: the task that took the memory, "" where none was named.
        cause: the exception's class name.
        message: what happened, with all numbers, and the option to change.
        frames: the last few frames, innermost last, as "file:line in function".
        used_bytes: what the heap held.
        line_bytes: what tasks may use it up to.
        limit_bytes: its limit, the reserve included.
        request_bytes: the request that passed it.
        task_bytes: the most the task held of what it took itself; 0 where tasks are not metered.
        freed_bytes: what came back when the task's frames were dropped.
        report: the file that tells what the heap held, "" where none was written.
    """

    task: str
    cause: str
    message: str
    frames: tuple[str, ...]
    used_bytes: int
    line_bytes: int
    limit_bytes: int
    request_bytes: int
    task_bytes: int
    freed_bytes: int
    report: str = ""


class TaskHeapError(JobError):
    """A task failed because it passed the heap's limit.

    Attributes:
        failure: the numbers.
    """

    def __init__(self, failure: HeapFailure) -> None:
        where = "".join(f"\n  {frame}" for frame in failure.frames)
        report = f"\nReport: {failure.report}" if failure.report else ""
        super().__init__(failure.message + (f"\nLast frames:{where}" if where else "") + report)
        self.failure = failure


def describe_with(describe: Callable[[], str] | None) -> None:
    """Sets where the exceptions get their text: the guard's account of the calling thread's last incident."""
    global _describe
    _describe = describe


def tell_when_raised(on_raise: Callable[[BaseException], None]) -> None:
    """Has `on_raise` called with each exception in the thread that gets it, before any handler sees it.

    It runs over the limit: it marks the thread exempt first. Without it the exceptions have no `__init__` in Python,
    whose first instruction would be one more place for the next exception to strike.
    """

    def __init__(self: BaseException, *args: object) -> None:
        if not args:
            on_raise(self)

    HeapLimitError.__init__ = __init__  # type: ignore[method-assign] # for this process, on purpose
    HeapOverrun.__init__ = __init__  # type: ignore[method-assign] # likewise


def _text(error: BaseException) -> str:
    if error.args or _describe is None:
        return BaseException.__str__(error) or "the heap passed its limit"
    report = getattr(error, "report", "")
    return f"{_describe()} Report: {report}" if report else _describe()


def drop_frames(error: BaseException) -> tuple[str, ...]:
    """Takes the tracebacks off an exception and empties their frames, so that what the frames held is free.

    Formats nothing before that is done: a traceback keeps every local variable of every frame alive.

    Args:
        error: what was caught. Its causes and contexts are emptied too.

    Returns:
        The last frames of `error`, as text, innermost last.
    """
    frames: tuple[str, ...] = ()
    chained: BaseException | None = error
    for _ in range(_CHAIN_LIMIT):
        if chained is None:
            break
        last: collections.deque[tuple[CodeType, int]] = collections.deque(maxlen=FRAMES_SHOWN)
        for entry in _entries(chained.__traceback__):
            last.append((entry.tb_frame.f_code, entry.tb_lineno))
            _clear(entry)
        chained.__traceback__ = None
        if last and (chained is error or isinstance(chained, (MemoryError, HeapOverrun, SystemError))):
            # The first of several is the failure; the others struck while it was on its way up.
            frames = tuple(f"{code.co_filename}:{line} in {code.co_name}" for code, line in last)
        chained = chained.__cause__ or chained.__context__
    return frames


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _clear(entry: TracebackType) -> None:
    try:
        entry.tb_frame.clear()
    except RuntimeError:
        return  # still executing: the runtime's own frames, which hold nothing of the task

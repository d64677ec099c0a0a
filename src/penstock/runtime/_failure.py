"""From an exception in user code to the error a user sees: the operator, the record, and their own traceback.

Frames of the runtime and of generated chains are left out; what remains is the user's code and the libraries it
called.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import penstock
from penstock.errors import ConfigurationError, InvariantError, JobError

__all__ = ["CHAIN_FILE_PREFIX", "RecordFailure", "UserFunctionError", "describe_record", "job_failure"]

CHAIN_FILE_PREFIX = "<penstock chain "
RECORD_TEXT_MAX = 500
_PACKAGE = str(Path(penstock.__file__).parent)


class RecordFailure(Exception):
    """User code failed on a record: carries both on their way to the job's error."""

    def __init__(self, operator: str, record: Any, cause: BaseException) -> None:
        super().__init__(operator)
        self.operator = operator
        self.record = record
        self.cause = cause


class UserFunctionError(JobError):
    """A user function raised.

    Attributes:
        operator: the operator's name.
        subtask: the subtask, as in Flink's logs: `Map (1/2)#0`.
        record: the record's repr, at most 500 characters, or None where no record was at hand.
        user_traceback: the user's part of the traceback.
    """

    def __init__(self, operator: str, subtask: str, record: str | None, user_traceback: str) -> None:
        self.operator = operator
        self.subtask = subtask
        self.record = record
        self.user_traceback = user_traceback
        at = f" while processing the record {record}" if record is not None else ""
        super().__init__(f"Operator '{operator}' failed in subtask '{subtask}'{at}:\n\n{user_traceback.rstrip()}")

    @classmethod
    def of(cls, operator: str, subtask: str, record: str | None, error: BaseException) -> UserFunctionError:
        """Builds the error from the exception a user function raised."""
        return cls(operator, subtask, record, format_user_traceback(error))


def describe_record(record: Any) -> str:
    """A bounded repr; a repr that fails is said so."""
    try:
        text = repr(record)
    except Exception as error:
        return f"<{type(record).__name__} whose repr failed: {type(error).__name__}>"
    return text if len(text) <= RECORD_TEXT_MAX else f"{text[:RECORD_TEXT_MAX]}… ({len(text)} characters)"


def format_user_traceback(error: BaseException) -> str:
    """The traceback without Penstock's frames, causes included."""
    report = traceback.TracebackException.from_exception(error, compact=True)
    _strip(report)
    return "".join(report.format())


def _strip(report: traceback.TracebackException) -> None:
    report.stack = traceback.StackSummary.from_list([frame for frame in report.stack if not _is_ours(frame.filename)])
    for below in (report.__cause__, report.__context__):
        if below is not None:
            _strip(below)


def _is_ours(filename: str) -> bool:
    return filename.startswith((CHAIN_FILE_PREFIX, _PACKAGE))


def chain_frame(trace: TracebackType | None) -> tuple[str, int, dict[str, Any]] | None:
    """The innermost frame of a generated chain in a traceback: (file name, line, locals)."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(CHAIN_FILE_PREFIX):
            found = (trace.tb_frame.f_code.co_filename, trace.tb_lineno, trace.tb_frame.f_locals)
        trace = trace.tb_next
    return found


def job_failure(
    error: BaseException, locate: Callable[[str, int], tuple[str, str] | None], subtask: str, head: str
) -> BaseException:
    """What a job fails with: the operator and record of a user error; other errors as they are.

    Args:
        error: what was raised in a chain.
        locate: for a line of generated source, the operator and the variable that holds the record.
        subtask: the subtask's name.
        head: the name of the chain's first operator, where nothing better is known.
    """
    if isinstance(error, (UserFunctionError, MemoryError, InvariantError, ConfigurationError)):
        return error
    if isinstance(error, RecordFailure):
        return UserFunctionError.of(error.operator, subtask, describe_record(error.record), error.cause)
    found = chain_frame(error.__traceback__)
    if found is not None:
        filename, line, variables = found
        where = locate(filename, line)
        if where is not None:
            operator, variable = where
            record = describe_record(variables[variable]) if variable in variables else None
            return UserFunctionError.of(operator, subtask, record, error)
    return UserFunctionError.of(head, subtask, None, error)

"""Ready-made retry predicates (`pyflink.datastream.async_retry_predicates`)."""

from __future__ import annotations

from typing import Any

__all__ = ["empty_result_predicate", "exception_type_predicate", "has_exception_predicate"]


def empty_result_predicate(result: list[Any] | None) -> bool:
    """True for no result or an empty list."""
    return not result


def has_exception_predicate(error: BaseException | None) -> bool:
    """True for any exception."""
    return error is not None


def exception_type_predicate(
    error: BaseException | None, expected_error_type: type[BaseException] | tuple[type[BaseException], ...]
) -> bool:
    """True for exceptions of the type; use it in a lambda or partial that gives the type."""
    return isinstance(error, expected_error_type)

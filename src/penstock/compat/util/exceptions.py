"""PyFlink's exceptions (`pyflink.util.exceptions`), for programs that catch them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.errors import PenstockError

__all__ = [
    "CatalogException",
    "DatabaseAlreadyExistException",
    "DatabaseNotEmptyException",
    "DatabaseNotExistException",
    "FunctionAlreadyExistException",
    "FunctionNotExistException",
    "JavaException",
    "ModelAlreadyExistException",
    "ModelNotExistException",
    "PartitionAlreadyExistsException",
    "PartitionNotExistException",
    "PartitionSpecInvalidException",
    "TableAlreadyExistException",
    "TableException",
    "TableNotExistException",
    "TableNotPartitionedException",
    "capture_java_exception",
    "convert_py4j_exception",
]

JavaException = PenstockError
"""Programs that catch PyFlink's error catch Penstock's."""


def convert_py4j_exception(error: BaseException) -> BaseException:
    """The error itself: there is none of Java's to be converted."""
    return error


def capture_java_exception(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself: its errors are Python's."""
    return function


class TableException(JavaException):
    """PyFlink's error of the Table API; Penstock never raises it."""


class CatalogException(JavaException):
    """PyFlink's error of catalogs; Penstock never raises it, nor those below."""


class DatabaseAlreadyExistException(JavaException):
    """A database of a catalog exists."""


class DatabaseNotEmptyException(JavaException):
    """A database of a catalog is not empty."""


class DatabaseNotExistException(JavaException):
    """A database of a catalog does not exist."""


class FunctionAlreadyExistException(JavaException):
    """A function of a catalog exists."""


class FunctionNotExistException(JavaException):
    """A function of a catalog does not exist."""


class ModelAlreadyExistException(JavaException):
    """A model of a catalog exists."""


class ModelNotExistException(JavaException):
    """A model of a catalog does not exist."""


class PartitionAlreadyExistsException(JavaException):
    """A partition of a table exists."""


class PartitionNotExistException(JavaException):
    """A partition of a table does not exist."""


class PartitionSpecInvalidException(JavaException):
    """A partition does not fit its table."""


class TableAlreadyExistException(JavaException):
    """A table of a catalog exists."""


class TableNotExistException(JavaException):
    """A table of a catalog does not exist."""


class TableNotPartitionedException(JavaException):
    """A table has no partitions."""

"""The functions Penstock itself puts into programs; importable by name, so that they pickle small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from penstock.common.types import Row

__all__ = ["KeyWithElement", "Projection", "identity"]


def identity(value: Any) -> Any:
    """The value itself."""
    return value


class Projection:
    """Some fields of a tuple."""

    __slots__ = ("_indexes",)

    def __init__(self, indexes: Sequence[int]) -> None:
        self._indexes = tuple(indexes)

    def __call__(self, value: Any) -> tuple[Any, ...]:
        return tuple([value[index] for index in self._indexes])


class KeyWithElement:
    """`Row(key, element)`, as a keyed stream shows itself where it is collected."""

    __slots__ = ("_key_of",)

    def __init__(self, key_of: Callable[[Any], Any]) -> None:
        self._key_of = key_of

    def __call__(self, value: Any) -> Row:
        return Row(self._key_of(value), value)

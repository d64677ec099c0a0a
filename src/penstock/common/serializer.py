"""Serializers of window types (`pyflink.common.serializer`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import BytesIO
from typing import Generic, TypeVar

__all__ = ["TypeSerializer", "VoidNamespaceSerializer"]

T = TypeVar("T")


class TypeSerializer(ABC, Generic[T]):
    """Writes values to a byte stream and reads them back. Serializers of one class are equal."""

    @abstractmethod
    def serialize(self, element: T, stream: BytesIO) -> None:
        """Writes `element`."""

    @abstractmethod
    def deserialize(self, stream: BytesIO) -> T:
        """Reads one element."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == getattr(other, "__dict__", None)

    def __hash__(self) -> int:
        return hash(type(self).__name__)

    def __repr__(self) -> str:
        return type(self).__name__


class VoidNamespaceSerializer(TypeSerializer[bytes]):
    """For state that belongs to no window: nothing is written."""

    def serialize(self, element: bytes, stream: BytesIO) -> None:
        """Writes nothing."""

    def deserialize(self, stream: BytesIO) -> bytes:
        """The empty bytes."""
        return b""

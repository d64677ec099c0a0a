"""Writers of whole files in a format of their own, such as Parquet (Flink's `BulkWriter`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol

__all__ = ["BulkWriter", "CreatesBulkWriters"]


class BulkWriter(ABC):
    """Writes elements to one file. Owned by the task thread."""

    @abstractmethod
    def add_elements(self, elements: Sequence[Any]) -> None:
        """Takes elements; they may be held back until `flush` or `finish`."""

    @abstractmethod
    def flush(self) -> None:
        """Writes to the stream what the format allows to write by now."""

    @abstractmethod
    def finish(self) -> None:
        """Writes the rest, such as a footer; the stream is closed by the caller."""


class CreatesBulkWriters(Protocol):
    """What `FileSink.for_bulk_format` asks of a BulkWriterFactory."""

    def create(self, stream: BinaryIO) -> BulkWriter:
        """A writer to a file just created."""

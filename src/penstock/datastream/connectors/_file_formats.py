"""What a file source reads its files with: formats, and the splits they read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, BinaryIO

from penstock.common.typeinfo import TypeInformation, Types
from penstock.datastream.connectors._text_lines import LineBlocks, line_blocks, line_start, splits_lines_by_byte

__all__ = ["BulkFormat", "FileFormat", "FileRecords", "FileSplit", "StreamFormat", "TextLineFormat"]


@dataclass(frozen=True, slots=True)
class FileSplit:
    """A file or a byte range of one, with the position of its reader.

    Attributes:
        path: absolute for local files, else the URL.
        size_bytes: the file's length when it was found.
        start: first byte of the range; what starts before it belongs to the split before.
        end: end of the range, None for the end of the file, whatever its length is by then.
        offset: where reading goes on, in the unit of the format (bytes or records); None before the first read.
        skip: records from `offset` on that have been read already.
    """

    path: str
    size_bytes: int
    start: int = 0
    end: int | None = None
    offset: int | None = None
    skip: int = 0


class FileRecords(ABC):
    """The records of one split, batch by batch. Owned by the thread that reads it.

    Attributes:
        offset: where reading can start again to come to the batch returned last, in the unit of the format.
        before: how many records there are from `offset` to that batch.
        done_fraction: how much is read, from 0 to 1; None where the position in the file shows it.
    """

    offset: int = 0
    before: int = 0
    done_fraction: float | None = None

    @abstractmethod
    def next_batch(self) -> list[Any]:
        """The next records, in one block's number; empty at the end. May block on the file."""

    def close(self) -> None:
        """Releases what the format itself holds; the file is closed by the reader."""


class FileFormat(ABC):
    """Turns the bytes of files into records. Picklable, holds no resources."""

    @property
    @abstractmethod
    def produced_type(self) -> TypeInformation | None:
        """The type of the records, None for untyped."""

    @property
    def splittable(self) -> bool:
        """Whether ranges of one file can be read by different readers."""
        return False

    @property
    def decompresses(self) -> bool:
        """Whether files are decompressed by suffix before the format sees them."""
        return True

    @abstractmethod
    def open(self, file: BinaryIO, split: FileSplit, seekable: bool) -> FileRecords:
        """Starts reading at the split's position.

        Args:
            file: at its start, decompressed where `decompresses`.
            split: which part, and from where; its `skip` is the caller's business.
            seekable: whether `file` can be positioned cheaply.
        """


class StreamFormat(FileFormat):
    """Reads records one after the other from a stream (`pyflink.datastream.connectors.file_system.StreamFormat`)."""

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> StreamFormat:
        """Lines of text without their ends, as STRING.

        Raises:
            ConfigurationError: if the charset is unknown.
        """
        return TextLineFormat(charset_name)


class BulkFormat(FileFormat):
    """Reads and decodes records in bulk, such as columnar files; no decompression by suffix."""

    @property
    def decompresses(self) -> bool:
        """False: such formats compress inside."""
        return False


class TextLineFormat(StreamFormat):
    """Lines of text (Flink's `TextLineInputFormat`)."""

    def __init__(self, charset: str) -> None:
        self._charset = charset
        self._by_byte = splits_lines_by_byte(charset)

    @property
    def produced_type(self) -> TypeInformation:
        """STRING."""
        return Types.STRING()

    @property
    def splittable(self) -> bool:
        """True where line ends can be found without decoding what is before them. Flink never splits text files."""
        return self._by_byte

    def open(self, file: BinaryIO, split: FileSplit, seekable: bool) -> FileRecords:
        """Reads the lines that start in the split's range."""
        start, end = split.offset, split.end
        if start is None:
            start = line_start(file, split.start) if split.start else 0
        if end is not None:
            end = line_start(file, end)
        if seekable:
            file.seek(0)
        return _Lines(line_blocks(file, self._charset, start, end, seekable))


class _Lines(FileRecords):
    def __init__(self, blocks: LineBlocks) -> None:
        self._blocks = blocks
        self.offset = blocks.offset

    def next_batch(self) -> list[str]:
        lines = self._blocks.next_lines()
        self.offset = self._blocks.offset
        return lines

r"""Text files as blocks of lines.

Lines end at `\n`, `\r` or `\r\n`, as `java.io.BufferedReader.readLine` has it (Flink's `TextLineInputFormat`); the
last one may lack its end. In charsets whose line ends are single bytes that occur in no other character, a position is
a byte offset and a file may be split anywhere; in others (UTF-16, UTF-32, ISO-2022, EBCDIC) it is a number of lines,
and the file is read from its start again.
"""

from __future__ import annotations

import codecs
import re
from abc import ABC, abstractmethod
from typing import BinaryIO

from penstock.errors import ConfigurationError

__all__ = ["BLOCK_BYTES", "LineBlocks", "line_blocks", "line_start", "splits_lines_by_byte"]

BLOCK_BYTES = 64 * 1024  # read, decoded and split at once: small enough for caches, and not to be mapped anew each time
_SCAN_BYTES = 16 * 1024
_LINE_END = re.compile(rb"\r\n?|\n")
_BYTE_ORIENTED = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp(125\d|437|720|737|775|85\d|86\d|874|1006|932|936|949|950)"
    r"|koi8-[rtu]|kz1048|mac-\w+|gbk|gb2312|gb18030|big5\w*|shift_jis\w*|euc_\w+|hp-roman8|ptcp154|tis-620"
)
_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # UTF-32-LE starts as UTF-16-LE


def _codec(charset: str) -> str:
    try:
        return codecs.lookup(charset).name
    except LookupError as error:
        raise ConfigurationError(
            f"The charset {charset!r} is not known to Python. Use a name such as UTF-8, ISO-8859-1 or UTF-16."
        ) from error


def splits_lines_by_byte(charset: str) -> bool:
    r"""Whether `\n` and `\r` are single bytes in the charset and part of no other character.

    Raises:
        ConfigurationError: if the charset is unknown.
    """
    return _BYTE_ORIENTED.fullmatch(_codec(charset)) is not None


def line_start(file: BinaryIO, offset: int) -> int:
    """The first position at or after `offset` where a line starts: the end of the file if there is none."""
    if offset <= 0:
        return 0
    file.seek(offset - 1)
    position = offset - 1
    carriage_return = False  # the byte before `position` was a \r, so a \n here belongs to that line end
    while block := file.read(_SCAN_BYTES):
        if carriage_return:
            return position + 1 if block[:1] == b"\n" else position
        match = _LINE_END.search(block)
        if match is not None:
            if match.group() == b"\r" and match.end() == len(block):
                carriage_return = True
            else:
                return position + match.end()
        position += len(block)
    return position


class LineBlocks(ABC):
    """The lines of one file, or of a byte range of it, in blocks. Owned by whoever reads the file.

    Attributes:
        offset: where the next block starts: a byte offset, or a number of lines where the charset does not allow that.
    """

    offset: int

    @abstractmethod
    def next_text(self) -> str | None:
        """The text of the next block of whole lines, line ends included; None at the end of the file."""

    def next_lines(self) -> list[str]:
        """The lines of the next block without their ends; empty at the end of the file."""
        text = self.next_text()
        if text is None:
            return []
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        return lines


def line_blocks(
    file: BinaryIO, charset: str, start: int, end: int | None, seekable: bool, errors: str = "replace"
) -> LineBlocks:
    """Reads the lines of `file`.

    Args:
        file: positioned at its start.
        charset: a name Python knows.
        start: where the first line starts: an `offset` of an earlier LineBlocks, or a split's `line_start`.
        end: where the split's last line ends, None for the end of the file.
        seekable: whether the file can be positioned; otherwise what lies before `start` is read and dropped.
        errors: what becomes of malformed bytes: `replace`, or `strict` to raise UnicodeDecodeError.
    """
    codec = _codec(charset)
    if not splits_lines_by_byte(charset):
        return _DecodedLineBlocks(file, codec, start, errors)
    if start:
        if seekable:
            file.seek(start)
        else:
            _drop(file, start)
    return _ByteLineBlocks(file, codec, start, end, errors)


def _drop(file: BinaryIO, count: int) -> None:
    while count > 0:
        block = file.read(min(count, BLOCK_BYTES))
        if not block:
            return
        count -= len(block)


class _ByteLineBlocks(LineBlocks):
    """Cuts blocks of bytes after their last line end, then decodes them."""

    def __init__(self, file: BinaryIO, codec: str, start: int, end: int | None, errors: str) -> None:
        self.offset = start
        self._errors = errors
        self._file = file
        self._codec = codec
        self._unread_bytes = None if end is None else end - start
        self._rest: list[bytes] = []  # the start of a line whose end is not read yet
        self._last_bytes = 0

    def next_text(self) -> str | None:
        self.offset += self._last_bytes
        self._last_bytes = 0
        while True:
            block = self._read()
            if not block:
                return self._text(b"".join(self._rest), b"") if self._rest else None
            cut = block.rfind(b"\n") + 1
            if not cut:  # a \r at the very end may have its \n in the next block
                cut = block.rfind(b"\r", 0, len(block) - 1) + 1
                if not cut and self._rest and self._rest[-1].endswith(b"\r"):
                    # the rest ended with a \r, and this block shows that it was a line end of its own
                    return self._text(b"".join(self._rest), block)
            if cut:
                self._rest.append(block[:cut])
                return self._text(b"".join(self._rest), block[cut:])
            self._rest.append(block)

    def _read(self) -> bytes:
        if self._unread_bytes is None:
            return self._file.read(BLOCK_BYTES)
        block = self._file.read(min(BLOCK_BYTES, self._unread_bytes)) if self._unread_bytes > 0 else b""
        self._unread_bytes -= len(block)
        return block

    def _text(self, data: bytes, rest: bytes) -> str:
        self._last_bytes = len(data)
        self._rest = [rest] if rest else []
        return data.decode(self._codec, self._errors)


class _DecodedLineBlocks(LineBlocks):
    """Decodes first and cuts then, for charsets where the bytes do not show the line ends."""

    def __init__(self, file: BinaryIO, codec: str, start: int, errors: str) -> None:
        self.offset = 0
        self._errors = errors
        self._file = file
        self._codec = codec
        self._decoder: codecs.IncrementalDecoder | None = None
        self._rest = ""
        self._ended = False
        self._last_lines = 0
        self._skip_lines = start

    def next_text(self) -> str | None:
        while True:
            self.offset += self._last_lines
            self._last_lines = 0
            text = self._whole_lines()
            if text is None:
                return None
            lines = _split_keeping_ends(text)
            self._last_lines = len(lines)
            if not self._skip_lines:
                return text
            if self._skip_lines < len(lines):
                skipped, self._skip_lines = self._skip_lines, 0
                self.offset += skipped
                self._last_lines -= skipped
                return "".join(lines[skipped:])
            self._skip_lines -= len(lines)

    def _whole_lines(self) -> str | None:
        while not self._ended:
            block = self._file.read(BLOCK_BYTES)
            self._ended = not block
            self._rest += self._decode(block)
            cut = len(self._rest) if self._ended else self._last_line_end()
            if cut:
                text, self._rest = self._rest[:cut], self._rest[cut:]
                return text
        return None

    def _last_line_end(self) -> int:
        line_feed = self._rest.rfind("\n") + 1
        return line_feed or self._rest.rfind("\r", 0, len(self._rest) - 1) + 1

    def _decode(self, block: bytes) -> str:
        if self._decoder is None:
            codec = self._codec
            if codec in ("utf-16", "utf-32") and not block.startswith(_BYTE_ORDER_MARKS):
                codec += "-be"  # Java's default without a byte order mark; Python's is the machine's own order
            self._decoder = codecs.getincrementaldecoder(codec)(self._errors)
        return self._decoder.decode(block, final=not block)


def _split_keeping_ends(text: str) -> list[str]:
    return re.findall(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+\Z", text)

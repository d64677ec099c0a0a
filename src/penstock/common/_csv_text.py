r"""CSV records as text, by the rules of the Jackson library that Flink reads and writes CSV with.

Reading: lines end at `\n`, `\r` or `\r\n`, but not inside quotes; a quoted field starts right at its beginning with the
quote character, which is doubled inside; blanks and tabs after the closing quote are dropped, anything else there is an
error. The escape character, where set, takes the next character as it is, and `n`, `r`, `t`, `0` as control characters.

Writing: texts are quoted when they are longer than 24 characters or have a character at or below the separator or the
quote character in code order, or a backslash; numbers never are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

__all__ = ["DEFAULT_DIALECT", "CsvDialect", "CsvSyntaxError", "IncompleteRecordError"]

_LONGEST_UNQUOTED = 24
_LINE_END = re.compile(r"\r\n?|\n")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


class CsvSyntaxError(ValueError):
    """A text that is not CSV of its dialect."""


class IncompleteRecordError(CsvSyntaxError):
    """A record whose closing quote is missing: more text may bring it."""


@dataclass(frozen=True)
class CsvDialect:
    """How CSV is written.

    Attributes:
        separator: between fields.
        quote: around fields, or None.
        escape: before characters taken as they are, or None.
        comments: whether lines that start with `#` (after blanks) are comments.
    """

    separator: str = ","
    quote: str | None = '"'
    escape: str | None = None
    comments: bool = False

    @cached_property
    def _plain_run(self) -> re.Pattern[str]:
        """Characters of a field without quotes, up to a separator, a line end or an escape."""
        return re.compile(rf"[^{re.escape(self.separator + (self.escape or ''))}\r\n]*")

    @cached_property
    def _special(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.quote, self.escape)))

    def needs_scanning(self, text: str) -> bool:
        """Whether a text has quotes, escapes or perhaps comments, so that cutting it at separators is not enough."""
        return any(special in text for special in self._special) or (self.comments and "#" in text)

    def read_record(self, text: str, start: int) -> tuple[list[str] | None, int]:
        """The fields of the record that starts at `start`, and where the next one starts.

        Fields are None for a comment.

        Raises:
            IncompleteRecordError: if the text ends inside quotes or after an escape character.
            CsvSyntaxError: if something but blanks follows a closing quote.
        """
        match = _LINE_END.search(text, start)
        line_end, next_start = match.span() if match is not None else (len(text), len(text))
        line = text[start:line_end]
        if self.comments and line.lstrip(" \t").startswith("#"):
            return None, next_start
        if not any(special in line for special in self._special):
            return line.split(self.separator), next_start
        fields: list[str] = []
        position = start
        while True:
            if self.quote is not None and text.startswith(self.quote, position):
                field, position = self._read_quoted(text, position + 1)
            else:
                field, position = self._read_plain(text, position)
            fields.append(field)
            end = text[position : position + 1]
            if end != self.separator:
                return fields, position + (2 if text.startswith("\r\n", position) else len(end))
            position += 1

    def _read_plain(self, text: str, position: int) -> tuple[str, int]:
        """A field without quotes, and where it ends."""
        parts = []
        while True:
            match = self._plain_run.match(text, position)
            assert match is not None
            parts.append(match.group())
            position = match.end()
            if self.escape is None or not text.startswith(self.escape, position):
                return "".join(parts), position
            parts.append(_escaped(text, position))
            position += 2

    def _read_quoted(self, text: str, position: int) -> tuple[str, int]:
        """The field whose opening quote is just before `position`, and where it ends: at a separator or line end."""
        quote = self.quote
        assert quote is not None
        parts = []
        while True:
            closing = text.find(quote, position)
            escape = text.find(self.escape, position, closing if closing >= 0 else None) if self.escape else -1
            if escape >= 0:
                parts += [text[position:escape], _escaped(text, escape)]
                position = escape + 2
            elif closing < 0:
                raise IncompleteRecordError("missing closing quote")
            elif text.startswith(quote, closing + 1):
                parts.append(text[position : closing + 1])
                position = closing + 2
            else:
                parts.append(text[position:closing])
                break
        after = closing + 1
        while text[after : after + 1] in (" ", "\t"):
            after += 1
        end = text[after : after + 1]
        if end and end not in (self.separator, "\r", "\n"):
            raise CsvSyntaxError(f"unexpected {end!r} after a closing quote; expected {self.separator!r} or a line end")
        return "".join(parts), after

    def text_writer(self) -> Callable[[str], str]:
        """A function that quotes and escapes a text where it needs it."""
        quote, escape = self.quote, self.escape
        if quote is None:
            return str
        safe_from = max(ord(self.separator), ord(quote)) + 1
        unsafe = re.compile(rf"[\x00-{re.escape(chr(safe_from - 1))}{re.escape(escape or '')}\\]")

        def write(text: str) -> str:
            if len(text) <= _LONGEST_UNQUOTED and unsafe.search(text) is None:
                return text
            if escape is not None:
                text = text.replace(escape, escape + escape)
            return f"{quote}{text.replace(quote, quote + quote)}{quote}"

        return write


DEFAULT_DIALECT = CsvDialect()


def _escaped(text: str, position: int) -> str:
    """The character that the escape at `position` stands for."""
    follower = text[position + 1 : position + 2]
    if not follower:
        raise IncompleteRecordError("an escape character at the end")
    return _CONTROL.get(follower, follower)

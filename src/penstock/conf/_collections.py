"""Lists and maps written as one text, read as Flink's `ConfigurationUtils` and `StructuredOptionsSplitter` do."""

from __future__ import annotations

from penstock.conf._types import printed

__all__ = ["read_list", "read_map", "split_quoted"]

_BLANKS = "".join(map(chr, range(0x21)))

# Texts of these characters alone are one YAML word: no mapping, no sequence. Most are, and so need no YAML parser.
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,;:/+=-")


def read_list(text: str) -> list[str]:
    """Reads a YAML sequence such as `[a, b]`, or else `a;b`, where quotes protect separators.

    Raises:
        ValueError: a quote is not closed, or something follows it.
    """
    parsed = _read_as_yaml(text)
    if isinstance(parsed, list) and None not in parsed:
        return [_text_of(item) for item in parsed]
    return split_quoted(text, ";")


def read_map(text: str) -> dict[str, str]:
    """Reads a YAML mapping such as `{a: 1, b: 2}`, or else `a:1,b:2`, where quotes protect separators.

    An empty text is an empty map.

    Raises:
        ValueError: an item has not exactly one colon, a name is given twice, or a quote is not closed.
    """
    parsed = _read_as_yaml(text)
    if isinstance(parsed, dict) and None not in parsed and None not in parsed.values():
        by_text = {_text_of(key): _text_of(value) for key, value in parsed.items()}
        if len(by_text) == len(parsed):  # 1 and "1" are one name
            return by_text
    entries: dict[str, str] = {}
    for item in split_quoted(text, ","):
        pair = split_quoted(item, ":")
        if len(pair) != 2:
            raise ValueError(f"the item '{item}' is no pair name:value")
        if pair[0] in entries:
            raise ValueError(f"the name '{pair[0]}' is given twice")
        entries[pair[0]] = pair[1]
    return entries


def _text_of(value: object) -> str:
    """A YAML value as text: a collection in YAML's own way, a scalar as it is printed."""
    if isinstance(value, list | dict):
        from penstock.conf._yaml import flow_text

        return flow_text(value)
    return printed(value)


def split_quoted(text: str, separator: str) -> list[str]:
    """Splits at separators outside quotes, and trims.

    A part in single or double quotes may contain the separator, and the quote itself doubled. A separator at either
    end is harmless, two in a row enclose an empty part.

    Raises:
        ValueError: a quote is not closed, or something other than a separator follows it.
    """
    parts: list[str] = []
    position, after_separator, after_quote = 0, False, False
    while position < len(text):
        character = text[position]
        if character == separator:
            if after_separator:
                parts.append("")
            position, after_separator, after_quote = position + 1, True, False
            continue
        if character.isspace() and character not in "\x85\xa0\u2007\u202f":  # these are no white space to Java
            position += 1
            continue
        if after_quote:
            raise ValueError(f"'{text}' goes on after a closing quote, at character {position + 1}")
        if character in "'\"":
            part, position = _quoted(text, position)
            after_quote = True
        else:
            end = text.find(separator, position)
            end = len(text) if end < 0 else end
            part, position = text[position:end].strip(_BLANKS), end
        parts.append(part)
        after_separator = False
    return parts


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The content of the quotes that open at `start`, and the position after them."""
    quote, content, position = text[start], "", start + 1
    while True:
        end = text.find(quote, position)
        if end < 0:
            raise ValueError(f"the quote in '{text}' is not closed")
        content += text[position:end]
        if text[end + 1 : end + 2] != quote:
            return content, end + 1
        content += quote
        position = end + 2


def _read_as_yaml(text: str) -> object:
    """What the text is as a YAML document; None where it is none."""
    if _WORD.issuperset(text):
        return None
    from penstock.conf._errors import ConfigurationFileError
    from penstock.conf._yaml import read_document

    try:
        return read_document(text, "value")
    except ConfigurationFileError:
        return None

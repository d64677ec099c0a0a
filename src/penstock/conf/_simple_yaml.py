"""The plain part of YAML that most configuration files consist of, read without the YAML parser.

Importing PyYAML takes longer than everything else `penstock plan` does together. So block mappings of simple keys with
plain or simply quoted scalars, comments and blank lines are read here, and whatever else a file contains sends all of
it to the real parser (`_yaml.read_entries`), errors included. Both give the same answer for what is read here; a test
holds them together.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf._yaml import Entry

__all__ = ["read_simple"]

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")
_KEY = _LETTERS | _DIGITS | frozenset("._-/")
_PLAIN_START = _LETTERS | _DIGITS | frozenset("/")
_PLAIN = _KEY | frozenset(" +:;=,()%@*")
_QUOTED = _PLAIN | frozenset("#!&<>{}[]|?`^~$'") - frozenset("'")

# Words and shapes the core schema gives a meaning to, in any case: left to the real resolver.
_WORDS = frozenset(("true", "false", "null"))


def read_simple(text: str) -> list[Entry] | None:
    """Flattened keys with values and lines, or None for a text this reader does not understand."""
    if not text.isascii() or "\t" in text or "\r" in text:
        return None
    entries: list[Entry] = []
    nesting = _Nesting()
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.lstrip(" ")
        if not content or content[0] == "#":
            continue
        key, _, rest = content.partition(":")
        if not _KEY.issuperset(key) or key[:1] not in _LETTERS or len(key) == len(content.rstrip(" ")):
            return None
        full_key = nesting.enter(len(line) - len(content), key)
        if full_key is None:
            return None
        value = rest.lstrip(" ")
        if not value or (value[0] == "#" and rest[0] == " "):
            nesting.open(full_key)
            continue
        scalar = _scalar(value) if rest[0] == " " else None
        if scalar is None:
            return None
        entries.append((full_key, scalar, number))
    return entries if nesting.is_complete() else None


class _Nesting:
    """The open mappings, outermost first: indentation, prefix of the keys, and the keys so far."""

    __slots__ = ("_levels", "_opened")

    def __init__(self) -> None:
        self._levels: list[tuple[int, str, set[str]]] = []
        self._opened = ""  # prefix of the mapping that the next line begins

    def enter(self, indentation: int, key: str) -> str | None:
        """Places a key; the whole of it, or None where it does not belong, is repeated, or is no plain word."""
        levels = self._levels
        if not levels or (self._opened and indentation > levels[-1][0]):
            levels.append((indentation, self._opened, set()))
        elif self._opened:
            return None  # the key above has no value, which the real parser has to report
        self._opened = ""
        while indentation < levels[-1][0]:
            levels.pop()
            if not levels:
                return None
        level, prefix, keys = levels[-1]
        if indentation != level or key in keys or key.lower() in _WORDS:
            return None
        keys.add(key)
        return prefix + key

    def open(self, full_key: str) -> None:
        """Says that the key has no value on its own line."""
        self._opened = full_key + "."

    def is_complete(self) -> bool:
        """Whether the last key has its value."""
        return not self._opened


def _scalar(value: str) -> object:
    """The value after `key: `, or None for one that needs the real parser."""
    value = value.rstrip(" ")
    quote = value[0]
    if quote in "'\"":
        end = value.find(quote, 1)
        after = value[end + 1 :]
        if end < 0 or (after and not (after[0] == " " and after.lstrip(" ").startswith("#"))):
            return None
        inside = value[1:end]
        return inside if _QUOTED.issuperset(inside) else None
    comment = value.find(" #")
    if comment >= 0:
        value = value[:comment].rstrip(" ")
    if value[0] not in _PLAIN_START or not _PLAIN.issuperset(value) or ": " in value or value[-1] == ":":
        return None
    return _typed(value)


def _typed(value: str) -> object:
    first = value[0]
    if first not in _DIGITS:
        if value in ("true", "false"):
            return value == "true"
        return None if value.lower() in _WORDS else value
    if _DIGITS.issuperset(value):
        return int(value) if len(value) <= 18 else None
    last = value[-1]
    if last in _LETTERS and last not in "eEfFxX" and value[1:2] not in ("x", "o"):
        return value  # a size or a duration: with a letter at its end that no number has
    whole, point, decimals = value.partition(".")
    if point and decimals and _DIGITS.issuperset(whole) and _DIGITS.issuperset(decimals):
        return float(value)
    return None

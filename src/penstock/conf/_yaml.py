"""YAML 1.2 with the core schema, as Flink 2 reads `config.yaml` (snakeyaml-engine's `CoreSchema`).

PyYAML parses the syntax; what a plain scalar means is decided here, since PyYAML's own resolver follows YAML 1.1,
where `010` is eight, `1_000` and `1:30` are numbers and `yes` is true.
"""

from __future__ import annotations

import re

from penstock.conf._errors import ConfigurationFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["Entry", "flatten", "read_document", "read_entries", "resolve_plain"]

_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}

_TAG = "tag:yaml.org,2002:"
_LONG_LIMIT = 2**63

# snakeyaml-engine refuses more aliases of collections than this, so that a small file cannot expand without bound.
_COLLECTION_ALIASES_MAX = 50


class Mapping(dict[object, object]):
    """A YAML mapping that knows the line of each of its keys, from 1."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[object, int] = {}


class CollectionKey(str):
    """A sequence or mapping as a key, in its text: hashable, and no text that a configuration takes for a key."""

    __slots__ = ()


Entry = tuple[str, object, int]
"""A flattened key, its value, and the line of the key, from 1."""


def resolve_plain(text: str) -> object:
    """What an unquoted scalar is in YAML 1.2's core schema: None, bool, int, float or str.

    Integers beyond 64 bits stay text, normalized to their digits: whatever reads them reads their digits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-").lstrip("0") or "0"
        if len(digits) <= 19:
            number = -int(digits) if text[0] == "-" else int(digits)
            if -_LONG_LIMIT <= number < _LONG_LIMIT:
                return number
        return "-" + digits if text[0] == "-" else digits
    if _BASED.fullmatch(text):
        number = int(text, 0)
        return number if number < _LONG_LIMIT else _decimal_digits(number)
    if _FLOAT.fullmatch(text):
        return float(text)
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return float(infinity[1] + "inf")
    return text


def _decimal_digits(number: int) -> str:
    from decimal import Decimal

    return format(Decimal(number), "f")


def read_document(text: str, name: str) -> object:
    """Reads one YAML document: None for an empty one, else dict, list or a scalar.

    Raises:
        ConfigurationFileError: a syntax error, a repeated key, an unknown tag, or more than one document; with line
            and column.
    """
    import yaml

    loader: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    if "\t" in text:
        from penstock.conf._yaml_tabs import TabLoader

        loader = TabLoader
    try:
        parser = loader(text)
        try:
            return _Composer(parser, name).document()
        finally:
            parser.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
        raise ConfigurationFileError("yaml-invalid", name, reason or "not readable as YAML", line, column) from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise ConfigurationFileError("yaml-invalid", name, " ".join(str(error).split())) from None


class _Composer:
    """Builds values from the parser's events; one document each."""

    def __init__(self, parser: Any, name: str) -> None:
        import yaml

        self._events = yaml.events
        self._parser = parser
        self._name = name
        self._anchors: dict[str, object] = {}
        self._open_anchors: set[str] = set()
        self._collection_aliases = 0

    def document(self) -> object:
        parser, events = self._parser, self._events
        parser.get_event()  # the start of the stream
        if parser.check_event(events.StreamEndEvent):
            return None
        parser.get_event()
        value = self._node()
        parser.get_event()
        if not parser.check_event(events.StreamEndEvent):
            raise self._error("a second document begins", parser.get_event())
        return value

    def _node(self) -> object:
        parser, events = self._parser, self._events
        event = parser.get_event()
        if isinstance(event, events.AliasEvent):
            return self._alias(event)
        anchor = event.anchor
        if anchor is not None:
            self._open_anchors.add(anchor)
        value: object
        if isinstance(event, events.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, events.SequenceStartEvent):
            self._check_tag(event, "seq")
            items = []
            while not parser.check_event(events.SequenceEndEvent):
                items.append(self._node())
            parser.get_event()
            value = items
        else:
            self._check_tag(event, "map")
            value = self._mapping()
        if anchor is not None:
            self._open_anchors.discard(anchor)
            self._anchors[anchor] = value
        return value

    def _alias(self, event: Any) -> object:
        if event.anchor in self._open_anchors:
            raise self._error(f"the alias '*{event.anchor}' refers to itself", event)
        if event.anchor not in self._anchors:
            raise self._error(f"the alias '*{event.anchor}' has no anchor", event)
        value = self._anchors[event.anchor]
        if isinstance(value, dict | list):
            self._collection_aliases += 1
            if self._collection_aliases > _COLLECTION_ALIASES_MAX:
                raise self._error(f"more than {_COLLECTION_ALIASES_MAX} aliases of collections", event)
        return value

    def _mapping(self) -> Mapping:
        parser = self._parser
        result = Mapping()
        while not parser.check_event(self._events.MappingEndEvent):
            event = parser.peek_event()
            key = self._node()
            if isinstance(key, dict | list):
                key = CollectionKey(flow_text(key))
            if key in result:
                raise self._error(f"the key '{key}' is repeated", event)
            result[key] = self._node()
            result.lines[key] = event.start_mark.line + 1
        parser.get_event()
        return result

    def _scalar(self, event: Any) -> object:
        text: str = event.value
        tag = event.tag
        if text[:2] == "+." and event.implicit[0] and _INFINITY.fullmatch(text):
            raise self._error(f"'{text}' is a number to YAML, but none that Flink can read; leave out the sign", event)
        if tag is None:
            return resolve_plain(text) if event.implicit[0] else text
        if tag in ("!", _TAG + "str"):
            return text
        value = resolve_plain(text)
        kind = tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        wanted = {"int": int, "bool": bool}.get(kind)
        if wanted is not None and type(value) is wanted:
            return value
        raise self._error(f"the tag '{tag}' does not fit the value '{text}', or is unknown", event)

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            raise self._error(f"the tag '{event.tag}' is unknown here", event)

    def _error(self, reason: str, event: Any) -> ConfigurationFileError:
        mark = event.start_mark
        return ConfigurationFileError("yaml-invalid", self._name, reason, mark.line + 1, mark.column + 1)


def read_entries(text: str, name: str) -> list[Entry]:
    """Reads a configuration file: flattened keys with values and lines, in the order of the file.

    Raises:
        ConfigurationFileError: no YAML, no mapping of text keys, or a null value.
    """
    document = read_document(text, name)
    if document is None:
        return []
    if not isinstance(document, Mapping):
        raise ConfigurationFileError("yaml-invalid", name, "the file is no mapping of keys to values", 1, 1)
    return list(flatten(document, name))


def flatten(mapping: Mapping, name: str, prefix: str = "") -> Iterator[Entry]:
    """Flattens nested mappings to keys with dots; a list becomes its YAML text.

    Raises:
        ConfigurationFileError: a key is no text, or a value is null.
    """
    for key, value in mapping.items():
        line = mapping.lines[key]
        if key is None:
            key = "null"  # Flink puts a null key in front of its value's key, where Java prints it as this text
        if not isinstance(key, str) or isinstance(key, CollectionKey):
            raise ConfigurationFileError("yaml-invalid", name, f"the key '{key}' is no text; put it in quotes", line)
        if value is None:
            reason = f"the key '{prefix}{key}' has no value; remove it, or write \"\" for an empty text"
            raise ConfigurationFileError("yaml-invalid", name, reason, line)
        if isinstance(value, Mapping):
            yield from flatten(value, name, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield prefix + key, flow_text(value), line
        else:
            yield prefix + key, value, line


def flow_text(value: object) -> str:
    """A value in YAML's flow style, as it is read back: `[a, 1, 'true']`."""
    if isinstance(value, list):
        return "[" + ", ".join(map(flow_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow_text(key)}: {flow_text(item)}" for key, item in value.items()) + "}"
    if value is None:
        return "null"
    if isinstance(value, str):
        plain = re.fullmatch(r"[\w./+-][\w./+ -]*", value) and value == value.strip() and value[0] != "-"
        return value if plain and resolve_plain(value) is value else "'" + value.replace("'", "''") + "'"
    if isinstance(value, float) and value - value != 0:
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    from penstock.conf._types import printed

    return printed(value)

"""Configuration files: `config.yaml`, Flink 1's `flink-conf.yaml`, and `appsettings.json`."""

from __future__ import annotations

import os

from penstock.conf._configuration import Configuration, Source
from penstock.conf._errors import ConfigurationFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "FILE_NAMES",
    "configuration_from_appsettings",
    "configuration_from_flat_file",
    "configuration_from_yaml",
    "read_configuration_file",
]

FILE_NAMES = ("config.yaml", "flink-conf.yaml", "appsettings.json")
"""Files looked for in a configuration folder; the first that exists is read, and no other."""


def read_configuration_file(path: str) -> tuple[Configuration, list[str]]:
    """Reads a file by what its name says it is; a name that says nothing is read as `config.yaml` is.

    Returns:
        The configuration, each value with file and line, and warnings.

    Raises:
        ConfigurationFileError: the file cannot be read or parsed.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationFileError("file-unreadable", path, f"cannot be read: {reason}") from None
    reader: Callable[[str, str], tuple[Configuration, list[str]]]
    name = os.path.basename(path)
    if name == "flink-conf.yaml":
        reader = configuration_from_flat_file
    elif name.endswith(".json"):
        reader = configuration_from_appsettings
    else:
        return configuration_from_yaml(text, path), []
    return reader(text, path)


def configuration_from_yaml(text: str, name: str = "config.yaml") -> Configuration:
    """Reads the text of a `config.yaml`: YAML 1.2, nested or flat keys, the later of two spellings of a key wins.

    Raises:
        ConfigurationFileError: `yaml-invalid`: a syntax error, a repeated key, a null value, or no mapping of text
            keys.
    """
    from penstock.conf._simple_yaml import read_simple

    entries = read_simple(text)
    if entries is None:
        from penstock.conf._yaml import read_entries

        entries = read_entries(text, name)
    configuration = Configuration()
    for key, value, line in entries:
        configuration.set(key, value, Source("file", name, line))
    return configuration


def configuration_from_flat_file(text: str, name: str = "flink-conf.yaml") -> tuple[Configuration, list[str]]:
    """Reads Flink 1's flat file: `key: value` a line, everything after `#` a comment, all values text.

    Raises:
        ConfigurationFileError: `properties-invalid`: a line that is no `key: value`.
    """
    configuration, warnings = Configuration(), []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        content = line.partition("#")[0]
        stripped = content.strip()
        if not stripped:
            continue
        if content[0] in " \t":
            column = len(content) - len(content.lstrip()) + 1
            reason = "nested keys are not read from flink-conf.yaml; write them flat, or use config.yaml"
            raise ConfigurationFileError("properties-invalid", name, reason, number, column)
        key, separator, value = stripped.partition(": ")
        if not separator and stripped.endswith(":"):
            warnings.append(f"{name}:{number}: the key '{stripped[:-1]}' has no value and is ignored.")
            continue
        if not separator or not key.strip():
            reason = f"expected 'key: value', found '{stripped}'"
            raise ConfigurationFileError("properties-invalid", name, reason, number, 1)
        configuration.set(key.strip(), value.strip(), Source("file", name, number))
    return configuration, warnings


def configuration_from_appsettings(text: str, name: str = "appsettings.json") -> tuple[Configuration, list[str]]:
    """Reads JSON settings: nested objects or flat keys, `.` or `:` between the parts, known keys matched without case.

    Null values are not set. Keys that are no option's are kept as they are.

    Raises:
        ConfigurationFileError: `json-invalid`: no JSON, no object, or a key given twice in one object.
    """
    import json

    try:
        document = json.loads(text, object_pairs_hook=lambda pairs: _checked_object(pairs, name))
    except json.JSONDecodeError as error:
        raise ConfigurationFileError("json-invalid", name, error.msg, error.lineno, error.colno) from None
    except RecursionError:
        raise ConfigurationFileError("json-invalid", name, "the objects are nested too deeply") from None
    if not isinstance(document, dict):
        raise ConfigurationFileError("json-invalid", name, "the file is no JSON object", 1, 1)
    spelling = _spelling_of_known_keys()
    lines = _lines_of_keys(text)
    configuration = Configuration()
    for path, value in _leaves(document, ()):
        key = spelling(".".join(path).replace(":", "."))
        configuration.set(key, value, Source("file", name, lines.get(path)))
    return configuration, []


def _checked_object(pairs: list[tuple[str, object]], name: str) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ConfigurationFileError("json-invalid", name, f"the key '{repeated}' is given twice in one object")
    return result


def _leaves(document: dict[str, object], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        elif value is not None:
            from penstock.conf._yaml import flow_text

            yield (*path, key), flow_text(value) if isinstance(value, list) else value


def _spelling_of_known_keys() -> Callable[[str], str]:
    """A function from a key in any case to the spelling of the option it belongs to, or the key itself."""
    from penstock.conf._registry import all_options
    from penstock.conf._types import MAP

    known: dict[str, str] = {}
    maps: dict[str, dict[str, str]] = {}
    for option in all_options().values():
        known.update((key.lower(), key) for key in option.all_keys)
        if option.type is MAP:
            names = option.default if isinstance(option.default, dict) else {}
            maps[option.key] = {str(entry).lower(): str(entry) for entry in names}

    def spelling(key: str) -> str:
        lower = key.lower()
        if lower in known:
            return known[lower]
        for prefix, names in maps.items():
            if lower.startswith(prefix.lower() + "."):
                rest = key[len(prefix) + 1 :]
                return f"{prefix}.{names.get(rest.lower(), rest)}"
        return key

    return spelling


def _lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """Path of keys -> line of the last one, from 1, for JSON text that is known to be well-formed."""
    import json
    import re

    lines: dict[tuple[str, ...], int] = {}
    path: list[str | None] = []  # the open objects' current keys; None stands for an array
    line, last_end = 1, 0
    pending: str | None = None
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', text):
        line += text.count("\n", last_end, token.start())
        last_end = token.start()
        symbol = token[0]
        if symbol == "{":
            path.append("")
        elif symbol == "[":
            path.append(None)
        elif symbol in "}]":
            path.pop()
        elif symbol == ":" and pending is not None:
            path[-1] = json.loads(pending)
            if None not in path:
                lines[tuple(str(key) for key in path)] = line
        pending = symbol if symbol[0] == '"' else None
    return lines

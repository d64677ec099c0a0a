"""Configuration from environment variables: `FLINK_PROPERTIES`, and one variable an option.

The variable of an option is `PENSTOCK_` and its key in capitals with `.` and `-` as `_`:
`taskmanager.memory.process.size` is `PENSTOCK_TASKMANAGER_MEMORY_PROCESS_SIZE`. No two options share a variable; a
test holds that.
"""

from __future__ import annotations

from penstock.conf._configuration import Configuration, Source
from penstock.conf._errors import ConfigurationFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "configuration_from_environment", "configuration_from_properties", "variable_of"]

PREFIX = "PENSTOCK_"


def variable_of(key: str) -> str:
    """The environment variable of an option's key."""
    return PREFIX + key.upper().replace(".", "_").replace("-", "_")


def configuration_from_environment(environment: Mapping[str, str]) -> tuple[Configuration, list[str]]:
    """Reads `FLINK_PROPERTIES`, then the variables of options, which win over it.

    Returns:
        The configuration and warnings.

    Raises:
        ConfigurationFileError: a line of `FLINK_PROPERTIES` is no `key: value`.
    """
    configuration, warnings = Configuration(), []
    properties = environment.get("FLINK_PROPERTIES")
    if properties:
        configuration.update(configuration_from_properties(properties, environment))
    candidates = [name for name in environment if name.startswith(PREFIX)]
    if candidates:
        from penstock.conf._registry import all_options

        keys = {variable_of(key): key for key in all_options()}
        first_words = {variable[len(PREFIX) :].partition("_")[0] for variable in keys}
        for name in candidates:
            if name in keys:
                configuration.set(keys[name], environment[name], Source("environment", name))
            elif name[len(PREFIX) :].partition("_")[0] in first_words:
                warnings.append(_unknown(name, keys))
    return configuration, warnings


def _unknown(name: str, keys: Mapping[str, str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, keys, 1)
    hint = f"; did you mean {close[0]} ({keys[close[0]]})?" if close else "."
    return f"The environment variable {name} belongs to no option{hint}"


def configuration_from_properties(text: str, environment: Mapping[str, str]) -> Configuration:
    """Reads the lines `key: value` of `FLINK_PROPERTIES` as Flink's container images do: values are text.

    `$VAR` and `${VAR}` are replaced by environment variables, by nothing where there is none.

    Raises:
        ConfigurationFileError: `properties-invalid`: a line that is no `key: value`.
    """
    configuration = Configuration()
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] == "#":
            continue
        key, separator, value = stripped.partition(":")
        if not separator or not key.strip():
            reason = f"expected 'key: value', found '{stripped}'"
            raise ConfigurationFileError("properties-invalid", "$FLINK_PROPERTIES", reason, number, 1)
        if "$" in value:
            value = _substitute(value, environment)
        configuration.set(key.strip(), value.strip(), Source("environment", "FLINK_PROPERTIES", number))
    return configuration


def _substitute(text: str, environment: Mapping[str, str]) -> str:
    import re

    return re.sub(
        r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})",
        lambda match: environment.get(match[1] or match[2], ""),
        text,
    )

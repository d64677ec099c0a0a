"""Putting a configuration together from its sources, later ones over earlier ones: file, environment, command line."""

from __future__ import annotations

import os

from penstock.conf._configuration import FLAG, Configuration
from penstock.conf._environment import configuration_from_environment
from penstock.conf._errors import ConfigurationFileError
from penstock.conf._record import Record
from penstock.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "LoadedConfiguration",
    "configuration_from_flags",
    "find_configuration_file",
    "load_configuration",
    "unknown_key_warnings",
]

_GONE_IN_FLINK_2 = {
    "taskmanager.heap.size": "taskmanager.memory.flink.size",
    "taskmanager.heap.mb": "taskmanager.memory.flink.size",
    "taskmanager.memory.fraction": "taskmanager.memory.managed.fraction",
    "taskmanager.network.numberOfBuffers": "taskmanager.memory.network.min and .max",
    "taskmanager.memory.off-heap": "",
    "taskmanager.memory.preallocate": "",
    "jobmanager.heap.size": "jobmanager.memory.heap.size",
    "jobmanager.heap.mb": "jobmanager.memory.heap.size",
    "taskmanager.network.memory.buffers-per-channel": "",
    "taskmanager.network.memory.floating-buffers-per-gate": "",
    "taskmanager.network.memory.max-buffers-per-channel": "",
    "taskmanager.network.memory.max-overdraft-buffers-per-gate": "",
    "taskmanager.network.sort-shuffle.min-parallelism": "",
}
"""Keys of older Flink versions that Flink 2 ignores -> what took their place."""

_WITHOUT_EFFECT = frozenset(
    (
        "env.java.opts.all",
        "jobmanager.bind-host",
        "jobmanager.execution.failover-strategy",
        "jobmanager.rpc.address",
        "jobmanager.rpc.port",
        "rest.address",
        "rest.bind-address",
        "rest.bind-port",
        "rest.port",
        "taskmanager.bind-host",
        "taskmanager.host",
    )
)
"""Keys of the `config.yaml` that Flink ships with: nobody means another key by them."""


class LoadedConfiguration(Record):
    """What `load_configuration` found.

    Attributes:
        configuration: the values, each with its source.
        warnings: sentences to print.
    """

    configuration: Configuration
    warnings: tuple[str, ...]


def load_configuration(
    conf_dir: str | None = None,
    flags: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
) -> LoadedConfiguration:
    """Loads the configuration of a process, later sources over earlier ones.

    Args:
        conf_dir: the configuration folder, or a file; else the environment's `FLINK_CONF_DIR`; else no file is read.
        flags: `-D` values, `key=value`.
        environment: environment variables; those of the process when not given.

    Raises:
        ConfigurationFileError: a file or `FLINK_PROPERTIES` cannot be read.
        ConfigurationError: a flag without a key.
    """
    if environment is None:
        environment = os.environ
    warnings: list[str] = []
    configuration = Configuration()
    folder = conf_dir or environment.get("FLINK_CONF_DIR")
    if folder:
        from penstock.conf._files import read_configuration_file

        path, ignored = find_configuration_file(folder)
        configuration, file_warnings = read_configuration_file(path)
        warnings += [f"{path} is read, {other} beside it is not." for other in ignored]
        warnings += file_warnings
    from_environment, environment_warnings = configuration_from_environment(environment)
    configuration.update(from_environment)
    warnings += environment_warnings
    configuration.update(configuration_from_flags(flags))
    return LoadedConfiguration(configuration, tuple(warnings))


def find_configuration_file(folder: str) -> tuple[str, list[str]]:
    """The file to read of a configuration folder, and the names of those left aside; a file stands for itself.

    Raises:
        ConfigurationFileError: there is none.
    """
    from penstock.conf._files import FILE_NAMES

    if os.path.isfile(folder):
        return folder, []
    found = [name for name in FILE_NAMES if os.path.isfile(os.path.join(folder, name))]
    if not found:
        reason = f"no such folder, or none of {', '.join(FILE_NAMES)} in it"
        raise ConfigurationFileError("file-unreadable", folder, reason)
    return os.path.join(folder, found[0]), found[1:]


def configuration_from_flags(flags: Iterable[str]) -> Configuration:
    """Reads `-D` values `key=value`; of a repeated key the last counts.

    A key alone is `true`, as on Flink's command line.

    Raises:
        ConfigurationError: a flag without a key.
    """
    configuration = Configuration()
    for flag in flags:
        key, separator, value = flag.partition("=")
        if not key.strip():
            raise ConfigurationError(f"-D {flag}: expected key=value")
        configuration.set(key, value if separator else "true", FLAG)
    return configuration


def unknown_key_warnings(configuration: Configuration) -> list[str]:
    """A sentence for each key that is likely meant to be an option but is none: unknown keys are ignored otherwise.

    Looked at are keys under a prefix that known keys share, such as `taskmanager.memory.`, and keys that look much
    like a known one; others may be options of Flink's that Penstock has no use for.
    """
    from penstock.conf._registry import OPTION_CLASSES, option_class, options_of
    from penstock.conf._types import MAP

    known: dict[str, None] = {}
    map_prefixes: tuple[str, ...] = ()
    unknown = [key for key in configuration if key not in _WITHOUT_EFFECT]
    for name in OPTION_CLASSES:
        if not unknown:
            return []  # most configurations need a few groups of options only, the others are not loaded
        for option in options_of(option_class(name)):
            known.update(dict.fromkeys(option.all_keys))
            if option.type is MAP:
                map_prefixes += (option.key + ".",)
        unknown = [key for key in unknown if key not in known and not key.startswith(map_prefixes)]
    prefixes = {key.rpartition(".")[0] for key in known if key.count(".") > 1}
    warnings = [_unknown_key_warning(key, configuration, known, prefixes) for key in unknown]
    return [warning for warning in warnings if warning is not None]


def _unknown_key_warning(
    key: str, configuration: Configuration, known: Iterable[str], prefixes: set[str]
) -> str | None:
    source = configuration.source(key)
    where = f" ({source})" if source is not None else ""
    if key in _GONE_IN_FLINK_2:
        instead = _GONE_IN_FLINK_2[key]
        then = f"; use {instead}." if instead else ", and nothing took its place."
        return f"'{key}'{where} is no option since Flink 2 and is ignored{then}"
    under_known = key.rpartition(".")[0] in prefixes
    close = _closest(key, known, 0.6 if under_known else 0.85)
    if close is None and not under_known and "." in key:  # all of Flink's keys have a dot
        return None
    hint = f"; did you mean '{close}'?" if close else "."
    return f"'{key}'{where} is no known option and is ignored{hint}"


def _closest(key: str, known: Iterable[str], cutoff: float) -> str | None:
    from difflib import get_close_matches

    first_word = key.partition(".")[0]
    same_family = [candidate for candidate in known if candidate.partition(".")[0] == first_word]
    return next(iter(get_close_matches(key, same_family, 1, cutoff)), None)

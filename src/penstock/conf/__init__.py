"""Configuration: options, values, sources and their precedence.

Covers the declaration of every option (`ConfigOption`, the `…Options` classes, `all_options`), memory sizes, the
conversion of configured values as Flink 2.2 does it, and reading configurations from files, environment and command
line (`load_configuration`), each value with its source. Does not cover what the options mean together: that is
`penstock.memory`.

Start reading at `_configuration.py`, then `_types.py`; a group of options is declared in one module `_…_options.py`.
Importing this package loads only what the memory model needs; the option classes and the file readers are loaded when
they are first used.
"""

from __future__ import annotations

from penstock.conf._configuration import Configuration, Source
from penstock.conf._errors import ConfigurationFileError, MemorySizeError, OptionValueError
from penstock.conf._memory_size import LONG_MAX, MemorySize, human_readable, parse_bytes
from penstock.conf._numbers import INT_MAX, java_double, read_integer, shortest_decimal
from penstock.conf._option import ConfigOption
from penstock.conf._record import Record
from penstock.conf._registry import OPTION_CLASSES, all_options, find_option, option_class, option_groups
from penstock.conf._types import (
    BOOLEAN,
    DOUBLE,
    DURATION,
    FLOAT,
    INTEGER,
    LIST,
    LONG,
    MAP,
    SIZE,
    STRING,
    OptionType,
    choice_of,
    printed,
    size_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf._checkpoint_options import CheckpointingOptions, RestartStrategyOptions, StateRecoveryOptions
    from penstock.conf._environment import configuration_from_environment, variable_of
    from penstock.conf._execution_options import ExecutionOptions
    from penstock.conf._files import configuration_from_yaml, read_configuration_file
    from penstock.conf._jobmanager_options import JobManagerOptions
    from penstock.conf._kubernetes_options import KubernetesOptions
    from penstock.conf._loading import (
        LoadedConfiguration,
        configuration_from_flags,
        load_configuration,
        unknown_key_warnings,
    )
    from penstock.conf._managed_memory_options import ManagedMemoryOptions
    from penstock.conf._network_options import NetworkOptions
    from penstock.conf._pipeline_options import PipelineOptions, PythonOptions
    from penstock.conf._rocksdb_memory_options import RocksDBMemoryOptions
    from penstock.conf._runtime_options import RuntimeOptions
    from penstock.conf._state_options import RocksDBOptions, StateBackendOptions
    from penstock.conf._taskmanager_options import TaskManagerOptions

__all__ = [
    "BOOLEAN",
    "DOUBLE",
    "DURATION",
    "FLOAT",
    "INTEGER",
    "INT_MAX",
    "LIST",
    "LONG",
    "LONG_MAX",
    "MAP",
    "SIZE",
    "STRING",
    "CheckpointingOptions",
    "ConfigOption",
    "Configuration",
    "ConfigurationFileError",
    "ExecutionOptions",
    "JobManagerOptions",
    "KubernetesOptions",
    "LoadedConfiguration",
    "ManagedMemoryOptions",
    "MemorySize",
    "MemorySizeError",
    "NetworkOptions",
    "OptionType",
    "OptionValueError",
    "PipelineOptions",
    "PythonOptions",
    "Record",
    "RestartStrategyOptions",
    "RocksDBMemoryOptions",
    "RocksDBOptions",
    "RuntimeOptions",
    "Source",
    "StateBackendOptions",
    "StateRecoveryOptions",
    "TaskManagerOptions",
    "all_options",
    "choice_of",
    "configuration_from_environment",
    "configuration_from_flags",
    "configuration_from_yaml",
    "find_option",
    "human_readable",
    "java_double",
    "load_configuration",
    "option_groups",
    "parse_bytes",
    "printed",
    "read_configuration_file",
    "read_integer",
    "shortest_decimal",
    "size_bytes",
    "unknown_key_warnings",
    "variable_of",
]


_MODULE_OF = {
    "LoadedConfiguration": "_loading",
    "configuration_from_environment": "_environment",
    "configuration_from_flags": "_loading",
    "configuration_from_yaml": "_files",
    "load_configuration": "_loading",
    "read_configuration_file": "_files",
    "unknown_key_warnings": "_loading",
    "variable_of": "_environment",
}


def __getattr__(name: str) -> object:
    if name in OPTION_CLASSES:
        return option_class(name)
    if name in _MODULE_OF:
        from importlib import import_module

        value: object = getattr(import_module("penstock.conf." + _MODULE_OF[name]), name)
        return value
    raise AttributeError(f"module 'penstock.conf' has no attribute {name!r}")

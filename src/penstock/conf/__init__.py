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
from penstock.conf._memory_size import MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._record import Record
from penstock.conf._registry import OPTION_CLASSES, all_options, find_option, option_class
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
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf._checkpoint_options import CheckpointingOptions, RestartStrategyOptions, StateRecoveryOptions
    from penstock.conf._execution_options import ExecutionOptions
    from penstock.conf._jobmanager_options import JobManagerOptions
    from penstock.conf._managed_memory_options import ManagedMemoryOptions
    from penstock.conf._network_options import NetworkOptions
    from penstock.conf._rocksdb_memory_options import RocksDBMemoryOptions
    from penstock.conf._state_options import RocksDBOptions, StateBackendOptions
    from penstock.conf._taskmanager_options import TaskManagerOptions

__all__ = [
    "BOOLEAN",
    "DOUBLE",
    "DURATION",
    "FLOAT",
    "INTEGER",
    "LIST",
    "LONG",
    "MAP",
    "SIZE",
    "STRING",
    "CheckpointingOptions",
    "ConfigOption",
    "Configuration",
    "ConfigurationFileError",
    "ExecutionOptions",
    "JobManagerOptions",
    "ManagedMemoryOptions",
    "MemorySize",
    "MemorySizeError",
    "NetworkOptions",
    "OptionType",
    "OptionValueError",
    "Record",
    "RestartStrategyOptions",
    "RocksDBMemoryOptions",
    "RocksDBOptions",
    "Source",
    "StateBackendOptions",
    "StateRecoveryOptions",
    "TaskManagerOptions",
    "all_options",
    "choice_of",
    "find_option",
]


def __getattr__(name: str) -> object:
    if name in OPTION_CLASSES:
        return option_class(name)
    raise AttributeError(f"module 'penstock.conf' has no attribute {name!r}")

"""All declared options, found through the table of the classes that hold them."""

from __future__ import annotations

from penstock.conf._option import ConfigOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OPTION_CLASSES", "all_options", "find_option", "option_class", "option_groups"]

OPTION_CLASSES = {
    "TaskManagerOptions": "_taskmanager_options",
    "JobManagerOptions": "_jobmanager_options",
    "ManagedMemoryOptions": "_managed_memory_options",
    "RocksDBMemoryOptions": "_rocksdb_memory_options",
    "NetworkOptions": "_network_options",
    "KubernetesOptions": "_kubernetes_options",
    "ExecutionOptions": "_execution_options",
    "PipelineOptions": "_pipeline_options",
    "PythonOptions": "_pipeline_options",
    "StateBackendOptions": "_state_options",
    "RocksDBOptions": "_state_options",
    "CheckpointingOptions": "_checkpoint_options",
    "StateRecoveryOptions": "_checkpoint_options",
    "RestartStrategyOptions": "_checkpoint_options",
    "RuntimeOptions": "_runtime_options",
}
"""Class of options -> the module of this package that declares it, in the order of the reference."""

_found: dict[str, ConfigOption[object]] = {}


def option_class(name: str) -> type:
    """Loads a class of option declarations by its name.

    Raises:
        KeyError: there is no such class.
    """
    from importlib import import_module

    loaded: type = getattr(import_module("penstock.conf." + OPTION_CLASSES[name]), name)
    return loaded


def options_of(declarations: type) -> Iterator[ConfigOption[object]]:
    """The options a class declares, in the order of declaration."""
    for value in vars(declarations).values():
        if isinstance(value, ConfigOption):
            yield value


def option_groups() -> Iterator[tuple[str, str, list[ConfigOption[object]]]]:
    """Title, notes and options of each group, in the order of the reference."""
    for name in OPTION_CLASSES:
        declarations = option_class(name)
        title, _, notes = (declarations.__doc__ or name).strip().partition("\n")
        yield title.rstrip("."), " ".join(notes.split()), list(options_of(declarations))


def all_options() -> dict[str, ConfigOption[object]]:
    """Proper key -> option, for every option Penstock knows. Loads all declaration modules on the first call."""
    if not _found:
        for name in OPTION_CLASSES:
            _found.update((option.key, option) for option in options_of(option_class(name)))
    return _found


def find_option(key: str) -> ConfigOption[object] | None:
    """The option a key belongs to, be it the proper key, an older or a foreign one; None for unknown keys."""
    options = all_options()
    if key in options:
        return options[key]
    return next((option for option in options.values() if key in option.fallback_keys), None)

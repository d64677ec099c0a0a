"""Execution settings of an environment (`pyflink.common.execution_config`).

Everything is kept in the environment's configuration under Flink's keys; this is a view of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from penstock.conf import Configuration, ExecutionOptions, PipelineOptions
from penstock.errors import ConfigurationError, UnsupportedFeatureError

if TYPE_CHECKING:
    from penstock.common.restart_strategy import RestartStrategyConfiguration
    from penstock.conf import ConfigOption

__all__ = ["ExecutionConfig"]

T = TypeVar("T")

MAX_PARALLELISM_LIMIT = 1 << 15
"""Flink's `KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM`."""


class ExecutionConfig:
    """A view of an environment's execution settings; setters return it. Owned by the thread that builds the program."""

    PARALLELISM_DEFAULT = -1
    PARALLELISM_UNKNOWN = -2

    def __init__(self, configuration: Configuration | None = None) -> None:
        if configuration is not None and not isinstance(configuration, Configuration):
            raise UnsupportedFeatureError(
                "ExecutionConfig(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use env.get_config()."
            )
        self._configuration = configuration if configuration is not None else Configuration()

    def _set(self, option: ConfigOption[Any], value: object) -> ExecutionConfig:
        # An older key would win over nothing here, but show up as a second value; the program's setting replaces both.
        self._configuration.remove(option)
        self._configuration.set(option, value)
        return self

    # -- parallelism -----------------------------------------------------------------------------

    def get_parallelism(self) -> int:
        """The parallelism of operators that set none."""
        configured = self._configuration.get(ExecutionOptions.DEFAULT_PARALLELISM)
        return available_cores() if configured is None else configured

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        """Sets it; -1 goes back to the number of cores, -2 changes nothing.

        Raises:
            ConfigurationError: for 0 or less otherwise.
        """
        if parallelism == self.PARALLELISM_UNKNOWN:
            return self
        if parallelism == self.PARALLELISM_DEFAULT:
            self._configuration.remove(ExecutionOptions.DEFAULT_PARALLELISM)
            return self
        if parallelism < 1:
            raise ConfigurationError(
                f"Parallelism must be at least one, or ExecutionConfig.PARALLELISM_DEFAULT (use system default), "
                f"got {parallelism}."
            )
        return self._set(ExecutionOptions.DEFAULT_PARALLELISM, parallelism)

    def get_max_parallelism(self) -> int:
        """The number of key groups, -1 where it is not set."""
        return self._configuration.get(ExecutionOptions.MAX_PARALLELISM)

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        """Sets it, 1 to 32768.

        Raises:
            ConfigurationError: outside of that.
        """
        if not 0 < max_parallelism <= MAX_PARALLELISM_LIMIT:
            raise ConfigurationError(
                f"The maximum parallelism must be between 1 and {MAX_PARALLELISM_LIMIT}, got {max_parallelism}."
            )
        return self._set(ExecutionOptions.MAX_PARALLELISM, max_parallelism)

    # -- time ------------------------------------------------------------------------------------

    def get_auto_watermark_interval(self) -> int:
        """How often watermarks are emitted, in ms; 0 never."""
        return self._configuration.get(ExecutionOptions.AUTO_WATERMARK_INTERVAL)

    def set_auto_watermark_interval(self, interval: int) -> ExecutionConfig:
        """Sets it, in ms."""
        return self._set(ExecutionOptions.AUTO_WATERMARK_INTERVAL, _not_negative("Auto watermark interval", interval))

    def get_latency_tracking_interval(self) -> int:
        """How often latency is measured in Flink, in ms; Penstock does not."""
        return self._configuration.get(PipelineOptions.LATENCY_INTERVAL)

    def set_latency_tracking_interval(self, interval: int) -> ExecutionConfig:
        """Sets it, in ms."""
        return self._set(PipelineOptions.LATENCY_INTERVAL, interval)

    def get_task_cancellation_interval(self) -> int:
        """Time between two attempts to interrupt a task, in ms."""
        return self._configuration.get(PipelineOptions.TASK_CANCELLATION_INTERVAL)

    def set_task_cancellation_interval(self, interval: int) -> ExecutionConfig:
        """Sets it, in ms."""
        return self._set(PipelineOptions.TASK_CANCELLATION_INTERVAL, interval)

    def get_task_cancellation_timeout(self) -> int:
        """After how long a task that does not stop is a fatal error, in ms."""
        return self._configuration.get(PipelineOptions.TASK_CANCELLATION_TIMEOUT)

    def set_task_cancellation_timeout(self, timeout: int) -> ExecutionConfig:
        """Sets it, in ms; 0 waits for ever."""
        return self._set(PipelineOptions.TASK_CANCELLATION_TIMEOUT, _not_negative("Timeout", timeout))

    # -- parameters ------------------------------------------------------------------------------

    def get_global_job_parameters(self) -> dict[str, str]:
        """What functions read with `get_job_parameter`."""
        configured: dict[str, str] | None = self._configuration.get(ExecutionOptions.GLOBAL_JOB_PARAMETERS)
        return dict(configured or {})

    def set_global_job_parameters(self, global_job_parameters_dict: dict[str, Any]) -> ExecutionConfig:
        """Replaces them; values become text."""
        parameters = {str(key): str(value) for key, value in global_job_parameters_dict.items()}
        return self._set(ExecutionOptions.GLOBAL_JOB_PARAMETERS, parameters)

    # -- what has no effect in CPython -----------------------------------------------------------

    def enable_closure_cleaner(self) -> ExecutionConfig:
        """Java's closure cleaner; read back only."""
        return self._set(PipelineOptions.CLOSURE_CLEANER, "RECURSIVE")

    def disable_closure_cleaner(self) -> ExecutionConfig:
        """Java's closure cleaner; read back only."""
        return self._set(PipelineOptions.CLOSURE_CLEANER, "NONE")

    def is_closure_cleaner_enabled(self) -> bool:
        """Java's closure cleaner, on unless disabled."""
        return self._configuration.get(PipelineOptions.CLOSURE_CLEANER) != "NONE"

    def enable_force_kryo(self) -> ExecutionConfig:
        """Java's serializers; read back only."""
        return self._set(PipelineOptions.FORCE_KRYO, True)

    def disable_force_kryo(self) -> ExecutionConfig:
        """Java's serializers; read back only."""
        return self._set(PipelineOptions.FORCE_KRYO, False)

    def is_force_kryo_enabled(self) -> bool:
        """Java's serializers."""
        return self._configuration.get(PipelineOptions.FORCE_KRYO)

    def enable_force_avro(self) -> ExecutionConfig:
        """Java's serializers; read back only."""
        return self._set(PipelineOptions.FORCE_AVRO, True)

    def disable_force_avro(self) -> ExecutionConfig:
        """Java's serializers; read back only."""
        return self._set(PipelineOptions.FORCE_AVRO, False)

    def is_force_avro_enabled(self) -> bool:
        """Java's serializers."""
        return self._configuration.get(PipelineOptions.FORCE_AVRO)

    def enable_generic_types(self) -> ExecutionConfig:
        """Java's serializers; read back only."""
        return self._set(PipelineOptions.GENERIC_TYPES, True)

    def disable_generic_types(self) -> ExecutionConfig:
        """Java's serializers; read back only."""
        return self._set(PipelineOptions.GENERIC_TYPES, False)

    def has_generic_types_disabled(self) -> bool:
        """Java's serializers."""
        return not self._configuration.get(PipelineOptions.GENERIC_TYPES)

    def enable_object_reuse(self) -> ExecutionConfig:
        """Chained operators share objects either way; read back only."""
        return self._set(PipelineOptions.OBJECT_REUSE, True)

    def disable_object_reuse(self) -> ExecutionConfig:
        """Chained operators share objects either way; read back only."""
        return self._set(PipelineOptions.OBJECT_REUSE, False)

    def is_object_reuse_enabled(self) -> bool:
        """What was set, False by default."""
        return self._configuration.get(PipelineOptions.OBJECT_REUSE)

    # -- ids and state ---------------------------------------------------------------------------

    def enable_auto_generated_uids(self) -> ExecutionConfig:
        """Operators without a uid get one from their place in the program."""
        return self._set(PipelineOptions.AUTO_GENERATE_UIDS, True)

    def disable_auto_generated_uids(self) -> ExecutionConfig:
        """Operators without a uid are an error when the job is executed."""
        return self._set(PipelineOptions.AUTO_GENERATE_UIDS, False)

    def has_auto_generated_uids_enabled(self) -> bool:
        """Whether operators may go without a uid."""
        return self._configuration.get(PipelineOptions.AUTO_GENERATE_UIDS)

    def is_use_snapshot_compression(self) -> bool:
        """Whether checkpoints are compressed."""
        return self._configuration.get(PipelineOptions.SNAPSHOT_COMPRESSION)

    def set_use_snapshot_compression(self, use_snapshot_compression: bool) -> ExecutionConfig:
        """Sets it."""
        return self._set(PipelineOptions.SNAPSHOT_COMPRESSION, use_snapshot_compression)

    def get_default_kryo_serializer_classes(self) -> dict[str, str]:
        """Java's serializers: none."""
        return {}

    def get_registered_kryo_types(self) -> list[str]:
        """Java's serializers: none."""
        return []

    def get_registered_pojo_types(self) -> list[str]:
        """Java's serializers: none."""
        return []

    # -- names of Flink 1.x ----------------------------------------------------------------------

    def set_restart_strategy(self, restart_strategy_configuration: RestartStrategyConfiguration) -> ExecutionConfig:
        """Sets the restart strategy; 1.x only, in 2.x the option `restart-strategy.type` does."""
        from penstock.common._removed import warn_removed

        warn_removed("ExecutionConfig.set_restart_strategy", "the option restart-strategy.type")
        restart_strategy_configuration.apply_to(self._configuration)
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        """The restart strategy; 1.x only."""
        from penstock.common._removed import warn_removed
        from penstock.common.restart_strategy import restart_strategy_of

        warn_removed("ExecutionConfig.get_restart_strategy", "the option restart-strategy.type")
        return restart_strategy_of(self._configuration)

    def set_execution_mode(self, execution_mode: Any) -> ExecutionConfig:
        """How Flink 1.x exchanged data in DataSet programs; no effect."""
        from penstock.common._removed import warn_removed

        warn_removed("ExecutionConfig.set_execution_mode", "env.set_runtime_mode()")
        return self

    def add_default_kryo_serializer(self, type_class_name: str, serializer_class_name: str) -> ExecutionConfig:
        """Java's serializers; no effect, 1.x only."""
        return self._without_kryo("add_default_kryo_serializer")

    def register_type_with_kryo_serializer(self, type_class_name: str, serializer_class_name: str) -> ExecutionConfig:
        """Java's serializers; no effect, 1.x only."""
        return self._without_kryo("register_type_with_kryo_serializer")

    def register_pojo_type(self, type_class_name: str) -> ExecutionConfig:
        """Java's serializers; no effect, 1.x only."""
        return self._without_kryo("register_pojo_type")

    def register_kryo_type(self, type_class_name: str) -> ExecutionConfig:
        """Java's serializers; no effect, 1.x only."""
        return self._without_kryo("register_kryo_type")

    def _without_kryo(self, name: str) -> ExecutionConfig:
        from penstock.common._removed import NO_KRYO, warn_removed

        warn_removed(f"ExecutionConfig.{name}", NO_KRYO, levels=1)
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionConfig) and self._configuration == other._configuration

    def __hash__(self) -> int:
        return hash(frozenset(self._configuration.to_dict().items()))


def available_cores() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _not_negative(what: str, value: int) -> int:
    if value < 0:
        raise ConfigurationError(f"{what} must not be negative, got {value}.")
    return value

"""Checkpoint settings of an environment (`pyflink.datastream.checkpoint_config`).

Everything is kept in the environment's configuration under Flink's keys; this is a view of it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from penstock.common._removed import warn_removed
from penstock.common.time import Duration
from penstock.conf import CheckpointingOptions, Configuration
from penstock.datastream.checkpointing_mode import CheckpointingMode
from penstock.datastream.externalized_checkpoint_retention import ExternalizedCheckpointRetention
from penstock.errors import ConfigurationError, UnsupportedFeatureError

if TYPE_CHECKING:
    from penstock.conf import ConfigOption
    from penstock.datastream.checkpoint_storage import CheckpointStorage

__all__ = ["CheckpointConfig", "ExternalizedCheckpointCleanup"]

MINIMAL_CHECKPOINT_TIME_MS = 10
"""Flink's `CheckpointConfig.MINIMAL_CHECKPOINT_TIME`."""

UNLIMITED_FAILURES = (1 << 31) - 1


class ExternalizedCheckpointCleanup(Enum):
    """What Flink 1.x called ExternalizedCheckpointRetention; absent from 2.x."""

    DELETE_ON_CANCELLATION = 0
    RETAIN_ON_CANCELLATION = 1
    NO_EXTERNALIZED_CHECKPOINTS = 2


class CheckpointConfig:
    """A view of an environment's checkpoint settings; setters return it. For the thread that builds the program."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        if configuration is not None and not isinstance(configuration, Configuration):
            raise UnsupportedFeatureError(
                "CheckpointConfig(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use env.get_checkpoint_config()."
            )
        self._configuration = configuration if configuration is not None else Configuration()

    def _set(self, option: ConfigOption[Any], value: object) -> CheckpointConfig:
        self._configuration.remove(option)
        self._configuration.set(option, value)
        return self

    def is_checkpointing_enabled(self) -> bool:
        """Whether checkpoints are taken."""
        return self.get_checkpoint_interval() > 0

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """EXACTLY_ONCE or AT_LEAST_ONCE; the latter while there are no checkpoints."""
        if not self.is_checkpointing_enabled() and not self._configuration.contains(CheckpointingOptions.MODE):
            return CheckpointingMode.AT_LEAST_ONCE
        return CheckpointingMode[self._configuration.get(CheckpointingOptions.MODE)]

    def set_checkpointing_mode(self, checkpointing_mode: CheckpointingMode) -> CheckpointConfig:
        """EXACTLY_ONCE or AT_LEAST_ONCE."""
        return self._set(CheckpointingOptions.MODE, checkpointing_mode.name)

    def get_checkpoint_interval(self) -> int:
        """How often checkpoints are taken, in ms; -1 never."""
        interval = self._configuration.get(CheckpointingOptions.INTERVAL)
        return -1 if interval is None else interval

    def set_checkpoint_interval(self, checkpoint_interval: int) -> CheckpointConfig:
        """Sets it, in ms, at least 10."""
        interval = _at_least("Checkpoint interval", checkpoint_interval, MINIMAL_CHECKPOINT_TIME_MS, " ms")
        return self._set(CheckpointingOptions.INTERVAL, interval)

    def get_checkpoint_timeout(self) -> int:
        """After how long an incomplete checkpoint is given up, in ms."""
        return self._configuration.get(CheckpointingOptions.TIMEOUT)

    def set_checkpoint_timeout(self, checkpoint_timeout: int) -> CheckpointConfig:
        """Sets it, in ms, at least 10."""
        timeout = _at_least("Checkpoint timeout", checkpoint_timeout, MINIMAL_CHECKPOINT_TIME_MS, " ms")
        return self._set(CheckpointingOptions.TIMEOUT, timeout)

    def get_min_pause_between_checkpoints(self) -> int:
        """The least time between two checkpoints, in ms."""
        return self._configuration.get(CheckpointingOptions.MIN_PAUSE)

    def set_min_pause_between_checkpoints(self, min_pause_between_checkpoints: int) -> CheckpointConfig:
        """Sets it, in ms."""
        pause = _at_least("Pause value", min_pause_between_checkpoints, 0)
        return self._set(CheckpointingOptions.MIN_PAUSE, pause)

    def get_max_concurrent_checkpoints(self) -> int:
        """How many checkpoints may be in progress at once."""
        return self._configuration.get(CheckpointingOptions.MAX_CONCURRENT)

    def set_max_concurrent_checkpoints(self, max_concurrent_checkpoints: int) -> CheckpointConfig:
        """Sets it, at least 1."""
        most = _at_least("The maximum number of concurrent attempts", max_concurrent_checkpoints, 1)
        return self._set(CheckpointingOptions.MAX_CONCURRENT, most)

    def is_fail_on_checkpointing_errors(self) -> bool:
        """Whether the first failed checkpoint fails the job."""
        return self.get_tolerable_checkpoint_failure_number() == 0

    def set_fail_on_checkpointing_errors(self, fail_on_checkpointing_errors: bool) -> CheckpointConfig:
        """Whether the first failed checkpoint fails the job, or none does."""
        return self.set_tolerable_checkpoint_failure_number(0 if fail_on_checkpointing_errors else UNLIMITED_FAILURES)

    def get_tolerable_checkpoint_failure_number(self) -> int:
        """How many checkpoints in a row may fail before the job does."""
        return self._configuration.get(CheckpointingOptions.TOLERABLE_FAILURES)

    def set_tolerable_checkpoint_failure_number(self, tolerable_checkpoint_failure_number: int) -> CheckpointConfig:
        """Sets it."""
        most = _at_least("The tolerable failure checkpoint number", tolerable_checkpoint_failure_number, 0)
        return self._set(CheckpointingOptions.TOLERABLE_FAILURES, most)

    def get_externalized_checkpoint_retention(self) -> ExternalizedCheckpointRetention:
        """What becomes of a cancelled job's checkpoints."""
        name = self._configuration.get(CheckpointingOptions.EXTERNALIZED_RETENTION)
        return ExternalizedCheckpointRetention[name]

    def set_externalized_checkpoint_retention(
        self, retention_mode: ExternalizedCheckpointRetention
    ) -> CheckpointConfig:
        """Sets it."""
        return self._set(CheckpointingOptions.EXTERNALIZED_RETENTION, retention_mode.name)

    def is_externalized_checkpoints_enabled(self) -> bool:
        """Whether any retention is set."""
        none = ExternalizedCheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS
        return self.get_externalized_checkpoint_retention() is not none

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Whether unaligned checkpoints are asked for; never true without checkpoints or with AT_LEAST_ONCE."""
        if not self.is_checkpointing_enabled() or self.get_checkpointing_mode() is not CheckpointingMode.EXACTLY_ONCE:
            return False
        return self._configuration.get(CheckpointingOptions.UNALIGNED)

    def enable_unaligned_checkpoints(self, enabled: bool = True) -> CheckpointConfig:
        """Asks for unaligned checkpoints."""
        return self._set(CheckpointingOptions.UNALIGNED, enabled)

    def disable_unaligned_checkpoints(self) -> CheckpointConfig:
        """Asks for aligned checkpoints."""
        return self.enable_unaligned_checkpoints(False)

    def is_force_unaligned_checkpoints(self) -> bool:
        """Whether unaligned checkpoints are asked for where Flink advises against them."""
        return self._configuration.get(CheckpointingOptions.UNALIGNED_FORCED)

    def set_force_unaligned_checkpoints(self, force_unaligned_checkpoints: bool = True) -> CheckpointConfig:
        """Asks for it."""
        return self._set(CheckpointingOptions.UNALIGNED_FORCED, force_unaligned_checkpoints)

    def get_aligned_checkpoint_timeout(self) -> Duration:
        """When an aligned checkpoint turns into an unaligned one; 0 never."""
        return Duration.of_millis(self._configuration.get(CheckpointingOptions.ALIGNED_TIMEOUT))

    def set_aligned_checkpoint_timeout(self, alignment_timeout: Duration) -> CheckpointConfig:
        """Sets it."""
        return self._set(CheckpointingOptions.ALIGNED_TIMEOUT, alignment_timeout.to_millis())

    def get_alignment_timeout(self) -> Duration:
        """The older name of `get_aligned_checkpoint_timeout`."""
        return self.get_aligned_checkpoint_timeout()

    def set_alignment_timeout(self, alignment_timeout: Duration) -> CheckpointConfig:
        """The older name of `set_aligned_checkpoint_timeout`."""
        return self.set_aligned_checkpoint_timeout(alignment_timeout)

    # -- names of Flink 1.x ----------------------------------------------------------------------

    def set_checkpoint_storage(self, storage: CheckpointStorage) -> CheckpointConfig:
        """Where checkpoints are kept; 1.x only."""
        warn_removed("CheckpointConfig.set_checkpoint_storage", "the option execution.checkpointing.dir")
        storage.apply_to(self._configuration)
        return self

    def set_checkpoint_storage_dir(self, checkpoint_path: str) -> CheckpointConfig:
        """The directory of the checkpoints; 1.x only."""
        warn_removed("CheckpointConfig.set_checkpoint_storage_dir", "the option execution.checkpointing.dir")
        self._set(CheckpointingOptions.STORAGE, "filesystem")
        return self._set(CheckpointingOptions.DIRECTORY, checkpoint_path)

    def get_checkpoint_storage(self) -> CheckpointStorage | None:
        """Where checkpoints are kept, None where nothing was set; 1.x only."""
        from penstock.datastream.checkpoint_storage import checkpoint_storage_of

        warn_removed("CheckpointConfig.get_checkpoint_storage", "the option execution.checkpointing.dir")
        return checkpoint_storage_of(self._configuration)

    def enable_externalized_checkpoints(self, cleanup_mode: Any) -> CheckpointConfig:
        """What becomes of a cancelled job's checkpoints; 1.x only."""
        warn_removed("CheckpointConfig.enable_externalized_checkpoints", "set_externalized_checkpoint_retention()")
        return self.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention[cleanup_mode.name])

    def set_externalized_checkpoint_cleanup(self, cleanup_mode: Any) -> CheckpointConfig:
        """What becomes of a cancelled job's checkpoints; 1.x only."""
        warn_removed("CheckpointConfig.set_externalized_checkpoint_cleanup", "set_externalized_checkpoint_retention()")
        return self.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention[cleanup_mode.name])


def _at_least(what: str, value: int, least: int, unit: str = "") -> int:
    if value < least:
        raise ConfigurationError(f"{what} must be larger than or equal to {least}{unit}, got {value}.")
    return value

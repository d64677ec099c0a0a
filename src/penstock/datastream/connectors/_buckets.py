"""Where a file sink writes an element and when it starts a new file: bucket assigners, rolling policies, file names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.datastream.connectors._java_time_format import formatter
from penstock.errors import UnsupportedFeatureError

__all__ = [
    "BucketAssigner",
    "BucketContext",
    "DefaultRollingPolicy",
    "OnCheckpointRollingPolicy",
    "OutputFileConfig",
    "PartFileInfo",
    "RollingPolicy",
]

_MEBIBYTE = 1024 * 1024
_MINUTE_MS = 60 * 1000


@dataclass(frozen=True, slots=True)
class BucketContext:
    """What an assigner may ask about an element (Flink's `BucketAssigner.Context`)."""

    now_ms: int
    watermark: int
    element_timestamp: int | None

    def current_processing_time(self) -> int:
        """The clock, epoch ms."""
        return self.now_ms

    def current_watermark(self) -> int:
        """The sink's watermark, epoch ms."""
        return self.watermark

    def timestamp(self) -> int | None:
        """The element's timestamp, epoch ms, or None."""
        return self.element_timestamp


class BucketAssigner:
    """Chooses the directory below the base path for each element; picklable.

    PyFlink has the two built-in ones; a subclass that writes `get_bucket_id` is Penstock's own.
    """

    def __init__(self, j_bucket_assigner: Any = None) -> None:
        _refuse_java("BucketAssigner", j_bucket_assigner)

    def get_bucket_id(self, element: Any, context: BucketContext) -> str:
        """The bucket of an element: a relative path, empty for the base path itself."""
        raise NotImplementedError(f"{type(self).__name__} has no get_bucket_id()")

    def bucket_of_all(self, now_ms: int) -> str | None:
        """The bucket of every element at this time, None if it depends on the element."""
        return None

    @staticmethod
    def base_path_bucket_assigner() -> BucketAssigner:
        """Everything in the base path."""
        return _BasePathBucketAssigner()

    @staticmethod
    def date_time_bucket_assigner(format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None) -> BucketAssigner:
        """By processing time, in a pattern of Java's DateTimeFormatter; the machine's zone by default.

        Raises:
            ConfigurationError: if the pattern or the zone is not known.
        """
        return _DateTimeBucketAssigner(format_str, timezone_id)


class _BasePathBucketAssigner(BucketAssigner):
    def get_bucket_id(self, element: Any, context: BucketContext) -> str:
        return ""

    def bucket_of_all(self, now_ms: int) -> str:
        return ""


class _DateTimeBucketAssigner(BucketAssigner):
    def __init__(self, format_str: str, timezone_id: str | None) -> None:
        super().__init__()
        self._pattern = (format_str, timezone_id)
        self._format = formatter(format_str, timezone_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return _DateTimeBucketAssigner, self._pattern

    def get_bucket_id(self, element: Any, context: BucketContext) -> str:
        return self.bucket_of_all(context.now_ms)

    def bucket_of_all(self, now_ms: int) -> str:
        return self._format(now_ms)


@dataclass(slots=True)
class PartFileInfo:
    """What a rolling policy may know of the file being written.

    Attributes:
        size_bytes: written so far.
        creation_ms: epoch ms.
        last_update_ms: of the last element, epoch ms.
    """

    size_bytes: int
    creation_ms: int
    last_update_ms: int


class RollingPolicy:
    """Says when a file is complete and the next one begins; picklable."""

    def __init__(self, j_rolling_policy: Any = None) -> None:
        _refuse_java("RollingPolicy", j_rolling_policy)

    def should_roll_on_checkpoint(self, part: PartFileInfo) -> bool:
        """Asked at each checkpoint."""
        raise NotImplementedError(f"{type(self).__name__} has no should_roll_on_checkpoint()")

    def should_roll_on_event(self, part: PartFileInfo, element: Any) -> bool:
        """Asked before each element is written."""
        raise NotImplementedError(f"{type(self).__name__} has no should_roll_on_event()")

    def should_roll_on_processing_time(self, part: PartFileInfo, now_ms: int) -> bool:
        """Asked at each bucket check."""
        raise NotImplementedError(f"{type(self).__name__} has no should_roll_on_processing_time()")

    def unrolled_bytes(self) -> int | None:
        """Up to which size no event rolls a file: 0 if it depends on the element, None if none ever does."""
        return 0

    @staticmethod
    def default_rolling_policy(
        part_size: int = 128 * _MEBIBYTE, rollover_interval: int = _MINUTE_MS, inactivity_interval: int = _MINUTE_MS
    ) -> DefaultRollingPolicy:
        """By size in bytes, by age in ms, by time without an element in ms."""
        return DefaultRollingPolicy(part_size, rollover_interval, inactivity_interval)

    @staticmethod
    def on_checkpoint_rolling_policy() -> OnCheckpointRollingPolicy:
        """At every checkpoint, and only then."""
        return OnCheckpointRollingPolicy()


class DefaultRollingPolicy(RollingPolicy):
    """Rolls by size, age and idleness (Flink's class of that name).

    Raises:
        ValueError: if a limit is not positive.
    """

    def __init__(
        self,
        part_size: int = 128 * _MEBIBYTE,
        rollover_interval: int = _MINUTE_MS,
        inactivity_interval: int = _MINUTE_MS,
    ) -> None:
        for name, limit in (
            ("part_size", part_size),
            ("rollover_interval", rollover_interval),
            ("inactivity_interval", inactivity_interval),
        ):
            if limit <= 0:
                raise ValueError(f"{name} must be a positive number, got {limit!r}")
        super().__init__()
        self._part_size = part_size
        self._rollover_interval = rollover_interval
        self._inactivity_interval = inactivity_interval

    def should_roll_on_checkpoint(self, part: PartFileInfo) -> bool:
        """When the file is larger than the part size."""
        return part.size_bytes > self._part_size

    def should_roll_on_event(self, part: PartFileInfo, element: Any) -> bool:
        """When the file is larger than the part size."""
        return part.size_bytes > self._part_size

    def should_roll_on_processing_time(self, part: PartFileInfo, now_ms: int) -> bool:
        """When the file is too old, or nothing was written for too long."""
        return (
            now_ms - part.creation_ms >= self._rollover_interval
            or now_ms - part.last_update_ms >= self._inactivity_interval
        )

    def unrolled_bytes(self) -> int:
        """The part size."""
        return self._part_size


class OnCheckpointRollingPolicy(RollingPolicy):
    """Rolls at every checkpoint (Flink's class of that name)."""

    def should_roll_on_checkpoint(self, part: PartFileInfo) -> bool:
        """Always."""
        return True

    def should_roll_on_event(self, part: PartFileInfo, element: Any) -> bool:
        """Never."""
        return False

    def should_roll_on_processing_time(self, part: PartFileInfo, now_ms: int) -> bool:
        """Never."""
        return False

    def unrolled_bytes(self) -> None:
        """No event rolls."""
        return


class OutputFileConfig:
    """The names of files: prefix and suffix around what makes them unique."""

    def __init__(self, part_prefix: str, part_suffix: str) -> None:
        self._part_prefix = part_prefix
        self._part_suffix = part_suffix

    @staticmethod
    def builder() -> OutputFileConfig.OutputFileConfigBuilder:
        """Starts building."""
        return OutputFileConfig.OutputFileConfigBuilder()

    def get_part_prefix(self) -> str:
        """What names start with, `part` by default."""
        return self._part_prefix

    def get_part_suffix(self) -> str:
        """What names end with, empty by default; no dot is added."""
        return self._part_suffix

    class OutputFileConfigBuilder:
        """Collects prefix and suffix."""

        def __init__(self) -> None:
            self.part_prefix = "part"
            self.part_suffix = ""

        def with_part_prefix(self, prefix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            """What names start with."""
            self.part_prefix = prefix
            return self

        def with_part_suffix(self, suffix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            """What names end with, such as `.txt`."""
            self.part_suffix = suffix
            return self

        def build(self) -> OutputFileConfig:
            """The configuration."""
            return OutputFileConfig(self.part_prefix, self.part_suffix)


def _refuse_java(name: str, value: Any) -> None:
    if value is not None:
        raise UnsupportedFeatureError(
            f"{name}(<java object>) wraps a Java object; there is no JVM in this process. Use one of {name}'s factory "
            "methods, or a subclass of your own."
        )

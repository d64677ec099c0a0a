"""Watermark strategies and timestamp assigners (`pyflink.common.watermark_strategy`).

A strategy only holds its settings; the runtime's timestamps operator and the sources act on them.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, NoReturn

from penstock.common.time import Duration
from penstock.errors import ConfigurationError, UnsupportedFeatureError

__all__ = ["TimestampAssigner", "WatermarkStrategy"]


class TimestampAssigner(ABC):
    """Says which event time an element has."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """The event time of `value` in epoch ms; `record_timestamp` is what it had, MIN_LONG_VALUE for none."""


class WatermarkKind(Enum):
    """How watermarks follow timestamps."""

    NO_WATERMARKS = "none"
    BOUNDED_OUT_OF_ORDERNESS = "bounded out of orderness"  # monotonous timestamps are a bound of 0


class WatermarkStrategy:
    """How event time advances with the elements.

    Attributes:
        kind: whether there are watermarks at all.
        max_out_of_orderness_ms: the watermark is the highest timestamp minus this minus 1.
        timestamp_assigner: where timestamps come from, None to keep those of the source.
        idle_timeout_ms: after so long without elements an input stops holding watermarks back; None never.
        alignment: (group, max drift in ms, update interval in ms) or None.
    """

    def __init__(self, j_watermark_strategy: Any = None) -> None:
        if j_watermark_strategy is not None:
            raise UnsupportedFeatureError(
                "WatermarkStrategy(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use WatermarkStrategy.for_monotonous_timestamps() or .for_bounded_out_of_orderness(Duration)."
            )
        self.kind = WatermarkKind.NO_WATERMARKS
        self.max_out_of_orderness_ms = 0
        self.timestamp_assigner: TimestampAssigner | None = None
        self.idle_timeout_ms: int | None = None
        self.alignment: tuple[str, int, int] | None = None

    def with_timestamp_assigner(self, timestamp_assigner: TimestampAssigner) -> WatermarkStrategy:
        """Takes timestamps from the assigner; changes this strategy and returns it."""
        self.timestamp_assigner = timestamp_assigner
        return self

    def with_idleness(self, idle_timeout: Duration) -> WatermarkStrategy:
        """A new strategy that calls an input idle after `idle_timeout` without elements."""
        if idle_timeout.to_millis() <= 0:
            raise ConfigurationError(f"idle_timeout must be greater than zero, got {idle_timeout!r}")
        changed = copy.copy(self)
        changed.idle_timeout_ms = idle_timeout.to_millis()
        return changed

    def with_watermark_alignment(
        self, watermark_group: str, max_allowed_watermark_drift: Duration, update_interval: Duration | None = None
    ) -> WatermarkStrategy:
        """A new strategy whose sources wait when they are further ahead of their group than the drift allows.

        Holds for strategies passed to `from_source`, in one process or several (Flink's FLIP-182). A source of the
        group that has no watermark yet, is not idle and not at its end makes all others wait.

        Args:
            watermark_group: sources of one group wait for each other.
            max_allowed_watermark_drift: how far ahead one may run.
            update_interval: how often they compare, 1 s where None.
        """
        changed = copy.copy(self)
        interval_ms = 1000 if update_interval is None else update_interval.to_millis()
        changed.alignment = (watermark_group, max_allowed_watermark_drift.to_millis(), interval_ms)
        return changed

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """For timestamps that only rise."""
        return WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(0))

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: Duration) -> WatermarkStrategy:
        """For elements that are late by no more than the duration."""
        if max_out_of_orderness.to_millis() < 0:
            raise ConfigurationError(f"max_out_of_orderness cannot be negative, got {max_out_of_orderness!r}")
        strategy = WatermarkStrategy()
        strategy.kind = WatermarkKind.BOUNDED_OUT_OF_ORDERNESS
        strategy.max_out_of_orderness_ms = max_out_of_orderness.to_millis()
        return strategy

    @staticmethod
    def no_watermarks() -> WatermarkStrategy:
        """For programs that do not use event time."""
        return WatermarkStrategy()


class AssignerWithPeriodicWatermarksWrapper:
    """PyFlink's wrapper of a Java assigner; constructing it raises UnsupportedFeatureError."""

    def __init__(self, j_assigner_with_periodic_watermarks: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            "AssignerWithPeriodicWatermarksWrapper wraps a Java object; there is no JVM in this process. "
            "Use a WatermarkStrategy with a TimestampAssigner."
        )

"""The metric classes (`pyflink.metrics.metricbase`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

__all__ = ["Counter", "Distribution", "Meter", "Metric", "MetricGroup"]


class MetricGroup(ABC):
    """Makes and names metrics. Owned by one subtask; task thread only."""

    @abstractmethod
    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        """A group below this one; with `extra` a key-value pair of groups, the value being `extra`."""

    @abstractmethod
    def counter(self, name: str) -> Counter:
        """Makes or finds a counter."""

    @abstractmethod
    def gauge(self, name: str, obj: Callable[[], int]) -> None:
        """Registers a callable that is asked for its value whenever metrics are read."""

    @abstractmethod
    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        """Makes or finds a meter: events per second over the last `time_span_in_seconds`."""

    @abstractmethod
    def distribution(self, name: str) -> Distribution:
        """Makes or finds a distribution of integer values."""


class Metric:
    """Base of the metrics."""


class Counter(Metric, ABC):
    """A count that goes up and down."""

    @abstractmethod
    def inc(self, n: int = 1) -> None:
        """Adds `n`."""

    @abstractmethod
    def dec(self, n: int = 1) -> None:
        """Takes `n` away."""

    @abstractmethod
    def get_count(self) -> int:
        """The count now."""


class Meter(Metric, ABC):
    """Measures how often something happens."""

    @abstractmethod
    def mark_event(self, value: int = 1) -> None:
        """Records `value` events now."""

    @abstractmethod
    def get_count(self) -> int:
        """How many events there were in all."""


class Distribution(Metric, ABC):
    """Sum, count, least and greatest of the values reported."""

    @abstractmethod
    def update(self, value: int) -> None:
        """Adds a value."""

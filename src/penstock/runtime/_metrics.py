"""Metrics of one subtask: what user functions register, kept where the task can read it.

User functions write from the task's thread; a reporter may read from another one at any time. Writes are plain
attribute updates, so a reader sees a recent value, never a torn one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from penstock.conf import Record
from penstock.metrics import Counter, Distribution, Meter, Metric, MetricGroup

__all__ = [
    "CountedEvents",
    "DistributionStatistics",
    "MetricRegistry",
    "ScopedMetricGroup",
    "SimpleCounter",
    "ValueDistribution",
]

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=Metric)

METER_UPDATE_INTERVAL_S = 5
"""How often the rate of a meter is computed (Flink's `View.UPDATE_INTERVAL_SECONDS`)."""


class SimpleCounter(Counter):
    """A count that goes up and down."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def inc(self, n: int = 1) -> None:
        """Adds `n`."""
        self._count += n

    def dec(self, n: int = 1) -> None:
        """Subtracts `n`."""
        self._count -= n

    def get_count(self) -> int:
        """The count now."""
        return self._count


class CountedEvents(Meter):
    """Events and their rate over the last `time_span_s` seconds (Flink's `MeterView`).

    Args:
        time_span_s: what the rate is averaged over, at least one update interval; rounded down to a multiple of it.
    """

    __slots__ = ("_count", "_rate", "_samples", "_time", "time_span_s")

    def __init__(self, time_span_s: int = 60) -> None:
        self.time_span_s = max(time_span_s - time_span_s % METER_UPDATE_INTERVAL_S, METER_UPDATE_INTERVAL_S)
        self._samples = [0] * (self.time_span_s // METER_UPDATE_INTERVAL_S + 1)
        self._time = 0
        self._count = 0
        self._rate = 0.0

    @property
    def intervals_kept(self) -> int:
        """After so many updates without events the rate is 0."""
        return len(self._samples)

    def mark_event(self, value: int = 1) -> None:
        """Counts `value` events."""
        self._count += value

    def get_count(self) -> int:
        """The events so far."""
        return self._count

    def get_rate(self) -> float:
        """Events per second as of the last update."""
        return self._rate

    def update(self) -> None:
        """Moves the time span on by one update interval."""
        self._time = (self._time + 1) % len(self._samples)
        self._samples[self._time] = count = self._count
        self._rate = (count - self._samples[(self._time + 1) % len(self._samples)]) / self.time_span_s


class DistributionStatistics(Record):
    """A distribution as it is reported; without values `min` and `max` are None."""

    count: int
    sum: float
    min: float | None
    max: float | None

    @property
    def mean(self) -> float | None:
        """The average, None without values."""
        return self.sum / self.count if self.count else None


class ValueDistribution(Distribution):
    """Count, sum, smallest and largest of the values seen."""

    __slots__ = ("_count", "_max", "_min", "_sum")

    def __init__(self) -> None:
        self._count = 0
        self._sum: float = 0
        self._min: float | None = None
        self._max: float | None = None

    def update(self, value: float) -> None:
        """Adds one value."""
        self._count += 1
        self._sum += value
        if self._min is None or value < self._min:
            self._min = value
        if self._max is None or value > self._max:
            self._max = value

    def get_statistics(self) -> DistributionStatistics:
        """The statistics so far."""
        return DistributionStatistics(self._count, self._sum, self._min, self._max)


class _Gauge(Metric):
    """A value computed when it is read."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read

    def get_value(self) -> Any:
        """The value now; None when the user's function fails."""
        try:
            return self._read()
        except Exception as error:
            logger.warning("A gauge could not be read: %r", error)
            return None


class MetricRegistry:
    """The metrics of one subtask by identifier: `<operator>.<group>.<group>.<name>`, as in Flink's operator scope."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._variables: dict[str, dict[str, str]] = {}
        self._last_update_ms: int | None = None

    def group(self, *scope: str) -> ScopedMetricGroup:
        """The metric group below the given names, usually one: the operator's."""
        return ScopedMetricGroup(self, scope, {})

    def register(self, identifier: str, kind: type[M], create: Callable[[], M], variables: dict[str, str]) -> M:
        """The metric of that identifier, created when it is new.

        A name that is in use for another kind of metric gives one that works but is not reported, with a warning, as
        in Flink's `AbstractMetricGroup`.
        """
        present = self._metrics.get(identifier)
        if present is not None:
            if isinstance(present, kind):
                return present
            logger.warning(
                "Name collision: the metric %r is a %s already; the %s of the same name will not be reported.",
                identifier,
                type(present).__name__,
                kind.__name__,
            )
            return create()
        metric = create()
        self._metrics[identifier] = metric
        if variables:
            self._variables[identifier] = variables
        return metric

    def replace_gauge(self, identifier: str, read: Callable[[], Any], variables: dict[str, str]) -> None:
        """Registers a gauge; the latest one of a name counts, so that a restarted function reports its own."""
        if isinstance(self._metrics.get(identifier), _Gauge):
            del self._metrics[identifier]
        self.register(identifier, _Gauge, lambda: _Gauge(read), variables)

    def update(self, now_ms: int) -> None:
        """Moves the meters on; call it about every `METER_UPDATE_INTERVAL_S` seconds, more often does no harm."""
        interval_ms = METER_UPDATE_INTERVAL_S * 1000
        if self._last_update_ms is None:
            self._last_update_ms = now_ms - interval_ms
        intervals = max(0, (now_ms - self._last_update_ms) // interval_ms)
        self._last_update_ms += intervals * interval_ms
        for metric in list(self._metrics.values()):
            if isinstance(metric, CountedEvents):
                for _ in range(min(intervals, metric.intervals_kept)):
                    metric.update()

    def values(self) -> Iterator[tuple[str, Any]]:
        """Identifier and value of each metric.

        Meters give two (`.count`, `.rate`), distributions five (`.count`, `.sum`, `.min`, `.max`, `.mean`).
        """
        for identifier, metric in list(self._metrics.items()):
            if isinstance(metric, Counter):
                yield identifier, metric.get_count()
            elif isinstance(metric, _Gauge):
                yield identifier, metric.get_value()
            elif isinstance(metric, CountedEvents):
                yield f"{identifier}.count", metric.get_count()
                yield f"{identifier}.rate", metric.get_rate()
            elif isinstance(metric, ValueDistribution):
                statistics = metric.get_statistics()
                for part in ("count", "sum", "min", "max", "mean"):
                    yield f"{identifier}.{part}", getattr(statistics, part)

    def variables(self, identifier: str) -> dict[str, str]:
        """The user variables (`add_group(key, value)`) of a metric, e.g. `{"<table>": "orders"}`."""
        return self._variables.get(identifier, {})


class ScopedMetricGroup(MetricGroup):
    """A metric group: a place in the registry under which a function registers. Owned by the task's thread."""

    __slots__ = ("_registry", "_scope", "_variables")

    def __init__(self, registry: MetricRegistry, scope: tuple[str, ...], variables: dict[str, str]) -> None:
        self._registry = registry
        self._scope = scope
        self._variables = variables

    def add_group(self, name: str, extra: str | None = None) -> ScopedMetricGroup:
        """A subgroup; with `extra` a key-value pair of groups, which also defines the user variable `<name>`."""
        if extra is None:
            return ScopedMetricGroup(self._registry, (*self._scope, name), self._variables)
        return ScopedMetricGroup(self._registry, (*self._scope, name, extra), {**self._variables, f"<{name}>": extra})

    def counter(self, name: str) -> Counter:
        """The counter of that name."""
        return self._register(name, SimpleCounter, SimpleCounter)

    def gauge(self, name: str, obj: Callable[[], Any]) -> None:
        """Registers a function that is called when the metric is read."""
        self._registry.replace_gauge(self._identifier(name), obj, self._variables)

    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        """The meter of that name."""
        return self._register(name, CountedEvents, lambda: CountedEvents(time_span_in_seconds))

    def distribution(self, name: str) -> Distribution:
        """The distribution of that name."""
        return self._register(name, ValueDistribution, ValueDistribution)

    def _identifier(self, name: str) -> str:
        return ".".join((*self._scope, name))

    def _register(self, name: str, kind: type[M], create: Callable[[], M]) -> M:
        return self._registry.register(self._identifier(name), kind, create, self._variables)

"""Restart strategies as values (`pyflink.common.restart_strategy`).

In Flink 2.x nothing takes them: the option `restart-strategy.type` sets the strategy. Programs of 1.x pass them to
`set_restart_strategy`, which writes these options.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from penstock.conf import Configuration, RestartStrategyOptions
from penstock.errors import UnsupportedFeatureError

__all__ = ["RestartStrategies", "RestartStrategyConfiguration"]

Delay = int | timedelta


class RestartStrategyConfiguration:
    """Base of the strategies' settings. Immutable; equal when class and settings are."""

    _options: dict[str, object] = {}
    _description = ""

    def __init__(self, j_restart_strategy: Any = None) -> None:
        if j_restart_strategy is not None:
            raise UnsupportedFeatureError(
                f"{type(self).__name__}(j_restart_strategy=…) wraps a Java object; there is no JVM in this process. "
                "Use RestartStrategies.fixed_delay_restart() and its like."
            )

    def get_description(self) -> str:
        """The strategy in a sentence."""
        return self._description

    def apply_to(self, configuration: Configuration) -> None:
        """Writes the strategy's options, replacing any other strategy's."""
        for key in list(configuration.keys()):
            if key.startswith("restart-strategy"):
                configuration.remove(key)
        for key, value in self._options.items():
            configuration.set(key, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RestartStrategyConfiguration) and self._options == other._options

    def __hash__(self) -> int:
        return hash(frozenset(self._options.items()))


class RestartStrategies:
    """Makes the strategies."""

    class NoRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The first failure ends the job."""

        _options = {RestartStrategyOptions.RESTART_STRATEGY.key: "none"}
        _description = "Restart deactivated."

    class FallbackRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The cluster's strategy."""

        _description = "Cluster level default restart strategy"

    class FixedDelayRestartStrategyConfiguration(RestartStrategyConfiguration):
        """So many restarts, so far apart (int: ms)."""

        def __init__(
            self,
            restart_attempts: int | None = None,
            delay_between_attempts_interval: Delay | None = None,
            j_restart_strategy: Any = None,
        ) -> None:
            super().__init__(j_restart_strategy)
            self._attempts = restart_attempts or 0
            self._delay = _delay("delay_between_attempts_interval", delay_between_attempts_interval)
            self._options = {
                RestartStrategyOptions.RESTART_STRATEGY.key: "fixed-delay",
                RestartStrategyOptions.FIXED_DELAY_ATTEMPTS.key: self._attempts,
                RestartStrategyOptions.FIXED_DELAY_DELAY.key: _milliseconds(self._delay),
            }
            self._description = f"Restart with fixed delay ({self._delay}). #{self._attempts} restart attempts."

        def get_restart_attempts(self) -> int:
            """How many restarts."""
            return self._attempts

        def get_delay_between_attempts_interval(self) -> timedelta:
            """How far apart."""
            return self._delay

    class FailureRateRestartStrategyConfiguration(RestartStrategyConfiguration):
        """Restarts unless there are more failures than that in an interval (int: ms)."""

        def __init__(
            self,
            max_failure_rate: int | None = None,
            failure_interval: Delay | None = None,
            delay_between_attempts_interval: Delay | None = None,
            j_restart_strategy: Any = None,
        ) -> None:
            super().__init__(j_restart_strategy)
            self._max_failure_rate = max_failure_rate or 0
            self._failure_interval = _delay("failure_interval", failure_interval)
            self._delay = _delay("delay_between_attempts_interval", delay_between_attempts_interval)
            self._options = {
                RestartStrategyOptions.RESTART_STRATEGY.key: "failure-rate",
                RestartStrategyOptions.FAILURE_RATE_MAX_FAILURES.key: self._max_failure_rate,
                RestartStrategyOptions.FAILURE_RATE_INTERVAL.key: _milliseconds(self._failure_interval),
                RestartStrategyOptions.FAILURE_RATE_DELAY.key: _milliseconds(self._delay),
            }
            self._description = (
                f"Failure rate restart with maximum of {self._max_failure_rate} failures within interval "
                f"{self._failure_interval} and fixed delay {self._delay}."
            )

        def get_max_failure_rate(self) -> int:
            """How many failures an interval."""
            return self._max_failure_rate

        def get_failure_interval(self) -> timedelta:
            """The interval."""
            return self._failure_interval

        def get_delay_between_attempts_interval(self) -> timedelta:
            """The wait before a restart."""
            return self._delay

    @staticmethod
    def no_restart() -> RestartStrategies.NoRestartStrategyConfiguration:
        """The first failure ends the job."""
        return RestartStrategies.NoRestartStrategyConfiguration()

    @staticmethod
    def fall_back_restart() -> RestartStrategies.FallbackRestartStrategyConfiguration:
        """The configured strategy."""
        return RestartStrategies.FallbackRestartStrategyConfiguration()

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: Delay
    ) -> RestartStrategies.FixedDelayRestartStrategyConfiguration:
        """So many restarts, so far apart (int: ms)."""
        return RestartStrategies.FixedDelayRestartStrategyConfiguration(restart_attempts, delay_between_attempts)

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: Delay, delay_interval: Delay
    ) -> RestartStrategies.FailureRateRestartStrategyConfiguration:
        """Restarts unless there are more failures than that in an interval (int: ms)."""
        return RestartStrategies.FailureRateRestartStrategyConfiguration(failure_rate, failure_interval, delay_interval)


def restart_strategy_of(configuration: Configuration) -> RestartStrategyConfiguration:
    """The strategy a configuration asks for, as a value; the fallback where it asks for none, or for another."""
    kind = configuration.get(RestartStrategyOptions.RESTART_STRATEGY)
    if kind in ("none", "off", "disable"):
        return RestartStrategies.no_restart()
    if kind in ("fixed-delay", "fixeddelay"):
        return RestartStrategies.fixed_delay_restart(
            configuration.get(RestartStrategyOptions.FIXED_DELAY_ATTEMPTS),
            configuration.get(RestartStrategyOptions.FIXED_DELAY_DELAY),
        )
    if kind in ("failure-rate", "failurerate"):
        return RestartStrategies.failure_rate_restart(
            configuration.get(RestartStrategyOptions.FAILURE_RATE_MAX_FAILURES),
            configuration.get(RestartStrategyOptions.FAILURE_RATE_INTERVAL),
            configuration.get(RestartStrategyOptions.FAILURE_RATE_DELAY),
        )
    return RestartStrategies.fall_back_restart()


def _delay(name: str, value: Delay | None) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, int):
        raise TypeError(
            f"The parameter '{name}' only supports integer and datetime.timedelta, current input type is {type(value)}."
        )
    return timedelta(milliseconds=value)


def _milliseconds(value: timedelta) -> int:
    return round(value.total_seconds() * 1000)

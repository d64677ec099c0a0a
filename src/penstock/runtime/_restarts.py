"""Restart strategies: whether and when a failed job runs again (Flink's `RestartBackoffTimeStrategy`).

A strategy is told of each failure and answers with a delay, or None when the job is to fail for good.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from random import Random

from penstock.conf import CheckpointingOptions, Configuration, RestartStrategyOptions
from penstock.errors import ConfigurationError

__all__ = ["ExponentialDelay", "FailureRate", "FixedDelay", "NoRestart", "RestartStrategy", "restart_strategy"]

NAMES = {
    "none": "none",
    "off": "none",
    "disable": "none",
    "fixed-delay": "fixed-delay",
    "fixeddelay": "fixed-delay",
    "failure-rate": "failure-rate",
    "failurerate": "failure-rate",
    "exponential-delay": "exponential-delay",
    "exponentialdelay": "exponential-delay",
}


class RestartStrategy(ABC):
    """Owned by the job's thread; lives as long as the job."""

    @abstractmethod
    def delay_ms(self, now_ms: int) -> int | None:
        """Called at each failure: how long to wait before the next attempt, or None to give up."""


class NoRestart(RestartStrategy):
    """`none`: the first failure ends the job."""

    def delay_ms(self, now_ms: int) -> int | None:
        """Never again."""
        return None


class FixedDelay(RestartStrategy):
    """`fixed-delay`: at most `attempts` restarts, `delay` ms apart."""

    def __init__(self, attempts: int, delay: int) -> None:
        self._left = attempts
        self._delay = delay

    def delay_ms(self, now_ms: int) -> int | None:
        """The fixed delay while attempts are left."""
        if self._left <= 0:
            return None
        self._left -= 1
        return self._delay


class FailureRate(RestartStrategy):
    """`failure-rate`: gives up when more than `failures` happen within `interval` ms."""

    def __init__(self, failures: int, interval: int, delay: int) -> None:
        self._times: deque[int] = deque(maxlen=failures + 1)
        self._failures = failures
        self._interval = interval
        self._delay = delay

    def delay_ms(self, now_ms: int) -> int | None:
        """The delay unless the rate is exceeded."""
        self._times.append(now_ms)
        if len(self._times) > self._failures and now_ms - self._times[0] <= self._interval:
            return None
        return self._delay


class ExponentialDelay(RestartStrategy):
    """`exponential-delay`: the delay grows with each failure and is reset after a quiet time.

    Args:
        initial: first delay, ms.
        most: largest delay, ms.
        multiplier: growth.
        reset_after: quiet ms after which the delay starts anew.
        jitter: share of the delay that is added or taken at random, 0 to 1.
        attempts: restarts at the most before a reset, None without limit.
        random: source of the jitter.
    """

    def __init__(
        self,
        initial: int,
        most: int,
        multiplier: float,
        reset_after: int,
        jitter: float,
        attempts: int | None = None,
        random: Random | None = None,
    ) -> None:
        self._initial = initial
        self._most = most
        self._multiplier = multiplier
        self._reset_after = reset_after
        self._jitter = jitter
        self._attempts = attempts
        self._random = random or Random()
        self._next = float(initial)
        self._count = 0
        self._last_ms: int | None = None

    def delay_ms(self, now_ms: int) -> int | None:
        """The next delay."""
        if self._last_ms is not None and now_ms - self._last_ms >= self._reset_after + self._next:
            self._next, self._count = float(self._initial), 0
        self._last_ms = now_ms
        self._count += 1
        if self._attempts is not None and self._count > self._attempts:
            return None
        delay = self._next
        self._next = min(self._next * self._multiplier, float(self._most))
        spread = delay * self._jitter
        return max(0, round(delay + self._random.uniform(-spread, spread)))


def restart_strategy(conf: Configuration, random: Random | None = None) -> RestartStrategy:
    """The strategy a configuration asks for; by default none, and exponential delay where checkpoints are taken, as in Flink 2.

    Raises:
        ConfigurationError: for an unknown name.
    """
    options = RestartStrategyOptions
    named = conf.get(options.RESTART_STRATEGY)
    if named is None:
        named = "exponential-delay" if conf.get(CheckpointingOptions.INTERVAL) else "none"
    name = NAMES.get(named.strip().lower())
    if name == "none":
        return NoRestart()
    if name == "fixed-delay":
        return FixedDelay(conf.get(options.FIXED_DELAY_ATTEMPTS), conf.get(options.FIXED_DELAY_DELAY))
    if name == "failure-rate":
        return FailureRate(
            conf.get(options.FAILURE_RATE_MAX_FAILURES),
            conf.get(options.FAILURE_RATE_INTERVAL),
            conf.get(options.FAILURE_RATE_DELAY),
        )
    if name == "exponential-delay":
        return ExponentialDelay(
            conf.get(options.EXPONENTIAL_INITIAL_BACKOFF),
            conf.get(options.EXPONENTIAL_MAX_BACKOFF),
            conf.get(options.EXPONENTIAL_BACKOFF_MULTIPLIER),
            conf.get(options.EXPONENTIAL_RESET_THRESHOLD),
            conf.get(options.EXPONENTIAL_JITTER_FACTOR),
            conf.get(options.EXPONENTIAL_ATTEMPTS),
            random,
        )
    raise ConfigurationError(
        f"restart-strategy.type is '{named}', which is no restart strategy. Use none, fixed-delay, failure-rate or "
        f"exponential-delay."
    )

"""Time, Duration and Instant (`pyflink.common.time`).

Windows and time-to-live take `Time`, watermark strategies and checkpoint settings take `Duration`: two types, as in
PyFlink. `Instant` is a value in a stream.
"""

from __future__ import annotations

__all__ = ["Duration", "Instant", "Time"]

_NANOS_A_MILLI = 1_000_000


class Time:
    """A length of time in milliseconds, for windows and state time-to-live. Immutable."""

    __slots__ = ("_milliseconds",)

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def to_milliseconds(self) -> int:
        """The length in ms."""
        return self._milliseconds

    @staticmethod
    def milliseconds(milliseconds: int) -> Time:
        """A length in ms."""
        return Time(milliseconds)

    @staticmethod
    def seconds(seconds: int) -> Time:
        """A length in seconds."""
        return Time(seconds * 1000)

    @staticmethod
    def minutes(minutes: int) -> Time:
        """A length in minutes."""
        return Time(minutes * 60_000)

    @staticmethod
    def hours(hours: int) -> Time:
        """A length in hours."""
        return Time(hours * 3_600_000)

    @staticmethod
    def days(days: int) -> Time:
        """A length in days of 24 hours."""
        return Time(days * 86_400_000)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self._milliseconds == other._milliseconds

    def __hash__(self) -> int:
        return hash(self._milliseconds)

    def __str__(self) -> str:
        return f"{self._milliseconds} ms"

    def __repr__(self) -> str:
        return f"Time({self._milliseconds})"


class Duration:
    """A length of time in nanoseconds, for watermark strategies and checkpoint settings. Immutable."""

    __slots__ = ("_nanos",)

    def __init__(self, nanos: int) -> None:
        self._nanos = nanos

    def to_millis(self) -> int:
        """The length in whole ms, rounded down as `java.time.Duration.toMillis` does."""
        return self._nanos // _NANOS_A_MILLI

    @staticmethod
    def of_nanos(nanos: int) -> Duration:
        """A length in ns."""
        return Duration(nanos)

    @staticmethod
    def of_millis(millis: int) -> Duration:
        """A length in ms."""
        return Duration(millis * _NANOS_A_MILLI)

    @staticmethod
    def of_seconds(seconds: int) -> Duration:
        """A length in seconds."""
        return Duration(seconds * 1000 * _NANOS_A_MILLI)

    @staticmethod
    def of_minutes(minutes: int) -> Duration:
        """A length in minutes."""
        return Duration(minutes * 60_000 * _NANOS_A_MILLI)

    @staticmethod
    def of_hours(hours: int) -> Duration:
        """A length in hours."""
        return Duration(hours * 3_600_000 * _NANOS_A_MILLI)

    @staticmethod
    def of_days(days: int) -> Duration:
        """A length in days of 24 hours."""
        return Duration(days * 86_400_000 * _NANOS_A_MILLI)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self._nanos == other._nanos

    def __hash__(self) -> int:
        return hash(self._nanos)

    def __repr__(self) -> str:
        return f"Duration({self._nanos} ns)"


class Instant:
    """A point on the time line: seconds since 1970-01-01T00:00:00Z, nanoseconds within the second. Immutable by use."""

    __slots__ = ("nanos", "seconds")

    def __init__(self, seconds: int, nanos: int) -> None:
        self.seconds = seconds
        self.nanos = nanos

    def to_epoch_milli(self) -> int:
        """Milliseconds since the epoch, rounded down."""
        return self.seconds * 1000 + self.nanos // _NANOS_A_MILLI

    @staticmethod
    def of_epoch_milli(epoch_milli: int) -> Instant:
        """The instant so many milliseconds after the epoch (before it where negative)."""
        seconds, millis = divmod(epoch_milli, 1000)
        return Instant(seconds, millis * _NANOS_A_MILLI)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instant) and self.seconds == other.seconds and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash((self.seconds, self.nanos))

    def __repr__(self) -> str:
        return f"Instant<{self.seconds}, {self.nanos}>"

"""Timers of a key (`pyflink.datastream.timerservice`)."""

from abc import ABC, abstractmethod

__all__ = ["TimerService"]


class TimerService(ABC):
    """Clocks and timers as a process function sees them. Times are epoch ms. Task thread only.

    A timer is one (key, time) pair however often it is registered. Registering and deleting need a keyed stream;
    elsewhere they raise "Register timers is only supported on a keyed stream."
    """

    @abstractmethod
    def current_processing_time(self) -> int:
        """The wall clock."""

    @abstractmethod
    def current_watermark(self) -> int:
        """The event time reached, MIN_LONG_VALUE before the first watermark."""

    @abstractmethod
    def register_processing_time_timer(self, timestamp: int) -> None:
        """Calls `on_timer` for the current key when the wall clock passes `timestamp`."""

    @abstractmethod
    def register_event_time_timer(self, timestamp: int) -> None:
        """Calls `on_timer` for the current key when the watermark passes `timestamp`."""

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Takes back a processing-time timer of the current key; nothing happens where there is none."""
        raise NotImplementedError

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Takes back an event-time timer of the current key; nothing happens where there is none."""
        raise NotImplementedError

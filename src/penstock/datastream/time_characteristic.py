"""Which time a program of Flink 1.x uses (`pyflink.datastream.time_characteristic`); absent from 2.x."""

from enum import Enum

__all__ = ["TimeCharacteristic"]


class TimeCharacteristic(Enum):
    """The clock of windows and timers; since 1.12 every assigner and timer says its own."""

    ProcessingTime = 0
    IngestionTime = 1
    EventTime = 2

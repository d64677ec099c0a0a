"""Which clock a timer follows (`pyflink.datastream.time_domain`)."""

from enum import Enum

__all__ = ["TimeDomain"]


class TimeDomain(Enum):
    """Event time follows the watermark, processing time the wall clock."""

    EVENT_TIME = 0
    PROCESSING_TIME = 1

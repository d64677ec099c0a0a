"""How a job is executed (`pyflink.datastream.execution_mode`)."""

from enum import Enum

__all__ = ["RuntimeExecutionMode"]


class RuntimeExecutionMode(Enum):
    """STREAMING gives running results; BATCH final ones, of bounded inputs; AUTOMATIC is BATCH where all inputs are."""

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2

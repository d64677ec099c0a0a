"""What a checkpoint promises (`pyflink.datastream.checkpointing_mode`)."""

from enum import Enum

__all__ = ["CheckpointingMode"]


class CheckpointingMode(Enum):
    """Whether a record's effect on state counts exactly once after a restart, or at least once."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1

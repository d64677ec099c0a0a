"""How Flink 1.x exchanged data in DataSet programs (`pyflink.common.execution_mode`); absent from 2.x."""

from enum import Enum

__all__ = ["ExecutionMode"]


class ExecutionMode(Enum):
    """What `ExecutionConfig.set_execution_mode` takes; no effect."""

    PIPELINED = 0
    PIPELINED_FORCED = 1
    BATCH = 2
    BATCH_FORCED = 3

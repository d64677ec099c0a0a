"""Options of network buffers."""

from __future__ import annotations

from penstock.conf._memory_size import MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, DURATION, INTEGER, SIZE

__all__ = ["NetworkOptions"]


class NetworkOptions:
    """Network buffers (Flink's `NettyShuffleEnvironmentOptions`, and buffer debloating)."""

    MAX_REQUIRED_BUFFERS_PER_GATE: ConfigOption[int | None] = ConfigOption(
        "taskmanager.network.memory.read-buffer.required-per-gate.max",
        INTEGER,
        None,
        "Most buffers an input gate requires to start; at least 1. Not set: unlimited for pipelined exchanges, 1000 "
        "for blocking ones.",
    )
    SORT_SHUFFLE_MIN_BUFFERS = ConfigOption(
        "taskmanager.network.sort-shuffle.min-buffers",
        INTEGER,
        512,
        "Buffers a blocking result partition requires; 16 by default in local execution.",
    )
    BUFFERS_REQUEST_TIMEOUT = ConfigOption(
        "taskmanager.network.memory.buffers-request-timeout",
        DURATION,
        30_000,
        "How long a request for exclusive buffers waits for buffers to come back.",
        ("taskmanager.network.memory.exclusive-buffers-request-timeout-ms",),
        default_text="30 s",
    )
    BATCH_SHUFFLE_READ_MEMORY = ConfigOption(
        "taskmanager.memory.framework.off-heap.batch-shuffle.size",
        SIZE,
        MemorySize(64 * 2**20),
        "Buffers for reading blocking shuffles; meant to lie inside framework off-heap memory.",
    )
    BUFFER_DEBLOAT_ENABLED = ConfigOption(
        "taskmanager.network.memory.buffer-debloat.enabled",
        BOOLEAN,
        False,
        "Whether the fill of buffers in flight is adapted to throughput.",
    )
    BUFFER_DEBLOAT_TARGET = ConfigOption(
        "taskmanager.network.memory.buffer-debloat.target",
        DURATION,
        1000,
        "How long data in flight should take to be consumed.",
        default_text="1 s",
    )
    BUFFER_DEBLOAT_PERIOD = ConfigOption(
        "taskmanager.network.memory.buffer-debloat.period",
        DURATION,
        200,
        "How often buffer sizes are adapted.",
        default_text="200 ms",
    )
    BUFFER_DEBLOAT_SAMPLES = ConfigOption(
        "taskmanager.network.memory.buffer-debloat.samples",
        INTEGER,
        20,
        "Samples over which the buffer size is smoothed.",
    )
    BUFFER_DEBLOAT_THRESHOLD_PERCENTAGES = ConfigOption(
        "taskmanager.network.memory.buffer-debloat.threshold-percentages",
        INTEGER,
        25,
        "Least change, in percent, that is announced to senders.",
    )
    MIN_MEMORY_SEGMENT_SIZE = ConfigOption(
        "taskmanager.memory.min-segment-size",
        SIZE,
        MemorySize(256),
        "Least fill of a debloated buffer.",
    )
    STARTING_MEMORY_SEGMENT_SIZE = ConfigOption(
        "taskmanager.memory.starting-segment-size",
        SIZE,
        MemorySize(1024),
        "Fill of a new subpartition's buffers when debloating is on.",
    )

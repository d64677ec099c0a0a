"""Penstock's own options of a process: collection of garbage, reports, the memory log."""

from __future__ import annotations

from penstock.conf._option import ConfigOption
from penstock.conf._types import DOUBLE, DURATION, INTEGER, STRING, choice_of

__all__ = ["RuntimeOptions"]


class RuntimeOptions:
    """The runtime of a process (Penstock's own, Flink has no counterpart)."""

    GARBAGE_POLICY = ConfigOption(
        "penstock.gc.policy",
        choice_of("auto", "default"),
        "auto",
        "Who decides when Python's cycle collector looks at all objects. `auto`: the runtime, between batches, when "
        "the heap has grown, at the soft limit, and when idle; the interpreter's settings come back when the job ends. "
        "`default`: the interpreter, as the program left it.",
    )
    GARBAGE_THRESHOLD = ConfigOption(
        "penstock.gc.threshold",
        INTEGER,
        100_000,
        "Under `penstock.gc.policy: auto`: net allocations of containers between two collections of young objects.",
    )
    GARBAGE_GROWTH = ConfigOption(
        "penstock.gc.growth-fraction",
        DOUBLE,
        0.5,
        "Under `penstock.gc.policy: auto`: all objects are collected when the heap has grown by this fraction, and by "
        "at least 32 MiB, since it was smallest after the last full collection. Where that freed next to nothing, the "
        "next is due after twice the growth, up to four times.",
    )
    REPORT_DIRECTORY: ConfigOption[str | None] = ConfigOption(
        "penstock.memory.report.dir",
        STRING,
        None,
        "Where a process that fails for lack of memory leaves its report (`oom-….json` and `.txt`, `heap-end-….json`). "
        "Not set, it is the directory `penstock-reports` in the system's temporary directory.",
        default_text="a temporary directory",
    )
    REPORT_TIME = ConfigOption(
        "penstock.memory.report.timeout",
        DURATION,
        10_000,
        "How long the report of a failure may take to look at the heap.",
    )
    MEMORY_LOG_INTERVAL = ConfigOption(
        "penstock.memory.log.interval",
        DURATION,
        1000,
        "Time between two lines of the memory log (`penstock run --memory-log FILE`).",
    )

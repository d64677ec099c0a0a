"""A program to be killed: keyed counts, windows and timers into files, with checkpoints in a directory.

Usage: killed_program.py <directory> <records> <parallelism> <backend> <rolls>
"""

from __future__ import annotations

import sys
from pathlib import Path

from programs import BODIES, KILLED, PacedNumbers, by_value, environment, file_sink, use_record_clock

from penstock.common import Types


def main() -> None:
    directory, records, parallelism, backend, rolls = sys.argv[1:6]
    use_record_clock(setattr)
    env = environment(
        int(parallelism),
        {
            "state.backend.type": backend,
            "penstock.state.auto.heap-size": "20 kb",
            "io.tmp.dirs": f"{directory}/tmp",
            "execution.checkpointing.interval": "15 ms",
            "execution.checkpointing.dir": f"{directory}/checkpoints",
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            "execution.checkpointing.data-inline-threshold": "100 b",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 1_000_000,
            "restart-strategy.fixed-delay.delay": "0 ms",
        },
    )
    source = env.from_source(PacedNumbers(int(records), 40, 2), by_value(), "numbers", Types.LONG()).uid("numbers")
    streams = [BODIES[body](env, source) for body in KILLED]
    streams[0].union(*streams[1:]).sink_to(file_sink(Path(directory, "out"), rolls)).uid("sink")
    env.execute()
    Path(directory, "finished").touch()


if __name__ == "__main__":
    main()

"""Progress of a job on a terminal: records, rate, percent where the sources know, how far the watermark is behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from penstock.conf import Configuration, ExecutionOptions
from penstock.runtime._task import Task
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP

__all__ = ["Progress", "progress_line", "wants_progress"]

INTERVAL_MS = 500
_CLEAR = "\r\x1b[2K"


def wants_progress(conf: Configuration, stream: TextIO = sys.stderr) -> bool:
    """Whether progress is shown: as configured, else on a terminal."""
    configured = conf.get(ExecutionOptions.JOB_STATUS_PROGRESS)
    return stream.isatty() if configured is None else configured


class Progress:
    """One line that is rewritten twice a second. Owned by the job's thread.

    Args:
        name: the job's.
        tasks: gives the tasks of the current attempt.
        clock: epoch ms.
        stream: where the line goes.
    """

    def __init__(
        self, name: str, tasks: Callable[[], Sequence[Task]], clock: Callable[[], int], stream: TextIO = sys.stderr
    ) -> None:
        self._name = name
        self._tasks = tasks
        self._stream = stream
        self._started_ms = clock()
        self._last = (self._started_ms, 0)
        self._shown = False

    def update(self, now_ms: int) -> int:
        """Rewrites the line if it is time; returns when it wants to be called again."""
        if now_ms - self._last[0] < INTERVAL_MS:
            return self._last[0] + INTERVAL_MS
        records = sum(task.counters.records_in for task in self._tasks() if task.is_source)
        rate = (records - self._last[1]) * 1000 / (now_ms - self._last[0])
        self._last = (now_ms, records)
        self._stream.write(_CLEAR + progress_line(self._name, self._tasks(), records, rate, now_ms))
        self._stream.flush()
        self._shown = True
        return now_ms + INTERVAL_MS

    def close(self) -> None:
        """Takes the line away."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()


def progress_line(name: str, tasks: Sequence[Task], records: int, rate: float, now_ms: int) -> str:
    """E.g. `word count: 1.2 M records, 350.0 k/s, 45 %, watermark 3 s behind`."""
    parts = [f"{_short(records)} records", f"{_short(rate)}/s"]
    done = [known for task in tasks if task.reader is not None and (known := task.reader.progress()) is not None]
    total = sum(one[1] for one in done)
    if total:
        parts.append(f"{100 * sum(one[0] for one in done) / total:.0f} %")
    watermarks = [task.counters.watermark for task in tasks if not task.is_source]
    lowest = min(watermarks, default=NO_TIMESTAMP)
    if NO_TIMESTAMP < lowest < MAX_WATERMARK:
        parts.append(f"watermark {max(0, now_ms - lowest) // 1000} s behind")
    return f"{name}: {', '.join(parts)}"


def _short(number: float) -> str:
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.1f}{unit}"
    return f"{number:.0f}"

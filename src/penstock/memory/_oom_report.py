"""The out-of-memory report: what the heap dump is to a JVM, made to work when there is no memory left to make it with.

It is written section by section, each of which may fail without the others; it looks at the heap for a bounded time
and within a bounded amount of memory, out of the heap's reserve. `penstock diagnose` reads the JSON; the text is for
people.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from penstock.memory._garbage import GarbageStatistics, show_frozen_objects
from penstock.memory._heap_census import HeapCensus, frame_roots, module_roots, take_census
from penstock.memory._ledger import Ledger
from penstock.memory._memory_failure import MemoryFailure, StateFigure
from penstock.memory._oom_report_text import report_text
from penstock.memory._process_memory import peak_resident_bytes
from penstock.memory._tracked_objects import count_tracked_objects, holder_path

__all__ = ["REPORT_KIND", "OomReport", "ReportContext", "witness_of_failure", "write_oom_report"]

REPORT_KIND = "penstock-oom-report"
REPORT_VERSION = 1
DEFAULT_TIMEOUT_S = 10.0
DEFAULT_ALLOWANCE_BYTES = 2 << 20
_FRAMES_MAX = 100
# Of the time: looking down from the roots, counting everything, looking for holders.
_CENSUS_SHARE, _COUNT_SHARE = 0.4, 0.3

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What the runtime knows and a report shows.

    Attributes:
        job: the job's name.
        role: whose memory: `taskmanager` or `local`.
        configuration: the configured memory options, key to text: `diagnose` plans again from them.
        plan: component to bytes, as planned.
        states: the keyed states with their sizes.
        roots: named objects of the tasks, such as tables of state, operators and user functions: what they lead to is
            named after them.
        garbage: what the collector did.
        witness: the census of the failing call's local variables, taken before they were dropped.
    """

    job: str = ""
    role: str = "taskmanager"
    configuration: Mapping[str, str] = field(default_factory=dict)
    plan: Mapping[str, int] = field(default_factory=dict)
    states: Sequence[StateFigure] = ()
    roots: Sequence[tuple[str, Any]] = ()
    garbage: GarbageStatistics | None = None
    witness: HeapCensus | None = None


@dataclass(frozen=True, slots=True)
class OomReport:
    """A report that was written.

    Attributes:
        json_path: for `penstock diagnose`.
        text_path: for people; "" where it could not be written.
        content: the report.
    """

    json_path: str
    text_path: str
    content: Mapping[str, Any]


def write_oom_report(
    directory: str,
    failure: MemoryFailure,
    ledger: Ledger | None,
    context: ReportContext = ReportContext(),
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    allowance_bytes: int = DEFAULT_ALLOWANCE_BYTES,
    drop: Callable[[], None] | None = None,
) -> OomReport:
    """Looks at the heap and writes `oom-<pid>-<n>.json` and `.txt`.

    Call it on a thread that is exempt from the heap's limit, after the failed call's frames were dropped and before
    state is.

    Args:
        directory: where to; made if it is not there.
        failure: what failed.
        ledger: this process's ledger.
        context: what the runtime knows.
        timeout_s: how long it may look at the heap.
        allowance_bytes: memory it may use to count objects where that needs a copy of the collector's list.
        drop: called when the heap has been looked at, before anything is written: lets go of what `roots` refers to.

    Raises:
        OSError: the JSON file cannot be written.
    """
    content: dict[str, Any] = {
        "kind": REPORT_KIND,
        "version": REPORT_VERSION,
        "time_ms": time.time_ns() // 1_000_000,
        "process_id": os.getpid(),
        "python": platform.python_version(),
        "job": context.job,
        "role": context.role,
        "failure": failure.as_dict(),
    }
    if ledger is not None:
        content["ledger"] = _section(lambda: ledger.snapshot().as_dict())
    content["peak_rss_bytes"] = peak_resident_bytes()
    content["states"] = _section(lambda: _states(context.states))
    content["garbage"] = _section(lambda: _collect(context.garbage))
    content |= _look_at_heap(context, timeout_s, allowance_bytes)
    content["configuration"] = dict(context.configuration)
    content["plan"] = dict(context.plan)
    if drop is not None:
        drop()
    return _write(Path(directory), content)


def witness_of_failure(error: BaseException, timeout_s: float = 1.0, visited_max: int = 5000) -> HeapCensus:
    """A census of the local variables of the frames an exception came through, innermost first; its traceback stays.

    Args:
        error: what was caught, with its traceback.
        timeout_s: how long it may look.
        visited_max: how many objects it may look at, about 100 bytes each.
    """
    frames: list[FrameType] = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return take_census(frame_roots(_own_frames(frames[::-1])), timeout_s=timeout_s, visited_max=visited_max)


def _look_at_heap(context: ReportContext, timeout_s: float, allowance_bytes: int) -> dict[str, Any]:
    started_s = time.monotonic()
    show_frozen_objects()
    roots = itertools.chain(context.roots, _other_frames(), module_roots())
    census = take_census(roots, timeout_s=timeout_s * _CENSUS_SHARE)
    sections: dict[str, Any] = {"heap": _census_section(census)}
    if context.witness is not None:
        sections["call"] = _census_section(context.witness)

    def count() -> dict[str, Any] | None:
        counted = count_tracked_objects(allowance_bytes=allowance_bytes, timeout_s=timeout_s * _COUNT_SHARE)
        if counted is None:
            return None
        unnamed = [thing for thing in counted.large if id(thing) not in census.visited]
        return {
            "object_count": counted.object_count,
            "complete": counted.complete,
            "types": [asdict(figure) for figure in counted.types],
            "unnamed_containers": [
                {
                    "path": holder_path(thing, started_s + timeout_s),
                    "type_name": type(thing).__name__,
                    "entries": len(thing),
                    "own_bytes": sys.getsizeof(thing),
                }
                for thing in unnamed
            ],
        }

    sections["tracked"] = _section(count)
    sections["looked_for_s"] = round(time.monotonic() - started_s, 3)
    return sections


def _census_section(census: HeapCensus) -> dict[str, Any]:
    return {
        "visited_objects": census.visited_objects,
        "complete": census.complete,
        "time_s": round(census.time_s, 3),
        "types": [asdict(figure) for figure in census.types],
        "containers": [asdict(figure) for figure in census.containers],
        "allocation_sites": [
            {"file": file, "line": line, "count": count, "size_bytes": size_bytes}
            for (file, line), count, size_bytes in census.sites
        ],
    }


def _states(states: Iterable[StateFigure]) -> list[dict[str, Any]]:
    figures = sorted(states, key=lambda figure: -(figure.size_bytes or 0))
    return [asdict(figure) for figure in figures[:200]]


def _collect(statistics: GarbageStatistics | None) -> dict[str, Any]:
    """What the collector did, and what a last collection of everything still finds."""
    show_frozen_objects()
    unreachable_objects = gc.collect()
    section: dict[str, Any] = {"unreachable_objects": unreachable_objects}
    return section if statistics is None else {**section, **asdict(statistics)}


def _section(build: Callable[[], Any]) -> Any:
    """A part of the report, or why it is missing."""
    try:
        return build()
    except Exception as error:  # one section must not cost the others
        return {"error": f"{type(error).__name__}: {error}"}


def _own_frames(frames: Iterable[FrameType]) -> list[FrameType]:
    """The program's frames, without Penstock's."""
    package = os.path.dirname(os.path.dirname(__file__)) + os.sep
    own = (frame for frame in frames if not frame.f_code.co_filename.startswith((package, "<penstock")))
    return list(itertools.islice(own, _FRAMES_MAX))


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _other_frames() -> Iterable[tuple[str, Any]]:
    """The local variables of all threads' frames."""
    for frame in sys._current_frames().values():
        yield from frame_roots(_own_frames(_stack(frame)))


def _write(directory: Path, content: dict[str, Any]) -> OomReport:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"oom-{os.getpid()}-{next(_numbers)}.json"
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, default=str)
        file.write("\n")
    text_path = path.with_suffix(".txt")
    try:
        text_path.write_text(report_text(content) + "\n", encoding="utf-8")
    except OSError:
        return OomReport(str(path), "", content)
    return OomReport(str(path), str(text_path), content)

"""From a report's figures to the likely cause: the first rule that its figures bear out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.memory import short_size

__all__ = ["Cause", "cause_of_heap", "cause_of_other"]

# A part of the heap that is at least this much of it is named as the cause.
_DOMINANT_FRACTION = 0.3
_REQUEST_FRACTION = 0.25
_BASELINE_FRACTION = 0.6
_EVIDENCE_LINES = 4
_WORTH_A_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Cause:
    """A likely cause.

    Attributes:
        name: its id.
        explanation: in a sentence or two.
        evidence: the figures that bear it out.
        advice: what to do about it, besides giving it more memory.
        grows: whether more memory may only put the failure off.
    """

    name: str
    explanation: str
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    grows: bool = False


@dataclass(frozen=True, slots=True)
class _Case:
    """A report, the failure it is about, and what the heap held."""

    report: Mapping[str, Any]
    failure: Mapping[str, Any]
    used_bytes: int


def cause_of_heap(report: Mapping[str, Any]) -> Cause:
    """Why the heap ran out."""
    failure = report["failure"]
    case = _Case(report, failure, max(failure["used_bytes"], failure["limit_bytes"], 1))
    for rule in (_local_variables, _keyed_state, _one_container, _large_request, _garbage, _interpreter):
        cause = rule(case)
        if cause is not None:
            return cause
    return Cause(
        "many-objects",
        "No single container holds most of the heap: it is made up of many objects in many places.",
        tuple(_type_lines(report)),
        ("The report's tables of containers and types show what there is most of.",),
        grows=True,
    )


def cause_of_other(report: Mapping[str, Any]) -> Cause:
    """Why something else than the heap ran out."""
    component = report["failure"]["component"] if "failure" in report else "process"
    return {
        "managed": Cause(
            "managed-memory-shared-out",
            "Operators, state backends and workers of a slot reserve managed memory before they use it; what was asked "
            "for did not fit beside what others in the slot hold. Nothing waits and nothing is taken from others.",
            advice=(
                "Fewer operators in the slot (lower parallelism, or slot sharing groups of their own) need less; "
                "'taskmanager.memory.managed.consumer-weights' moves the shares.",
            ),
        ),
        "network": Cause(
            "network-guarantees",
            "Each exchange is guaranteed a minimum of network buffers, which grows with the square of the parallelism "
            "between two operators. The guarantees of all tasks together exceed the network memory; what is in use at "
            "the moment does not matter.",
            advice=("A lower parallelism needs fewer buffers.",),
        ),
        "off-heap": Cause(
            "native-memory",
            "NumPy, Arrow or another native library asked for more than the plan gives native memory of user code.",
            tuple(_container_lines(report)),
            advice=("Process the data in smaller portions, or let go of arrays earlier.",),
            grows=True,
        ),
        "process": Cause(
            "outside-the-heap",
            "The process as a whole passed its limit while the heap guard saw nothing wrong: the memory is native "
            "(libraries, buffers), in child processes, or shared.",
            advice=(
                "'penstock run --memory' shows which component grows; what is unattributed there is native memory that "
                "no hook sees.",
            ),
            grows=True,
        ),
    }[component]


def _large_request(case: _Case) -> Cause | None:
    requested = case.failure["requested_bytes"]
    if requested < _REQUEST_FRACTION * case.failure["limit_bytes"] or not case.failure["limit_bytes"]:
        return None
    return Cause(
        "large-request",
        f"One single request of {short_size(requested)} did not fit. Containers that grow are copied into one half as "
        f"large again, or twice as large: for a moment both are there.",
        (*_frame_lines(case.failure), *_container_lines(case.report)),
        ("Build the object in portions, or give its size beforehand.",),
    )


def _local_variables(case: _Case) -> Cause | None:
    freed = case.failure["freed_bytes"]
    if freed < _DOMINANT_FRACTION * case.used_bytes:
        return None
    held = _section(case.report, "call").get("containers") or ()
    return Cause(
        "local-variables",
        f"The failed call itself held {short_size(freed)} in its local variables, which came free when it ended: it "
        f"built something too large at once.",
        (*(_container_line(figure) for figure in held[:_EVIDENCE_LINES]), *_frame_lines(case.failure)),
        ("Emit results as they come (yield) instead of collecting them; keep what must be kept in keyed state.",),
        grows=True,
    )


def _keyed_state(case: _Case) -> Cause | None:
    states = case.report.get("states") or ()
    if not isinstance(states, list):
        return None
    on_heap = [state for state in states if "rocksdb" not in state["backend"] and state["size_bytes"]]
    total = sum(state["size_bytes"] for state in on_heap)
    if total < _DOMINANT_FRACTION * case.used_bytes:
        return None
    largest = on_heap[0]
    lines = [
        f"{short_size(state['size_bytes'])} in {state['entries'] or 0:,} entries: state '{state['descriptor']}' of "
        f"{state['operator']} ({state['subtask']})"
        for state in on_heap[:_EVIDENCE_LINES]
    ]
    return Cause(
        "keyed-state",
        f"Keyed state takes {short_size(total)} of the heap, most of it state '{largest['descriptor']}' of "
        f"{largest['operator']}. The hashmap backend keeps all of it as Python objects.",
        tuple(lines),
        (
            "Set 'state.backend.type: rocksdb' to keep state on disk inside managed memory.",
            "Give the state a time to live (StateTtlConfig) where keys stop coming.",
        ),
        grows=True,
    )


def _one_container(case: _Case) -> Cause | None:
    containers = _section(case.report, "heap").get("containers") or ()
    unnamed = _section(case.report, "tracked").get("unnamed_containers") or ()
    largest = containers[0] if containers else None
    if largest is None or largest["deep_bytes"] < _DOMINANT_FRACTION * case.used_bytes:
        if unnamed and unnamed[0]["own_bytes"] >= _DOMINANT_FRACTION * case.used_bytes / 4:
            largest = {**unnamed[0], "deep_bytes": unnamed[0]["own_bytes"]}
        else:
            return None
    return Cause(
        "function-memory",
        f"{largest['path']}, a {largest['type_name']} of {largest['entries']:,} entries, holds "
        f"{short_size(largest['deep_bytes'])}. It belongs to the program, not to keyed state: nothing bounds it, moves "
        f"it to disk or restores it.",
        tuple(_container_lines(case.report)),
        (
            "Bound it (an LRU cache, a window), or keep it in keyed state with a RuntimeContext state descriptor.",
            "With 'state.backend.type: rocksdb' keyed state does not count towards the heap.",
        ),
        grows=True,
    )


def _garbage(case: _Case) -> Cause | None:
    found = _section(case.report, "garbage").get("unreachable_objects") or 0
    held = _section(case.report, "heap").get("types") or ()
    alive = sum(figure["size_bytes"] for figure in held)
    if found < 50_000 or alive > case.used_bytes * (1 - _DOMINANT_FRACTION):
        return None
    return Cause(
        "cyclic-garbage",
        f"A last collection found {found:,} unreachable objects: reference cycles that had not been collected yet.",
        advice=(
            "Leave 'penstock.gc.policy' at 'auto', and break cycles in the program (weakref, or no back references).",
        ),
    )


def _interpreter(case: _Case) -> Cause | None:
    held = _section(case.report, "heap").get("types") or ()
    alive = sum(figure["size_bytes"] for figure in held)
    if not held or alive > case.used_bytes * (1 - _BASELINE_FRACTION) or case.used_bytes > 256 << 20:
        return None
    return Cause(
        "small-heap",
        f"The program's data is only {short_size(alive)} of {short_size(case.used_bytes)}: the interpreter, the "
        f"modules and the runtime take most of this heap.",
        tuple(_type_lines(case.report)),
        ("Give the process more heap, or import fewer large libraries.",),
    )


def _section(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = report.get(name)
    return section if isinstance(section, Mapping) else {}


def _container_line(figure: Mapping[str, Any]) -> str:
    return (
        f"{short_size(figure['deep_bytes'])}: {figure['path']} ({figure['type_name']}, {figure['entries']:,} entries)"
    )


def _container_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The largest containers, without those inside one that is named already."""
    named: list[str] = []
    for figure in _section(report, "heap").get("containers") or ():
        if figure["deep_bytes"] < _WORTH_A_LINE_BYTES or len(named) == _EVIDENCE_LINES:
            return
        if not figure["path"].startswith(tuple(named)):
            named.append(figure["path"])
            yield _container_line(figure)


def _type_lines(report: Mapping[str, Any]) -> Iterator[str]:
    for figure in (_section(report, "heap").get("types") or ())[:_EVIDENCE_LINES]:
        yield f"{short_size(figure['size_bytes'])} in {figure['count']:,} objects of type {figure['type_name']}"


def _frame_lines(failure: Mapping[str, Any]) -> Iterator[str]:
    own = [frame for frame in failure["frames"] if "/penstock/" not in frame]
    for frame in own[-2:]:
        yield f"at {frame}"

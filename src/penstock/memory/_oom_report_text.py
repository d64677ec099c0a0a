"""An out-of-memory report in words, from its JSON form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.memory._ledger import LedgerSnapshot
from penstock.memory._ledger_table import ledger_table, short_size

__all__ = ["report_text"]

_STATES_SHOWN = 15
_TYPES_SHOWN = 12
_CONTAINERS_SHOWN = 12
_SITES_SHOWN = 12


def report_text(report: Mapping[str, Any]) -> str:
    """The whole report for people; sections that could not be made say why."""
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    failure = report["failure"]
    where = f" in {failure['task']}" if failure["task"] else ""
    job = f" of job '{report['job']}'" if report["job"] else ""
    yield f"Out of memory ({failure['component']}){where}{job}"
    yield ""
    yield failure["message"]
    if failure["operator"]:
        subtask = "" if failure["subtask"] is None else f", subtask {failure['subtask']}"
        yield f"Operator: {failure['operator']}{subtask}"
    if failure["freed_bytes"]:
        yield f"The failed call itself held {short_size(failure['freed_bytes'])} in its local variables."
    if failure["frames"]:
        yield "Last frames:"
        yield from (f"  {frame}" for frame in failure["frames"])
    yield from _ledger(report.get("ledger"))
    yield from _states(report.get("states"))
    yield from _census("Held by the failed call", report.get("call"))
    yield from _census("Held in the heap", report.get("heap"))
    yield from _tracked(report.get("tracked"))
    yield from _garbage(report.get("garbage"))


def _heading(title: str) -> Iterator[str]:
    yield ""
    yield title
    yield "-" * len(title)


def _failed(section: Any) -> str | None:
    return section["error"] if isinstance(section, Mapping) and "error" in section else None


def _ledger(section: Any) -> Iterator[str]:
    if section is None:
        return
    yield from _heading("Ledger")
    problem = _failed(section)
    yield f"not available: {problem}" if problem else ledger_table(LedgerSnapshot.from_dict(section))


def _states(section: Any) -> Iterator[str]:
    if not section:
        return
    yield from _heading("Keyed state")
    problem = _failed(section)
    if problem:
        yield f"not available: {problem}"
        return
    for state in section[:_STATES_SHOWN]:
        size = "?" if state["size_bytes"] is None else short_size(state["size_bytes"])
        entries = "?" if state["entries"] is None else f"{state['entries']:,}"
        yield (
            f"{size:>12}  {entries:>14} entries  {state['operator']} ({state['subtask']}): {state['descriptor']} "
            f"({state['backend']})"
        )


def _census(title: str, section: Any) -> Iterator[str]:
    if section is None:
        return
    yield from _heading(title)
    sort = "" if section["complete"] else f" (estimated from {section['visited_objects']:,} objects)"
    yield f"Largest containers, with all that hangs on them{sort}:"
    for figure in section["containers"][:_CONTAINERS_SHOWN]:
        yield (
            f"{short_size(figure['deep_bytes']):>12}  {figure['path']}: {figure['type_name']}, "
            f"{figure['entries']:,} entries"
        )
    yield f"Objects by type{sort}:"
    yield from _types(section["types"])
    if section["allocation_sites"]:
        yield "Where they were allocated:"
        for site in section["allocation_sites"][:_SITES_SHOWN]:
            size = short_size(site["size_bytes"])
            yield f"{size:>12}  {site['count']:>12,}  {site['file']}:{site['line']}"


def _types(figures: list[Mapping[str, Any]]) -> Iterator[str]:
    for figure in figures[:_TYPES_SHOWN]:
        yield f"{short_size(figure['size_bytes']):>12}  {figure['count']:>12,}  {figure['type_name']}"


def _tracked(section: Any) -> Iterator[str]:
    if section is None:
        return
    yield from _heading("All containers and instances by type")
    problem = _failed(section)
    if problem:
        yield f"not available: {problem}"
        return
    yield f"{section['object_count']:,} objects{'' if section['complete'] else ', not all of them'}:"
    yield from _types(section["types"])
    for container in section["unnamed_containers"]:
        size = short_size(container["own_bytes"])
        yield f"Also: a {container['type_name']} of {container['entries']:,} entries ({size}), {container['path']}"


def _garbage(section: Any) -> Iterator[str]:
    if not section:
        return
    yield from _heading("Garbage collection")
    problem = _failed(section)
    if problem:
        yield f"not available: {problem}"
        return
    yield f"A last full collection found {section['unreachable_objects']:,} unreachable objects."
    for index, generation in enumerate(section.get("generations", ())):
        yield (
            f"generation {index}: {generation['collections']:,} collections, {generation['time_ns'] / 1e6:,.0f} ms, "
            f"longest {generation['longest_ns'] / 1e6:,.1f} ms, {generation['collected_objects']:,} objects freed"
        )

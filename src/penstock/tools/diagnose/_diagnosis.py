"""Reads a report and says what it means."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.errors import ConfigurationError
from penstock.memory import REPORT_KIND, short_size
from penstock.tools.diagnose._causes import Cause, cause_of_heap, cause_of_other
from penstock.tools.diagnose._remedies import Remedy, remedy

__all__ = ["Diagnosis", "Remedy", "diagnose", "load_report"]

_GROWTH_FRACTION = 0.25
_CAVEAT = (
    "It was still growing: up to this moment the value would have sufficed, with a quarter to spare. Where what grows has "
    "no end, no value will."
)
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a report means.

    Attributes:
        component: what ran out, as the ledger calls it.
        headline: what happened, in one sentence.
        cause: an id, such as `keyed-state`, `function-memory`, `large-request`, `native-memory`.
        explanation: why that is the likely cause.
        evidence: figures from the report that say so.
        advice: what to do about the cause.
        remedy: the option to change and a value that would have sufficed; None where no value would.
        caveat: what the value does not promise, "" where nothing.
    """

    component: str
    headline: str
    cause: str
    explanation: str
    evidence: tuple[str, ...]
    advice: tuple[str, ...]
    remedy: Remedy | None
    caveat: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        blocks = [_wrapped(self.headline), f"Component:  {self.component}", _labelled("Cause:", self.explanation)]
        if self.evidence:
            blocks.append("Evidence:   " + "\n            ".join(self.evidence))
        for index, advice in enumerate(self.advice):
            blocks.append(_labelled("What to do:" if index == 0 else "", advice))
        if self.remedy is not None:
            lines = (f"remove {key}" if value is None else f"{key}: {value}" for key, value in self.remedy.changes)
            changes = "\n            ".join(lines)
            blocks.append(f"Would have sufficed:\n            {changes}")
            blocks.append(_labelled("", self.remedy.reason + (f" {self.caveat}" if self.caveat else "")))
        return "\n".join(blocks)


def load_report(path: str) -> dict[str, Any]:
    """Reads a report file.

    Raises:
        ConfigurationError: it cannot be read, or is no report of Penstock's.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"The report '{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(
            f"The report '{path}' is no JSON ({error}); give the .json file, not the .txt."
        ) from error
    if not isinstance(content, dict) or content.get("kind") not in _READERS:
        known = ", ".join(sorted(_READERS))
        raise ConfigurationError(f"'{path}' is no memory report: its 'kind' is none of {known}.")
    return content


def diagnose(report: Mapping[str, Any]) -> Diagnosis:
    """Says what a report means.

    Raises:
        ConfigurationError: parts that every report has are missing.
    """
    try:
        return _READERS[report["kind"]](report)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"The report is damaged, or was written by another version of Penstock: {type(error).__name__} {error}."
        ) from error


def _of_failure(report: Mapping[str, Any]) -> Diagnosis:
    failure = report["failure"]
    component = failure["component"]
    task = f" in {failure['task']}" if failure["task"] else ""
    headline = f"{component.capitalize()} ran out{task}: {failure['message']}"
    if component in ("managed", "network"):  # what is asked for is known beforehand
        cause = cause_of_other(report)
        needed_bytes = failure["used_bytes"] + failure["requested_bytes"]
        return _diagnosis(report, component, headline, cause, needed_bytes, "")
    cause = cause_of_heap(report) if component == "heap" else cause_of_other(report)
    return _diagnosis(report, component, headline, cause, _needed(report), _CAVEAT if cause.grows else "")


def _needed(report: Mapping[str, Any]) -> int:
    """What the component held at its highest, the request that did not fit, and a quarter for what was to come."""
    failure = report["failure"]
    highest = max(failure["used_bytes"], failure["limit_bytes"])
    ledger = report.get("ledger") or {}
    for entry in ledger.get("entries", ()):
        if entry["component"] == failure["component"]:
            highest = max(highest, entry["peak_bytes"])
    return int((highest + failure["requested_bytes"]) * (1 + _GROWTH_FRACTION))


def _of_heap_end(report: Mapping[str, Any]) -> Diagnosis:
    exhausted = report["kind"] == "heap-exhausted"
    task = f" in {report['task']}" if report.get("task") else ""
    held, limit = short_size(report["heap_used_bytes"]), short_size(report["heap_limit_bytes"])
    cause = Cause(
        "one-call" if exhausted else "memory-error-caught",
        "One call, such as list(map(...)) or a C extension, built small objects without ever coming back to the "
        "interpreter, until the heap's reserve was used up: there was no point at which the task could be stopped."
        if exhausted
        else "The task was told with a MemoryError, caught it (a bare except, or except Exception), and went on while "
        "the heap stayed over its limit.",
        (f"heap {held}, limit {limit}, task's own growth {short_size(report['task_net_bytes'])}",),
        ("Build the objects in a Python loop or in portions.",)
        if exhausted
        else ("Let MemoryError pass, or drop what was built before going on.",),
        grows=True,
    )
    headline = (
        f"The process was ended by the heap guard{task} (exit code {report['exit_code']}): heap {held} of {limit}."
    )
    needed_bytes = int((report["heap_used_bytes"] + report["request_bytes"]) * (1 + _GROWTH_FRACTION))
    return _diagnosis(report, "heap", headline, cause, needed_bytes, "")


def _of_process_end(report: Mapping[str, Any]) -> Diagnosis:
    cause = cause_of_other(report)
    limits = [report[name] for name in ("cgroup_bytes", "data_limit_bytes", "process_bytes") if report[name]]
    peak = short_size(report["peak_rss_bytes"])
    limit = f", limit {short_size(min(limits))}" if limits else ""
    by = report["signal_name"] or f"exit code {report['exit_code']}"
    headline = f"The process {report['process_id']} ended ({by}): peak {peak}{limit}."
    needed_bytes = int(max([report["peak_rss_bytes"], *limits]) * (1 + _GROWTH_FRACTION)) if limits else 0
    return _diagnosis(report, "process", headline, cause, needed_bytes, "")


def _diagnosis(
    report: Mapping[str, Any], component: str, headline: str, cause: Cause, needed_bytes: int, caveat: str
) -> Diagnosis:
    found = remedy(
        component,
        needed_bytes,
        report.get("role", "taskmanager"),
        report.get("configuration") or {},
        report.get("option") or (report.get("failure") or {}).get("option", ""),
    )
    return Diagnosis(component, headline, cause.name, cause.explanation, cause.evidence, cause.advice, found, caveat)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH)


def _labelled(label: str, text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=label.ljust(12), subsequent_indent=" " * 12)


_READERS: dict[str, Callable[[Mapping[str, Any]], Diagnosis]] = {
    REPORT_KIND: _of_failure,
    "heap-exhausted": _of_heap_end,
    "task-unresponsive": _of_heap_end,
    "process-end": _of_process_end,
}

"""The option to change and a value that would have sufficed, planned again: it is known to give what is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.conf import LONG_MAX, Configuration, TaskManagerOptions
from penstock.memory import MemoryPlanError, Suggestion, plan_local, plan_task_manager, short_size

__all__ = ["Remedy", "remedy"]

Changes = tuple[tuple[str, str | None], ...]

_T = TaskManagerOptions
_MIB = 2**20
_PARTS: dict[str, Callable[[Any], int]] = {
    "heap": lambda plan: int(plan.framework_heap_bytes + plan.task_heap_bytes),
    "managed": lambda plan: int(plan.managed_bytes),
    "network": lambda plan: int(plan.network_bytes),
    "off-heap": lambda plan: int(plan.task_off_heap_bytes + plan.framework_off_heap_bytes),
    "process": lambda plan: int(plan.total_process_bytes),
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of the configuration.

    Attributes:
        changes: (key, value) pairs, to be made together; value None removes the key.
        reason: what they give, in a sentence.
    """

    changes: Changes
    reason: str


def remedy(
    component: str, needed_bytes: int, role: str, configured: Mapping[str, str], option: str = ""
) -> Remedy | None:
    """The least change that gives a component what it needed; in whole MiB, verified by planning again.

    Args:
        component: as the ledger calls it.
        needed_bytes: what it needed of the process; of a slot for managed memory.
        role: `taskmanager` or `local`.
        configured: the configuration of the process that failed, key to text; may be empty.
        option: what to name where nothing can be planned: the configuration is not known, or it is none of Flink's
            options, such as `--heap`.
    """
    part = _PARTS.get(component)
    if part is None or needed_bytes <= 0:
        return None
    if option and (not configured or not option.startswith("taskmanager.")):
        own_bytes = needed_bytes
        if option == _T.TASK_HEAP_MEMORY.key:
            own_bytes -= _T.FRAMEWORK_HEAP_MEMORY.default.bytes
        return Remedy(((option, f"{_mebibytes(own_bytes)}m"),), f"That gives {component} what it needed.")
    configuration = Configuration.from_mapping(dict(configured))
    if component == "managed":
        needed_bytes *= _slots(configuration)
    planner = plan_local if role == "local" else plan_task_manager
    for candidate in _candidates(component, needed_bytes, role, configuration):
        for changes in _completed(configuration, candidate, planner):
            plan = _planned(configuration, changes, planner)
            if plan is not None and part(plan) >= needed_bytes:
                return Remedy(changes, f"The plan then gives {component} {short_size(part(plan))}.")
    total = _smallest_total(configuration, planner, part, needed_bytes) if role != "local" else None
    if total is not None:
        return Remedy((total,), f"The least process in whole MiB whose plan gives {component} what it needed.")
    changes = next(_candidates(component, needed_bytes, role, configuration), ())
    return Remedy(changes, f"That gives {component} what it needed.") if changes else None


def _candidates(component: str, needed_bytes: int, role: str, configuration: Configuration) -> Iterator[Changes]:
    """Changes of the component's own option, where it is what decides its size."""
    if component == "heap" and (role == "local" or configuration.contains(_T.TASK_HEAP_MEMORY)):
        # Locally Flink ignores the configured framework heap.
        framework = _T.FRAMEWORK_HEAP_MEMORY.default if role == "local" else configuration.get(_T.FRAMEWORK_HEAP_MEMORY)
        yield ((_T.TASK_HEAP_MEMORY.key, f"{_mebibytes(needed_bytes - framework.bytes)}m"),)
    elif component == "managed":
        yield ((_T.MANAGED_MEMORY_SIZE.key, f"{_mebibytes(needed_bytes)}m"),)
    elif component == "network":
        size = f"{_mebibytes(needed_bytes)}m"
        yield ((_T.NETWORK_MEMORY_MIN.key, size), (_T.NETWORK_MEMORY_MAX.key, size))
    elif component == "off-heap":
        framework = (
            _T.FRAMEWORK_OFF_HEAP_MEMORY.default if role == "local" else configuration.get(_T.FRAMEWORK_OFF_HEAP_MEMORY)
        )
        yield ((_T.TASK_OFF_HEAP_MEMORY.key, f"{_mebibytes(needed_bytes - framework.bytes)}m"),)
    elif component == "process":
        yield ((_T.TOTAL_PROCESS_MEMORY.key, f"{_mebibytes(needed_bytes)}m"),)


def _smallest_total(
    configuration: Configuration,
    planner: Callable[[Configuration], Any],
    part: Callable[[Any], int],
    needed_bytes: int,
) -> tuple[str, str] | None:
    """The smallest total, of the process or of Flink, whichever is configured, that gives the part what it needs."""
    flink_alone = configuration.contains(_T.TOTAL_FLINK_MEMORY) and not configuration.contains(_T.TOTAL_PROCESS_MEMORY)
    key = _T.TOTAL_FLINK_MEMORY.key if flink_alone else _T.TOTAL_PROCESS_MEMORY.key

    def suffices(mebibytes: int) -> bool:
        plan = _planned(configuration, ((key, f"{mebibytes}m"),), planner)
        return plan is not None and part(plan) >= needed_bytes

    high = max(1, _mebibytes(needed_bytes))
    while not suffices(high):
        high *= 2
        if high * _MIB > LONG_MAX // 4:
            return None
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return key, f"{high}m"


def _completed(
    configuration: Configuration, changes: Changes, planner: Callable[[Configuration], Any]
) -> Iterator[Changes]:
    """The changes alone if they can be planned, else with what the model suggests to make them fit the rest."""
    try:
        planner(Suggestion(changes, "").apply_to(configuration))
    except MemoryPlanError as error:
        keys = {key for key, _ in changes}
        for suggestion in error.suggestions:
            if keys.isdisjoint(key for key, _ in suggestion.changes):
                yield (*changes, *suggestion.changes)
        return
    yield changes


def _planned(configuration: Configuration, changes: Changes, planner: Callable[[Configuration], Any]) -> Any | None:
    try:
        return planner(Suggestion(changes, "").apply_to(configuration))
    except MemoryPlanError:
        return None


def _slots(configuration: Configuration) -> int:
    return max(1, configuration.get(_T.NUM_TASK_SLOTS))


def _mebibytes(size_bytes: int) -> int:
    """Whole MiB, rounded up."""
    return max(1, -(-size_bytes // _MIB))

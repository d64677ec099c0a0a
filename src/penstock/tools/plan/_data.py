"""The plan as data: JSON, and the same as YAML."""

from __future__ import annotations

from penstock.memory import JobManagerPlan, LocalPlan, derivations_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from penstock.memory import Derivation, SlotShare, StartUpPlan, TaskManagerPlan
    from penstock.tools.plan._view import PlanView

__all__ = ["as_json", "as_yaml", "plan_data", "view_data"]


def view_data(view: PlanView, *, explain: bool) -> dict[str, Any]:
    """A plan as a dictionary of plain values; all sizes are whole bytes."""
    data = {"role": view.role, "route": view.plan.provenance.route, **plan_data(view.plan)}
    if view.start_up is not None:
        data.update(start_up_data(view.start_up))
    if view.container is not None:
        data["container"] = {"request_mib": view.container.request_mib, "limit_mib": view.container.limit_mib}
    data["configured"] = {
        each.key: {"value": each.value, "source": str(each.source) if each.source is not None else None}
        for each in view.plan.provenance.inputs
    }
    data["notes"] = list(view.plan.provenance.remarks)
    if explain:
        data["derivations"] = {name: _derivation(each) for name, each in derivations_of(view.plan).items()}
    return data


def plan_data(plan: TaskManagerPlan | JobManagerPlan | LocalPlan) -> dict[str, Any]:
    """What a plan consists of."""
    data: dict[str, Any] = {"components": plan.components()}
    if isinstance(plan, JobManagerPlan):
        if plan.network_bytes:
            data["network_inside_off_heap"] = plan.network_bytes
    else:
        data["cpu_cores"] = plan.cpu_cores
        data["num_slots"] = plan.slots
    if isinstance(plan, LocalPlan):
        data["num_task_managers"] = plan.task_managers
        data["sort_shuffle_min_buffers"] = plan.sort_shuffle_min_buffers
        return data
    data["jvm_args"] = plan.jvm_arguments()
    data["dynamic_configs"] = plan.dynamic_options()
    return data


def start_up_data(start: StartUpPlan) -> dict[str, Any]:
    """How a TaskManager starts."""
    return {
        "slots": start.slots,
        "slot": share_data(start.slot),
        "slot_managed_pages": start.slot_managed_pages,
        "page_size": start.page_size_bytes,
        "network_buffers": start.network_buffers,
    }


def share_data(share: SlotShare) -> dict[str, Any]:
    """What a slot has."""
    return {
        "cpu_cores": share.cpu_cores,
        "task_heap": share.task_heap_bytes,
        "task_off_heap": share.task_off_heap_bytes,
        "network": share.network_bytes,
        "managed": share.managed_bytes,
    }


def _derivation(derivation: Derivation) -> dict[str, Any]:
    return {
        "bytes": derivation.size_bytes,
        "rule": derivation.rule,
        "text": derivation.text,
        "options": list(derivation.options),
        "configured": [each.key for each in derivation.inputs],
        "clamped": derivation.clamped,
    }


def as_json(data: dict[str, Any]) -> str:
    """The data as indented JSON."""
    import json

    return json.dumps(data, indent=2, ensure_ascii=False, default=str)


def as_yaml(data: Any, indentation: str = "") -> str:
    """The data as YAML in block style; texts that could be read as anything else are quoted."""
    if not isinstance(data, dict) or not data:
        return _scalar(data)
    lines = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            lines += [f"{indentation}{key}:", as_yaml(value, indentation + "  ")]
        else:
            lines.append(f"{indentation}{key}: {_scalar(value)}")
    return "\n".join(lines)


def _scalar(value: Any) -> str:
    import json

    if isinstance(value, list):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    # JSON's scalars are YAML's: double-quoted texts, numbers, true, false, null.
    return json.dumps(value, ensure_ascii=False, default=str)

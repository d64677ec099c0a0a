"""How each component of a plan came about, in words and as data."""

from __future__ import annotations

from penstock.conf import LONG_MAX, Record, find_option, human_readable
from penstock.memory._model_errors import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from penstock.memory._model_errors import Input
    from penstock.memory._plans import JobManagerPlan, LocalPlan, TaskManagerPlan

__all__ = ["Derivation", "derivations_of", "remark_text"]

_SUMS = {
    "jvm_heap": ("framework_heap", "task_heap"),
    "jvm_direct": ("framework_off_heap", "task_off_heap", "network"),
    "total_flink": ("framework_heap", "framework_off_heap", "task_heap", "task_off_heap", "network", "managed"),
    "total_process": ("total_flink", "jvm_metaspace", "jvm_overhead"),
}
_SUMS_OF_JOB_MANAGER = {**_SUMS, "total_flink": ("jvm_heap", "off_heap")}

# The configured limits that a fraction was held to, for the sentence that says so.
_LIMIT_WORDS = {"capped-to-max": "which is above its maximum", "raised-to-min": "which is below its minimum"}


# What a fraction is taken of, and what it is taken of together with the component itself.
_BASES = {
    "jvm_overhead": ("total process memory", "total Flink memory and metaspace"),
    "network": ("total Flink memory", "the other parts of it"),
    "managed": ("total Flink memory", ""),
}

_REMARKS = {
    "capped-to-max": "The fraction for {} gives more than its maximum; the maximum holds.",
    "raised-to-min": "The fraction for {} gives less than its minimum; the minimum holds.",
    "network-fraction-not-met": "Network memory is what the other parts leave; the configured fraction is not what "
    "it is of "
    "total Flink memory.",
    "overhead-fraction-not-met": "Overhead is what the other parts leave; the configured fraction is not what it is "
    "of total "
    "process memory.",
    "jm-offheap-default-replaced": "Off-heap is what the heap leaves of total Flink memory, not its default.",
    "jm-heap-below-recommended": "The heap is below the recommended 128 MiB.",
    "jm-heap-yields-to-network": "The configured heap is reduced: jobmanager.network.memory.size needs more off-heap.",
    "deprecated-key": "'{}' is an older name of an option.",
    "foreign-key": "'{}' is Flink.NET's name of an option.",
    "ignored-locally": "'{}' is set, and ignored in local execution.",
    "local-default": "'{}' is not set; the default of local execution holds.",
    "state-backend-unknown": "The state backend cannot be loaded; it is taken to use managed memory.",
}


class Derivation(Record):
    """Where one component's size came from.

    Attributes:
        component: as in `components()` of the plan.
        size_bytes: its size.
        rule: `configured`, `default`, `fraction` (of a base), `inverse-fraction` (of the sum with the base),
            `remainder`, `sum`, `local-default`, or `raised` (to hold another part).
        text: one sentence with all numbers.
        inputs: the configured values it follows from directly.
        options: keys of the options it follows from directly, configured or not.
        clamped: `capped-to-max` or `raised-to-min` where a fraction left its limits, else None.
    """

    component: str
    size_bytes: int
    rule: str
    text: str
    inputs: tuple[Input, ...]
    options: tuple[str, ...]
    clamped: str | None = None


def derivations_of(plan: TaskManagerPlan | JobManagerPlan | LocalPlan) -> dict[str, Derivation]:
    """For each component of a plan how it came about, sums included."""
    sizes = plan.components()
    inputs = {each.option: each for each in plan.provenance.inputs}
    prefix = "jobmanager.memory" if "off_heap" in sizes else "taskmanager.memory"
    network = getattr(plan, "network_bytes", 0)
    if network and "network" not in sizes:
        sizes["network"] = network
    found: dict[str, Derivation] = {}
    for component, size, rule, operands in plan.provenance.steps:
        name = component.replace("-", "_")
        found[name] = _derivation(name, size, rule, operands, inputs, prefix)
    for component, size in sizes.items():
        if component not in found:
            found[component] = _sum(component, size, sizes)
    return {component: found[component] for component in sizes}


def _derivation(
    component: str, size: int, rule: str, operands: Any, inputs: Mapping[str, Input], prefix: str
) -> Derivation:
    if rule == "given":
        keys = tuple(option.key for option in operands)
        given = tuple(inputs[key] for key in keys if key in inputs)
        if given:
            return Derivation(component, size, "configured", f"configured as {_joined(given)}", given, keys)
        return Derivation(component, size, "default", f"the default of {keys[0]}", (), keys)
    if rule == "local":
        return Derivation(component, size, "local-default", "the default of local execution", (), ())
    if rule == "raised":
        key = operands[0].key
        text = f"raised to hold what {key} sets aside inside it"
        return Derivation(component, size, "raised", text, (inputs[key],), (key,))
    if rule == "remainder":
        total, parts = operands
        base = "total process memory" if component in ("jvm_overhead", "total_flink") else "total Flink memory"
        verb = "leaves" if len(parts) == 1 else "leave"
        text = f"what {listed(parts)} {verb} of {base} ({human_readable(total)})"
        return Derivation(component, size, "remainder", text, (), ())
    return _fraction(component, size, rule, operands, inputs, prefix)


def _fraction(
    component: str, size: int, rule: str, operands: Any, inputs: Mapping[str, Input], prefix: str
) -> Derivation:
    base, fraction, exact, least, greatest, clamped = operands
    stem = f"{prefix}.{component.replace('_', '-')}"
    parts = ("fraction",) if component == "managed" else ("fraction", "min", "max")
    keys = tuple(f"{stem}.{part}" for part in parts)
    given = tuple(inputs[key] for key in keys if key in inputs)
    of, inverse_of = _BASES[component]
    if rule == "fraction":
        text = f"{fraction!r} of {of} ({human_readable(base)})"
    else:
        text = f"what makes it {fraction!r} of itself and {inverse_of} ({human_readable(base)}) together"
    text += f" is {human_readable(exact)}"
    if clamped is not None:
        text += f", {_LIMIT_WORDS[clamped]} of {human_readable(size)}"
    elif len(keys) > 1:
        most = "without limit" if greatest == LONG_MAX else f"at most {human_readable(greatest)}"
        text += f"; at least {human_readable(least)}, {most}"
    if given:
        text += f"; {_joined(given)}"
    return Derivation(component, size, rule, text, given, keys, clamped)


def _sum(component: str, size: int, sizes: Mapping[str, int]) -> Derivation:
    of = _SUMS_OF_JOB_MANAGER if "off_heap" in sizes else _SUMS
    text = "the sum of " + listed({part: sizes[part] for part in of[component]})
    return Derivation(component, size, "sum", text, (), ())


def remark_text(remark: str) -> str:
    """A remark as a sentence; for an older or foreign key it names the proper one."""
    name, _, subject = remark.partition(" ")[2].partition(":")
    text = _REMARKS[name].format(subject)
    if name in ("deprecated-key", "foreign-key"):
        option = find_option(subject)
        if option is not None:
            text += f" Use '{option.key}'."
    return text


def _joined(given: tuple[Input, ...]) -> str:
    return ", ".join(map(str, given))

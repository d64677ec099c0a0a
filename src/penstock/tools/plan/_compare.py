"""What moves between two configurations."""

from __future__ import annotations

import os

from penstock.conf import Configuration, configuration_from_flags, load_configuration
from penstock.errors import ConfigurationError
from penstock.tools.plan._table import Style
from penstock.tools.plan._tree import readable_size, tree_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from penstock.tools.plan._view import PlanView

__all__ = ["compare", "other_configuration"]


def other_configuration(base: Configuration, others: Sequence[str], flags: Sequence[str]) -> Configuration:
    """The configuration to compare with.

    Args:
        base: what is compared.
        others: a folder or file, read with the same flags and environment; or `KEY=VALUE` pairs laid over `base`.
        flags: the `-D` values.

    Raises:
        ConfigurationError: several folders, or both kinds.
        ConfigurationFileError: the folder or file cannot be read.
    """
    if len(others) == 1 and ("=" not in others[0] or os.path.exists(others[0])):
        return load_configuration(others[0], flags).configuration
    if any("=" not in other for other in others):
        raise ConfigurationError("--compare takes one folder or file, or any number of KEY=VALUE pairs.")
    return base.overlay(configuration_from_flags(others))


def compare(base: PlanView, other: PlanView, form: str, *, colour: bool = False) -> str:
    """Shows what changes from `base` to `other`, as `table`, `json` or `yaml`.

    Raises:
        ConfigurationError: another format.
    """
    if form in ("json", "yaml"):
        from penstock.tools.plan._data import as_json, as_yaml

        data = comparison_data(base, other)
        return as_json(data) if form == "json" else as_yaml(data)
    if form != "table":
        raise ConfigurationError("--compare prints a table, json or yaml.")
    return _table(base, other, Style(colour))


def comparison_data(base: PlanView, other: PlanView) -> dict[str, Any]:
    """Components before, after and changed by, in bytes; and the configured values that differ."""
    before, after = base.plan.components(), other.plan.components()
    return {
        "role": base.role,
        "components": {
            component: {
                "before": before[component],
                "after": after[component],
                "change": after[component] - before[component],
            }
            for component in before
        },
        "configured": {
            key: {"before": old, "after": new} for key, (old, new) in sorted(_changed_inputs(base, other).items())
        },
    }


def _changed_inputs(base: PlanView, other: PlanView) -> dict[str, tuple[Any, Any]]:
    before = {each.key: each.value for each in base.plan.provenance.inputs}
    after = {each.key: each.value for each in other.plan.provenance.inputs}
    return {key: (before.get(key), after.get(key)) for key in {**before, **after} if before.get(key) != after.get(key)}


def _table(base: PlanView, other: PlanView, style: Style) -> str:
    lines = [style.strong("What is configured differently"), ""]
    for key, (old, new) in sorted(_changed_inputs(base, other).items()):
        lines.append(f"  {style.key(key)}: {_value_text(old)} → {_value_text(new)}")
    if len(lines) == 2:
        lines.append("  nothing")
    lines += ["", style.strong("What moves"), ""]
    rows = [("", "before", "after", "change", "")]
    for (old_node, depth), (new_node, _) in zip(tree_of(base).walk(), tree_of(other).walk(), strict=False):
        before, after = old_node.size_bytes, new_node.size_bytes
        change = after - before
        percent = f"{100 * change / before:+.1f}%" if before and change else ""
        signed = ("+" if change > 0 else "") + readable_size(change) if change else "="
        rows.append(("  " * depth + old_node.title, readable_size(before), readable_size(after), signed, percent))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append(_coloured("  " + "  ".join(cells).rstrip(), row[3], style))
    return "\n".join(lines)


def _value_text(value: Any) -> str:
    return "not set" if value is None else str(value)


def _coloured(line: str, change: str, style: Style) -> str:
    if change == "change":
        return style.faint(line)
    if change.startswith("+"):
        return style.more(line)
    return style.less(line) if change.startswith("-") else line

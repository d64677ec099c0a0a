"""The plan as a table: the tree of components with sizes, shares and the options behind them."""

from __future__ import annotations

from penstock.memory import derivations_of, remark_text
from penstock.tools.plan._tree import UNLIMITED_BYTES, readable_size, tree_of
from penstock.tools.plan._view import ROLE_TITLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.memory import Derivation, JobManagerPlan, LocalPlan, TaskManagerPlan
    from penstock.tools.plan._tree import Node
    from penstock.tools.plan._view import PlanView

__all__ = ["Style", "render_table"]

_ROUTES = {
    "parts": "from its parts",
    "flink": "from total Flink memory",
    "process": "from total process memory",
    "local": "parts as they are, nothing derived",
}


class Style:
    """Terminal colours, or none. Immutable."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def _wrapped(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and text else text

    def strong(self, text: str) -> str:
        """Bold."""
        return self._wrapped("1", text)

    def faint(self, text: str) -> str:
        """Grey."""
        return self._wrapped("2", text)

    def warning(self, text: str) -> str:
        """Yellow."""
        return self._wrapped("33", text)

    def key(self, text: str) -> str:
        """Cyan."""
        return self._wrapped("36", text)

    def more(self, text: str) -> str:
        """Green."""
        return self._wrapped("32", text)

    def less(self, text: str) -> str:
        """Red."""
        return self._wrapped("31", text)


def render_table(view: PlanView, *, explain: bool, colour: bool) -> str:
    """Renders the table."""
    style = Style(colour)
    root = tree_of(view)
    derivations = derivations_of(view.plan)
    title = ROLE_TITLES[view.role]
    lines = [style.strong(f"{title[0].upper()}{title[1:]}, {_ROUTES[view.plan.provenance.route]}"), ""]
    lines += _rows(root, derivations, style, limited=view.role != "local")
    lines += _slots(view, style)
    if explain:
        lines += ["", style.strong("How it came about"), ""]
        lines += [f"  {style.strong(each.component)}: {each.text}." for each in derivations.values()]
    remarks = view.plan.provenance.remarks
    if remarks:
        lines += ["", style.strong("Remarks"), ""]
        for remark in remarks:
            text = f"  {remark.partition(' ')[0]:<4}  {remark_text(remark)}"
            lines.append(style.warning(text) if remark.startswith("WARN") else text)
    return "\n".join(lines)


def _rows(root: Node, derivations: dict[str, Derivation], style: Style, *, limited: bool) -> list[str]:
    rows = []
    for prefix, node in _with_branches(root, "", "", ""):
        unlimited = not limited and node.size_bytes >= UNLIMITED_BYTES
        size = "no limit" if unlimited else readable_size(node.size_bytes)
        count = "" if unlimited else str(node.size_bytes)
        share = f"{100 * node.size_bytes / root.size_bytes:.1f}%" if limited and root.size_bytes else ""
        derivation = derivations.get(node.component) if node.title != "other off-heap" else None
        rows.append((prefix, node.title, size, count, share, _behind(derivation, style) if derivation else ""))
    name_width = max(len(prefix) + len(title) for prefix, title, *_ in rows)
    size_width = max(9, *(len(row[2]) for row in rows))
    count_width = max(5, *(len(row[3]) for row in rows))
    share_width = 7 if limited else 0
    header = f"{'':<{name_width}}  {'size':>{size_width}}  {'bytes':>{count_width}}"
    header += f"{'share':>{share_width}}  from" if limited else "  from"
    lines = [style.faint(header)]
    for prefix, title, size, count, share, behind in rows:
        padding = " " * (name_width - len(prefix) - len(title))
        name = style.faint(prefix) + (style.strong(title) if title.startswith("total") else title)
        numbers = f"{size:>{size_width}}  {count:>{count_width}}{share:>{share_width}}"
        lines.append(f"{name}{padding}  {numbers}  {behind}".rstrip())
    return lines


def _with_branches(node: Node, lead: str, branch: str, below: str) -> list[tuple[str, Node]]:
    """Each node with the lines of the tree drawn before it."""
    rows = [(lead + branch, node)]
    for index, child in enumerate(node.children):
        last = index == len(node.children) - 1
        rows += _with_branches(child, lead + below, "└─ " if last else "├─ ", "   " if last else "│  ")
    return rows


def _behind(derivation: Derivation, style: Style) -> str:
    """The option behind a component: what is configured, or which default or rule holds."""
    if derivation.inputs:
        parts = []
        for each in derivation.inputs:
            source = f" {style.faint(f'({each.source})')}" if each.source is not None else ""
            parts.append(f"{style.key(each.key)}: {each.value}{source}")
        text = ", ".join(parts)
    elif derivation.rule == "default" or derivation.rule in ("fraction", "inverse-fraction"):
        text = f"{style.key(derivation.options[0])} {style.faint('(default)')}"
    elif derivation.rule == "local-default":
        text = style.faint("local default")
    else:
        text = style.faint("sum" if derivation.rule == "sum" else "remainder")
    if derivation.clamped:
        words = "capped to its maximum" if derivation.clamped == "capped-to-max" else "raised to its minimum"
        text += " " + style.warning(words)
    return text


def _slots(view: PlanView, style: Style) -> list[str]:
    if view.role == "jobmanager":
        plan: JobManagerPlan = view.plan  # type: ignore[assignment]  # the role says which
        return ["", *_process_lines(view, plan.jvm_arguments())]
    if view.role == "local":
        return _local_slots(view)
    start = view.start_up
    if start is None:
        return []
    task_manager: TaskManagerPlan = view.plan  # type: ignore[assignment]  # the role says which
    rows = [
        ("task heap", start.slot.task_heap_bytes),
        ("task off-heap", start.slot.task_off_heap_bytes),
        ("managed memory", start.slot.managed_bytes),
        ("network", start.slot.network_bytes),
    ]
    return [
        "",
        style.strong("1 slot" if start.slots == 1 else f"Each of {start.slots} slots"),
        "",
        *(f"  {title:<14}  {readable_size(size):>10}  {size:>16}" for title, size in rows),
        f"  {'CPU cores':<14}  {start.slot.cpu_cores:>10}",
        "",
        f"  network buffers {start.network_buffers} of {readable_size(start.page_size_bytes)}",
        *_process_lines(view, task_manager.jvm_arguments()),
    ]


def _process_lines(view: PlanView, jvm_arguments: str) -> list[str]:
    lines = [f"  JVM arguments   {jvm_arguments}"]
    container = view.container
    if container is not None:
        short = f", {container.missing_bytes} bytes less than planned" if container.missing_bytes else ""
        limit = f", limit {container.limit_mib}Mi" if container.limit_mib != container.request_mib else ""
        lines.append(f"  on Kubernetes   {container.request_mib}Mi{limit}{short}")
    return lines


def _local_slots(view: PlanView) -> list[str]:
    plan: LocalPlan = view.plan  # type: ignore[assignment]  # the role says which
    slots = "as many as the job's parallelism needs" if plan.slots is None else str(plan.slots)
    lines = ["", f"  TaskManagers           {plan.task_managers}", f"  slots of each          {slots}"]
    if plan.slots is None:
        lines.append(f"  managed memory a slot  {readable_size(plan.managed_bytes)} divided by the slots")
    elif plan.slots > 0:
        lines.append(f"  managed memory a slot  {readable_size(plan.managed_bytes // plan.slots)}")
    return lines

"""The plan as a drawing: the detailed memory model, to scale.

One bar holds the components, each as high as its share of the process. Brackets on the left show what they add up to;
labels on the right are moved apart where components are too thin to carry them, and a line leads to each.
"""

from __future__ import annotations

from penstock.conf import Record
from penstock.tools.plan._tree import UNLIMITED_BYTES, readable_size, tree_of
from penstock.tools.plan._view import ROLE_TITLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.tools.plan._tree import Node
    from penstock.tools.plan._view import PlanView

__all__ = ["render_svg"]

_WIDTH = 920
_TOP = 84
_BAR_HEIGHT = 520
_BAR_LEFT = 330
_BAR_WIDTH = 210
_LABEL_LEFT = 600
_LABEL_STEP = 36
_BRACKET_STEP = 96

# Hues by kind: heap blue, managed green, native orange, outside Flink grey; framework parts paler than task parts.
_FILLS = {
    "framework_heap": "#9db8e8",
    "task_heap": "#4f7fd6",
    "jvm_heap": "#4f7fd6",
    "managed": "#3f9d6d",
    "framework_off_heap": "#f3c78f",
    "task_off_heap": "#e89a3c",
    "off_heap": "#e89a3c",
    "network": "#d2703a",
    "jvm_metaspace": "#9a8fb8",
    "jvm_overhead": "#8b91a1",
}

_STYLE = """\
  text { font-family: -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2430; }
  .title { font-size: 22px; font-weight: 600; }
  .subtitle { font-size: 13px; fill: #667085; }
  .name { font-size: 14px; font-weight: 600; }
  .size { font-size: 12.5px; fill: #667085; }
  .inside { font-size: 13px; font-weight: 600; fill: #ffffff; }
  .bracket, .leader { fill: none; stroke: #98a2b3; stroke-width: 1.2; }
  .leader { stroke-width: 1; }
  .frame { fill: none; stroke: #667085; stroke-width: 1.5; }
  .component { stroke: #ffffff; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e9f0; } .subtitle, .size { fill: #9aa4b8; } .inside { fill: #ffffff; }
    .component { stroke: #10141c; } .frame { stroke: #9aa4b8; } .bracket, .leader { stroke: #667085; }
  }"""


class _Slice(Record):
    """A component in the bar: node, upper edge and height in pixels."""

    node: Node
    top: float
    height: float


def render_svg(view: PlanView) -> str:
    """Renders the drawing, a document of its own."""
    root = tree_of(view)
    if view.role == "local":
        root = without_unlimited(root)
    scale = _BAR_HEIGHT / root.size_bytes if root.size_bytes > 0 else 0.0
    slices: list[_Slice] = []
    spans: list[tuple[Node, int, float, float]] = []
    _lay_out(root, 0, _TOP, scale, slices, spans)
    labels = _label_centres(slices)
    height = max(_TOP + _BAR_HEIGHT, int(labels[-1] + _LABEL_STEP / 2 if labels else 0)) + 36
    title = ROLE_TITLES[view.role]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="Memory of the {title}">',
        f"<style>\n{_STYLE}\n</style>",
        f'<text class="title" x="32" y="40">{title[0].upper()}{title[1:]}: {readable_size(root.size_bytes)}</text>',
        f'<text class="subtitle" x="32" y="62">{_subtitle(view)}</text>',
    ]
    innermost = max((depth for _, depth, _, _ in spans), default=0)
    parts += [_bracket(node, innermost - depth, top, span) for node, depth, top, span in spans]
    parts += [_component(each) for each in slices if each.height > 0]
    parts.append(f'<rect class="frame" x="{_BAR_LEFT}" y="{_TOP}" width="{_BAR_WIDTH}" height="{_BAR_HEIGHT}" rx="4"/>')
    parts += [_label(each, centre, root.size_bytes) for each, centre in zip(slices, labels, strict=True)]
    parts.append("</svg>")
    return "\n".join(parts)


def without_unlimited(node: Node) -> Node:
    """The tree of a local plan without its parts of 1 TiB, which stand for no limit; sums are of the rest."""
    if not node.children:
        return (
            node if node.size_bytes < UNLIMITED_BYTES else node.replace(size_bytes=0, title=f"{node.title}, no limit")
        )
    children = tuple([without_unlimited(child) for child in node.children])
    return node.replace(size_bytes=sum(child.size_bytes for child in children), children=children)


def _lay_out(
    node: Node,
    depth: int,
    top: float,
    scale: float,
    slices: list[_Slice],
    spans: list[tuple[Node, int, float, float]],
) -> None:
    height = node.size_bytes * scale
    if not node.children:
        slices.append(_Slice(node, top, height))
        return
    spans.append((node, depth, top, height))
    for child in node.children:
        _lay_out(child, depth + 1, top, scale, slices, spans)
        top += child.size_bytes * scale


def _label_centres(slices: list[_Slice]) -> list[float]:
    """Vertical centres of the labels: beside their components where there is room, else moved apart."""
    centres: list[float] = []
    for each in slices:
        wanted = each.top + each.height / 2
        least = centres[-1] + _LABEL_STEP if centres else _TOP + _LABEL_STEP / 2 - 4
        centres.append(max(wanted, least))
    # What was pushed below the bar is pulled up again, as far as the labels above leave room.
    limit = max(_TOP + _BAR_HEIGHT - _LABEL_STEP / 2, _TOP + _LABEL_STEP * (len(slices) - 0.5))
    for index in range(len(centres) - 1, -1, -1):
        centres[index] = min(centres[index], limit)
        limit = centres[index] - _LABEL_STEP
    return centres


def _subtitle(view: PlanView) -> str:
    start = view.start_up
    if start is not None:
        slots = "1 slot" if start.slots == 1 else f"{start.slots} slots"
        managed, page = readable_size(start.slot.managed_bytes), readable_size(start.page_size_bytes)
        return f"{slots} with {managed} of managed memory each, {start.network_buffers} network buffers of {page}"
    if view.role == "local":
        return "inside the client's process; what has no limit is not drawn"
    return "Apache Flink's memory model, to scale"


def _bracket(node: Node, column: int, top: float, height: float) -> str:
    x = _BAR_LEFT - 18 - column * _BRACKET_STEP
    middle = top + height / 2
    if height < 14:
        return ""
    lines = [
        f'<path class="bracket" d="M {x + 8:.1f} {top + 1:.1f} H {x:.1f} V {top + height - 1:.1f} H {x + 8:.1f}"/>',
    ]
    # A short bracket has room for one line only.
    words = _short_title(node).split(" ", 1) if height >= 66 else [_short_title(node)]
    texts = [("name", word) for word in words]
    if height >= 44:
        texts.append(("size", readable_size(node.size_bytes)))
    y = middle - 8 * (len(texts) - 1) + 4
    for kind, text in texts:
        lines.append(f'<text class="{kind}" x="{x - 7:.1f}" y="{y:.1f}" text-anchor="end">{text}</text>')
        y += 17
    return "\n".join(lines)


def _short_title(node: Node) -> str:
    return {"total_process": "Process", "total_flink": "Flink", "jvm_heap": "Heap", "jvm_direct": "Direct"}.get(
        node.component, node.title[0].upper() + node.title[1:]
    )


def _component(each: _Slice) -> str:
    fill = _FILLS.get(each.node.component, "#b9b4c4")
    share = (
        f'\n<text class="inside" x="{_BAR_LEFT + _BAR_WIDTH / 2}" y="{each.top + each.height / 2 + 5:.1f}" '
        f'text-anchor="middle">{readable_size(each.node.size_bytes)}</text>'
        if each.height >= 26
        else ""
    )
    return (
        f'<rect class="component" x="{_BAR_LEFT}" y="{each.top:.2f}" width="{_BAR_WIDTH}" height="{each.height:.2f}" '
        f'fill="{fill}"><title>{each.node.title}: {each.node.size_bytes} bytes</title></rect>{share}'
    )


def _label(each: _Slice, centre: float, total: int) -> str:
    edge = _BAR_LEFT + _BAR_WIDTH
    middle = each.top + each.height / 2
    title = each.node.title[0].upper() + each.node.title[1:]
    percent = f"{100 * each.node.size_bytes / total:.1f}%" if total else ""
    size = "" if title.endswith("no limit") else f"{readable_size(each.node.size_bytes)} · {percent}"
    swatch = _FILLS.get(each.node.component, "#b9b4c4")
    return (
        f'<path class="leader" d="M {edge + 3} {middle:.1f} L {edge + 30} {centre:.1f} H {_LABEL_LEFT - 22}"/>\n'
        f'<rect x="{_LABEL_LEFT - 16}" y="{centre - 5:.1f}" width="10" height="10" rx="2" fill="{swatch}"/>\n'
        f'<text class="name" x="{_LABEL_LEFT}" y="{centre + 5:.1f}">{title}</text>\n'
        f'<text class="size" x="{_WIDTH - 32}" y="{centre + 5:.1f}" text-anchor="end">'
        f"{size}</text>"
    )

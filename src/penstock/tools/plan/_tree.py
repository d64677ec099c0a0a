"""The tree of components of each role, in the order in which views show them."""

from __future__ import annotations

from penstock.conf import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.tools.plan._view import PlanView

__all__ = ["UNLIMITED_BYTES", "Node", "readable_size", "tree_of"]

UNLIMITED_BYTES = 2**40
"""What stands for no limit in local execution."""

_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


class Node(Record):
    """A component in the tree.

    Attributes:
        component: as in `components()` of the plan.
        title: what the views call it.
        size_bytes: its size.
        children: its parts.
    """

    component: str
    title: str
    size_bytes: int
    children: tuple[Node, ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[Node, int]]:
        """The node and all below it, with depths."""
        yield self, depth
        for child in self.children:
            yield from child.walk(depth + 1)


def tree_of(view: PlanView) -> Node:
    """The components of a plan as a tree; each node's children add up to it."""
    sizes = view.plan.components()

    def node(component: str, title: str, *children: Node) -> Node:
        return Node(component, title, sizes[component], children)

    outside = node("jvm_metaspace", "metaspace"), node("jvm_overhead", "overhead")
    if view.role == "jobmanager":
        off_heap = node("off_heap", "off-heap")
        network = getattr(view.plan, "network_bytes", 0)
        if network:
            inside = Node("network", "network (Flink.NET)", network)
            rest = Node("off_heap", "other off-heap", sizes["off_heap"] - network)
            off_heap = off_heap.replace(children=(inside, rest))
        flink = node("total_flink", "total Flink memory", node("jvm_heap", "heap"), off_heap)
        return node("total_process", "total process memory", flink, *outside)
    heap = Node(
        "jvm_heap",
        "heap",
        sizes["framework_heap"] + sizes["task_heap"],
        (node("framework_heap", "framework heap"), node("task_heap", "task heap")),
    )
    direct = Node(
        "jvm_direct",
        "direct memory",
        sizes["framework_off_heap"] + sizes["task_off_heap"] + sizes["network"],
        (
            node("framework_off_heap", "framework off-heap"),
            node("task_off_heap", "task off-heap"),
            node("network", "network"),
        ),
    )
    flink = node("total_flink", "total Flink memory", heap, node("managed", "managed memory"), direct)
    return node("total_process", "total process memory", flink, *outside)


def readable_size(size_bytes: int) -> str:
    """A size for people, in the largest binary unit not above it: `1.43 GiB`, `128 MiB`, `0`."""
    if size_bytes < 0:
        return "-" + readable_size(-size_bytes)
    for factor, unit in _UNITS:
        if size_bytes >= factor:
            if size_bytes % factor == 0:
                return f"{size_bytes // factor} {unit}"
            return f"{size_bytes / factor:.2f} {unit}"
    return f"{size_bytes} B" if size_bytes else "0"

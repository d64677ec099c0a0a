"""Watermark alignment: a source that is ahead of its group waits (Flink's FLIP-182, `with_watermark_alignment`).

Every source reader of a group reports its watermark once an update interval. The job keeps the lowest of each group
and announces it to the processes that run readers; a reader whose watermark is above that plus its own drift is not
polled until the others have caught up. A reader that is idle or at its end holds nobody back.

Flink also pauses single splits of a reader (FLIP-217). Here a reader has one watermark for all its splits, so there is
nothing to pause below it: `pipeline.watermark-alignment.allow-unaligned-source-splits` is always as if true.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock.datastream._transformations import SourceSpec
from penstock.datastream.connectors.base import END_OF_INPUT, ReaderContext, SourceBatch, SourceReader, _EndOfInput
from penstock.graph import JobGraph
from penstock.runtime._reader_wrapper import ReaderWrapper
from penstock.runtime._watermarks import WatermarkGenerator
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP

__all__ = ["AlignedReader", "AlignmentPort", "Member", "WatermarkAlignment"]

Member = tuple[int, int]
"""Node id of a source and subtask index of its reader."""


def _groups(graph: JobGraph) -> dict[str, set[Member]]:
    groups: dict[str, set[Member]] = {}
    for vertex in graph.vertices.values():
        spec = vertex.head.node.transformation.spec
        alignment = getattr(spec.watermark_strategy, "alignment", None) if isinstance(spec, SourceSpec) else None
        if alignment is not None:
            readers = {(vertex.head.node.id, index) for index in range(vertex.parallelism)}
            groups.setdefault(alignment[0], set()).update(readers)
    return groups


class WatermarkAlignment:
    """What all readers of a job reported; one an attempt, in the job's process. Owned by the job's thread.

    Args:
        graph: names the groups and their readers.
        announce: told the lowest watermark of a group when it has changed, after every reader has reported once.
    """

    def __init__(self, graph: JobGraph, announce: Callable[[str, int], None]) -> None:
        self._waited_for = _groups(graph)
        self._reported: dict[str, dict[Member, int]] = {group: {} for group in self._waited_for}
        self._announced: dict[str, int] = {}
        self._announce = announce

    def report(self, group: str, member: Member, watermark: int) -> None:
        """A reader's watermark; MAX_WATERMARK when it is idle or has ended."""
        reported = self._reported[group]
        reported[member] = watermark
        waited_for = self._waited_for[group]
        waited_for.discard(member)
        if waited_for:
            return
        lowest = min(reported.values())
        if lowest != self._announced.get(group):
            self._announced[group] = lowest
            self._announce(group, lowest)


class AlignmentPort:
    """The groups as the readers of one process see them. Owned by the thread that runs the tasks.

    Args:
        report: takes a reader's watermark to the `WatermarkAlignment`.
    """

    def __init__(self, report: Callable[[str, Member, int], None]) -> None:
        self.report = report
        self._lowest: dict[str, int] = {}
        self._readers: dict[str, list[Callable[[], None]]] = {}

    def join(self, group: str, wake: Callable[[], None]) -> None:
        """Announcements to the group wake a reader's task."""
        self._readers.setdefault(group, []).append(wake)

    def announced(self, group: str, lowest: int) -> None:
        """The group's lowest watermark has changed."""
        self._lowest[group] = lowest
        for wake in self._readers.get(group, ()):
            wake()

    def lowest(self, group: str) -> int:
        """The group's lowest watermark, MAX_WATERMARK before the first announcement: until then nobody waits."""
        return self._lowest.get(group, MAX_WATERMARK)


class AlignedReader(ReaderWrapper):
    """A reader that waits for its group. Task thread only.

    Args:
        reader: the source's own.
        generator: what makes the reader's watermarks.
        alignment: (group, max drift in ms, update interval in ms).
        member: the reader.
        port: its group.
        context: of the reader.
    """

    def __init__(
        self,
        reader: SourceReader,
        generator: WatermarkGenerator,
        alignment: tuple[str, int, int],
        member: Member,
        port: AlignmentPort,
        context: ReaderContext,
    ) -> None:
        super().__init__(reader)
        self._generator = generator
        self._group, self._drift_ms, self._interval_ms = alignment
        self._member = member
        self._port = port
        self._now_ms = context.now_ms
        self._next_report_ms = context.now_ms() + self._interval_ms
        port.join(self._group, context.wake)

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        """What the source's reader has, or None while this one is ahead of its group."""
        now = self._now_ms()
        if now >= self._next_report_ms:
            self._next_report_ms = now + self._interval_ms
            self._port.report(self._group, self._member, self._watermark())
        self._generator.is_held = self._is_ahead()
        if self._generator.is_held:
            return None
        polled = self._reader.poll(max_records)
        if polled is END_OF_INPUT:
            self._port.report(self._group, self._member, MAX_WATERMARK)
        return polled

    def next_poll_ms(self) -> int | None:
        """When the source's reader wants to be polled, at the latest for the next report."""
        wanted = None if self._generator.is_held else self._reader.next_poll_ms()
        return self._next_report_ms if wanted is None else min(wanted, self._next_report_ms)

    def _watermark(self) -> int:
        return MAX_WATERMARK if self._generator.idle else self._generator.watermark

    def _is_ahead(self) -> bool:
        watermark = self._generator.watermark
        return watermark != NO_TIMESTAMP and watermark > self._port.lowest(self._group) + self._drift_ms

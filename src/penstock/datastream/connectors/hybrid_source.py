"""Sources read one after the other (`pyflink.datastream.connectors.hybrid_source`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.common.typeinfo import TypeInformation
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    _EndOfInput,
)
from penstock.errors import ConfigurationError

__all__ = ["HybridSource", "HybridSourceBuilder"]


@dataclass(frozen=True, slots=True)
class HybridSplit:
    """A split of one of the sources.

    Attributes:
        index: which source.
        split: that source's own.
    """

    index: int
    split: Any


class HybridSource(Source):
    """Reads its sources in order, such as files first and then a topic; made by `HybridSource.builder(first)`.

    All sources find their splits when the job starts, and each reader goes on to the next source when its own splits of
    the one before are read. (In Flink the next source starts when all readers are done, and finds its splits then.)
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)

    @staticmethod
    def builder(first_source: Source) -> HybridSourceBuilder:
        """Starts with the source that is read first."""
        return HybridSourceBuilder(first_source)

    @property
    def boundedness(self) -> Boundedness:
        """That of the last source."""
        return self._sources[-1].boundedness

    @property
    def produced_type(self) -> TypeInformation | None:
        """That of the first source."""
        return self._sources[0].produced_type

    @property
    def always_single(self) -> bool:
        """True if one of the sources can only be read by one reader."""
        return any(source.always_single for source in self._sources)

    def plan_splits(self, parallelism: int) -> list[HybridSplit]:
        """The splits of all sources."""
        return [
            HybridSplit(index, split)
            for index, source in enumerate(self._sources)
            for split in source.plan_splits(parallelism)
        ]

    def deal_out(self, splits: Sequence[HybridSplit], parallelism: int) -> list[list[HybridSplit]]:
        """As each source deals out its own."""
        readers: list[list[HybridSplit]] = [[] for _ in range(parallelism)]
        for index, source in enumerate(self._sources):
            own = [hybrid.split for hybrid in splits if hybrid.index == index]
            for reader, dealt in zip(readers, source.deal_out(own, parallelism), strict=True):
                reader.extend(HybridSplit(index, split) for split in dealt)
        return readers

    def create_reader(self, splits: Sequence[HybridSplit], context: ReaderContext) -> SourceReader:
        """Reads the splits source by source."""
        return _HybridReader(self._sources, splits, context)


class HybridSourceBuilder:
    """Collects the sources of a HybridSource."""

    def __init__(self, first_source: Source) -> None:
        self._sources = [_checked(first_source)]

    def add_source(self, source: Source) -> HybridSourceBuilder:
        """Adds the source that is read next.

        Raises:
            ConfigurationError: if the one before never ends.
        """
        if self._sources[-1].boundedness is not Boundedness.BOUNDED:
            raise ConfigurationError(
                "All sources except the final source need to be bounded: what comes after an unbounded one would never "
                "be read. Add the unbounded source last."
            )
        self._sources.append(_checked(source))
        return self

    def build(self) -> HybridSource:
        """The source."""
        return HybridSource(self._sources)


def _checked(source: Any) -> Source:
    if not isinstance(source, Source):
        raise TypeError(f"HybridSource combines Sources, got {source!r}")
    return source


class _HybridReader(SourceReader):
    """Reads one source after the other. Owned by the task thread."""

    def __init__(self, sources: Sequence[Source], splits: Sequence[HybridSplit], context: ReaderContext) -> None:
        self._sources = sources
        self._context = context
        self._later = list(splits)
        self._index = -1
        self._reader: SourceReader | None = None
        self._next_source()

    def _next_source(self) -> bool:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._index += 1
        if self._index >= len(self._sources):
            return False
        own = [hybrid.split for hybrid in self._later if hybrid.index == self._index]
        self._later = [hybrid for hybrid in self._later if hybrid.index > self._index]
        self._reader = self._sources[self._index].create_reader(own, self._context)
        return True

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        while self._reader is not None:
            batch = self._reader.poll(max_records)
            if batch is not END_OF_INPUT:
                return batch
            if not self._next_source():
                break
        return END_OF_INPUT

    def snapshot(self) -> list[HybridSplit]:
        own = [] if self._reader is None else self._reader.snapshot()
        return [*(HybridSplit(self._index, split) for split in own), *self._later]

    def next_poll_ms(self) -> int | None:
        return self._reader.next_poll_ms() if self._reader is not None else None

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        if self._reader is not None:
            self._reader.notify_checkpoint_complete(checkpoint_id)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

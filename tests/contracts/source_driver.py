"""Drives a source without the runtime: polls its readers, crashes them, and deals their snapshots out anew."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.datastream.connectors.base import END_OF_INPUT, ReaderContext, Source, SourceReader

WAIT_S = 20.0  # for a fetcher thread; far more than it needs


@dataclass
class Clock:
    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Run:
    """One job's readers. `polls` are the sizes asked for, over and over."""

    source: Source
    parallelism: int
    polls: Sequence[int]
    clock: Clock = field(default_factory=Clock)
    records: list[Any] = field(default_factory=list)
    by_reader: list[list[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = pickle.loads(pickle.dumps(self.source))
        self.wakened = threading.Event()
        self._poll = 0
        self._start(self.source.plan_splits(self._readers))

    @property
    def _readers(self) -> int:
        return 1 if self.source.always_single else self.parallelism

    def _start(self, splits: Sequence[Any]) -> None:
        dealt = self.source.deal_out(splits, self._readers)
        assert len(dealt) == self._readers
        self.by_reader = [[] for _ in dealt]
        self.live: dict[int, SourceReader] = {}
        for index, own in enumerate(dealt):
            context = ReaderContext(index, self._readers, self.wakened.set, self.clock)
            self.live[index] = self.source.create_reader(own, context)
        self.finished: dict[int, list[Any]] = {}

    def poll_once(self, index: int) -> bool:
        """Whether the reader gave records, or ended."""
        size = self.polls[self._poll % len(self.polls)]
        self._poll += 1
        reader = self.live[index]
        batch = reader.poll(size)
        if batch is None:
            return False
        if batch is END_OF_INPUT:
            assert reader.snapshot() == [] or self.source.always_single or _only_bookkeeping(reader.snapshot())
            self.finished[index] = reader.snapshot()
            del self.live[index]
            reader.close()
            return True
        assert len(batch.values) <= size
        assert batch.timestamps is None or len(batch.timestamps) == len(batch.values)
        self.records.extend(batch.values)
        self.by_reader[index].extend(batch.values)
        return True

    def step(self, until: Callable[[], bool]) -> None:
        """Polls readers in turn until something holds or all have ended."""
        while self.live and not until():
            self.wakened.clear()
            moved = [self.poll_once(index) for index in list(self.live) if index in self.live]
            if not any(moved) and self.live and not until():
                assert self.wakened.wait(WAIT_S), "no reader has anything, and none wakes its task"

    def to_the_end(self) -> None:
        self.step(lambda: False)

    def snapshot(self) -> bytes:
        splits = [split for reader in self.live.values() for split in reader.snapshot()]
        splits += [split for own in self.finished.values() for split in own]
        return pickle.dumps(splits)

    def restart(self, snapshot: bytes, parallelism: int) -> None:
        self.close()
        self.parallelism = parallelism
        self._start(pickle.loads(snapshot))

    def close(self) -> None:
        for reader in self.live.values():
            reader.close()
        self.live = {}


def _only_bookkeeping(splits: Sequence[Any]) -> bool:
    return all(type(split).__name__ == "SeenFiles" for split in splits)

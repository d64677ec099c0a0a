"""Runs a task's chain: drives its generated loops, flushes its outputs, carries watermarks through it.

Everything here is a coroutine that yields False while an output is out of credit; see `_task.py` for who calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from penstock.datastream._transformations import TimestampsSpec
from penstock.runtime._chain import ChainCompiler, ChainNode, Entry
from penstock.runtime._elements import Batch, Element, Watermark, WatermarkStatus
from penstock.runtime._failure import RecordFailure, job_failure
from penstock.runtime._outputs import BATCH_LIMIT, Output, SinkOutput
from penstock.runtime._pace import Pace
from penstock.runtime._record_types import typed_key_selector
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP, Timed
from penstock.runtime.state import freeze_key

if TYPE_CHECKING:
    from penstock.runtime.sort import Part

__all__ = ["ChainRun"]

FLUSH_AT = 256
"""Records at which an output is flushed although the task has more to do."""


class ChainRun:
    """Task thread only.

    Attributes:
        name: the subtask, as in Flink's logs.
        head: the chain.
        nodes: all of it, head first.
        outputs: where records leave it.
        timers: timer services by node id.
        pace: how many records the functions take at a time.
    """

    def __init__(self, name: str, head: ChainNode, backend: Any, *, adapts: bool = True) -> None:
        self.name = name
        self.head = head
        self.backend = backend
        self.nodes = list(head.walk())
        self.outputs: list[Output] = [output for node in self.nodes for _, output in node.outputs]
        self.timers: dict[int, list[Any]] = {}
        self.pace = Pace(adapts=adapts)
        self._compiler = ChainCompiler(head, name)
        self._entries: dict[tuple[int, bool, bool], Entry] = {}
        self._takes_batches = head.operator is not None and head.operator.takes_batches
        self._passed_watermarks: dict[int, int] = {}
        self._live: Any = None

    # -- records ---------------------------------------------------------------------------------

    def records(self, index: int, batch: Batch) -> Iterator[bool]:
        """One batch of records through the chain."""
        if self._takes_batches:
            yield from self._whole_batch(batch)
            return
        table = self.head.table
        if table is not None and table.live() is not self._live:
            self._rebind()
        key = (index, batch.timestamps is not None, batch.keys is not None)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = self._compiler.records(*key)
        backend = self.backend
        if backend is None or (backend.in_memory and not backend.snapshotting) or self.head.key_of[index] is None:
            yield from self._drive(entry, batch.values, batch.timestamps, batch.keys)
            if backend is not None:
                backend.end_batch()
            return
        # State on disk is fetched for a whole batch, and a snapshot under way wants to see values before they
        # change: both need the batch's keys before the loop.
        keys = list(map(freeze_key, self.keys_of(index, batch)))
        entry = self._compiler.records(index, batch.timestamps is not None, True)
        backend.begin_batch(keys, table)
        if table is not None:
            table.open_batch(keys)
        yield from self._drive(entry, batch.values, batch.timestamps, keys)
        if table is not None:
            table.close_batch(keys)
        backend.end_batch()

    def _rebind(self) -> None:
        """The state moved (`state.backend.type: auto`): the loops are written anew around where it is now."""
        self._live = self.head.table.live()
        self._entries.clear()
        self._compiler.close()
        self._compiler = ChainCompiler(self.head, self.name)

    def keys_of(self, index: int, batch: Batch) -> list[Any]:
        if batch.keys is not None:
            return batch.keys
        select = self.head.key_of[index]
        assert select is not None
        key_of = typed_key_selector(select, self.head.key_types[index])
        try:
            return list(map(key_of, batch.values))
        except Exception:
            for value in batch.values:
                try:
                    key_of(value)
                except Exception as error:
                    failure = RecordFailure(f"{self.head.name} (key selector)", value, error)
                    raise self.failure(failure) from None
            raise

    def _whole_batch(self, batch: Batch) -> Iterator[bool]:
        """Operators that take a batch at once (windows whose parts are all known)."""
        timestamps = batch.timestamps or [NO_TIMESTAMP] * len(batch)
        operator: Any = self.head.operator
        results = self.call(operator.process_batch, batch.values, timestamps, self.keys_of(0, batch))
        if results is not None:
            yield from self.results(self.head, results)
        self.backend.end_batch()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise self.failure(error) from None

    def results(self, node: ChainNode, results: Iterable[Timed]) -> Iterator[bool]:
        """Timed results of a node, pushed through what follows it."""
        yield from self._drive(self._compiler.results(node), results)

    def _drive(self, entry: Entry, *arguments: Any) -> Iterator[bool]:
        """Runs generated code; where an output is full it stops, is flushed, and waits for credit."""
        for output in entry.timed:
            output.prepare(True)
        for output in entry.untimed:
            output.prepare(False)
        try:
            self.pace.begin()
            running = entry.function(*arguments)
            if running is not None:
                for _ in running:
                    self.pace.end()
                    yield from self.flush(force=False, at=BATCH_LIMIT)
                    self.pace.begin()
            self.pace.end()
        except Exception as error:
            self._flush_after_failure()
            raise self.failure(error) from None
        yield from self.flush(force=False)

    def _flush_after_failure(self) -> None:
        """Lines printed before the failing record stay printed."""
        for output in self.outputs:
            if not isinstance(output, SinkOutput):
                try:
                    output.flush()
                except Exception:
                    return

    def fold(self, parts: Iterable[Part]) -> Iterator[Timed]:
        """A reduce in BATCH mode emits the last value of each key only."""
        reduce = self.head.function
        assert reduce is not None
        held: Any = None
        first = True
        latest = NO_TIMESTAMP
        for _, timestamps, values in parts:
            for value in values:
                try:
                    held = value if first else reduce(held, value)
                except Exception as error:
                    raise RecordFailure(self.head.name, value, error) from error
                first = False
            latest = timestamps[-1]
        yield held, latest

    # -- outputs ---------------------------------------------------------------------------------

    def flush(self, force: bool, at: int = FLUSH_AT) -> Iterator[bool]:
        """Flushes outputs that are full (or all), then waits until none is out of credit."""
        for output in self.outputs:
            if output.values and (force or len(output.values) >= at):
                self.flush_output(output)
        while not all(output.is_available for output in self.outputs):
            yield False

    def flush_output(self, output: Output) -> None:
        try:
            output.flush()
        except Exception as error:
            raise self.failure(error) from None

    def _emit(self, output: Output, event: Element) -> None:
        self.flush_output(output)
        output.emit(event)

    def fire(self, node: ChainNode, watermark: int) -> Iterator[bool]:
        for service in self.timers.get(node.id, ()):
            yield from self.results(node, service.advance_watermark(watermark))
        if node.operator is not None:
            yield from self.results(node, self.call(node.operator.advance_watermark, watermark))

    def pass_held_watermark(self, node: ChainNode) -> Iterator[bool]:
        """After results of an operator that holds watermarks back until what was before them has left."""
        if node.operator is not None and node.operator.holds_watermarks:
            yield from self.pass_watermark(node, NO_TIMESTAMP)

    def pass_watermark(self, node: ChainNode, watermark: int) -> Iterator[bool]:
        """Behind a node: to its outputs and to what is chained to it."""
        if node.operator is not None and node.operator.holds_watermarks:
            watermark = node.operator.output_watermark
            if watermark <= self._passed_watermarks.get(node.id, NO_TIMESTAMP):
                return
            self._passed_watermarks[node.id] = watermark
        for _, output in node.outputs:
            self.flush_output(output)
            output.watermark(watermark)
            output.emit(Watermark(watermark))
        for _, child in node.children:
            if isinstance(child.spec, TimestampsSpec) and watermark != MAX_WATERMARK:
                continue
            yield from self.fire(child, watermark)
            yield from self.pass_watermark(child, watermark)

    def forward(self, node: ChainNode, event: Element) -> Iterator[bool]:
        """Hands an event to everything behind a node."""
        for _, output in node.outputs:
            self._emit(output, event)
        for _, child in node.children:
            if isinstance(event, WatermarkStatus) and isinstance(child.spec, TimestampsSpec):
                continue
            yield from self.forward(child, event)

    # -- the end ---------------------------------------------------------------------------------

    def guarded(self, call: Callable[[], None]) -> None:
        """Runs user code between records; its failure becomes the job's."""
        self.call(call)

    def failure(self, error: BaseException) -> BaseException:
        """What the job fails with."""
        return job_failure(error, self._compiler.locate, self.name, self.head.name)

    def close(self) -> None:
        """Forgets the generated sources."""
        self._compiler.close()

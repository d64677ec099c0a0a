"""The connector interface: what the runtime asks of a source and of a sink.

The shape is FLIP-27's and FLIP-143's, cut to what one machine needs: splits are planned once and dealt out to
the readers; a reader is polled by its task's thread and never blocks it; a writer's committables are committed
when the checkpoint that contains them is complete. `pyflink.datastream.connectors.base` has the names `Source`
and `Sink` too, there as wrappers of Java objects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.conf import Record
from penstock.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation
    from penstock.datastream.data_stream import DataStream

__all__ = [
    "END_OF_INPUT",
    "Boundedness",
    "Committer",
    "DeliveryGuarantee",
    "ReaderContext",
    "Sink",
    "SinkWriter",
    "Source",
    "SourceBatch",
    "SourceReader",
    "StreamTransformer",
    "SupportsPreprocessing",
    "WriterContext",
]


class Boundedness(Enum):
    """Whether a source ends by itself (Flink's `Boundedness`)."""

    BOUNDED = "BOUNDED"
    CONTINUOUS_UNBOUNDED = "CONTINUOUS_UNBOUNDED"


class DeliveryGuarantee(Enum):
    """What a sink promises when a job is restarted from a checkpoint (Flink's `DeliveryGuarantee`)."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2


@dataclass(slots=True)
class SourceBatch:
    """What one poll returned: records, and their timestamps in epoch ms where the source knows them.

    Attributes:
        values: the records; handed over, the reader must not keep or change the list.
        timestamps: as long as `values`, or None.
        split: the split they are all of, one of the reader's `open_splits`.
    """

    values: list[Any]
    timestamps: list[int] | None = None
    split: Hashable = None


class _EndOfInput(Enum):
    END = "end of input"


END_OF_INPUT = _EndOfInput.END


class ReaderContext(Record):
    """What a reader may know of its task.

    Attributes:
        subtask_index: from 0.
        parallelism: number of readers.
        wake: callable from any thread: asks the task to poll again. A fetcher thread calls it when data arrives.
        now_ms: the runtime's clock, epoch ms.
    """

    subtask_index: int
    parallelism: int
    wake: Callable[[], None]
    now_ms: Callable[[], int]


class SourceReader(ABC):
    """Reads the splits of one subtask. All methods are called on the task's thread, none may block.

    A connector whose client blocks reads in a thread of its own with a bounded hand-over queue, and calls
    `context.wake()`.
    """

    @abstractmethod
    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        """Up to `max_records` records, or None when there are none right now, or END_OF_INPUT.

        After None the task polls again on `wake` or at `next_poll_ms`.
        """

    @abstractmethod
    def snapshot(self) -> list[Any]:
        """The splits still to be read, with positions as of the last poll.

        Picklable; given back to `Source.create_reader` on recovery.
        """

    def next_poll_ms(self) -> int | None:
        """Epoch ms at which polling makes sense again without a wake-up, or None."""
        return None

    def open_splits(self) -> frozenset[Hashable] | None:
        """The splits that records may still come from: each has a watermark of its own, and the lowest counts.

        None (the default) where the records of all splits make one watermark. A new object whenever it has changed.
        """
        return None

    def progress(self) -> tuple[float, float] | None:
        """(done, total) in any one unit where the source knows, for progress display."""
        return None

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Called when a checkpoint that contains this reader's snapshot is complete (commit offsets here)."""

    @abstractmethod
    def close(self) -> None:
        """Releases files, connections and threads; called once, also after a failure."""


class Source(ABC):
    """A source as a program configures it: picklable, no resources held."""

    @property
    @abstractmethod
    def boundedness(self) -> Boundedness:
        """Whether it ends by itself."""

    @abstractmethod
    def plan_splits(self, parallelism: int) -> list[Any]:
        """Finds the initial splits; called once at the job's start (not on recovery), then `deal_out` with them.

        Raises:
            PenstockError: if the source cannot be read at all (a path that does not exist, …).
        """

    @abstractmethod
    def create_reader(self, splits: Sequence[Any], context: ReaderContext) -> SourceReader:
        """A reader for these splits: from `plan_splits`, or from `snapshot`s after recovery (both by `deal_out`)."""

    def estimated_records(self) -> int | None:
        """About how many records it will give, None where that is not known. Cheap; decides whether processes pay."""
        return None

    @property
    def always_single(self) -> bool:
        """True where there is always one reader, whatever the parallelism (collections, sockets)."""
        return False

    @property
    def produced_type(self) -> TypeInformation | None:
        """The type of the records where the source knows it (Flink's `ResultTypeQueryable`), else None.

        It holds when `from_source` is given no type.
        """
        return None

    def get_java_function(self) -> NoReturn:
        """PyFlink's bridge to Java; raises UnsupportedFeatureError: there is no JVM."""
        raise UnsupportedFeatureError(
            f"{type(self).__name__}.get_java_function is PyFlink's internal access to the JVM; Penstock has none."
        )

    def deal_out(self, splits: Sequence[Any], parallelism: int) -> list[list[Any]]:
        """Which reader reads which splits: one list a reader, every split exactly once.

        Called with what `plan_splits` returned, and on recovery with all readers' snapshots put together, also when
        the parallelism has changed. Sources that find new splits while they run override it, so that what a reader
        finds later belongs to it and to no other reader.
        """
        return [list(splits[index::parallelism]) for index in range(parallelism)]


class WriterContext(Record):
    """What a writer may know of its task.

    Attributes:
        subtask_index: from 0.
        parallelism: number of writers.
        now_ms: the runtime's clock, epoch ms.
        input_type: the TypeInformation of the stream, None when untyped.
        checkpointing: whether the job takes checkpoints; without them everything is committed at the end of input.
    """

    subtask_index: int
    parallelism: int
    now_ms: Callable[[], int]
    input_type: Any
    checkpointing: bool = False


class SinkWriter(ABC):
    """Writes the records of one subtask; task thread only."""

    @abstractmethod
    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None, watermark: int) -> None:
        """Takes a batch of records."""

    def tick(self, now_ms: int) -> int | None:
        """Time-driven work (roll-over, linger). Returns the epoch ms of the next wanted call, or None."""
        return None

    def prepare_commit(self) -> list[Any]:
        """Flushes, and returns what is to be committed when the checkpoint (or the job's end) is certain; picklable."""
        return []

    def snapshot(self) -> Any:
        """State to go on with after recovery (open files, transaction ids), or None; called after `prepare_commit`."""
        return None

    def finish(self) -> list[Any]:
        """End of input: flush and close everything; returns the last committables."""
        return self.prepare_commit()

    @abstractmethod
    def close(self) -> None:
        """Releases resources without committing; called once, also after a failure."""


class Committer(ABC):
    """Makes committables final. Idempotent: a commit may be repeated after recovery."""

    @abstractmethod
    def commit(self, committables: Sequence[Any]) -> None:
        """Commits; already committed items are skipped."""

    def abort_unknown(self, writer_states: Sequence[Any]) -> None:
        """After recovery: cleans up what was written after the checkpoint (in-progress files, open transactions).

        Called once with the `snapshot`s of all writers of the restored checkpoint, after the restored committables were
        committed and before a writer of the new attempt is created: everything of theirs that no snapshot names is a
        leftover.
        """


class Sink(ABC):
    """A sink as a program configures it: picklable, no resources held."""

    @abstractmethod
    def create_writer(self, context: WriterContext, recovered: Sequence[Any] = ()) -> SinkWriter:
        """A writer; `recovered` are the `snapshot`s dealt to this subtask on recovery."""

    def create_committer(self) -> Committer | None:
        """The committer of a two-phase sink, None where writing is final."""
        return None

    def get_java_function(self) -> NoReturn:
        """PyFlink's bridge to Java; raises UnsupportedFeatureError: there is no JVM."""
        raise UnsupportedFeatureError(
            f"{type(self).__name__}.get_java_function is PyFlink's internal access to the JVM; Penstock has none."
        )


class StreamTransformer(ABC):
    """Changes the stream a sink is attached to (`pyflink.datastream.connectors.base`)."""

    @abstractmethod
    def apply(self, ds: DataStream) -> DataStream:
        """The stream the sink reads instead of `ds`."""


class SupportsPreprocessing(ABC):
    """A sink that wants its stream changed first."""

    @abstractmethod
    def get_transformer(self) -> StreamTransformer | None:
        """The change, or None for none."""

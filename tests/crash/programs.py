"""The programs that are broken: sources of few records a poll, and jobs whose results don't depend on the interleaving."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from faults import reach

from penstock.common import Configuration, Encoder, Time, Types, WatermarkStrategy
from penstock.common.watermark_strategy import TimestampAssigner
from penstock.datastream import (
    AsyncDataStream,
    AsyncFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    StreamExecutionEnvironment,
)
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
)
from penstock.datastream.connectors.file_system import BucketAssigner, FileSink, RollingPolicy
from penstock.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from penstock.datastream.window import EventTimeSessionWindows, SlidingEventTimeWindows, TumblingEventTimeWindows
from penstock.runtime import _attempt

KEYS = 7
STEP_MS = 10


@dataclass(frozen=True)
class Range:
    """Every `step`th number from `position` up to `end`."""

    position: int
    end: int
    step: int


class PacedNumbers(Source):
    """Numbers, a few a poll and sometimes none; of several splits always the smallest number first."""

    def __init__(self, count: int, poll_max: int = 4, gap: int = 5) -> None:
        self._count = count
        self._poll_max = poll_max
        self._gap = gap

    @property
    def boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    def plan_splits(self, parallelism: int) -> list[Range]:
        return [Range(index, self._count, parallelism) for index in range(parallelism)]

    def create_reader(self, splits: Sequence[Range], context: ReaderContext) -> SourceReader:
        return _PacedReader(splits, context, self._poll_max, self._gap)


class _PacedReader(SourceReader):
    def __init__(self, splits: Sequence[Range], context: ReaderContext, poll_max: int, gap: int) -> None:
        self._splits = list(splits)
        self._context = context
        self._poll_max = poll_max
        self._gap = gap
        self._random = Random(context.subtask_index)

    def poll(self, max_records: int) -> Any:
        if self._random.randrange(self._gap) == 0:
            return None
        values: list[int] = []
        wanted = self._random.randint(1, self._poll_max)
        while len(values) < wanted:
            self._splits = [split for split in self._splits if split.position < split.end]
            if not self._splits:
                break
            index = min(range(len(self._splits)), key=lambda i: self._splits[i].position)
            split = self._splits[index]
            values.append(split.position)
            self._splits[index] = replace(split, position=split.position + split.step)
        return SourceBatch(values) if values else END_OF_INPUT

    def next_poll_ms(self) -> int:
        return self._context.now_ms() + 1

    def snapshot(self) -> list[Range]:
        return list(self._splits)

    def close(self) -> None:
        pass


class _ByValue(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return value * STEP_MS


def by_value() -> WatermarkStrategy:
    """Event time rises with the numbers."""
    return WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(_ByValue())


def environment(parallelism: int, options: dict[str, Any]) -> StreamExecutionEnvironment:
    conf = Configuration()
    for key, value in options.items():
        conf.set_string(key, str(value))
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(parallelism)
    env.set_max_parallelism(12)
    return env


def numbers(env: StreamExecutionEnvironment, count: int, name: str = "numbers", **pace: int) -> Any:
    stream = env.from_source(PacedNumbers(count, **pace), by_value(), name, Types.LONG()).uid(name)
    return stream.map(_may_fail, Types.LONG()).uid(f"{name} that fail")


def _may_fail(value: int) -> int:
    reach("record")
    return value


# -- bodies: from a stream of numbers to a stream of results --------------------------------------------------------


class _Count(KeyedProcessFunction):
    """(key, how many so far): each pair once, whatever the interleaving."""

    def open(self, runtime_context: Any) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        yield f"{ctx.get_current_key()} {count}"


def keyed_counts(env: Any, source: Any) -> Any:
    return source.key_by(lambda x: x % KEYS).process(_Count(), Types.STRING()).uid("counts")


def _add(a: Any, b: Any) -> Any:
    return a[0], a[1] + b[1], a[2] + b[2]


def keyed_sums(env: Any, source: Any) -> Any:
    """The count within a running reduce; sums at the end are those of the whole."""
    pairs = source.map(lambda x: (x % KEYS, x, 1)).uid("pairs")
    reduced = pairs.key_by(lambda p: p[0]).reduce(_add).uid("sums")
    return reduced.map(lambda p: f"{p[0]} {p[2]}", Types.STRING()).uid("sum texts")


def windows(env: Any, source: Any) -> Any:
    """Tumbling, sliding and session windows side by side."""
    pairs = source.map(lambda x: (x % KEYS, x, 1)).uid("pairs")
    keyed = pairs.key_by(lambda p: p[0])
    tumbling = keyed.window(TumblingEventTimeWindows.of(Time.milliseconds(300))).reduce(_add).uid("tumbling")
    sliding = (
        keyed.window(SlidingEventTimeWindows.of(Time.milliseconds(400), Time.milliseconds(200)))
        .reduce(_add)
        .uid("sliding")
    )
    # Key 0 has a gap after every third multiple of 7, so that sessions merge and end.
    sparse = pairs.filter(lambda p: p[1] % 70 < 35).uid("sparse").key_by(lambda p: p[0])
    sessions = sparse.window(EventTimeSessionWindows.with_gap(Time.milliseconds(150))).reduce(_add).uid("sessions")
    texts = [
        stream.map(lambda p, name=name: f"{name} {p[0]} {p[1]} {p[2]}", Types.STRING()).uid(f"{name} texts")
        for name, stream in (("tumbling", tumbling), ("sliding", sliding), ("sessions", sessions))
    ]
    return texts[0].union(*texts[1:])


class _Buckets(KeyedProcessFunction):
    """Keeps elements in lists and maps until an event-time timer; a second timer of the key is deleted each time."""

    def open(self, runtime_context: Any) -> None:
        self._held = runtime_context.get_list_state(ListStateDescriptor("held", Types.LONG()))
        self._ends = runtime_context.get_map_state(MapStateDescriptor("ends", Types.LONG(), Types.LONG()))

    def process_element(self, value: int, ctx: Any) -> Iterable[Any]:
        time = ctx.timestamp()
        self._held.add(value)
        end = time - time % 250 + 250
        self._ends.put(end, (self._ends.get(end) or 0) + 1)
        timers = ctx.timer_service()
        timers.register_event_time_timer(end)
        timers.register_event_time_timer(end + 7)
        timers.delete_event_time_timer(end + 7)
        return ()

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        reach("timer")
        held = sorted(self._held.get())
        due = [value for value in held if value * STEP_MS < timestamp]
        self._held.update([value for value in held if value * STEP_MS >= timestamp])
        yield f"{ctx.get_current_key()} {timestamp} {self._ends.get(timestamp)} {sum(due)}"
        self._ends.remove(timestamp)


def timers(env: Any, source: Any) -> Any:
    return source.key_by(lambda x: x % KEYS).process(_Buckets(), Types.STRING()).uid("buckets")


class _Lasting(KeyedProcessFunction):
    """State whose time to live is longer than the job."""

    def open(self, runtime_context: Any) -> None:
        ttl = StateTtlConfig.new_builder(Time.hours(1)).set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)
        count = ValueStateDescriptor("count", Types.LONG())
        seen = ListStateDescriptor("seen", Types.LONG())
        for descriptor in (count, seen):
            descriptor.enable_time_to_live(ttl.build())
        self._count = runtime_context.get_state(count)
        self._seen = runtime_context.get_list_state(seen)

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        self._seen.add(value)
        yield f"{ctx.get_current_key()} {count} {len(list(self._seen.get()))}"


def ttl(env: Any, source: Any) -> Any:
    return source.key_by(lambda x: x % KEYS).process(_Lasting(), Types.STRING()).uid("lasting")


class RecordClock:
    """The clock of times to live: the time of the record that is processed, so that what expires is in the input."""

    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


RECORD_CLOCK = RecordClock()


def use_record_clock(patch: Callable[[Any, str, Any], None]) -> None:
    """Keyed state of jobs from now on goes by the clock of records."""
    made = _attempt.BackendContext
    patch(_attempt, "BackendContext", lambda *facts: made(*facts[:-1], RECORD_CLOCK))


class _Expiring(KeyedProcessFunction):
    """Counts that begin anew after a gap, because the state before it has expired; also when it lay in a checkpoint."""

    def open(self, runtime_context: Any) -> None:
        # Subtasks of the source may be apart: cleaning by the clock of one would expire what the other still asks for.
        ttl = StateTtlConfig.new_builder(Time.milliseconds(3 * SPARSE_KEYS * STEP_MS)).disable_cleanup_in_background()
        descriptors = (
            ValueStateDescriptor("count", Types.LONG()),
            ListStateDescriptor("recent", Types.LONG()),
            MapStateDescriptor("by parity", Types.LONG(), Types.LONG()),
        )
        for descriptor in descriptors:
            descriptor.enable_time_to_live(ttl.build())
        self._count = runtime_context.get_state(descriptors[0])
        self._recent = runtime_context.get_list_state(descriptors[1])
        self._by_parity = runtime_context.get_map_state(descriptors[2])

    def process_element(self, value: int, ctx: Any) -> Iterable[Any]:
        RECORD_CLOCK.now_ms = value * STEP_MS
        try:
            count = (self._count.value() or 0) + 1
            self._count.update(count)
            self._recent.add(value)
            parity = value // SPARSE_KEYS % 2
            self._by_parity.put(parity, (self._by_parity.get(parity) or 0) + 1)
            recent, parities = len(list(self._recent.get() or [])), sorted(self._by_parity.items())
        finally:
            RECORD_CLOCK.now_ms = 0
        return [f"{ctx.get_current_key()} {value} {count} {recent} {parities}"]


SPARSE_KEYS = 12
"""All numbers of such a key come from one split, in order, at any parallelism up to 4."""


def expiring(env: Any, source: Any) -> Any:
    """Of each key five numbers, then none for five: state expires in between, wherever it is then."""
    sparse = source.filter(lambda x: x // SPARSE_KEYS % 10 < 5).uid("with gaps")
    return sparse.key_by(lambda x: x % SPARSE_KEYS).process(_Expiring(), Types.STRING()).uid("expiring")


RULES = MapStateDescriptor("rules", Types.LONG(), Types.PICKLED_BYTE_ARRAY())


class _WithRules(KeyedBroadcastProcessFunction):
    """Elements wait for the end of both inputs, when all rules are there; a rule's list grows in place."""

    def open(self, runtime_context: Any) -> None:
        self._held = runtime_context.get_list_state(ListStateDescriptor("held", Types.LONG()))

    def process_element(self, value: int, ctx: Any) -> Iterable[Any]:
        self._held.add(value)
        ctx.timer_service().register_event_time_timer(1 << 60)
        return ()

    def process_broadcast_element(self, value: int, ctx: Any) -> Iterable[Any]:
        rules = ctx.get_broadcast_state(RULES)
        held = rules.get(value % 3)
        if held is None:
            rules.put(value % 3, [value])
        else:
            held.append(value)
            rules.put(value % 3, held)
        return ()

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        rules = ctx.get_broadcast_state(RULES)
        text = " ".join(f"{key}:{len(rules.get(key))}:{sum(rules.get(key))}" for key in sorted(rules.keys()))
        for value in sorted(self._held.get()):
            yield f"{value} {text}"


def broadcast(env: Any, source: Any) -> Any:
    rules = numbers(env, 40, "rules", gap=2).broadcast(RULES)
    return source.key_by(lambda x: x % KEYS).connect(rules).process(_WithRules(), Types.STRING()).uid("with rules")


class _PlusOne(AsyncFunction):
    async def async_invoke(self, value: int) -> list[int]:
        return [value + 1]


def asynchronous(env: Any, source: Any) -> Any:
    added = AsyncDataStream.unordered_wait(source, _PlusOne(), Time.seconds(100), 5, Types.LONG()).uid("plus one")
    return added.map(str, Types.STRING()).uid("texts")


class _Both(KeyedCoProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self._counts = runtime_context.get_map_state(MapStateDescriptor("counts", Types.STRING(), Types.LONG()))

    def _next(self, side: str, ctx: Any) -> Iterator[str]:
        count = (self._counts.get(side) or 0) + 1
        self._counts.put(side, count)
        yield f"{side} {ctx.get_current_key()} {count}"

    def process_element1(self, value: int, ctx: Any) -> Iterator[str]:
        return self._next("left", ctx)

    def process_element2(self, value: int, ctx: Any) -> Iterator[str]:
        return self._next("right", ctx)


def two_inputs(env: Any, source: Any) -> Any:
    """The second source ends long before the first; its own branch has ended when checkpoints are taken."""
    short = numbers(env, 30, "short", gap=2)
    both = source.connect(short).key_by(lambda x: x % KEYS, lambda x: x % KEYS).process(_Both(), Types.STRING())
    return both.uid("both").union(short.map(lambda x: f"short {x}", Types.STRING()).uid("short texts"))


def stateless(env: Any, source: Any) -> Any:
    """One chain from the source to the sink, beside one that ends early."""
    short = numbers(env, 25, "short", gap=2).map(lambda x: f"short {x}", Types.STRING()).uid("short texts")
    return source.map(lambda x: f"long {x}", Types.STRING()).uid("long texts").union(short)


BODIES: dict[str, Callable[[Any, Any], Any]] = {
    "keyed counts": keyed_counts,
    "keyed sums": keyed_sums,
    "windows": windows,
    "timers": timers,
    "ttl": ttl,
    "expiring": expiring,
    "broadcast": broadcast,
    "async": asynchronous,
    "two inputs": two_inputs,
    "stateless": stateless,
}

KILLED = ("keyed counts", "timers", "ttl", "expiring", "windows")
"""The bodies of the job that is killed."""


# -- ends -----------------------------------------------------------------------------------------------------------


def file_sink(directory: Path, rolls: str) -> FileSink:
    """One file over many checkpoints, one a checkpoint, or many small ones."""
    policy = {
        "long": RollingPolicy.default_rolling_policy(),
        "checkpoint": RollingPolicy.on_checkpoint_rolling_policy(),
        "small": RollingPolicy.default_rolling_policy(100, 50, 50),
    }[rolls]
    return (
        FileSink.for_row_format(str(directory), Encoder.simple_string_encoder())
        .with_rolling_policy(policy)
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .build()
    )


def lines_of(directory: Path) -> list[str]:
    """What a reader of a file sink's directory sees."""
    visible = [path for path in directory.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return [line for path in visible for line in path.read_text().splitlines()]


def leftovers(directory: Path) -> list[str]:
    """Files in progress."""
    return [path.name for path in directory.rglob(".*") if path.is_file()]


__all__ = [
    "BODIES",
    "KILLED",
    "RECORD_CLOCK",
    "PacedNumbers",
    "by_value",
    "environment",
    "file_sink",
    "leftovers",
    "lines_of",
    "numbers",
    "use_record_clock",
]

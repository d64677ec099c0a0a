"""Timers of which memory holds few, over a real store: they fire as if it held all."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.common import Configuration, Time, WatermarkStrategy
from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.common.typeinfo import Types
from penstock.common.watermark_strategy import TimestampAssigner
from penstock.datastream import AggregateFunction, KeyedProcessFunction, StreamExecutionEnvironment
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.state import ValueStateDescriptor
from penstock.datastream.time_domain import TimeDomain
from penstock.datastream.window import EventTimeSessionWindows, EventTimeTrigger, TumblingEventTimeWindows
from penstock.errors import ConfigurationError
from penstock.memory import RocksDBPlan
from penstock.runtime import _spilled_timers
from penstock.runtime._timers import TimerService, TimerSnapshot
from penstock.runtime.state import BackendContext, HashMapBackend, KeyedStateBackend
from penstock.runtime.state._auto import AutoBackend
from penstock.runtime.state._heap_share import HeapShare

pytest.importorskip("rocksdict")

from penstock.runtime.state._rocksdb import RocksDBBackend, RocksDBSettings
from penstock.runtime.state._rocksdb_memory import RocksDBMemory
from penstock.runtime.state._rocksdb_timers import RocksDBTimerStore
from penstock.runtime.testing import MemoryStorage

GROUPS = 6


def context(subtask: int = 0, parallelism: int = 1) -> BackendContext:
    return BackendContext("0123456789abcdef", "Buckets", subtask, parallelism, GROUPS, lambda: 0)


def new_rocksdb(
    directory: Path, subtask: int = 0, parallelism: int = 1, *, share_bytes: int = 0, **settings: Any
) -> RocksDBBackend:
    plan = RocksDBPlan("fixed-per-slot", 0.5, 0.1, False, 8 << 20, (8 << 20) * 5 // 6, (8 << 20) // 3)
    lease = RocksDBMemory.lease(plan, "test", None)
    chosen = RocksDBSettings((str(directory),), incremental=True, **settings)
    return RocksDBBackend(context(subtask, parallelism), chosen, lease, HeapShare(share_bytes))


def new_backend(kind: str, directory: Path, subtask: int = 0, parallelism: int = 1) -> KeyedStateBackend:
    if kind == "hashmap":
        return HashMapBackend(context(subtask, parallelism))
    if kind == "auto":
        return AutoBackend(
            context(subtask, parallelism), HeapShare(0), lambda _: new_rocksdb(directory, subtask, parallelism)
        )
    return new_rocksdb(directory, subtask, parallelism, timers_on_heap=kind == "rocksdb-heap")


class Service:
    """A service over a backend, and what fired: (domain, timestamp, key, namespace)."""

    def __init__(self, backend: Any, name: str = "user-timers", restored: Any = ()) -> None:
        self.backend = backend
        self.fired: list[tuple[str, int, Any, Any]] = []
        self.react: Any = None
        self.service = TimerService(name, self._on("event"), self._on("processing"), backend, lambda: 0)
        self.service.restore(restored)
        backend.keep_timers(self.service)

    def _on(self, domain: str) -> Any:
        def on_timer(timestamp: int, key: Any, namespace: Any) -> None:
            assert self.backend.current_key == key
            self.fired.append((domain, timestamp, key, namespace))
            if self.react is not None:
                self.react(timestamp, key, namespace)
                self.backend.current_key = key

        return on_timer

    def register(self, key: Any, timestamp: int, namespace: Any = None, domain: str = "event") -> None:
        self.backend.current_key = key
        getattr(self.service, f"register_{domain}_time_timer")(timestamp, namespace)

    def delete(self, key: Any, timestamp: int, namespace: Any = None, domain: str = "event") -> None:
        self.backend.current_key = key
        getattr(self.service, f"delete_{domain}_time_timer")(timestamp, namespace)

    def advance(self, limit: int, domain: str = "event") -> list[tuple[int, Any, Any]]:
        self.fired.clear()
        if domain == "event":
            assert list(self.service.advance_watermark(limit)) == []
        else:
            assert list(self.service.advance_processing_time(limit)) == []
        return [fired[1:] for fired in self.fired]

    def in_memory(self) -> int:
        return len(self.service.event_time) + len(self.service.processing_time)


@pytest.fixture
def rocksdb(tmp_path: Path) -> Iterator[Any]:
    made: list[RocksDBBackend] = []

    def make(**settings: Any) -> RocksDBBackend:
        made.append(new_rocksdb(tmp_path, **settings))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


def test_the_latest_times_go_to_the_store_and_come_back_in_their_order(rocksdb: Any) -> None:
    backend = rocksdb(share_bytes=400_000)
    timers = Service(backend)
    for number in range(3000):
        timers.register(f"k{number % 100}", number * 7919 % 3000)
        if number % 100 == 99:
            backend.begin_batch(range(100))
            backend.end_batch()
    assert timers.in_memory() < 400
    assert timers.service.event_time.next_time() == 0
    earliest = min(timer.timestamp for timer in timers.service.event_time.timers())
    assert earliest == 0, "the earliest stay in memory"
    for watermark in (10, 11, 1500, 2999):
        before = timers.service.current_watermark
        fired = timers.advance(watermark)
        assert [timestamp for timestamp, _, _ in fired] == list(range(max(0, before + 1), watermark + 1))
    assert timers.service.event_time.next_time() is None
    assert timers.service.event_time.horizon is None


def test_jobs_whose_timers_fit_have_no_state_of_them(rocksdb: Any) -> None:
    backend = rocksdb(share_bytes=64 << 20)
    timers = Service(backend)
    for number in range(1000):
        timers.register(number, number)
    backend.end_batch()
    assert not backend.schemas()
    assert not backend.sizes()
    assert len(timers.advance(MAX_LONG_VALUE)) == 1000


def test_many_timers_of_one_time_come_page_by_page(rocksdb: Any) -> None:
    backend = rocksdb(share_bytes=600_000, timer_cache_size=16)
    timers = Service(backend)
    for number in range(20_000):
        timers.register(number, 5)
        if number % 500 == 499:
            backend.begin_batch(range(500))
            backend.end_batch()
    timers.register("later", 6)
    held = []
    timers.react = lambda *_: held.append(sum(map(len, timers.service.event_time.firing.values())))
    fired = timers.advance(6)
    assert sorted(key for _, key, _ in fired[:-1]) == list(range(20_000))
    assert fired[-1] == (6, "later", None)
    assert max(held) < 3000
    assert [(size.name, size.entries > 0) for size in backend.sizes()] in (
        [("_timer_state/event_user-timers", True)],
        [("_timer_state/event_user-timers", False)],
    )


def test_a_timer_set_to_the_past_again_and_again_leaves_room_for_others(rocksdb: Any) -> None:
    backend = rocksdb()
    timers = Service(backend)
    timers.react = lambda timestamp, key, _: timers.register(key, min(timestamp, 9), None, "processing")
    for timestamp in (9, 50):
        timers.register("a", timestamp, None, "processing")
    backend.end_batch()
    assert timers.in_memory() == 0
    assert timers.service.next_processing_time() == 9
    assert timers.advance(100, "processing") == [(9, "a", None), (50, "a", None)]
    backend.end_batch()
    assert timers.service.next_processing_time() == 9
    assert timers.advance(101, "processing") == [(9, "a", None)]


def test_timers_of_a_next_round_that_are_too_many_go_to_the_store_as_well(
    rocksdb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_spilled_timers, "_DUE_BYTES_MAX", 0)
    backend = rocksdb(share_bytes=200_000)
    timers = Service(backend)
    for number in range(5000):
        timers.register(number, number % 10)
        if number % 500 == 499:
            backend.end_batch()
    most = []

    def once_more(timestamp: int, key: Any, namespace: Any) -> None:
        if timestamp < 20:
            timers.service.register_event_time_timer(timestamp + 20)
        most.append(sum(map(len, timers.service.event_time.buckets.values())))

    timers.react = once_more
    fired = timers.advance(100)
    assert sorted(fired) == sorted((number % 10 + more, number, None) for number in range(5000) for more in (0, 20))
    assert max(most) < 4000


def test_times_outside_a_long_stay_in_memory(rocksdb: Any) -> None:
    backend = rocksdb()
    timers = Service(backend)
    times = [1 << 70, -(1 << 70), MAX_LONG_VALUE, MIN_LONG_VALUE, 0, -1, 1]
    for timestamp in times:
        timers.register("a", timestamp)
    backend.end_batch()
    timers.delete("a", 1 << 70)
    assert timers.in_memory() == 1
    timers.delete("a", 1.0)  # type: ignore[arg-type]  # equal to one that is there
    timers.delete("a", None)  # type: ignore[arg-type]  # as in memory, nothing
    assert [timestamp for timestamp, _, _ in timers.advance(MAX_LONG_VALUE)] == [*sorted(times)[:4], MAX_LONG_VALUE]


def test_no_state_of_a_user_may_have_the_name_of_timers(rocksdb: Any) -> None:
    with pytest.raises(ConfigurationError, match="kept for timers"):
        rocksdb().state(ValueStateDescriptor("_timer_state/event_user-timers", Types.LONG()))


# -- snapshots -----------------------------------------------------------------------------------


def take(service: Service, storage: MemoryStorage, checkpoint_id: int, *, canonical: bool) -> Any:
    timers = service.service.snapshot()
    snapshot = service.backend.snapshot(checkpoint_id, storage, canonical=canonical)
    while not snapshot.advance(1000):
        pass
    return timers, snapshot.finish()


def restored(kind: str, directory: Path, parallelism: int, taken: list[Any], storage: MemoryStorage) -> list[Service]:
    services = []
    for subtask in range(parallelism):
        backend = new_backend(kind, directory, subtask, parallelism)
        backend.restore([(handle, storage) for _, handle in taken])
        groups = [each for timers, _ in taken for group, each in timers.items() if group in backend.key_group_range]
        services.append(Service(backend, restored=groups))
    return services


KEYS = ["a", "b", "c", 1, 2, (1, "x"), None]


@pytest.mark.parametrize("canonical", [False, True])
@pytest.mark.parametrize(
    "kinds",
    [
        ("rocksdb",) * 4,
        ("rocksdb", "hashmap", "rocksdb", "auto"),
        ("auto",) * 4,
        ("rocksdb", "rocksdb-heap", "hashmap", "rocksdb"),
    ],
)
def test_timers_survive_a_change_of_parallelism_and_backend(
    kinds: tuple[str, ...], canonical: bool, tmp_path: Path
) -> None:
    expected = set()
    storage, taken = MemoryStorage(), []
    for step, (kind, parallelism) in enumerate(zip(kinds, (2, 3, 1, 2), strict=True)):
        services = restored(kind, tmp_path, parallelism, taken, storage)
        by_group = {
            group: service
            for service in services
            for group in range(GROUPS)
            if group in service.backend.key_group_range
        }
        for number in range(60):
            key, timestamp = KEYS[number % len(KEYS)], 1000 * step + number
            service = by_group[services[0].backend.key_group_of(key)]
            service.register(key, timestamp, number % 2 or None)
            expected.add((timestamp, key, number % 2 or None))
        for service in services:
            for _ in range(4):
                service.backend.end_batch()
        for timer in sorted(expected, key=repr)[::7]:
            by_group[services[0].backend.key_group_of(timer[1])].delete(timer[1], timer[0], timer[2])
            expected.discard(timer)
        taken = [take(service, storage, step + 1, canonical=canonical) for service in services]
        if kind in ("rocksdb", "auto"):
            assert sum(service.in_memory() for service in services) < len(expected) / 2
        if step < 3:
            for service in services:
                service.backend.close()
    for again in (services, restored("rocksdb", tmp_path, 1, taken, storage)):
        fired = [timer for service in again for timer in service.advance(MAX_LONG_VALUE)]
        assert len(fired) == len(expected)
        assert set(fired) == expected
        for service in again:
            service.backend.close()


@pytest.mark.parametrize("share_bytes", [0, 80_000])
def test_what_happens_behind_a_barrier_is_not_in_the_checkpoint(rocksdb: Any, tmp_path: Path, share_bytes: int) -> None:
    backend, storage = rocksdb(share_bytes=share_bytes), MemoryStorage()
    service = Service(backend)
    for number in range(100):
        service.register(number, number)
    backend.end_batch()
    service.delete(99, 99)
    timers = service.service.snapshot()
    snapshot = backend.snapshot(1, storage)
    service.delete(98, 98)
    service.register("new", 50)
    backend.begin_batch(range(1))
    backend.end_batch()
    assert backend.is_flushing() == bool(share_bytes), "it waits for the files only if there is no room at all"
    assert len(service.advance(10)) == 11
    while not snapshot.advance(1000):
        pass
    (again,) = restored("rocksdb", tmp_path, 1, [(timers, snapshot.finish())], storage)
    assert [key for _, key, _ in again.advance(200)] == list(range(99))
    again.backend.close()
    assert {key for _, key, _ in service.advance(200)} == {*range(11, 98), "new"}


# -- against timers in memory --------------------------------------------------------------------

NAMESPACES = (None, None, 1)


class Twins:
    """A service in memory and one that has next to none of it; the same is done to both."""

    def __init__(self, directory: Path, random: Random) -> None:
        self.directory = directory
        self.random = random
        self.domain = random.choice(["event", "processing"])
        self.share_bytes = random.choice([0, 4000, 20_000])
        self.cache_size = random.choice([1, 2, 128])
        self.storage = MemoryStorage()
        self.snapshots = 0
        self.limit = -2
        # At a time that fires: what is done, before which key's name ("" its own), at which time, for which namespace.
        self.reactions = {
            time: [
                (
                    random.choice(["register", "register", "delete"]),
                    random.choice(["", "", "a of ", "b of "]),
                    random.randint(-3, 12),
                    random.choice(NAMESPACES),
                )
                for _ in range(random.randint(1, 4))
            ]
            for time in range(-1, 10)
            if random.random() < 0.5
        }
        self.backend = self.new_backend()
        self.memory, self.disk = Service(HashMapBackend(context())), Service(self.backend)
        self.reset_reactions()

    def new_backend(self) -> RocksDBBackend:
        return new_rocksdb(self.directory, share_bytes=self.share_bytes, timer_cache_size=self.cache_size)

    def reset_reactions(self) -> None:
        for service in (self.memory, self.disk):
            service.react = self.reaction(service)

    def reaction(self, service: Service) -> Any:
        done: set[Any] = set()

        def react(timestamp: int, key: Any, namespace: Any) -> None:
            if (timestamp, key) in done or " of " in key:
                return
            done.add((timestamp, key))
            # Timers of one time come in another order: what one does must not matter to the others.
            for name, before, at, other_namespace in self.reactions.get(timestamp, ()):
                if at != timestamp:
                    getattr(service, name)(before + key, at, other_namespace, self.domain)

        return react

    def act(self, name: str) -> None:
        timer = self.random.choice("abcdef"), self.random.randint(-1, 9), self.random.choice(NAMESPACES)
        for service in (self.memory, self.disk):
            getattr(service, name)(*timer, self.domain)

    def advance(self, limit: int) -> None:
        """What fires must be the same, in the same order of times."""
        expected, fired = self.memory.advance(limit, self.domain), self.disk.advance(limit, self.domain)
        assert [timer[0] for timer in fired] == [timer[0] for timer in expected]
        assert sorted(fired, key=repr) == sorted(expected, key=repr)

    def restart(self) -> None:
        self.snapshots += 1
        timers, handle = take(self.disk, self.storage, self.snapshots, canonical=self.random.random() < 0.5)
        self.backend.close()
        self.backend = self.new_backend()
        self.backend.restore([(handle, self.storage)])
        self.disk = Service(self.backend, restored=[TimerSnapshot(*group) for group in timers.values()])
        self.reset_reactions()

    def step(self) -> None:
        drawn = self.random.random()
        if drawn < 0.4:
            for _ in range(self.random.randint(1, 40)):
                self.act("register")
            self.backend.end_batch()
        elif drawn < 0.6:
            self.act("delete")
        elif drawn < 0.7:
            self.backend.end_batch()
        elif drawn < 0.95:
            self.limit += self.random.randint(0, 6)
            self.advance(self.limit)
        else:
            self.restart()

    def next_times(self) -> list[int | None]:
        services = (self.memory.service, self.disk.service)
        return [
            (service.event_time if self.domain == "event" else service.processing_time).next_time()
            for service in services
        ]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="penstock-timers-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def looked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spilled_timers, "_LOOKED_EACH", 1)


@pytest.mark.usefixtures("looked_often")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 32))
def test_timers_behave_like_those_in_memory(directory: Path, seed: int) -> None:
    """The same calls on a queue in memory; what fires, when, and in which order of times must be the same."""
    twins = Twins(directory, Random(seed))
    try:
        for _ in range(twins.random.randint(5, 40)):
            twins.step()
            earliest, least = twins.next_times()
            assert earliest is None or (least is not None and least <= earliest)
        twins.reactions.clear()
        twins.advance(MAX_LONG_VALUE)
    finally:
        twins.backend.close()


# -- whole jobs ----------------------------------------------------------------------------------

KEYS_OF_JOBS = 3000


class _Timed(KeyedProcessFunction):
    """Each key is called back at a time of its own, and a second time; one of three timers is deleted."""

    def process_element(self, value: int, ctx: Any) -> Any:
        timers = ctx.timer_service()
        at = 10_000_000 + value * 7919 % KEYS_OF_JOBS * 10
        for timestamp in (at, at + 5, at + 7):
            timers.register_event_time_timer(timestamp)
        timers.delete_event_time_timer(at + 5)
        timers.register_processing_time_timer(timers.current_processing_time() + 1 + value % 50)
        if value % 10 == 0:
            time.sleep(0.001)
        return ()

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        is_event = ctx.time_domain() is TimeDomain.EVENT_TIME
        yield ("event", ctx.get_current_key(), timestamp) if is_event else ("processing", ctx.get_current_key(), 0)


class _Ascending(TimestampAssigner):
    def extract_timestamp(self, value: int, record_timestamp: int) -> int:
        return value


def job(backend: str, **options: str) -> Any:
    conf = Configuration()
    for key, value in {
        "execution.target": "local",
        "state.backend.type": backend,
        "penstock.state.cache.size": "40 kb",
        "penstock.state.auto.heap-size": "40 kb",
        **options,
    }.items():
        conf.set_string(key, value)
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(2)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(_Ascending())
    source = NumberSequenceSource(0, KEYS_OF_JOBS - 1)
    return env.from_source(source, strategy, "numbers", Types.LONG())


def collected(stream: Any) -> list[Any]:
    with stream.execute_and_collect() as results:
        return list(results)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many timers went to the store at a time."""
    counts: list[int] = []
    put = RocksDBTimerStore.put
    monkeypatch.setattr(RocksDBTimerStore, "put", lambda self, timers: (counts.append(len(timers)), put(self, timers)))
    return counts


@pytest.mark.parametrize(("backend", "factory"), [("rocksdb", "ROCKSDB"), ("rocksdb", "heap"), ("auto", "ROCKSDB")])
def test_a_job_with_timers_of_many_keys(backend: str, factory: str, stored: list[int]) -> None:
    stream = job(backend, **{"state.backend.rocksdb.timer-service.factory": factory})
    results = collected(stream.key_by(lambda x: x).process(_Timed()))
    at = {key: 10_000_000 + key * 7919 % KEYS_OF_JOBS * 10 for key in range(KEYS_OF_JOBS)}
    events = [(key, timestamp) for domain, key, timestamp in results if domain == "event"]
    assert sorted(events) == sorted((key, at[key] + more) for key in range(KEYS_OF_JOBS) for more in (0, 7))
    clocked = [key for domain, key, _ in results if domain == "processing"]
    assert len(clocked) == len(set(clocked))
    assert set(clocked) >= set(range(KEYS_OF_JOBS // 3)), "those of the first keys were due before the input ended"
    assert (sum(stored) > KEYS_OF_JOBS) == (factory == "ROCKSDB")


@pytest.mark.parametrize("is_merging", [False, True])
def test_windows_whose_timers_are_on_disk(is_merging: bool, stored: list[int]) -> None:
    keyed = job("rocksdb").key_by(lambda x: x % 1000)
    gap = EventTimeSessionWindows.with_gap(Time.milliseconds(1500))
    # With a trigger of its own a window has a timer a key.
    windowed = keyed.window(gap) if is_merging else keyed.window(TumblingEventTimeWindows.of(Time.seconds(1)))
    windowed = windowed.trigger(_Own()) if not is_merging else windowed
    counts = collected(windowed.aggregate(_Counted()))
    assert Counter(counts) == ({3: 1000} if is_merging else {1: 3000})
    assert stored


class _Own(EventTimeTrigger):
    """A trigger the runtime knows nothing of."""


class _Counted(AggregateFunction):
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


def test_batch_mode_keeps_the_timers_of_a_key_in_memory(stored: list[int]) -> None:
    stream = job("rocksdb", **{"execution.runtime-mode": "BATCH"})
    results = collected(stream.key_by(lambda x: x % 3).process(_Timed()))
    assert len([each for each in results if each[0] == "event"]) == 2 * KEYS_OF_JOBS
    assert not stored

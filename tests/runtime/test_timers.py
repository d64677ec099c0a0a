from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common.constants import MAX_LONG_VALUE, MIN_LONG_VALUE
from penstock.errors import InvariantError
from penstock.runtime._timers import TimerService, TimerSnapshot


class Backend:
    """As much of a state backend as timers need."""

    current_key: Any = None

    def key_group_of(self, key: Any) -> int:
        return ord(key[0]) % 4

    @property
    def key_groups(self) -> Any:
        return self

    of = key_group_of


class Recorder:
    """A service, and what fired: (domain, timestamp, key, namespace)."""

    def __init__(self) -> None:
        self.backend = Backend()
        self.fired: list[tuple[str, int, Any, Any]] = []
        self.react: Any = None
        self.service = TimerService("timers", self.on("event"), self.on("processing"), self.backend, lambda: 0)

    def on(self, domain: str) -> Any:
        def on_timer(timestamp: int, key: Any, namespace: Any) -> list[tuple[str, int]]:
            assert self.backend.current_key == key
            self.fired.append((domain, timestamp, key, namespace))
            if self.react is not None:
                self.react(timestamp, key, namespace)
            return [(f"{key}@{timestamp}", timestamp)]

        return on_timer

    def register(self, key: Any, timestamp: int, namespace: Any = None) -> None:
        self.backend.current_key = key
        self.service.register_event_time_timer(timestamp, namespace)

    def delete(self, key: Any, timestamp: int, namespace: Any = None) -> None:
        self.backend.current_key = key
        self.service.delete_event_time_timer(timestamp, namespace)

    def advance(self, watermark: int) -> list[Any]:
        return list(self.service.advance_watermark(watermark))


def test_timers_fire_in_the_order_of_their_times() -> None:
    timers = Recorder()
    for key, timestamp in (("b", 5), ("a", 9), ("c", 3), ("a", 5)):
        timers.register(key, timestamp)
    assert timers.advance(5) == [("c@3", 3), ("b@5", 5), ("a@5", 5)]
    assert timers.advance(8) == []
    assert timers.advance(MAX_LONG_VALUE) == [("a@9", 9)]


def test_a_timer_registered_twice_is_one() -> None:
    timers = Recorder()
    timers.register("a", 5)
    timers.register("a", 5)
    timers.register("a", 5, "w1")
    timers.register("a", 5, "w2")
    timers.register("a", 5, "w1")
    timers.advance(5)
    assert timers.fired == [("event", 5, "a", None), ("event", 5, "a", "w1"), ("event", 5, "a", "w2")]


def test_the_watermark_shows_the_new_value_while_timers_fire() -> None:
    timers = Recorder()
    seen = []
    timers.react = lambda *_: seen.append(timers.service.current_watermark)
    timers.register("a", 5)
    assert timers.service.current_watermark == MIN_LONG_VALUE
    timers.advance(70)
    assert seen == [70]


def test_timers_registered_while_firing_fire_if_they_are_due() -> None:
    timers = Recorder()

    def register_two_more(timestamp: int, key: str, namespace: Any) -> None:
        if timestamp < 8:
            timers.service.register_event_time_timer(timestamp + 2)
            timers.service.register_event_time_timer(20)

    timers.react = register_two_more
    timers.register("a", 4)
    assert [timestamp for _, timestamp in timers.advance(10)] == [4, 6, 8]
    assert [timestamp for _, timestamp in timers.advance(20)] == [20]


def test_what_is_due_fires_before_what_is_registered_meanwhile() -> None:
    timers = Recorder()
    for timestamp in (4, 9):
        timers.register("a", timestamp)
    timers.react = lambda timestamp, key, namespace: (
        [timers.service.register_event_time_timer(each) for each in (8, 9, 30)] if timestamp == 4 else None
    )
    assert [timestamp for _, timestamp in timers.advance(20)] == [4, 9, 8]
    timers.service.event_time.in_rounds = False
    timers.register("a", 4)
    timers.register("a", 29)
    assert [timestamp for _, timestamp in timers.advance(29)] == [4, 8, 9, 29]


def test_a_timer_at_or_before_the_watermark_waits_for_the_next_advance() -> None:
    timers = Recorder()
    timers.advance(10)
    timers.register("a", 3)
    assert timers.fired == []
    timers.advance(11)
    assert timers.fired == [("event", 3, "a", None)]


def test_a_timer_that_fires_can_delete_a_later_one_of_the_same_time() -> None:
    timers = Recorder()
    timers.register("a", 5, "w1")
    timers.register("a", 5, "w2")
    timers.register("b", 5)

    def delete_others(timestamp: int, key: str, namespace: Any) -> None:
        if namespace == "w1":
            timers.service.delete_event_time_timer(5, "w2")
            timers.delete("b", 5)
            timers.backend.current_key = "a"

    timers.react = delete_others
    timers.advance(5)
    assert timers.fired == [("event", 5, "a", "w1")]


def test_a_timer_that_is_about_to_fire_can_be_deleted_beside_one_registered_meanwhile() -> None:
    timers = Recorder()
    for timestamp in (4, 5):
        timers.register("a", timestamp, "w1")

    def register_and_delete(timestamp: int, key: str, namespace: Any) -> None:
        if timestamp == 4:
            timers.service.register_event_time_timer(5, "w2")
            timers.service.delete_event_time_timer(5, "w1")

    timers.react = register_and_delete
    timers.advance(5)
    assert timers.fired == [("event", 4, "a", "w1"), ("event", 5, "a", "w2")]


def test_putting_off_times_while_others_are_forgotten_keeps_each_once() -> None:
    timers = Recorder()
    timers.backend.current_key = "a"

    def to_the_past(timestamp: int, key: str, namespace: Any) -> None:
        service = timers.service
        service.register_processing_time_timer(1)
        for each in range(100, 3000):  # more than are kept empty
            service.register_processing_time_timer(each)
            service.delete_processing_time_timer(each)

    timers.react = to_the_past
    timers.service.register_processing_time_timer(9)
    timers.service.register_processing_time_timer(10)
    assert [timestamp for _, timestamp in timers.service.advance_processing_time(50)] == [9, 10]
    timers.react = None
    assert [timestamp for _, timestamp in timers.service.advance_processing_time(50)] == [1]
    assert timers.service.next_processing_time() is None


def test_results_come_lazily() -> None:
    timers = Recorder()
    for key in "abc":
        timers.register(key, 5)
    results = timers.service.advance_watermark(5)
    next(results)
    assert len(timers.fired) == 1
    snapshot = timers.service.snapshot()
    assert sorted(timer.key for group in snapshot.values() for timer in group.event_time) == ["b", "c"]


def test_processing_time_timers_know_when_they_are_due() -> None:
    timers = Recorder()
    assert timers.service.next_processing_time() is None
    timers.backend.current_key = "a"
    timers.service.register_processing_time_timer(30)
    timers.service.register_processing_time_timer(20)
    timers.service.delete_processing_time_timer(20)
    assert timers.service.next_processing_time() == 30
    assert list(timers.service.advance_processing_time(29)) == []
    assert list(timers.service.advance_processing_time(30)) == [("a@30", 30)]
    assert timers.fired == [("processing", 30, "a", None)]
    assert timers.service.next_processing_time() is None


def test_a_timer_set_to_the_past_again_and_again_leaves_room_for_others() -> None:
    timers = Recorder()
    timers.backend.current_key = "a"
    timers.react = lambda timestamp, key, namespace: timers.service.register_processing_time_timer(min(timestamp, 9))
    for timestamp in (9, 50):
        timers.service.register_processing_time_timer(timestamp)
    assert list(timers.service.advance_processing_time(100)) == [("a@9", 9), ("a@50", 50)]
    assert timers.service.next_processing_time() == 9
    assert list(timers.service.advance_processing_time(101)) == [("a@9", 9)]


def test_the_end_of_a_key_in_batch_mode_fires_everything_and_resets_the_watermark() -> None:
    timers = Recorder()
    timers.register("a", 500)
    timers.service.register_processing_time_timer(7)
    seen = []
    timers.react = lambda *_: seen.append(timers.service.current_watermark)
    assert list(timers.service.end_key()) == [("a@500", 500), ("a@7", 7)]
    assert seen == [MAX_LONG_VALUE, MAX_LONG_VALUE]
    assert timers.service.current_watermark == MIN_LONG_VALUE


def test_moving_a_timer_again_and_again_leaves_nothing_behind() -> None:
    timers = Recorder()
    for timestamp in range(100_000):
        timers.register("a", timestamp + 1000)
        timers.delete("a", timestamp + 999)
    assert len(timers.service.event_time.heap) < 5000
    assert len(timers.service.event_time.buckets) == len(timers.service.event_time.heap)
    assert timers.advance(MAX_LONG_VALUE) == [("a@100999", 100999)]


def test_a_time_becomes_a_long_or_is_refused() -> None:
    timers = Recorder()
    timers.register("a", 5.7)  # type: ignore[arg-type]
    timers.advance(5)
    assert timers.fired == [("event", 5, "a", None)]
    with pytest.raises(TypeError, match="needs its time in ms as an int, not None"):
        timers.register("a", None)  # type: ignore[arg-type]


def test_timers_cannot_be_restored_once_time_has_moved() -> None:
    timers = Recorder()
    timers.advance(1)
    with pytest.raises(InvariantError):
        timers.service.restore([TimerSnapshot([], [])])


actions = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["register", "delete"]),
            st.sampled_from("abcd"),
            st.integers(0, 20),
            st.sampled_from([None, 1, 2]),
        ),
        st.tuples(st.just("advance"), st.integers(0, 8)),
        st.tuples(st.just("restore")),
    ),
    max_size=60,
)


@given(actions)
def test_timers_behave_like_a_set(actions: list[Any]) -> None:
    timers, model, watermark = Recorder(), set(), 0
    for action in actions:
        if action[0] == "register":
            timers.register(*action[1:])
            model.add((action[2], action[1], action[3]))
        elif action[0] == "delete":
            timers.delete(*action[1:])
            model.discard((action[2], action[1], action[3]))
        elif action[0] == "advance":
            watermark += action[1]
            timers.advance(watermark)
            fired = [(timestamp, key, namespace) for _, timestamp, key, namespace in timers.fired]
            due = {timer for timer in model if timer[0] <= watermark}
            assert set(fired) == due
            assert len(fired) == len(due)
            assert [each[0] for each in fired] == sorted(each[0] for each in fired)
            model -= due
            timers.fired.clear()
        else:
            snapshot, timers = timers.service.snapshot(), Recorder()
            assert all(ord(timer.key) % 4 == group for group, held in snapshot.items() for timer in held.event_time)
            timers.service.restore(snapshot.values())
    assert len(timers.service.event_time) == len(model)

"""What every keyed state backend does, whatever it keeps state in."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from state_backends import BACKENDS, Clock, MemoryStorage, take

from penstock.common.time import Time
from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.functions import AggregateFunction
from penstock.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from penstock.errors import ConfigurationError
from penstock.runtime.state import (
    KeyedStateBackend,
    StateBackendError,
    StateKind,
    StateMigrationError,
    TableSpec,
    freeze_key,
    key_group_of,
    thaw_key,
)

UNTYPED = Types.PICKLED_BYTE_ARRAY()
VALUE = ValueStateDescriptor("value", UNTYPED)
Make = Callable[..., KeyedStateBackend]


class Mean(AggregateFunction):
    def create_accumulator(self) -> Any:
        return [0, 0]

    def add(self, value: Any, accumulator: Any) -> Any:
        accumulator[0] += value
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator: Any) -> Any:
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        return [acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]]


class Box:
    """A value that is changed in place."""

    def __init__(self, content: int) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and other.content == self.content

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Box({self.content})"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(BACKENDS))
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Make]:
    """Creates backends of one kind and closes them."""
    made: list[KeyedStateBackend] = []

    def create(subtask: int = 0, parallelism: int = 1) -> KeyedStateBackend:
        backend = BACKENDS[request.param](clock, tmp_path, subtask, parallelism)
        made.append(backend)
        return backend

    yield create
    for backend in made:
        backend.close()
        backend.close()
    made.clear()
    gc.collect()


@pytest.fixture
def backend(make: Make) -> KeyedStateBackend:
    created = make()
    created.current_key = "k"
    return created


# -- the five kinds ------------------------------------------------------------------------------


def test_value_state(backend: KeyedStateBackend) -> None:
    state = backend.get_state(VALUE)
    assert state.value() is None
    state.update(1)
    assert state.value() == 1
    backend.current_key = "other"
    assert state.value() is None
    state.update(["list"])
    backend.current_key = "k"
    assert state.value() == 1
    state.update(None)
    assert state.value() is None
    backend.current_key = "other"
    assert state.value() == ["list"]
    state.clear()
    state.clear()
    assert state.value() is None


def test_list_state(backend: KeyedStateBackend) -> None:
    state = backend.get_list_state(ListStateDescriptor("list", UNTYPED))
    assert list(state.get()) == []
    state.add(1)
    state.add_all([2, 3])
    assert list(state) == [1, 2, 3]
    state.add(1)
    backend.current_key = "other"
    state.add(9)
    backend.current_key = "k"
    assert list(state.get()) == [1, 2, 3, 1]
    state.update([7])
    state.add(8)
    assert list(state.get()) == [7, 8]
    for element in state.get():
        if element == 7:
            state.add(element + 10)
    assert list(state.get()) == [7, 8, 17]
    state.update([])
    assert list(state.get()) == []
    backend.current_key = "other"
    assert list(state.get()) == [9]


def test_map_state(backend: KeyedStateBackend) -> None:
    state = backend.get_map_state(MapStateDescriptor("map", UNTYPED, UNTYPED))
    assert state.is_empty()
    assert state.get("a") is None
    state["a"] = 1
    state.put_all({"b": 2, "c": 3})
    state.put_all([("d", [4])])
    assert "a" in state
    assert not state.contains("z")
    assert sorted(state) == ["a", "b", "c", "d"]
    assert dict(state.items()) == {"a": 1, "b": 2, "c": 3, "d": [4]}
    state.remove("a")
    state.remove("a")
    del state["b"]
    backend.current_key = "other"
    assert state.is_empty()
    assert list(state.keys()) == []
    state.put("a", "other's")
    backend.current_key = "k"
    assert sorted(map(str, state.values())) == ["3", "[4]"]
    for key in state:
        state.put(key + key, 0)
        state.remove(key)
    assert sorted(state.keys()) == ["cc", "dd"]
    state.clear()
    assert state.is_empty()
    backend.current_key = "other"
    assert state["a"] == "other's"


def test_map_keys_that_cannot_be_hashed(backend: KeyedStateBackend) -> None:
    state = backend.get_map_state(MapStateDescriptor("map", UNTYPED, UNTYPED))
    state.put([1, 2], "list")
    state.put({"a": 1, "b": 2}, "dict")
    assert state.get([1, 2]) == "list"
    assert state.get({"b": 2, "a": 1}) == "dict"
    assert sorted(map(str, state.keys())) == ["[1, 2]", "{'a': 1, 'b': 2}"]


def test_reducing_state(backend: KeyedStateBackend) -> None:
    calls = []

    def add(left: int, right: int) -> int:
        calls.append((left, right))
        return left + right

    state = backend.get_reducing_state(ReducingStateDescriptor("sum", add, UNTYPED))
    assert state.get() is None
    state.add(1)
    assert calls == []
    state.add(2)
    state.add(3)
    assert state.get() == 6
    assert calls == [(1, 2), (3, 3)]
    state.clear()
    assert state.get() is None


def test_aggregating_state(backend: KeyedStateBackend) -> None:
    state = backend.get_aggregating_state(AggregatingStateDescriptor("mean", Mean(), UNTYPED))
    assert state.get() is None
    state.add(1)
    state.add(2)
    assert state.get() == 1.5
    backend.current_key = "other"
    assert state.get() is None
    backend.current_key = "k"
    state.add(None)
    assert state.get() is None


def test_a_declared_type_refuses_what_it_cannot_hold_and_changes_nothing(make: Make) -> None:
    backend, storage = make(), MemoryStorage()
    backend.current_key = "k"
    descriptors = [
        ValueStateDescriptor("float", Types.FLOAT()),
        ListStateDescriptor("ints", Types.INT()),
        ValueStateDescriptor("tuple", Types.TUPLE([Types.LONG(), Types.STRING(), Types.DOUBLE()])),
        MapStateDescriptor("rows", Types.INT(), Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])),
    ]
    real, numbers, tuples, rows = map(backend.state, descriptors)
    real.update(0.1)
    numbers.add(1.5)
    numbers.add_all([2, True])
    with pytest.raises(TypeError):
        numbers.add("x")
    tuples.update((1, "\u00e9", None))
    rows.put(1, Row(a=5, b="x"))
    again = make()
    again.restore([(take(backend, storage), storage)])
    again.current_key = "k"
    for state in (real, again.state(descriptors[0])):
        assert state.value() == 0.1
    for state in (numbers, again.state(descriptors[1])):
        assert [(type(element), element) for element in state.get()] == [(float, 1.5), (int, 2), (bool, True)]
    for state in (tuples, again.state(descriptors[2])):
        assert state.value() == (1, "\u00e9", None)
    for state in (rows, again.state(descriptors[3])):
        assert state.get(1) == Row(a=5, b="x")


# -- keys, names, windows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [0, -1, 2**70, True, 1.5, "", "é\ud800", b"\x00", None, (1, ("a", None)), [1, [2]], {"a": 1}, Row(1, "x"), ([1],)],
    ids=repr,
)
def test_any_picklable_object_can_be_a_key(backend: KeyedStateBackend, key: Any) -> None:
    frozen = freeze_key(key)
    assert thaw_key(frozen) == key
    assert backend.key_group_of(frozen) == key_group_of(key, 16)
    state = backend.get_state(VALUE)
    backend.current_key = frozen
    state.update("here")
    backend.current_key = "elsewhere"
    assert state.value() is None
    backend.current_key = freeze_key(thaw_key(frozen))
    assert state.value() == "here"


def test_one_name_one_state(backend: KeyedStateBackend) -> None:
    state = backend.get_state(VALUE)
    assert backend.get_state(ValueStateDescriptor("value", UNTYPED)) is state
    with pytest.raises(ConfigurationError, match="The state name 'value' is already in use and not a list state"):
        backend.get_list_state(ListStateDescriptor("value", UNTYPED))
    with pytest.raises(ConfigurationError, match="does not describe"):
        backend.get_list_state(VALUE)


def test_state_of_windows(backend: KeyedStateBackend) -> None:
    whole = backend.get_state(VALUE)
    windowed = backend.get_state(VALUE, windowed=True)
    whole.update("whole")
    for window in ("w1", "w2"):
        backend.current_namespace = window
        assert windowed.value() is None
        windowed.update(window)
    backend.current_namespace = "w1"
    assert windowed.value() == "w1"
    table = backend.table(TableSpec("value", StateKind.VALUE, UNTYPED))
    assert set(table.namespaces()) == {None, "w1", "w2"}
    table.drop_namespace("w1")
    assert windowed.value() is None
    assert whole.value() == "whole"
    assert set(table.namespaces()) == {None, "w2"}


def test_namespaces_merge(backend: KeyedStateBackend) -> None:
    descriptors = (
        ListStateDescriptor("list", UNTYPED),
        ReducingStateDescriptor("sum", lambda a, b: a + b, UNTYPED),
        AggregatingStateDescriptor("mean", Mean(), UNTYPED),
    )
    states = [backend.state(descriptor, windowed=True) for descriptor in descriptors]
    for window, value in (("a", 1), ("b", 2), ("d", 6)):
        backend.current_namespace = window
        for state in states:
            state.add(value)
    for state in states:
        state.merge_namespaces("a", ["b", "c", "d"])
    backend.current_namespace = "a"
    assert [list(states[0].get()), states[1].get(), states[2].get()] == [[1, 2, 6], 9, 3.0]
    for gone in ("b", "c", "d"):
        backend.current_namespace = gone
        assert [list(states[0].get()), states[1].get(), states[2].get()] == [[], None, None]


# -- batches -------------------------------------------------------------------------------------


def test_a_batch_reads_and_writes_one_dict(backend: KeyedStateBackend) -> None:
    table = backend.table(TableSpec("sum", StateKind.REDUCING))
    live = table.live()
    for batch in (["a", "b", "a"], ["b", "c"], ["a"]):
        entries = table.open_batch(batch)
        assert entries is live
        for key in batch:
            entries[key] = entries.get(key, 0) + 1
        table.close_batch(batch)
    assert [table.get(key) for key in "abcd"] == [3, 2, 1, None]
    entries = table.open_batch(["a", "b"])
    del entries["a"]
    table.close_batch(["a", "b"])
    assert [table.get(key) for key in "abc"] == [None, 2, 1]
    assert sorted(table.keys()) == ["b", "c"]


def test_batches_of_windows_and_firing_them(backend: KeyedStateBackend) -> None:
    values = backend.table(TableSpec("contents", StateKind.AGGREGATING))
    lists = backend.table(TableSpec("elements", StateKind.LIST))
    for number in range(100):
        key, window = f"k{number % 7}", number // 50
        entries = values.open_batch([key], window)
        entries[key] = entries.get(key, 0) + number
        values.close_batch([key], window)
        pending = lists.open_appends([key], window)
        pending.setdefault(key, []).append(number)
        lists.close_appends([key], window)
    fired = dict(values.open_namespace(0))
    assert fired == {f"k{k}": sum(n for n in range(50) if n % 7 == k) for k in range(7)}
    assert {key: lists.get(key, 0) for key in lists.keys(0)} == {
        f"k{k}": [n for n in range(50) if n % 7 == k] for k in range(7)
    }
    values.drop_namespace(0)
    lists.drop_namespace(0)
    assert values.namespaces() == [1]
    assert lists.namespaces() == [1]
    assert values.open_namespace(0) == {}
    assert lists.get("k0", 0) is None


def test_clear_forgets_all_keys_and_keeps_the_states(backend: KeyedStateBackend) -> None:
    value, elements = backend.get_state(VALUE), backend.get_list_state(ListStateDescriptor("list", UNTYPED))
    value.update(1)
    elements.add(1)
    live = backend.table(TableSpec("value", StateKind.VALUE, UNTYPED)).live()
    backend.clear()
    assert value.value() is None
    assert list(elements.get()) == []
    value.update(2)
    assert value.value() == 2
    assert backend.table(TableSpec("value", StateKind.VALUE, UNTYPED)).live() is live


# -- snapshots -----------------------------------------------------------------------------------


def fill(backend: KeyedStateBackend, keys: range) -> None:
    value = backend.get_state(VALUE)
    elements = backend.get_list_state(ListStateDescriptor("list", UNTYPED))
    mapping = backend.get_map_state(MapStateDescriptor("map", UNTYPED, UNTYPED))
    windowed = backend.get_state(ValueStateDescriptor("windowed", UNTYPED), windowed=True)
    for key in keys:
        backend.current_key = f"key-{key}"
        value.update(key)
        elements.add_all([key, Box(key)])
        mapping.put("box", Box(key))
        mapping.put(key, "self")
        backend.current_namespace = key % 3
        windowed.update(key)


def contents(backend: KeyedStateBackend, keys: range) -> list[Any]:
    value = backend.get_state(VALUE)
    elements = backend.get_list_state(ListStateDescriptor("list", UNTYPED))
    mapping = backend.get_map_state(MapStateDescriptor("map", UNTYPED, UNTYPED))
    windowed = backend.get_state(ValueStateDescriptor("windowed", UNTYPED), windowed=True)
    found = []
    for key in keys:
        backend.current_key = f"key-{key}"
        backend.current_namespace = key % 3
        found.append((value.value(), list(elements.get()), dict(mapping.items()), windowed.value()))
    return found


def expected(keys: range) -> list[Any]:
    return [(key, [key, Box(key)], {"box": Box(key), key: "self"}, key) for key in keys]


@pytest.mark.parametrize("canonical", [False, True], ids=["checkpoint", "savepoint"])
def test_a_snapshot_restores(make: Make, canonical: bool) -> None:
    backend, storage = make(), MemoryStorage()
    fill(backend, range(200))
    handle = take(backend, storage, canonical=canonical)
    again = make()
    again.restore([(handle, storage)])
    assert contents(again, range(200)) == expected(range(200))
    assert {size.name for size in again.sizes()} == {"value", "list", "map", "windowed"}


def test_an_empty_backend_restores(make: Make) -> None:
    storage = MemoryStorage()
    handle = take(make(), storage)
    again = make()
    again.restore([(handle, storage)])
    again.current_key = "k"
    assert again.get_state(VALUE).value() is None


def test_a_snapshot_shows_the_state_at_its_barrier_whatever_happens_after(make: Make) -> None:
    backend, storage = make(), MemoryStorage()
    keys = range(300)
    fill(backend, keys)
    snapshot = backend.snapshot(1, storage)
    value = backend.get_state(VALUE)
    elements = backend.get_list_state(ListStateDescriptor("list", UNTYPED))
    mapping = backend.get_map_state(MapStateDescriptor("map", UNTYPED, UNTYPED))
    windowed = backend.get_state(ValueStateDescriptor("windowed", UNTYPED), windowed=True)
    for key in keys:
        backend.current_key = f"key-{key}"
        backend.current_namespace = key % 3
        if key % 5 == 0:
            for state in (value, elements, mapping, windowed):
                state.clear()
        elif key % 5 == 1:
            value.update(-1)
            elements.add(-1)
            mapping.put("new", -1)
            windowed.update(-1)
        elif key % 5 == 2:
            changed = list(elements.get())
            changed[1].content = -1
            elements.update(changed)
            box = mapping.get("box")
            box.content = -1
            mapping.put("box", box)
        elif key % 5 == 3:
            for held in mapping.values():
                if isinstance(held, Box):
                    held.content = -1
            mapping.remove(key)
            elements.update(["new"])
        else:
            backend.current_key = f"new-{key}"
            value.update(key)
        snapshot.advance(0.01)
    backend.table(TableSpec("windowed", StateKind.VALUE)).drop_namespace(1)
    while not snapshot.advance(1):
        pass
    handle = snapshot.finish()
    again = make()
    again.restore([(handle, storage)])
    assert contents(again, keys) == expected(keys)
    again.current_key = "new-4"
    assert again.get_state(VALUE).value() is None


def test_values_changed_in_place_in_a_batch_do_not_reach_the_snapshot(make: Make) -> None:
    backend, storage = make(), MemoryStorage()
    table = backend.table(TableSpec("sum", StateKind.REDUCING))
    appended = backend.table(TableSpec("elements", StateKind.LIST))
    keys = [f"k{number}" for number in range(500)]
    entries = table.open_batch(keys)
    for key in keys:
        entries[key] = [1]
    table.close_batch(keys)
    for key in keys:
        appended.append(key, 1)
        appended.append(key, 1, "window")
    snapshot = backend.snapshot(1, storage)
    for start in range(0, 500, 50):
        batch = keys[start : start + 50]
        entries = table.open_batch(batch)
        for key in batch:
            entries[key].append(2)
        table.close_batch(batch)
        for window in (None, "window"):
            pending = appended.open_appends(batch, window)
            for key in batch:
                pending.setdefault(key, []).append(2)
            appended.close_appends(batch, window)
        snapshot.advance(0.01)
    while not snapshot.advance():
        pass
    handle = snapshot.finish()
    assert not backend.snapshotting
    assert {tuple(table.get(key)) for key in keys} == {(1, 2)}
    again = make()
    again.restore([(handle, storage)])
    table, appended = again.table(table.spec), again.table(appended.spec)
    assert {tuple(table.get(key)) for key in keys} == {(1,)}
    assert {tuple(appended.get(key, window)) for key in keys for window in (None, "window")} == {(1,)}


def test_several_snapshots_at_once(make: Make) -> None:
    backend, storage = make(), MemoryStorage()
    state = backend.get_state(VALUE)
    snapshots = []
    for version in range(3):
        for key in range(100):
            backend.current_key = key
            box = state.value() or Box(0)
            box.content = version
            state.update(box)
        snapshots.append(backend.snapshot(version, storage))
        snapshots[-1].advance(0.01)
    handles = []
    for snapshot in snapshots:
        while not snapshot.advance():
            pass
        handles.append(snapshot.finish())
    for version, handle in enumerate(handles):
        again = make()
        again.restore([(handle, storage)])
        state = again.get_state(VALUE)
        for key in range(100):
            again.current_key = key
            assert state.value() == Box(version)


def test_a_cancelled_snapshot_leaves_the_state_alone(make: Make) -> None:
    backend, storage = make(), MemoryStorage()
    fill(backend, range(50))
    snapshot = backend.snapshot(1, storage)
    snapshot.advance(0.01)
    snapshot.cancel()
    assert not backend.snapshotting
    assert contents(backend, range(50)) == expected(range(50))
    never_started = backend.snapshot(2, storage)
    never_started.cancel()
    again = make()
    again.restore([(take(backend, storage, 3), storage)])
    assert contents(again, range(50)) == expected(range(50))


def test_a_value_that_cannot_be_pickled_is_named(make: Make) -> None:
    backend = make()
    backend.current_key = "k"
    backend.get_state(VALUE).update(element for element in ())
    with pytest.raises(StateBackendError, match=r"State 'value'.*cannot be pickled"):
        take(backend, MemoryStorage())


class Refusing(MemoryStorage):
    def put(self, name: str, data: Any) -> str:
        for _ in data:
            break
        raise OSError(28, "No space left on device")

    def put_shared(self, path: str, key: str) -> str:
        raise OSError(28, "No space left on device")


def test_a_storage_that_fails_fails_the_snapshot_not_the_state(make: Make) -> None:
    backend = make()
    fill(backend, range(50))
    with pytest.raises(StateBackendError, match="No space left"):
        take(backend, Refusing())
    assert contents(backend, range(50)) == expected(range(50))
    assert not backend.snapshotting


@pytest.mark.parametrize("canonical", [False, True], ids=["checkpoint", "savepoint"])
@pytest.mark.parametrize(("before", "after"), [(1, 3), (2, 3), (3, 2), (3, 1)])
def test_state_follows_its_key_groups_to_another_parallelism(
    make: Make, before: int, after: int, canonical: bool
) -> None:
    storage = MemoryStorage()
    old = [make(subtask, before) for subtask in range(before)]
    keys = range(200)
    for backend in old:
        fill(backend, [k for k in keys if backend.key_group_of(f"key-{k}") in backend.key_group_range])
    handles = [(take(backend, storage, canonical=canonical), storage) for backend in old]
    seen = 0
    for subtask in range(after):
        backend = make(subtask, after)
        backend.restore(handles)
        own = [k for k in keys if backend.key_group_of(f"key-{k}") in backend.key_group_range]
        assert contents(backend, own) == expected(own)
        table = backend.table(TableSpec("value", StateKind.VALUE, UNTYPED))
        assert sorted(table.keys()) == sorted(f"key-{k}" for k in own)
        seen += len(own)
    assert seen == 200


def test_state_nobody_asked_for_goes_on_into_later_snapshots(make: Make) -> None:
    first, storage = make(), MemoryStorage()
    fill(first, range(20))
    second = make()
    second.restore([(take(first, storage), storage)])
    second.current_key = "key-1"
    assert second.get_state(VALUE).value() == 1
    third = make()
    third.restore([(take(second, storage, 2), storage)])
    assert contents(third, range(20)) == expected(range(20))


# -- schemas -------------------------------------------------------------------------------------


def restored_with(make: Make, written: Any, value: Any, declared: Any) -> Any:
    storage = MemoryStorage()
    backend = make()
    backend.current_key = "k"
    state = backend.state(written)
    state.update(value)
    again = make()
    again.restore([(take(backend, storage), storage)])
    again.current_key = "k"
    return again.state(declared)


def test_another_kind_or_type_is_a_clear_error(make: Make) -> None:
    with pytest.raises(StateMigrationError, match=r"State 's' of Sum \(1/1\) was written as value state.*list state"):
        restored_with(make, ValueStateDescriptor("s", UNTYPED), 1, ListStateDescriptor("s", UNTYPED))
    with pytest.raises(StateMigrationError, match="type Integer and is now declared as String"):
        restored_with(make, ValueStateDescriptor("s", Types.INT()), 1, ValueStateDescriptor("s", Types.STRING()))


def test_pickled_values_are_read_as_a_type_they_fit(make: Make) -> None:
    state = restored_with(make, ValueStateDescriptor("s", UNTYPED), 5, ValueStateDescriptor("s", Types.INT()))
    assert state.value() == 5
    with pytest.raises(StateMigrationError, match="declared as Integer, which the value 'text' does not fit"):
        restored_with(make, ValueStateDescriptor("s", UNTYPED), "text", ValueStateDescriptor("s", Types.INT())).value()
    state = restored_with(make, ValueStateDescriptor("s", Types.INT()), 5, ValueStateDescriptor("s", UNTYPED))
    assert state.value() == 5


def test_names_of_row_fields_may_change(make: Make) -> None:
    before = ValueStateDescriptor("s", Types.ROW_NAMED(["a"], [Types.INT()]))
    after = ValueStateDescriptor("s", Types.ROW([Types.INT()]))
    assert list(restored_with(make, before, Row(a=1), after).value()) == [1]


def test_time_to_live_may_come_and_go(make: Make, clock: Clock) -> None:
    plain, expiring = ValueStateDescriptor("s", UNTYPED), ValueStateDescriptor("s", UNTYPED)
    expiring.enable_time_to_live(StateTtlConfig.new_builder(Time.seconds(10)).build())
    state = restored_with(make, plain, 1, expiring)
    assert state.value() == 1
    clock.now_ms += 10_000
    assert state.value() is None
    assert restored_with(make, expiring, 2, plain).value() == 2


# -- time to live --------------------------------------------------------------------------------


def ttl(builder: Any) -> Any:
    return builder(StateTtlConfig.new_builder(Time.seconds(10))).build()


def test_values_expire_after_their_last_write(backend: KeyedStateBackend, clock: Clock) -> None:
    descriptor = ValueStateDescriptor("s", UNTYPED)
    descriptor.enable_time_to_live(ttl(lambda builder: builder))
    state = backend.get_state(descriptor)
    state.update(1)
    clock.now_ms += 9_999
    assert state.value() == 1
    state.update(2)
    clock.now_ms += 9_999
    assert state.value() == 2
    clock.now_ms += 1
    assert state.value() is None


def test_reading_renews_only_when_told_to(backend: KeyedStateBackend, clock: Clock) -> None:
    descriptor = ValueStateDescriptor("s", UNTYPED)
    descriptor.enable_time_to_live(ttl(lambda builder: builder.update_ttl_on_read_and_write()))
    state = backend.get_state(descriptor)
    state.update(1)
    for _ in range(5):
        clock.now_ms += 9_999
        assert state.value() == 1
    clock.now_ms += 10_000
    assert state.value() is None


def test_expired_values_may_be_seen_until_they_are_cleaned_up(backend: KeyedStateBackend, clock: Clock) -> None:
    descriptor = ValueStateDescriptor("s", UNTYPED)
    descriptor.enable_time_to_live(ttl(lambda builder: builder.return_expired_if_not_cleaned_up()))
    state = backend.get_state(descriptor)
    state.update(1)
    clock.now_ms += 10_000
    assert state.value() == 1
    assert state.value() is None


def test_a_disabled_time_to_live_is_none(backend: KeyedStateBackend, clock: Clock) -> None:
    descriptor = ValueStateDescriptor("s", UNTYPED)
    disabled = StateTtlConfig.UpdateType.Disabled
    descriptor.enable_time_to_live(ttl(lambda builder: builder.set_update_type(disabled)))
    state = backend.get_state(descriptor)
    state.update(1)
    clock.now_ms += 100_000
    assert state.value() == 1


def test_lists_expire_by_element_and_maps_by_entry(backend: KeyedStateBackend, clock: Clock) -> None:
    elements = ListStateDescriptor("list", UNTYPED)
    mapping = MapStateDescriptor("map", UNTYPED, UNTYPED)
    for descriptor in (elements, mapping):
        descriptor.enable_time_to_live(ttl(lambda builder: builder))
    list_state, map_state = backend.get_list_state(elements), backend.get_map_state(mapping)
    list_state.add_all([1, 2])
    map_state.put("a", 1)
    clock.now_ms += 6_000
    list_state.add(3)
    map_state.put("b", 2)
    clock.now_ms += 6_000
    assert list(list_state.get()) == [3]
    assert not map_state.contains("a")
    assert map_state.get("a") is None
    assert list(map_state.items()) == [("b", 2)]
    clock.now_ms += 6_000
    assert list(list_state.get()) == []
    assert map_state.is_empty()


def test_aggregates_start_again_after_expiry(backend: KeyedStateBackend, clock: Clock) -> None:
    total = ReducingStateDescriptor("sum", lambda a, b: a + b, UNTYPED)
    mean = AggregatingStateDescriptor("mean", Mean(), UNTYPED)
    for descriptor in (total, mean):
        descriptor.enable_time_to_live(ttl(lambda builder: builder))
    states = backend.get_reducing_state(total), backend.get_aggregating_state(mean)
    for state in states:
        state.add(1)
        state.add(3)
    clock.now_ms += 9_000
    assert [state.get() for state in states] == [4, 2.0]
    clock.now_ms += 1_000
    assert [state.get() for state in states] == [None, None]
    for state in states:
        state.add(5)
    assert [state.get() for state in states] == [5, 5.0]


def test_expired_values_are_cleaned_up_without_being_read(make: Make, clock: Clock) -> None:
    backend = make()
    descriptors = [
        ValueStateDescriptor("value", UNTYPED),
        ListStateDescriptor("list", UNTYPED),
        MapStateDescriptor("map", UNTYPED, UNTYPED),
    ]
    for descriptor in descriptors:
        descriptor.enable_time_to_live(ttl(lambda builder: builder.cleanup_incrementally(10, False)))
    value, elements, mapping = (backend.state(descriptor) for descriptor in descriptors)
    for key in range(100):
        backend.current_key = key
        value.update(key)
        elements.add(key)
        mapping.put("k", key)
    clock.now_ms += 10_000
    backend.current_key = "live"
    for _ in range(2000):  # stored state is looked at a thousand rows at a time
        value.update(1)
        elements.update([1])
        mapping.put("k", 1)
        backend.end_batch()
    for name, kind in (("value", StateKind.VALUE), ("list", StateKind.LIST), ("map", StateKind.MAP)):
        table = backend.table(TableSpec(name, kind, UNTYPED, UNTYPED if kind is StateKind.MAP else None, ttl=True))
        assert list(table.keys()) == ["live"]


def test_full_snapshots_leave_expired_values_out(make: Make, clock: Clock) -> None:
    backend, storage = make(), MemoryStorage()
    descriptor = ValueStateDescriptor("s", UNTYPED)
    descriptor.enable_time_to_live(ttl(lambda builder: builder.cleanup_full_snapshot().disable_cleanup_in_background()))
    state = backend.get_state(descriptor)
    for key in range(10):
        backend.current_key = key
        state.update(key)
        clock.now_ms += 1_000
    again = make()
    again.restore([(take(backend, storage, canonical=True), storage)])
    again.state(descriptor)
    table = again.table(TableSpec("s", StateKind.VALUE, UNTYPED, ttl=True))
    assert sorted(table.keys()) == list(range(1, 10))


# -- sizes ---------------------------------------------------------------------------------------


def test_sizes_by_state(make: Make) -> None:
    backend = make()
    state = backend.get_state(VALUE)
    for key in range(1000):
        backend.current_key = key
        state.update("x" * 1000)
    (size,) = backend.sizes()
    assert size.name == "value"
    assert 900 <= size.entries <= 1100
    assert 0.8e6 <= size.size_bytes <= 3e6

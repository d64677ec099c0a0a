"""Random programs over keyed state against a model of plain dicts: snapshots, restores and rescaling at any point."""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from state_backends import BACKENDS, Clock, MemoryStorage

from penstock.common.time import Time
from penstock.common.typeinfo import Types
from penstock.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from penstock.runtime.state import KeyedStateBackend, KeyedStateHandle, StateKind, StateSnapshot, TableSpec

PHASES = tuple(phase for phase in Phase if phase is not Phase.shrink)
"""Shrinking a failure takes minutes: run with all phases when there is one."""

UNTYPED = Types.PICKLED_BYTE_ARRAY()
TTL_MS = 10_000

KEYS = st.sampled_from(["a", 1, (1, "x"), None])
WINDOWS = st.sampled_from([None, None, "w1", "w2", 3])
MAP_KEYS = st.sampled_from(["p", 7, ("r", 1)])
VALUES = st.one_of(st.integers(-5, 5), st.sampled_from(["text", 1.5, (1, 2)]), st.lists(st.integers(0, 3), max_size=2))


def descriptors() -> dict[str, Any]:
    made = {
        "value": ValueStateDescriptor("value", UNTYPED),
        "list": ListStateDescriptor("list", UNTYPED),
        "map": MapStateDescriptor("map", UNTYPED, UNTYPED),
        "sum": ReducingStateDescriptor("sum", lambda left, right: left + right, Types.LONG()),
        "mortal": ValueStateDescriptor("mortal", UNTYPED),
        "mortals": ListStateDescriptor("mortals", UNTYPED),
        "mortal map": MapStateDescriptor("mortal map", UNTYPED, UNTYPED),
    }
    for name, descriptor in made.items():
        if name.startswith("mortal"):
            descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.milliseconds(TTL_MS)).build())
    return made


DESCRIPTORS = descriptors()
Model = dict[tuple[str, Any, Any], Any]
"""(state, namespace, key) to value, list, or dict; mortal ones hold (value, stamp) pairs."""


class StateMachine(RuleBasedStateMachine):
    kinds: tuple[str, ...] = ()

    @initialize(parallelism=st.integers(1, 3), data=st.data())
    def start(self, parallelism: int, data: Any) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="penstock-state-machine-"))
        self.clock = Clock()
        self.storage = MemoryStorage()
        self.model: Model = {}
        self.backends: list[KeyedStateBackend] = []
        self.running: list[tuple[int, list[StateSnapshot], Model]] = []
        self.complete: list[tuple[list[KeyedStateHandle], Model]] = []
        self.checkpoints = 0
        self.make(data.draw(st.sampled_from(self.kinds)), parallelism)

    def make(self, kind: str, parallelism: int) -> None:
        self.backends = [
            BACKENDS[kind](self.clock, self.directory, subtask, parallelism) for subtask in range(parallelism)
        ]

    def backend_of(self, key: Any) -> KeyedStateBackend:
        backend = next(b for b in self.backends if b.key_group_of(key) in b.key_group_range)
        backend.current_key = key
        return backend

    def state(self, name: str, key: Any, window: Any) -> Any:
        backend = self.backend_of(key)
        backend.current_namespace = window
        return backend.state(DESCRIPTORS[name], windowed=window is not None)

    def alive(self, name: str, window: Any, key: Any) -> Any:
        """What the model says a state shows."""
        held = self.model.get((name, window, key))
        if not name.startswith("mortal"):
            return held
        oldest = self.clock.now_ms - TTL_MS
        if held is None or isinstance(held, tuple):
            return held[0] if held is not None and held[1] > oldest else None
        if isinstance(held, list):
            return [value for value, stamp in held if stamp > oldest]
        return {name: value for name, (value, stamp) in held.items() if stamp > oldest}

    # -- changes ---------------------------------------------------------------------------------

    @rule(name=st.sampled_from(["value", "mortal"]), key=KEYS, window=WINDOWS, value=VALUES)
    def update(self, name: str, key: Any, window: Any, value: Any) -> None:
        self.state(name, key, window).update(copy.deepcopy(value))
        stored = (value, self.clock.now_ms) if name == "mortal" else value
        self.model[name, window, key] = copy.deepcopy(stored)

    @rule(key=KEYS, window=WINDOWS, value=st.integers(0, 9))
    def change_in_place(self, key: Any, window: Any, value: int) -> None:
        state = self.state("value", key, window)
        held = state.value()
        assert held == self.alive("value", window, key)
        if isinstance(held, list):
            held.append(value)
            state.update(held)
            self.model["value", window, key].append(value)

    @rule(name=st.sampled_from(["list", "mortals"]), key=KEYS, window=WINDOWS, values=st.lists(VALUES, max_size=3))
    def add_all(self, name: str, key: Any, window: Any, values: list[Any]) -> None:
        self.state(name, key, window).add_all(copy.deepcopy(values))
        if values:
            stored = [(value, self.clock.now_ms) for value in values] if name == "mortals" else values
            self.model.setdefault((name, window, key), []).extend(copy.deepcopy(stored))

    @rule(key=KEYS, window=WINDOWS, values=st.lists(VALUES, max_size=3))
    def replace_list(self, key: Any, window: Any, values: list[Any]) -> None:
        self.state("list", key, window).update(copy.deepcopy(values))
        self.model["list", window, key] = copy.deepcopy(values)

    @rule(key=KEYS, window=WINDOWS)
    def change_elements(self, key: Any, window: Any) -> None:
        state = self.state("list", key, window)
        elements = list(state.get())
        for element in elements:
            if isinstance(element, list):
                element.append(9)
        state.update(elements)
        for element in self.model.get(("list", window, key), []):
            if isinstance(element, list):
                element.append(9)

    @rule(name=st.sampled_from(["map", "mortal map"]), key=KEYS, window=WINDOWS, map_key=MAP_KEYS, value=VALUES)
    def put(self, name: str, key: Any, window: Any, map_key: Any, value: Any) -> None:
        self.state(name, key, window).put(map_key, copy.deepcopy(value))
        stored = (value, self.clock.now_ms) if name == "mortal map" else value
        self.model.setdefault((name, window, key), {})[map_key] = copy.deepcopy(stored)

    @rule(name=st.sampled_from(["map", "mortal map"]), key=KEYS, window=WINDOWS, map_key=MAP_KEYS)
    def remove(self, name: str, key: Any, window: Any, map_key: Any) -> None:
        self.state(name, key, window).remove(map_key)
        self.model.get((name, window, key), {}).pop(map_key, None)

    @rule(key=KEYS, window=WINDOWS, map_key=MAP_KEYS)
    def change_map_value(self, key: Any, window: Any, map_key: Any) -> None:
        state = self.state("map", key, window)
        held = state.get(map_key)
        assert held == self.model.get(("map", window, key), {}).get(map_key)
        if isinstance(held, list):
            held.append(8)
            state.put(map_key, held)
            self.model["map", window, key][map_key].append(8)

    @rule(key=KEYS, window=WINDOWS, value=st.integers(-9, 9))
    def add(self, key: Any, window: Any, value: int) -> None:
        self.state("sum", key, window).add(value)
        self.model["sum", window, key] = (self.model.get(("sum", window, key)) or 0) + value

    @rule(name=st.sampled_from(sorted(DESCRIPTORS)), key=KEYS, window=WINDOWS)
    def clear(self, name: str, key: Any, window: Any) -> None:
        self.state(name, key, window).clear()
        self.model.pop((name, window, key), None)

    @rule(keys=st.lists(KEYS, max_size=6), window=WINDOWS, delete=st.booleans())
    def batch(self, keys: list[Any], window: Any, delete: bool) -> None:
        for backend in self.backends:
            own = [key for key in keys if backend.key_group_of(key) in backend.key_group_range]
            table = backend.table(TableSpec("sum", StateKind.REDUCING, Types.LONG()))
            entries = table.open_batch(own, window)
            for key in own:
                if delete and key in entries:
                    del entries[key]
                    del self.model["sum", window, key]
                else:
                    entries[key] = entries.get(key, 0) + 1
                    self.model["sum", window, key] = self.model.get(("sum", window, key), 0) + 1
            table.close_batch(own, window)

    @rule(keys=st.lists(KEYS, max_size=6), window=WINDOWS)
    def append_batch(self, keys: list[Any], window: Any) -> None:
        for backend in self.backends:
            own = [key for key in keys if backend.key_group_of(key) in backend.key_group_range]
            table = backend.table(TableSpec("list", StateKind.LIST, UNTYPED))
            pending = table.open_appends(own, window)
            for key in own:
                pending.setdefault(key, []).append("batch")
                self.model.setdefault(("list", window, key), []).append("batch")
            table.close_appends(own, window)

    @rule(into=st.sampled_from(["w1", "w2"]), key=KEYS)
    def merge(self, into: str, key: Any) -> None:
        sources = [window for window in ("w1", "w2", 3) if window != into]
        for name in ("list", "sum"):
            self.state(name, key, into).merge_namespaces(into, sources)
            for source in sources:
                held = self.model.pop((name, source, key), None)
                if held is not None and held != []:
                    present = self.model.get((name, into, key))
                    self.model[name, into, key] = held if present is None else present + held

    @rule(name=st.sampled_from(["value", "list", "map", "sum"]), window=st.sampled_from(["w1", "w2", 3]))
    def drop_window(self, name: str, window: Any) -> None:
        for backend in self.backends:
            backend.current_key = "a"
            backend.current_namespace = window
            backend.state(DESCRIPTORS[name], windowed=True).table.drop_namespace(window)
        for slot in [slot for slot in self.model if slot[:2] == (name, window)]:
            del self.model[slot]

    @rule(ms=st.integers(1, 6_000))
    def pass_time(self, ms: int) -> None:
        self.clock.now_ms += ms

    @rule()
    def end_batch(self) -> None:
        for backend in self.backends:
            backend.end_batch()

    # -- checks ----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(sorted(DESCRIPTORS)), key=KEYS, window=WINDOWS)
    def read(self, name: str, key: Any, window: Any) -> None:
        state, expected = self.state(name, key, window), self.alive(name, window, key)
        if "map" in name:
            assert dict(state.items()) == (expected or {})
            assert state.is_empty() == (not expected)
        elif name in ("list", "mortals"):
            assert list(state.get()) == (expected or [])
        elif name == "sum":
            assert state.get() == expected
        else:
            assert state.value() == expected

    @rule(name=st.sampled_from(["value", "list", "map", "sum"]), window=WINDOWS)
    def read_keys(self, name: str, window: Any) -> None:
        found = []
        for backend in self.backends:
            backend.current_key, backend.current_namespace = "a", window
            found += list(backend.state(DESCRIPTORS[name], windowed=window is not None).table.keys(window))
        present = [
            key
            for (state, ns, key), held in self.model.items()
            if (state, ns) == (name, window) and (held or name in ("value", "sum"))
        ]
        assert sorted(map(repr, found)) == sorted(map(repr, present))

    # -- snapshots -------------------------------------------------------------------------------

    @precondition(lambda self: len(self.running) < 2)
    @rule(canonical=st.booleans())
    def begin_snapshot(self, canonical: bool) -> None:
        self.checkpoints += 1
        snapshots = [b.snapshot(self.checkpoints, self.storage, canonical=canonical) for b in self.backends]
        self.running.append((self.checkpoints, snapshots, copy.deepcopy(self.model)))

    @precondition(lambda self: self.running)
    @rule()
    def advance_snapshots(self) -> None:
        for _, snapshots, _ in self.running:
            for snapshot in snapshots:
                snapshot.advance(0.0)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def complete_snapshot(self, data: Any) -> None:
        number, snapshots, model = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        for snapshot in snapshots:
            while not snapshot.advance():
                pass
        self.complete.append(([snapshot.finish() for snapshot in snapshots], model))
        for backend in self.backends:
            backend.checkpoint_completed(number)

    @precondition(lambda self: self.running)
    @rule()
    def cancel_snapshot(self) -> None:
        for snapshot in self.running.pop()[1]:
            snapshot.cancel()

    @precondition(lambda self: self.complete)
    @rule(data=st.data(), parallelism=st.integers(1, 3))
    def restore(self, data: Any, parallelism: int) -> None:
        handles, model = data.draw(st.sampled_from(self.complete))
        self.close_backends()
        self.make(data.draw(st.sampled_from(self.kinds)), parallelism)
        self.model = copy.deepcopy(model)
        for backend in self.backends:
            backend.restore([(handle, self.storage) for handle in handles])

    def close_backends(self) -> None:
        for _, snapshots, _ in self.running:
            for snapshot in snapshots:
                snapshot.cancel()
        self.running.clear()
        for backend in self.backends:
            backend.close()

    def teardown(self) -> None:
        if hasattr(self, "backends"):
            try:
                for name, window, key in list(self.model):
                    self.read(name=name, key=key, window=window)  # type: ignore[call-arg]  # a rule is a method
            finally:
                self.close_backends()
                shutil.rmtree(self.directory, ignore_errors=True)


@pytest.mark.parametrize(
    "kinds", [*((kind,) for kind in BACKENDS), tuple(BACKENDS)], ids=[*BACKENDS, "changing from one to another"]
)
def test_any_program(kinds: tuple[str, ...]) -> None:
    machine = type("Machine", (StateMachine,), {"kinds": kinds})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=40, deadline=None, phases=PHASES)
    )

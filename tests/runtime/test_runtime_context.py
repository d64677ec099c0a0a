from __future__ import annotations

import pytest

from penstock.common.typeinfo import Types
from penstock.datastream.state import ListStateDescriptor, ValueStateDescriptor
from penstock.runtime._metrics import MetricRegistry
from penstock.runtime._runtime_context import NotKeyedError, StreamingRuntimeContext, TaskFacts
from penstock.runtime.state import BackendContext, HashMapBackend


def context(backend: HashMapBackend | None = None) -> StreamingRuntimeContext:
    facts = TaskFacts("Source: numbers -> Map", 1, 3, 64, 2, {"mode": "fast"})
    return StreamingRuntimeContext(facts, MetricRegistry().group("Map"), backend)


def test_facts_of_the_subtask() -> None:
    ctx = context()
    assert ctx.get_task_name() == "Source: numbers -> Map"
    assert ctx.get_task_name_with_subtasks() == "Source: numbers -> Map (2/3)#2"
    assert ctx.get_index_of_this_subtask() == 1
    assert ctx.get_number_of_parallel_subtasks() == 3
    assert ctx.get_max_number_of_parallel_subtasks() == 64
    assert ctx.get_attempt_number() == 2
    assert ctx.get_job_parameter("mode", "slow") == "fast"
    assert ctx.get_job_parameter("other", "slow") == "slow"


def test_state_needs_keys() -> None:
    with pytest.raises(NotKeyedError, match="only accessible by functions executed on a KeyedStream"):
        context().get_state(ValueStateDescriptor("x", Types.LONG()))


def test_state_of_one_name_has_one_kind() -> None:
    backend = HashMapBackend(BackendContext("0" * 32, "Map", 0, 1, 8, lambda: 0))
    backend.current_key = "a"
    ctx = context(backend)
    ctx.get_state(ValueStateDescriptor("x", Types.LONG())).update(4)
    assert ctx.get_state(ValueStateDescriptor("x", Types.LONG())).value() == 4
    with pytest.raises(Exception, match="The state name 'x' is already in use and not a"):
        ctx.get_list_state(ListStateDescriptor("x", Types.LONG()))

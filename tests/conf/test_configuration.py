from __future__ import annotations

import pickle

import pytest

from penstock.conf import (
    INTEGER,
    ConfigOption,
    Configuration,
    ManagedMemoryOptions,
    MemorySize,
    OptionValueError,
    Source,
    TaskManagerOptions,
    all_options,
    find_option,
)

MANAGED = TaskManagerOptions.MANAGED_MEMORY_SIZE
OLDER = "taskmanager.memory.size"
WEIGHTS = ManagedMemoryOptions.CONSUMER_WEIGHTS


def test_an_option_is_looked_up_by_its_key_then_by_older_ones() -> None:
    configuration = Configuration.from_mapping({OLDER: "1m"})
    assert configuration.contains(MANAGED)
    assert configuration.get(MANAGED) == MemorySize(2**20)
    assert configuration.older_keys_used == {OLDER: MANAGED.key}
    configuration.set(MANAGED, "2m")
    assert configuration.get(MANAGED) == MemorySize(2**21)
    assert configuration.remove(MANAGED)
    assert not configuration.contains(MANAGED)
    assert not configuration.remove(MANAGED)


def test_defaults_are_not_set() -> None:
    configuration = Configuration()
    assert configuration.get(TaskManagerOptions.NUM_TASK_SLOTS) == 1
    assert configuration.get(TaskManagerOptions.NUM_TASK_SLOTS, 7) == 7
    assert not configuration.contains(TaskManagerOptions.NUM_TASK_SLOTS)
    assert configuration.get(MANAGED) is None


def test_a_malformed_value_harms_only_who_reads_it() -> None:
    source = Source("file", "config.yaml", 3)
    configuration = Configuration().set(OLDER, "lots", source).set("taskmanager.numberOfTaskSlots", "4")
    assert configuration.contains(MANAGED)
    assert configuration.get(TaskManagerOptions.NUM_TASK_SLOTS) == 4
    with pytest.raises(OptionValueError) as caught:
        configuration.get(MANAGED)
    error = caught.value
    assert (error.error_id, error.option, error.detail) == ("value-unparsable", MANAGED.key, "size-no-number")
    assert (error.key, error.value, error.source) == (OLDER, "lots", source)
    for part in (MANAGED.key, OLDER, "lots", "config.yaml:3", "512m"):
        assert part in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__


def test_a_map_may_be_spread_over_keys_with_its_key_as_prefix() -> None:
    configuration = Configuration.from_mapping({f"{WEIGHTS.key}.PYTHON": 30, f"{WEIGHTS.key}.OPERATOR": "1"})
    assert configuration.contains(WEIGHTS)
    assert configuration.get(WEIGHTS) == {"PYTHON": "30", "OPERATOR": "1"}
    configuration.set(WEIGHTS, "PYTHON:1")
    assert configuration.get(WEIGHTS) == {"PYTHON": "1"}


def test_overlay_replaces_key_by_key_with_sources() -> None:
    file, flag = Source("file", "a.yaml", 1), Source("flag", "-D")
    base = Configuration.from_mapping({"a": 1, "b": 2}, file)
    over = Configuration.from_mapping({"b": 3}, flag)
    both = base.overlay(over)
    assert both.raw_values() == {"a": 1, "b": 3}
    assert both.source("a") == file
    assert both.source("b") == flag
    assert str(both.source("a")) == "a.yaml:1"
    assert base.raw("b") == 2
    over.set("b", 4, None)
    assert base.overlay(over).source("b") is None


def test_it_behaves_as_a_mapping_of_raw_values() -> None:
    configuration = Configuration.from_mapping({"a": True, "b": 1.5, "c": "x"})
    assert list(configuration) == ["a", "b", "c"]
    assert len(configuration) == 3
    assert "a" in configuration
    assert configuration.to_dict() == {"a": "true", "b": "1.5", "c": "x"}
    assert configuration.copy() == configuration
    assert pickle.loads(pickle.dumps(configuration)) == configuration


def test_options_are_shared_declarations() -> None:
    assert pickle.loads(pickle.dumps(MANAGED)) is MANAGED
    assert find_option(OLDER) is MANAGED
    assert find_option("no.such.key") is None
    undeclared = ConfigOption("no.such.key", INTEGER, 1, "Not declared.")
    with pytest.raises(LookupError):
        pickle.loads(pickle.dumps(undeclared))


def test_every_key_belongs_to_one_option_and_every_default_converts() -> None:
    owner: dict[str, str] = {}
    for key, option in all_options().items():
        for each in option.all_keys:
            assert each not in owner, f"{each} belongs to {owner[each]} and {key}"
            owner[each] = key
        assert option.description
        if option.default is not None:
            assert option.type.convert(option.default) == option.default, key
        assert option.type.convert(option.type.example) is not None

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.conf import (
    ConfigurationFileError,
    all_options,
    configuration_from_environment,
    configuration_from_flags,
    load_configuration,
    unknown_key_warnings,
    variable_of,
)
from penstock.errors import ConfigurationError

PROCESS = "taskmanager.memory.process.size"
SLOTS = "taskmanager.numberOfTaskSlots"


def test_no_two_options_share_a_variable() -> None:
    variables = [variable_of(key) for key in all_options()]
    assert len(set(variables)) == len(variables)
    assert variable_of("jobmanager.memory.jvm-metaspace.size") == "PENSTOCK_JOBMANAGER_MEMORY_JVM_METASPACE_SIZE"


def test_precedence_file_then_properties_then_variables_then_flags(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"{PROCESS}: 1g\n{SLOTS}: 1\na: file\nb: file\n")
    environment = {
        "FLINK_PROPERTIES": f"{PROCESS}: 2g\n{SLOTS}: 2\n\n# note\nb: $WHO ${{WHO}} $NOBODY.\n",
        "PENSTOCK_TASKMANAGER_NUMBEROFTASKSLOTS": "3",
        "WHO": "me",
    }
    loaded = load_configuration(str(tmp_path), [f"{PROCESS}=4g", f"{PROCESS}=5g", "flag"], environment)
    configuration = loaded.configuration
    assert configuration.to_dict() == {PROCESS: "5g", SLOTS: "3", "a": "file", "b": "me me .", "flag": "true"}
    assert str(configuration.source(PROCESS)) == "-D"
    assert str(configuration.source(SLOTS)) == "$PENSTOCK_TASKMANAGER_NUMBEROFTASKSLOTS"
    assert str(configuration.source("b")) == "$FLINK_PROPERTIES:5"
    assert str(configuration.source("a")) == f"{tmp_path}/config.yaml:3"
    assert loaded.warnings == ()


def test_one_file_is_read_and_the_others_are_mentioned(tmp_path: Path) -> None:
    (tmp_path / "flink-conf.yaml").write_text("a: flat\n")
    (tmp_path / "appsettings.json").write_text('{"a": "json"}')
    loaded = load_configuration(None, environment={"FLINK_CONF_DIR": str(tmp_path)})
    assert loaded.configuration.raw("a") == "flat"
    assert len(loaded.warnings) == 1
    assert "appsettings.json" in loaded.warnings[0]
    file = tmp_path / "appsettings.json"
    assert load_configuration(str(file), environment={}).configuration.raw("a") == "json"


def test_a_folder_without_a_file_is_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigurationFileError, match=r"config\.yaml"):
            load_configuration(str(folder), environment={})


def test_without_anything_the_configuration_is_empty() -> None:
    assert len(load_configuration(environment={}).configuration) == 0


def test_flags_without_a_key() -> None:
    for flag in ("=4g", "  =4g", ""):
        with pytest.raises(ConfigurationError):
            configuration_from_flags([flag])
    assert configuration_from_flags(["a=b=c"]).raw("a") == "b=c"


def test_malformed_properties_name_their_line() -> None:
    with pytest.raises(ConfigurationFileError) as caught:
        configuration_from_environment({"FLINK_PROPERTIES": "a: 1\nnonsense\n"})
    assert (caught.value.path, caught.value.line) == ("$FLINK_PROPERTIES", 2)


def test_a_variable_that_is_no_options_is_warned_about() -> None:
    configuration, warnings = configuration_from_environment(
        {"PENSTOCK_TASKMANAGER_MEMORY_PROCES_SIZE": "4g", "PENSTOCK_TRACEBACK": "1"}
    )
    assert len(configuration) == 0
    assert len(warnings) == 1
    assert "PENSTOCK_TASKMANAGER_MEMORY_PROCESS_SIZE" in warnings[0]


@pytest.mark.parametrize(
    ("key", "mentions"),
    [
        ("taskmanager.memory.network.fracton", "did you mean 'taskmanager.memory.network.fraction'"),
        ("taskmanager.numberOfTaskSlot", "did you mean 'taskmanager.numberOfTaskSlots'"),
        ("taskmanager.memory.zzz.qqq", None),
        ("taskmanager.heap.size", "use taskmanager.memory.flink.size"),
        ("taskmanager.memory.preallocate", "nothing took its place"),
        ("jobmanager.rpc.address", None),
        ("my.own.key", None),
        ("taskmanager.memory.size", None),
        ("taskmanager.memory.managed.consumer-weights.PYTHON", None),
        ("jobmanager.network.memory.size", None),
        (PROCESS, None),
    ],
)
def test_unknown_keys_are_warned_about_with_the_nearest_known_one(key: str, mentions: str | None) -> None:
    warnings = unknown_key_warnings(configuration_from_flags([f"{key}=1"]))
    if mentions is None:
        assert warnings == []
    else:
        assert len(warnings) == 1
        assert mentions in warnings[0]
        assert "(-D)" in warnings[0]

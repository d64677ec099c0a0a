from __future__ import annotations

from pathlib import Path

import pytest

from penstock.conf import ConfigurationFileError, read_configuration_file
from penstock.conf._files import configuration_from_appsettings, configuration_from_flat_file


def test_flink_1_flat_file() -> None:
    text = "# comment\n\ntaskmanager.memory.process.size: 4g # here\nparallelism.default: 2\nenv.java.opts:\nurl: http://x:80\n"
    configuration, warnings = configuration_from_flat_file(text)
    assert configuration.raw_values() == {
        "taskmanager.memory.process.size": "4g",
        "parallelism.default": "2",
        "url": "http://x:80",
    }
    assert str(configuration.source("parallelism.default")) == "flink-conf.yaml:4"
    assert warnings == ["flink-conf.yaml:5: the key 'env.java.opts' has no value and is ignored."]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a: 1\nnonsense\n", 2, 1), ("a:\n  b: 1\n", 2, 3), ("key:value\n", 1, 1), (": x\n", 1, 1)],
)
def test_malformed_flat_files(text: str, line: int, column: int) -> None:
    with pytest.raises(ConfigurationFileError) as caught:
        configuration_from_flat_file(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_appsettings_nested_flat_and_in_any_case() -> None:
    text = """{
  "Logging": {"LogLevel": {"Default": "Warning"}},
  "TaskManager": {
    "Memory": {"Process": {"Size": "4g"}, "network.fraction": 0.2},
    "NumberOfTaskSlots": 4,
    "memory:managed:consumer-weights": {"python": 30}
  },
  "jobmanager.process.memory.size": "1600m",
  "pipeline.operator-chaining.enabled": true,
  "nothing": null,
  "list": ["a", 1]
}
"""
    configuration, warnings = configuration_from_appsettings(text, "appsettings.json")
    assert configuration.raw_values() == {
        "Logging.LogLevel.Default": "Warning",
        "taskmanager.memory.process.size": "4g",
        "taskmanager.memory.network.fraction": 0.2,
        "taskmanager.numberOfTaskSlots": 4,
        "taskmanager.memory.managed.consumer-weights.PYTHON": 30,
        "jobmanager.process.memory.size": "1600m",
        "pipeline.operator-chaining.enabled": True,
        "list": "[a, 1]",
    }
    assert str(configuration.source("taskmanager.memory.process.size")) == "appsettings.json:4"
    assert str(configuration.source("list")) == "appsettings.json:11"
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("{\n  'a': 1}", 2, 3), ('{"a": 1,\n}', None, None), ("[]", 1, 1), ("", 1, 1), ('{"a": 1, "a": 2}', None, None)],
)
def test_malformed_appsettings(text: str, line: int | None, column: int | None) -> None:
    with pytest.raises(ConfigurationFileError) as caught:
        configuration_from_appsettings(text)
    assert caught.value.error_id == "json-invalid"
    if line is not None:  # where a trailing comma is reported differs between versions of Python
        assert caught.value.line == line
        assert caught.value.column == column


def test_the_name_of_a_file_says_how_to_read_it(tmp_path: Path) -> None:
    for name, text in (
        ("config.yaml", "a:\n  b: 010\n"),
        ("flink-conf.yaml", "a.b: 10\n"),
        ("appsettings.json", '{"a": {"b": 10}}'),
        ("mine.yml", "a.b: 10\n"),
    ):
        path = tmp_path / name
        path.write_text("\ufeff" + text, encoding="utf-8")
        configuration, _ = read_configuration_file(str(path))
        assert configuration.to_dict() == {"a.b": "10"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00a")
    for path in (tmp_path / "absent.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(ConfigurationFileError) as caught:
            read_configuration_file(str(path))
        assert caught.value.error_id == "file-unreadable"

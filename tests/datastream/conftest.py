"""Fixtures for building programs that are not run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.conf import Configuration
from penstock.datastream import StreamExecutionEnvironment, _executor
from tests.datastream.recording import PIPELINES


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamExecutionEnvironment]:
    """An environment of parallelism 2 whose jobs are recorded."""
    monkeypatch.setitem(_executor.EXECUTORS, "local", "tests.datastream.recording:RecordingExecutor")
    monkeypatch.setattr(_executor, "_base", Configuration())
    PIPELINES.clear()
    environment = StreamExecutionEnvironment.get_execution_environment()
    yield environment.set_parallelism(2)
    PIPELINES.clear()

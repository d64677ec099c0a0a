"""An executor that runs nothing: it keeps the pipelines it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penstock.common import JobStatus
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream._executor import JobResult, Pipeline

PIPELINES: list[Pipeline] = []


class RecordingHandle:
    """A job that has finished with no results."""

    job_id = "0" * 32
    status = JobStatus.FINISHED

    def cancel(self) -> None:
        pass

    def wait(self) -> JobResult:
        return JobResult(self.job_id, 5)

    def results(self) -> Iterator[Any]:
        yield from ()

    def trigger_savepoint(self, directory: str | None) -> str:
        return str(directory)

    def stop_with_savepoint(self, advance_to_end_of_event_time: bool, directory: str | None) -> str:
        return str(directory)


class RecordingExecutor:
    """Keeps pipelines in `PIPELINES`."""

    def execute(self, pipeline: Pipeline, *, detached: bool) -> RecordingHandle:
        PIPELINES.append(pipeline)
        return RecordingHandle()

    def plan(self, pipeline: Pipeline) -> str:
        return ",".join(each.name for each in pipeline.transformations)


def operators(environment: StreamExecutionEnvironment) -> dict[str, Any]:
    """Executes what was built, and gives the transformations by name; the last one of several with one name."""
    environment.execute()
    return {each.name: each for each in PIPELINES[-1].transformations}


def operator(stream: Any) -> Any:
    """The transformation that produced a stream."""
    return stream._operator

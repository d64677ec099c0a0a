"""The seam to what runs a program: a pipeline goes out, a job handle comes back.

This floor never imports the runtime. `execution.target` names an executor; where it lives stands in one table and
is loaded when the first job is executed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.common.job_status import JobStatus
from penstock.conf import Configuration, ExecutionOptions, Record
from penstock.datastream._transformations import Transformation
from penstock.errors import ConfigurationError

__all__ = [
    "EXECUTORS",
    "Executor",
    "JobHandle",
    "JobResult",
    "Pipeline",
    "base_configuration",
    "execute",
    "plan",
    "set_base_configuration",
]

EXECUTORS: dict[str, str] = {
    "local": "penstock.runtime:LocalExecutor",
    "local-processes": "penstock.runtime:LocalProcessesExecutor",
}
"""`execution.target` -> `module:attribute` of a class without constructor arguments that is an `Executor`."""

DEFAULT_EXECUTOR = "local"


class Pipeline(Record):
    """One job as the program built it.

    Attributes:
        transformations: everything the job consists of, each after its inputs, in order of creation.
        configuration: the effective configuration: files, environment and flags, with the program's own settings over
            them. What Flink keeps under a key is here and nowhere else (parallelism, runtime mode, checkpointing,
            restart strategy, …).
        job_name: the name given to `execute()`, or None.
    """

    transformations: tuple[Transformation, ...]
    configuration: Configuration
    job_name: str | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """The outcome of a finished job.

    Attributes:
        job_id: 32 hex digits.
        runtime_ms: how long it ran.
        accumulators: results by name.
    """

    job_id: str
    runtime_ms: int
    accumulators: Mapping[str, Any] = field(default_factory=dict)


class JobHandle(Protocol):
    """A job that was handed to an executor. Every method may be called from any thread."""

    @property
    def job_id(self) -> str:
        """32 hex digits."""

    @property
    def status(self) -> JobStatus:
        """Where the job is in its life."""

    def cancel(self) -> None:
        """Asks the job to stop; returns at once. Nothing happens when it has ended."""

    def wait(self) -> JobResult:
        """Returns when the job has finished.

        Raises:
            JobError: the job failed or was cancelled.
        """

    def results(self) -> Iterator[Any]:
        """The elements of the job's `CollectSpec` as they come; may be what drives the job.

        The iterator has `close()`: closing it early cancels the job. The job's failure is raised from `next()`.
        """

    def trigger_savepoint(self, directory: str | None) -> str:
        """Takes a savepoint and returns its path; `directory` None means `execution.checkpointing.savepoint-dir`."""

    def stop_with_savepoint(self, advance_to_end_of_event_time: bool, directory: str | None) -> str:
        """Takes a savepoint, stops the job, and returns the savepoint's path."""


class Executor(Protocol):
    """Runs pipelines."""

    def execute(self, pipeline: Pipeline, *, detached: bool) -> JobHandle:
        """Starts a job. `detached` says that the caller goes on without waiting (`execute_async`)."""

    def plan(self, pipeline: Pipeline) -> str:
        """The execution plan, JSON."""


def execute(pipeline: Pipeline, *, detached: bool = False) -> JobHandle:
    """Hands a pipeline to the executor its configuration names.

    Raises:
        ConfigurationError: for an unknown `execution.target`.
    """
    return _executor(pipeline.configuration).execute(pipeline, detached=detached)


def plan(pipeline: Pipeline) -> str:
    """The execution plan of a pipeline, JSON as in Flink."""
    return _executor(pipeline.configuration).plan(pipeline)


def _executor(configuration: Configuration) -> Executor:
    target = configuration.get(ExecutionOptions.TARGET) or DEFAULT_EXECUTOR
    place = EXECUTORS.get(target)
    if place is None:
        raise ConfigurationError(
            f"execution.target is '{target}', which is no executor of this installation; it has "
            f"{', '.join(sorted(EXECUTORS))}. Set execution.target to one of them, or leave it out."
        )
    module_name, _, attribute = place.partition(":")
    executor: Executor = getattr(importlib.import_module(module_name), attribute)()
    return executor


_base: Configuration | None = None


def set_base_configuration(configuration: Configuration | None) -> None:
    """Sets what environments start from (files, environment, flags); None lets it be read again when needed."""
    global _base
    _base = configuration


def base_configuration() -> Configuration:
    """What environments start from: as set by `penstock run`, else from files and environment. A copy."""
    global _base
    if _base is None:
        _base = _load()
    return _base.copy()


def _load() -> Configuration:
    from penstock.conf import load_configuration

    loaded = load_configuration()
    if loaded.warnings:
        import logging

        for warning in loaded.warnings:
            logging.getLogger("penstock.conf").warning(warning)
    return loaded.configuration

"""CachedDataStream; `data_stream.py` re-exports it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.conf import ExecutionOptions
from penstock.datastream._data_stream import DataStream
from penstock.datastream._keyed_stream import raise_unsupported_setting
from penstock.datastream._stream_cache import COMPLETE, CacheFiles, CacheSink, CacheSource
from penstock.datastream._transformations import SinkSpec, SourceSpec, Transformation
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.common.job_status import JobStatus
    from penstock.datastream._executor import JobHandle, JobResult

__all__ = ["CachedDataStream", "CachingHandle"]


class CachingHandle:
    """The handle of a job that keeps the elements of cached streams: tells them when it has finished."""

    def __init__(self, handle: JobHandle, caches: Sequence[CachedDataStream]) -> None:
        self._handle = handle
        self._caches = caches

    @property
    def job_id(self) -> str:
        """As the job's handle."""
        return self._handle.job_id

    @property
    def status(self) -> JobStatus:
        """As the job's handle."""
        return self._handle.status

    def cancel(self) -> None:
        """As the job's handle."""
        self._handle.cancel()

    def wait(self) -> JobResult:
        """As the job's handle."""
        result = self._handle.wait()
        self._complete()
        return result

    def results(self) -> Iterator[Any]:
        """As the job's handle."""
        yield from self._handle.results()
        self._complete()

    def trigger_savepoint(self, directory: str | None) -> str:
        """As the job's handle."""
        return self._handle.trigger_savepoint(directory)

    def stop_with_savepoint(self, advance_to_end_of_event_time: bool, directory: str | None) -> str:
        """As the job's handle."""
        return self._handle.stop_with_savepoint(advance_to_end_of_event_time, directory)

    def _complete(self) -> None:
        for cache in self._caches:
            cache.complete()


class CachedDataStream(DataStream):
    """A stream whose elements are computed once and kept for later jobs of the environment; BATCH mode only.

    The first job that reads it writes the elements to files as well; afterwards the operator that made them is a
    source of these files, until `invalidate`. Owned by the thread that builds the program.
    """

    _kind = "CachedDataStream"

    def __init__(self, stream: DataStream, operator: Transformation) -> None:
        super().__init__(stream._env, stream._edges, stream._type)
        self._cached_operator = operator
        self._computation = (operator.spec, operator.inputs, operator.key_selectors)
        self._files = CacheFiles()
        stream._env._caches.append(self)

    def invalidate(self) -> None:
        """Drops what was kept; the next job computes it again."""
        self._files.drop()
        operator = self._cached_operator
        operator.spec, operator.inputs, operator.key_selectors = self._computation

    def prepare(self, operators: list[Transformation]) -> Transformation | None:
        """Before a job of these operators: the sink that has to be added to it so that the elements are kept, if any.

        Raises:
            ConfigurationError: the job reads the stream, and does not run in BATCH mode.
        """
        operator = self._cached_operator
        if operator not in operators:
            return None
        if self._env._configuration.get(ExecutionOptions.RUNTIME_MODE) == "STREAMING":
            raise ConfigurationError(
                f"cache() of operator '{operator.name}' needs BATCH mode: what an unbounded job computes cannot be "
                "kept. Call env.set_runtime_mode(RuntimeExecutionMode.BATCH), or leave cache() out."
            )
        if self._files.is_complete:
            return None
        sink = CacheSink(self._files.create())
        return Transformation(
            "Cache", SinkSpec(sink), (self._edges,), (None,), output_type=self._type, parallelism=operator.parallelism
        )

    def complete(self) -> None:
        """After a job that kept the elements has finished: later jobs read them."""
        directory = self._files.directory
        if directory is None or self._files.is_complete:
            return
        with open(os.path.join(directory, COMPLETE), "wb"):
            pass
        operator = self._cached_operator
        operator.spec, operator.inputs, operator.key_selectors = SourceSpec(CacheSource(directory)), (), ()

    def _own_operator(self, method: str) -> NoReturn:
        raise_unsupported_setting(method, self._kind)

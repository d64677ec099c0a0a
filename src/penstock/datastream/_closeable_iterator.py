"""The results of `execute_and_collect`; `data_stream.py` re-exports it."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from penstock.datastream._executor import JobHandle

__all__ = ["CloseableIterator"]


class CloseableIterator:
    """Iterates over collected elements; closing it early cancels the job. Also a context manager.

    Owned by one thread: iterating may be what drives the job.
    """

    def __init__(self, handle: JobHandle) -> None:
        self._handle = handle
        self._results: Iterator[Any] | None = handle.results()

    def __iter__(self) -> CloseableIterator:
        return self

    def __next__(self) -> Any:
        if self._results is None:
            raise StopIteration
        try:
            return next(self._results)
        except BaseException:
            self._results = None
            raise

    def next(self) -> Any:
        """The next element.

        Raises:
            StopIteration: when there is none.
            JobError: when the job failed.
        """
        return self.__next__()

    def close(self) -> None:
        """Cancels the job unless it has ended, and releases what it holds."""
        results, self._results = self._results, None
        close = getattr(results, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> CloseableIterator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_results", None) is not None:
            self.close()

"""CachedDataStream; `data_stream.py` re-exports it."""

from __future__ import annotations

from typing import NoReturn

from penstock.datastream._data_stream import DataStream
from penstock.datastream._keyed_stream import raise_unsupported_setting
from penstock.datastream._transformations import Transformation

__all__ = ["CachedDataStream"]


class CachedDataStream(DataStream):
    """A stream whose elements are computed once and kept for later jobs of the environment."""

    _kind = "CachedDataStream"

    def __init__(self, stream: DataStream, operator: Transformation) -> None:
        super().__init__(stream._env, stream._edges, stream._type)
        self._cached_operator = operator

    def invalidate(self) -> None:
        """Drops what was kept; the next job computes it again."""

    def _own_operator(self, method: str) -> NoReturn:
        raise_unsupported_setting(method, self._kind)

"""The source behind `from_collection`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from penstock.datastream._transformations import NotPicklableError
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    _EndOfInput,
)

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation

__all__ = ["CollectionSource", "typed_elements"]


class CollectionSource(Source):
    """Elements of the program, pickled when given: what happens to them later does not reach the job. Immutable.

    Always one reader. A split is the index of the next element.
    """

    def __init__(self, elements: Sequence[Any]) -> None:
        self.count = len(elements)
        try:
            self._payload = _dumps(elements)
        except Exception as error:
            raise NotPicklableError(
                f"An element given to from_collection() cannot be pickled: {error}. Elements are sent to the tasks as "
                "pickles; give plain values, and create what cannot be pickled in a function's open()."
            ) from error

    @property
    def boundedness(self) -> Boundedness:
        """Bounded."""
        return Boundedness.BOUNDED

    @property
    def always_single(self) -> bool:
        """One reader, whatever the parallelism."""
        return True

    def plan_splits(self, parallelism: int) -> list[int]:
        """One split, from the first element on."""
        return [0]

    def elements(self) -> list[Any]:
        """A fresh copy of the elements."""
        loaded: list[Any] = pickle.loads(self._payload)
        return loaded

    def create_reader(self, splits: Sequence[int], context: ReaderContext) -> SourceReader:
        """A reader that goes on at the split's element."""
        return _CollectionReader(self.elements(), splits[0] if splits else self.count)


class _CollectionReader(SourceReader):
    """Hands out slices of a list; task thread only."""

    def __init__(self, elements: list[Any], position: int) -> None:
        self._elements = elements
        self._total = len(elements)
        self._position = position

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        """The next elements."""
        start = self._position
        if start >= self._total:
            return END_OF_INPUT
        values = self._elements[start : start + max_records]
        self._position = start + len(values)
        return SourceBatch(values)

    def snapshot(self) -> list[int]:
        """The index of the next element."""
        return [self._position]

    def progress(self) -> tuple[float, float]:
        """Elements read, and their number."""
        return self._position, self._total

    def close(self) -> None:
        """Drops the elements."""
        self._elements = []
        self._total = 0


def _dumps(elements: Sequence[Any]) -> bytes:
    """Plain pickle where it will do; cloudpickle for what only it can do, and for anything of `__main__`.

    Plain pickle stores classes of `__main__` by name, which a worker process could not find.
    """
    elements = list(elements)
    if _is_plain(elements):
        return pickle.dumps(elements, pickle.HIGHEST_PROTOCOL)
    import cloudpickle

    payload: bytes = cloudpickle.dumps(elements, pickle.HIGHEST_PROTOCOL)
    return payload


_PLAIN = (int, str, float, bool, bytes, type(None))


def _is_plain(elements: list[Any]) -> bool:
    is_plain: Callable[[Any], bool] = lambda value: type(value) in _PLAIN  # noqa: E731
    return all(
        is_plain(element) or (type(element) in (tuple, list) and all(map(is_plain, element))) for element in elements
    )


def typed_elements(elements: list[Any], type_info: TypeInformation | None) -> list[Any]:
    """The elements as values of the declared type.

    A collection is more lenient than a function: where it says ROW, a tuple, list, dict or an object with attributes
    will do.

    Raises:
        TypeError: if an element is not of the type; says which.
    """
    from penstock.common._coercion import collection_coercer_for

    coerce = collection_coercer_for(type_info)
    if coerce is None:
        return elements
    typed = []
    for index, element in enumerate(elements):
        try:
            typed.append(coerce(element))
        except Exception as error:
            raise TypeError(f"Element {index} of from_collection() is no {type_info}: {element!r} ({error})") from error
    return typed

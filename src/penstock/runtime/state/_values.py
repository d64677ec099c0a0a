"""Values in memory: which can never change, how others are copied, and what they weigh."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import pickle
import sys
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, Final

__all__ = ["ATOMS", "are_immutable", "copied_value", "is_immutable", "object_size_bytes", "sampled_size_bytes"]

ATOMS: Final = frozenset(
    {
        int,
        float,
        str,
        bytes,
        bool,
        complex,
        type(None),
        decimal.Decimal,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
    }
)
"""Types whose values cannot be changed in place."""

# Atoms too, by name: their modules are slow to import, and a program that has such values has imported them.
_NAMED_ATOMS: Final = {("uuid", "UUID"), ("fractions", "Fraction")}
_SAMPLED_ELEMENTS: Final = 16
_DEPTH_MAX: Final = 6


def is_immutable(value: Any) -> bool:
    """Whether nothing reachable from a value can be changed in place; False where that is not known."""
    kind = type(value)
    if kind in ATOMS:
        return True
    if kind is tuple or kind is frozenset:
        return all(map(is_immutable, value))
    return isinstance(value, enum.Enum) or _is_atom(kind)


def are_immutable(values: Sequence[Any]) -> bool:
    """Whether all values are atoms or tuples of atoms; by their types alone, about 20 ns a value."""
    kinds = set(map(type, values))
    if tuple not in kinds:
        return _are_atoms(kinds)
    if not _are_atoms(kinds - {tuple}):
        return False
    tuples = values if len(kinds) == 1 else [value for value in values if type(value) is tuple]
    return _are_atoms(set(map(type, chain.from_iterable(tuples))))


def _are_atoms(kinds: set[type]) -> bool:
    return kinds <= ATOMS or all(map(_is_atom, kinds))


def _is_atom(kind: type) -> bool:
    return kind in ATOMS or (kind.__module__, kind.__qualname__) in _NAMED_ATOMS


def copied_value(value: Any) -> Any:
    """A value that shares nothing changeable with the original: the original itself where nothing can change.

    Objects are copied by pickling, as a checkpoint would, and by `copy.deepcopy` where they refuse that.
    """
    if is_immutable(value):
        return value
    kind = type(value)
    if kind is list and all(map(is_immutable, value)):
        return value.copy()
    if kind is dict and all(map(is_immutable, value.values())) and all(map(is_immutable, value)):
        return value.copy()
    if kind is set:
        return value.copy()
    try:
        return pickle.loads(pickle.dumps(value, 5))
    except Exception:
        return copy.deepcopy(value)


def object_size_bytes(value: Any, depth: int = 0) -> int:
    """Bytes a value takes in memory; of containers up to 16 elements are looked at, shared parts count each time."""
    size = sys.getsizeof(value, 64)
    kind = type(value)
    if kind in ATOMS or depth >= _DEPTH_MAX:
        return size
    if kind in (list, tuple, set, frozenset) or hasattr(value, "popleft"):
        return size + _elements_size_bytes(value, len(value), depth)
    if kind is dict:
        parts = islice(value.items(), _SAMPLED_ELEMENTS)
        pairs = [object_size_bytes(k, depth + 1) + object_size_bytes(v, depth + 1) for k, v in parts]
        return size + (sum(pairs) * len(value) // len(pairs) if pairs else 0)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        size += object_size_bytes(attributes, depth + 1)
    for owner in kind.__mro__:
        names = owner.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                size += object_size_bytes(getattr(value, name), depth + 1)
    return size


def _elements_size_bytes(elements: Iterable[Any], count: int, depth: int) -> int:
    sizes = [object_size_bytes(element, depth + 1) for element in islice(elements, _SAMPLED_ELEMENTS)]
    return sum(sizes) * count // len(sizes) if sizes else 0


def sampled_size_bytes(entries: dict[Any, Any], sample: int = 32) -> int:
    """Estimated bytes of a dict of state: its table, and its keys and values by the oldest and the newest of them."""
    if not entries:
        return sys.getsizeof(entries)
    oldest = list(islice(entries.items(), sample))
    newest = list(islice(reversed(entries.items()), sample))
    sizes = [object_size_bytes(key) + object_size_bytes(value) for key, value in oldest + newest]
    return sys.getsizeof(entries) + sum(sizes) * len(entries) // len(sizes)

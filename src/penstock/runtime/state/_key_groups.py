"""Key groups: which of `max_parallelism` groups a key belongs to, and which subtask owns a group.

The formulas from group to subtask are Flink's (`org.apache.flink.runtime.state.KeyGroupRangeAssignment`). The group
of a key is CRC-32 of its encoding, mixed; Flink's is a murmur of the Java hash code, which Python values lack. Keys
that Python calls equal (1, 1.0 and True) share a group, since they share an entry of a dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from zlib import crc32

from penstock.conf import Record
from penstock.errors import ConfigurationError
from penstock.runtime.state._keys import encode_key

__all__ = [
    "KeyGroupRange",
    "KeyGroups",
    "default_max_parallelism",
    "key_group_of",
    "key_group_range",
    "subtask_for",
]

MAX_PARALLELISM_LIMIT: Final = 1 << 15
_DEFAULT_LOWER_BOUND: Final = 1 << 7
_GOLDEN: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: spreads CRC's linear bits over the upper half
_MASK: Final = (1 << 64) - 1
_CACHED_KEYS_MAX: Final = 1 << 16
_ENCODED_AS_COMPARED: Final = frozenset({str, int, bytes})
"""Types whose values share a dict entry only with what has the same bytes, or with a number of another type."""


class KeyGroupRange(Record):
    """The key groups of one subtask, both ends inclusive (Flink's `KeyGroupRange`)."""

    start: int
    end: int

    def __contains__(self, key_group: object) -> bool:
        return isinstance(key_group, int) and self.start <= key_group <= self.end

    def __len__(self) -> int:
        return max(0, self.end - self.start + 1)

    def overlaps(self, other: KeyGroupRange) -> bool:
        """Whether the two ranges share a group."""
        return self.start <= other.end and other.start <= self.end


def key_group_of(key: Any, max_parallelism: int) -> int:
    """The key group of a key, from 0; the same in every process and on every Python version.

    Raises:
        KeyEncodingError: if the key cannot be encoded.
    """
    mixed = crc32(encode_key(_as_compared(key))) * _GOLDEN & _MASK
    return (mixed >> 32) % max_parallelism


def _as_compared(key: Any) -> Any:
    """Numbers as the int they equal, so that keys which share a dict entry share a group."""
    kind = type(key)
    if kind is str or kind is int:
        return key
    if kind is bool or (kind is float and key.is_integer()):
        return int(key)
    if kind is tuple:
        try:
            hash(key)
        except TypeError:
            return key  # frozen by its exact encoding, so that must decide the group too
        return tuple([_as_compared(element) for element in key])
    return key


def subtask_for(key_group: int, max_parallelism: int, parallelism: int) -> int:
    """The subtask that owns a key group (Flink: `computeOperatorIndexForKeyGroup`)."""
    return key_group * parallelism // max_parallelism


def key_group_range(subtask_index: int, max_parallelism: int, parallelism: int) -> KeyGroupRange:
    """The key groups a subtask owns (Flink: `computeKeyGroupRangeForOperatorIndex`).

    Raises:
        ConfigurationError: if there are more subtasks than key groups.
    """
    if parallelism > max_parallelism:
        raise ConfigurationError(
            f"Parallelism {parallelism} is above the maximum parallelism {max_parallelism} (the number of key groups). "
            "Raise pipeline.max-parallelism or set_max_parallelism() before the first run, or lower the parallelism."
        )
    start = (subtask_index * max_parallelism + parallelism - 1) // parallelism
    return KeyGroupRange(start, ((subtask_index + 1) * max_parallelism - 1) // parallelism)


def default_max_parallelism(parallelism: int) -> int:
    """Key groups where none are configured: 1.5 x parallelism, up to a power of two, from 128 to 32768.

    Flink: `computeDefaultMaxParallelism`.
    """
    wanted = parallelism + parallelism // 2
    power = 1 << max(0, wanted - 1).bit_length()
    return min(max(power, _DEFAULT_LOWER_BOUND), MAX_PARALLELISM_LIMIT)


class KeyGroups:
    """Key groups of many keys, with a cache of those seen lately. Owned by one thread.

    Attributes:
        max_parallelism: number of key groups.
    """

    __slots__ = ("_cache", "max_parallelism")

    def __init__(self, max_parallelism: int) -> None:
        self.max_parallelism = max_parallelism
        self._cache: dict[Any, int] = {}

    def of(self, key: Any) -> int:
        """The group of one hashable (frozen) key."""
        group = self._cache.get(key)
        return self._add(key) if group is None else group

    def of_all(self, keys: Sequence[Any]) -> list[int]:
        """The groups of many hashable (frozen) keys, in their order."""
        groups = list(map(self._cache.get, keys))
        if None in groups:
            add = self._add
            return [add(key) if group is None else group for key, group in zip(keys, groups, strict=True)]
        return groups  # type: ignore[return-value]  # no None is left

    def of_encoded(self, keys: Sequence[Any], encoded: Sequence[bytes]) -> list[int]:
        """The same where the encodings of the keys are known: strings and ints are not looked up, nor encoded again."""
        if not _ENCODED_AS_COMPARED.issuperset(map(type, keys)):
            return self.of_all(keys)
        most = self.max_parallelism
        return [((crc32(data) * _GOLDEN & _MASK) >> 32) % most for data in encoded]

    def _add(self, key: Any) -> int:
        if len(self._cache) >= _CACHED_KEYS_MAX:
            self._cache.clear()
        group = self._cache[key] = key_group_of(key, self.max_parallelism)
        return group

    def table(self, parallelism: int) -> list[int]:
        """For each key group the subtask that owns it, to be indexed by the results of `of_all`."""
        return [subtask_for(group, self.max_parallelism, parallelism) for group in range(self.max_parallelism)]

    def split(self, keys: Iterable[Any]) -> dict[int, list[Any]]:
        """Keys by their group."""
        split: dict[int, list[Any]] = {}
        for key in keys:
            split.setdefault(self.of(key), []).append(key)
        return split

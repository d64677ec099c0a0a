"""The order in which a `java.util.HashMap` of strings is iterated.

Flink's start scripts print derived settings in that order, so reproducing their output byte for byte takes it.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["hash_map_order", "java_string_hash"]


def java_string_hash(text: str) -> int:
    """`String.hashCode()`, as an unsigned 32-bit number."""
    value = 0
    for character in text:
        code = ord(character)
        if code > 0xFFFF:  # two UTF-16 units
            value = 31 * value + 0xD800 + (code - 0x10000 >> 10)
            code = 0xDC00 + (code & 0x3FF)
        value = (31 * value + code) & 0xFFFFFFFF
    return value


@lru_cache(maxsize=16)
def hash_map_order(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The keys in iteration order of a map into which they were put in the order given."""
    buckets = 16
    while len(keys) > buckets * 3 // 4:
        buckets *= 2

    def bucket(key: str) -> int:
        spread = java_string_hash(key)
        return (spread ^ spread >> 16) & (buckets - 1)

    # Within a bucket entries keep the order of insertion, also when the table grows; sorting is stable.
    return tuple(sorted(keys, key=bucket))

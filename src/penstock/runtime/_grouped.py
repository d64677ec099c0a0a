"""BATCH mode's input of keyed operators: all records, sorted by key and then by timestamp."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from penstock.runtime._elements import Batch
from penstock.runtime._outputs import BATCH_LIMIT
from penstock.runtime.state import encode_key

__all__ = ["GroupedInput"]


class GroupedInput:
    """Takes all records of a task's inputs, gives them back a key at a time. Task thread only."""

    def __init__(self) -> None:
        self._groups: dict[bytes, tuple[Any, list[tuple[int, int, Any]]]] = {}

    def add(self, input_index: int, keys: list[Any], timestamps: list[int], values: list[Any]) -> None:
        """Takes records of one logical input."""
        groups = self._groups
        for key, timestamp, value in zip(keys, timestamps, values, strict=True):
            groups.setdefault(encode_key(key), (key, []))[1].append((timestamp, input_index, value))

    def groups(self) -> Iterator[tuple[Any, Iterator[tuple[int, Batch]]]]:
        """For each key, its records in time order: (input index, batch of records of that input)."""
        for encoded in sorted(self._groups):
            key, records = self._groups.pop(encoded)
            records.sort(key=lambda record: record[0])
            yield key, _batches(iter(records))

    def close(self) -> None:
        """Gives memory and files back."""
        self._groups.clear()


def _batches(records: Iterator[tuple[int, int, Any]]) -> Iterator[tuple[int, Batch]]:
    """Runs of one input become batches."""
    while True:
        chunk = list(islice(records, BATCH_LIMIT))
        if not chunk:
            return
        start = 0
        for position in range(1, len(chunk) + 1):
            if position == len(chunk) or chunk[position][1] != chunk[start][1]:
                part = chunk[start:position]
                yield part[0][1], Batch([r[2] for r in part], [r[0] for r in part])
                start = position

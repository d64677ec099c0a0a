"""Whether keys that a batch had to fetch are worth a place in the cache of objects.

Where most keys of a batch were never met while a cache of this size would have remembered them, keeping them only costs:
each is chosen for eviction later, and encoded again. Then they pass through: written with the batch after theirs, and
forgotten. What a cache that kept everything would have found is estimated all the time, from a sample of the keys that
passed, so that a working set that becomes small is kept again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["Admission"]

_WORTH_IT: Final = 0.4
"""Share of a batch's keys in the cache from which on fetched ones are kept."""

_SMOOTHING: Final = 0.05
_SAMPLED_OF: Final = 16
_KEPT_EACH: Final = 16
_FEWEST_KEYS: Final = 64


class Admission:
    """Of one table. Owned by the task's thread.

    Attributes:
        share: part of a batch's keys that a cache which keeps everything would have, smoothed over batches.
    """

    __slots__ = ("_batches", "_former", "_latest", "share")

    def __init__(self) -> None:
        self.share = 1.0
        self._batches = 0
        self._latest: set[int] = set()
        self._former: set[int] = set()

    def passes(self, keys: int, fetched: Sequence[bytes], cached: int) -> bool:
        """Notes a batch; whether what it fetches is to pass through.

        Args:
            keys: of the batch.
            fetched: those that were not cached, as they are in the store.
            cached: keys in the cache.
        """
        found = keys - len(fetched)
        passing = self.share < _WORTH_IT
        if passing and fetched:
            found += int(self._passed_lately(fetched, cached) * len(fetched))
        self.share += (found / keys - self.share) * _SMOOTHING
        if not passing:
            if self._latest or self._former:
                self._latest, self._former = set(), set()
            return False
        self._batches += 1
        # Some are kept all the same: what is in the cache must not grow stale.
        return keys >= _FEWEST_KEYS and self._batches % _KEPT_EACH != 0

    def _passed_lately(self, fetched: Sequence[bytes], cached: int) -> float:
        """Part of the fetched keys that were fetched within the last as many as the cache holds, and adds them."""
        sample = {number for row in fetched if not (number := hash(row)) % _SAMPLED_OF}
        if not sample:
            return 0.0
        known = len(sample & self._latest) + len(sample & self._former - self._latest)
        self._latest |= sample
        if len(self._latest) * _SAMPLED_OF * 2 > cached:
            self._latest, self._former = set(), self._latest
        return known / len(sample)

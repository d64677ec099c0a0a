"""The bytes that caches of decoded state objects may take: one pool a process, shared evenly by its backends."""

from __future__ import annotations

import threading

__all__ = ["ObjectCachePool"]


class ObjectCachePool:
    """Divides a budget of the heap among the backends that cache objects. Any thread.

    Attributes:
        total_bytes: what all caches take at most.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._lock = threading.Lock()
        self._members = 0

    def join(self) -> None:
        """One more backend."""
        with self._lock:
            self._members += 1

    def leave(self) -> None:
        """One less."""
        with self._lock:
            self._members -= 1

    @property
    def share_bytes(self) -> int:
        """What each backend may cache now."""
        return self.total_bytes // max(1, self._members)

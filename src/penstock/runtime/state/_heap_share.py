"""Parts of the heap that keyed state may take, divided evenly among the backends of a process."""

from __future__ import annotations

import threading

__all__ = ["HeapShare"]


class HeapShare:
    """Divides a budget of the heap among its members: caches of decoded objects, or all state of `auto`. Any thread.

    Attributes:
        total_bytes: what all members take at most.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._lock = threading.Lock()
        self._members = 0

    def join(self) -> None:
        """One more member."""
        with self._lock:
            self._members += 1

    def leave(self) -> None:
        """One less."""
        with self._lock:
            self._members -= 1

    @property
    def share_bytes(self) -> int:
        """What each member may take now."""
        return self.total_bytes // max(1, self._members)

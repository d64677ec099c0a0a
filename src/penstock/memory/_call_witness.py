"""What a call held when it passed the heap's limit: looked at while its frames still stand.

Answering the failure starts with dropping those frames, since they hold the memory; by the time a report is written,
the list that grew too long is gone. So its size and name are noted before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.memory._heap_census import HeapCensus
    from penstock.memory._heap_guard import HeapGuard

__all__ = ["CallWitness"]

_TIMEOUT_S = 1.0


class CallWitness:
    """Notes what the local variables of a failing call hold. Owned by the process; called by the heap guard."""

    def __init__(self, guard: HeapGuard) -> None:
        """Has the guard call it with every failure from now on (`HeapGuard.report_with`)."""
        self._guard = guard
        self._noted: dict[int, HeapCensus] = {}
        guard.report_with(self._note)

    def take(self) -> HeapCensus | None:
        """What was noted last for the calling thread, once; None where nothing was."""
        return self._noted.pop(threading.get_ident(), None)

    def close(self) -> None:
        """Ends the notes."""
        self._guard.report_with(None)

    def _note(self, error: BaseException, message: str) -> None:
        from penstock.memory._oom_report import witness_of_failure

        self._noted[threading.get_ident()] = witness_of_failure(error, _TIMEOUT_S)

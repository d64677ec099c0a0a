"""The enforced heap guard: the owner of the extension's hooks."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from penstock.errors import ConfigurationError
from penstock.memory._heap_failure import HeapLimitError, HeapOverrun
from penstock.memory._heap_guard import HeapGuard, HeapIncident, TaskHeapUsage, _forget
from penstock.memory._heap_limits import HeapLimits, mebibytes

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["EnforcedHeapGuard", "open_enforced_guard"]

_CHECK_INTERVAL_MS = 1000


def open_enforced_guard(
    limits: HeapLimits | None, remedy: str, report_directory: str, grace_s: float, malloc_arenas: int | None
) -> tuple[HeapGuard | None, str]:
    """The enforced guard, or None and the reason why there can be none.

    Raises:
        ConfigurationError: the process holds more than the limit already.
    """
    try:
        from penstock.memory import _heapguard
    except ImportError as error:
        loaded = not str(error).startswith(("cannot import name", "No module named"))
        return None, f"its extension _heapguard {f'cannot be loaded ({error})' if loaded else 'was not built'}"
    obstacle = _heapguard.install(HeapLimitError, HeapOverrun)
    if obstacle is not None:
        return None, obstacle
    if limits is not None and _heapguard.used() >= limits.line_bytes:
        _heapguard.uninstall()
        raise ConfigurationError(
            f"The process holds {mebibytes(_heapguard.baseline())} before it starts; a heap of "
            f"{mebibytes(limits.limit_bytes)} leaves nothing (reserve: {mebibytes(limits.reserve_bytes)}). "
            f"Raise {remedy}."
        )
    if malloc_arenas is not None:
        _heapguard.set_arena_max(malloc_arenas)
    return EnforcedHeapGuard(_heapguard, limits, remedy, report_directory, grace_s), ""


class EnforcedHeapGuard(HeapGuard):
    """Meters inside the allocator. The hot methods are the extension's own functions."""

    mode: Literal["enforced", "polled"] = "enforced"

    def __init__(
        self, native: ModuleType, limits: HeapLimits | None, remedy: str, report_directory: str, grace_s: float
    ) -> None:
        super().__init__(limits, remedy)
        self._native = native
        self._listener: threading.Thread | None = None
        # Bound here, past the abstract methods, so that a call costs what the C function costs.
        self.used = native.used  # type: ignore[method-assign] # see above
        self.peak = native.peak  # type: ignore[method-assign]
        self.over_soft = native.over_soft  # type: ignore[method-assign]
        self.over_limit = native.over_limit  # type: ignore[method-assign]
        self.enter = native.enter  # type: ignore[method-assign]
        self.leave = native.leave  # type: ignore[method-assign]
        native.reset_peak()
        if limits is None:
            native.configure(-1, 0, -1, -1, grace_s, remedy, report_directory)
        else:
            self._settings = (grace_s, remedy, report_directory)
            self._apply(limits)

    def _apply(self, limits: HeapLimits) -> None:
        """See `HeapGuard._apply`."""
        self._native.configure(
            limits.line_bytes,
            limits.reserve_bytes,
            limits.soft_high_bytes,
            limits.soft_low_bytes,
            *self._settings,
        )

    def used(self) -> int:
        """See `HeapGuard.used`; 14 ns."""
        return int(self._native.used())

    def peak(self) -> int:
        """See `HeapGuard.peak`."""
        return int(self._native.peak())

    def reset_peak(self) -> None:
        """See `HeapGuard.reset_peak`."""
        self._native.reset_peak()

    @property
    def baseline_bytes(self) -> int:
        """See `HeapGuard.baseline_bytes`."""
        return int(self._native.baseline())

    def over_soft(self) -> bool:
        """See `HeapGuard.over_soft`."""
        return bool(self._native.over_soft())

    def over_limit(self) -> bool:
        """See `HeapGuard.over_limit`."""
        return bool(self._native.over_limit())

    def counters(self) -> dict[str, int]:
        """See `HeapGuard.counters`."""
        counts: dict[str, int] = self._native.counters()
        return counts

    def trim(self) -> bool:
        """See `HeapGuard.trim`."""
        return bool(self._native.trim())

    def open_slot(self, task: str) -> int:
        """See `HeapGuard.open_slot`."""
        return int(self._native.open_slot(task))

    def close_slot(self, slot: int) -> None:
        """See `HeapGuard.close_slot`."""
        self._native.close_slot(slot)

    def usage(self, slot: int) -> TaskHeapUsage:
        """See `HeapGuard.usage`."""
        return TaskHeapUsage(*self._native.slot_usage(slot))

    def enter(self, slot: int) -> None:
        """See `HeapGuard.enter`."""
        self._native.enter(slot)

    def leave(self) -> None:
        """See `HeapGuard.leave`."""
        self._native.leave()

    def region(self, slot: int, exempt: bool) -> AbstractContextManager[object]:
        """See `HeapGuard.region`."""
        region: AbstractContextManager[object] = self._native.region(slot, exempt)
        return region

    def mark_system(self, system: bool) -> None:
        """See `HeapGuard.mark_system`."""
        self._native.mark_system(system)

    def check(self) -> bool:
        """Whether the hooks still see the heap; puts them back if not.

        `tracemalloc.stop` removes the hooks that were put in after `tracemalloc.start`.
        """
        if self._native.check():
            return True
        self._native.rehook()
        return bool(self._native.check())

    def close(self) -> None:
        """See `HeapGuard.close`."""
        if self._closed:
            return
        self._closed = True
        self._native.set_alarm(None)
        self._native.configure(-1, 0, -1, -1, 10.0, self.remedy, "")
        self._native.ring()
        if self._listener is not None and self._listener is not threading.current_thread():
            self._listener.join(5)
        self._native.uninstall()
        _forget(self)

    def after_fork(self) -> None:
        """See `HeapGuard.after_fork`."""
        self._listener = None
        self._native.after_fork()

    def _begin_recovery(self) -> int:
        return int(self._native.begin_recovery())

    def _end_recovery(self, exemption: int) -> None:
        self._native.end_recovery(exemption)

    def _incident(self, any_thread: bool = False) -> HeapIncident | None:
        last = self._native.last_incident(any_thread)
        return None if last is None else HeapIncident(*last)

    def _watch(self) -> None:
        self._native.set_alarm(self._start_listener)

    def _start_listener(self) -> None:
        """On the first alarm, on a thread that Python does not know."""
        if not self._closed:
            self._listener = threading.Thread(target=self._listen, name="penstock heap guard", daemon=True)
            self._listener.start()

    def _listen(self) -> None:
        self.mark_system(True)
        while not self._closed:
            if self._native.wait(_CHECK_INTERVAL_MS):
                if not self._closed:
                    self._ring_alarms()
            elif not self._closed:
                self.check()

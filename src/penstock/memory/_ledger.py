"""The ledger: budget, use and peak of every component of this process's memory, in one place.

Owners register gauges; a snapshot reads them. Logs, metrics, the end-of-run table, the out-of-memory report and REST
all show snapshots. What no gauge accounts for is shown as *unattributed*.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from penstock.memory._process_memory import (
    ResidentMemory,
    peak_resident_bytes,
    proportional_bytes,
    resident_memory,
    thread_stack_bytes,
)

__all__ = ["FigureKind", "Gauge", "Ledger", "LedgerEntry", "LedgerSnapshot"]


THREAD_STACKS = "thread stacks"
"""The component that is read only where page tables are walked anyway."""


class FigureKind(Enum):
    """What a component's figure is worth."""

    ENFORCED = "enforced"
    """Every byte is counted, and the byte too many is refused."""

    RESERVED = "reserved"
    """What was reserved; the holder keeps to it by construction."""

    SAMPLED = "sampled"
    """Read from the library or the kernel now and then."""

    INFERRED = "inferred"
    """What remains when everything known is subtracted."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One component at one moment; sizes in bytes.

    Attributes:
        component: its name: `heap`, `managed`, `network`, `off-heap`, …
        kind: what the figure is worth.
        budget_bytes: what the plan gives it; None for no limit.
        used_bytes: what it uses; None when its gauge failed.
        peak_bytes: the most it used, as far as is known.
        resident_bytes: the part of `used_bytes` that is in RAM and in no other entry: what counts towards RSS.
        slot: the slot it belongs to, None for the process.
        within: the component it is a part of, None for components of their own. Parts are not added up.
        option: the option that sets its budget, "" where there is none.
    """

    component: str
    kind: FigureKind
    budget_bytes: int | None
    used_bytes: int | None
    peak_bytes: int
    resident_bytes: int
    slot: int | None = None
    within: str | None = None
    option: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "kind": self.kind.value}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LedgerEntry:
        """From what `as_dict` gave."""
        return cls(**{**fields, "kind": FigureKind(fields["kind"])})


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """All components and the process at one moment.

    Attributes:
        time_ms: when, epoch ms.
        entries: the components, in the order they were registered.
        rss_bytes: what the kernel says the process holds.
        anonymous_bytes: the part of it that is neither file-backed nor shared.
        peak_rss_bytes: the most it ever held.
        pss_bytes: with shared pages divided among those who share them; None when not asked for.
        unattributed_bytes: RSS that no component accounts for: native memory that no hook sees, thread stacks,
            allocator slack. Negative where components count memory that was never touched.
    """

    time_ms: int
    entries: tuple[LedgerEntry, ...]
    rss_bytes: int
    anonymous_bytes: int
    peak_rss_bytes: int
    pss_bytes: int | None
    unattributed_bytes: int

    def entry(self, component: str, slot: int | None = None) -> LedgerEntry | None:
        """The entry of a component, or None."""
        return next((entry for entry in self.entries if (entry.component, entry.slot) == (component, slot)), None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "entries": [entry.as_dict() for entry in self.entries]}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LedgerSnapshot:
        """From what `as_dict` gave."""
        return cls(**{**fields, "entries": tuple(LedgerEntry.from_dict(entry) for entry in fields["entries"])})


class Gauge:
    """One registered component. Owned by whoever registered it, who closes it when the component is gone."""

    __slots__ = ("_highest_bytes", "_ledger", "_peak", "_read", "_resident", "budget_bytes", "entry")

    def __init__(
        self,
        ledger: Ledger,
        entry: LedgerEntry,
        read: Callable[[], int],
        peak: Callable[[], int] | None,
        resident: Callable[[], int] | None,
    ) -> None:
        self._ledger = ledger
        self._read = read
        self._peak = peak
        self._resident = resident
        self._highest_bytes = 0
        self.entry = entry
        self.budget_bytes = entry.budget_bytes

    def sample(self) -> LedgerEntry:
        """The component now. A gauge that fails says so by having no figure; it never fails a snapshot."""
        try:
            used_bytes = self._read()
            self._highest_bytes = max(self._highest_bytes, used_bytes)
            peak_bytes = self._highest_bytes if self._peak is None else self._peak()
            resident_bytes = used_bytes if self._resident is None else self._resident()
        except Exception:  # a library's counters must not take the report of its failure down
            return self._entry(None, self._highest_bytes, 0)
        return self._entry(used_bytes, peak_bytes, 0 if self.entry.within is not None else resident_bytes)

    def close(self) -> None:
        """Takes the component out of the ledger. Closing twice does nothing."""
        self._ledger._remove(self)

    def __enter__(self) -> Gauge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _entry(self, used_bytes: int | None, peak_bytes: int, resident_bytes: int) -> LedgerEntry:
        named = self.entry
        return LedgerEntry(
            named.component,
            named.kind,
            self.budget_bytes,
            used_bytes,
            peak_bytes,
            resident_bytes,
            named.slot,
            named.within,
            named.option,
        )


class Ledger:
    """All gauges of a process. Owned by the process; any thread may call it."""

    def __init__(
        self,
        resident: Callable[[], ResidentMemory] = resident_memory,
        stacks: Callable[[], int] = thread_stack_bytes,
    ) -> None:
        """Opens an empty ledger.

        Args:
            resident: what the kernel says the process holds.
            stacks: what it says the threads' stacks hold; read where page tables are walked anyway.
        """
        self._resident = resident
        self._stacks = stacks
        self._lock = threading.Lock()
        self._gauges: dict[Gauge, None] = {}

    def register(
        self,
        component: str,
        used: Callable[[], int],
        kind: FigureKind,
        *,
        budget_bytes: int | None = None,
        peak: Callable[[], int] | None = None,
        resident: Callable[[], int] | None = None,
        slot: int | None = None,
        within: str | None = None,
        option: str = "",
    ) -> Gauge:
        """Adds a component, or a part of one.

        Args:
            component: its name.
            used: reads its use in bytes, from any thread, ten times a second.
            kind: what the figure is worth.
            budget_bytes: what the plan gives it, None for no limit; may be changed on the gauge later.
            peak: reads its peak; without, the highest use a snapshot saw.
            resident: reads how much of its use is in RAM and in no other component; without, all of it.
            slot: the slot it belongs to.
            within: the component it is a part of: it is then shown, but not added up.
            option: the option that sets the budget.
        """
        entry = LedgerEntry(component, kind, budget_bytes, 0, 0, 0, slot, within, option)
        gauge = Gauge(self, entry, used, peak, resident)
        with self._lock:
            self._gauges[gauge] = None
        return gauge

    def snapshot(self, *, pss: bool = False) -> LedgerSnapshot:
        """Reads all gauges: some microseconds each.

        Args:
            pss: whether to walk the page tables too, which takes milliseconds: for PSS, and the stacks of threads.
        """
        with self._lock:
            gauges = tuple(self._gauges)
        entries = tuple(gauge.sample() for gauge in gauges)
        if pss:
            held_bytes = self._stacks()
            stacks = LedgerEntry(THREAD_STACKS, FigureKind.SAMPLED, None, held_bytes, held_bytes, held_bytes)
            entries += (stacks,)
        memory = self._resident()
        return LedgerSnapshot(
            time_ms=time.time_ns() // 1_000_000,
            entries=entries,
            rss_bytes=memory.total_bytes,
            anonymous_bytes=memory.anonymous_bytes,
            peak_rss_bytes=max(peak_resident_bytes(), memory.total_bytes),
            pss_bytes=proportional_bytes() if pss else None,
            unattributed_bytes=memory.total_bytes - sum(entry.resident_bytes for entry in entries),
        )

    def _remove(self, gauge: Gauge) -> None:
        with self._lock:
            self._gauges.pop(gauge, None)

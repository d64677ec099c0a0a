"""The ledger as text: budget against peak of each component, for the end of a run and for reports."""

from __future__ import annotations

from penstock.memory._ledger import THREAD_STACKS, LedgerEntry, LedgerSnapshot

__all__ = ["ledger_table", "short_size"]

_HEADER = ("component", "budget", "used", "peak", "of budget", "figure")
_ORDER = ("heap", "off-heap", "managed", "network", "metaspace", "overhead", THREAD_STACKS)
_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def short_size(size_bytes: int) -> str:
    """A size for tables: `512.0 MiB`, one decimal, in the largest unit it has one of."""
    for factor, unit in _UNITS:
        if abs(size_bytes) >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} B"


def ledger_table(snapshot: LedgerSnapshot) -> str:
    """One line a component, its parts indented below it, then the process and what is unattributed."""
    rows: list[tuple[str, ...]] = [_HEADER]
    whole = sorted((entry for entry in snapshot.entries if entry.within is None), key=_place)
    for entry in whole:
        rows.append(_row(entry, ""))
        rows += [
            _row(part, "  ")
            for part in snapshot.entries
            if part.within == entry.component and part.slot in (entry.slot, None)
        ]
    rows.append(("unattributed", "", _signed(snapshot.unattributed_bytes), "", "", "inferred"))
    peak = short_size(snapshot.peak_rss_bytes)
    rows.append(("process (RSS)", "", short_size(snapshot.rss_bytes), peak, "", "sampled"))
    if snapshot.pss_bytes is not None:
        rows.append(("process (PSS)", "", short_size(snapshot.pss_bytes), "", "", "sampled"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return "\n".join(_line(row, widths) for row in rows)


def _place(entry: LedgerEntry) -> tuple[int, int]:
    """The model's order; other components after it, as they were registered."""
    known = _ORDER.index(entry.component) if entry.component in _ORDER else len(_ORDER)
    return known, -1 if entry.slot is None else entry.slot


def _row(entry: LedgerEntry, indent: str) -> tuple[str, ...]:
    name = entry.component if entry.slot is None else f"{entry.component} (slot {entry.slot})"
    budget = entry.budget_bytes
    if budget is None:
        limit = "" if entry.within is not None or entry.component == THREAD_STACKS else "no limit"
    else:
        limit = short_size(budget)
    return (
        indent + name,
        limit,
        "?" if entry.used_bytes is None else short_size(entry.used_bytes),
        short_size(entry.peak_bytes),
        f"{100 * entry.peak_bytes / budget:.0f} %" if budget else "",
        entry.kind.value,
    )


def _signed(size_bytes: int) -> str:
    return f"-{short_size(-size_bytes)}" if size_bytes < 0 else short_size(size_bytes)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    first, *middle, last = row
    cells = [first.ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
    return "  ".join([*cells, last]).rstrip()

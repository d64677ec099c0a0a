"""The memory log: the ledger as JSON lines, one at an interval."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.errors import ConfigurationError
from penstock.memory._ledger import Ledger, LedgerSnapshot

__all__ = ["MemoryLog", "log_line"]


def log_line(snapshot: LedgerSnapshot) -> dict[str, Any]:
    """A snapshot as one flat object a line: sizes in bytes, components by name, those of slots as `managed/0`."""
    line: dict[str, Any] = {
        "time_ms": snapshot.time_ms,
        "rss": snapshot.rss_bytes,
        "peak_rss": snapshot.peak_rss_bytes,
        "anonymous": snapshot.anonymous_bytes,
        "unattributed": snapshot.unattributed_bytes,
    }
    if snapshot.pss_bytes is not None:
        line["pss"] = snapshot.pss_bytes
    components = {}
    for entry in snapshot.entries:
        name = entry.component if entry.within is None else f"{entry.within}: {entry.component}"
        name = name if entry.slot is None else f"{name}/{entry.slot}"
        components[name] = {
            "budget": entry.budget_bytes,
            "used": entry.used_bytes,
            "peak": entry.peak_bytes,
            "kind": entry.kind.value,
        }
    line["components"] = components
    return line


class MemoryLog:
    """Writes the log on a thread of its own, from `start` to `close`. Owned by whoever started the run."""

    def __init__(
        self,
        ledger: Ledger,
        path: str,
        interval_s: float = 1.0,
        on_thread_start: Callable[[], None] | None = None,
    ) -> None:
        """Opens the file, replacing what was there.

        Args:
            ledger: what to log.
            path: the file.
            interval_s: time between two lines.
            on_thread_start: runs first on the thread: marks it as the runtime's own for the heap guard.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        self._ledger = ledger
        self._interval_s = interval_s
        self._on_thread_start = on_thread_start
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock memory log", daemon=True)
        self._lock = threading.Lock()
        try:
            self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise ConfigurationError(f"The memory log '{path}' cannot be written: {error.strerror}.") from error

    def start(self) -> None:
        """Writes the first line and goes on writing."""
        self.write()
        self._thread.start()

    def write(self) -> None:
        """Writes one line now."""
        import json

        line = json.dumps(log_line(self._ledger.snapshot()), separators=(",", ":"))
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()

    def close(self) -> None:
        """Writes the last line and ends the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.write()
        with self._lock:
            self._file.close()

    def __enter__(self) -> MemoryLog:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        if self._on_thread_start is not None:
            self._on_thread_start()
        while not self._ended.wait(self._interval_s):
            try:
                self.write()
            except OSError:  # a full disk must not end the job
                return

"""Off-heap memory of user code: NumPy's arrays, counted and refused by its data-memory handler, and Arrow's pool, read.

Both libraries are found when a program has imported them, never imported here. NumPy asks the handler of the calling
thread's context for every array: the meter sets it in the thread that polls, in every thread the `threading` module
starts, and where `install_in_thread` is called. Arrow's C++ pool takes no limit from Python: what it holds is taken off
what NumPy may use, and found over the limit at the next poll.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from penstock.errors import InvariantError
from penstock.memory._heap_limits import mebibytes

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["OffHeapLimitError", "OffHeapMeter", "OffHeapSource"]

_BOOTSTRAP = "_bootstrap_inner"


class OffHeapLimitError(MemoryError):
    """Native memory of user code passed its budget, found when the meter was polled."""


@dataclass(frozen=True, slots=True)
class OffHeapSource:
    """What is known of one library's native memory.

    Attributes:
        library: "numpy" or "pyarrow".
        kind: "handler": every block is counted, and refused beyond the budget; "sampled": read when polled;
            "unmetered": it is in use, but its memory cannot be told apart.
        used_bytes: now.
        peak_bytes: the most that was seen.
        refused: requests that were refused.
        note: why it is not metered, else "".
    """

    library: str
    kind: Literal["handler", "sampled", "unmetered"]
    used_bytes: int
    peak_bytes: int
    refused: int = 0
    note: str = ""


class OffHeapMeter:
    """Owned by the process; `poll` is for the thread that runs user code, the rest for any.

    Attributes:
        limit_bytes: the budget (task off-heap and what framework off-heap has to spare), None for no limit.
        option: what a user raises.
    """

    def __init__(self, limit_bytes: int | None = None, option: str = "taskmanager.memory.task.off-heap.size") -> None:
        self.limit_bytes = limit_bytes
        self.option = option
        self._native = _load_extension()
        self._numpy_bound = False
        self._numpy_note = "" if self._native is not None else "the extension _heapguard was not built"
        self._arrow_bytes: Callable[[], int] | None = None
        self._arrow_peak = 0
        self._plain_bootstrap: Callable[[threading.Thread], None] | None = None
        self._closed = False
        if self._native is not None:
            self._native.numpy_reset_peak()
            self._set_numpy_limit(0)

    def poll(self) -> None:
        """At a batch boundary: finds libraries that were imported since, and Arrow over the budget. 0.1 us when idle.

        Raises:
            OffHeapLimitError: the budget is passed.
        """
        modules = sys.modules
        if not self._numpy_bound and not self._numpy_note and "numpy" in modules:
            self._bind_numpy()
        if self._arrow_bytes is None:
            if "pyarrow" not in modules:
                return
            self._bind_arrow()
        self._check_arrow()

    def install_in_thread(self) -> None:
        """Counts what the calling thread's arrays take from here on; for threads that `threading` did not start."""
        if self._numpy_bound and self._native is not None:
            self._native.numpy_install()

    def used_bytes(self) -> int:
        """What the metered libraries hold."""
        return sum(source.used_bytes for source in self.sources())

    def peak_bytes(self) -> int:
        """The sum of the libraries' peaks: an upper bound of the peak of their sum."""
        return sum(source.peak_bytes for source in self.sources())

    def sources(self) -> tuple[OffHeapSource, ...]:
        """The libraries in use and what is known of each."""
        found = []
        if self._numpy_bound and self._native is not None:
            used, peak, refused = self._native.numpy_usage()
            found.append(OffHeapSource("numpy", "handler", used, peak, refused))
        elif "numpy" in sys.modules and self._numpy_note:
            found.append(OffHeapSource("numpy", "unmetered", 0, 0, note=self._numpy_note))
        if self._arrow_bytes is not None:
            used = self._arrow_bytes()
            self._arrow_peak = max(self._arrow_peak, used)
            found.append(OffHeapSource("pyarrow", "sampled", used, self._arrow_peak))
        return tuple(found)

    def close(self) -> None:
        """Takes the handler out of the calling thread and of threads to come; arrays that exist stay counted."""
        if self._closed:
            return
        self._closed = True
        if self._native is not None:
            self._native.numpy_set_limit(-1)
            self._native.numpy_uninstall()
        if self._plain_bootstrap is not None:
            setattr(threading.Thread, _BOOTSTRAP, self._plain_bootstrap)
            self._plain_bootstrap = None

    def _bind_numpy(self) -> None:
        native = self._native
        if native is None:
            raise InvariantError("NumPy is bound through the extension only")
        try:
            native.numpy_bind(_numpy_api())
            native.numpy_install()
        except (ImportError, AttributeError, NotImplementedError, ValueError) as error:
            self._numpy_note = str(error)
            return
        self._numpy_bound = True
        self._install_in_new_threads()

    def _install_in_new_threads(self) -> None:
        """A new thread starts with an empty context, hence with NumPy's own handler."""
        plain = getattr(threading.Thread, _BOOTSTRAP, None)
        if plain is None:
            return
        install = self.install_in_thread

        def bootstrap_inner(thread: threading.Thread) -> None:
            install()
            plain(thread)

        setattr(threading.Thread, _BOOTSTRAP, bootstrap_inner)
        self._plain_bootstrap = plain

    def _bind_arrow(self) -> None:
        pyarrow: Any = sys.modules["pyarrow"]
        try:
            self._arrow_bytes = pyarrow.default_memory_pool().bytes_allocated
        except AttributeError:
            return  # its import is still under way: the next poll finds it

    def _check_arrow(self) -> None:
        if self._arrow_bytes is None:
            return
        held = self._arrow_bytes()
        self._arrow_peak = max(self._arrow_peak, held)
        if self.limit_bytes is None:
            return
        self._set_numpy_limit(held)
        arrays = self._native.numpy_usage()[0] if self._numpy_bound and self._native is not None else 0
        if held + arrays > self.limit_bytes:
            raise OffHeapLimitError(
                f"Native memory of the program's libraries passed its budget: pyarrow holds {mebibytes(held)}, NumPy "
                f"{mebibytes(arrays)}, the budget is {mebibytes(self.limit_bytes)}. Keep less in memory, or raise "
                f"{self.option}."
            )

    def _set_numpy_limit(self, elsewhere_bytes: int) -> None:
        if self._native is not None:
            limit = -1 if self.limit_bytes is None else max(0, self.limit_bytes - elsewhere_bytes)
            self._native.numpy_set_limit(limit)


def _load_extension() -> ModuleType | None:
    try:
        from penstock.memory import _heapguard
    except ImportError:
        return None
    return _heapguard


def _numpy_api() -> object:
    """The capsule with NumPy's table of C functions; its module moved in NumPy 2."""
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        module = sys.modules.get(name)
        if module is not None:
            return module._ARRAY_API
    raise ImportError("NumPy's C functions were not found")

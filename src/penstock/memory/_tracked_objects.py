"""All objects the cycle collector knows, counted by type; and what holds those that no named root leads to.

Counts here are exact, but cover containers and instances alone: strings and numbers are not tracked. Since CPython
3.12 the collector's lists can be walked as they are; before, they are copied first, which takes nine bytes an object:
where that is more than can be spared, there is no count.
"""

from __future__ import annotations

import ctypes
import gc
import heapq
import sys
import time
import types
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.memory._heap_census import TypeFigure, type_name

__all__ = ["TrackedObjects", "count_tracked_objects", "holder_path"]

_BYTES_PER_OBJECT = 9
_CONTAINERS = frozenset((dict, list, set, deque))
_LARGE_BYTES = 1 << 16
_LARGE_KEPT = 5
_SIZE_EVERY = 16
_PATH_STEPS_MAX = 6
_TYPES_MAX = 5000


@dataclass(frozen=True, slots=True)
class TrackedObjects:
    """The count.

    Attributes:
        object_count: objects counted.
        types: by size, largest first; sizes extrapolated from every sixteenth object of a type.
        complete: whether all were counted; False when the time was up.
        large: the largest containers by their own size: objects, to be looked at and dropped.
    """

    object_count: int
    types: tuple[TypeFigure, ...]
    complete: bool
    large: tuple[Any, ...]


class _Tally:
    """Counts what it is given until the deadline."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self.counts: dict[type, list[int]] = {}
        self.seen = 0
        self.ended = False
        self._large: list[tuple[int, int, Any]] = []

    def add(self, thing: Any) -> bool:
        """Counts an object; False when there is no more time."""
        kind = type(thing)
        count = self.counts.get(kind)
        if count is None:
            if len(self.counts) >= _TYPES_MAX:
                return True
            count = self.counts[kind] = [0, 0, 0]
        if kind in _CONTAINERS:
            size_bytes = sys.getsizeof(thing)
            if size_bytes >= _LARGE_BYTES:
                heapq.heappush(self._large, (size_bytes, self.seen, thing))
                if len(self._large) > _LARGE_KEPT:
                    heapq.heappop(self._large)
            count[1] += 1
            count[2] += size_bytes
        elif count[0] % _SIZE_EVERY == 0:
            count[1] += 1
            count[2] += _size(thing)
        count[0] += 1
        self.seen += 1
        if self.seen % 4096 == 0 and time.monotonic() > self._deadline_s:
            self.ended = True
        return not self.ended

    def result(self, top: int) -> TrackedObjects:
        figures = [
            TypeFigure(type_name(kind), count, count * sized_bytes // sized)
            for kind, (count, sized, sized_bytes) in self.counts.items()
        ]
        figures.sort(key=lambda figure: -figure.size_bytes)
        large = tuple(thing for _, _, thing in sorted(self._large, key=lambda entry: -entry[0]))
        return TrackedObjects(self.seen, tuple(figures[:top]), not self.ended, large)


def count_tracked_objects(
    *, allowance_bytes: int = 2 << 20, timeout_s: float = 3.0, top: int = 20
) -> TrackedObjects | None:
    """Counts all tracked objects by type.

    Args:
        allowance_bytes: memory this may take for as long as it runs.
        timeout_s: stops after that.
        top: how many types to name.

    Returns:
        The count; None where it would take more memory than allowed.
    """
    tally = _Tally(time.monotonic() + timeout_s)
    if sys.version_info >= (3, 12):
        _visit_objects(tally.add)
        return tally.result(top)
    if tracked_object_count() * _BYTES_PER_OBJECT > allowance_bytes:
        return None
    everything = gc.get_objects()
    for thing in everything:
        if not tally.add(thing):
            break
    del everything
    return tally.result(top)


def tracked_object_count() -> int:
    """How many objects the collector knows; 3 ns an object. Ends a `gc.freeze` that was in force."""
    gc.freeze()
    count = gc.get_freeze_count()
    gc.unfreeze()
    return count


def holder_path(thing: Any, deadline_s: float) -> str:
    """How something is held, followed backwards from it until a module, a frame, or nothing with a name.

    Args:
        thing: the object.
        deadline_s: when to stop, on the monotonic clock; each step scans all tracked objects.
    """
    labels: list[str] = []
    seen = {id(thing), id(labels)}
    for _ in range(_PATH_STEPS_MAX):
        if time.monotonic() > deadline_s:
            return "…" + "".join(reversed(labels))
        step = _holder(thing, seen)
        if step is None:
            return "(held by nothing that has a name)" + "".join(reversed(labels))
        label, holder = step
        labels.append(label)
        if holder is None:
            return "".join(reversed(labels))
        seen.add(id(holder))
        thing = holder
    return "…" + "".join(reversed(labels))


def _holder(thing: Any, seen: set[int]) -> tuple[str, Any] | None:
    """The most telling object that refers to `thing`, and the step between them; no object after a root."""
    referrers = gc.get_referrers(thing)
    seen.add(id(referrers))
    best: tuple[str, Any] | None = None
    for holder in referrers:
        if id(holder) in seen:
            continue
        kind = type(holder)
        if kind is types.FrameType:
            if holder.f_code.co_filename == __file__ or "penstock/memory" in holder.f_code.co_filename:
                continue
            return f"a local variable of {holder.f_code.co_name}()", None
        if kind is dict:
            name = _module_of(holder)
            key = next((key for key, value in holder.items() if value is thing), None)
            if name is not None:
                return f"{name}.{key}", None
            best = best or (f"[{key!r}]" if isinstance(key, (str, int)) else "[…]", holder)
        elif kind in (list, tuple):
            best = best or ("[…]", holder)
        elif kind is types.CellType:
            best = best or (" (closure)", holder)
        elif kind is types.GeneratorType:
            return f"a local variable of the generator {holder.__name__}()", None
        elif not isinstance(holder, type):
            best = (f" held by {type_name(kind)}", holder)
    return best


def _module_of(mapping: dict[Any, Any]) -> str | None:
    name = mapping.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return name if module is not None and vars(module) is mapping else None


def _size(thing: Any) -> int:
    try:
        return sys.getsizeof(thing)
    except Exception:  # __sizeof__ may be user code
        return type(thing).__basicsize__


def _visit_objects(add: Callable[[Any], bool]) -> None:
    """Walks the collector's lists (`PyUnstable_GC_VisitObjects`, since CPython 3.12): nothing is copied."""

    def visit(thing: Any, _: Any) -> int:
        try:
            return 1 if add(thing) else 0
        except Exception:  # must not leave through the collector
            return 0

    callback = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)(visit)
    ctypes.pythonapi.PyUnstable_GC_VisitObjects(callback, None)

"""What the heap holds: an estimate by type, and the largest containers with the path that leads to them.

Made for the moment when memory has run out: it visits a bounded number of objects, for a bounded time, and needs one
or two megabytes whatever the heap's size. From named roots it walks down; of a large container it looks at some
entries, evenly spaced, and extrapolates. Results are therefore estimates, except where everything fitted
(`complete`).
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ContainerFigure", "HeapCensus", "Site", "TypeFigure", "take_census"]

Site = tuple[str, int]
"""An allocation site: file and line."""

VISITED_MAX = 20_000
DEPTH_MAX = 30
SAMPLE_MAX = 64
SAMPLE_MIN = 8
LABEL_MAX = 40
_TYPES_MAX = 2000
_SITES_MAX = 5000
_OUTLIERS_MAX = 8
_SCANNED_MAX = 1_000_000
# What is smaller is not worth a line, unless it is among the few there are.
_CONTAINER_MIN_BYTES = 1 << 16

# Objects that lead out of the data into the program, or to what others own.
_BOUNDARIES: tuple[type, ...] = (
    type,
    types.ModuleType,
    types.CodeType,
    types.BuiltinFunctionType,
    types.FrameType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    weakref.ref,
)
_ATOMS = frozenset((int, float, str, bytes, bytearray, complex, bool, type(None), range, memoryview))


@dataclass(frozen=True, slots=True)
class TypeFigure:
    """Objects of one type.

    Attributes:
        type_name: module and name.
        count: how many.
        size_bytes: their own size, without what they refer to.
    """

    type_name: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ContainerFigure:
    """A container and all that hangs on it and on nothing named before it; or one large string or array.

    Attributes:
        path: how a root leads to it.
        type_name: its type.
        entries: how many it has.
        deep_bytes: it and everything below it.
    """

    path: str
    type_name: str
    entries: int
    deep_bytes: int


@dataclass(frozen=True, slots=True)
class HeapCensus:
    """The result.

    Attributes:
        types: by size, largest first.
        containers: by size, largest first.
        sites: allocation site to (count, bytes), largest first; only while `tracemalloc` traces.
        visited_objects: how many objects were looked at.
        complete: whether that was every object below the roots: the figures are then exact.
        time_s: how long it took.
        visited: the identities of what was looked at, to tell what was not.
    """

    types: tuple[TypeFigure, ...]
    containers: tuple[ContainerFigure, ...]
    sites: tuple[tuple[Site, int, int], ...]
    visited_objects: int
    complete: bool
    time_s: float
    visited: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Path:
    """A step from a parent; put into words only when it is shown."""

    parent: _Path | None
    label: str

    def __str__(self) -> str:
        steps: list[str] = []
        step: _Path | None = self
        while step is not None:
            steps.append(step.label)
            step = step.parent
        return "".join(reversed(steps))


def take_census(
    roots: Iterable[tuple[str, Any]],
    *,
    timeout_s: float = 5.0,
    visited_max: int = VISITED_MAX,
    top: int = 20,
    clock: Callable[[], float] = time.monotonic,
) -> HeapCensus:
    """Walks the heap from the roots.

    Args:
        roots: names and objects; what an earlier root leads to is not counted under a later one.
        timeout_s: stops looking after that.
        visited_max: stops looking after so many objects (about 100 bytes each).
        top: how many types, containers and sites to name.
        clock: seconds, monotonic.
    """
    walk = _Walk(visited_max, clock() + timeout_s, clock)
    started_s = clock()
    try:
        for name, root in roots:
            if walk.ended:
                break
            walk.measure(root, _Path(None, name), 1.0, 0, SAMPLE_MAX)
    except MemoryError:  # the reserve is smaller than expected: what is known so far is the answer
        walk.ended = True
    return walk.census(top, clock() - started_s)


class _Walk:
    """One walk. Used by one thread, once."""

    def __init__(self, visited_max: int, deadline_s: float, clock: Callable[[], float]) -> None:
        self._visited_max = visited_max
        self._deadline_s = deadline_s
        self._clock = clock
        self._visited: set[int] = set()
        self._types: dict[type, list[float]] = {}
        self._containers: list[tuple[float, _Path, type, int]] = []
        self._sites: dict[Site, list[float]] = {}
        self._trace = _allocation_site_reader()
        self._sampled = False
        self.ended = False
        # Module globals are roots of their own: a function's reference to them is no path to data.
        self._visited.update(id(vars(module)) for module in tuple(sys.modules.values()) if _is_module(module))
        self._visited.update((id(self), id(self._visited), id(self._types), id(self._containers)))
        self._own = len(self._visited)

    def measure(self, thing: Any, path: _Path | None, weight: float, depth: int, sample: int) -> float:
        """Counts an object and what is below it; returns its deep size, each object counted once.

        Args:
            thing: the object.
            path: how it was reached, None below sampled entries.
            weight: how many objects it stands for.
            depth: steps from the root.
            sample: how many entries of a large container to look at.
        """
        identity = id(thing)
        kind = type(thing)
        if identity in self._visited or self._is_over() or (issubclass(kind, _BOUNDARIES) and depth):
            return 0.0
        self._visited.add(identity)
        own_bytes = _own_size(thing)
        self._count(thing, kind, own_bytes, weight)
        if kind in _ATOMS:
            if path is not None and own_bytes >= _CONTAINER_MIN_BYTES:
                self._containers.append((own_bytes, path, kind, len(thing)))
            return float(own_bytes)
        if depth >= DEPTH_MAX:
            self._sampled = True
            return float(own_bytes)
        entries, children = _children(thing, kind, path is not None, sample)
        child_count = 2 * entries if issubclass(kind, dict) else entries
        below_bytes, largest_bytes = self._measure_children(thing, children, child_count, path, weight, depth, sample)
        deep_bytes = own_bytes + below_bytes
        # A wrapper whose content is nearly all of it is named by its content.
        if path is not None and deep_bytes >= _CONTAINER_MIN_BYTES and largest_bytes < 0.9 * deep_bytes:
            self._containers.append((deep_bytes, path, kind, entries))
        return deep_bytes

    def _measure_children(
        self,
        thing: Any,
        children: Iterator[tuple[str, Any]],
        child_count: int,
        path: _Path | None,
        weight: float,
        depth: int,
        sample: int,
    ) -> tuple[float, float]:
        """The deep size of all children together, and of the largest."""
        kind = type(thing)
        total = largest = 0.0
        looked_at = list(children)
        if child_count > len(looked_at):
            outliers = _outliers(thing, kind)
            for label, child in outliers:
                step = _Path(path, label) if path is not None else None
                size_bytes = self.measure(child, step, weight, depth + 1, sample)
                total, largest = total + size_bytes, max(largest, size_bytes)
                child_count -= 1
            apart = {id(child) for _, child in outliers}
            looked_at = [(label, child) for label, child in looked_at if id(child) not in apart]
        distinct = len({id(child) for _, child in looked_at})
        stand_for = 1.0
        if child_count > len(looked_at) > 0:
            self._sampled = True
            # Entries that are the same few objects again and again are counted as those few.
            shared = distinct * 2 < len(looked_at)
            stand_for = 1.0 if shared else child_count / len(looked_at)
            sample = max(SAMPLE_MIN, sample // 2)
        for label, child in looked_at:
            below = path if path is None or stand_for == 1.0 else None
            step = _Path(below, label) if below is not None else None
            size_bytes = self.measure(child, step, weight * stand_for, depth + 1, sample) * stand_for
            total += size_bytes
            if step is not None:
                largest = max(largest, size_bytes)
        return total, largest

    def _is_over(self) -> bool:
        count = len(self._visited)
        if not self.ended and (
            count - self._own >= self._visited_max or (count % 64 == 0 and self._clock() > self._deadline_s)
        ):
            self.ended = True
        return self.ended

    def _count(self, thing: Any, kind: type, own_bytes: int, weight: float) -> None:
        figure = self._types.get(kind)
        if figure is None:
            if len(self._types) >= _TYPES_MAX:
                return
            figure = self._types[kind] = [0.0, 0.0]
        figure[0] += weight
        figure[1] += weight * own_bytes
        if self._trace is None:
            return
        site = self._trace(thing)
        if site is not None and (site in self._sites or len(self._sites) < _SITES_MAX):
            tally = self._sites.setdefault(site, [0.0, 0.0])
            tally[0] += weight
            tally[1] += weight * own_bytes

    def census(self, top: int, time_s: float) -> HeapCensus:
        """Puts the figures in order."""
        types_by_size = sorted(self._types.items(), key=lambda item: -item[1][1])[:top]
        containers = sorted(self._containers, key=lambda item: -item[0])[:top]
        sites = sorted(self._sites.items(), key=lambda item: -item[1][1])[:top]
        return HeapCensus(
            tuple(TypeFigure(type_name(kind), round(count), round(size)) for kind, (count, size) in types_by_size),
            tuple(
                ContainerFigure(str(path), type_name(kind), entries, round(deep))
                for deep, path, kind, entries in containers
            ),
            tuple((site, round(count), round(size)) for site, (count, size) in sites),
            len(self._visited) - self._own,
            not (self.ended or self._sampled),
            time_s,
            frozenset(self._visited),
        )


def type_name(kind: type) -> str:
    """Module and name; builtins by their name alone."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _own_size(thing: Any) -> int:
    try:
        return sys.getsizeof(thing)
    except Exception:  # __sizeof__ may be user code
        return type(thing).__basicsize__


def _children(thing: Any, kind: type, named: bool, sample: int) -> tuple[int, Iterator[tuple[str, Any]]]:
    """How many entries an object has, and those to look at, with the step that leads to each."""
    if issubclass(kind, dict):
        count = dict.__len__(thing)
        return count, _sampled_items(thing, count, sample)
    if issubclass(kind, (list, tuple)):
        count = len(thing) if kind in (list, tuple) else kind.__len__(thing)
        step = max(1, -(-count // sample))
        return count, ((f"[{index}]", thing[index]) for index in range(0, count, step) if index < len(thing))
    if issubclass(kind, (set, frozenset, deque)):
        count = len(thing)
        step = max(1, -(-count // sample))
        return count, (("[*]", entry) for entry in _surviving(itertools.islice(iter(thing), 0, None, step)))
    if named:
        attributes = list(_closure(thing) if kind is types.FunctionType else _attributes(thing, kind))
        if attributes:
            return len(attributes), iter(attributes)
    referents = [referent for referent in gc.get_referents(thing) if referent is not kind]
    return len(referents), ((".…", referent) for referent in referents)


def _outliers(thing: Any, kind: type) -> list[tuple[str, Any]]:
    """The few entries of a large list or dict that are large by themselves: a sample would miss or multiply them."""
    values: Iterable[Any]
    if issubclass(kind, dict):
        values = dict.values(thing)
    elif kind in (list, tuple):
        values = thing
    else:
        return []
    try:
        sizes = enumerate(map(sys.getsizeof, itertools.islice(values, _SCANNED_MAX)))
        large = sorted(((size, index) for index, size in sizes if size >= _CONTAINER_MIN_BYTES), reverse=True)
        if kind in (list, tuple):
            return [(f"[{index}]", thing[index]) for _, index in large[:_OUTLIERS_MAX]]
        pairs = (next(itertools.islice(dict.items(thing), index, None)) for _, index in large[:_OUTLIERS_MAX])
        return [(f"[{_short(key)}]", value) for key, value in pairs]
    except Exception:  # changed by another thread, or a __sizeof__ that fails
        return []


def _sampled_items(mapping: dict[Any, Any], count: int, sample: int) -> Iterator[tuple[str, Any]]:
    step = max(1, -(-count // sample))
    for key, value in _surviving(itertools.islice(dict.items(mapping), 0, None, step)):
        label = f"[{_short(key)}]"
        yield f"{label} (key)", key
        yield label, value


def _surviving(entries: Iterator[Any]) -> Iterator[Any]:
    """Entries until another thread changes the container."""
    try:
        yield from entries
    except RuntimeError:
        return


def _attributes(thing: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """Attributes held in `__dict__` and in slots, without running code of the object's class."""
    try:
        held = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        held = None
    if type(held) is dict:
        for name, value in list(held.items()):
            yield f".{name}", value
    for base in kind.__mro__:
        for name, member in list(vars(base).items()):
            if type(member) is types.MemberDescriptorType:
                try:
                    yield f".{name}", member.__get__(thing)
                except AttributeError:
                    continue


def _closure(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The variables a function captured, and its defaults."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # not bound yet
            continue
    yield from ((".<default>", default) for default in function.__defaults__ or ())
    yield from ((f".{name}", value) for name, value in function.__dict__.items())


def _short(key: Any) -> str:
    """A key in words, where that is cheap and runs no user code."""
    if type(key) in (str, bytes):
        return repr(key[:LABEL_MAX]) + ("…" if len(key) > LABEL_MAX else "")
    if type(key) in (int, float, bool, type(None)):
        text = repr(key)
        return text if len(text) <= LABEL_MAX else "…"
    return type_name(type(key))


def _is_module(thing: Any) -> bool:
    return type(thing) is types.ModuleType or isinstance(thing, types.ModuleType)


def _allocation_site_reader() -> Callable[[Any], Site | None] | None:
    """Reads where an object was allocated, if `tracemalloc` traces; it is never started here."""
    tracer = sys.modules.get("tracemalloc")
    if tracer is None or not tracer.is_tracing():
        return None

    def read(thing: Any) -> Site | None:
        trace = tracer.get_object_traceback(thing)
        return None if not trace else (trace[-1].filename, trace[-1].lineno)

    return read


def module_roots() -> Iterator[tuple[str, Any]]:
    """The globals of all modules: the program's own first, then libraries', the standard library's last."""
    modules = [(name, module) for name, module in tuple(sys.modules.items()) if _is_module(module)]
    for name, module in sorted(modules, key=_distance):
        if name.partition(".")[0] in ("penstock", "sys", "builtins"):
            continue
        for attribute, value in tuple(vars(module).items()):
            if not (attribute.startswith("__") or isinstance(value, (*_BOUNDARIES, types.FunctionType))):
                yield f"{name}.{attribute}", value
            elif isinstance(value, type) and getattr(value, "__module__", "") == name:
                for member, held in tuple(vars(value).items()):
                    if type(held) in (dict, list, set, deque) and not member.startswith("__"):
                        yield f"{name}.{attribute}.{member}", held


def _distance(named: tuple[str, Any]) -> int:
    """0 for the program, 1 for what it imports, 2 for installed packages, 3 for the standard library."""
    name, module = named
    if name in ("__main__", "__mp_main__"):
        return 0
    if name.partition(".")[0] in sys.stdlib_module_names:
        return 3
    file = getattr(module, "__file__", None) or ""
    return 2 if "site-packages" in file or "dist-packages" in file else 1


def frame_roots(frames: Sequence[types.FrameType]) -> Iterator[tuple[str, Any]]:
    """The local variables of some frames."""
    for frame in frames:
        code = frame.f_code
        file = code.co_filename.rpartition("/")[2]
        for name, value in tuple(frame.f_locals.items()):
            if not isinstance(value, (*_BOUNDARIES, types.FunctionType)):
                yield f"{name} in {code.co_name}() ({file}:{frame.f_lineno})", value

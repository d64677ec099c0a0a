"""Tables of the `hashmap` backend: one dict of Python objects a namespace.

While a snapshot has not encoded everything yet (`guarded`) the dicts already belong to the task again, but the values
in them are shared with the snapshot. What could be changed in place is therefore replaced by a copy before it is
handed out, once a key: the idea of Flink's `CopyOnWriteStateMap`, at the level of values.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from penstock.runtime.state._backend import Key, ListTable, MapTable, Namespace, StateTable, TableSpec, ValueTable
from penstock.runtime.state._values import ATOMS, are_immutable, copied_value, is_immutable, sampled_size_bytes

__all__ = ["Captured", "HeapListTable", "HeapMapTable", "HeapTable", "HeapValueTable"]

_CLEAN_BATCH: Final = 256

Captured = list[tuple[Namespace, tuple[Key, ...], tuple[Any, ...]] | tuple[Namespace, dict[Key, Any]]]
"""A table at a barrier: keys and values of the state of no window, and the dicts of the windows.

Tuples, not lists: one of a million atoms, or tuples of atoms, is out of the garbage collector's sight after it was
looked at once. As lists they were walked through by each generation, which cost as much as encoding them."""


class HeapTable(StateTable):
    """What the three tables share. Owned by the task's thread."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.guarded = False
        self._entries: dict[Key, Any] = {}
        self._windows: dict[Namespace, dict[Key, Any]] = {}
        self._shared_windows: set[Namespace] = set()  # dicts that a snapshot still holds
        self._own: set[tuple[Hashable, ...]] = set()  # values (and parts of values) that no snapshot shares any more
        self._open_batches = 0
        self._cleaning: Iterator[tuple[Namespace, Key]] = iter(())
        self._to_clean = 0

    # -- namespaces ------------------------------------------------------------------------------

    def _find(self, namespace: Namespace) -> dict[Key, Any] | None:
        """The dict of a namespace for changing it, None if there is none."""
        if namespace is None:
            return self._entries
        entries = self._windows.get(namespace)
        if entries is not None and self.guarded and namespace in self._shared_windows:
            self._shared_windows.discard(namespace)
            entries = self._windows[namespace] = entries.copy()
        return entries

    def _create(self, namespace: Namespace) -> dict[Key, Any]:
        entries = self._find(namespace)
        if entries is None:
            entries = self._windows[namespace] = {}
        return entries

    def namespaces(self) -> list[Namespace]:
        """Those that hold anything."""
        found: list[Namespace] = [None] if self._entries else []
        found.extend(namespace for namespace, entries in self._windows.items() if entries)
        return found

    def keys(self, namespace: Namespace = None) -> Iterator[Key]:
        """The keys of a namespace."""
        entries = self._entries if namespace is None else self._windows.get(namespace, {})
        return iter(entries)

    def contains(self, key: Key, namespace: Namespace = None) -> bool:
        """Whether the key has anything."""
        entries = self._entries if namespace is None else self._windows.get(namespace)
        return entries is not None and key in entries

    def remove(self, key: Key, namespace: Namespace = None) -> None:
        """Forgets the key."""
        entries = self._find(namespace)
        if entries is None:
            return
        entries.pop(key, None)
        if not entries and namespace is not None and not self._open_batches:
            del self._windows[namespace]  # a session's namespace often has one key

    def drop_namespace(self, namespace: Namespace) -> None:
        """Forgets all keys of a namespace."""
        if namespace is None:
            self._entries.clear()
            return
        self._windows.pop(namespace, None)
        self._shared_windows.discard(namespace)

    def contents(self) -> Iterator[tuple[Namespace, dict[Key, Any]]]:
        """Each namespace with its dict."""
        yield None, self._entries
        yield from self._windows.items()

    def load(self, namespace: Namespace, keys: list[Key], values: list[Any]) -> None:
        """Adds restored entries; parts of lists and maps come in their order."""
        self._create(namespace).update(zip(keys, values, strict=True))

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._windows.clear()
        self._shared_windows.clear()

    # -- snapshots -------------------------------------------------------------------------------

    def capture(self) -> Captured:
        """The table as of now, about 20 ns an entry; from here on it is guarded."""
        captured: Captured = [(None, tuple(self._entries), tuple(self._entries.values()))] if self._entries else []
        captured.extend(self._windows.items())
        self._shared_windows = set(self._windows)
        self._own.clear()
        self.guarded = self.needs_keys = True
        return captured

    def window_is_captured(self, namespace: Namespace) -> None:
        """A snapshot has what it needs of a window's dict."""
        self._shared_windows.discard(namespace)

    def unguard(self) -> None:
        """The last snapshot is encoded."""
        self.guarded = self.needs_keys = False
        self._shared_windows.clear()
        self._own.clear()

    def _make_private(self, entries: dict[Key, Any], keys: Collection[Key], namespace: Namespace) -> None:
        """Replaces the values of keys by copies where they can be changed in place and a snapshot may share them."""
        if are_immutable([entries.get(key) for key in keys]):  # a tenth of what looking at each and noting it costs
            return
        own = self._own
        for key in keys:
            value = entries.get(key)
            if value is None or type(value) in ATOMS or (namespace, key) in own:
                continue
            entries[key] = copied_value(value)
            own.add((namespace, key))

    # -- time to live ----------------------------------------------------------------------------

    def clean(self, keys: int, now_ms: int) -> None:
        """Looks at the next `keys` keys, in batches: the cost of a single look is mostly that of starting."""
        self._to_clean += keys
        if self._to_clean < _CLEAN_BATCH or not keys:
            return
        looked, self._to_clean = self._to_clean, 0
        for namespace, key in islice(self._cleaning, looked):
            self._clean_key(key, namespace, now_ms)
            looked -= 1
        if looked:  # once around: the next look starts again
            self._cleaning = iter([(namespace, key) for namespace, entries in self.contents() for key in entries])

    def _clean_key(self, key: Key, namespace: Namespace, now_ms: int) -> None:
        raise NotImplementedError

    # -- sizes -----------------------------------------------------------------------------------

    def entry_count(self) -> int:
        """Keys with anything, over all namespaces."""
        return len(self._entries) + sum(map(len, self._windows.values()))

    def size_bytes(self) -> int:
        """Estimated bytes, from a sample."""
        size = sampled_size_bytes(self._entries)
        if self._windows:
            sample = list(self._windows.values())[:8]
            counted = sum(map(len, sample))
            total = sum(map(len, self._windows.values()))
            size += sum(map(sampled_size_bytes, sample)) * total // max(1, counted)
        return size


class HeapValueTable(HeapTable, ValueTable):
    """One object a key."""

    def live(self) -> dict[Key, Any]:
        """The dict of the state of no window."""
        return self._entries

    def open_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, Any]:
        """The dict itself; while a snapshot is taken, after copying what the batch could change in place."""
        entries = self._entries if namespace is None else self._create(namespace)
        self._open_batches += 1
        if self.guarded:
            self._make_private(entries, keys if isinstance(keys, Collection) else list(keys), namespace)
        return entries

    def close_batch(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """Nothing was buffered."""
        self._open_batches -= 1
        if namespace is not None and not self._windows.get(namespace, True):
            del self._windows[namespace]

    def get(self, key: Key, namespace: Namespace = None) -> Any:
        """The value, or None."""
        if not self.guarded:
            entries = self._entries if namespace is None else self._windows.get(namespace)
            return None if entries is None else entries.get(key)
        entries = self._find(namespace)
        if entries is None:
            return None
        self._make_private(entries, (key,), namespace)
        return entries.get(key)

    def put(self, key: Key, value: Any, namespace: Namespace = None) -> None:
        """Sets the value."""
        if namespace is None:
            self._entries[key] = value
        else:
            self._create(namespace)[key] = value

    def _clean_key(self, key: Key, namespace: Namespace, now_ms: int) -> None:
        entries = self._entries if namespace is None else self._windows.get(namespace, {})
        pair = entries.get(key)
        if pair is not None and self.ttl is not None and self.ttl.is_expired(pair[1], now_ms):
            self.remove(key, namespace)

    def open_namespace(self, namespace: Namespace) -> dict[Key, Any]:
        """The dict itself."""
        entries = self._find(namespace)
        if entries is None:
            return {}
        if self.guarded:
            self._make_private(entries, list(entries), namespace)
        return entries


class HeapListTable(HeapTable, ListTable):
    """One Python list a key."""

    def load(self, namespace: Namespace, keys: list[Key], values: list[Any]) -> None:
        """Appends the elements of lists."""
        for key, elements in zip(keys, values, strict=True):
            self.extend(key, elements, namespace)

    def open_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> dict[Key, list[Any]]:
        """The dict itself; while a snapshot is taken, after copying the lists of the batch's keys."""
        entries = self._create(namespace)
        self._open_batches += 1
        if self.guarded:
            for key in keys:
                self._unshare_list(entries, key, namespace)
        return entries

    def close_appends(self, keys: Iterable[Key], namespace: Namespace = None) -> None:
        """Nothing was buffered."""
        self._open_batches -= 1
        if namespace is not None and not self._windows.get(namespace, True):
            del self._windows[namespace]

    def _unshare_list(self, entries: dict[Key, list[Any]], key: Key, namespace: Namespace) -> None:
        if key in entries and (namespace, key) not in self._own:
            entries[key] = entries[key].copy()
            self._own.add((namespace, key))

    def get(self, key: Key, namespace: Namespace = None) -> list[Any] | None:
        """A new list of the elements; while a snapshot is taken, of copies of those that could be changed in place."""
        if not self.guarded:
            entries = self._entries if namespace is None else self._windows.get(namespace)
            present: list[Any] | None = None if entries is None else entries.get(key)
            return present[:] if present is not None else None
        entries = self._find(namespace)
        elements: list[Any] | None = None if entries is None else entries.get(key)
        if entries is None or elements is None:
            return None
        if all(map(is_immutable, elements)):
            return elements[:]
        # The elements handed out may be changed and put back: from now on the table and the caller share the copies.
        mark = (namespace, key, _ELEMENTS)
        if mark not in self._own:
            entries[key] = elements = [copied_value(element) for element in elements]
            self._own.update((mark, (namespace, key)))
        return elements[:]

    def append(self, key: Key, element: Any, namespace: Namespace = None) -> None:
        """Adds one element."""
        entries = self._create(namespace)
        if self.guarded:
            self._unshare_list(entries, key, namespace)
        elements = entries.get(key)
        if elements is None:
            entries[key] = [element]
        else:
            elements.append(element)

    def extend(self, key: Key, elements: Iterable[Any], namespace: Namespace = None) -> None:
        """Adds elements."""
        added = list(elements)
        if not added:
            return
        entries = self._create(namespace)
        if self.guarded:
            self._unshare_list(entries, key, namespace)
        entries.setdefault(key, []).extend(added)

    def _clean_key(self, key: Key, namespace: Namespace, now_ms: int) -> None:
        entries = self._entries if namespace is None else self._windows.get(namespace, {})
        elements, rule = entries.get(key), self.ttl
        if elements and rule is not None and any(rule.is_expired(stamp, now_ms) for _, stamp in elements):
            self.put(key, [pair for pair in elements if not rule.is_expired(pair[1], now_ms)], namespace)

    def put(self, key: Key, elements: list[Any], namespace: Namespace = None) -> None:
        """Replaces the list."""
        if elements:
            self._create(namespace)[key] = list(elements)
        else:
            self.remove(key, namespace)


_ELEMENTS = object()
"""Marks that not only a list but its elements too are private."""


class HeapMapTable(HeapTable, MapTable):
    """One dict a key."""

    def load(self, namespace: Namespace, keys: list[Key], values: list[Any]) -> None:
        """Adds the entries of maps."""
        entries = self._create(namespace)
        for key, mapping in zip(keys, values, strict=True):
            entries.setdefault(key, {}).update(mapping)

    def _read(self, key: Key, namespace: Namespace) -> dict[Key, Any] | None:
        entries = self._entries if namespace is None else self._windows.get(namespace)
        return None if entries is None else entries.get(key)

    def _write(self, key: Key, namespace: Namespace, *, create: bool) -> dict[Key, Any] | None:
        """The map of a key, shared with no snapshot."""
        entries = self._create(namespace) if create else self._find(namespace)
        if entries is None:
            return None
        mapping: dict[Key, Any] | None = entries.get(key)
        if mapping is None:
            if create:
                mapping = entries[key] = {}
        elif self.guarded and (namespace, key) not in self._own:
            mapping = entries[key] = mapping.copy()
            self._own.add((namespace, key))
        return mapping

    def get(self, key: Key, map_key: Key, namespace: Namespace = None) -> Any:
        """The value of an entry; while a snapshot is taken a copy of what could be changed in place."""
        mapping = self._read(key, namespace)
        value = None if mapping is None else mapping.get(map_key)
        if not self.guarded or is_immutable(value):
            return value
        mark = (namespace, key, map_key)
        if mark not in self._own:
            private = self._write(key, namespace, create=True)
            assert private is not None
            value = private[map_key] = copied_value(value)
            self._own.add(mark)
        return value

    def has(self, key: Key, map_key: Key, namespace: Namespace = None) -> bool:
        """Whether there is such an entry."""
        mapping = self._read(key, namespace)
        return mapping is not None and map_key in mapping

    def put(self, key: Key, map_key: Key, value: Any, namespace: Namespace = None) -> None:
        """Sets an entry."""
        mapping = self._write(key, namespace, create=True)
        assert mapping is not None
        mapping[map_key] = value

    def discard(self, key: Key, map_key: Key, namespace: Namespace = None) -> None:
        """Forgets an entry, and the map with its last one."""
        mapping = self._write(key, namespace, create=False)
        if mapping is None:
            return
        mapping.pop(map_key, None)
        if not mapping:
            self.remove(key, namespace)

    def _clean_key(self, key: Key, namespace: Namespace, now_ms: int) -> None:
        mapping, rule = self._read(key, namespace), self.ttl
        if mapping and rule is not None:
            for map_key in [name for name, (_, stamp) in mapping.items() if rule.is_expired(stamp, now_ms)]:
                self.discard(key, map_key, namespace)

    def items(self, key: Key, namespace: Namespace = None) -> Iterator[tuple[Key, Any]]:
        """The entries as of now."""
        mapping = self._read(key, namespace)
        if not mapping:
            return
        if not self.guarded:
            yield from list(mapping.items())
            return
        for map_key in list(mapping):
            if self.has(key, map_key, namespace):
                yield map_key, self.get(key, map_key, namespace)

"""State objects with a time to live: tables hold (value, stamp) pairs, and these views decide what is still alive.

The rules are Flink's (`org.apache.flink.runtime.state.ttl`): a value is dead from stamp + time to live on; writing
renews the stamp, reading only with OnReadAndWrite; an expired value that is met is removed, and returned that one
time only with ReturnExpiredIfNotCleanedUp. Lists expire an element at a time, maps an entry at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from penstock.runtime.state._keys import PLAIN_KEY_TYPES, thaw_key
from penstock.runtime.state._views import AggregatingView, ListView, MapView, ReducingView, ValueView

if TYPE_CHECKING:
    from penstock.runtime.state._ttl import TtlRule

__all__ = ["TtlAggregatingView", "TtlListView", "TtlMapView", "TtlReducingView", "TtlValueView"]


class _TtlView:
    """What the five share: the clock, the rule, and single pairs."""

    backend: Any
    table: Any
    namespace: Any

    def _begin(self) -> int:
        """Each access: pays for some cleaning; the time."""
        table = self.table
        rule: TtlRule = table.ttl
        now_ms: int = self.backend.context.now_ms()
        if rule.clean_keys or rule.clean_stored:
            table.clean(rule.clean_keys, now_ms)
        return now_ms

    def _read(self) -> Any:
        """The live value of the current key in a table of single values."""
        now_ms = self._begin()
        table, rule = self.table, self.table.ttl
        key, namespace = self.backend.current_key, self.namespace
        pair = table.get(key, namespace)
        if pair is None:
            return None
        value, stamp_ms = pair
        if rule.is_expired(stamp_ms, now_ms):
            table.remove(key, namespace)
            return value if rule.return_expired else None
        if rule.renew_on_read:
            table.put(key, (value, now_ms), namespace)
        return value

    def _alive(self) -> tuple[Any, int]:
        """For an update: the value that has not expired or None, and the time."""
        now_ms = self._begin()
        pair = self.table.get(self.backend.current_key, self.namespace)
        if pair is None or self.table.ttl.is_expired(pair[1], now_ms):
            return None, now_ms
        return pair[0], now_ms

    def _merger(self, combine: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Combines two pairs; what expired takes no part."""
        now_ms: int = self.backend.context.now_ms()
        is_expired = self.table.ttl.is_expired

        def merge(left: Any, right: Any) -> Any:
            if is_expired(left[1], now_ms):
                return right
            if is_expired(right[1], now_ms):
                return left
            return combine(left[0], right[0]), now_ms

        return merge


class TtlValueView(_TtlView, ValueView):
    """Value state that expires."""

    def value(self) -> Any:
        """The value, None when there is none or it expired."""
        return self._read()

    def update(self, value: Any) -> None:
        """Replaces the value; None clears."""
        if value is None:
            self.clear()
            return
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.put(self.backend.current_key, (value, self._begin()), self.namespace)


class TtlReducingView(_TtlView, ReducingView):
    """Reducing state that expires."""

    def get(self) -> Any:
        """The reduced value, None when there is none or it expired."""
        return self._read()

    def add(self, value: Any) -> None:
        """Reduces one more value into the state."""
        present, now_ms = self._alive()
        if present is not None:
            value = self._reduce(present, value)
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.put(self.backend.current_key, (value, now_ms), self.namespace)

    def merge_namespaces(self, target: Any, sources: list[Any]) -> None:
        """Reduces the values of windows into one window."""
        self.table.merge_namespaces(self.backend.current_key, target, sources, self._merger(self._reduce))


class TtlAggregatingView(_TtlView, AggregatingView):
    """Aggregating state that expires."""

    def get(self) -> Any:
        """The result, None when nothing was added or it expired."""
        accumulator = self._read()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        """Adds a value; None clears."""
        if value is None:
            self.clear()
            return
        accumulator, now_ms = self._alive()
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        accumulator = self._function.add(value, accumulator)
        if self._coerce is not None:
            accumulator = self._coerce(accumulator)
        self.table.put(self.backend.current_key, (accumulator, now_ms), self.namespace)

    def merge_namespaces(self, target: Any, sources: list[Any]) -> None:
        """Merges the accumulators of windows into one window."""
        self.table.merge_namespaces(self.backend.current_key, target, sources, self._merger(self._function.merge))


class TtlListView(_TtlView, ListView):
    """List state whose elements expire."""

    def get(self) -> list[Any]:
        """The elements that are alive."""
        now_ms = self._begin()
        table, rule = self.table, self.table.ttl
        key, namespace = self.backend.current_key, self.namespace
        pairs = table.get(key, namespace)
        if pairs is None:
            return []
        alive = [pair for pair in pairs if not rule.is_expired(pair[1], now_ms)]
        if rule.renew_on_read:
            table.put(key, [(element, now_ms) for element, _ in alive], namespace)
        elif len(alive) < len(pairs):
            table.put(key, alive, namespace)
        return [element for element, _ in (pairs if rule.return_expired else alive)]

    def add(self, value: Any) -> None:
        """Adds an element."""
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.append(self.backend.current_key, (value, self._begin()), self.namespace)

    def add_all(self, values: Iterable[Any]) -> None:
        """Adds several elements."""
        now_ms = self._begin()
        elements = values if self._coerce is None else map(self._coerce, values)
        self.table.extend(self.backend.current_key, [(element, now_ms) for element in elements], self.namespace)

    def update(self, values: Iterable[Any]) -> None:
        """Replaces the list; an empty one clears."""
        now_ms = self._begin()
        elements = values if self._coerce is None else map(self._coerce, values)
        self.table.put(self.backend.current_key, [(element, now_ms) for element in elements], self.namespace)


class TtlMapView(_TtlView, MapView):
    """Map state whose entries expire."""

    def get(self, key: Any) -> Any:
        """The value of an entry, None when it is missing or expired."""
        return self._entry(self.map_key(key))[1]

    def contains(self, key: Any) -> bool:
        """Whether the entry is there and alive."""
        return self._entry(self.map_key(key))[0]

    def _entry(self, map_key: Any) -> tuple[bool, Any]:
        """Whether an entry is visible, and its value."""
        now_ms = self._begin()
        table, rule = self.table, self.table.ttl
        key, namespace = self.backend.current_key, self.namespace
        pair = table.get(key, map_key, namespace)
        if pair is None:
            return False, None
        value, stamp_ms = pair
        if rule.is_expired(stamp_ms, now_ms):
            table.discard(key, map_key, namespace)
            return (True, value) if rule.return_expired else (False, None)
        if rule.renew_on_read:
            table.put(key, map_key, (value, now_ms), namespace)
        return True, value

    def put(self, key: Any, value: Any) -> None:
        """Sets an entry."""
        if self._coerce is not None:
            value = self._coerce(value)
        self.table.put(self.backend.current_key, self.map_key(key), (value, self._begin()), self.namespace)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """The entries that are alive."""
        now_ms = self._begin()
        table, rule = self.table, self.table.ttl
        key, namespace = self.backend.current_key, self.namespace
        for map_key, (value, stamp_ms) in table.items(key, namespace):
            if rule.is_expired(stamp_ms, now_ms):
                table.discard(key, map_key, namespace)
                if not rule.return_expired:
                    continue
            elif rule.renew_on_read:
                table.put(key, map_key, (value, now_ms), namespace)
            yield (map_key if type(map_key) in PLAIN_KEY_TYPES else thaw_key(map_key)), value

    def is_empty(self) -> bool:
        """Whether no entry is visible."""
        return next(iter(self.items()), None) is None

"""How values expire: the rule of a state's time to live, without the state objects that apply it.

Stored values with a time to live are (value, stamp in epoch ms) pairs: a whole value, a list's element, a map's value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.conf import Record
from penstock.runtime.state._kinds import StateKind

if TYPE_CHECKING:
    from penstock.datastream.state import StateTtlConfig

__all__ = ["TtlRule"]


class TtlRule(Record):
    """How the values of a table expire.

    Attributes:
        ttl_ms: how long a value lives.
        renew_on_read: whether reading gives a new life.
        return_expired: whether an expired value that is still there is returned.
        clean_snapshots: whether full snapshots leave expired values out.
        clean_keys: keys looked at for expired values at each access, 0 for none.
        clean_every_record: whether at each record too, accessed or not.
        clean_stored: whether values on disk are looked at bit by bit and deleted when they expired; there is no
            compaction filter to do it (Flink's `cleanup_in_rocksdb_compact_filter`).
    """

    ttl_ms: int
    renew_on_read: bool
    return_expired: bool
    clean_snapshots: bool
    clean_keys: int
    clean_every_record: bool
    clean_stored: bool

    @classmethod
    def of(cls, config: StateTtlConfig | None) -> TtlRule | None:
        """The rule of a descriptor's configuration, None where nothing expires."""
        if config is None or not config.is_enabled():
            return None
        kind = type(config)
        cleanup = config.get_cleanup_strategies()
        incremental = cleanup.get_incremental_cleanup_strategy()
        return cls(
            ttl_ms=config.get_ttl().to_milliseconds(),
            renew_on_read=config.get_update_type() is kind.UpdateType.OnReadAndWrite,
            return_expired=config.get_state_visibility() is kind.StateVisibility.ReturnExpiredIfNotCleanedUp,
            clean_snapshots=cleanup.in_full_snapshot(),
            clean_keys=incremental.get_cleanup_size() if incremental is not None else 0,
            clean_every_record=incremental is not None and incremental.run_cleanup_for_every_record(),
            clean_stored=cleanup.get_rocksdb_compact_filter_cleanup_strategy() is not None,
        )

    def alive(self, kind: StateKind, stored: Any, now_ms: int) -> Any:
        """What a table holds for a key without what has expired; None if nothing is left."""
        if kind is StateKind.LIST:
            return [pair for pair in stored if not self.is_expired(pair[1], now_ms)] or None
        if kind is StateKind.MAP:
            return {key: pair for key, pair in stored.items() if not self.is_expired(pair[1], now_ms)} or None
        return None if self.is_expired(stored[1], now_ms) else stored

    def is_expired(self, stamp_ms: int, now_ms: int) -> bool:
        """Whether a value of that stamp is dead."""
        return stamp_ms + self.ttl_ms <= now_ms

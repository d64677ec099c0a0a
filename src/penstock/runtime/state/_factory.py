"""From a configuration to backends: which one, with which memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.errors import ConfigurationError
from penstock.runtime.state._backend import BackendContext, KeyedStateBackend
from penstock.runtime.state._heap import HashMapBackend
from penstock.runtime.state._heap_share import HeapShare

if TYPE_CHECKING:
    from penstock.conf import Configuration
    from penstock.memory import RocksDBPlan
    from penstock.runtime.state._rocksdb import RocksDBBackend, RocksDBSettings
    from penstock.runtime.state._rocksdb_memory import SharedResourceOwner

__all__ = ["StateBackendFactory", "state_backend_type"]

_NAMES: Final = {
    "hashmap": "hashmap",
    "rocksdb": "rocksdb",
    "auto": "auto",
    # Flink's factory classes and the names of Flink 1.x.
    "org.apache.flink.runtime.state.hashmap.hashmapstatebackendfactory": "hashmap",
    "org.apache.flink.state.rocksdb.embeddedrocksdbstatebackendfactory": "rocksdb",
    "org.apache.flink.contrib.streaming.state.embeddedrocksdbstatebackendfactory": "rocksdb",
    "org.apache.flink.contrib.streaming.state.rocksdbstatebackendfactory": "rocksdb",
    "jobmanager": "hashmap",
    "filesystem": "hashmap",
}
_BUDGET_BYTES_MIN: Final = 1 << 20
_UNLIMITED_BYTES: Final = 1 << 39
"""A heap from here on has no limit in effect (a local run's is 1 TiB on paper)."""


def state_backend_type(configuration: Configuration) -> str:
    """`hashmap`, `rocksdb` or `auto`, as `state.backend.type` says.

    Raises:
        ConfigurationError: if it says anything else.
    """
    from penstock.conf import ManagedMemoryOptions

    configured = configuration.get(ManagedMemoryOptions.STATE_BACKEND)
    found = _NAMES.get(configured.lower())
    if found is None:
        import difflib

        near = difflib.get_close_matches(configured.lower(), ["hashmap", "rocksdb", "auto"], 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ConfigurationError(
            f"'{ManagedMemoryOptions.STATE_BACKEND.key}' is '{configured}', which is none of hashmap, rocksdb, auto.{hint}"
        )
    return found


class StateBackendFactory:
    """Makes the keyed state backends of a process. Any thread.

    Attributes:
        type: `hashmap`, `rocksdb` or `auto`.
        caches: the heap's share for caches of decoded objects.
        heap: the heap's share for state of `auto`.
    """

    def __init__(
        self, configuration: Configuration, *, task_heap_bytes: int | None = None, process_resources: Any = None
    ) -> None:
        """A factory for a process.

        Args:
            configuration: the job's over the cluster's.
            task_heap_bytes: the process's task heap; None without a limit.
            process_resources: `SharedResources` of the process, for `state.backend.rocksdb.memory.fixed-per-tm`.

        Raises:
            ConfigurationError: for an unknown type, a missing package, or directories that cannot be used.
        """
        from penstock.conf import StateBackendOptions as Options

        self.type = state_backend_type(configuration)
        self._configuration = configuration
        self._process_resources = process_resources
        heap_bytes = task_heap_bytes if task_heap_bytes is not None else _UNLIMITED_BYTES
        self.caches = HeapShare(
            _share(
                heap_bytes,
                configuration.get(Options.OBJECT_CACHE_FRACTION),
                configuration.get(Options.OBJECT_CACHE_SIZE),
            )
        )
        self.heap = HeapShare(
            _share(heap_bytes, configuration.get(Options.AUTO_HEAP_FRACTION), configuration.get(Options.AUTO_HEAP_SIZE))
        )
        self._settings: RocksDBSettings | None = None
        if self.type != "hashmap":
            from penstock.runtime.state._rocksdb import RocksDBSettings
            from penstock.runtime.state._rocksdb_memory import require_rocksdict

            require_rocksdict()
            self._settings = RocksDBSettings.of(configuration)

    def create(
        self,
        context: BackendContext,
        slot: SharedResourceOwner | None = None,
        *,
        slot_managed_bytes: int = 0,
        fraction: float = 1.0,
    ) -> KeyedStateBackend:
        """The backend of a subtask.

        Args:
            context: the subtask.
            slot: the managed memory of its slot (`penstock.memory.MemoryManager`).
            slot_managed_bytes: of the slot.
            fraction: the state backend's fraction of it.

        Raises:
            ConfigurationError: if there is too little memory for RocksDB.
            penstock.memory.ManagedMemoryExhaustedError: if the slot has not that much left.
        """
        if self.type == "hashmap":
            return HashMapBackend(context)

        def make_rocksdb(context: BackendContext) -> RocksDBBackend:
            return self._make_rocksdb(context, slot, slot_managed_bytes, fraction)

        if self.type == "rocksdb":
            return make_rocksdb(context)
        from penstock.runtime.state._auto import AutoBackend

        return AutoBackend(context, self.heap, make_rocksdb)

    def _make_rocksdb(
        self, context: BackendContext, slot: SharedResourceOwner | None, slot_managed_bytes: int, fraction: float
    ) -> RocksDBBackend:
        from penstock.memory import plan_rocksdb
        from penstock.runtime.state._rocksdb import RocksDBBackend
        from penstock.runtime.state._rocksdb_memory import RocksDBMemory

        assert self._settings is not None
        plan = plan_rocksdb(self._configuration, slot_managed_bytes, fraction)
        _check_budget(plan)
        owner = f"{context.operator_name} ({context.subtask_index + 1}/{context.parallelism})"
        lease = RocksDBMemory.lease(plan, owner, slot, self._process_resources)
        try:
            return RocksDBBackend(context, self._settings, lease, self.caches)
        except BaseException:
            lease.release()
            raise


def _share(heap_bytes: int, fraction: float, most: Any) -> int:
    return min(int(heap_bytes * fraction), int(most.bytes))


def _check_budget(plan: RocksDBPlan) -> None:
    if plan.source != "none" and (plan.total_bytes or 0) < _BUDGET_BYTES_MIN:
        raise ConfigurationError(
            f"RocksDB has {plan.total_bytes} bytes of memory in this slot ({plan.source}), which is not enough to work "
            "with. Raise taskmanager.memory.managed.size or .fraction, set "
            "state.backend.rocksdb.memory.fixed-per-slot, or use state.backend.type: hashmap."
        )

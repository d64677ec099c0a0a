"""Options that say who gets how much of a slot's managed memory."""

from __future__ import annotations

from penstock.conf._memory_size import MemorySize
from penstock.conf._option import ConfigOption
from penstock.conf._types import BOOLEAN, MAP, SIZE, STRING

__all__ = ["ManagedMemoryOptions"]

_128_MIB = MemorySize(128 * 2**20)


class ManagedMemoryOptions:
    """Managed memory and its consumers."""

    CONSUMER_WEIGHTS = ConfigOption(
        "taskmanager.memory.managed.consumer-weights",
        MAP,
        {"OPERATOR": "70", "STATE_BACKEND": "70", "PYTHON": "30"},
        "Weights of the kinds of consumers: `OPERATOR` (sorting, hash tables, caching), `STATE_BACKEND` (RocksDB), "
        "`PYTHON` "
        "(Python worker processes). Only kinds a job uses share. Giving the option replaces all of the default: a "
        "kind left out "
        "has weight 0. Read from the cluster's configuration only.",
    )
    STATE_BACKEND = ConfigOption(
        "state.backend.type",
        STRING,
        "hashmap",
        "Where keyed state is kept: `hashmap`, as objects on the heap; `rocksdb`, on disk behind caches in managed "
        "memory; `auto` (Penstock's own), on the heap until it passes its share, then in RocksDB, without stopping "
        "the job.",
        ("state.backend",),
    )
    USE_MANAGED_MEMORY_FOR_PYTHON = ConfigOption(
        "python.fn-execution.memory.managed",
        BOOLEAN,
        True,
        "Whether Python worker processes reserve managed memory.",
    )
    SORTED_INPUTS_ENABLED = ConfigOption(
        "execution.sorted-inputs.enabled",
        BOOLEAN,
        True,
        "Whether keyed inputs are sorted in BATCH mode.",
    )
    SORTED_INPUTS_MEMORY = ConfigOption(
        "execution.sorted-inputs.memory",
        SIZE,
        _128_MIB,
        "Managed memory of one sorted input in BATCH mode; its whole MiB are the operator's weight among the "
        "operators of a slot.",
    )
    SORT_PARTITION_MEMORY = ConfigOption(
        "execution.sort-partition.memory",
        SIZE,
        _128_MIB,
        "Managed memory for sorting a full partition of a non-keyed stream; a weight, as above.",
    )
    SORT_KEYED_PARTITION_MEMORY = ConfigOption(
        "execution.sort-keyed-partition.memory",
        SIZE,
        _128_MIB,
        "Managed memory for sorting a full partition of a keyed stream; a weight, as above.",
    )

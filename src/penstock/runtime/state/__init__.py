"""Keyed state: backends, tables, key groups, snapshots.

Covers the state of keyed operators: where it is kept (`hashmap`, `rocksdb`, `auto`), how a record's key addresses it,
how it is written at a barrier while the task goes on, and how it is dealt out again when the parallelism changes; also
where timers of late times lie on disk. Does not cover where snapshots are stored (`penstock.runtime.checkpoint`), timers
themselves (`penstock.runtime._timers`), or the state of sources and sinks.

Start reading at `_backend.py`, then `_heap_tables.py`.
"""

from penstock.runtime.state._backend import (
    BackendContext,
    KeyedStateBackend,
    KeyedStateHandle,
    ListTable,
    MapTable,
    SnapshotReader,
    SnapshotWriter,
    StateKind,
    StateSize,
    StateSnapshot,
    StateTable,
    TableSpec,
    ValueTable,
)
from penstock.runtime.state._errors import StateBackendError, StateMigrationError
from penstock.runtime.state._factory import StateBackendFactory, state_backend_type
from penstock.runtime.state._heap import HashMapBackend
from penstock.runtime.state._key_groups import (
    KeyGroupRange,
    KeyGroups,
    default_max_parallelism,
    key_group_of,
    key_group_range,
    subtask_for,
)
from penstock.runtime.state._keys import (
    PLAIN_KEY_TYPES,
    FrozenKey,
    KeyEncodingError,
    decode_key,
    encode_key,
    freeze_key,
    thaw_key,
)

__all__ = [
    "PLAIN_KEY_TYPES",
    "BackendContext",
    "FrozenKey",
    "HashMapBackend",
    "KeyEncodingError",
    "KeyGroupRange",
    "KeyGroups",
    "KeyedStateBackend",
    "KeyedStateHandle",
    "ListTable",
    "MapTable",
    "SnapshotReader",
    "SnapshotWriter",
    "StateBackendError",
    "StateBackendFactory",
    "StateKind",
    "StateMigrationError",
    "StateSize",
    "StateSnapshot",
    "StateTable",
    "TableSpec",
    "ValueTable",
    "decode_key",
    "default_max_parallelism",
    "encode_key",
    "freeze_key",
    "key_group_of",
    "key_group_range",
    "state_backend_type",
    "subtask_for",
    "thaw_key",
]

"""Restoring RocksDB state: taking over a checkpoint's files, cutting them to the own key groups, copying entries."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from penstock.runtime.state._backend import KeyedStateBackend, KeyedStateHandle, SnapshotReader, StateKind, TableSpec
from penstock.runtime.state._canonical import ROCKSDB
from penstock.runtime.state._codecs import STAMPED, ValueCodec
from penstock.runtime.state._errors import StateBackendError
from penstock.runtime.state._heap import filtered_chunks
from penstock.runtime.state._key_groups import KeyGroupRange
from penstock.runtime.state._rocksdb_changes import is_segment, replay
from penstock.runtime.state._rocksdb_store import END_OF_STATE, META_KEY, RocksDBStore

if TYPE_CHECKING:
    from penstock.runtime.state._rocksdb import RocksDBBackend

__all__ = ["restore_backend", "rocksdb_chunks"]

Restored = tuple[KeyedStateHandle, SnapshotReader]


def restore_backend(backend: RocksDBBackend, handles: Sequence[Restored]) -> None:
    """Fills a new backend from the handles of its operator."""
    own = backend.key_group_range
    wanted = [(handle, reader) for handle, reader in handles if own.overlaps(handle.key_groups)]
    stores = [pair for pair in wanted if pair[0].format == ROCKSDB]
    if stores:
        base = max(stores, key=lambda pair: _overlap(pair[0].key_groups, own))
        if _overlap(base[0].key_groups, own) >= backend.settings.overlap_fraction:
            _take_over(backend, *base)
            stores.remove(base)
        for handle, reader in stores:
            _copy(backend, handle, reader)
    for handle, reader in wanted:
        if handle.format != ROCKSDB:
            _load(backend, handle, reader)


def _overlap(groups: KeyGroupRange, own: KeyGroupRange) -> float:
    """Which part of `groups` is own."""
    return max(0, min(groups.end, own.end) - max(groups.start, own.start) + 1) / max(1, len(groups))


def _download(handle: KeyedStateHandle, reader: SnapshotReader, directory: str, threads: int) -> None:
    os.makedirs(directory, exist_ok=True)
    with ThreadPoolExecutor(threads, "rocksdb-download") as executor:
        for _ in executor.map(lambda item: reader.download(item[1], f"{directory}/{item[0]}"), handle.files.items()):
            pass


def _open(backend: RocksDBBackend, handle: KeyedStateHandle, reader: SnapshotReader, directory: str) -> RocksDBStore:
    """Downloads the store of a handle, and writes what was changed after its files were linked."""
    _download(handle, reader, directory, backend.settings.transfer_threads)
    store = backend.open_store(directory)
    for name in sorted(filter(is_segment, handle.files)):
        for keys, values in replay(f"{directory}/{name}"):
            for key, value in zip(keys, values, strict=True):
                if value is None:
                    store.delete(key)
                else:
                    store.put(key, value)
            store.write_batch()
        os.remove(f"{directory}/{name}")
    return store


def _check_format(store: RocksDBStore) -> None:
    """Refuses a store that another version wrote.

    Raises:
        StateBackendError: if its format is not this one's.
    """
    from penstock.runtime.state._rocksdb import FORMAT_VERSION

    data = store.get(META_KEY)
    version = json.loads(data).get("format") if data else None
    if version != FORMAT_VERSION:
        raise StateBackendError(
            f"The RocksDB store in {os.path.basename(store.directory)} has format {version}; this version of Penstock "
            f"reads {FORMAT_VERSION}."
        )


def _take_over(backend: RocksDBBackend, handle: KeyedStateHandle, reader: SnapshotReader) -> None:
    """Goes on with the store of a handle; what is not own is deleted from it."""
    store = _open(backend, handle, reader, f"{backend.directory}/db")
    _check_format(store)
    own = backend.key_group_range
    if handle.key_groups.start < own.start:
        store.delete_range(b"\x00\x00", own.start.to_bytes(2, "big"))
    if handle.key_groups.end > own.end:
        store.delete_range((own.end + 1).to_bytes(2, "big"), END_OF_STATE)
    known = {name: file for name, file in handle.files.items() if name.endswith(".sst")}
    backend.adopt_store(store, known if getattr(reader, "owned", False) else {})
    for schema in handle.states:
        backend.restore_schema(schema)


def _copy(backend: RocksDBBackend, handle: KeyedStateHandle, reader: SnapshotReader) -> None:
    """Copies the own entries of another store."""
    places = {schema["number"]: _place_for(backend, schema) for schema in handle.states}
    own = backend.key_group_range
    source = _open(backend, handle, reader, f"{backend.directory}/restore")
    try:
        begin, end = own.start.to_bytes(2, "big"), (own.end + 1).to_bytes(2, "big")
        for key, value in source.scan(begin, end):
            number, tags = places[int.from_bytes(key[2:4], "big")]
            if tags is not None:
                value = value[:1].translate(tags) + value[1:]
            backend.store.put(key[:2] + number + key[4:], value)
        backend.store.write_batch()
    finally:
        source.close()


def _place_for(backend: RocksDBBackend, schema: dict[str, Any]) -> tuple[bytes, bytes | None]:
    """The number a state of another store has here, and how the tags of its values change (None: they do not)."""
    known = backend.restored_schema(schema["name"])
    if known is None:
        known = schema | {"number": backend.new_state_number()}
    codes = known["codes"] + [code for code in schema["codes"] if code not in known["codes"]]
    last = max(known["last"], schema["last"])
    backend.restore_schema(known | {"codes": codes, "rows": known["rows"] + schema["rows"], "last": last})
    tags = bytearray(range(256))
    for tag, code in enumerate(schema["codes"], start=1):
        tags[tag] = codes.index(code) + 1
        tags[tag | STAMPED] = tags[tag] | STAMPED
    return known["number"].to_bytes(2, "big"), None if tags == bytes(range(256)) else bytes(tags)


def _load(backend: RocksDBBackend, handle: KeyedStateHandle, reader: SnapshotReader) -> None:
    """Writes the own entries of a canonical handle."""
    tables: dict[str, Any] = {}
    for schema, namespace, keys, values in filtered_chunks(handle, reader, backend):
        name = schema["name"]
        if name not in tables:
            tables[name] = loading_table(backend, schema)
        tables[name].load(namespace, keys, values)
    for table in tables.values():
        note_loaded(backend, table)


def loading_table(backend: RocksDBBackend, schema: dict[str, Any]) -> Any:
    """A table that writes restored values as their schema says."""
    code = schema.get("code")
    known = backend.restored_schema(schema["name"])
    if known is None:
        codes = [] if code is None else [code]
        known = schema | {"number": backend.new_state_number(), "codes": codes, "rows": 0, "last": 0}
        backend.restore_schema(known)
    spec = TableSpec(schema["name"], StateKind(schema["kind"]), ttl=schema["ttl"])
    codec = ValueCodec(spec.name, known["codes"], code, ttl=spec.ttl)
    return backend.new_table(spec, known["number"], codec, known["rows"])


def note_loaded(backend: RocksDBBackend, table: Any) -> None:
    """Remembers what a loading table wrote."""
    schema = backend.restored_schema(table.spec.name) or {}
    backend.restore_schema(schema | {"rows": table.rows, "last": backend.next_number()})


def rocksdb_chunks(
    handle: KeyedStateHandle, reader: SnapshotReader, backend: KeyedStateBackend
) -> Iterator[tuple[dict[str, Any], Any, list[Any], list[Any]]]:
    """The own entries of a RocksDB checkpoint for a backend that is none: (schema, namespace, keys, values)."""
    from penstock.memory import RocksDBPlan
    from penstock.runtime.state._heap_share import HeapShare
    from penstock.runtime.state._rocksdb import RocksDBBackend, RocksDBSettings
    from penstock.runtime.state._rocksdb_memory import RocksDBMemory

    directory = tempfile.mkdtemp(prefix="penstock-restore-")
    plan = RocksDBPlan("none", 0.5, 0.1, False)
    lease = RocksDBMemory.lease(plan, backend.place, None)
    reading = RocksDBBackend(backend.context, RocksDBSettings((directory,)), lease, HeapShare(64 << 20))
    try:
        restore_backend(reading, [(handle, reader)])
        own = backend.key_group_range
        for schema in reading.schemas():
            table = reading.table_of(schema)
            for group in range(own.start, own.end + 1):
                rows = _rows_of(reading.store, table.head(group))
                for namespace, key, value in table.decoded_rows(rows):
                    yield schema, namespace, [key], [value]
    finally:
        reading.close()
        shutil.rmtree(directory, ignore_errors=True)


def _rows_of(store: RocksDBStore, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    from penstock.runtime.state._rocksdb_store import after_prefix

    return store.scan(prefix, after_prefix(prefix))

"""One RocksDB store: raw keys and values, batched writes, scans, files for checkpoints.

Keys begin with the key group (2 bytes, big endian), so that a subtask's groups are ranges of keys. The group 0xFFFF,
which no job has, holds the store's own data.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, Final

from penstock.runtime._tmp_dirs import spill_failure
from penstock.runtime.state._errors import StateBackendError
from penstock.runtime.state._rocksdb_changes import ChangeLog
from penstock.runtime.state._rocksdb_memory import RocksDBMemory, RocksDBTuning, require_rocksdict, store_options

__all__ = ["META_KEY", "RocksDBStore", "after_prefix"]

META_KEY: Final = b"\xff\xffmeta"
END_OF_STATE: Final = b"\xff\xff"
_ROW_BYTES: Final = 16
"""About what a row takes besides its key and value where it is recorded; of deleted ones the key, too."""


def after_prefix(prefix: bytes) -> bytes:
    """The least key after all keys that begin with `prefix`, which is not all 0xFF."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1])


def _bytes_of(keys: Sequence[bytes], values: Sequence[bytes]) -> int:
    return sum(map(len, keys)) + sum(map(len, values))


class RocksDBStore:
    """A store of one operator subtask. Owned by the task's thread; `create_checkpoint` may run on another.

    Attributes:
        directory: where its files are.
        changes: where everything that is written is recorded, too.
    """

    def __init__(
        self,
        directory: str,
        memory: RocksDBMemory,
        tuning: RocksDBTuning,
        *,
        batch_keys: int = 10_000,
        batch_bytes: int = 2 << 20,
        read_only: bool = False,
    ) -> None:
        """Opens or creates a store.

        Args:
            directory: for its files.
            memory: the memory it shares.
            tuning: what the user set.
            batch_keys: the most entries of a write or read.
            batch_bytes: the most bytes of a write, 0 for no limit.
            read_only: the files are not changed.

        Raises:
            StateBackendError: RocksDB cannot open it.
        """
        rocksdict = require_rocksdict()
        self.directory = directory
        self._rocksdict = rocksdict
        self._batch_keys = batch_keys
        self._batch_bytes = batch_bytes
        os.makedirs(directory, exist_ok=True)
        access = rocksdict.AccessType.read_only(False) if read_only else rocksdict.AccessType.read_write()
        try:
            self._db: Any = rocksdict.Rdict(directory, store_options(memory, tuning), access_type=access)
        except Exception as error:
            raise StateBackendError(f"RocksDB cannot open its store in {directory}: {error}") from error
        self._write_options = rocksdict.WriteOptions()
        self._write_options.disable_wal = True  # checkpoints are the durability
        self._batch = rocksdict.WriteBatch(raw_mode=True)
        self._batched = 0
        self._batched_bytes = 0
        self._changed: tuple[list[bytes], list[bytes | None]] = ([], [])
        self.changes: ChangeLog | None = None

    # -- reading ---------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None. What is batched is not seen."""
        value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The values of keys, which are best given in their order."""
        if len(keys) <= self._batch_keys:
            found: list[bytes | None] = self._db.get(keys)
            return found
        found = []
        for start in range(0, len(keys), self._batch_keys):
            found += self._db.get(keys[start : start + self._batch_keys])
        return found

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The entries from `begin` to before `end`, as they are when the first is asked for."""
        options = self._rocksdict.ReadOptions()
        options.set_iterate_upper_bound(end)
        # Not `return …`: RocksDB keeps a pointer to the bound, which lives as long as this frame does.
        yield from self._db.items(from_key=begin, read_opt=options)

    def scan_keys(self, begin: bytes, end: bytes) -> Iterator[bytes]:
        """The keys from `begin` to before `end`."""
        options = self._rocksdict.ReadOptions()
        options.set_iterate_upper_bound(end)
        yield from self._db.keys(from_key=begin, read_opt=options)  # as in `scan`

    # -- writing ---------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes) -> None:
        """Batches a write."""
        self._batch.put(key, value)
        if self.changes is not None and self.changes.is_recording:
            self._changed[0].append(key)
            self._changed[1].append(value)
        self._batched += 1
        self._batched_bytes += len(key) + len(value)
        if self._batched >= self._batch_keys or 0 < self._batch_bytes <= self._batched_bytes:
            self.write_batch()

    def put_many(self, keys: Sequence[bytes], values: Sequence[bytes]) -> int:
        """Writes entries, after what is batched: not more keys than fit into one batch; returns the bytes of both."""
        size_bytes = _bytes_of(keys, values)
        if 0 < self._batch_bytes < size_bytes:
            for key, value in zip(keys, values, strict=True):
                self.put(key, value)
        else:
            put = self._batch.put
            for key, value in zip(keys, values, strict=True):
                put(key, value)
            self._batched += len(keys)
            self._batched_bytes += size_bytes
            if self.changes is not None and self.changes.is_recording:
                self._changed[0].extend(keys)
                self._changed[1].extend(values)
        self.write_batch()
        return size_bytes

    def only_record(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Adds entries to the changes without writing them."""
        if keys and self.changes is not None:
            self.changes.record(keys, values, _bytes_of(keys, values) + _ROW_BYTES * len(keys))

    def delete(self, key: bytes) -> None:
        """Batches a deletion."""
        self._batch.delete(key)
        if self.changes is not None and self.changes.is_recording:
            self._changed[0].append(key)
            self._changed[1].append(None)
        self._batched += 1
        if self._batched >= self._batch_keys:
            self.write_batch()

    def delete_range(self, begin: bytes, end: bytes) -> None:
        """Deletes the entries from `begin` to before `end`, after what is batched."""
        self.write_batch()
        if self.changes is not None:
            self.changes.stop()
        self._guarded(lambda: self._db.delete_range(begin, end, self._write_options))

    def write_batch(self) -> None:
        """Writes what is batched.

        Raises:
            StateBackendError: RocksDB cannot write; a `DiskFullError` when there is no space.
        """
        if not self._batched:
            return
        batch, self._batch = self._batch, self._rocksdict.WriteBatch(raw_mode=True)
        size_bytes, self._batched, self._batched_bytes = self._batched_bytes, 0, 0
        self._guarded(lambda: self._db.write(batch, self._write_options))
        if self._changed[0]:
            changed, self._changed = self._changed, ([], [])
            if self.changes is not None:
                self.changes.record(*changed, size_bytes + _ROW_BYTES * len(changed[0]))

    def _guarded(self, write: Any) -> None:
        try:
            write()
        except Exception as error:
            text = str(error)
            if "No space left" in text or "quota" in text.lower():
                raise spill_failure(OSError(28, text), self.directory, self.size_bytes()) from error
            raise StateBackendError(f"RocksDB cannot write to its store in {self.directory}: {text}") from error

    def ingest(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Writes many entries."""
        for key, value in entries:
            self.put(key, value)
        self.write_batch()

    # -- files -----------------------------------------------------------------------------------

    def create_checkpoint(self, directory: str) -> None:
        """Hard links of all files under a new directory; write buffers are written to files first.

        Raises:
            StateBackendError: RocksDB cannot.
        """
        try:
            self._db.flush()  # releases the interpreter while it writes, which creating the checkpoint does not
            self._rocksdict.Checkpoint(self._db).create_checkpoint(directory)
        except Exception as error:
            raise StateBackendError(f"RocksDB cannot make a checkpoint of {self.directory}: {error}") from error

    def estimated_keys(self) -> int:
        """RocksDB's estimate of its entries."""
        return int(self._db.property_int_value("rocksdb.estimate-num-keys") or 0)

    def size_bytes(self) -> int:
        """Bytes of its files and write buffers."""
        files = self._db.property_int_value("rocksdb.live-sst-files-size") or 0
        return int(files + (self._db.property_int_value("rocksdb.size-all-mem-tables") or 0))

    def close(self, *, delete: bool = True) -> None:
        """Closes it, and deletes its files; the second call does nothing."""
        if self._db is None:
            return
        self._db.close()
        self._db = self._batch = None
        if delete:
            shutil.rmtree(self.directory, ignore_errors=True)

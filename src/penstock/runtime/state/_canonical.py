"""The canonical format of keyed state: chunks of pickled entries that every backend writes for savepoints and reads.

A file is `MAGIC`, then chunks. A chunk is the pickle of a list of `(namespace, keys, values)`, the latter two lists of
one length; the handle's `index` says for each chunk which state it belongs to and where it lies. A value is what the
state's table holds for the key; lists and maps may be cut into parts, which follow each other under the same key. Keys
are in frozen form. The layout is described in docs/data-layout.md.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import InvariantError, PenstockError
from penstock.runtime.state._codecs import dumps_by_value
from penstock.runtime.state._errors import StateBackendError

if TYPE_CHECKING:
    from penstock.runtime.state._backend import Key, KeyedStateHandle, Namespace, SnapshotReader, SnapshotWriter

__all__ = ["CANONICAL", "MAGIC", "ROCKSDB", "ChunkEncoder", "ChunkFile", "read_chunks"]

CANONICAL: Final = "canonical"
"""The format every backend reads."""

ROCKSDB: Final = "rocksdb"
"""The format of RocksDB's own files, which `_rocksdb_restore` reads."""

MAGIC: Final = b"PSTKS\x01\r\n"
"""Penstock state, format version 1; the line end shows a transfer as text."""

FILE: Final = "state"
"""The name of the only file in a canonical handle."""

_PENDING_BYTES_MAX: Final = 8 << 20
_CHUNK_TARGET_S: Final = 0.002
_CHUNK_ENTRIES_MIN, _CHUNK_ENTRIES_MAX = 16, 1 << 14
_PART_ELEMENTS_MAX: Final = 1 << 13


Group = tuple["Namespace", "list[Key]", "list[Any]"]
"""Entries of one namespace."""


class ChunkEncoder:
    """Pickles the entries of one state in chunks of about two milliseconds. Owned by the task's thread."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._weight_max = 512
        self._groups: list[Group] = []
        self._weight = 0

    def add(self, namespace: Namespace, keys: Sequence[Key], values: Sequence[Any]) -> Iterator[bytes]:
        """Takes entries of a namespace; the chunks that became full."""
        position = 0
        while position < len(keys):
            end, weight = position, self._weight
            room = self._weight_max - weight
            if room > 0 and _CONTAINERS.isdisjoint(map(type, values[position : position + room])):
                end = min(position + room, len(keys))  # each weighs 1
                weight += end - position
            while end < len(keys) and (weight < self._weight_max or end == position):
                weight += _weight(values[end])
                end += 1
            if end == position + 1 and _weight(values[position]) > _PART_ELEMENTS_MAX:
                for part in _parts(values[position]):
                    yield from self.flush()
                    self._groups, self._weight = [(namespace, [keys[position]], [part])], len(part)
            else:
                self._groups.append((namespace, list(keys[position:end]), list(values[position:end])))
                self._weight = weight
            position = end
            if self._weight >= self._weight_max:
                yield from self.flush()

    def flush(self) -> Iterator[bytes]:
        """The last chunk, if there is anything in it."""
        if not self._groups:
            return
        groups, weight = self._groups, self._weight
        self._groups, self._weight = [], 0
        started = time.perf_counter()
        data = encode_chunk(self._state, groups)
        elapsed = max(time.perf_counter() - started, 1e-6)
        if weight >= self._weight_max // 2:
            wanted = min(int(weight * _CHUNK_TARGET_S / elapsed), self._weight_max * 2)
            self._weight_max = min(max(wanted, _CHUNK_ENTRIES_MIN, self._weight_max // 2), _CHUNK_ENTRIES_MAX)
        yield data


_CONTAINERS: Final = frozenset({list, dict})


def _weight(value: Any) -> int:
    kind = type(value)
    return len(value) if kind is list or kind is dict else 1


def _parts(value: list[Any] | dict[Any, Any]) -> Iterator[list[Any] | dict[Any, Any]]:
    if isinstance(value, list):
        for start in range(0, len(value), _PART_ELEMENTS_MAX):
            yield value[start : start + _PART_ELEMENTS_MAX]
        return
    items = iter(value.items())
    while part := dict(islice(items, _PART_ELEMENTS_MAX)):
        yield part


def encode_chunk(state: str, groups: list[Group]) -> bytes:
    """One chunk.

    Raises:
        StateBackendError: if a value cannot be pickled.
    """
    try:
        return pickle.dumps(groups, 5)
    except Exception:
        return dumps_by_value(state, groups)


class ChunkFile:
    """A file of chunks, written by a thread of its own while the task's thread adds to it.

    Attributes:
        index: (number of the state, offset, length in bytes) of each chunk added.
        is_full: True while so much waits to be written that nothing more should be added.
    """

    def __init__(self, writer: SnapshotWriter, name: str) -> None:
        self.index: list[tuple[int, int, int]] = []
        self._writer = writer
        self._name = name
        self._condition = threading.Condition()
        self._pending: deque[bytes] = deque([MAGIC])  # bounded by _PENDING_BYTES_MAX: `is_full` stops its only producer
        self._pending_bytes = len(MAGIC)
        self._offset = len(MAGIC)
        self._closed = False
        self._cancelled = False
        self._handle: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"state-writer {name}", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether the task should wait for the storage."""
        return self._pending_bytes > _PENDING_BYTES_MAX and self._error is None

    @property
    def has_failed(self) -> bool:
        """Whether the storage refused; `result` raises why."""
        return self._error is not None

    def add(self, state: int, data: bytes) -> None:
        """Appends a chunk of a state."""
        with self._condition:
            if self._closed:
                raise InvariantError(f"a chunk was added to '{self._name}' after its end")
            self.index.append((state, self._offset, len(data)))
            self._offset += len(data)
            self._pending.append(data)
            self._pending_bytes += len(data)
            self._condition.notify()

    def end(self) -> None:
        """Nothing more will be added."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def cancel(self) -> None:
        """Stops writing and waits until that is so."""
        with self._condition:
            self._closed = self._cancelled = True
            self._condition.notify()
        self._thread.join()

    def result(self) -> Any:
        """Waits for the file to be written and returns its handle.

        Raises:
            StateBackendError: if the storage failed; errors of Penstock's own pass as they are.
        """
        self._thread.join()
        if self._error is not None:
            if isinstance(self._error, PenstockError):
                raise self._error
            raise StateBackendError(f"Writing state file '{self._name}' failed: {self._error}") from self._error
        return self._handle

    def _run(self) -> None:
        try:
            self._handle = self._writer.put(self._name, self._drain())
        except BaseException as error:
            self._error = error

    def _drain(self) -> Iterator[bytes]:
        while True:
            with self._condition:
                while not self._pending and not self._closed:
                    self._condition.wait()
                if self._cancelled:
                    raise StateBackendError(f"Writing state file '{self._name}' was cancelled")
                if not self._pending:
                    return
                data = self._pending.popleft()
            yield data
            with self._condition:
                self._pending_bytes -= len(data)


def read_chunks(
    handle: KeyedStateHandle, reader: SnapshotReader
) -> Iterator[tuple[int, Namespace, list[Key], list[Any]]]:
    """The entries of a canonical handle: (number of the state, namespace, keys, values).

    Raises:
        StateBackendError: if the file is not in this format or a value's class cannot be loaded.
    """
    file = handle.files[FILE]
    magic = reader.read(file, 0, len(MAGIC))
    if magic != MAGIC:
        raise StateBackendError(f"{file} begins with {magic!r}: not a state file of this format version ({MAGIC!r})")
    for state, offset, length in handle.index:
        data = reader.read(file, offset, length)
        try:
            groups = pickle.loads(data)
        except Exception as error:
            name = handle.states[state]["name"]
            raise StateBackendError(
                f"State '{name}' cannot be read from {file} at byte {offset}: {error}. Its values were pickled: "
                "the modules and classes they are made of must be importable under the names they had."
            ) from error
        for namespace, keys, values in groups:
            yield state, namespace, keys, values

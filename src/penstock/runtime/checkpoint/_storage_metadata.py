"""The `_metadata` file: what a checkpoint consists of, readable without unpickling anything.

Layout, integers big endian:

    8 bytes   MAGIC, the last but one is the format version
    4 bytes   length of the header
    …         header: JSON, UTF-8 (`CheckpointHeader`)
    8 bytes   length of the payload
    …         payload: pickle of the coordinator's metadata, file handles replaced by their number in the header
    4 bytes   CRC-32 of everything before

A file that ends early, has bytes after the CRC or another CRC is refused.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from zlib import crc32

from penstock.runtime.checkpoint._storage_files import CheckpointStorageError

__all__ = [
    "CheckpointHeader",
    "CorruptCheckpointError",
    "FileHandle",
    "IncompleteCheckpointError",
    "InlineHandle",
    "decode",
    "encode",
]

MAGIC: Final = b"PSTKCP\x01\n"
_PICKLE_PROTOCOL: Final = 5


class CorruptCheckpointError(CheckpointStorageError):
    """A checkpoint that is torn, truncated, damaged, or none of Penstock's; the message has its path and the reason."""


class IncompleteCheckpointError(CorruptCheckpointError):
    """A directory without `_metadata`: a checkpoint that was never completed."""


@dataclass(frozen=True, slots=True)
class FileHandle:
    """A file of a checkpoint.

    Attributes:
        path: relative to the directory that holds the checkpoint's directory, e.g. `chk-7/…` or `shared/…`.
        size_bytes: its size.
        checksum: its CRC-32.
    """

    path: str
    size_bytes: int
    checksum: int

    @property
    def is_shared(self) -> bool:
        """Whether several checkpoints may refer to it."""
        return self.path.startswith("shared/")


@dataclass(frozen=True, slots=True)
class InlineHandle:
    """State so small that it lies in `_metadata` itself."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class CheckpointHeader:
    """The part of `_metadata` that anyone may read.

    Attributes:
        version: of Penstock, which wrote it.
        job_id: 32 hex digits.
        checkpoint_id: counts up within a job.
        kind: `checkpoint` or `savepoint`.
        created_ms: epoch ms of completion.
        files: (path, size in bytes, CRC-32) of every file it needs.
        facts: what the coordinator wants to be readable: operator names, parallelism, sizes. JSON values.
    """

    version: str
    job_id: str
    checkpoint_id: int
    kind: str
    created_ms: int
    files: tuple[tuple[str, int, int], ...]
    facts: dict[str, Any] = field(default_factory=dict)


class _HandlePickler(pickle.Pickler):
    """Collects the file handles it meets."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, _PICKLE_PROTOCOL)
        self.handles: dict[FileHandle, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        if type(obj) is FileHandle:
            return self.handles.setdefault(obj, len(self.handles))
        return None


class _HandleUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, handles: list[FileHandle]) -> None:
        super().__init__(file)
        self._handles = handles

    def persistent_load(self, pid: Any) -> FileHandle:
        handle: FileHandle = self._handles[pid]
        return handle


def pickled_with_handles(metadata: Any) -> tuple[bytes, list[FileHandle]]:
    """The payload and the files it refers to."""
    buffer = io.BytesIO()
    pickler = _HandlePickler(buffer)
    pickler.dump(metadata)
    return buffer.getvalue(), list(pickler.handles)


def encode(header: CheckpointHeader, payload: bytes) -> bytes:
    """The bytes of a `_metadata` file."""
    import json

    text = json.dumps(asdict(header), sort_keys=True, separators=(",", ":")).encode()
    body = b"".join((MAGIC, len(text).to_bytes(4, "big"), text, len(payload).to_bytes(8, "big"), payload))
    return body + crc32(body).to_bytes(4, "big")


def decode(data: bytes, path: str) -> tuple[CheckpointHeader, bytes]:
    """Header and payload of a `_metadata` file.

    Raises:
        CorruptCheckpointError: if it is no such file, or not all of it.
    """
    if not data.startswith(MAGIC[:6]):
        raise CorruptCheckpointError(
            f"{path} is no checkpoint of Penstock: it begins with {data[:8]!r}. Checkpoints and savepoints of Apache "
            "Flink cannot be read."
        )
    if data[: len(MAGIC)] != MAGIC:
        raise CorruptCheckpointError(
            f"{path} has format version {data[6] if len(data) > 6 else '?'}; this version of Penstock reads {MAGIC[6]}."
        )
    if len(data) < len(MAGIC) + 16 or crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
        raise CorruptCheckpointError(
            f"{path} is damaged or incomplete: its checksum does not match its {len(data)} bytes. It cannot be used."
        )
    import json

    position = len(MAGIC)
    end = position + 4 + int.from_bytes(data[position : position + 4], "big")
    fields = json.loads(data[position + 4 : end])
    fields["files"] = tuple(tuple(entry) for entry in fields["files"])
    payload_length = int.from_bytes(data[end : end + 8], "big")
    return CheckpointHeader(**fields), data[end + 8 : end + 8 + payload_length]


def unpickled_with_handles(payload: bytes, header: CheckpointHeader, path: str) -> Any:
    """The coordinator's metadata.

    Raises:
        CorruptCheckpointError: if it refers to classes that cannot be loaded here.
    """
    handles = [FileHandle(*entry) for entry in header.files]
    try:
        return _HandleUnpickler(io.BytesIO(payload), handles).load()
    except Exception as error:
        raise CorruptCheckpointError(
            f"The metadata of checkpoint {path} cannot be loaded: {error}. The program's modules and classes must be "
            "importable under the names they had when the checkpoint was taken."
        ) from error

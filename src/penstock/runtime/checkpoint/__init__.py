"""Checkpoints: where they are stored.

Covers checkpoint storage: writing checkpoints and savepoints that are whole or not there, finding the newest whole one,
sharing files between incremental checkpoints, deleting. Does not cover when a checkpoint is taken or what is in it:
barriers and the coordinator are in `penstock.runtime`, keyed state in `penstock.runtime.state`.

Start reading at `_storage.py`.
"""

from penstock.runtime.checkpoint._storage import CheckpointStorage, CheckpointWriter, open_checkpoint
from penstock.runtime.checkpoint._storage_files import (
    CheckpointStorageError,
    FileStore,
    FsspecFiles,
    LocalFiles,
    file_store_for,
)
from penstock.runtime.checkpoint._storage_metadata import (
    CheckpointHeader,
    CorruptCheckpointError,
    FileHandle,
    InlineHandle,
)
from penstock.runtime.checkpoint._storage_view import CheckpointView

__all__ = [
    "CheckpointHeader",
    "CheckpointStorage",
    "CheckpointStorageError",
    "CheckpointView",
    "CheckpointWriter",
    "CorruptCheckpointError",
    "FileHandle",
    "FileStore",
    "FsspecFiles",
    "InlineHandle",
    "LocalFiles",
    "file_store_for",
    "open_checkpoint",
]

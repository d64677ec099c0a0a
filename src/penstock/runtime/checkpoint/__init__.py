"""Checkpoints: where they are stored.

Covers checkpoint storage: writing checkpoints and savepoints that are whole or not there, finding the newest whole one,
sharing files between incremental checkpoints, deleting. Does not cover when a checkpoint is taken or what is in it:
barriers and the coordinator are in `penstock.runtime`, keyed state in `penstock.runtime.state`.

Start reading at `_storage.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.runtime.checkpoint._storage_files import (
    CheckpointStorageError,
    FileStore,
    FsspecFiles,
    LocalFiles,
    file_store_for,
)

if TYPE_CHECKING:
    from penstock.runtime.checkpoint._storage import CheckpointStorage, CheckpointWriter, open_checkpoint
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

# Most jobs of a few records take no checkpoint; importing what writes them would be a good part of their time.
_PLACES = {
    "CheckpointHeader": "_storage_metadata",
    "CheckpointStorage": "_storage",
    "CheckpointView": "_storage_view",
    "CheckpointWriter": "_storage",
    "CorruptCheckpointError": "_storage_metadata",
    "FileHandle": "_storage_metadata",
    "InlineHandle": "_storage_metadata",
    "open_checkpoint": "_storage",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'penstock.runtime.checkpoint' has no attribute {name!r}")
    return getattr(import_module(f"penstock.runtime.checkpoint.{place}"), name)

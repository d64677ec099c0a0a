"""Where checkpoints are kept, as values (`pyflink.datastream.checkpoint_storage`).

In Flink 2.x nothing takes them: the options `execution.checkpointing.storage` and `.dir` say it. Programs of 1.x pass
them to `CheckpointConfig.set_checkpoint_storage`, which writes these options.
"""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.conf import CheckpointingOptions, Configuration
from penstock.errors import UnsupportedFeatureError

__all__ = [
    "CheckpointStorage",
    "CustomCheckpointStorage",
    "FileSystemCheckpointStorage",
    "JobManagerCheckpointStorage",
]


class CheckpointStorage:
    """Base of the storages. Immutable by use."""

    def __init__(self, j_checkpoint_storage: Any = None) -> None:
        if j_checkpoint_storage is not None:
            raise UnsupportedFeatureError(
                f"{type(self).__name__}(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use FileSystemCheckpointStorage or JobManagerCheckpointStorage."
            )

    def apply_to(self, configuration: Configuration) -> None:
        """Writes the storage's options."""
        raise NotImplementedError(f"{type(self).__name__} sets no options")


class JobManagerCheckpointStorage(CheckpointStorage):
    """Checkpoints end with the job; `checkpoint_path` is for those that are to be kept.

    Args:
        checkpoint_path: a URL, or None.
        max_state_size: the most bytes of one state, None for 5 MiB.
        j_jobmanager_checkpoint_storage: PyFlink's access to the JVM; None.
    """

    DEFAULT_MAX_STATE_SIZE = 5 * 1024 * 1024

    def __init__(
        self,
        checkpoint_path: str | None = None,
        max_state_size: int | None = None,
        j_jobmanager_checkpoint_storage: Any = None,
    ) -> None:
        super().__init__(j_jobmanager_checkpoint_storage)
        self._checkpoint_path = None if checkpoint_path is None else _normalized(checkpoint_path)
        self._max_state_size = self.DEFAULT_MAX_STATE_SIZE if max_state_size is None else max_state_size

    def get_checkpoint_path(self) -> str | None:
        """The path, without a slash at its end."""
        return self._checkpoint_path

    def get_max_state_size(self) -> int:
        """The most bytes of one state."""
        return self._max_state_size

    def get_savepoint_path(self) -> str | None:
        """None: the option `execution.checkpointing.savepoint-dir` says it."""
        return None

    def apply_to(self, configuration: Configuration) -> None:
        """Writes the storage's options."""
        configuration.set(CheckpointingOptions.STORAGE, "jobmanager")
        if self._checkpoint_path is not None:
            configuration.set(CheckpointingOptions.DIRECTORY, self._checkpoint_path)

    def __str__(self) -> str:
        return (
            f"JobManagerCheckpointStorage (checkpoints: '{self._checkpoint_path}', "
            f"maxStateSize: '{self._max_state_size}')"
        )


class FileSystemCheckpointStorage(CheckpointStorage):
    """Checkpoints lie in a directory.

    Args:
        checkpoint_path: a URL.
        file_state_size_threshold: smaller state goes into the metadata, in bytes; None for the configured value.
        write_buffer_size: bytes; -1 for the configured value.
        j_filesystem_checkpoint_storage: PyFlink's access to the JVM; None.

    Raises:
        ValueError: without a path.
    """

    MAX_FILE_STATE_THRESHOLD = 1024 * 1024

    def __init__(
        self,
        checkpoint_path: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int = -1,
        j_filesystem_checkpoint_storage: Any = None,
    ) -> None:
        super().__init__(j_filesystem_checkpoint_storage)
        if checkpoint_path is None:
            raise ValueError("checkpoint_path must not be None")
        threshold = -1 if file_state_size_threshold is None else file_state_size_threshold
        if not -1 <= threshold <= self.MAX_FILE_STATE_THRESHOLD:
            raise ValueError(f"The threshold for file state size must be in [-1, {self.MAX_FILE_STATE_THRESHOLD}]")
        self._checkpoint_path = _normalized(checkpoint_path)
        self._threshold = threshold
        self._write_buffer_size = write_buffer_size

    def get_checkpoint_path(self) -> str:
        """The path, without a slash at its end."""
        return self._checkpoint_path

    def get_savepoint_path(self) -> str | None:
        """None: the option `execution.checkpointing.savepoint-dir` says it."""
        return None

    def get_min_file_size_threshold(self) -> int:
        """Smaller state goes into the metadata, in bytes; the option's default where not given."""
        return self._threshold if self._threshold >= 0 else CheckpointingOptions.DATA_INLINE_THRESHOLD.default.bytes

    def get_write_buffer_size(self) -> int:
        """Bytes; the option's default where not given."""
        given = self._write_buffer_size
        return given if given >= 0 else CheckpointingOptions.WRITE_BUFFER_SIZE.default

    def apply_to(self, configuration: Configuration) -> None:
        """Writes the storage's options."""
        configuration.set(CheckpointingOptions.STORAGE, "filesystem")
        configuration.set(CheckpointingOptions.DIRECTORY, self._checkpoint_path)
        if self._threshold >= 0:
            configuration.set(CheckpointingOptions.DATA_INLINE_THRESHOLD, f"{self._threshold} b")
        if self._write_buffer_size >= 0:
            configuration.set(CheckpointingOptions.WRITE_BUFFER_SIZE, self._write_buffer_size)

    def __str__(self) -> str:
        return (
            f"FileSystemCheckpointStorage (checkpoints: '{self._checkpoint_path}', "
            f"fileStateThreshold: {self.get_min_file_size_threshold()})"
        )


class CustomCheckpointStorage(CheckpointStorage):
    """PyFlink's wrapper of a Java storage; constructing it raises UnsupportedFeatureError."""

    def __init__(self, j_custom_checkpoint_storage: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            "CustomCheckpointStorage wraps a Java class; there is no JVM in this process. "
            "Use FileSystemCheckpointStorage, whose path may be any fsspec URL."
        )


def checkpoint_storage_of(configuration: Configuration) -> CheckpointStorage | None:
    """The storage a configuration asks for, None where it asks for none."""
    directory = configuration.get(CheckpointingOptions.DIRECTORY)
    kind = configuration.get(CheckpointingOptions.STORAGE) or ("filesystem" if directory else None)
    if kind == "filesystem" and directory is not None:
        return FileSystemCheckpointStorage(directory)
    return JobManagerCheckpointStorage(directory) if kind == "jobmanager" else None


def _from_j_checkpoint_storage(j_checkpoint_storage: Any) -> CheckpointStorage | None:
    """PyFlink's access to the JVM: None for None, else raises UnsupportedFeatureError."""
    return None if j_checkpoint_storage is None else CustomCheckpointStorage(j_checkpoint_storage)


def _normalized(path: str) -> str:
    """As Flink's `Path` writes it: without a slash at the end."""
    return path.rstrip("/") or "/"

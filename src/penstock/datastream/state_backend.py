"""Where keyed state is kept, as values (`pyflink.datastream.state_backend`).

In Flink 2.x nothing takes them: the option `state.backend.type` says it. Programs of 1.x pass them to
`set_state_backend`, which writes the options.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NoReturn

from penstock.common._removed import warn_removed
from penstock.conf import CheckpointingOptions, Configuration, ManagedMemoryOptions, RocksDBOptions
from penstock.errors import UnsupportedFeatureError

__all__ = [
    "CustomStateBackend",
    "EmbeddedRocksDBStateBackend",
    "HashMapStateBackend",
    "PredefinedOptions",
    "StateBackend",
]

BACKEND_OPTION = "the option state.backend.type"


class StateBackend:
    """Base of the backends' settings. Owned by whoever made it."""

    def __init__(self, j_state_backend: Any = None) -> None:
        if j_state_backend is not None:
            raise UnsupportedFeatureError(
                f"{type(self).__name__}(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use HashMapStateBackend() or EmbeddedRocksDBStateBackend()."
            )

    def apply_to(self, configuration: Configuration) -> None:
        """Writes the backend's options."""
        raise NotImplementedError(f"{type(self).__name__} sets no options")


class HashMapStateBackend(StateBackend):
    """State as objects on the heap."""

    def __init__(self, j_hashmap_state_backend: Any = None) -> None:
        super().__init__(j_hashmap_state_backend)

    def apply_to(self, configuration: Configuration) -> None:
        """Writes `state.backend.type: hashmap`."""
        configuration.set(ManagedMemoryOptions.STATE_BACKEND, "hashmap")

    def __str__(self) -> str:
        return "HashMapStateBackend"


class PredefinedOptions(Enum):
    """Flink's ready-made RocksDB settings."""

    DEFAULT = 0
    SPINNING_DISK_OPTIMIZED = 1
    SPINNING_DISK_OPTIMIZED_HIGH_MEM = 2
    FLASH_SSD_OPTIMIZED = 3


class EmbeddedRocksDBStateBackend(StateBackend):
    """State in RocksDB, on disk behind caches in managed memory.

    Args:
        enable_incremental_checkpointing: whether a checkpoint uploads new files only; None for the configured value.
        j_embedded_rocks_db_state_backend: PyFlink's access to the JVM; None.
    """

    def __init__(
        self, enable_incremental_checkpointing: bool | None = None, j_embedded_rocks_db_state_backend: Any = None
    ) -> None:
        super().__init__(j_embedded_rocks_db_state_backend)
        self._incremental = enable_incremental_checkpointing
        self._storage_paths: list[str] | None = None
        self._predefined_options = PredefinedOptions.DEFAULT
        self._options: str | None = None
        self._transfer_threads: int | None = None

    def set_db_storage_paths(self, *paths: str) -> None:
        """Where the databases lie: local directories, or `file:` URLs; none for the configured ones."""
        self._storage_paths = [_local_path(path) for path in paths] or None

    def get_db_storage_paths(self) -> list[str] | None:
        """The directories, None for the configured ones."""
        return self._storage_paths

    def is_incremental_checkpoints_enabled(self) -> bool:
        """Whether a checkpoint uploads new files only."""
        return CheckpointingOptions.INCREMENTAL.default if self._incremental is None else self._incremental

    def set_predefined_options(self, options: PredefinedOptions) -> None:
        """Chooses ready-made settings; read back only."""
        self._predefined_options = options

    def get_predefined_options(self) -> PredefinedOptions:
        """The ready-made settings."""
        return self._predefined_options

    def set_options(self, options_factory_class_name: str) -> None:
        """Names a Java class that makes settings; read back only, set `state.backend.rocksdb.*` options instead."""
        self._options = options_factory_class_name

    def get_options(self) -> str | None:
        """The name of the Java class, None where none was set."""
        return self._options

    def get_number_of_transfer_threads(self) -> int:
        """How many threads move files to and from checkpoints."""
        default = RocksDBOptions.CHECKPOINT_TRANSFER_THREADS.default
        return default if self._transfer_threads is None else self._transfer_threads

    def set_number_of_transfer_threads(self, number_of_transfering_threads: int) -> None:
        """Sets it.

        Raises:
            ValueError: below 1.
        """
        if number_of_transfering_threads < 1:
            raise ValueError(
                f"The number of threads used to transfer files in EmbeddedRocksDBStateBackend should be greater than "
                f"zero, got {number_of_transfering_threads}."
            )
        self._transfer_threads = number_of_transfering_threads

    def apply_to(self, configuration: Configuration) -> None:
        """Writes `state.backend.type: rocksdb` and what was set here."""
        configuration.set(ManagedMemoryOptions.STATE_BACKEND, "rocksdb")
        if self._incremental is not None:
            configuration.set(CheckpointingOptions.INCREMENTAL, self._incremental)
        if self._storage_paths:
            configuration.set(RocksDBOptions.LOCAL_DIRECTORIES, ",".join(self._storage_paths))
        if self._transfer_threads is not None:
            configuration.set(RocksDBOptions.CHECKPOINT_TRANSFER_THREADS, self._transfer_threads)

    def __str__(self) -> str:
        return (
            f"EmbeddedRocksDBStateBackend{{localRocksDbDirectories={self._storage_paths}, "
            f"enableIncrementalCheckpointing={self._incremental}, "
            f"numberOfTransferThreads={self.get_number_of_transfer_threads()}}}"
        )


class CustomStateBackend(StateBackend):
    """PyFlink's wrapper of a Java backend; constructing it raises UnsupportedFeatureError."""

    def __init__(self, j_custom_state_backend: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            "CustomStateBackend wraps a Java class; there is no JVM in this process. "
            "Use HashMapStateBackend() or EmbeddedRocksDBStateBackend()."
        )


def state_backend_of(configuration: Configuration) -> StateBackend | None:
    """The backend a configuration asks for, None where it asks for none."""
    if not configuration.contains(ManagedMemoryOptions.STATE_BACKEND):
        return None
    kind = configuration.get(ManagedMemoryOptions.STATE_BACKEND)
    if kind == "rocksdb":
        return EmbeddedRocksDBStateBackend(configuration.get(CheckpointingOptions.INCREMENTAL))
    return HashMapStateBackend()


def _from_j_state_backend(j_state_backend: Any) -> StateBackend | None:
    """PyFlink's access to the JVM: None for None, else raises UnsupportedFeatureError."""
    return None if j_state_backend is None else CustomStateBackend(j_state_backend)


# Names of Flink 1.x: backend and checkpoint storage in one.


class MemoryStateBackend(HashMapStateBackend):
    """State on the heap, checkpoints that end with the job; 1.x only."""

    def __init__(
        self,
        checkpoint_path: str | None = None,
        savepoint_path: str | None = None,
        max_state_size: int | None = None,
        using_asynchronous_snapshots: bool | None = None,
        j_memory_state_backend: Any = None,
    ) -> None:
        super().__init__(j_memory_state_backend)
        warn_removed("MemoryStateBackend", BACKEND_OPTION)
        self._checkpoint_path, self._savepoint_path = checkpoint_path, savepoint_path

    def apply_to(self, configuration: Configuration) -> None:
        """Writes backend and storage."""
        super().apply_to(configuration)
        configuration.set(CheckpointingOptions.STORAGE, "jobmanager")
        _set_directories(configuration, self._checkpoint_path, self._savepoint_path)


class FsStateBackend(HashMapStateBackend):
    """State on the heap, checkpoints in a directory; 1.x only."""

    def __init__(
        self,
        checkpoint_directory_uri: str | None = None,
        default_savepoint_directory_uri: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int | None = None,
        using_asynchronous_snapshots: bool | None = None,
        j_fs_state_backend: Any = None,
    ) -> None:
        super().__init__(j_fs_state_backend)
        warn_removed("FsStateBackend", BACKEND_OPTION)
        if checkpoint_directory_uri is None:
            raise ValueError("The parameter 'checkpoint_directory_uri' is required!")
        self._checkpoint_path, self._savepoint_path = checkpoint_directory_uri, default_savepoint_directory_uri

    def apply_to(self, configuration: Configuration) -> None:
        """Writes backend and storage."""
        super().apply_to(configuration)
        _set_directories(configuration, self._checkpoint_path, self._savepoint_path)


class RocksDBStateBackend(EmbeddedRocksDBStateBackend):
    """State in RocksDB, checkpoints in a directory; 1.x only."""

    def __init__(
        self,
        checkpoint_data_uri: str | None = None,
        enable_incremental_checkpointing: bool | None = None,
        checkpoint_stream_backend: StateBackend | None = None,
        j_rocks_db_state_backend: Any = None,
    ) -> None:
        super().__init__(enable_incremental_checkpointing, j_rocks_db_state_backend)
        warn_removed("RocksDBStateBackend", BACKEND_OPTION)
        if checkpoint_data_uri is None and checkpoint_stream_backend is None:
            raise ValueError("The parameter 'checkpoint_data_uri' is required!")
        self._checkpoint_path = checkpoint_data_uri
        self._stream_backend = checkpoint_stream_backend

    def apply_to(self, configuration: Configuration) -> None:
        """Writes backend and storage."""
        if self._stream_backend is not None:
            self._stream_backend.apply_to(configuration)
        super().apply_to(configuration)
        _set_directories(configuration, self._checkpoint_path, None)


def _set_directories(configuration: Configuration, checkpoints: str | None, savepoints: str | None) -> None:
    if checkpoints is not None:
        configuration.set(CheckpointingOptions.DIRECTORY, checkpoints)
    if savepoints is not None:
        configuration.set(CheckpointingOptions.SAVEPOINT_DIRECTORY, savepoints)


def _local_path(path: str) -> str:
    """The path of a `file:` URL without its host and last slash, as Flink reads it; a plain path as it is."""
    from urllib.parse import urlsplit

    parts = urlsplit(path)
    if parts.scheme not in ("", "file"):
        raise ValueError(f"Path {path} has a non-local scheme")
    return (parts.path if parts.scheme else path).rstrip("/") or "/"

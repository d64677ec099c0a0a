"""A job's checkpoints over all its attempts: storage, recovery, retention."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING

from penstock.conf import CheckpointingOptions, Configuration, StateRecoveryOptions
from penstock.errors import ConfigurationError, UnsupportedFeatureError
from penstock.graph import JobGraph
from penstock.runtime._checkpoints import CheckpointCoordinator, CheckpointSettings
from penstock.runtime._commits import CommitterBook
from penstock.runtime._elements import Barrier
from penstock.runtime._recovery import OperatorRecovery
from penstock.runtime._task_state import CheckpointContent, OperatorSubtaskState, recovery_of
from penstock.runtime.checkpoint import CheckpointStorageError, file_store_for

if TYPE_CHECKING:
    from penstock.runtime.checkpoint import CheckpointStorage, CheckpointView

__all__ = ["JobCheckpoints"]

log = logging.getLogger("penstock.checkpoint")


class JobCheckpoints:
    """Owned by the job's thread; lives as long as the job.

    Attributes:
        enabled: whether checkpoints are taken periodically.
        book: the sinks' two-phase commits.
    """

    def __init__(self, conf: Configuration, job_id: str, graph: JobGraph) -> None:
        self._conf = conf
        self._job_id = job_id
        self._graph = graph
        self._settings = CheckpointSettings.of(conf)
        self.enabled = self._settings.interval_ms is not None
        self.book = CommitterBook(graph)
        self._storage: CheckpointStorage | None = None
        self._background: ThreadPoolExecutor | None = None
        self._background_pid = 0
        self._view: CheckpointView | None = None
        self._content: CheckpointContent | None = None
        self._next_id = 1
        if self.enabled:
            _refuse_unaligned(conf)
            self._open_storage()

    @property
    def background(self) -> Executor:
        """The thread that writes; started when it is first needed, in each process: threads don't survive a fork."""
        if self._background is None or self._background_pid != os.getpid():
            self._background = ThreadPoolExecutor(1, thread_name_prefix="checkpoint writer")
            self._background_pid = os.getpid()
        return self._background

    @property
    def storage(self) -> CheckpointStorage:
        """The job's storage; opened when it is first needed."""
        return self._storage or self._open_storage()

    def _open_storage(self) -> CheckpointStorage:
        from penstock.runtime.checkpoint import CheckpointStorage

        options = CheckpointingOptions
        url = self._conf.get(options.DIRECTORY)
        if url is None:
            self._storage = CheckpointStorage.temporary(self._job_id)
        else:
            self._storage = CheckpointStorage(
                url,
                self._job_id,
                create_subdirectory=self._conf.get(options.CREATE_SUBDIRECTORY),
                inline_bytes=self._conf.get(options.DATA_INLINE_THRESHOLD).bytes,
            )
            try:
                self._storage.prepare()
            except CheckpointStorageError as error:
                raise ConfigurationError(
                    f"Checkpoints cannot be kept under '{url}' ({options.DIRECTORY.key}): {error}"
                ) from error
        return self._storage

    # -- attempts --------------------------------------------------------------------------------

    def begin_attempt(self, attempt: int) -> None:
        """Finds what the attempt starts from: the job's newest checkpoint, else what it was told to start from.

        Raises:
            ConfigurationError: the savepoint does not fit the program.
            CheckpointStorageError: it cannot be read.
        """
        view = self._storage.latest() if self._storage is not None and attempt > 0 else None
        if attempt > 0:
            self._sweep()
        if view is None:
            path = self._conf.get(StateRecoveryOptions.SAVEPOINT_PATH)
            view = _start_from(path) if path else None
        self._view = view
        self._content = (
            view.metadata if view is not None else None
        )  # anew: the attempt before may have changed its copy
        if view is not None:
            self._check_fit()
            self._next_id = max(self._next_id, view.checkpoint_id + 1)
        self.book.recover(self._content)

    def _sweep(self) -> None:
        """Deletes what the attempt before left of checkpoints that were never complete; nothing is written now."""
        if self._storage is None:
            return
        try:
            removed = self._storage.sweep()
        except (CheckpointStorageError, OSError) as error:  # it costs space, not results
            log.warning("Leftovers of checkpoints of job %s could not be deleted: %s", self._job_id, error)
        else:
            if removed:
                log.info("Deleted %d files and directories of checkpoints that were never complete.", removed)

    def settle(self) -> int:
        """An attempt was stopped: waits for what is being written, and returns the id of the newest checkpoint, else 0.

        A checkpoint may have become complete without the coordinator having heard of it.
        """
        if self._background is not None:
            self._background.submit(int).result()
        views = self._storage.list() if self._storage is not None else []
        return views[-1].checkpoint_id if views else 0

    def coordinator(
        self, submit: Callable[[Callable[[], None]], None], clock: Callable[[], int]
    ) -> CheckpointCoordinator:
        """The coordinator of an attempt."""
        return CheckpointCoordinator(
            self._settings,
            lambda: self.storage,
            self._graph,
            self.book,
            lambda: self.background,
            submit,
            clock,
            self._next_id,
        )

    def recovery(self, operator_id: str) -> OperatorRecovery | None:
        """What an operator starts from, None where it starts empty."""
        if self._content is None or operator_id not in self._content.operators:
            return None
        return recovery_of(self._content.operators[operator_id], self._view)

    def _check_fit(self) -> None:
        content = self._content
        assert content is not None
        assert self._view is not None
        known = {
            operator.node.operator_id: vertex.max_parallelism
            for vertex in self._graph.vertices.values()
            for operator in vertex.operators
        }
        orphans = [
            f"'{content.names[operator_id]}' ({operator_id})"
            for operator_id, states in content.operators.items()
            if operator_id not in known and any(_has_state(state) for state in states)
        ]
        if orphans and not self._conf.get(StateRecoveryOptions.IGNORE_UNCLAIMED_STATE):
            raise ConfigurationError(
                f"Failed to roll back to checkpoint/savepoint {self._view.path}: it holds state of {', '.join(orphans)}, "
                f"which the program no longer has. Give operators a uid() so that they are found again after a change, "
                f"or leave that state out with --allow-non-restored-state "
                f"(execution.state-recovery.ignore-unclaimed-state)."
            )
        for operator_id, most in known.items():
            before = content.max_parallelism.get(operator_id, most)
            if before != most and any(state.keyed is not None for state in content.operators[operator_id]):
                raise ConfigurationError(
                    f"Failed to roll back to checkpoint/savepoint {self._view.path}: max parallelism mismatch for "
                    f"operator '{content.names[operator_id]}': its state has {before} key groups, the program asks for {most}. "
                    f"Set the max parallelism (pipeline.max-parallelism or set_max_parallelism()) to {before}."
                )

    # -- afterwards ------------------------------------------------------------------------------

    def completed(self, barrier: Barrier) -> None:
        """A checkpoint is complete: older ones go."""
        if not barrier.is_savepoint and self._storage is not None:
            self.background.submit(self._storage.retain, self._conf.get(CheckpointingOptions.NUM_RETAINED))

    def next_attempt_starts_at(self, checkpoint_id: int) -> None:
        """Checkpoint ids rise over all attempts."""
        self._next_id = max(self._next_id, checkpoint_id)

    def close(self, *, finished: bool, cancelled: bool) -> None:
        """The job ended: checkpoints are kept or deleted as `externalized-checkpoint-retention` says."""
        if self._background is not None:
            self._background.shutdown(wait=True)
        storage = self._storage
        if storage is None:
            return
        retention = self._conf.get(CheckpointingOptions.EXTERNALIZED_RETENTION)
        keep = not finished and (
            retention == "RETAIN_ON_CANCELLATION" or (retention == "DELETE_ON_CANCELLATION" and not cancelled)
        )
        try:
            if keep:
                self._sweep()
            else:
                storage.discard_all()
            storage.close()
        except (CheckpointStorageError, OSError) as error:  # the job's end stands, whatever is left on the disk
            log.warning("Checkpoints of job %s could not be deleted: %s", self._job_id, error)


def _has_state(state: OperatorSubtaskState) -> bool:
    return (
        state.keyed is not None
        or state.operator is not None
        or state.writer is not None
        or bool(state.splits)
        or any(state.timers.values())
    )


def _refuse_unaligned(conf: Configuration) -> None:
    if conf.get(CheckpointingOptions.UNALIGNED):
        raise UnsupportedFeatureError(
            "Unaligned checkpoints are not supported: inside one machine barriers overtake nothing worth storing. "
            "Aligned ones give the same guarantees; set execution.checkpointing.unaligned.enabled to false."
        )


def _start_from(path: str) -> CheckpointView:
    """The savepoint or checkpoint a job was told to start from."""
    try:
        return _find(path)
    except CheckpointStorageError as error:
        raise ConfigurationError(
            f"Cannot start from '{path}': {error} Give the directory of a savepoint or checkpoint (the one with "
            f"_metadata in it), or the directory of a job's checkpoints for the newest of them."
        ) from error


def _find(path: str) -> CheckpointView:
    """A checkpoint by its path, or the newest whole one below a job's directory."""
    from penstock.runtime.checkpoint import CheckpointStorage, open_checkpoint

    store = file_store_for(path)
    names = store.names("")
    if not names:
        raise CheckpointStorageError(f"{path} holds no complete checkpoint: there is nothing there.")
    if "_metadata" in names or not any(re.fullmatch(r"chk-\d+", name) for name in names):
        return open_checkpoint(path)
    storage = CheckpointStorage(path, "", create_subdirectory=False)
    view = storage.latest()
    if view is None and storage.refused:
        raise CheckpointStorageError(
            f"{path} holds no complete checkpoint: {' '.join(reason for _, reason in storage.refused)}"
        )
    # Opened anew: this one is another job's, whose shared files the job must not refer to.
    return open_checkpoint(path if view is None else view.path, verify=view is None)

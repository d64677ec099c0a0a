"""The committer of a file sink: gives finished files their names, and removes what a crash left behind."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from penstock.datastream.connectors._output_files import OutputFiles, output_error
from penstock.datastream.connectors._part_files import FileWriterState, PendingFile, in_progress_mark
from penstock.datastream.connectors.base import Committer
from penstock.errors import JobError

__all__ = ["FileCommitter"]

_logger = logging.getLogger(__name__)


class FileCommitter(Committer):
    """Renames pending files. Owned by one thread at a time."""

    def __init__(self, files: OutputFiles, base_path: str) -> None:
        self._files = files
        self._base_path = base_path

    def commit(self, committables: Sequence[PendingFile]) -> None:
        """Gives each file its final name, durably.

        Raises:
            JobError: if a file is shorter than it was, its name is taken by another, or the file system refuses.
        """
        renamed = set()
        for file in committables:
            try:
                if self._commit_one(file):
                    renamed.add(file.final)
            except OSError as error:
                raise output_error("commit", file.final, error) from error
        try:
            self._files.sync_names(renamed)
            for file in committables:  # only now: until the name is durable the originals may be needed again
                for path in file.replaces:
                    self._files.remove(path)
        except OSError as error:
            raise output_error("commit files in", self._base_path, error) from error

    def _commit_one(self, file: PendingFile) -> bool:
        """Whether the name is the file's, so that it is worth making durable."""
        size_bytes = self._files.size(file.in_progress)
        committed_bytes = self._files.size(file.final)
        if size_bytes is None:
            if committed_bytes is None:
                _logger.warning(
                    "%s is to be committed, but neither it nor %s is there: it was committed before and removed since, "
                    "or its contents are lost",
                    file.final,
                    file.in_progress,
                )
            return committed_bytes is not None  # committed before, perhaps not durably
        if committed_bytes is not None and (self._files.resumable or committed_bytes != file.size_bytes):
            raise JobError(
                f"{file.final!r} is there already, and {file.in_progress!r} is to get its name. The sink never "
                "overwrites a file; give jobs that write to one directory different prefixes."
            )
        if size_bytes < file.size_bytes:
            raise JobError(
                f"{file.in_progress!r} has {size_bytes} bytes, and had {file.size_bytes} at its checkpoint: the file "
                "system lost what it had confirmed."
            )
        if size_bytes > file.size_bytes:
            self._files.truncate(file.in_progress, file.size_bytes)
        self._files.rename(file.in_progress, file.final)
        return True

    def abort_unknown(self, writer_states: Sequence[FileWriterState]) -> None:
        """Removes the files in progress of these writers' lineages that no state names."""
        paths = [part.in_progress for state in writer_states for part in state.parts]
        for state in writer_states:
            paths.extend(state.pending)
            paths.extend(file.in_progress for file in state.uncompacted)
        kept = {_name(path) for path in paths}  # by name, as one file may be known by several paths
        marks = tuple({in_progress_mark(state.lineage) for state in writer_states})
        if not marks:
            return
        try:
            for path in list(self._files.hidden_files(self._base_path)):
                if path.endswith(marks) and _name(path) not in kept:
                    self._files.remove(path)
        except OSError as error:
            raise output_error("clean up", self._base_path, error) from error


def _name(path: str) -> str:
    return path.rpartition("/")[2]

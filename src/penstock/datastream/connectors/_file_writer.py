"""The writer of a file sink: buckets, their files in progress, and what is handed over at a checkpoint.

A file is written under a hidden name. Once it is complete it is pending; the committer renames it when the checkpoint
that contains it is certain. What a crash leaves of a file in progress is cut to its length at the restored checkpoint.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from penstock.common.serialization import Encoder
from penstock.datastream.connectors._buckets import BucketAssigner, BucketContext, OutputFileConfig, RollingPolicy
from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.connectors._compaction import Compaction, Compactor
from penstock.datastream.connectors._output_files import OutputFiles, output_error
from penstock.datastream.connectors._part_files import (
    BulkPart,
    FileWriterState,
    OpenPart,
    PartFile,
    PendingFile,
    RowPart,
    in_progress_mark,
)
from penstock.datastream.connectors.base import SinkWriter, WriterContext
from penstock.errors import JobError

__all__ = ["FileSinkPlan", "FileWriter"]

_logger = logging.getLogger(__name__)
_OPEN_PARTS_MAX = 128  # descriptors a writer holds; files beyond it are suspended, or rolled where they cannot be


@dataclass(frozen=True, slots=True)
class FileSinkPlan:
    """What a file sink was built with.

    Attributes:
        base_path: as `output_files` gives it.
        encoder: of a row format, else None.
        create_bulk_writer: of a bulk format, else None.
        assigner, policy, config: where, when, and under which names.
        check_interval_ms: between two looks at the clock for rolling.
        compaction: how small files are put together, or None.
        legacy: StreamingFileSink's ways: names by subtask, and files that stay in progress at the end of input.
    """

    base_path: str
    encoder: Encoder | None
    create_bulk_writer: Callable[[BinaryIO], BulkWriter] | None
    assigner: BucketAssigner
    policy: RollingPolicy
    config: OutputFileConfig
    check_interval_ms: int = 60_000
    compaction: Compaction | None = None
    legacy: bool = False


class _Bucket:
    """One directory's files. Owned by the writer."""

    def __init__(self, bucket_id: str, name: str) -> None:
        self.bucket_id = bucket_id
        self.name = name  # unique part of its files' names
        self.counter = 0
        self.part: OpenPart | None = None


class FileWriter(SinkWriter):
    """Writes one subtask's files. Owned by the task thread."""

    def __init__(
        self, plan: FileSinkPlan, files: OutputFiles, context: WriterContext, recovered: Sequence[FileWriterState] = ()
    ) -> None:
        self._plan = plan
        self._files = files
        self._context = context
        self._encode = None if plan.encoder is None else plan.encoder.encode_batch_for(context.input_type)
        self._lineage = recovered[0].lineage if recovered else str(uuid.uuid4())
        self._buckets: dict[str, _Bucket] = {}
        self._recent: dict[str, _Bucket] = {}  # those whose file may be open, by last use
        self._finished: list[PendingFile] = []  # since the last prepare_commit
        self._handed_over: list[PendingFile] = []  # and perhaps not yet committed
        self._compactor = None if plan.compaction is None else Compactor(plan.compaction, files, self._lineage)
        self._next_check_ms = context.now_ms() + plan.check_interval_ms
        for state in recovered:
            self._recover(state)

    # -- writing

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None, watermark: int) -> None:
        """Writes elements to their buckets."""
        now = self._context.now_ms()
        assigner = self._plan.assigner
        everywhere = assigner.bucket_of_all(now)
        if everywhere is not None:
            self._write_to(everywhere, values, now)
            return
        by_bucket: dict[str, list[Any]] = {}
        for index, value in enumerate(values):
            timestamp = None if timestamps is None else timestamps[index]
            bucket_id = assigner.get_bucket_id(value, BucketContext(now, watermark, timestamp))
            by_bucket.setdefault(bucket_id, []).append(value)
        for bucket_id, elements in by_bucket.items():
            self._write_to(bucket_id, elements, now)

    def _write_to(self, bucket_id: str, values: Sequence[Any], now_ms: int) -> None:
        if not values:
            return
        bucket = self._buckets.get(bucket_id) or self._new_bucket(bucket_id)
        self._recent.pop(bucket_id, None)
        self._recent[bucket_id] = bucket
        unrolled_bytes = self._plan.policy.unrolled_bytes()
        try:
            if unrolled_bytes is None:
                self._open(bucket, now_ms).write(values, now_ms)
            elif self._encode is not None and unrolled_bytes > 0:
                self._write_rows(bucket, values, now_ms, unrolled_bytes)
            else:
                self._write_one_by_one(bucket, values, now_ms)
            if len(self._recent) > _OPEN_PARTS_MAX:
                self._release_oldest()
        except OSError as error:
            raise output_error("write", self._path_of(bucket), error) from error

    def _write_rows(self, bucket: _Bucket, values: Sequence[Any], now_ms: int, unrolled_bytes: int) -> None:
        """All at once where the file cannot become too large, else one by one."""
        assert self._encode is not None
        part = bucket.part
        data = self._encode(values)
        size_bytes = 0 if part is None else part.info.size_bytes
        if size_bytes + len(data) > unrolled_bytes:
            self._write_one_by_one(bucket, values, now_ms)
            return
        part = self._open(bucket, now_ms)
        assert isinstance(part, RowPart)
        part.write_bytes(data, now_ms)

    def _write_one_by_one(self, bucket: _Bucket, values: Sequence[Any], now_ms: int) -> None:
        policy = self._plan.policy
        for value in values:
            if bucket.part is not None and policy.should_roll_on_event(bucket.part.info, value):
                self._finish_part(bucket)
            self._open(bucket, now_ms).write((value,), now_ms)

    def _open(self, bucket: _Bucket, now_ms: int) -> OpenPart:
        if bucket.part is None:
            bucket.part = self._new_part(bucket, now_ms)
        return bucket.part

    # -- buckets and parts

    def _new_bucket(self, bucket_id: str) -> _Bucket:
        name = str(self._context.subtask_index) if self._plan.legacy else str(uuid.uuid4())
        bucket = self._buckets[bucket_id] = _Bucket(bucket_id, name)
        return bucket

    def _release_oldest(self) -> None:
        """Gives up the descriptor of the file written to longest ago."""
        bucket = self._recent.pop(next(iter(self._recent)))
        if bucket.part is not None and not bucket.part.suspend():
            self._finish_part(bucket)

    def _new_part(self, bucket: _Bucket, now_ms: int) -> OpenPart:
        config, files = self._plan.config, self._files
        while True:
            name = f"{config.get_part_prefix()}-{bucket.name}-{bucket.counter}{config.get_part_suffix()}"
            bucket.counter += 1
            final = files.join(self._plan.base_path, bucket.bucket_id, name)
            hidden = f".{name}{in_progress_mark(self._lineage)}"
            in_progress = files.join(self._plan.base_path, bucket.bucket_id, hidden)
            if not self._plan.legacy or (files.size(final) is None and files.size(in_progress) is None):
                break  # names by subtask may be taken by another run
        stream = files.create(in_progress)
        file = PartFile(bucket.bucket_id, in_progress, final, 0, now_ms)
        if self._encode is not None:
            return RowPart(file, now_ms, files, self._encode, stream)
        assert self._plan.create_bulk_writer is not None
        return BulkPart(file, now_ms, stream, self._plan.create_bulk_writer)

    def _finish_part(self, bucket: _Bucket) -> None:
        part, bucket.part = bucket.part, None
        self._recent.pop(bucket.bucket_id, None)
        if part is not None:
            try:
                self._finished.append(part.finish())
            except OSError as error:
                raise output_error("finish", part.file.in_progress, error) from error

    def _path_of(self, bucket: _Bucket) -> str:
        if bucket.part is not None:
            return bucket.part.file.in_progress
        return self._files.join(self._plan.base_path, bucket.bucket_id)

    # -- time, checkpoints, the end

    def tick(self, now_ms: int) -> int:
        """Rolls by time, at every check interval."""
        if now_ms >= self._next_check_ms:
            for bucket in self._buckets.values():
                part = bucket.part
                if part is not None and self._plan.policy.should_roll_on_processing_time(part.info, now_ms):
                    self._finish_part(bucket)
            self._next_check_ms = now_ms + self._plan.check_interval_ms
        return self._next_check_ms

    def prepare_commit(self) -> list[PendingFile]:
        """Ends the files that roll at a checkpoint, makes the others durable, and returns the finished ones."""
        may_go_on = self._encode is not None and self._files.resumable
        for bucket in list(self._buckets.values()):
            part = bucket.part
            if part is not None and (not may_go_on or self._plan.policy.should_roll_on_checkpoint(part.info)):
                self._finish_part(bucket)
            elif part is not None:
                self._sync(part)
            if bucket.part is None and not self._plan.legacy:
                del self._buckets[bucket.bucket_id]  # inactive: its next file gets a name of its own
        return self._hand_over(self._finished)

    def _hand_over(self, finished: list[PendingFile]) -> list[PendingFile]:
        if self._compactor is not None:
            finished = self._compactor.at_checkpoint(finished)
        self._finished = []
        self._handed_over.extend(finished)
        return finished

    def _sync(self, part: OpenPart) -> PartFile:
        try:
            return part.sync()
        except OSError as error:
            raise output_error("sync", part.file.in_progress, error) from error

    def snapshot(self) -> FileWriterState:
        """Files in progress with their lengths, and everything of this writer that is not yet committed."""
        waiting = [file for file in self._handed_over if self._files.size(file.in_progress) is not None]
        self._handed_over = waiting
        kept = [path for file in waiting for path in (file.in_progress, *file.replaces)]
        return FileWriterState(
            lineage=self._lineage,
            parts=tuple(self._sync(bucket.part) for bucket in self._buckets.values() if bucket.part is not None),
            pending=tuple(kept),
            uncompacted=() if self._compactor is None else self._compactor.waiting(),
        )

    def finish(self) -> list[PendingFile]:
        """Ends all files and returns them; StreamingFileSink leaves those in progress as they are."""
        for bucket in self._buckets.values():
            if not self._plan.legacy:
                self._finish_part(bucket)
            elif bucket.part is not None:
                self._sync(bucket.part)
        if self._plan.legacy and not self._context.checkpointing:
            return []
        if self._compactor is not None:
            self._finished = self._compactor.at_end(self._finished)
            self._compactor = None
        return self._hand_over(self._finished)

    def close(self) -> None:
        """Closes the files in progress and leaves them where they are."""
        for bucket in self._buckets.values():
            if bucket.part is not None:
                bucket.part.close()
        self._buckets.clear()
        self._recent.clear()

    # -- recovery

    def _recover(self, state: FileWriterState) -> None:
        for part in state.parts:
            try:
                self._recover_part(part)
            except OSError as error:
                raise output_error("go on with", part.in_progress, error) from error
        self._handed_over.extend(PendingFile(path, "", 0) for path in state.pending)
        if self._compactor is not None:
            self._compactor.recover(state.uncompacted)
        else:  # compaction was switched off since
            self._finished.extend(state.uncompacted)

    def _recover_part(self, part: PartFile) -> None:
        size_bytes = self._files.size(part.in_progress)
        if size_bytes is None and self._files.size(part.final) is not None:
            _logger.warning(
                "%s was committed after the checkpoint this job starts from: what it holds beyond %d bytes is written "
                "again",
                part.final,
                part.size_bytes,
            )
            return
        if size_bytes is None or size_bytes < part.size_bytes:
            raise JobError(
                f"The file in progress {part.in_progress!r} is {'gone' if size_bytes is None else 'too short'}: the "
                f"checkpoint needs its first {part.size_bytes} bytes. Restore it, or start without the sink's state."
            )
        bucket = self._buckets.get(part.bucket_id)
        if bucket is None:
            bucket = self._new_bucket(part.bucket_id)
        now = self._context.now_ms()
        if bucket.part is None and self._encode is not None and self._files.resumable:
            stream = self._files.resume(part.in_progress, part.size_bytes)
            bucket.part = RowPart(part, now, self._files, self._encode, stream)
            self._recent[part.bucket_id] = bucket
        else:  # two writers' files of one bucket after a change of parallelism
            self._files.truncate(part.in_progress, part.size_bytes)
            self._finished.append(PendingFile(part.in_progress, part.final, part.size_bytes))

"""FileSink, StreamingFileSink and their builders (`pyflink.datastream.connectors.file_system`)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from penstock.common.serialization import BulkWriterFactory, Encoder
from penstock.datastream.connectors._buckets import (
    BucketAssigner,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    RollingPolicy,
)
from penstock.datastream.connectors._compaction import Compaction, FileCompactor, FileCompactStrategy
from penstock.datastream.connectors._file_committer import FileCommitter
from penstock.datastream.connectors._file_writer import FileSinkPlan, FileWriter
from penstock.datastream.connectors._input_files import is_local, local_path
from penstock.datastream.connectors._output_files import output_files
from penstock.datastream.connectors._part_files import FileWriterState
from penstock.datastream.connectors.base import Sink, StreamTransformer, SupportsPreprocessing, WriterContext
from penstock.datastream.functions import SinkFunction
from penstock.errors import ConfigurationError

__all__ = ["FileSink", "StreamingFileSink"]

Self = TypeVar("Self", bound="_Builder")


class _Builder:
    """What all builders of file sinks have in common."""

    def __init__(self, plan: FileSinkPlan) -> None:
        self._plan = plan

    def with_bucket_check_interval(self: Self, interval: int) -> Self:
        """The time in ms between two looks at the clock for rolling, a minute by default.

        Raises:
            ValueError: if it is not positive.
        """
        if interval <= 0:
            raise ValueError(f"the bucket check interval must be at least 1 ms, got {interval}")
        self._plan = replace(self._plan, check_interval_ms=interval)
        return self

    def with_bucket_assigner(self: Self, bucket_assigner: BucketAssigner) -> Self:
        """Which directory an element goes to; by default one an hour."""
        self._plan = replace(self._plan, assigner=bucket_assigner)
        return self

    def with_output_file_config(self: Self, output_file_config: OutputFileConfig) -> Self:
        """What files are called."""
        self._plan = replace(self._plan, config=output_file_config)
        return self

    def with_rolling_policy(self: Self, rolling_policy: RollingPolicy) -> Self:
        """When a file is complete."""
        self._plan = replace(self._plan, policy=rolling_policy)
        return self


class _PlannedSink(Sink):
    """A sink by a plan."""

    def __init__(self, plan: FileSinkPlan) -> None:
        self._plan = plan

    def create_writer(self, context: WriterContext, recovered: Sequence[FileWriterState] = ()) -> FileWriter:
        """A writer that goes on with the files of `recovered`.

        Raises:
            JobError: if one of them is gone or shorter than it was.
        """
        return FileWriter(self._plan, output_files(self._plan.base_path)[0], context, recovered)

    def create_committer(self) -> FileCommitter:
        """Renames complete files."""
        return FileCommitter(output_files(self._plan.base_path)[0], self._plan.base_path)


class FileSink(_PlannedSink, SupportsPreprocessing):
    """Writes files below a base path, exactly once: complete files appear when their checkpoint is complete.

    Files are named `<prefix>-<uuid>-<counter><suffix>`; while they are written they have hidden names that contain
    `.inprogress.`. At the end of a bounded input all files are committed; a job on an unbounded source needs
    checkpoints to finish a file. Base paths behind a URL are written through fsspec; there every file ends at each
    checkpoint.
    """

    def get_transformer(self) -> StreamTransformer | None:
        """None: rows are taken as they are."""
        return None

    @staticmethod
    def for_row_format(base_path: str | os.PathLike[str], encoder: Encoder) -> FileSink.RowFormatBuilder:
        """Writes elements one after the other; rolls by size and time unless told otherwise."""
        return FileSink.RowFormatBuilder(_row_plan(base_path, encoder))

    @staticmethod
    def for_bulk_format(
        base_path: str | os.PathLike[str], writer_factory: BulkWriterFactory
    ) -> FileSink.BulkFormatBuilder:
        """Writes files in a format of their own; rolls at every checkpoint."""
        return FileSink.BulkFormatBuilder(_bulk_plan(base_path, writer_factory))

    class BaseBuilder(_Builder):
        """Settings of both kinds."""

        def enable_compact(self, strategy: FileCompactStrategy, compactor: FileCompactor) -> FileSink.BaseBuilder:
            """Puts small files of one subtask and directory together before they are committed."""
            self._plan = replace(self._plan, compaction=Compaction(strategy, compactor))
            return self

        def disable_compact(self) -> FileSink.BaseBuilder:
            """Commits files as they were written: the default."""
            self._plan = replace(self._plan, compaction=None)
            return self

        def build(self) -> FileSink:
            """The sink."""
            return FileSink(self._plan)

    class RowFormatBuilder(BaseBuilder):
        """Settings of a row format."""

    class BulkFormatBuilder(BaseBuilder):
        """Settings of a bulk format."""

        def with_rolling_policy(self: Self, rolling_policy: RollingPolicy) -> Self:
            """Accepts the only policy there is for bulk formats.

            Raises:
                ValueError: for any other.
            """
            if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
                raise ValueError("rolling_policy must be OnCheckpointRollingPolicy for bulk format")
            self._plan = replace(self._plan, policy=rolling_policy)
            return self

        def build(self) -> FileSink:
            """The sink.

            Raises:
                ConfigurationError: if files are to be compacted in a way that would break their format.
            """
            compaction = self._plan.compaction
            if compaction is not None and not compaction.compactor.only_one:
                raise ConfigurationError(
                    "FileCompactor.concat_file_compactor puts files together byte by byte, which bulk formats do not "
                    "survive. Use FileCompactor.identical_file_compactor, or longer checkpoint intervals."
                )
            return FileSink(self._plan)


class StreamingFileSink(SinkFunction):
    """The predecessor of FileSink: names by subtask, and files still in progress at the end of a bounded input stay so.

    Used with `add_sink`; deprecated since Flink 1.15.
    """

    def __init__(self, plan: FileSinkPlan) -> None:
        warnings.warn("Deprecated in 1.15. Use FileSink instead.", DeprecationWarning, stacklevel=3)
        self._plan = replace(plan, legacy=True)

    def to_sink(self) -> Sink:
        """The sink that does the work."""
        return _PlannedSink(self._plan)

    @staticmethod
    def for_row_format(
        base_path: str | os.PathLike[str], encoder: Encoder
    ) -> StreamingFileSink.DefaultRowFormatBuilder:
        """Writes elements one after the other."""
        return StreamingFileSink.DefaultRowFormatBuilder(_row_plan(base_path, encoder))

    @staticmethod
    def for_bulk_format(
        base_path: str | os.PathLike[str], writer_factory: BulkWriterFactory
    ) -> StreamingFileSink.DefaultBulkFormatBuilder:
        """Writes files in a format of their own."""
        return StreamingFileSink.DefaultBulkFormatBuilder(_bulk_plan(base_path, writer_factory))

    class BaseBuilder(_Builder):
        """Settings of both kinds."""

        def with_rolling_policy(self: Self, policy: RollingPolicy) -> Self:  # PyFlink calls it so here
            """When a file is complete."""
            self._plan = replace(self._plan, policy=policy)
            return self

        def build(self) -> StreamingFileSink:
            """The sink."""
            return StreamingFileSink(self._plan)

    class DefaultRowFormatBuilder(BaseBuilder):
        """Settings of a row format."""

    class DefaultBulkFormatBuilder(BaseBuilder):
        """Settings of a bulk format."""


def _row_plan(base_path: str | os.PathLike[str], encoder: Any) -> FileSinkPlan:
    if not isinstance(encoder, Encoder):
        raise TypeError(f"a row format needs an Encoder, got {encoder!r}")
    policy = RollingPolicy.default_rolling_policy()
    return _plan(base_path, FileSinkPlan("", encoder, None, _hourly(), policy, _config()))


def _bulk_plan(base_path: str | os.PathLike[str], writer_factory: Any) -> FileSinkPlan:
    create = getattr(writer_factory, "create", None)
    if create is None:
        raise TypeError(f"a bulk format needs a BulkWriterFactory with create(), got {writer_factory!r}")
    policy = RollingPolicy.on_checkpoint_rolling_policy()
    return _plan(base_path, FileSinkPlan("", None, create, _hourly(), policy, _config()))


def _plan(base_path: str | os.PathLike[str], plan: FileSinkPlan) -> FileSinkPlan:
    path = os.fspath(base_path)
    return replace(plan, base_path=local_path(path) if is_local(path) else path.rstrip("/"))


def _hourly() -> BucketAssigner:
    return BucketAssigner.date_time_bucket_assigner()


def _config() -> OutputFileConfig:
    return OutputFileConfig.builder().build()

"""Files as sources and sinks (`pyflink.datastream.connectors.file_system`)."""

from penstock.datastream.connectors._buckets import (
    BucketAssigner,
    DefaultRollingPolicy,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    RollingPolicy,
)
from penstock.datastream.connectors._compaction import FileCompactor, FileCompactStrategy
from penstock.datastream.connectors._file_formats import BulkFormat, StreamFormat
from penstock.datastream.connectors._file_sink import FileSink, StreamingFileSink
from penstock.datastream.connectors._file_source import (
    FileEnumeratorProvider,
    FileSource,
    FileSourceBuilder,
    FileSplitAssignerProvider,
)

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "DefaultRollingPolicy",
    "FileCompactStrategy",
    "FileCompactor",
    "FileEnumeratorProvider",
    "FileSink",
    "FileSource",
    "FileSourceBuilder",
    "FileSplitAssignerProvider",
    "OnCheckpointRollingPolicy",
    "OutputFileConfig",
    "RollingPolicy",
    "StreamFormat",
    "StreamingFileSink",
]

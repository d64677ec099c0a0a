"""Parquet files (`pyflink.datastream.formats.parquet`); needs pyarrow, the extra `parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from penstock.common.serialization import BulkWriterFactory
from penstock.common.typeinfo import TypeInformation
from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.connectors._file_formats import BulkFormat, FileRecords, FileSplit, StreamFormat
from penstock.datastream.formats._arrow_columns import arrow_batch, arrow_schema, pyarrow, row_reader
from penstock.datastream.formats._avro_columns import AvroColumns
from penstock.datastream.formats._logical_types import LogicalType, logical_type
from penstock.datastream.formats._parquet_files import ParquetFileWriter, ParquetRecords
from penstock.datastream.formats.avro import AvroSchema, GenericRecordAvroTypeInfo

if TYPE_CHECKING:
    from penstock.common.configuration import Configuration

__all__ = ["AvroParquetReaders", "AvroParquetWriters", "ParquetBulkWriters", "ParquetColumnarRowInputFormat"]

_DEFAULT_BATCH = 2048


class AvroParquetReaders:
    """Makes formats that read Parquet files as Avro records."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> StreamFormat:
        """A format that reads the schema's fields as plain Python values."""
        return _AvroParquetFormat(schema)


class _AvroParquetFormat(StreamFormat):
    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema
        pyarrow()

    @property
    def produced_type(self) -> TypeInformation:
        return GenericRecordAvroTypeInfo(self._schema)

    @property
    def decompresses(self) -> bool:
        return False

    def open(self, file: BinaryIO, split: FileSplit, seekable: bool) -> FileRecords:
        columns = AvroColumns(self._schema)
        return ParquetRecords(file, split, columns.names, True, columns.records, _DEFAULT_BATCH)


class AvroParquetWriters:
    """Makes writers of Parquet files from Avro records for `FileSink.for_bulk_format`."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> BulkWriterFactory:
        """Writers of plain Python values of this schema."""
        return _AvroParquetWriterFactory(schema)


class _AvroParquetWriterFactory(BulkWriterFactory):
    def __init__(self, schema: AvroSchema) -> None:
        super().__init__()
        self._schema = schema
        pyarrow()

    def create(self, stream: BinaryIO) -> BulkWriter:
        """A writer to a file just created."""
        columns = AvroColumns(self._schema)
        return ParquetFileWriter(stream, columns.arrow_schema, columns.batch, {}, int96_timestamps=False)


class ParquetColumnarRowInputFormat(BulkFormat):
    """Reads columns of Parquet files as Rows.

    Args:
        row_type: `DataTypes.ROW([...])` of the columns to read.
        hadoop_config: accepted; reading has no settings of it.
        batch_size: rows read at once.
        is_utc_timestamp: whether timestamps in the files are wall times of UTC, else they are turned into local time.
        is_case_sensitive: whether column names must match in case.
    """

    def __init__(
        self,
        row_type: Any,
        hadoop_config: Configuration | None = None,
        batch_size: int = _DEFAULT_BATCH,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        self._row: LogicalType = logical_type(row_type)
        self._batch_size = batch_size
        self._is_utc_timestamp = is_utc_timestamp
        self._is_case_sensitive = is_case_sensitive
        pyarrow()

    @property
    def produced_type(self) -> TypeInformation:
        """The row type."""
        return self._row.type_info

    @property
    def splittable(self) -> bool:
        """True: by row groups."""
        return True

    def open(self, file: BinaryIO, split: FileSplit, seekable: bool) -> FileRecords:
        """Reads the row groups that start in the split's range."""
        read = row_reader(self._row, self._is_utc_timestamp)
        return ParquetRecords(file, split, list(self._row.names), self._is_case_sensitive, read, self._batch_size)


class ParquetBulkWriters:
    """Makes writers of Parquet files from Rows for `FileSink.for_bulk_format`."""

    @staticmethod
    def for_row_type(
        row_type: Any, hadoop_config: Configuration | None = None, utc_timestamp: bool = False
    ) -> BulkWriterFactory:
        """Writers of Rows of this type.

        Args:
            row_type: `DataTypes.ROW([...])`.
            hadoop_config: `parquet.compression` (SNAPPY by default) and `parquet.block.size` (of a row group) count.
            utc_timestamp: whether timestamps are wall times of UTC; otherwise they are turned from local time.
        """
        settings = {} if hadoop_config is None else hadoop_config.to_dict()
        return _ParquetRowWriterFactory(logical_type(row_type), settings, utc_timestamp)


class _ParquetRowWriterFactory(BulkWriterFactory):
    def __init__(self, row: LogicalType, settings: dict[str, str], utc_timestamp: bool) -> None:
        super().__init__()
        self._row = row
        self._settings = settings
        self._utc_timestamp = utc_timestamp
        pyarrow()

    def create(self, stream: BinaryIO) -> BulkWriter:
        """A writer to a file just created."""
        schema = arrow_schema(self._row)

        def batch(rows: list[Any]) -> Any:
            return arrow_batch(rows, self._row, schema, self._utc_timestamp)

        return ParquetFileWriter(stream, schema, batch, self._settings, int96_timestamps=True)

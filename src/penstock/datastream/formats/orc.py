"""ORC files (`pyflink.datastream.formats.orc`); needs pyarrow, the extra `parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from penstock.common.serialization import BulkWriterFactory
from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.formats._arrow_columns import arrow_batch, arrow_schema, pyarrow
from penstock.datastream.formats._logical_types import LogicalType, row_logical_type

if TYPE_CHECKING:
    from penstock.common.configuration import Configuration

__all__ = ["OrcBulkWriters"]

_ROWS_A_BATCH = 4096


class OrcBulkWriters:
    """Makes writers of ORC files from Rows for `FileSink.for_bulk_format`."""

    @staticmethod
    def for_row_type(
        row_type: Any,
        writer_properties: Configuration | None = None,
        hadoop_config: Configuration | None = None,  # noqa: ARG004 - PyFlink's parameter
    ) -> BulkWriterFactory:
        """Writers of Rows of this type.

        Args:
            row_type: `DataTypes.ROW([...])`.
            writer_properties: `orc.compress` (ZLIB by default) counts.
            hadoop_config: accepted; it has no settings that count.

        Raises:
            TypeError: if `row_type` is none.
        """
        settings = {} if writer_properties is None else writer_properties.to_dict()
        return _OrcWriterFactory(row_logical_type(row_type), settings.get("orc.compress", "ZLIB"))


class _OrcWriterFactory(BulkWriterFactory):
    def __init__(self, row: LogicalType, compression: str) -> None:
        super().__init__()
        self._row = row
        self._compression = compression
        pyarrow()

    def create(self, stream: BinaryIO) -> BulkWriter:
        """A writer to a file just created."""
        return _OrcFileWriter(stream, self._row, self._compression)


class _OrcFileWriter(BulkWriter):
    """Owned by the task thread."""

    def __init__(self, stream: BinaryIO, row: LogicalType, compression: str) -> None:
        import pyarrow.orc

        self._row = row
        self._schema = arrow_schema(row, time_as_int=True)
        none = compression.upper() == "NONE"
        self._writer = pyarrow.orc.ORCWriter(stream, compression="uncompressed" if none else compression.lower())
        self._rows: list[Any] = []

    def add_elements(self, elements: Sequence[Any]) -> None:
        self._rows.extend(elements)
        if len(self._rows) >= _ROWS_A_BATCH:
            self.flush()

    def flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        batch = arrow_batch(rows, self._row, self._schema, utc_timestamp=True)
        self._writer.write(pyarrow().Table.from_batches([batch], self._schema))

    def finish(self) -> None:
        self.flush()
        self._writer.close()

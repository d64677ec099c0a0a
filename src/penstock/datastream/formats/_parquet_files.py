"""Parquet files: reading row groups in small batches, and writing row groups of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from penstock.datastream.connectors._bulk_writer import BulkWriter
from penstock.datastream.connectors._file_formats import FileRecords, FileSplit
from penstock.datastream.formats._arrow_columns import pyarrow

__all__ = ["ParquetFileWriter", "ParquetRecords"]

_READ_BUFFER_BYTES = 256 * 1024  # column chunks are read in such pieces, not whole
_ROWS_A_BATCH = 4096  # rows turned into Arrow columns at once
_ROW_GROUP_BYTES = 16 * 1024 * 1024  # what a writer holds back at most, unless parquet.block.size says otherwise


class ParquetRecords(FileRecords):
    """The records of the row groups of one split; a position is a number of records of theirs.

    Owned by the thread that reads the file.
    """

    def __init__(
        self,
        file: BinaryIO,
        split: FileSplit,
        names: Sequence[str],
        case_sensitive: bool,
        read: Callable[[Any], list[Any]],
        batch_size: int,
    ) -> None:
        import pyarrow.parquet

        self._file = pyarrow.parquet.ParquetFile(file, buffer_size=_READ_BUFFER_BYTES, pre_buffer=False)
        self._read = read
        metadata = self._file.metadata
        groups = [group for group in range(metadata.num_row_groups) if _starts_in(metadata.row_group(group), split)]
        self._total = sum(metadata.row_group(group).num_rows for group in groups)
        self._done = 0
        skip = split.offset or 0
        while groups and skip >= metadata.row_group(groups[0]).num_rows:
            skipped = metadata.row_group(groups.pop(0)).num_rows
            self._done += skipped
            skip -= skipped
        self._skip = skip
        self._batches: Iterator[Any] = self._file.iter_batches(
            batch_size, row_groups=groups, columns=self._columns(names, case_sensitive), use_threads=False
        )
        self._names = list(names)

    def _columns(self, names: Sequence[str], case_sensitive: bool) -> list[str]:
        """The names in the file of the columns to read."""
        present = self._file.schema_arrow.names
        found = {name if case_sensitive else name.lower(): name for name in reversed(present)}
        wanted = [name if case_sensitive else name.lower() for name in names]
        missing = [name for name in wanted if name not in found]
        if missing:
            raise ValueError(f"the file has no column {', '.join(missing)}; it has {', '.join(present)}")
        return [found[name] for name in wanted]

    def next_batch(self) -> list[Any]:
        """The records of the next Arrow batch."""
        for batch in self._batches:
            if self._skip >= batch.num_rows:
                self._skip -= batch.num_rows
                self._done += batch.num_rows
                continue
            self._done += self._skip
            self.offset = self._done
            rest = batch.slice(self._skip) if self._skip else batch
            self._skip = 0
            self._done += rest.num_rows
            self.done_fraction = self._done / self._total
            return self._read(rest)
        self.offset = self._done
        return []

    def close(self) -> None:
        """Closes the reader."""
        self._file.close()


def _starts_in(group: Any, split: FileSplit) -> bool:
    if (split.start == 0 and split.end is None) or group.num_columns == 0:
        return split.start == 0
    column = group.column(0)
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    return bool(split.start <= start and (split.end is None or start < split.end))


class ParquetFileWriter(BulkWriter):
    """Collects rows into row groups. Owned by the task thread."""

    def __init__(
        self,
        stream: BinaryIO,
        schema: Any,
        batch: Callable[[list[Any]], Any],
        settings: Mapping[str, str],
        int96_timestamps: bool,
    ) -> None:
        import pyarrow.parquet

        compression = settings.get("parquet.compression", "SNAPPY").lower()
        self._writer = pyarrow.parquet.ParquetWriter(
            stream,
            schema,
            compression="none" if compression == "uncompressed" else compression,
            use_deprecated_int96_timestamps=int96_timestamps,  # as flink-parquet writes them, so that Flink reads them
        )
        self._schema = schema
        self._batch = batch
        self._row_group_bytes = int(settings.get("parquet.block.size", _ROW_GROUP_BYTES))
        self._rows: list[Any] = []
        self._batches: list[Any] = []
        self._held_bytes = 0

    def add_elements(self, elements: Sequence[Any]) -> None:
        """Takes rows; full row groups are written."""
        self._rows.extend(elements)
        if len(self._rows) >= _ROWS_A_BATCH:
            self._pack()
            if self._held_bytes >= self._row_group_bytes:
                self.flush()

    def _pack(self) -> None:
        if self._rows:
            batch = self._batch(self._rows)
            self._rows = []
            self._batches.append(batch)
            self._held_bytes += batch.nbytes

    def flush(self) -> None:
        """Writes what is held as a row group."""
        self._pack()
        if self._batches:
            self._writer.write_table(pyarrow().Table.from_batches(self._batches, self._schema))
            self._batches = []
            self._held_bytes = 0

    def finish(self) -> None:
        """Writes the last row group and the footer."""
        self.flush()
        self._writer.close()

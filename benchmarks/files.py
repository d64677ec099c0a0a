"""Files against the loops one writes by hand: reading text, CSV and JSON lines, writing text.

    python -m benchmarks.files [--lines 1000000]

Readers and writers are driven as the runtime drives them, in batches of 1,024. The loop over an open file makes no lists
and strips no line ends, so it does less than the reader. Times are CPU times of the process, medians of five rounds.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import interleaved, table
from penstock.common import Encoder, Types
from penstock.datastream.connectors.base import END_OF_INPUT, ReaderContext, Source, WriterContext
from penstock.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from penstock.datastream.formats.csv import CsvReaderFormat, CsvSchema
from penstock.datastream.formats.json import JsonReaderFormat
from penstock.table import DataTypes

BATCH = 1024


def read(source: Source) -> int:
    reader = source.create_reader(source.plan_splits(1), ReaderContext(0, 1, lambda: None, lambda: 0))
    count = 0
    while (batch := reader.poll(BATCH)) is not END_OF_INPUT:
        assert batch is not None
        count += len(batch.values)
    reader.close()
    return count


def source_of(path: Path, file_format: StreamFormat) -> Source:
    return FileSource.for_record_stream_format(file_format, str(path)).build()


def loop_over_lines(path: Path) -> int:
    count = 0
    with path.open() as file:
        for _ in file:
            count += 1
    return count


def loop_over_csv(path: Path) -> int:
    count = 0
    with path.open(newline="") as file:
        for fields in csv.reader(file):
            _ = (int(fields[0]), fields[1], int(fields[2]), fields[3])
            count += 1
    return count


def loop_over_json(path: Path) -> int:
    count = 0
    with path.open() as file:
        for line in file:
            json.loads(line)
            count += 1
    return count


def write_by_hand(folder: Path, batch: list[str], batches: int) -> int:
    with (folder / "by hand").open("w") as file:
        for _ in range(batches):
            for line in batch:
                file.write(line + "\n")
    return len(batch) * batches


def write_by_sink(folder: Path, batch: list[str], batches: int) -> int:
    base = folder / "by sink"
    sink = FileSink.for_row_format(str(base), Encoder.simple_string_encoder()).build()
    context = WriterContext(0, 1, lambda: int(time.time() * 1000), Types.STRING(), checkpointing=True)
    writer = sink.create_writer(context)
    for _ in range(batches):
        writer.write(batch, None, 0)
    sink.create_committer().commit(writer.finish())
    shutil.rmtree(base)
    return len(batch) * batches


def compare(title: str, loop: Callable[[], int], ours: Callable[[], int]) -> list[str]:
    timings = interleaved({"loop": loop, "ours": ours})
    assert timings["loop"].result == timings["ours"].result
    loop_ns, ours_ns = (timings[name].cpu_s / timings[name].result * 1e9 for name in ("loop", "ours"))
    return [title, f"{loop_ns:.0f}", f"{ours_ns:.0f}", f"{ours_ns / loop_ns:.2f}"]


def make_files(folder: Path, lines: int) -> dict[str, Path]:
    paths = {kind: folder / kind for kind in ("text", "csv", "quoted csv", "json")}
    contents: dict[str, Callable[[int], str]] = {
        "text": lambda i: f"{i} some words of a line of text, and {i * 7} more\n",
        "csv": lambda i: f"{i},some words of a line,{i * 7},x\n",
        "quoted csv": lambda i: f'{i},"some, words of a line",{i * 7},x\n',
        "json": lambda i: json.dumps({"a": i, "b": "some words of a line", "c": i * 7, "d": "x"}) + "\n",
    }
    for kind, path in paths.items():
        with path.open("w") as file:
            file.writelines(map(contents[kind], range(lines)))
    return paths


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=200_000)
    lines: int = parser.parse_args(arguments).lines
    schema = (
        CsvSchema.builder()
        .add_number_column("a", DataTypes.INT())
        .add_string_column("b")
        .add_number_column("c")
        .add_string_column("d")
        .build()
    )
    kind = Types.ROW_NAMED(["a", "b", "c", "d"], [Types.INT(), Types.STRING(), Types.LONG(), Types.STRING()])
    batch = [f"{i} some words of a line of text" for i in range(BATCH)]
    formats: dict[str, Any] = {
        "text": (loop_over_lines, StreamFormat.text_line_format()),
        "csv": (loop_over_csv, CsvReaderFormat.for_schema(schema)),
        "quoted csv": (loop_over_csv, CsvReaderFormat.for_schema(schema)),
        "json": (loop_over_json, JsonReaderFormat.for_type_info(kind)),
    }
    with tempfile.TemporaryDirectory() as name:
        paths = make_files(Path(name), lines)
        rows = [
            compare(f"read {what}", partial(loop, paths[what]), partial(read, source_of(paths[what], file_format)))
            for what, (loop, file_format) in formats.items()
        ]
        folder, batches = Path(name), lines // BATCH
        rows.append(
            compare(
                "write text",
                lambda: write_by_hand(folder, batch, batches),
                lambda: write_by_sink(folder, batch, batches),
            )
        )
    table(f"{lines:,} lines", ["", "hand-written loop, ns a record", "Penstock, ns a record", "ratio"], rows)


if __name__ == "__main__":
    main()

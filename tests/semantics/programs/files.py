"""File sources and file sinks."""

import datetime
import decimal
import os
import re
import shutil
import tempfile
from pathlib import Path

from pyflink.common import Instant, Row, Types, WatermarkStrategy
from pyflink.common.serialization import Encoder
from pyflink.datastream.connectors.file_system import (
    BucketAssigner,
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from semantics_case import case


def written(env, stream, **options):
    """The lines of all finished files, and the files' names with what is random replaced."""
    base = tempfile.mkdtemp()
    builder = FileSink.for_row_format(base, Encoder.simple_string_encoder())
    config = OutputFileConfig.builder().with_part_prefix("pre").with_part_suffix(".txt").build()
    builder = builder.with_output_file_config(options.get("config", config))
    if "bucket" in options:
        builder = builder.with_bucket_assigner(options["bucket"])
    if "rolling" in options:
        builder = builder.with_rolling_policy(options["rolling"])
    stream.sink_to(builder.build())
    env.execute()
    files = sorted(Path(base).rglob("*"))
    lines = sorted(line for file in files if file.is_file() for line in file.read_text().splitlines())
    names = sorted({mask(str(file.relative_to(base))) for file in files if file.is_file()})
    shutil.rmtree(base)
    return [lines, names]


def mask(name):
    name = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>", name)
    return re.sub(r"\d{4}-\d{2}-\d{2}--\d{2}", "<hour>", name)


@case()
def row_lines(env):
    stream = env.from_collection([0]).map(
        lambda _: Row(1, "a", None, 0.5, True),
        Types.ROW([Types.INT(), Types.STRING(), Types.STRING(), Types.DOUBLE(), Types.BOOLEAN()]),
    )
    return written(env, stream)


@case()
def nested_row_lines(env):
    typed = Types.ROW(
        [
            Types.ROW([Types.INT(), Types.STRING()]),
            Types.TUPLE([Types.INT(), Types.STRING()]),
            Types.LIST(Types.INT()),
            Types.MAP(Types.STRING(), Types.INT()),
            Types.BASIC_ARRAY(Types.STRING()),
            Types.PRIMITIVE_ARRAY(Types.INT()),
        ]
    )
    value = Row(Row(1, "a"), (2, "b"), [1, 2], {"k": 1}, ["x", None], [1, 2])
    return written(env, env.from_collection([0]).map(lambda _: value, typed))


@case()
def time_row_lines(env):
    typed = Types.ROW([Types.SQL_DATE(), Types.SQL_TIME(), Types.SQL_TIMESTAMP(), Types.INSTANT(), Types.BIG_DEC()])
    value = Row(
        datetime.date(2024, 2, 29),
        datetime.time(1, 2, 3),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 450000),
        Instant(1700000000, 0),
        decimal.Decimal("1.50"),
    )
    return written(env, env.from_collection([0]).map(lambda _: value, typed))


@case()
def tuple_and_string_lines(env):
    tuples = env.from_collection([0]).map(lambda _: (1, "a"), Types.TUPLE([Types.INT(), Types.STRING()]))
    return written(env, tuples) + written(env, env.from_collection(["a", "b"], Types.STRING()))


@case(
    better=["['(1, 2)', 'text']", "['<hour>/pre-<uuid>-0.txt']"],
    why="an untyped stream writes the identity text of a Java byte array in PyFlink",
)
def untyped_lines(env):
    return written(env, env.from_collection([(1, 2), "text"]))


@case()
def base_path_bucket(env):
    return written(env, env.from_collection(["a"], Types.STRING()), bucket=BucketAssigner.base_path_bucket_assigner())


@case()
def date_time_bucket(env):
    bucket = BucketAssigner.date_time_bucket_assigner("yyyy", "UTC")
    lines, names = written(env, env.from_collection(["a"], Types.STRING()), bucket=bucket)
    return [lines, [re.sub(r"^\d{4}/", "<year>/", name) for name in names]]


@case()
def default_file_names(env):
    return written(env, env.from_collection(["a"], Types.STRING()), config=OutputFileConfig.builder().build())


@case()
def rolling_by_size(env):
    rolling = RollingPolicy.default_rolling_policy(part_size=20, rollover_interval=60_000, inactivity_interval=60_000)
    stream = env.from_collection([f"line number {number}" for number in range(5)], Types.STRING())
    return written(env, stream, rolling=rolling, bucket=BucketAssigner.base_path_bucket_assigner())


@case()
def on_checkpoint_rolling_finishes_at_the_end(env):
    rolling = RollingPolicy.on_checkpoint_rolling_policy()
    return written(env, env.from_collection(["a"], Types.STRING()), rolling=rolling)


@case()
def nothing_written_means_no_files(env):
    return written(env, env.from_collection(["a"], Types.STRING()).filter(lambda v: False))


def texts(files):
    base = tempfile.mkdtemp()
    for name, text in files.items():
        path = Path(base, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return base


def read(env, source):
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "files")
    with stream.execute_and_collect() as results:
        return [str(stream.get_type()), sorted(results)]


@case()
def text_lines(env):
    base = texts({"a.txt": b"one\ntwo\r\n\nlast without newline", "empty.txt": b""})
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), base).process_static_file_set()
    return read(env, source.build())


@case()
def directories_and_hidden_files(env):
    base = texts({"x/y/deep.txt": b"deep\n", ".hidden": b"no\n", "_skipped": b"no\n", "x/.also": b"no\n", "z": b"z\n"})
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), base).build()
    return read(env, source)


@case()
def several_paths_and_a_charset(env):
    base = texts({"a.txt": "grün\n".encode("latin-1"), "b.txt": b"plain\n"})
    source = FileSource.for_record_stream_format(
        StreamFormat.text_line_format("ISO-8859-1"), os.path.join(base, "a.txt"), os.path.join(base, "b.txt")
    ).build()
    return read(env, source)


@case(error="nowhere")
def a_path_that_does_not_exist_fails(env):
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), "/nowhere/at/all").build()
    return read(env, source)


@case(parallelism=2)
def file_source_at_parallelism_two(env):
    base = texts({f"{number}.txt": f"file {number}\n".encode() for number in range(4)})
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), base).build()
    return read(env, source)


@case()
def number_sequence(env):
    return env.from_source(NumberSequenceSource(3, 6), WatermarkStrategy.no_watermarks(), "numbers")


@case()
def number_sequence_type(env):
    stream = env.from_source(NumberSequenceSource(3, 6), WatermarkStrategy.no_watermarks(), "numbers")
    return [str(stream.get_type()), stream.get_name()]


@case(parallelism=2, order="any")
def number_sequence_at_parallelism_two(env):
    return env.from_source(NumberSequenceSource(-2, 5), WatermarkStrategy.no_watermarks(), "numbers")


@case(error=".")
def number_sequence_refuses_reversed_bounds(env):
    NumberSequenceSource(5, 3)

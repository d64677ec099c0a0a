"""CSV files, and sources one after the other."""

import shutil
import tempfile
from pathlib import Path

from pyflink.common import Types, WatermarkStrategy
from pyflink.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from pyflink.datastream.connectors.hybrid_source import HybridSource
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from pyflink.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from pyflink.table import DataTypes
from semantics_case import case


def rows_of(env, schema, text):
    path = Path(tempfile.mkdtemp(), "in.csv")
    path.write_text(text)
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(path)).build()
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "csv")
    return stream.map(lambda row: row, Types.PICKLED_BYTE_ARRAY())


def round_trip(env, schema, text):
    path = Path(tempfile.mkdtemp(), "in.csv")
    path.write_text(text)
    out = tempfile.mkdtemp()
    source = FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), str(path)).build()
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "csv")
    stream.sink_to(FileSink.for_bulk_format(out, CsvBulkWriters.for_schema(schema)).build())
    env.execute()
    written = "".join(sorted(file.read_text() for file in Path(out).rglob("*") if file.is_file()))
    shutil.rmtree(out)
    return written


def numbers():
    return (
        CsvSchema.builder()
        .add_number_column("tiny", DataTypes.TINYINT())
        .add_number_column("big", DataTypes.BIGINT())
        .add_number_column("float", DataTypes.FLOAT())
        .add_number_column("double", DataTypes.DOUBLE())
        .add_boolean_column("flag")
        .add_string_column("text")
        .build()
    )


@case()
def typed_columns(env):
    return rows_of(env, numbers(), "1,9223372036854775807,0.5,1e-5,true,some text\n-1,-2,100,0.25,false,\n")


@case()
def typed_columns_written(env):
    return round_trip(env, numbers(), "1,9223372036854775807,0.5,1e-5,true,some text\n-1,-2,100,0.25,false,\n")


@case()
def decimal_columns(env):
    schema = CsvSchema.builder().add_number_column("d", DataTypes.DECIMAL(5, 2)).build()
    return rows_of(env, schema, "1.555\n-3\n")


@case()
def array_columns(env):
    schema = (
        CsvSchema.builder()
        .add_array_column("n", separator=";", element_type=DataTypes.INT())
        .add_array_column("s", separator=":", element_type=DataTypes.STRING())
        .set_column_separator("|")
        .disable_quote_char()
        .build()
    )
    return rows_of(env, schema, "1;2;3|a:b\n").map(lambda row: (list(row["n"]), list(row["s"])))


@case()
def quotes_and_escapes(env):
    schema = CsvSchema.builder().add_string_column("a").add_string_column("b").set_escape_char("\\").build()
    return rows_of(env, schema, '"x, y","say ""hi"""\nplain\\,,\\"q\\"\n')


@case()
def quotes_written(env):
    schema = CsvSchema.builder().add_string_column("a").add_string_column("b").build()
    return round_trip(env, schema, '"x, y","say ""hi"""\nplain,two words\n')


@case()
def headers_and_comments(env):
    schema = (
        CsvSchema.builder().add_string_column("a").add_number_column("b").set_use_header().set_allow_comments().build()
    )
    return rows_of(env, schema, "A,B\nx,1\n# no\ny,2\n")


@case()
def other_quote_and_separator(env):
    schema = (
        CsvSchema.builder()
        .add_string_column("a")
        .add_string_column("b")
        .set_column_separator(";")
        .set_quote_char("'")
        .build()
    )
    return rows_of(env, schema, "'x;y';z\n")


@case(error="nr|number|parse|deserialize")
def a_number_that_is_none_fails(env):
    schema = CsvSchema.builder().add_number_column("n").build()
    return rows_of(env, schema, "nr\n")


@case()
def hybrid_source_reads_one_after_the_other(env):
    folder = tempfile.mkdtemp()
    Path(folder, "a.txt").write_text("first\n")
    other = tempfile.mkdtemp()
    Path(other, "b.txt").write_text("second\n")
    files = [
        FileSource.for_record_stream_format(StreamFormat.text_line_format(), each).build() for each in (folder, other)
    ]
    source = HybridSource.builder(files[0]).add_source(files[1]).build()
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "hybrid", Types.STRING())


@case()
def hybrid_number_sequences(env):
    source = HybridSource.builder(NumberSequenceSource(1, 3)).add_source(NumberSequenceSource(7, 9)).build()
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "hybrid", Types.LONG())

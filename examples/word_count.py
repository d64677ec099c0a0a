"""Word count: a plain PyFlink DataStream program. It runs on Apache Flink and under `penstock run` alike.

python word_count.py --input FILE [--output DIRECTORY]
"""

import argparse
import re

from pyflink.common import Encoder, Types, WatermarkStrategy
from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink, FileSource, OutputFileConfig, StreamFormat


def words(line):
    for word in re.findall(r"[a-z]+(?:'[a-z]+)?", line.lower()):
        yield word, 1


def word_count(input_path, output_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    env.set_parallelism(1)

    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), input_path)
    lines = env.from_source(
        source.process_static_file_set().build(), WatermarkStrategy.for_monotonous_timestamps(), "text"
    )
    counts = (
        lines.flat_map(words, output_type=Types.TUPLE([Types.STRING(), Types.INT()]))
        .key_by(lambda pair: pair[0], key_type=Types.STRING())
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
        .filter(lambda pair: pair[1] >= 20)
    )
    if output_path is None:
        counts.print()
    else:
        sink = FileSink.for_row_format(output_path, Encoder.simple_string_encoder())
        config = OutputFileConfig.builder().with_part_prefix("counts").with_part_suffix(".txt").build()
        counts.sink_to(sink.with_output_file_config(config).build())
    env.execute("word count")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", required=True, help="a text file or a directory of text files")
    parser.add_argument("--output", help="directory for the counts; standard output without it")
    arguments = parser.parse_args()
    word_count(arguments.input, arguments.output)

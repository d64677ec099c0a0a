"""Asks Flink itself what it makes of `format_cases`, and writes `expected.json`.

Run it with the Python of an environment that has apache-flink 2.2.1 and Java, from this folder:
`python record_expectations.py`. The tests need neither.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("JAVA_HOME", "/usr")

import format_cases as cases  # noqa: E402
from pyflink.common.typeinfo import Types as T  # noqa: E402
from pyflink.datastream.formats.csv import (  # noqa: E402
    CsvBulkWriters,
    CsvReaderFormat,
    CsvRowDeserializationSchema,
    CsvRowSerializationSchema,
    CsvSchema,
)
from pyflink.datastream.formats.json import JsonRowDeserializationSchema, JsonRowSerializationSchema  # noqa: E402
from pyflink.java_gateway import get_gateway  # noqa: E402
from pyflink.table import DataTypes as D  # noqa: E402
from pyflink.table.types import _to_java_data_type  # noqa: E402

GATEWAY = get_gateway()
JVM = GATEWAY.jvm
ERROR = "error"


def shape(value):  # noqa: C901
    """A value as tagged text, the same for Java's and Python's values."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        return f"{type(value).__name__}:{value}"
    if isinstance(value, float):
        return f"float:{value:.7g}"
    if isinstance(value, (bytes, bytearray)):
        return f"bytes:{bytes(value).hex()}"
    kind = type(value).__name__
    if kind == "Decimal":
        return f"Decimal:{value:f}"
    if not hasattr(value, "getClass"):
        return ["list", *[shape(item) for item in value]]
    kind = value.getClass().getSimpleName()
    if kind == "Row":
        return ["Row", *[shape(value.getField(index)) for index in range(value.getArity())]]
    if kind.endswith("[]"):
        array = JVM.java.lang.reflect.Array
        return ["list", *[shape(array.get(value, index)) for index in range(array.getLength(value))]]
    if "Map" in kind:
        return ["map", {str(key): shape(value.get(key)) for key in value.keySet()}]
    if "List" in kind:
        return ["list", *[shape(value.get(index)) for index in range(value.size())]]
    if kind == "BigInteger":
        return f"int:{value.toString()}"
    if kind == "Date":
        return f"date:{value.toString()}"
    if kind == "Time":
        return f"time:{value.toString()}"
    if kind == "Timestamp":
        text = value.toLocalDateTime().toString()
        return f"datetime:{text.rstrip('0') if '.' in text else text}"
    return f"{kind}:{value.toString()}"


def opened(schema):
    try:
        schema.open(None)
    except Exception as error:
        if "null" not in str(error) and "NullPointer" not in str(error):
            raise
    return schema


def R(field):
    return T.ROW_NAMED(["a"], [field])


def type_of(expression):
    return eval(expression, {"T": T, "R": R})


def json_case(expression, text, options):
    builder = JsonRowDeserializationSchema.builder().type_info(type_of(expression))
    for option in options:
        getattr(builder, option)()
    reader = opened(builder.build()._j_deserialization_schema)
    writer = JsonRowSerializationSchema.builder().with_type_info(type_of(expression)).build()._j_serialization_schema
    try:
        value = reader.deserialize(text.encode())
    except Exception:
        return [ERROR, None]
    return [shape(value), None if value is None else bytes(opened(writer).serialize(value)).decode()]


def csv_case(expression, text, options):
    builder = CsvRowDeserializationSchema.Builder(type_of(expression))
    for option, value in options.items():
        getattr(builder, option)(value)
    reader = opened(builder.build()._j_deserialization_schema)
    writer = opened(CsvRowSerializationSchema.Builder(type_of(expression)).build()._j_serialization_schema)
    try:
        value = reader.deserialize(text.encode())
    except Exception:
        return [ERROR, None]
    if value is None:
        return [None, None]
    try:
        return [shape(value), bytes(writer.serialize(value)).decode()]
    except Exception:
        return [shape(value), ERROR]


def java_row(*values):
    row = JVM.org.apache.flink.types.Row(len(values))
    for index, value in enumerate(values):
        row.setField(index, value)
    return row


def csv_write_case(text, options):
    builder = CsvRowSerializationSchema.Builder(T.ROW([T.STRING(), T.STRING()]))
    for option, value in options.items():
        getattr(builder, option)(*([] if value is None else [value]))
    return bytes(opened(builder.build()._j_serialization_schema).serialize(java_row(text, "z"))).decode()


def schema_of(expression):
    return eval(f"CsvSchema.builder().{expression}.build()", {"CsvSchema": CsvSchema, "D": D})


def file_path(path):
    return JVM.org.apache.flink.core.fs.Path(path)


def external(schema, row_data):
    """A Row of the table runtime's internal row."""
    converter = JVM.org.apache.flink.table.data.conversion.RowRowConverter.create(_to_java_data_type(schema._row_type))
    converter.open(converter.getClass().getClassLoader())
    return converter.toExternal(row_data)


def csv_file_case(expression, text):
    schema = schema_of(expression)
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(text.encode())
    rows = []
    try:
        stream = file_path(file.name).getFileSystem().open(file_path(file.name))
        reader = CsvReaderFormat.for_schema(schema)._j_stream_format.createReader(
            JVM.org.apache.flink.configuration.Configuration(), stream
        )
        while (row := reader.read()) is not None:
            rows.append(shape(external(schema, row)))
    except Exception:
        rows.append(ERROR)
    return rows


def csv_file_write_case(expression):
    schema = schema_of(expression)
    converter = JVM.org.apache.flink.table.data.conversion.RowRowConverter.create(_to_java_data_type(schema._row_type))
    converter.open(converter.getClass().getClassLoader())
    path = tempfile.mktemp()
    stream = (
        file_path(path)
        .getFileSystem()
        .create(file_path(path), JVM.org.apache.flink.core.fs.FileSystem.WriteMode.OVERWRITE)
    )
    writer = CsvBulkWriters.for_schema(schema).get_java_object().create(stream)
    for row in cases.CSV_FILE_WRITE_ROWS:
        writer.addElement(converter.toInternal(java_row(*row)))
    writer.finish()
    stream.close()
    return Path(path).read_bytes().decode()


def main():
    expected = {
        "json": [json_case(*case) for case in cases.JSON_CASES],
        "csv": [csv_case(*case) for case in cases.CSV_CASES],
        "csv_write": [csv_write_case(*case) for case in cases.CSV_WRITE_CASES],
        "csv_file": [csv_file_case(*case) for case in cases.CSV_FILE_CASES],
        "csv_file_write": [csv_file_write_case(case) for case in cases.CSV_FILE_WRITE_CASES],
        "schema_text": [str(schema_of(case)) for case in cases.SCHEMA_TEXT_CASES],
    }
    lines = []
    for name, results in expected.items():
        lines.append(f'"{name}": [\n' + ",\n".join(json.dumps(result) for result in results) + "\n]")
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()

"""The part of the Table API that leads into a stream, and the rest, which says so."""

import datetime
import itertools
from decimal import Decimal

import pytest

from penstock.common import Row, Types
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.connectors.base import Boundedness, ReaderContext
from penstock.errors import ConfigurationError, UnsupportedFeatureError
from penstock.table import DataTypes, FormatDescriptor, Schema, StreamTableEnvironment, TableDescriptor
from penstock.table._datagen import datagen_source
from penstock.table.types import DataType, RowField

COMPOSITES = ("FIELD", "ROW", "ARRAY", "MULTISET", "LIST_VIEW", "MAP", "MAP_VIEW")
ROW_OF_ONE = DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT())])


def schema(**columns):
    builder = Schema.new_builder()
    for name, data_type in columns.items():
        builder.column(name, data_type)
    return builder.build()


def rows(columns, count=20, **options):
    given = {key.replace("__", "."): str(value) for key, value in options.items()}
    source = datagen_source(columns, {"number-of-rows": str(count), "rows-per-second": "1000000000", **given})
    clock = itertools.count(0, 1000)
    reader = source.create_reader(source.plan_splits(1), ReaderContext(0, 1, lambda: None, lambda: next(clock)))
    found = []
    while len(found) < count:
        batch = reader.poll(count)
        found += batch.values if batch is not None else []
    return found


def test_rows_have_the_columns_names_and_types():
    columns = schema(id=DataTypes.INT(), word=DataTypes.STRING())
    source = datagen_source(columns, {"number-of-rows": "3"})
    assert source.produced_type == Types.ROW([Types.INT(), Types.STRING()])
    assert source.produced_type.get_field_names() == ["id", "word"]
    for row in rows(columns):
        assert isinstance(row, Row)
        assert -(2**31) <= row.id < 2**31
        assert len(row.word) == 100
        assert set(row["word"]) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("data_type", "kind", "options"),
    [
        (DataTypes.TINYINT(), lambda v: -128 <= v <= 127, {}),
        (DataTypes.SMALLINT(), lambda v: 3 <= v <= 5, {"fields.x.min": "3", "fields.x.max": "5"}),
        (DataTypes.BIGINT(), lambda v: isinstance(v, int), {}),
        (DataTypes.DOUBLE(), lambda v: 0.5 <= v <= 1.5, {"fields.x.min": "0.5", "fields.x.max": "1.5"}),
        (DataTypes.FLOAT(), lambda v: isinstance(v, float), {}),
        (DataTypes.BOOLEAN(), lambda v: isinstance(v, bool), {}),
        (DataTypes.STRING(), lambda v: len(v) == 7, {"fields.x.length": "7"}),
        (DataTypes.STRING(), lambda v: v == "", {"fields.x.length": "0"}),
        (DataTypes.BYTES(), lambda v: len(v) == 3, {"fields.x.length": "3"}),
        (DataTypes.DECIMAL(4, 2), lambda v: abs(v) < 100 and v.as_tuple().exponent == -2, {}),
        (DataTypes.DATE(), lambda v: isinstance(v, datetime.date), {}),
        (DataTypes.TIME(), lambda v: isinstance(v, datetime.time), {}),
        (DataTypes.TIMESTAMP(3), lambda v: isinstance(v, datetime.datetime), {"fields.x.max-past": "1 s"}),
        (DataTypes.ARRAY(DataTypes.INT()), lambda v: len(v) == 3, {}),
        (DataTypes.MAP(DataTypes.INT(), DataTypes.BOOLEAN()), lambda v: isinstance(v, dict), {}),
        (ROW_OF_ONE, lambda v: v[0] == 1, {"fields.x.a.min": "1", "fields.x.a.max": "1"}),
        (DataTypes.INT(), lambda v: v is None, {"fields.x.null-rate": "1"}),
    ],
)
def test_random_values_of_every_type(data_type, kind, options):
    for (value,) in map(list, rows(schema(x=data_type), **options)):
        assert kind(value), value


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        (DataTypes.INT(), [3, 4, 5]),
        (DataTypes.DOUBLE(), [3.0, 4.0, 5.0]),
        (DataTypes.STRING(), ["3", "4", "5"]),
        (DataTypes.DECIMAL(5, 0), [Decimal(3), Decimal(4), Decimal(5)]),
    ],
)
def test_sequences(data_type, expected):
    options = {"fields.x.kind": "sequence", "fields.x.start": "3", "fields.x.end": "5"}
    assert [row.x for row in rows(schema(x=data_type), 3, **options)] == expected


def test_a_table_ends_with_its_rows_or_its_shortest_sequence():
    columns = schema(x=DataTypes.INT())
    sequence = {"fields.x.kind": "sequence", "fields.x.start": "1", "fields.x.end": "5"}
    assert datagen_source(columns, {}).boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    assert datagen_source(columns, {"number-of-rows": "9"}).boundedness is Boundedness.BOUNDED
    source = datagen_source(columns, sequence | {"number-of-rows": "9"})
    assert source.boundedness is Boundedness.BOUNDED
    assert len(rows(columns, 5, **sequence)) == 5
    assert source.plan_splits(1) == datagen_source(columns, {"number-of-rows": "5"}).plan_splits(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "Unsupported option 'colour'"),
        ({"fields.y.min": "1"}, r"Unsupported option 'fields\.y\.min'"),
        ({"fields.x.colour": "1"}, "Unsupported option"),
        ({"fields.x.kind": "magic"}, "datagen has 'random' and 'sequence'"),
        ({"fields.x.kind": "sequence"}, "Could not find required property"),
        ({"fields.x.kind": "sequence", "fields.x.start": "5", "fields.x.end": "4"}, "below"),
        ({"fields.x.min": "5", "fields.x.max": "4"}, "above"),
        ({"fields.x.min": "red"}, "no number"),
        ({"number-of-rows": "many"}, "no whole number"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ConfigurationError, match=message):
        datagen_source(schema(x=DataTypes.INT()), options)


def test_types_that_cannot_be_generated():
    options = {"fields.x.kind": "sequence", "fields.x.start": "1", "fields.x.end": "2"}
    with pytest.raises(UnsupportedFeatureError, match="no sequence of BOOLEAN"):
        datagen_source(schema(x=DataTypes.BOOLEAN()), options)
    with pytest.raises(ConfigurationError, match="needs a schema"):
        datagen_source(None, {})


def test_tables_become_streams():
    env = StreamExecutionEnvironment.get_execution_environment()
    tables = StreamTableEnvironment.create(stream_execution_environment=env)
    descriptor = (
        TableDescriptor.for_connector("datagen")
        .schema(schema(x=DataTypes.INT()))
        .option("number-of-rows", 5)
        .option("scan.parallelism", "2")
        .build()
    )
    tables.create_temporary_table("source", descriptor)
    stream = tables.to_data_stream(tables.from_path("source"))
    assert stream.get_type().get_field_names() == ["x"]
    assert stream._operator.parallelism == 2
    tables.create_temporary_table("source", descriptor, ignore_if_exists=True)
    with pytest.raises(ConfigurationError, match="already exists"):
        tables.create_temporary_table("source", descriptor)
    with pytest.raises(ConfigurationError, match=r"Table 'other' was not found; .* made: source"):
        tables.from_path("other")
    tables.create_temporary_table("queue", TableDescriptor.for_connector("kafka").build())
    with pytest.raises(UnsupportedFeatureError, match="connector 'kafka' needs Flink's SQL planner"):
        tables.to_data_stream(tables.from_path("queue"))
    with pytest.raises(TypeError):
        StreamTableEnvironment.create(5)
    assert isinstance(StreamTableEnvironment.create(), StreamTableEnvironment)


def test_everything_else_can_be_imported_and_says_what_it_lacks():
    from penstock.table import EnvironmentSettings, TableEnvironment
    from penstock.table.expressions import col
    from penstock.table.udf import ScalarFunction, udf
    from penstock.table.window import Tumble

    class Mine(ScalarFunction):
        """Deriving is not using."""

    tables = StreamTableEnvironment.create()
    tables.create_temporary_table("t", TableDescriptor.for_connector("datagen").build())
    for use in (
        Mine,
        lambda: EnvironmentSettings.in_streaming_mode(),
        lambda: TableEnvironment.create(None),
        TableEnvironment,
        lambda: col("x"),
        lambda: udf(len, result_type=None),
        lambda: Tumble.over("x"),
        lambda: tables.execute_sql("SELECT 1"),
        lambda: tables.from_path("t").select("x"),
        lambda: Schema.new_builder().watermark("x", "x"),
        lambda: Schema.new_builder().column("x", "INT"),
    ):
        with pytest.raises(UnsupportedFeatureError, match=r"needs Flink's SQL planner \(Java\).*DataStream API"):
            use()
    for missing in ("_private", "__wrapped__"):
        assert not hasattr(EnvironmentSettings, missing)
        assert not hasattr(tables, missing)


def test_data_types_are_equal_by_their_settings():
    assert DataTypes.STRING() == DataTypes.VARCHAR(0x7FFFFFFF)
    assert DataTypes.INT() != DataTypes.BIGINT()
    assert DataTypes.INT().not_null() != DataTypes.INT()
    assert DataTypes.INT().not_null().nullable() == DataTypes.INT()
    assert DataTypes.DECIMAL(5, 2).precision == 5
    assert str(DataTypes.VARBINARY(3)) == "VARBINARY"
    assert repr(DataTypes.CHAR(3)) == "CharType(3, true)"
    assert DataTypes.INT().bridged_to("java.lang.Integer").type_name() == "INT"
    row = DataTypes.ROW([DataTypes.INT()]).add("b", DataTypes.STRING()).add(RowField("c", DataTypes.DATE()))
    assert row.field_names() == ["f0", "b", "c"]
    assert row.field_types()[1] == DataTypes.STRING()
    with pytest.raises(ValueError, match="needs a data type"):
        row.add("d")
    assert len({DataTypes.INT(), DataTypes.INT()}) == 1
    for name, make in vars(DataTypes).items():
        if isinstance(make, staticmethod) and name not in COMPOSITES:
            arguments = {"CHAR": [1], "VARCHAR": [1], "BINARY": [1], "VARBINARY": [1], "DECIMAL": [5, 2]}.get(name, [])
            assert isinstance(make.__func__(*arguments), DataType)
    assert DataTypes.MAP_VIEW(DataTypes.INT(), DataTypes.INT()).key_type == DataTypes.INT()
    assert DataTypes.LIST_VIEW(DataTypes.INT()).element_type == DataTypes.MULTISET(DataTypes.INT()).element_type


def test_descriptors_hold_what_they_are_given():
    json = FormatDescriptor.for_format("json").option("ignore-parse-errors", "true").build()
    described = (
        TableDescriptor.for_connector("filesystem")
        .schema(schema(x=DataTypes.INT()))
        .format(json)
        .option("flag", True)
        .partitioned_by("x")
        .comment("c")
        .build()
    )
    assert described.get_options() == {
        "connector": "filesystem",
        "format": "json",
        "json.ignore-parse-errors": "true",
        "flag": "true",
    }
    assert (described.get_partition_keys(), described.get_comment()) == (["x"], "c")
    assert described.get_schema() == schema(x=DataTypes.INT())
    assert described != TableDescriptor.for_connector("filesystem").format("csv").build()
    assert "'connector' = 'filesystem'" in str(described)
    assert (json.get_format(), json == FormatDescriptor.for_format("json").build()) == ("json", False)
    other = Schema.new_builder().from_schema(schema(x=DataTypes.INT())).primary_key("x")
    other.from_row_data_type(DataTypes.ROW([DataTypes.FIELD("y", DataTypes.DATE())]))
    assert [name for name, _ in other.build().columns] == ["x", "y"]
    assert "`x` INT" in str(other.build())
    with pytest.raises(ValueError, match="same length"):
        Schema.new_builder().from_fields(["a"], [])
    for wrong in (lambda: Schema(object()), lambda: TableDescriptor(object()), lambda: FormatDescriptor(object())):
        with pytest.raises(UnsupportedFeatureError):
            wrong()

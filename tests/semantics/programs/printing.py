"""The lines of print(), by type and parallelism."""

import datetime
import decimal

from pyflink.common import Instant, Row, RowKind, Types
from semantics_case import case


def show(env, value, type_info):
    env.from_collection([0]).map(lambda _: value, type_info).print()


@case(stdout=True)
def untyped_values(env):
    env.from_collection([("a", 1), None, 1.5, True, "text", [1, "x"], {"k": None}, Row(1, "x"), Row(a=1)]).print()


@case(stdout=True)
def an_identifier(env):
    env.from_collection([1, 2]).print("here")


@case(stdout=True, parallelism=2, order="any")
def subtask_numbers(env):
    env.from_collection([1, 2, 3, 4]).rebalance().map(lambda v: "x").print()


@case(stdout=True, parallelism=2, order="any")
def identifier_and_subtask_numbers(env):
    env.from_collection([1, 2, 3, 4]).rebalance().map(lambda v: "x").print("here")


@case(stdout=True, parallelism=2)
def sink_parallelism_decides(env):
    env.from_collection([1, 2]).map(lambda v: v).set_parallelism(1).print().set_parallelism(1)


@case(stdout=True)
def a_keyed_stream_prints_elements(env):
    env.from_collection([("a", 1)]).key_by(lambda v: v[0]).print()


@case(stdout=True)
def row_text(env):
    show(env, Row(1, "a"), Types.ROW([Types.INT(), Types.STRING()]))


@case(stdout=True)
def row_text_with_none_and_nested(env):
    inner = Types.ROW([Types.INT(), Types.STRING()])
    typed = Types.ROW([Types.INT(), inner, Types.TUPLE([Types.INT(), Types.STRING()]), Types.LIST(Types.INT())])
    show(env, Row(None, Row(1, "a"), (2, "b"), [1, 2]), typed)


@case(stdout=True)
def row_text_of_kinds(env):
    rows = [Row.of_kind(kind, 1) for kind in RowKind]
    env.from_collection([0]).flat_map(lambda _: rows, Types.ROW([Types.INT()])).print()


@case(stdout=True)
def row_text_of_other_fields(env):
    typed = Types.ROW(
        [Types.DOUBLE(), Types.BOOLEAN(), Types.SQL_DATE(), Types.SQL_TIMESTAMP(), Types.BIG_DEC(), Types.FLOAT()]
    )
    value = Row(
        100.0,
        True,
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 456000),
        decimal.Decimal("1.50"),
        0.5,
    )
    show(env, value, typed)


@case(stdout=True)
def row_text_of_maps_and_instants(env):
    typed = Types.ROW([Types.MAP(Types.STRING(), Types.INT()), Types.INSTANT(), Types.SQL_TIME()])
    show(env, Row({"k": 1}, Instant(1700000000, 123000000), datetime.time(1, 2, 3)), typed)


@case(stdout=True)
def row_text_behind_a_boundary(env):
    inner = Types.ROW([Types.INT(), Types.FLOAT()])
    typed = Types.ROW_NAMED(["a", "r"], [Types.INT(), inner])
    rows = env.from_collection([0]).map(lambda _: Row(r=Row(1, 0.1), a=1.5), typed)
    rows.rebalance().filter(lambda row: True).print()


@case(stdout=True, error="AssertionError|get_fields_by_names")
def row_text_of_a_tuple(env):
    show(env, (1, "a"), Types.ROW([Types.INT(), Types.STRING()]))


@case(stdout=True)
def named_row_text(env):
    show(env, Row(b=1, a="x"), Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()]))


@case(stdout=True)
def tuple_text(env):
    show(env, (1, "a", 2.0), Types.TUPLE([Types.INT(), Types.STRING(), Types.DOUBLE()]))


@case(stdout=True)
def tuple_text_of_nested_values(env):
    typed = Types.TUPLE(
        [
            Types.TUPLE([Types.INT(), Types.STRING()]),
            Types.LIST(Types.INT()),
            Types.MAP(Types.STRING(), Types.INT()),
            Types.BOOLEAN(),
            Types.FLOAT(),
            Types.ROW([Types.INT(), Types.STRING()]),
            Types.BIG_DEC(),
        ]
    )
    show(env, ((1, "a"), [1, 2], {"k": 1}, False, 0.1, Row(1, "a"), decimal.Decimal("2.50")), typed)


@case(stdout=True)
def tuple_text_of_times(env):
    typed = Types.TUPLE([Types.SQL_DATE(), Types.SQL_TIME(), Types.SQL_TIMESTAMP(), Types.INSTANT()])
    value = (
        datetime.date(2024, 2, 29),
        datetime.time(1, 2, 3, 400000),
        datetime.datetime(2024, 2, 29, 1, 2, 3),
        Instant(1700000000, 0),
    )
    show(env, value, typed)


@case(stdout=True)
def tuple_text_of_arrays(env):
    typed = Types.TUPLE([Types.PRIMITIVE_ARRAY(Types.INT()), Types.BASIC_ARRAY(Types.STRING())])
    show(env, ([1, 2], ["a", None]), typed)


@case(stdout=True)
def integer_text(env):
    env.from_collection([5, -7, 0], Types.INT()).map(lambda v: v, Types.LONG()).print()


@case(stdout=True)
def double_text(env):
    values = [
        0.1, 1.0, 100.0, 1e7, 9999999.0, 12345678.9, 1e10, 1e-3, 0.000999, 1e-5, 1.0 / 3, 2.0 / 3 * 1e20, 1e300,
        4.9e-324, -0.0, float("nan"), float("inf"), float("-inf"), 1e21, 123456789012345680.0, 2.2250738585072014e-308,
    ]  # fmt: skip
    env.from_collection([0]).flat_map(lambda _: values, Types.DOUBLE()).print()


@case(stdout=True)
def float_text(env):
    values = [0.1, 1.0, 100.0, 1e7, 9999999.0, 16777216.0, 1e10, 1e-3, 0.000999, 1.0 / 3, 3.4028235e38, 1.4e-45, -2.5]
    env.from_collection([0]).flat_map(lambda _: values, Types.FLOAT()).print()


@case(stdout=True)
def boolean_text(env):
    env.from_collection([0]).flat_map(lambda _: [True, False], Types.BOOLEAN()).print()


@case(stdout=True)
def string_text(env):
    env.from_collection(["a", "", "grün \u2603"]).map(lambda v: v, Types.STRING()).print()


@case(stdout=True)
def big_dec_text(env):
    values = [decimal.Decimal("1.50"), decimal.Decimal("-0.001"), decimal.Decimal("12345678901234567890.12")]
    env.from_collection([0]).flat_map(lambda _: values, Types.BIG_DEC()).print()


@case(stdout=True)
def date_text(env):
    show(env, datetime.date(2024, 2, 29), Types.SQL_DATE())


@case(stdout=True)
def time_text(env):
    show(env, datetime.time(1, 2, 3, 456000), Types.SQL_TIME())


@case(stdout=True)
def timestamp_text(env):
    values = [
        datetime.datetime(2024, 2, 29, 1, 2, 3, 456000),
        datetime.datetime(2024, 2, 29, 1, 2, 3),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 50000),
    ]
    env.from_collection([0]).flat_map(lambda _: values, Types.SQL_TIMESTAMP()).print()


@case(stdout=True)
def instant_text(env):
    values = [Instant(1700000000, 123000000), Instant(1700000000, 0), Instant(1700000000, 1000), Instant(0, 0)]
    env.from_collection([0]).flat_map(lambda _: values, Types.INSTANT()).print()


@case(stdout=True, order="any")
def list_and_map_text(env):
    show(env, [1, 2], Types.LIST(Types.INT()))
    show(env, {"k": 1}, Types.MAP(Types.STRING(), Types.INT()))
    show(env, ["a", "b c"], Types.LIST(Types.STRING()))


@case(stdout=True, order="any")
def two_prints_share_the_output(env):
    stream = env.from_collection([1, 2])
    stream.print("a")
    stream.map(lambda v: v * 10).print("b")


@case(stdout=True)
def typed_collection_printed_directly(env):
    env.from_collection([(1, "a"), (2, "b")], Types.ROW([Types.INT(), Types.STRING()])).print()


@case(stdout=True)
def print_inside_a_function(env):
    def say(value):
        print("saying", value, flush=True)
        return value

    env.from_collection([1]).map(say)

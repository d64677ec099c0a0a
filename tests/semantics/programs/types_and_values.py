"""What a declared type lets through, changes or refuses."""

import datetime
import decimal

from pyflink.common import Instant, Row, RowKind, Types
from semantics_case import case

PAIR = Types.TUPLE([Types.INT(), Types.STRING()])
ROW = Types.ROW_NAMED(["n", "s"], [Types.INT(), Types.STRING()])


def declared(env, value, type_info):
    """What the next function sees of a value that was returned under a type, and what is collected."""
    stream = env.from_collection([0]).map(lambda _: value, type_info)
    return stream.map(lambda seen: (type(seen).__name__, seen))


def collected(env, value, type_info):
    return env.from_collection([0]).map(lambda _: value, type_info)


def across(env, value, type_info):
    """What a function of the next chain sees."""
    stream = env.from_collection([0]).map(lambda _: value, type_info).disable_chaining()
    return stream.map(lambda seen: (type(seen).__name__, seen)).disable_chaining()


@case()
def int_truncates_between_chained_functions(env):
    return declared(env, 1.7, Types.INT())


@case()
def int_truncates_across_chains(env):
    return across(env, 1.7, Types.INT())


@case()
def int_truncates_when_collected(env):
    return collected(env, -1.7, Types.INT())


@case(error="TypeError")
def int_refuses_text(env):
    return collected(env, "1", Types.INT())


@case(error="OverflowError")
def int_refuses_too_large(env):
    return collected(env, 2**31, Types.INT())


@case(error="OverflowError")
def long_refuses_too_large(env):
    return collected(env, 2**63, Types.LONG())


@case(error="OverflowError")
def short_refuses_too_large(env):
    return collected(env, 2**15, Types.SHORT())


@case()
def integer_extremes(env):
    return env.from_collection([0]).map(
        lambda _: (2**7 - 1, -(2**15), 2**31 - 1, -(2**63), True),
        Types.TUPLE([Types.BYTE(), Types.SHORT(), Types.INT(), Types.LONG(), Types.BOOLEAN()]),
    )


@case()
def bool_as_int(env):
    return across(env, True, Types.INT())


@case()
def float_is_32_bits_between_chained_functions(env):
    return declared(env, 0.1, Types.FLOAT())


@case()
def float_is_32_bits_across_chains(env):
    return across(env, 0.1, Types.FLOAT())


@case()
def float_collected(env):
    return collected(env, 0.1, Types.FLOAT())


@case()
def float_from_collection(env):
    return env.from_collection([0.1, 3.0], Types.FLOAT())


@case()
def double_makes_floats_of_ints(env):
    return across(env, 3, Types.DOUBLE())


@case()
def double_special_values(env):
    return env.from_collection([0]).flat_map(
        lambda _: [float("inf"), float("-inf"), 1e308, 5e-324, -0.0], Types.DOUBLE()
    )


@case()
def boolean_from_ints(env):
    return across(env, 1, Types.BOOLEAN())


@case(error="encode|AttributeError|TypeError")
def string_refuses_numbers(env):
    return collected(env, 5, Types.STRING())


@case()
def string_unicode(env):
    return across(env, "grün \u2603 \U0001f600 \x00 end", Types.STRING())


@case()
def big_dec_keeps_its_scale(env):
    return across(env, decimal.Decimal("1.20"), Types.BIG_DEC())


@case()
def date_and_times_are_cut_to_milliseconds(env):
    stream = env.from_collection([0]).map(
        lambda _: (
            datetime.date(2024, 2, 29),
            datetime.time(1, 2, 3, 456789),
            datetime.datetime(2024, 2, 29, 1, 2, 3, 456789),
        ),
        Types.TUPLE([Types.SQL_DATE(), Types.SQL_TIME(), Types.SQL_TIMESTAMP()]),
    )
    return stream.disable_chaining().map(repr).disable_chaining()


@case(
    better=["'(datetime.date(1900, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999000))'"],
    why="PyFlink reads fractions of seconds before 1970 a second too late",
)
def times_before_the_epoch(env):
    stream = env.from_collection([0]).map(
        lambda _: (datetime.date(1900, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999000)),
        Types.TUPLE([Types.SQL_DATE(), Types.SQL_TIMESTAMP()]),
    )
    return stream.disable_chaining().map(repr).disable_chaining()


@case()
def instant_through_a_stream(env):
    return across(env, Instant(1700000000, 123456789), Types.INSTANT())


@case(error="Expected tuple, got list")
def tuple_refuses_lists(env):
    return collected(env, [1, "a"], PAIR)


@case(error="Expected tuple, got Row")
def tuple_refuses_rows(env):
    return collected(env, Row(1, "a"), PAIR)


@case()
def tuple_fields_are_coerced(env):
    return across(env, (1.9, "a"), PAIR)


@case()
def nested_tuples(env):
    nested = Types.TUPLE([Types.TUPLE([Types.INT(), Types.FLOAT()]), Types.LIST(Types.INT())])
    return across(env, ((1.5, 0.1), [1.5, 2]), nested)


@case(error="get_fields_by_names")
def row_refuses_tuples(env):
    return collected(env, (1, "a"), ROW)


@case(error="get_fields_by_names")
def row_refuses_dicts(env):
    return collected(env, {"n": 1, "s": "a"}, ROW)


@case()
def row_by_position_gets_names(env):
    return across(env, Row(1.2, "a"), ROW)


@case()
def row_by_name_in_any_order(env):
    return across(env, Row(s="a", n=1), ROW)


@case()
def row_without_names_is_f0_f1(env):
    return across(env, Row(1, "a"), Types.ROW([Types.INT(), Types.STRING()]))


@case()
def row_fields_may_be_none(env):
    return across(env, Row(None, None), ROW)


@case()
def row_kind_survives(env):
    return across(env, Row.of_kind(RowKind.UPDATE_BEFORE, 1, "a"), ROW)


@case()
def nested_rows(env):
    nested = Types.ROW_NAMED(["r", "t"], [ROW, PAIR])
    return across(env, Row(r=Row(1, "a"), t=(2, "b")), nested)


@case()
def untyped_keeps_everything(env):
    values = [1.7, {"k": [1, (2,)]}, Row(1, "a"), Row(a=1), b"x", {1, 2}, datetime.date(2024, 1, 1), 10**30]
    return env.from_collection(values).disable_chaining().map(lambda v: v).disable_chaining().map(lambda v: v)


@case()
def arrays(env):
    stream = env.from_collection([0]).map(
        lambda _: ([1, 2], ["a", None], [1.5, 2.0], [[1], [2, 3]]),
        Types.TUPLE(
            [
                Types.PRIMITIVE_ARRAY(Types.INT()),
                Types.BASIC_ARRAY(Types.STRING()),
                Types.OBJECT_ARRAY(Types.DOUBLE()),
                Types.OBJECT_ARRAY(Types.BASIC_ARRAY(Types.INT())),
            ]
        ),
    )
    return stream.disable_chaining().map(lambda v: [list(each) for each in v]).disable_chaining()


@case()
def bytes_as_primitive_array(env):
    stream = env.from_collection([0]).map(lambda _: b"ab\xff", Types.PRIMITIVE_ARRAY(Types.BYTE()))
    return stream.disable_chaining().map(lambda v: [each % 256 for each in v]).disable_chaining()


@case()
def lists_and_maps(env):
    stream = env.from_collection([0]).map(
        lambda _: ([1, 2], {"k": 1.5}), Types.TUPLE([Types.LIST(Types.INT()), Types.MAP(Types.STRING(), Types.INT())])
    )
    return stream.disable_chaining().map(lambda v: v).disable_chaining()


@case()
def pickled_byte_array_type_is_untyped(env):
    return across(env, {"any": (1, 2)}, Types.PICKLED_BYTE_ARRAY())


@case(better=["('int', 12345678901234567890)"], why="BIG_INT through a function fails in PyFlink")
def big_int(env):
    return across(env, 12345678901234567890, Types.BIG_INT())


@case(better=["('str', 'c')"], why="CHAR through a function fails in PyFlink")
def char(env):
    return across(env, "c", Types.CHAR())


@case()
def none_in_an_untyped_stream_between_chained_functions(env):
    return env.from_collection([1, None]).map(lambda v: v).map(repr)


@case()
def from_collection_row_accepts_many_shapes(env):
    values = [(1, "tuple"), [2, "list"], {"n": 3, "s": "dict"}, Row(4, "row"), Row(s="named", n=5)]
    return env.from_collection(values, ROW).map(lambda v: v)


@case()
def from_collection_row_directly_collected(env):
    return env.from_collection([(1, "a"), (None, None)], ROW)


@case()
def from_collection_tuples(env):
    return env.from_collection([(1, "a"), (2, "b")], PAIR).map(lambda v: v)


@case()
def from_collection_everything_typed(env):
    typed = Types.ROW(
        [
            Types.LONG(),
            Types.SHORT(),
            Types.BOOLEAN(),
            Types.FLOAT(),
            Types.DOUBLE(),
            Types.STRING(),
            Types.SQL_DATE(),
            Types.SQL_TIME(),
            Types.SQL_TIMESTAMP(),
            Types.BASIC_ARRAY(Types.LONG()),
            Types.BIG_DEC(),
            Types.MAP(Types.STRING(), Types.LONG()),
        ]
    )
    value = (
        2**40,
        -5,
        True,
        1.5,
        2.5,
        "text",
        datetime.date(2024, 2, 29),
        datetime.time(1, 2, 3, 456000),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 456000),
        [1, 2],
        decimal.Decimal("1.50"),
        {"k": 7},
    )
    return env.from_collection([value], typed).map(lambda v: v)


@case()
def from_collection_empty(env):
    return env.from_collection([], Types.INT()).map(lambda v: v)


@case()
def from_collection_untyped_with_none(env):
    return env.from_collection([None, 1, (None,)]).map(repr)


@case()
def from_collection_is_a_copy(env):
    values = [[1], [2]]
    stream = env.from_collection(values).map(lambda v: v)
    values[0].append("later")
    return stream


@case()
def type_texts(env):
    types = [
        Types.STRING(),
        Types.BYTE(),
        Types.BOOLEAN(),
        Types.SHORT(),
        Types.INT(),
        Types.LONG(),
        Types.FLOAT(),
        Types.DOUBLE(),
        Types.CHAR(),
        Types.BIG_INT(),
        Types.BIG_DEC(),
        Types.INSTANT(),
        Types.SQL_DATE(),
        Types.SQL_TIME(),
        Types.SQL_TIMESTAMP(),
        Types.PICKLED_BYTE_ARRAY(),
        Types.ROW([Types.STRING()]),
        Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()]),
        Types.TUPLE([Types.STRING(), Types.INT()]),
        Types.PRIMITIVE_ARRAY(Types.FLOAT()),
        Types.BASIC_ARRAY(Types.STRING()),
        Types.OBJECT_ARRAY(Types.STRING()),
        Types.MAP(Types.STRING(), Types.INT()),
        Types.LIST(Types.INT()),
    ]
    return [str(each) for each in types]


@case()
def type_equality_and_fields(env):
    row = Types.ROW([Types.STRING(), Types.INT()])
    named = Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()])
    return [
        Types.INT() == Types.INT(),
        Types.INT() == Types.LONG(),
        row == named,
        row.get_field_names(),
        str(row),
        named.get_field_names(),
        named.get_field_index("b"),
        [str(each) for each in named.get_field_types()],
        [str(each) for each in Types.TUPLE([Types.INT(), Types.STRING()]).get_field_types()],
        Types.LIST(Types.INT()) == Types.LIST(Types.INT()),
        Types.MAP(Types.INT(), Types.INT()) == Types.MAP(Types.INT(), Types.LONG()),
    ]


@case(error="TypeError|Invalid|not supported|STRING|String")
def primitive_arrays_of_strings_fail(env):
    return env.from_collection([["a"]], Types.PRIMITIVE_ARRAY(Types.STRING()))


@case()
def key_and_element_types_survive_key_by(env):
    stream = env.from_collection([(1, "a")], PAIR).key_by(lambda v: v[1], Types.STRING())
    return stream.map(lambda v: (v[0] + 0.5, v[1]), PAIR)


@case()
def floats_inside_tuples_and_rows_when_collected(env):
    return env.from_collection([0]).map(
        lambda _: (0.1, Row(0.1), [0.1]),
        Types.TUPLE([Types.FLOAT(), Types.ROW([Types.FLOAT()]), Types.LIST(Types.FLOAT())]),
    )


@case()
def coercion_happens_where_a_chain_ends(env):
    def seen(value):
        return value, repr(value)

    typed = Types.TUPLE([Types.FLOAT(), Types.STRING()])
    chained = env.from_collection([0]).map(lambda _: 0.1, Types.FLOAT()).map(seen, typed)
    return chained.key_by(lambda v: "k").map(lambda v: (repr(v[0]), v[1]))


@case()
def a_wrong_value_inside_a_chain_goes_unnoticed(env):
    return env.from_collection([0]).map(lambda _: "text", Types.INT()).map(lambda v: v + "!")


@case()
def key_selectors_see_chained_values(env):
    stream = env.from_collection([0]).map(lambda _: (1.7, "x"), PAIR)
    return stream.key_by(lambda v: v[0]).map(lambda v: v)


@case()
def side_of_a_keyed_function_is_coerced(env):
    stream = env.from_collection([(1, "x")]).key_by(lambda v: v[1]).map(lambda v: (v[0] + 0.7, "y"), PAIR)
    return stream.map(repr)


@case()
def process_output_type_is_not_enforced_in_a_chain(env):
    return env.from_collection([1.5]).filter(lambda v: True).map(lambda v: v, Types.LONG()).filter(bool).map(repr)

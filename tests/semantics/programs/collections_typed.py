"""What `from_collection` makes of values under a declared type: conversions that functions do not get."""

import datetime
import decimal
from argparse import Namespace

from pyflink.common import Instant, Row, Types
from semantics_case import case


def seen(env, values, type_info):
    return env.from_collection(values, type_info).map(repr)


@case()
def string_of_other_values(env):
    return seen(env, ["a", 1, 1.5, True], Types.STRING())


@case()
def integers_wrap(env):
    values = (2**7, 2**15 + 3, 2**31 + 5, 2**40)
    return seen(env, [values], Types.TUPLE([Types.BYTE(), Types.SHORT(), Types.INT(), Types.LONG()]))


@case()
def booleans_in_a_row(env):
    return seen(env, [Row(True, False)], Types.ROW([Types.BOOLEAN(), Types.BOOLEAN()]))


@case(
    better=["(1, {'level': '2', 'name': 'a'})"],
    why="PyFlink adds an entry '__class__' to the attributes",
)
def map_of_an_object(env):
    return env.from_collection(
        [(1, Namespace(name="a", level=2))],
        Types.ROW_NAMED(["id", "info"], [Types.INT(), Types.MAP(Types.STRING(), Types.STRING())]),
    ).map(lambda row: (row.id, dict(row.info)))


@case()
def row_of_an_object(env):
    row = Types.ROW_NAMED(["name", "level"], [Types.STRING(), Types.INT()])
    return seen(env, [Namespace(name="a", level=2)], row)


@case()
def tuple_of_a_list(env):
    return seen(env, [[1, "a"]], Types.TUPLE([Types.INT(), Types.STRING()]))


@case(better=["(1, [1, 2])"], why="a LIST takes no tuple in PyFlink, for no reason a program could know")
def list_of_a_tuple(env):
    return env.from_collection([(1, (1, 2))], Types.TUPLE([Types.INT(), Types.LIST(Types.INT())])).map(
        lambda v: (v[0], list(v[1]))
    )


@case()
def row_missing_fields_of_a_dict(env):
    return seen(env, [{"name": "a"}], Types.ROW_NAMED(["name", "level"], [Types.STRING(), Types.INT()]))


@case()
def decimals_dates_and_instants(env):
    typed = Types.TUPLE([Types.BIG_DEC(), Types.SQL_DATE(), Types.SQL_TIMESTAMP(), Types.INSTANT()])
    value = (
        decimal.Decimal("1.10"),
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 4000),
        Instant(1700000000, 5000000),
    )
    return seen(env, [value], typed)


@case(better=["'Row(f0=1.0, f1=2.0)'"], why="a number of another kind becomes None without a word in PyFlink")
def double_of_an_int_in_a_row(env):
    return seen(env, [(1, 2)], Types.ROW([Types.DOUBLE(), Types.FLOAT()]))


@case(better=["'Row(f0=1, f1=2)'"], why="a number of another kind becomes None without a word in PyFlink")
def int_of_a_float_in_a_row(env):
    return seen(env, [(1.7, 2.7)], Types.ROW([Types.INT(), Types.LONG()]))


@case(better=["'Row(f0=True, f1=False)'"], why="a number of another kind becomes None without a word in PyFlink")
def boolean_of_an_int_in_a_row(env):
    return seen(env, [(1, 0)], Types.ROW([Types.BOOLEAN(), Types.BOOLEAN()]))


@case()
def rows_with_none(env):
    return seen(env, [(None, 1), ("a", None)], Types.ROW([Types.STRING(), Types.INT()]))


@case()
def nested_rows_and_tuples(env):
    inner = Types.ROW_NAMED(["a"], [Types.INT()])
    typed = Types.ROW_NAMED(["r", "t"], [inner, Types.TUPLE([Types.INT(), Types.STRING()])])
    return seen(env, [((1,), (2, "x")), (Row(a=3), (4, "y")), {"r": {"a": 5}, "t": (6, "z")}], typed)


@case()
def maps_and_lists_convert_inside(env):
    typed = Types.TUPLE([Types.MAP(Types.STRING(), Types.LONG()), Types.LIST(Types.STRING())])
    return seen(env, [({"k": 1}, ["a", "b"])], typed)


@case()
def arrays_of_everything(env):
    typed = Types.TUPLE(
        [Types.PRIMITIVE_ARRAY(Types.DOUBLE()), Types.BASIC_ARRAY(Types.LONG()), Types.OBJECT_ARRAY(Types.STRING())]
    )
    return env.from_collection([([1.5, 2.0], [1, 2], ["a", "b"])], typed).map(lambda v: [list(each) for each in v])


@case()
def a_generator_is_no_collection(env):
    return env.from_collection(range(3)).map(lambda v: v)


@case()
def tuples_and_sets_of_elements(env):
    return env.from_collection((1, 2, 3)).map(lambda v: v)

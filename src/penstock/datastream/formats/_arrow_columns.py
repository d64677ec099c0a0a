"""Rows to and from Arrow columns, for the columnar file formats; needs pyarrow, the extra `parquet`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from penstock.common.time import Instant
from penstock.common.types import Row, RowKind, made_row
from penstock.datastream.formats._logical_types import LogicalType, decimal_of
from penstock.errors import ConfigurationError

__all__ = ["arrow_batch", "arrow_schema", "pyarrow", "row_reader"]

_EPOCH = datetime.datetime(1970, 1, 1)
Convert = Callable[[Any], Any]


def pyarrow() -> Any:
    """The pyarrow package.

    Raises:
        ConfigurationError: if it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigurationError("Parquet and ORC need pyarrow: install penstock[parquet].") from error
    return pyarrow


def arrow_schema(row: LogicalType, time_as_int: bool = False) -> Any:
    """The Arrow schema of a row type; `time_as_int` for formats without a time of day."""
    package = pyarrow()
    fields = zip(row.names, row.parts, strict=True)
    return package.schema([(name, _arrow_type(part, package, time_as_int)) for name, part in fields])


def _arrow_type(kind: LogicalType, package: Any, time_as_int: bool) -> Any:
    simple = {
        "STRING": package.string,
        "BYTES": package.binary,
        "BOOLEAN": package.bool_,
        "TINYINT": package.int8,
        "SMALLINT": package.int16,
        "INT": package.int32,
        "BIGINT": package.int64,
        "FLOAT": package.float32,
        "DOUBLE": package.float64,
        "DATE": package.date32,
    }.get(kind.root)
    if simple is not None:
        return simple()
    if kind.root == "DECIMAL":
        return package.decimal128(kind.precision, kind.scale)
    if kind.root == "TIME":
        return package.int32() if time_as_int else package.time32("ms")
    if kind.root == "TIMESTAMP":
        return package.timestamp("us")
    if kind.root == "TIMESTAMP_LTZ":
        return package.timestamp("us", "UTC")
    inside = [_arrow_type(part, package, time_as_int) for part in kind.parts]
    if kind.root == "ARRAY":
        return package.list_(inside[0])
    if kind.root == "MAP":
        return package.map_(inside[0], inside[1])
    return package.struct(list(zip(kind.names, inside, strict=True)))


def arrow_batch(rows: Sequence[Any], row: LogicalType, schema: Any, utc_timestamp: bool) -> Any:
    """An Arrow record batch of Rows.

    Args:
        rows: Rows with the type's fields.
        row: the type.
        schema: the type's `arrow_schema`.
        utc_timestamp: whether timestamps are wall times of UTC, else of this machine's zone.

    Raises:
        TypeError: if an element is no Row or a value does not fit its column.
    """
    package = pyarrow()
    names = list(row.names)
    for element in rows:
        if not isinstance(element, Row):
            raise TypeError(f"columnar files are written from Rows, got {type(element).__name__}: {element!r}")
    columns = list(zip(*[element.get_fields_by_names(names) for element in rows], strict=True))
    arrays = []
    for field, kind, column in zip(schema, row.parts, columns, strict=True):
        time_as_int = kind.root == "TIME" and package.types.is_integer(field.type)
        convert = _to_arrow(kind, utc_timestamp, time_as_int)
        values = [None if value is None else convert(value) for value in column]
        try:
            arrays.append(package.array(values, type=field.type))
        except (package.ArrowInvalid, package.ArrowTypeError, OverflowError) as error:
            raise TypeError(f"the column {field.name!r} of type {kind.root} cannot hold its values: {error}") from error
    return package.RecordBatch.from_arrays(arrays, schema=schema)


def _to_arrow(kind: LogicalType, utc_timestamp: bool, time_as_int: bool = False) -> Convert:
    root = kind.root
    if root == "DECIMAL":
        return lambda value: decimal_of(Decimal(value), kind)
    if root == "TIME":
        return _millis_of_day if time_as_int else lambda value: value
    if root == "TIMESTAMP":
        return (lambda value: value) if utc_timestamp else _local_to_utc
    if root == "TIMESTAMP_LTZ":
        return lambda value: _instant_to_datetime(value).replace(tzinfo=datetime.UTC)
    if root == "BYTES":
        return bytes
    inside = [_optional(_to_arrow(part, utc_timestamp)) for part in kind.parts]
    if root == "ARRAY":
        return lambda value: [inside[0](item) for item in value]
    if root == "MAP":
        return lambda value: [(inside[0](key), inside[1](item)) for key, item in value.items()]
    if root == "ROW":
        names = list(kind.names)
        return lambda value: {
            name: convert(item)
            for name, convert, item in zip(names, inside, value.get_fields_by_names(names), strict=True)
        }
    return lambda value: value


def _millis_of_day(value: datetime.time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000


def _instant_to_datetime(value: Any) -> datetime.datetime:
    if isinstance(value, Instant):
        return _EPOCH + datetime.timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    raise TypeError(f"expected an Instant, got {value!r}")


def _local_to_utc(value: datetime.datetime) -> datetime.datetime:
    return value.astimezone(datetime.UTC).replace(tzinfo=None)


def _utc_to_local(value: datetime.datetime) -> datetime.datetime:
    return value.replace(tzinfo=datetime.UTC).astimezone().replace(tzinfo=None)


def row_reader(row: LogicalType, utc_timestamp: bool) -> Callable[[Any], list[Any]]:
    """The function from an Arrow record batch, with the type's columns in their order, to Rows."""
    converts = [_from_arrow(part, utc_timestamp) for part in row.parts]
    names = list(row.names)

    def read(batch: Any) -> list[Any]:
        columns = []
        for column, convert in zip(batch.columns, converts, strict=True):
            values = column.to_pylist()
            columns.append(values if convert is None else [None if v is None else convert(v) for v in values])
        return [made_row(names, list(values), RowKind.INSERT) for values in zip(*columns, strict=True)]

    return read


def _from_arrow(kind: LogicalType, utc_timestamp: bool) -> Convert | None:
    """None where Arrow's Python value is the row's."""
    root = kind.root
    if root == "TIMESTAMP":
        return _naive if utc_timestamp else lambda value: _utc_to_local(_naive(value))
    if root == "TIMESTAMP_LTZ":
        return _instant
    if root == "DECIMAL":
        return lambda value: decimal_of(Decimal(value), kind)
    inside = [_from_arrow(part, utc_timestamp) or (lambda value: value) for part in kind.parts]
    optional = [_optional(convert) for convert in inside]
    if root == "ARRAY":
        return lambda value: [optional[0](item) for item in value]
    if root == "MAP":
        return lambda value: {optional[0](key): optional[1](item) for key, item in value}
    if root == "ROW":
        names = list(kind.names)

        def read(value: Any) -> Row:
            made = Row(*[convert(value[name]) for name, convert in zip(names, optional, strict=True)])
            made.set_field_names(names)
            return made

        return read
    return None


def _naive(value: datetime.datetime) -> datetime.datetime:
    return value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)


def _instant(value: datetime.datetime) -> Instant:
    elapsed = _naive(value) - _EPOCH
    return Instant(elapsed.days * 86_400 + elapsed.seconds, elapsed.microseconds * 1000)


def _optional(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)

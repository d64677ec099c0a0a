"""The datagen connector: tables of generated rows (Flink's `DataGenTableSourceFactory`)."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from penstock.common.typeinfo import Types
from penstock.common.types import Row
from penstock.datastream.connectors.base import Boundedness
from penstock.datastream.connectors.datagen import DataGeneratorSource, RateLimiterStrategy
from penstock.datastream.formats._logical_types import LogicalType, logical_type
from penstock.errors import ConfigurationError, UnsupportedFeatureError
from penstock.table.schema import Schema

__all__ = ["DatagenSource", "datagen_source"]

ROWS_PER_SECOND = 10_000
STRING_LENGTH = 100
COLLECTION_LENGTH = 3
UNBOUNDED = (1 << 63) - 1

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_FLOAT_MAX = {"FLOAT": 3.4028234663852886e38, "DOUBLE": 1.7976931348623157e308}
_FIELD_OPTIONS = {"kind", "min", "max", "max-past", "length", "var-len", "start", "end", "null-rate"}
_TABLE_OPTIONS = {"connector", "rows-per-second", "number-of-rows", "scan.parallelism"}

FieldGenerator = Callable[[Random, int], Any]
"""Makes a field's value from a source of chance and the row's index."""


class DatagenSource(DataGeneratorSource):
    """Rows of a datagen table; unbounded without `number-of-rows` or a sequence."""

    def __init__(self, schema: Schema, options: Mapping[str, str]) -> None:
        _check_options(schema, options)
        rows = _integer(options, "number-of-rows")
        columns = [(name, logical_type(data_type)) for name, data_type in schema.columns]
        lengths = [_sequence_length(name, options) for name, _ in columns]
        counts = [count for count in [rows, *lengths] if count is not None]
        self._bounded = bool(counts)
        rate = _integer(options, "rows-per-second")
        super().__init__(
            _RowGenerator(columns, dict(options)),
            min(counts, default=UNBOUNDED),
            RateLimiterStrategy.per_second(ROWS_PER_SECOND if rate is None else rate),
            Types.ROW_NAMED([name for name, _ in columns], [column.type_info for _, column in columns]),
        )

    @property
    def boundedness(self) -> Boundedness:
        """Bounded where the number of rows is known."""
        return Boundedness.BOUNDED if self._bounded else Boundedness.CONTINUOUS_UNBOUNDED


def datagen_source(schema: Schema | None, options: Mapping[str, str]) -> DatagenSource:
    """The source of a datagen table.

    Raises:
        ConfigurationError: without a schema, or for options that cannot be.
        UnsupportedFeatureError: for a column type it cannot generate.
    """
    if schema is None or not schema.columns:
        raise ConfigurationError("A datagen table needs a schema; call .schema(Schema.new_builder()…build()).")
    return DatagenSource(schema, options)


class _RowGenerator:
    """Makes the row of an index. One copy a reader; chance is drawn anew in each."""

    def __init__(self, columns: list[tuple[str, LogicalType]], options: dict[str, str]) -> None:
        self._columns = columns
        self._options = options
        self._names = [name for name, _ in columns]
        self._fields: list[FieldGenerator] | None = None
        self._random: Random | None = None
        self._generators()  # so that errors come when the table is described

    def __call__(self, index: int) -> Row:
        if self._fields is None or self._random is None:
            self._fields, self._random = self._generators(), Random()
        random = self._random
        row = Row(*[field(random, index) for field in self._fields])
        row.set_field_names(self._names)
        return row

    def _generators(self) -> list[FieldGenerator]:
        return [_field_generator(name, column, self._options) for name, column in self._columns]


def _field_generator(name: str, column: LogicalType, options: Mapping[str, str]) -> FieldGenerator:
    kind = options.get(f"fields.{name}.kind", "random")
    if kind == "sequence":
        generator = _sequence(name, column, options)
    elif kind == "random":
        generator = _random(name, column, options)
    else:
        raise ConfigurationError(f"fields.{name}.kind is '{kind}'; datagen has 'random' and 'sequence'.")
    null_rate = float(options.get(f"fields.{name}.null-rate", "0"))
    if null_rate == 0:
        return generator
    return lambda random, index: None if random.random() < null_rate else generator(random, index)


def _sequence(name: str, column: LogicalType, options: Mapping[str, str]) -> FieldGenerator:
    start = _integer(options, f"fields.{name}.start")
    if start is None or _sequence_length(name, options) is None:
        raise ConfigurationError(
            f"Could not find required property 'fields.{name}.start' or 'fields.{name}.end' for sequence generator."
        )
    convert: Callable[[int], Any]
    if column.root in _BITS:
        convert = int
    elif column.root in _FLOAT_MAX:
        convert = float
    elif column.root == "DECIMAL":
        convert = decimal.Decimal
    elif column.root == "STRING":
        convert = str
    else:
        raise UnsupportedFeatureError(f"datagen makes no sequence of {column.root} (column '{name}'); use kind random.")
    return lambda random, index: convert(start + index)


def _random(name: str, column: LogicalType, options: Mapping[str, str]) -> FieldGenerator:
    root, prefix = column.root, f"fields.{name}"
    if root in _BITS:
        low, high = -(1 << _BITS[root] - 1), (1 << _BITS[root] - 1) - 1
        least, most = _bounds(prefix, options, low, high, int)
        return lambda random, index: random.randint(least, most)
    if root in _FLOAT_MAX:
        least_f, most_f = _bounds(prefix, options, -_FLOAT_MAX[root], _FLOAT_MAX[root], float)
        return lambda random, index: random.uniform(least_f / 2, most_f / 2) * 2
    if root == "DECIMAL":
        return _random_decimal(prefix, column, options)
    if root == "BOOLEAN":
        return lambda random, index: random.random() < 0.5
    if root in ("STRING", "BYTES"):
        length = _integer(options, f"{prefix}.length")
        return _random_text(STRING_LENGTH if length is None else length, root)
    return _random_time_or_parts(name, column, options)


def _random_text(length: int, root: str) -> FieldGenerator:
    if root == "BYTES":
        return lambda random, index: random.randbytes(length)
    return lambda random, index: f"{random.getrandbits(4 * length):0{length}x}" if length else ""


def _random_decimal(prefix: str, column: LogicalType, options: Mapping[str, str]) -> FieldGenerator:
    highest = decimal.Decimal(10) ** (column.precision - column.scale)
    least, most = _bounds(prefix, options, -float(highest), float(highest), float)
    step = decimal.Decimal(1).scaleb(-column.scale)
    context = decimal.Context(prec=max(column.precision, 38))

    def generate(random: Random, _index: int) -> decimal.Decimal:
        value = decimal.Decimal(random.uniform(least, most)).quantize(step, context=context)
        return max(min(value, highest - step), step - highest)

    return generate


def _random_time_or_parts(name: str, column: LogicalType, options: Mapping[str, str]) -> FieldGenerator:
    if column.root == "DATE":
        return lambda random, index: datetime.date.today()
    if column.root == "TIME":
        return lambda random, index: datetime.datetime.now().time()
    if column.root == "TIMESTAMP":
        from penstock.conf import DURATION

        past_ms = DURATION.convert(options.get(f"fields.{name}.max-past", "0"))
        return lambda random, index: (
            datetime.datetime.now() - datetime.timedelta(milliseconds=random.uniform(0, past_ms))
        )
    parts = [_random(f"{name}.{label}", part, options) for label, part in _labelled_parts(column)]
    length = _integer(options, f"fields.{name}.length")
    size = COLLECTION_LENGTH if length is None else length
    if column.root == "ARRAY":
        return lambda random, index: [parts[0](random, index) for _ in range(size)]
    if column.root == "MAP":
        return lambda random, index: {parts[0](random, index): parts[1](random, index) for _ in range(size)}
    if column.root == "ROW":
        return lambda random, index: Row(*[part(random, index) for part in parts])
    raise UnsupportedFeatureError(f"datagen of Penstock makes no {column.root} (column '{name}').")


def _labelled_parts(column: LogicalType) -> list[tuple[str, LogicalType]]:
    labels = column.names or ("element",) if column.root != "MAP" else ("key", "value")
    return list(zip(labels, column.parts, strict=False))


def _bounds(
    prefix: str, options: Mapping[str, str], low: Any, high: Any, kind: Callable[[str], Any]
) -> tuple[Any, Any]:
    texts = options.get(f"{prefix}.min"), options.get(f"{prefix}.max")
    try:
        least = low if texts[0] is None else kind(texts[0])
        most = high if texts[1] is None else kind(texts[1])
    except ValueError as error:
        raise ConfigurationError(f"{prefix}.min or .max is no number of the column's type: {error}.") from error
    if least > most:
        raise ConfigurationError(f"{prefix}.min is {least}, above {prefix}.max, which is {most}.")
    return least, most


def _sequence_length(name: str, options: Mapping[str, str]) -> int | None:
    if options.get(f"fields.{name}.kind") != "sequence":
        return None
    start, end = (_integer(options, f"fields.{name}.{bound}") for bound in ("start", "end"))
    if start is None or end is None:
        return None
    if end < start:
        raise ConfigurationError(f"fields.{name}.end is {end}, below fields.{name}.start, which is {start}.")
    return end - start + 1


def _integer(options: Mapping[str, str], key: str) -> int | None:
    text = options.get(key)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"The datagen option '{key}' is '{text}', which is no whole number.") from None


def _check_options(schema: Schema, options: Mapping[str, str]) -> None:
    names = [name for name, _ in schema.columns]
    for key in options:
        if key in _TABLE_OPTIONS:
            continue
        field, _, option = key.removeprefix("fields.").rpartition(".")
        if not key.startswith("fields.") or option not in _FIELD_OPTIONS or field.split(".")[0] not in names:
            raise ConfigurationError(
                f"Unsupported option '{key}' for connector 'datagen'. It has {', '.join(sorted(_TABLE_OPTIONS))}, and "
                f"fields.<column>.<option> with the options {', '.join(sorted(_FIELD_OPTIONS))}."
            )

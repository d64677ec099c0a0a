"""Schemas of tables (`pyflink.table.schema`): columns alone."""

from __future__ import annotations

from typing import NoReturn

from penstock.errors import UnsupportedFeatureError
from penstock.table._unsupported import lacks_planner
from penstock.table.types import DataType, RowType

__all__ = ["Schema"]


class Schema:
    """The columns of a table, in order. Immutable; made by `new_builder`."""

    def __init__(self, columns: tuple[tuple[str, DataType], ...]) -> None:
        if not isinstance(columns, tuple):
            raise UnsupportedFeatureError(
                "Schema(<java object>) wraps a Java object; there is no JVM in this process. Use Schema.new_builder()."
            )
        self._columns = columns

    @staticmethod
    def new_builder() -> Schema.Builder:
        """Starts a schema."""
        return Schema.Builder()

    @property
    def columns(self) -> tuple[tuple[str, DataType], ...]:
        """Names and types."""
        return self._columns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._columns == other._columns

    def __hash__(self) -> int:
        return hash(self._columns)

    def __str__(self) -> str:
        inside = ",\n".join(f"  `{name}` {data_type}" for name, data_type in self._columns)
        return f"(\n{inside}\n)"

    class Builder:
        """Collects the columns; owned by its maker."""

        def __init__(self) -> None:
            self._columns: list[tuple[str, DataType]] = []

        def column(self, column_name: str, data_type: DataType | str) -> Schema.Builder:
            """A column.

            Raises:
                UnsupportedFeatureError: for a type written in SQL.
            """
            if isinstance(data_type, str):
                raise lacks_planner(f"Schema.Builder.column({column_name!r}, {data_type!r}): reading a type from SQL")
            self._columns.append((column_name, data_type))
            return self

        def from_schema(self, unresolved_schema: Schema) -> Schema.Builder:
            """All columns of another schema."""
            self._columns.extend(unresolved_schema.columns)
            return self

        def from_row_data_type(self, data_type: RowType) -> Schema.Builder:
            """A column for each field."""
            return self.from_fields(data_type.field_names(), data_type.field_types())

        def from_fields(self, field_names: list[str], field_data_types: list[DataType]) -> Schema.Builder:
            """Columns by name and type."""
            if len(field_names) != len(field_data_types):
                raise ValueError("Field names and field data types must have the same length.")
            for name, data_type in zip(field_names, field_data_types, strict=True):
                self.column(name, data_type)
            return self

        def primary_key(self, *column_names: str) -> Schema.Builder:
            """Notes a primary key, which has no effect on what datagen makes."""
            return self

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            raise lacks_planner(f"Schema.Builder.{name}")

        def build(self) -> Schema:
            """The schema."""
            return Schema(tuple(self._columns))

"""Descriptions of tables (`pyflink.table.table_descriptor`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from penstock.table.schema import Schema

__all__ = ["FormatDescriptor", "TableDescriptor"]


class TableDescriptor:
    """Connector, schema and options of a table. Immutable; made by `for_connector`."""

    def __init__(self, builder: TableDescriptor.Builder) -> None:
        if not isinstance(builder, TableDescriptor.Builder):
            raise UnsupportedFeatureError(
                "TableDescriptor(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use TableDescriptor.for_connector(name)…build()."
            )
        self._schema = builder._schema
        self._options = dict(builder._options)
        self._partition_keys = list(builder._partition_keys)
        self._comment = builder._comment

    @staticmethod
    def for_connector(connector: str) -> TableDescriptor.Builder:
        """Starts a description."""
        return TableDescriptor.Builder(connector)

    def get_schema(self) -> Schema | None:
        """The columns."""
        return self._schema

    def get_options(self) -> dict[str, str]:
        """The options, `connector` among them."""
        return dict(self._options)

    def get_partition_keys(self) -> list[str]:
        """The columns the table is partitioned by."""
        return list(self._partition_keys)

    def get_comment(self) -> str | None:
        """The comment."""
        return self._comment

    def _facts(self) -> tuple[Any, ...]:
        return self._schema, self._options, self._partition_keys, self._comment

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableDescriptor) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self._schema, frozenset(self._options.items())))

    def __str__(self) -> str:
        options = ",\n".join(f"  '{key}' = '{value}'" for key, value in self._options.items())
        return f"{self._schema or ''}\nWITH (\n{options}\n)".lstrip()

    class Builder:
        """Collects the description; owned by its maker."""

        def __init__(self, connector: str) -> None:
            self._options = {"connector": connector}
            self._schema: Schema | None = None
            self._partition_keys: list[str] = []
            self._comment: str | None = None

        def schema(self, schema: Schema) -> TableDescriptor.Builder:
            """The columns."""
            self._schema = schema
            return self

        def option(self, key: Any, value: Any) -> TableDescriptor.Builder:
            """An option, by its key or as a ConfigOption."""
            self._options[_key_of(key)] = str(value).lower() if isinstance(value, bool) else str(value)
            return self

        def format(self, format: str | FormatDescriptor, format_option: Any = None) -> TableDescriptor.Builder:  # noqa: A002
            """The format, with its options."""
            key = "format" if format_option is None else _key_of(format_option)
            if isinstance(format, str):
                return self.option(key, format)
            self.option(key, format.get_format())
            for name, value in format.get_options().items():
                self.option(f"{format.get_format()}.{name}", value)
            return self

        def partitioned_by(self, *partition_keys: str) -> TableDescriptor.Builder:
            """The columns the table is partitioned by."""
            self._partition_keys.extend(partition_keys)
            return self

        def comment(self, comment: str) -> TableDescriptor.Builder:
            """A comment."""
            self._comment = comment
            return self

        def build(self) -> TableDescriptor:
            """The description."""
            return TableDescriptor(self)


class FormatDescriptor:
    """A format with options. Immutable; made by `for_format`."""

    def __init__(self, builder: FormatDescriptor.Builder) -> None:
        if not isinstance(builder, FormatDescriptor.Builder):
            raise UnsupportedFeatureError(
                "FormatDescriptor(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use FormatDescriptor.for_format(name)…build()."
            )
        self._format = builder._format
        self._options = dict(builder._options)

    @staticmethod
    def for_format(format: str) -> FormatDescriptor.Builder:  # noqa: A002
        """Starts a description."""
        return FormatDescriptor.Builder(format)

    def get_format(self) -> str:
        """The format's name."""
        return self._format

    def get_options(self) -> dict[str, str]:
        """The options."""
        return dict(self._options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FormatDescriptor) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self._format, frozenset(self._options.items())))

    def __str__(self) -> str:
        return f"{self._format}{self._options}"

    class Builder:
        """Collects the options; owned by its maker."""

        def __init__(self, format: str) -> None:  # noqa: A002
            self._format = format
            self._options: dict[str, str] = {}

        def option(self, key: Any, value: Any) -> FormatDescriptor.Builder:
            """An option."""
            self._options[_key_of(key)] = str(value)
            return self

        def build(self) -> FormatDescriptor:
            """The description."""
            return FormatDescriptor(self)


def _key_of(key: Any) -> str:
    return key if isinstance(key, str) else str(key.key())

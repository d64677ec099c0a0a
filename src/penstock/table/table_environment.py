"""The part of the Table API that leads into a stream (`pyflink.table.table_environment`)."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.datastream._data_stream import DataStream
from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment
from penstock.errors import ConfigurationError
from penstock.table._datagen import datagen_source
from penstock.table._unsupported import lacks_planner
from penstock.table.table_descriptor import TableDescriptor

__all__ = ["StreamTableEnvironment", "Table", "TableEnvironment"]


class TableEnvironment:
    """The Table API's environment; every method needs Flink's planner and says so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise lacks_planner(type(self).__name__)

    @staticmethod
    def create(environment_settings: Any) -> NoReturn:  # noqa: ARG004  (PyFlink's signature)
        """Raises UnsupportedFeatureError."""
        raise lacks_planner("TableEnvironment.create")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise lacks_planner(f"{type(self).__name__}.{name}")


class StreamTableEnvironment(TableEnvironment):
    """Describes datagen tables and turns them into streams. Owned by the thread that builds the program."""

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        self._env = env
        self._tables: dict[str, TableDescriptor] = {}

    @staticmethod
    def create(  # type: ignore[override]
        stream_execution_environment: StreamExecutionEnvironment | None = None,
        environment_settings: Any = None,  # noqa: ARG004  (settings of the planner)
    ) -> StreamTableEnvironment:
        """A table environment over a stream environment, by default a new one."""
        if stream_execution_environment is None:
            stream_execution_environment = StreamExecutionEnvironment.get_execution_environment()
        if not isinstance(stream_execution_environment, StreamExecutionEnvironment):
            raise TypeError(
                f"stream_execution_environment must be a StreamExecutionEnvironment, got "
                f"{type(stream_execution_environment).__name__}"
            )
        return StreamTableEnvironment(stream_execution_environment)

    def create_temporary_table(
        self, path: str, descriptor: TableDescriptor, ignore_if_exists: bool | None = None
    ) -> None:
        """Makes a table known under a name.

        Raises:
            ConfigurationError: if the name is taken, unless that is to be ignored.
        """
        if path in self._tables:
            if ignore_if_exists:
                return
            raise ConfigurationError(f"Temporary table '{path}' already exists.")
        self._tables[path] = descriptor

    def from_path(self, path: str) -> Table:
        """The table of that name.

        Raises:
            ConfigurationError: if there is none.
        """
        descriptor = self._tables.get(path)
        if descriptor is None:
            known = ", ".join(self._tables) or "none"
            raise ConfigurationError(f"Table '{path}' was not found; create_temporary_table() made: {known}.")
        return Table(self, path, descriptor)

    def to_data_stream(self, table: Table) -> DataStream:
        """The rows of a table, with its column names.

        Raises:
            UnsupportedFeatureError: for a connector other than datagen.
        """
        options = table.descriptor.get_options()
        connector = options["connector"]
        if connector != "datagen":
            raise lacks_planner(f"The table connector '{connector}'")
        source = datagen_source(table.descriptor.get_schema(), options)
        stream = self._env.from_source(source, WatermarkStrategy.no_watermarks(), table.path)
        parallelism = options.get("scan.parallelism")
        return stream if parallelism is None else stream.set_parallelism(int(parallelism))


class Table:
    """A described table; everything but turning it into a stream needs Flink's planner. Immutable."""

    def __init__(self, environment: StreamTableEnvironment, path: str, descriptor: TableDescriptor) -> None:
        self._environment = environment
        self.path = path
        self.descriptor = descriptor

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise lacks_planner(f"Table.{name}")

    def __repr__(self) -> str:
        return f"Table({self.path!r})"

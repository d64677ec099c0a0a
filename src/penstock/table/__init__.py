"""The little of `pyflink.table` that DataStream programs use: data types, schemas, datagen tables as streams.

Covers `DataTypes`, `Schema`, `TableDescriptor` and `StreamTableEnvironment`'s `create`, `create_temporary_table`,
`from_path` and `to_data_stream`. Does not cover tables and SQL: every other name can be imported and raises
`UnsupportedFeatureError` when it is used. Start reading at `table_environment.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.table.schema import Schema
    from penstock.table.table_descriptor import FormatDescriptor, TableDescriptor
    from penstock.table.table_environment import StreamTableEnvironment, Table, TableEnvironment
    from penstock.table.types import DataTypes, Row, RowKind, UserDefinedType

__all__ = [
    "DataTypes",
    "FormatDescriptor",
    "Row",
    "RowKind",
    "Schema",
    "StreamTableEnvironment",
    "Table",
    "TableDescriptor",
    "TableEnvironment",
    "UserDefinedType",
]

_HOMES = {
    "DataTypes": "types",
    "FormatDescriptor": "table_descriptor",
    "Row": "types",
    "RowKind": "types",
    "Schema": "schema",
    "StreamTableEnvironment": "table_environment",
    "Table": "table_environment",
    "TableDescriptor": "table_descriptor",
    "TableEnvironment": "table_environment",
    "UserDefinedType": "types",
}


def __getattr__(name: str) -> Any:
    import importlib

    home = _HOMES.get(name)
    if home is not None:
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    elif name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        from penstock.table._unsupported import stand_in

        value = stand_in(name, __name__)
    globals()[name] = value
    return value

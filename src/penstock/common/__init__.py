"""What programs import from `pyflink.common`: types and rows, times, configuration, jobs, watermark strategies.

Covers every name of PyFlink's package; what only the JVM can do raises `UnsupportedFeatureError` when it is used.
Does not cover how values are coerced and printed (`_values`) or how a job runs (`penstock.runtime`).
Start reading at `typeinfo.py`, then `types.py`. Names are loaded when first used, so importing is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.common._avro_rows import AvroRowDeserializationSchema, AvroRowSerializationSchema
    from penstock.common._csv_rows import CsvRowDeserializationSchema, CsvRowSerializationSchema
    from penstock.common._json_rows import JsonRowDeserializationSchema, JsonRowSerializationSchema
    from penstock.common.completable_future import CompletableFuture
    from penstock.common.config_options import ConfigOption, ConfigOptions
    from penstock.common.configuration import Configuration
    from penstock.common.execution_config import ExecutionConfig
    from penstock.common.execution_mode import ExecutionMode
    from penstock.common.input_dependency_constraint import InputDependencyConstraint
    from penstock.common.job_client import JobClient
    from penstock.common.job_execution_result import JobExecutionResult
    from penstock.common.job_id import JobID
    from penstock.common.job_status import JobStatus
    from penstock.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration
    from penstock.common.serialization import (
        ByteArraySchema,
        DeserializationSchema,
        Encoder,
        SerializationSchema,
        SimpleStringSchema,
    )
    from penstock.common.serializer import TypeSerializer
    from penstock.common.time import Duration, Instant, Time
    from penstock.common.typeinfo import TypeInformation, Types
    from penstock.common.types import Row, RowKind
    from penstock.common.watermark_strategy import AssignerWithPeriodicWatermarksWrapper, WatermarkStrategy

__all__ = [
    "AssignerWithPeriodicWatermarksWrapper",
    "AvroRowDeserializationSchema",
    "AvroRowSerializationSchema",
    "ByteArraySchema",
    "CompletableFuture",
    "ConfigOption",
    "ConfigOptions",
    "Configuration",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "DeserializationSchema",
    "Duration",
    "Encoder",
    "ExecutionConfig",
    "ExecutionMode",
    "InputDependencyConstraint",
    "Instant",
    "JobClient",
    "JobExecutionResult",
    "JobID",
    "JobStatus",
    "JsonRowDeserializationSchema",
    "JsonRowSerializationSchema",
    "RestartStrategies",
    "RestartStrategyConfiguration",
    "Row",
    "RowKind",
    "SerializationSchema",
    "SimpleStringSchema",
    "Time",
    "TypeInformation",
    "TypeSerializer",
    "Types",
    "WatermarkStrategy",
]

_MODULES = {
    "_avro_rows": ("AvroRowDeserializationSchema", "AvroRowSerializationSchema"),
    "_csv_rows": ("CsvRowDeserializationSchema", "CsvRowSerializationSchema"),
    "_json_rows": ("JsonRowDeserializationSchema", "JsonRowSerializationSchema"),
    "completable_future": ("CompletableFuture",),
    "config_options": ("ConfigOption", "ConfigOptions"),
    "configuration": ("Configuration",),
    "execution_config": ("ExecutionConfig",),
    "execution_mode": ("ExecutionMode",),
    "input_dependency_constraint": ("InputDependencyConstraint",),
    "job_client": ("JobClient",),
    "job_execution_result": ("JobExecutionResult",),
    "job_id": ("JobID",),
    "job_status": ("JobStatus",),
    "restart_strategy": ("RestartStrategies", "RestartStrategyConfiguration"),
    "serialization": (
        "ByteArraySchema",
        "DeserializationSchema",
        "Encoder",
        "SerializationSchema",
        "SimpleStringSchema",
    ),
    "serializer": ("TypeSerializer",),
    "time": ("Duration", "Instant", "Time"),
    "typeinfo": ("TypeInformation", "Types"),
    "types": ("Row", "RowKind"),
    "watermark_strategy": ("AssignerWithPeriodicWatermarksWrapper", "WatermarkStrategy"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value

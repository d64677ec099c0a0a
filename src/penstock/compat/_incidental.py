"""Names that PyFlink's modules have because they import them, and that programs import from there.

An editor's automatic import takes `ValueStateDescriptor` from `pyflink.datastream.functions` as readily as from
`pyflink.datastream.state`. Each such name is looked up where Penstock has it, when it is first asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

__all__ = ["show_incidental_names"]

HOMES: dict[str, str] = {
    "common.configuration": "Configuration",
    "common.constants": "MAX_LONG_VALUE MIN_LONG_VALUE",
    "common.execution_config": "ExecutionConfig",
    "common.io": "InputFormat",
    "common.job_client": "JobClient",
    "common.job_execution_result": "JobExecutionResult",
    "common.serialization": "BulkWriterFactory DeserializationSchema Encoder SerializationSchema",
    "common.time": "Duration Time",
    "common.typeinfo": "TypeInformation Types",
    "common.types": "Row",
    "common.watermark_strategy": "TimestampAssigner WatermarkStrategy",
    "datastream._functions": "IN1 IN2",
    "datastream._triggers": "Min",
    "datastream._window_assigners": "T",
    "datastream._window_functions": "IN KEY OUT W W2",
    "datastream.checkpointing_mode": "CheckpointingMode",
    "datastream.connectors": "Sink Source",
    "datastream.connectors.base": "StreamTransformer SupportsPreprocessing",
    "datastream.functions": (
        "AggregateFunction AllWindowFunction BroadcastProcessFunction CoFlatMapFunction CoMapFunction "
        "CoProcessFunction FilterFunction FlatMapFunction Function KeySelector "
        "KeyedBroadcastProcessFunction KeyedCoProcessFunction KeyedProcessFunction MapFunction "
        "NullByteKeySelector Partitioner ProcessAllWindowFunction ProcessFunction ProcessWindowFunction "
        "ReduceFunction RuntimeContext SinkFunction SourceFunction WindowFunction"
    ),
    "datastream.output_tag": "OutputTag",
    "datastream.slot_sharing_group": "SlotSharingGroup",
    "datastream.state": (
        "AggregatingState AggregatingStateDescriptor BroadcastState ListState ListStateDescriptor "
        "MapState MapStateDescriptor ReadOnlyBroadcastState ReducingState ReducingStateDescriptor State "
        "StateDescriptor ValueState ValueStateDescriptor"
    ),
    "datastream.time_domain": "TimeDomain",
    "datastream.window": (
        "CountSlidingWindowAssigner CountTumblingWindowAssigner CountWindowSerializer "
        "GlobalWindowSerializer MergingWindowAssigner TimeWindowSerializer Trigger WindowAssigner"
    ),
    "metrics": "MetricGroup",
}
"""Module of Penstock -> names that are found there."""

VISIBLE: dict[str, str] = {
    "datastream.async_data_stream": "TypeInformation",
    "datastream.connectors.file_system": (
        "BulkWriterFactory Duration Encoder Sink SinkFunction Source StreamTransformer SupportsPreprocessing"
    ),
    "datastream.data_stream": (
        "AggregateFunction AggregatingStateDescriptor AllWindowFunction BroadcastProcessFunction "
        "CoFlatMapFunction CoMapFunction CoProcessFunction CountSlidingWindowAssigner "
        "CountTumblingWindowAssigner CountWindowSerializer ExecutionConfig FilterFunction FlatMapFunction "
        "Function GlobalWindowSerializer KeySelector KeyedBroadcastProcessFunction KeyedCoProcessFunction "
        "KeyedProcessFunction ListStateDescriptor MapFunction MapStateDescriptor MergingWindowAssigner "
        "NullByteKeySelector OutputTag Partitioner ProcessAllWindowFunction ProcessFunction "
        "ProcessWindowFunction ReduceFunction ReducingState ReducingStateDescriptor Row RuntimeContext "
        "Sink SinkFunction SlotSharingGroup StateDescriptor TimeWindowSerializer TimestampAssigner "
        "Trigger TypeInformation Types WatermarkStrategy WindowAssigner WindowFunction"
    ),
    "datastream.formats.avro": "DeserializationSchema SerializationSchema",
    "datastream.formats.csv": "DeserializationSchema SerializationSchema",
    "datastream.formats.json": "DeserializationSchema SerializationSchema",
    "datastream.formats.orc": "Configuration",
    "datastream.formats.parquet": "Configuration",
    "datastream.functions": (
        "AggregatingState AggregatingStateDescriptor BroadcastState IN IN1 IN2 KEY ListState "
        "ListStateDescriptor MapState MapStateDescriptor MetricGroup OUT ReadOnlyBroadcastState "
        "ReducingState ReducingStateDescriptor TimeDomain ValueState ValueStateDescriptor W W2"
    ),
    "datastream.output_tag": "Types",
    "datastream.state": "Duration Time Types",
    "datastream.stream_execution_environment": (
        "CheckpointingMode InputFormat JobClient JobExecutionResult SlotSharingGroup Source "
        "SourceFunction Types WatermarkStrategy"
    ),
    "datastream.window": (
        "IN KEY MAX_LONG_VALUE MIN_LONG_VALUE MetricGroup Min OUT OutputTag ReduceFunction ReducingState "
        "ReducingStateDescriptor RuntimeContext State StateDescriptor T Time Types ValueStateDescriptor W "
        "W2"
    ),
}
"""Module -> names that PyFlink's module of that name has beside its own."""

_HOME_OF = {name: home for home, names in HOMES.items() for name in names.split()}


def show_incidental_names(module: ModuleType) -> None:
    """Lets a module of Penstock answer for the incidental names of PyFlink's."""
    names = frozenset(VISIBLE.get(module.__name__.removeprefix("penstock."), "").split())
    if not names or "_incidental_names" in module.__dict__:
        return
    own = module.__dict__.get("__getattr__")

    def find(name: str) -> Any:
        if name in names:
            return getattr(importlib.import_module(f"penstock.{_HOME_OF[name]}"), name)
        if own is not None:
            return own(name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__dict__.update(__getattr__=find, _incidental_names=names)

"""The environment a program builds in (`pyflink.datastream.stream_execution_environment`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from penstock.common.execution_config import ExecutionConfig, available_cores
from penstock.common.typeinfo import TypeInformation
from penstock.conf import (
    CheckpointingOptions,
    Configuration,
    ExecutionOptions,
    PipelineOptions,
)
from penstock.datastream import _executor
from penstock.datastream._data_stream import DataStream, OutputType, declared_type
from penstock.datastream._python_dependencies import PythonDependencies
from penstock.datastream._removed_environment import RemovedEnvironmentMethods
from penstock.datastream._transformations import (
    InputEdge,
    PrintSpec,
    SinkSpec,
    SourceSpec,
    Transformation,
)
from penstock.datastream.checkpoint_config import CheckpointConfig
from penstock.datastream.execution_mode import RuntimeExecutionMode
from penstock.errors import ConfigurationError, UnsupportedFeatureError

if TYPE_CHECKING:
    from penstock.common.configuration import Configuration as ProgramConfiguration
    from penstock.common.io import InputFormat
    from penstock.common.job_client import JobClient
    from penstock.common.job_execution_result import JobExecutionResult
    from penstock.common.watermark_strategy import WatermarkStrategy
    from penstock.datastream._cached_stream import CachedDataStream
    from penstock.datastream._closeable_iterator import CloseableIterator
    from penstock.datastream._functions import SourceFunction
    from penstock.datastream._java_environment import JavaEnvironment
    from penstock.datastream.checkpointing_mode import CheckpointingMode
    from penstock.datastream.connectors.base import Source
    from penstock.datastream.slot_sharing_group import SlotSharingGroup

__all__ = ["StreamExecutionEnvironment"]


class StreamExecutionEnvironment(PythonDependencies, RemovedEnvironmentMethods):
    """Holds a program's settings and operators, and runs them. Made by `get_execution_environment`.

    Settings live in a configuration under Flink's keys, over what files, environment and flags say. Owned by the
    thread that builds the program.
    """

    _default_local_parallelism: ClassVar[int | None] = None

    def __init__(self, configuration: Configuration) -> None:
        if not isinstance(configuration, Configuration):
            raise UnsupportedFeatureError(
                "StreamExecutionEnvironment(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use StreamExecutionEnvironment.get_execution_environment()."
            )
        self._configuration = configuration
        self._operators: list[Transformation] = []
        self._slot_sharing_groups: dict[str, SlotSharingGroup] = {}
        self._caches: list[CachedDataStream] = []

    @staticmethod
    def get_execution_environment(configuration: ProgramConfiguration | None = None) -> StreamExecutionEnvironment:
        """An environment: what files, environment variables and flags say, with the program's configuration over it."""
        env = StreamExecutionEnvironment(_executor.base_configuration())
        if configuration is not None:
            env.configure(configuration)
        return env

    # -- settings --------------------------------------------------------------------------------

    def configure(self, configuration: ProgramConfiguration) -> None:
        """Sets everything the program's configuration holds."""
        values: dict[str, Any] = {}
        configuration.add_all_to_dict(values)
        for key, value in values.items():
            self._configuration.set(key, value)

    def get_configuration(self) -> ProgramConfiguration:
        """A copy of the effective configuration; Penstock's addition, PyFlink has no way to read it."""
        from penstock.common.configuration import Configuration as ProgramConfiguration

        copy = ProgramConfiguration()
        for key, value in self._configuration.to_dict().items():
            copy.set_string(key, value)
        return copy

    def get_config(self) -> ExecutionConfig:
        """The execution settings; changes to them are changes to the environment."""
        return ExecutionConfig(self._configuration)

    def set_parallelism(self, parallelism: int) -> StreamExecutionEnvironment:
        """Sets the parallelism of operators created from now on."""
        self.get_config().set_parallelism(parallelism)
        return self

    def get_parallelism(self) -> int:
        """The parallelism of operators that set none: configured, else the number of cores."""
        configured = self._configuration.get(ExecutionOptions.DEFAULT_PARALLELISM)
        return self.get_default_local_parallelism() if configured is None else configured

    def set_max_parallelism(self, max_parallelism: int) -> StreamExecutionEnvironment:
        """Sets the number of key groups, 1 to 32768."""
        self.get_config().set_max_parallelism(max_parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """The number of key groups, -1 where it is not set."""
        return self.get_config().get_max_parallelism()

    def get_default_local_parallelism(self) -> int:
        """The parallelism of environments that configure none: the number of cores unless set."""
        return StreamExecutionEnvironment._default_local_parallelism or available_cores()

    def set_default_local_parallelism(self, parallelism: int) -> None:
        """Sets it, for all environments of the process."""
        StreamExecutionEnvironment._default_local_parallelism = parallelism

    def register_slot_sharing_group(self, slot_sharing_group: SlotSharingGroup) -> StreamExecutionEnvironment:
        """Makes a group with resources known under its name."""
        self._slot_sharing_groups[slot_sharing_group.get_name()] = slot_sharing_group
        return self

    def set_runtime_mode(self, execution_mode: RuntimeExecutionMode) -> None:
        """STREAMING, BATCH or AUTOMATIC. Does not return the environment, as PyFlink's does not either."""
        self._configuration.set(ExecutionOptions.RUNTIME_MODE, execution_mode.name)

    def set_buffer_timeout(self, timeout_millis: int) -> StreamExecutionEnvironment:
        """How long a record may wait in a batch that is not full, in ms; -1 until it is full.

        Raises:
            ConfigurationError: below -1.
        """
        if timeout_millis < -1:
            raise ConfigurationError(f"Timeout of buffer must be non-negative or -1, got {timeout_millis}.")
        self._configuration.remove(ExecutionOptions.BUFFER_TIMEOUT)
        self._configuration.set(ExecutionOptions.BUFFER_TIMEOUT_ENABLED, timeout_millis != -1)
        if timeout_millis != -1:
            self._configuration.set(ExecutionOptions.BUFFER_TIMEOUT, timeout_millis)
        return self

    def get_buffer_timeout(self) -> int:
        """How long a record may wait in a batch that is not full, in ms; -1 until it is full."""
        enabled = self._configuration.get(ExecutionOptions.BUFFER_TIMEOUT_ENABLED)
        return self._configuration.get(ExecutionOptions.BUFFER_TIMEOUT) if enabled else -1

    def disable_operator_chaining(self) -> StreamExecutionEnvironment:
        """Gives every operator a task of its own."""
        self._configuration.set(ExecutionOptions.OPERATOR_CHAINING, False)
        return self

    def is_chaining_enabled(self) -> bool:
        """Whether operators are chained where possible."""
        return self._configuration.get(ExecutionOptions.OPERATOR_CHAINING)

    def is_chaining_of_operators_with_different_max_parallelism_enabled(self) -> bool:
        """Whether operators of different max parallelism may be chained."""
        return self._configuration.get(ExecutionOptions.CHAIN_DIFFERENT_MAX_PARALLELISM)

    # -- checkpoints and state -------------------------------------------------------------------

    def get_checkpoint_config(self) -> CheckpointConfig:
        """The checkpoint settings; changes to them are changes to the environment."""
        return CheckpointConfig(self._configuration)

    def enable_checkpointing(self, interval: int, mode: CheckpointingMode | None = None) -> StreamExecutionEnvironment:
        """Takes a checkpoint every `interval` ms, by default with exactly-once semantics."""
        config = self.get_checkpoint_config().set_checkpoint_interval(interval)
        if mode is not None:
            config.set_checkpointing_mode(mode)
        return self

    def get_checkpoint_interval(self) -> int:
        """How often checkpoints are taken, in ms; -1 never."""
        return self.get_checkpoint_config().get_checkpoint_interval()

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """EXACTLY_ONCE or AT_LEAST_ONCE; the latter while there are no checkpoints."""
        return self.get_checkpoint_config().get_checkpointing_mode()

    def get_checkpointing_consistency_mode(self) -> CheckpointingMode:
        """The same as `get_checkpointing_mode`."""
        return self.get_checkpointing_mode()

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Whether unaligned checkpoints are asked for."""
        return self.get_checkpoint_config().is_unaligned_checkpoints_enabled()

    def is_force_unaligned_checkpoints(self) -> bool:
        """Whether unaligned checkpoints are asked for where Flink advises against them."""
        return self.get_checkpoint_config().is_force_unaligned_checkpoints()

    def enable_changelog_state_backend(self, enabled: bool) -> StreamExecutionEnvironment:
        """Asks for Flink's changelog state backend, which Penstock does not have; read back only."""
        self._configuration.set(PipelineOptions.CHANGELOG_ENABLED, enabled)
        return self

    def is_changelog_state_backend_enabled(self) -> bool | None:
        """What was asked for, None where nothing was."""
        return self._configuration.get(PipelineOptions.CHANGELOG_ENABLED)

    def set_default_savepoint_directory(self, directory: str) -> StreamExecutionEnvironment:
        """Where savepoints go when none is said."""
        self._configuration.set(CheckpointingOptions.SAVEPOINT_DIRECTORY, directory)
        return self

    def get_default_savepoint_directory(self) -> str | None:
        """Where savepoints go when none is said."""
        return self._configuration.get(CheckpointingOptions.SAVEPOINT_DIRECTORY)

    # -- sources ---------------------------------------------------------------------------------

    def from_collection(self, collection: Iterable[Any], type_info: OutputType = None) -> DataStream:
        """A bounded stream of the elements, from one subtask.

        The elements are pickled now: what happens to them later does not reach the job.

        Raises:
            TypeError: if an element is not of the type.
            ConfigurationError: if an element cannot be pickled.
        """
        from penstock.datastream._collection import CollectionSource, typed_elements

        declared = declared_type(type_info)
        source = CollectionSource(typed_elements(list(collection), declared))
        stream = self._source("Collection Source", SourceSpec(source), declared)
        return stream.force_non_parallel()

    def from_source(
        self,
        source: Source,
        watermark_strategy: WatermarkStrategy,
        source_name: str,
        type_info: OutputType = None,
    ) -> DataStream:
        """A stream of what the source reads; without `type_info` of the type the source says.

        Raises:
            TypeError: if it is no Source, or the strategy no WatermarkStrategy.
        """
        from penstock.common.watermark_strategy import WatermarkStrategy
        from penstock.datastream.connectors.base import Source

        if not isinstance(source, Source):
            raise TypeError(f"from_source() takes a Source, got {type(source).__name__}.")
        if not isinstance(watermark_strategy, WatermarkStrategy):
            raise TypeError(
                f"from_source() takes a WatermarkStrategy, got {type(watermark_strategy).__name__}. "
                "Without event time, pass WatermarkStrategy.no_watermarks()."
            )
        declared = declared_type(type_info if type_info is not None else source.produced_type)
        return self._source(source_name, SourceSpec(source, watermark_strategy), declared)

    def add_source(
        self,
        source_func: SourceFunction,
        source_name: str = "Custom Source",
        type_info: TypeInformation | None = None,
    ) -> NoReturn:
        """PyFlink's way to a Java SourceFunction.

        Raises:
            UnsupportedFeatureError: always; there is no JVM.
        """
        raise UnsupportedFeatureError(
            f"add_source({type(source_func).__name__}) takes a Java SourceFunction; there is no JVM in this process. "
            "Use from_collection() or from_source(), or run this program on a Flink cluster."
        )

    def create_input(self, input_format: InputFormat, type_info: TypeInformation | None = None) -> DataStream:
        """A stream of what an InputFormat reads, of which there is AvroInputFormat.

        Raises:
            UnsupportedFeatureError: for any other; PyFlink's wrap Java classes.
        """
        from penstock.common.watermark_strategy import WatermarkStrategy

        to_source = getattr(input_format, "to_source", None)
        if to_source is not None:
            return self.from_source(to_source(), WatermarkStrategy.no_watermarks(), "Custom Source", type_info)
        raise UnsupportedFeatureError(
            f"create_input({type(input_format).__name__}) takes a Java InputFormat; there is no JVM in this process. "
            "Use from_source() with a FileSource, or run this program on a Flink cluster."
        )

    def _source(self, name: str, spec: SourceSpec, type_info: TypeInformation | None) -> DataStream:
        # Not registered: as in Flink a source takes part only when something reads it.
        operator = Transformation(name, spec, output_type=type_info, parallelism=self.get_parallelism())
        return DataStream(self, (InputEdge(operator),), type_info, operator)

    # -- execution -------------------------------------------------------------------------------

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Runs everything built since the last job, and waits for its end.

        Raises:
            ConfigurationError: if nothing was built.
            JobError: the job failed.
        """
        from penstock.common.job_execution_result import JobExecutionResult
        from penstock.common.job_id import JobID

        result = self._submit(self._take_pipeline(job_name)).wait()
        return JobExecutionResult(JobID(result.job_id), result.runtime_ms, result.accumulators)

    def execute_async(self, job_name: str = "Flink Streaming Job") -> JobClient:
        """Starts everything built since the last job, and goes on."""
        from penstock.common.job_client import JobClient

        return JobClient(self._submit(self._take_pipeline(job_name), detached=True))

    def get_execution_plan(self) -> str:
        """What would be executed, as JSON in Flink's form; the program stays as it is."""
        return _executor.plan(self._pipeline(self._operators, None))

    def register_cached_file(self, file_path: str, name: str, executable: bool = False) -> None:
        """Notes a file for Flink's distributed cache; PyFlink's functions cannot ask for it, so it has no effect."""
        entry = f"name:{name},path:'{file_path}',executable:{str(executable).lower()}"
        earlier = self._configuration.get(PipelineOptions.CACHED_FILES) or []
        self._configuration.set(PipelineOptions.CACHED_FILES, [*earlier, entry])

    def close(self) -> None:
        """Drops what was built and what `cache()` kept."""
        self._operators.clear()
        for cache in self._caches:
            cache.invalidate()

    def _add(self, operator: Transformation) -> None:
        self._operators.append(operator)

    def _take_pipeline(self, job_name: str | None) -> _executor.Pipeline:
        """The pipeline of everything built; the environment is empty afterwards, whatever becomes of the job."""
        operators, self._operators = self._operators, []
        return self._pipeline(operators, job_name)

    def _collect(
        self, collector: Transformation, job_name: str | None, limit: int | None
    ) -> CloseableIterator | list[Any]:
        from penstock.datastream._closeable_iterator import CloseableIterator

        pipeline = self._pipeline([collector], job_name)
        self._warn_of_forgotten_sinks(pipeline)
        self._operators.clear()
        results = CloseableIterator(self._submit(pipeline))
        if limit is None:
            return results
        with results:
            return [element for _, element in zip(range(limit), results, strict=False)]

    def _pipeline(self, operators: list[Transformation], job_name: str | None) -> _executor.Pipeline:
        if not operators:
            raise ConfigurationError(
                "No operators defined in streaming topology. Cannot execute. "
                "Build a stream first: from_collection() or from_source(), then an operator or a sink."
            )
        transformations = _with_inputs(operators)
        if not self.get_config().has_auto_generated_uids_enabled():
            _check_uids_given(transformations)
        return _executor.Pipeline(transformations, self._configuration.copy(), job_name)

    def _submit(self, pipeline: _executor.Pipeline, *, detached: bool = False) -> _executor.JobHandle:
        operators = list(pipeline.transformations)
        sinks = [sink for sink in (cache.prepare(operators) for cache in self._caches) if sink is not None]
        if not sinks:
            return _executor.execute(pipeline, detached=detached)
        from penstock.datastream._cached_stream import CachingHandle

        handle = _executor.execute(pipeline.replace(transformations=(*operators, *sinks)), detached=detached)
        return CachingHandle(handle, self._caches)

    def _warn_of_forgotten_sinks(self, pipeline: _executor.Pipeline) -> None:
        kept = {transformation.id for transformation in pipeline.transformations}
        forgotten = [
            operator.name
            for operator in self._operators
            if operator.id not in kept and isinstance(operator.spec, (PrintSpec, SinkSpec))
        ]
        if forgotten:
            warnings.warn(
                f"execute_and_collect() runs only what the collected stream needs and forgets the rest of the "
                f"environment, as in PyFlink: {', '.join(forgotten)} will not run. Call execute() before it, or "
                "collect from an environment of its own.",
                stacklevel=4,
            )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "cannot pickle 'StreamExecutionEnvironment' object: an environment, and the streams of it, exist where the "
            "program is built only; give the function the values it needs"
        )

    @property
    def _j_stream_execution_environment(self) -> JavaEnvironment:
        from penstock.datastream._java_environment import JavaEnvironment

        return JavaEnvironment(self)


def _with_inputs(operators: list[Transformation]) -> tuple[Transformation, ...]:
    """The operators and everything they read, each after its inputs; ids rise with creation."""
    found: dict[int, Transformation] = {}
    waiting = list(operators)
    while waiting:
        operator = waiting.pop()
        if operator.id not in found:
            found[operator.id] = operator
            waiting.extend(edge.source for edges in operator.inputs for edge in edges)
    return tuple(found[operator_id] for operator_id in sorted(found))


def _check_uids_given(transformations: tuple[Transformation, ...]) -> None:
    missing = [each.name for each in transformations if each.uid is None and each.uid_hash is None]
    if missing:
        raise ConfigurationError(
            f"Auto generated UIDs have been disabled but no UID or hash has been assigned to operator "
            f"{', '.join(missing)}. Call uid() on them, or enable_auto_generated_uids()."
        )

"""Methods Flink 1.x's environment had and 2.x's has not: they work, with a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from penstock.common._removed import NO_KRYO, warn_removed
from penstock.conf import Configuration

if TYPE_CHECKING:
    from penstock.common.restart_strategy import RestartStrategyConfiguration
    from penstock.datastream._data_stream import DataStream
    from penstock.datastream.state_backend import StateBackend
    from penstock.datastream.time_characteristic import TimeCharacteristic

__all__ = ["RemovedEnvironmentMethods"]

RESTART_OPTION = "the option restart-strategy.type"
BACKEND_OPTION = "the option state.backend.type"


class RemovedEnvironmentMethods:
    """The methods; settings go where their successors in 2.x put them."""

    _configuration: Configuration

    def set_restart_strategy(self, restart_strategy_configuration: RestartStrategyConfiguration) -> Self:
        """What happens when a job fails; 1.x only."""
        warn_removed("StreamExecutionEnvironment.set_restart_strategy", RESTART_OPTION)
        restart_strategy_configuration.apply_to(self._configuration)
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        """What happens when a job fails; 1.x only."""
        from penstock.common.restart_strategy import restart_strategy_of

        warn_removed("StreamExecutionEnvironment.get_restart_strategy", RESTART_OPTION)
        return restart_strategy_of(self._configuration)

    def set_state_backend(self, state_backend: StateBackend) -> Self:
        """Where keyed state is kept; 1.x only."""
        warn_removed("StreamExecutionEnvironment.set_state_backend", BACKEND_OPTION)
        state_backend.apply_to(self._configuration)
        return self

    def get_state_backend(self) -> StateBackend | None:
        """Where keyed state is kept, None where nothing was set; 1.x only."""
        from penstock.datastream.state_backend import state_backend_of

        warn_removed("StreamExecutionEnvironment.get_state_backend", BACKEND_OPTION)
        return state_backend_of(self._configuration)

    def set_stream_time_characteristic(self, characteristic: TimeCharacteristic) -> None:
        """Which time windows use; 1.x only. Watermark strategies and window assigners say it."""
        from penstock.datastream.time_characteristic import TimeCharacteristic

        warn_removed("StreamExecutionEnvironment.set_stream_time_characteristic", "a WatermarkStrategy")
        if characteristic is TimeCharacteristic.ProcessingTime:
            self._configuration.set("pipeline.auto-watermark-interval", 0)

    def get_stream_time_characteristic(self) -> TimeCharacteristic:
        """Which time windows use; 1.x only."""
        from penstock.datastream.time_characteristic import TimeCharacteristic

        warn_removed("StreamExecutionEnvironment.get_stream_time_characteristic", "a WatermarkStrategy")
        return TimeCharacteristic.EventTime

    def read_text_file(self, file_path: str, charset_name: str = "UTF-8") -> DataStream:
        """A bounded stream of a file's lines; 1.x only."""
        from penstock.common.typeinfo import Types
        from penstock.common.watermark_strategy import WatermarkStrategy
        from penstock.datastream.connectors.file_system import FileSource, StreamFormat

        warn_removed("StreamExecutionEnvironment.read_text_file", "from_source() with a FileSource")
        source = FileSource.for_record_stream_format(StreamFormat.text_line_format(charset_name), file_path)
        source.process_static_file_set()
        return self.from_source(  # type: ignore[attr-defined, no-any-return]
            source.build(), WatermarkStrategy.no_watermarks(), "Split Reader: Custom File Source", Types.STRING()
        )

    def register_type(self, type_class_name: str) -> None:
        """Java's serializers; no effect, 1.x only."""
        warn_removed("StreamExecutionEnvironment.register_type", NO_KRYO)

    def register_type_with_kryo_serializer(self, type_class_name: str, serializer_class_name: str) -> None:
        """Java's serializers; no effect, 1.x only."""
        warn_removed("StreamExecutionEnvironment.register_type_with_kryo_serializer", NO_KRYO)

    def add_default_kryo_serializer(self, type_class_name: Any, serializer_class_name: Any) -> None:
        """Java's serializers; no effect, 1.x only."""
        warn_removed("StreamExecutionEnvironment.add_default_kryo_serializer", NO_KRYO)

"""What programs reach for below PyFlink's API and what needs no JVM: sockets, and the environment's configuration.

PyFlink has no way to read a socket or to change the configuration of an environment that exists, so programs go
through the Java object: `DataStream(env._j_stream_execution_environment.socketTextStream(host, port))`, or
`get_j_env_configuration(env._j_stream_execution_environment).setString(key, value)`. These work; everything else of the
Java objects is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from penstock.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from penstock.common.configuration import Configuration
    from penstock.datastream._data_stream import DataStream
    from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["JavaConfiguration", "JavaEnvironment"]


def _refuse(owner: str, name: str) -> NoReturn:
    raise UnsupportedFeatureError(
        f"{owner}.{name} is PyFlink's internal access to the JVM; Penstock has none. For configuration use "
        "env.configure(Configuration), and env.get_configuration() to read it."
    )


class JavaEnvironment:
    """`env._j_stream_execution_environment`. Made for one use; names are Java's."""

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        self._env = env

    def socketTextStream(self, hostname: str, port: int, delimiter: str = "\n", max_retry: int = 0) -> DataStream:
        """Lines from a TCP server; what it returns is given to `DataStream(…)`."""
        from penstock.common.watermark_strategy import WatermarkStrategy
        from penstock.datastream.connectors.socket_text import SocketTextSource

        source = SocketTextSource(hostname, port, delimiter, max_retry)
        return self._env.from_source(source, WatermarkStrategy.no_watermarks(), "Socket Stream")

    def getConfiguration(self) -> JavaConfiguration:
        """The environment's configuration, to be read and changed."""
        return JavaConfiguration(self._env)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse("StreamExecutionEnvironment._j_stream_execution_environment", name)


class _EnvironmentValues(dict[str, Any]):
    """The values of a `Configuration` that stands for an environment's: changes are changes to the environment."""

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        super().__init__(env.get_configuration()._values)
        self._conf = env._configuration

    def __setitem__(self, key: str, value: Any) -> None:
        self._conf.set(key, value)
        super().__setitem__(key, value)

    def update(self, values: Any) -> None:  # type: ignore[override]  # as Configuration calls it
        for key, value in values.items():
            self[key] = value

    def pop(self, key: str, *default: Any) -> Any:
        self._conf.remove(key)
        return super().pop(key, *default)


class JavaConfiguration:
    """The configuration of an environment under Java's names; `Configuration(j_configuration=…)` takes it."""

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        self._env = env

    def values(self) -> dict[str, Any]:
        """Keys to values; setting one sets it in the environment."""
        return _EnvironmentValues(self._env)

    def _configuration(self) -> Configuration:
        from penstock.common.configuration import Configuration

        return Configuration(j_configuration=self)

    def setString(self, key: str, value: str) -> None:
        """Sets a text."""
        self._configuration().set_string(key, value)

    def setInteger(self, key: str, value: int) -> None:
        """Sets an integer."""
        self._configuration().set_integer(key, value)

    def setBoolean(self, key: str, value: bool) -> None:
        """Sets a boolean."""
        self._configuration().set_boolean(key, value)

    def getString(self, key: str, default: str | None = None) -> str | None:
        """The value as text, else the default."""
        return self._configuration().get_string(key, default)  # type: ignore[arg-type]  # Java takes null

    def getInteger(self, key: str, default: int) -> int:
        """The value as an integer, else the default."""
        return self._configuration().get_integer(key, default)

    def getBoolean(self, key: str, default: bool) -> bool:
        """The value as a boolean, else the default."""
        return self._configuration().get_boolean(key, default)

    def containsKey(self, key: str) -> bool:
        """Whether the key is set."""
        return self._configuration().contains_key(key)

    def keySet(self) -> set[str]:
        """The keys."""
        return self._configuration().key_set()

    def toMap(self) -> dict[str, str]:
        """All values as text."""
        return self._configuration().to_dict()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse("The Java configuration of an environment", name)

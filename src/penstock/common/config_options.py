"""Options of a program's own (`pyflink.common.config_options`): a key with a type and perhaps a default."""

from __future__ import annotations

from typing import Any, Generic, NoReturn, TypeVar

from penstock.errors import UnsupportedFeatureError

__all__ = ["ConfigOption", "ConfigOptions"]

T = TypeVar("T")


class ConfigOption(Generic[T]):
    """A key, a type and a default, None for none. Immutable."""

    def __init__(self, key: str, option_type: type, default: T | None) -> None:
        self._key = key
        self._type = option_type
        self._default = default

    def key(self) -> str:
        """The key."""
        return self._key

    def default_value(self) -> T | None:
        """The default, None for none."""
        return self._default

    def __repr__(self) -> str:
        return f"Key: '{self._key}' , default: {self._default}"


class ConfigOptions:
    """Makes options: `ConfigOptions.key('a.b').int_type().default_value(5)`."""

    def __init__(self, j_config_options: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            "ConfigOptions(<java object>) wraps a Java object; there is no JVM in this process. "
            "Use ConfigOptions.key(…)."
        )

    @staticmethod
    def key(key: str) -> ConfigOptions.OptionBuilder:
        """Starts an option with that key."""
        return ConfigOptions.OptionBuilder(key)

    class OptionBuilder:
        """Waits for the type."""

        def __init__(self, key: str) -> None:
            self._key = key

        def boolean_type(self) -> ConfigOptions.TypedConfigOptionBuilder[bool]:
            """Of bool."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, bool)

        def int_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """Of int, 32 bits in Java."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, int)

        def long_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """Of int, 64 bits in Java."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, int)

        def float_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            """Of float, 32 bits in Java."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, float)

        def double_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            """Of float, 64 bits in Java."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, float)

        def string_type(self) -> ConfigOptions.TypedConfigOptionBuilder[str]:
            """Of str."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, str)

    class TypedConfigOptionBuilder(Generic[T]):
        """Waits for the default."""

        def __init__(self, key: str, option_type: type[T]) -> None:
            self._key = key
            self._type = option_type

        def default_value(self, value: T) -> ConfigOption[T]:
            """The option, with a default."""
            return ConfigOption(self._key, self._type, value)

        def no_default_value(self) -> ConfigOption[T]:
            """The option, without a default."""
            return ConfigOption(self._key, self._type, None)

"""Configuration as programs write it (`pyflink.common.configuration`).

Holds what the program sets, with the types it set; `penstock.conf` gives the values their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from penstock.conf import BOOLEAN, DOUBLE, LONG, printed
from penstock.errors import ConfigurationError, UnsupportedFeatureError

__all__ = ["Configuration"]


class Configuration:
    """Keys to values. Values are converted when read; unknown keys are accepted. Owned by whoever made it."""

    def __init__(self, other: Configuration | None = None, j_configuration: Any = None) -> None:
        self._values: dict[str, Any] = dict(other._values) if other is not None else {}
        if j_configuration is not None:  # that of an environment, see datastream/_java_environment.py
            values = getattr(j_configuration, "values", None)
            if values is None:
                raise UnsupportedFeatureError(
                    "Configuration(j_configuration=…) wraps a Java object; there is no JVM in this process. "
                    "Use Configuration() and its setters."
                )
            self._values = values()

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Configuration:
        """A configuration with these values (PyFlink after 2.2)."""
        configuration = Configuration()
        configuration._values.update(values)
        return configuration

    def get_string(self, key: str, default_value: str) -> str:
        """The value as text."""
        return printed(self._values[key]) if key in self._values else default_value

    def set_string(self, key: str, value: str) -> Configuration:
        """Sets a text."""
        return self._set(key, str(value))

    def get_integer(self, key: str, default_value: int) -> int:
        """The value as an integer of 64 bits.

        Raises:
            ConfigurationError: if it is none.
        """
        return int(self._converted(key, LONG)) if key in self._values else default_value

    def set_integer(self, key: str, value: int) -> Configuration:
        """Sets an integer."""
        return self._set(key, int(value))

    def get_boolean(self, key: str, default_value: bool) -> bool:
        """The value as a boolean; texts are `true` and `false`.

        Raises:
            ConfigurationError: if it is none.
        """
        return bool(self._converted(key, BOOLEAN)) if key in self._values else default_value

    def set_boolean(self, key: str, value: bool) -> Configuration:
        """Sets a boolean."""
        return self._set(key, bool(value))

    def get_float(self, key: str, default_value: float) -> float:
        """The value as a float of 64 bits.

        Raises:
            ConfigurationError: if it is none.
        """
        return float(self._converted(key, DOUBLE)) if key in self._values else default_value

    def set_float(self, key: str, value: float) -> Configuration:
        """Sets a float."""
        return self._set(key, float(value))

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        """The value as bytes.

        Raises:
            ConfigurationError: if it was not set as bytes.
        """
        value = self._values.get(key, default_value)
        if not isinstance(value, (bytes, bytearray)):
            raise ConfigurationError(f"The value of '{key}' is no bytes but {type(value).__name__} {value!r}.")
        return bytearray(value)

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        """Sets bytes."""
        return self._set(key, bytes(value))

    @staticmethod
    def parse_list_value(value: str | None) -> list[Any]:
        """A list written in YAML, on one line or several, or with semicolons between the items; None gives []."""
        if not value:
            return []
        if value.lstrip()[:1] in ("[", "-"):
            import yaml

            parsed = yaml.safe_load(value)
            if isinstance(parsed, list):
                return parsed
        return value.split(";")

    def key_set(self) -> set[str]:
        """The keys."""
        return set(self._values)

    def add_all_to_dict(self, target_dict: dict[str, Any]) -> None:
        """Puts all values into the dict, with the types they were set with."""
        target_dict.update(self._values)

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Adds the other's values, their keys after the prefix."""
        self._values.update({(prefix or "") + key: value for key, value in other._values.items()})
        return self

    def contains_key(self, key: str) -> bool:
        """Whether the key is set."""
        return key in self._values

    def to_dict(self) -> dict[str, str]:
        """All values as text."""
        return {key: printed(value) for key, value in self._values.items()}

    def remove_config(self, key: str) -> bool:
        """Removes a key; says whether it was set."""
        return self._values.pop(key, self) is not self

    def _set(self, key: str, value: Any) -> Configuration:
        self._values[key] = value
        return self

    def _converted(self, key: str, kind: Any) -> Any:
        value = self._values[key]
        try:
            return kind.convert(value)
        except ValueError as error:
            raise ConfigurationError(f"Could not parse value '{printed(value)}' for key '{key}': {error}.") from None

    @property
    def _j_configuration(self) -> NoReturn:
        raise UnsupportedFeatureError(
            "Configuration._j_configuration is PyFlink's internal access to the JVM; Penstock has none. "
            "Read with get_string() or to_dict()."
        )

    def __copy__(self) -> Configuration:
        return Configuration(self)

    def __deepcopy__(self, memo: Mapping[int, Any] | None = None) -> Configuration:
        return Configuration(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self._values == other._values

    def __hash__(self) -> int:
        return hash(frozenset(self.to_dict().items()))

    def __str__(self) -> str:
        return "{" + ", ".join(f"{key}={value}" for key, value in self.to_dict().items()) + "}"

    def __repr__(self) -> str:
        return f"Configuration({self})"

"""The configuration: keys to values, and for each value where it came from."""

from __future__ import annotations

from penstock.conf._errors import OptionValueError
from penstock.conf._option import ConfigOption
from penstock.conf._record import Record
from penstock.conf._types import MAP, T_co, printed, reason_and_detail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, KeysView, Mapping
    from typing import TypeVar

    D = TypeVar("D")

__all__ = ["Configuration", "Source"]


class Source(Record):
    """Where a value came from.

    Attributes:
        kind: `default`, `file`, `environment`, `flag`, `program`, or `derived` (computed by the memory model).
        place: the file, the variable, the flag; empty where the kind says it all.
        line: in that file or variable, from 1; None when it has none.
    """

    kind: str
    place: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f"${self.place}" if self.kind == "environment" else self.place or self.kind
        return place if self.line is None else f"{place}:{self.line}"


PROGRAM = Source("program")
FLAG = Source("flag", "-D")


class Configuration:
    """Maps keys to values; mutable, owned by whoever made it, not to be shared between threads while it changes.

    Values are kept as they were given and converted when an option is looked up, so a malformed value that nobody reads
    does no harm. Keys are case-sensitive. Iteration is in the order of first insertion.

    Attributes:
        older_keys_used: older or foreign key -> proper key, for each that a look-up through `get` or `contains` met.
    """

    __slots__ = ("_sources", "_values", "older_keys_used")

    def __init__(self, other: Configuration | None = None) -> None:
        self._values: dict[str, object] = dict(other._values) if other is not None else {}
        self._sources: dict[str, Source] = dict(other._sources) if other is not None else {}
        self.older_keys_used: dict[str, str] = {}

    @classmethod
    def from_mapping(cls, values: Mapping[str, object], source: Source | None = None) -> Configuration:
        """A configuration with these values, all from one source."""
        configuration = cls()
        configuration._values.update(values)
        if source is not None:
            configuration._sources.update(dict.fromkeys(values, source))
        return configuration

    def lookup(self, option: ConfigOption[object]) -> tuple[str, object] | None:
        """The (key, raw value) that holds an option, by its proper key or else an older one; None when not set.

        For a map option without a value of its own the keys with the option's key as prefix make up the value.
        """
        values = self._values
        for key in option.all_keys:
            if key in values:
                return key, values[key]
        if option.type is MAP:
            prefix = option.key + "."
            entries = {key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)}
            if entries:
                return option.key, entries
        return None

    def get(self, option: ConfigOption[T_co], default: D | None = None) -> T_co | D:
        """The option's value, converted to its type; `default`, or else the option's own default, when it is not set.

        Raises:
            OptionValueError: the value cannot be converted.
        """
        found = self.lookup(option)
        if found is None:
            return option.default if default is None else default
        key, value = found
        if key != option.key:
            self.older_keys_used[key] = option.key
        try:
            return option.type.convert(value)
        except ValueError as error:
            raise self.value_error(option, error) from None

    def contains(self, option: ConfigOption[object]) -> bool:
        """Whether the option is set, by its proper key or an older one; the value need not be readable."""
        found = self.lookup(option)
        if found is None:
            return False
        if found[0] != option.key:
            self.older_keys_used[found[0]] = option.key
        return True

    def value_error(
        self, option: ConfigOption[object], error: ValueError, error_id: str = "value-unparsable"
    ) -> OptionValueError:
        """The error to raise for an option whose value failed to convert with `error`."""
        key, value = self.lookup(option) or (option.key, None)
        reason, detail = reason_and_detail(error)
        example = _example_of(option.type.name, option.type.example)
        changes: tuple[tuple[str, str | None], ...]
        if option.default is None:
            hint, changes = f"Set {example}, or remove it.", ((key, option.type.example),)
        else:
            default = option.default_text or printed(option.default)
            hint, changes = f"Remove it to use the default {default}, or set {example}.", ((key, None),)
        return OptionValueError(
            option.key,
            key,
            value,
            reason,
            error_id=error_id,
            detail=detail,
            source=self._sources.get(key),
            hint=hint,
            changes=changes,
        )

    def set(
        self, key_or_option: str | ConfigOption[object], value: object, source: Source | None = PROGRAM
    ) -> Configuration:
        """Sets a value under a key, or under an option's proper key; returns the configuration itself."""
        key = key_or_option if isinstance(key_or_option, str) else key_or_option.key
        self._values[key] = value
        if source is None:
            self._sources.pop(key, None)
        else:
            self._sources[key] = source
        return self

    def remove(self, key_or_option: str | ConfigOption[object]) -> bool:
        """Removes a key, or all keys of an option, older ones too; says whether there was anything to remove."""
        keys = (key_or_option,) if isinstance(key_or_option, str) else key_or_option.all_keys
        removed = False
        for key in keys:
            if key in self._values:
                del self._values[key]
                self._sources.pop(key, None)
                removed = True
        return removed

    def raw(self, key: str) -> object:
        """The value under a key as it was given, None when it is not set."""
        return self._values.get(key)

    def source(self, key_or_option: str | ConfigOption[object]) -> Source | None:
        """Where the value of a key or option came from; None when it is not set, or nobody said."""
        if isinstance(key_or_option, str):
            return self._sources.get(key_or_option)
        found = self.lookup(key_or_option)
        return self._sources.get(found[0]) if found is not None else None

    def overlay(self, other: Configuration) -> Configuration:
        """A new configuration: this one with the other laid over it, key by key."""
        result = Configuration(self)
        result.update(other)
        return result

    def update(self, other: Configuration) -> None:
        """Lays another configuration over this one, key by key, sources included."""
        for key, value in other._values.items():
            self.set(key, value, other._sources.get(key))

    def copy(self) -> Configuration:
        """An independent copy."""
        return Configuration(self)

    def raw_values(self) -> dict[str, object]:
        """Keys to values as they were given; a copy."""
        return dict(self._values)

    def to_dict(self) -> dict[str, str]:
        """Keys to values as text."""
        return {key: printed(value) for key, value in self._values.items()}

    def keys(self) -> KeysView[str]:
        """The keys, in the order of first insertion."""
        return self._values.keys()

    def items(self) -> ItemsView[str, object]:
        """Keys and raw values, in the order of first insertion."""
        return self._values.items()

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Configuration({self._values!r})"


def _example_of(type_name: str, example: str) -> str:
    """How a message proposes a value of a type."""
    if type_name.startswith("one of "):
        return type_name
    article = "an" if type_name[0] in "aeiou" else "a"
    return f"{article} {type_name} such as {example}"

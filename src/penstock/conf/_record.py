"""Frozen records for what `penstock plan` starts up with, and for what the start of every job makes.

The rest of the project uses `@dataclass(frozen=True, slots=True)`. Importing `dataclasses` alone takes longer than
planning a configuration does (it pulls in `inspect` and `ast`), and each class it makes takes half a millisecond. So
`conf` and the memory model declare their records here instead, and the runtime those that are not made in hot paths:

    class Point(Record):
        x: int
        y: int = 0

Fields, defaults, positional and keyword construction, equality, hash and repr are those of a frozen dataclass with
slots.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:
    # `typing` is not imported at run time: it would cost 3 ms.
    def dataclass_transform(**_: object):
        return lambda decorated: decorated


__all__ = ["Record"]


@dataclass_transform(frozen_default=True)
class _RecordType(type):
    """Turns the annotations of a class body into slots; fields of base records come first."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _RecordType:
        own = [field for field in namespace.get("__annotations__", ()) if not field.startswith("__")]
        inherited: tuple[str, ...] = ()
        defaults: dict[str, Any] = {}
        for base in bases:
            inherited += getattr(base, "_fields", ())
            defaults.update(getattr(base, "_defaults", {}))
        for field in own:
            if field in namespace:
                defaults[field] = namespace.pop(field)
        namespace["__slots__"] = tuple(own)
        namespace["_fields"] = inherited + tuple(own)
        namespace["_defaults"] = defaults
        return super().__new__(mcs, name, bases, namespace)


class Record(metaclass=_RecordType):
    """Base of frozen records: annotate fields in the class body."""

    if TYPE_CHECKING:
        _fields: ClassVar[tuple[str, ...]]
        _defaults: ClassVar[dict[str, Any]]

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = self._fields
        put = object.__setattr__
        for field, value in zip(fields, values, strict=False):
            put(self, field, value)
        if len(values) == len(fields) and not named:
            return
        if len(values) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields, {len(values)} values were given")
        defaults = self._defaults
        for field in fields[len(values) :]:
            if field in named:
                put(self, field, named.pop(field))
            elif field in defaults:
                put(self, field, defaults[field])
            else:
                raise TypeError(f"{type(self).__name__} needs a value for '{field}'")
        if named:
            raise TypeError(f"{type(self).__name__} has no field '{next(iter(named))}', or it was given twice")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, field) for field in self._fields])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        inside = ", ".join(f"{field}={getattr(self, field)!r}" for field in self._fields)
        return f"{type(self).__name__}({inside})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{field: changes.pop(field, getattr(self, field)) for field in self._fields}, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Field names to values, not recursive."""
        return {field: getattr(self, field) for field in self._fields}

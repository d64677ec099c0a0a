"""State schemas: what a state was written as, and whether that can be read as what it is declared now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from penstock.conf import Record
from penstock.runtime.state._backend import StateKind, TableSpec
from penstock.runtime.state._codecs import code_of
from penstock.runtime.state._errors import StateMigrationError

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation

__all__ = ["Adaptation", "adaptation", "describe", "type_text"]

UNTYPED: Final = "pickled"


def type_text(type_info: TypeInformation | None) -> str:
    """A type as it is written into snapshots: equal texts, equal types; names of row fields do not count."""
    if type_info is None:
        return UNTYPED
    from penstock.common import typeinfo

    if isinstance(type_info, typeinfo.PickledBytesTypeInfo):
        return UNTYPED
    if isinstance(type_info, typeinfo.RowTypeInfo):
        return f"ROW({', '.join(map(type_text, type_info.get_field_types()))})"
    if isinstance(type_info, typeinfo.TupleTypeInfo):
        return f"TUPLE({', '.join(map(type_text, type_info.get_field_types()))})"
    return str(type_info)


def describe(spec: TableSpec) -> dict[str, Any]:
    """A table's schema as plain data."""
    return {
        "name": spec.name,
        "kind": spec.kind.value,
        "type": type_text(spec.type_info),
        "code": code_of(spec.type_info),
        "map_key_type": type_text(spec.map_key_type) if spec.kind is StateKind.MAP else None,
        "ttl": spec.ttl,
    }


class Adaptation(Record):
    """How values written under an older schema become values of the declared one.

    Attributes:
        value: applied to each value, list element and map value (without its stamp); None leaves them alone.
        map_key: the same for map keys.
        was_stamped: whether the values were written with a time to live.
        is_stamped: whether they have one now; those that had none begin to live when they are read.
    """

    value: Callable[[Any], Any] | None
    map_key: Callable[[Any], Any] | None
    was_stamped: bool
    is_stamped: bool

    def element(self, element: Any, now_ms: int) -> Any:
        """One stored value, list element or map value."""
        bare, stamp = element if self.was_stamped else (element, now_ms)
        if self.value is not None:
            bare = self.value(bare)
        return (bare, stamp) if self.is_stamped else bare

    def stored(self, kind: StateKind, value: Any, now_ms: int) -> Any:
        """What a table holds for one key."""
        if kind is StateKind.LIST:
            return [self.element(element, now_ms) for element in value]
        if kind is StateKind.MAP:
            convert_key = self.map_key or _same
            return {convert_key(map_key): self.element(element, now_ms) for map_key, element in value.items()}
        return self.element(value, now_ms)


def _same(value: Any) -> Any:
    return value


def adaptation(written: dict[str, Any], spec: TableSpec, place: str) -> Adaptation | None:
    """Compares what was written with what is declared.

    Args:
        written: the schema from the snapshot.
        spec: the declaration.
        place: the operator, for messages.

    Returns:
        None if the values can be used as they are.

    Raises:
        StateMigrationError: if they cannot be used at all.
    """
    declared = describe(spec)
    if written["kind"] != declared["kind"]:
        raise StateMigrationError(
            f"State '{spec.name}' of {place} was written as {written['kind']} state and is now declared as "
            f"{declared['kind']} state. Give the new state another name, or restore with the old program."
        )
    value = _converter(written["type"], declared["type"], spec.type_info, spec.name, place, "")
    map_key = _converter(
        written["map_key_type"], declared["map_key_type"], spec.map_key_type, spec.name, place, "map keys of "
    )
    if value is None and map_key is None and written["ttl"] == spec.ttl:
        return None
    return Adaptation(value, map_key, written["ttl"], spec.ttl)


def _converter(
    before: str | None, now: str | None, type_info: TypeInformation | None, name: str, place: str, part: str
) -> Callable[[Any], Any] | None:
    if before == now or now == UNTYPED or now is None:
        return None  # any Python value can be held untyped
    message = f"State '{name}' of {place} was written with {part}type {before} and is now declared as {now}"
    if before != UNTYPED:
        raise StateMigrationError(
            f"{message}. Declare the old type, or give the new state another name and start without the old values."
        )
    from penstock.common._values import coercer_for

    assert type_info is not None
    coerce = coercer_for(type_info)
    if coerce is None:
        return None

    def convert(value: Any) -> Any:
        try:
            return coerce(value)
        except Exception as error:
            raise StateMigrationError(f"{message}, which the value {value!r} does not fit: {error}") from error

    return convert

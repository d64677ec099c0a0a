"""Declared types where records leave an operator: which edges enforce them, and what they make of keys.

PyFlink enforces a declared type where a chain of Python functions ends, never between chained functions. Exchanges,
sinks and the client are such ends; so are several consumers of one stream, side outputs, and the assignment of
timestamps, which Penstock chains all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from penstock.common._values import Coercer, coercer_for
from penstock.common.typeinfo import BasicType, BasicTypeInfo, TypeInformation
from penstock.conf import Record
from penstock.datastream._transformations import InputEdge, OperatorSpec, SourceSpec, TimestampsSpec, Transformation

__all__ = ["KeyType", "edge_type", "enforced_types", "key_type_of", "timestamps_type", "typed_key_selector"]

_PLAIN_KEYS = {
    BasicType.STRING: str,
    BasicType.INT: int,
    BasicType.LONG: int,
    BasicType.SHORT: int,
    BasicType.BYTE: int,
    BasicType.BOOLEAN: bool,
    BasicType.DOUBLE: float,
}


class KeyType(Record):
    """The declared type of a key.

    Attributes:
        plain: keys of exactly this class are left as they are; None: no key is.
        coerce: makes a key of the type, or raises what PyFlink's coders raise.
    """

    plain: type | None
    coerce: Coercer


def key_type_of(type_info: TypeInformation | None) -> KeyType | None:
    """What a declared key type does to keys, None where it leaves all of them alone."""
    coerce = coercer_for(type_info)
    if coerce is None:
        return None
    plain = _PLAIN_KEYS.get(type_info.basic_type) if isinstance(type_info, BasicTypeInfo) else None
    return KeyType(plain, coerce)


def typed_key_selector(select: Callable[[Any], Any], key_type: KeyType | None) -> Callable[[Any], Any]:
    """A key selector whose keys fit their type."""
    if key_type is None:
        return select
    plain, coerce = key_type.plain, key_type.coerce

    def typed(value: Any) -> Any:
        key = select(value)
        return key if type(key) is plain else coerce(key)

    return typed


def edge_type(edge: InputEdge) -> TypeInformation | None:
    """The declared type of what an edge carries."""
    return edge.source.output_type if edge.side_output is None else edge.side_output.type_info


def _side_output_type(consumer: Transformation, producer: Transformation, tag: str) -> TypeInformation | None:
    """The type a consumer declared for a side output it reads."""
    for edge in (edge for edges in consumer.inputs for edge in edges):
        if edge.source is producer and edge.side_output is not None and edge.side_output.tag_id == tag:
            return edge.side_output.type_info
    return None


def enforced_types(
    producer: Transformation,
    children: Iterable[tuple[str | None, Transformation]],
    output_tags: Iterable[str | None],
) -> dict[str | None, Coercer]:
    """For the outputs of an operator whose chained consumers must see the declared type: what enforces it.

    Args:
        producer: the operator.
        children: side output id (None: the main output) and consumer of what is chained to it.
        output_tags: the same id for each exchange it feeds.
    """
    consumers = list(children)
    tags = [tag for tag, _ in consumers] + list(output_tags)
    ends_chain = len(tags) > 1 and not _is_source(producer.spec)
    enforced: dict[str | None, Coercer] = {}
    for tag, consumer in consumers:
        if tag is not None:
            coerce = coercer_for(_side_output_type(consumer, producer, tag))
        elif ends_chain:
            coerce = coercer_for(producer.output_type)
        else:
            continue
        if coerce is not None:
            enforced[tag] = coerce
    return enforced


def timestamps_type(spec: OperatorSpec, producer: OperatorSpec | None, output_type: Any) -> Coercer | None:
    """What records must fit behind the assignment of timestamps that is chained to a function."""
    if not isinstance(spec, TimestampsSpec) or producer is None or _is_source(producer):
        return None
    return coercer_for(output_type)


def _is_source(spec: OperatorSpec) -> bool:
    return isinstance(spec, SourceSpec)

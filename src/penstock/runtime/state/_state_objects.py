"""From a user's descriptor to a table and a view on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigurationError
from penstock.runtime.state._backend import StateKind, TableSpec
from penstock.runtime.state._ttl import TtlRule
from penstock.runtime.state._ttl_views import (
    TtlAggregatingView,
    TtlListView,
    TtlMapView,
    TtlReducingView,
    TtlValueView,
)
from penstock.runtime.state._views import AggregatingView, ListView, MapView, ReducingView, ValueView

if TYPE_CHECKING:
    from penstock.runtime.state._backend import KeyedStateBackend

__all__ = ["create_state", "spec_of"]


def spec_of(descriptor: Any) -> TableSpec:
    """The table a descriptor asks for.

    Raises:
        ConfigurationError: if it is no descriptor of keyed state.
    """
    from penstock.datastream import state as user_state

    ttl = TtlRule.of(descriptor.ttl_config) is not None if isinstance(descriptor, user_state.StateDescriptor) else False
    if isinstance(descriptor, user_state.ValueStateDescriptor):
        return TableSpec(descriptor.name, StateKind.VALUE, descriptor.type_info, ttl=ttl)
    if isinstance(descriptor, user_state.ReducingStateDescriptor):
        return TableSpec(descriptor.name, StateKind.REDUCING, descriptor.type_info, ttl=ttl)
    if isinstance(descriptor, user_state.AggregatingStateDescriptor):
        return TableSpec(descriptor.name, StateKind.AGGREGATING, descriptor.type_info, ttl=ttl)
    if isinstance(descriptor, user_state.ListStateDescriptor):
        element = getattr(descriptor.type_info, "elem_type", None)
        return TableSpec(descriptor.name, StateKind.LIST, element, ttl=ttl)
    if isinstance(descriptor, user_state.MapStateDescriptor):
        declared: Any = descriptor.type_info
        return TableSpec(descriptor.name, StateKind.MAP, declared.value_type, declared.key_type, ttl)
    raise ConfigurationError(
        f"{descriptor!r} describes no keyed state. Use ValueStateDescriptor, ListStateDescriptor, MapStateDescriptor, "
        "ReducingStateDescriptor or AggregatingStateDescriptor."
    )


def create_state(backend: KeyedStateBackend, descriptor: Any, windowed: bool) -> Any:
    """A new view for a descriptor on the table of that name."""
    from penstock.common._values import checker_for, coercer_for

    spec = spec_of(descriptor)
    table = backend.table(spec)
    rule = TtlRule.of(descriptor.ttl_config)
    table.ttl = rule
    # PyFlink hands back the object that was put into a state, from its cache: its example `state_access.py` shows
    # sums of FLOAT state that 32 bits cannot hold. Types refuse what they cannot hold, and change nothing.
    coerce = checker_for(spec.type_info)
    if spec.kind is StateKind.VALUE:
        return (TtlValueView if rule else ValueView)(backend, table, windowed, coerce)
    if spec.kind is StateKind.LIST:
        return (TtlListView if rule else ListView)(backend, table, windowed, coerce)
    if spec.kind is StateKind.MAP:
        coerce_key = coercer_for(spec.map_key_type)
        return (TtlMapView if rule else MapView)(backend, table, windowed, coerce_key, coerce)
    if spec.kind is StateKind.REDUCING:
        reduce = descriptor.get_reduce_function().reduce
        return (TtlReducingView if rule else ReducingView)(backend, table, windowed, coerce, reduce)
    function = descriptor.get_agg_function()
    return (TtlAggregatingView if rule else AggregatingView)(backend, table, windowed, coerce, function)

"""Operators the chain compiler does not write inline: process functions, connected inputs, windows, asynchronous I/O.

Covers what they do with an element, a timer, a watermark, and their state beside keyed state. Does not cover map,
flat_map, filter, reduce and the assignment of timestamps (`penstock.runtime._chain`), nor keyed state and timers
themselves (`penstock.runtime.state`, `penstock.runtime._timers`).

Start reading at `base.py`, then `_process.py`; windows at `_window.py`, then `_aligned_windows.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.errors import InvariantError
from penstock.runtime.operators.base import MAX_WATERMARK, NO_TIMESTAMP, Operator, OperatorContext, Timed

if TYPE_CHECKING:
    from penstock.datastream._transformations import OperatorSpec, TwoInputSpec

__all__ = ["MAX_WATERMARK", "NO_TIMESTAMP", "Operator", "OperatorContext", "Timed", "create_operator"]


def create_operator(spec: OperatorSpec, *, keyed: bool, name: str = "", input_types: tuple[Any, ...] = ()) -> Operator:
    """The operator of a transformation, for one subtask.

    Args:
        spec: ProcessSpec, TwoInputSpec, WindowSpec or AsyncSpec.
        keyed: whether its (first) input is keyed.
        name: the operator's name, for messages.
        input_types: the declared type of each input's elements, None for untyped.

    Raises:
        InvariantError: if the spec is one that the chain compiler writes inline.
    """
    from penstock.datastream._transformations import AsyncSpec, ProcessSpec, TwoInputSpec, WindowSpec

    if isinstance(spec, ProcessSpec):
        from penstock.runtime.operators._process import KeyedProcessOperator, ProcessOperator

        return KeyedProcessOperator(spec.function) if keyed else ProcessOperator(spec.function)
    if isinstance(spec, TwoInputSpec):
        return _two_input_operator(spec, keyed)
    if isinstance(spec, WindowSpec):
        from penstock.runtime.operators._window_operators import create_window_operator

        return create_window_operator(spec, input_types[0] if input_types else None, name)
    if isinstance(spec, AsyncSpec):
        from penstock.runtime.operators._async import AsyncOperator

        return AsyncOperator(spec)
    raise InvariantError(f"{name}: {type(spec).__name__} has no operator object")


def _two_input_operator(spec: TwoInputSpec, keyed: bool) -> Operator:
    from penstock.runtime.operators import _broadcast, _co_process

    if spec.kind == "map":
        return _co_process.CoMapOperator(spec.function)
    if spec.kind == "flat_map":
        return _co_process.CoFlatMapOperator(spec.function)
    if spec.kind == "process":
        return (_co_process.KeyedCoProcessOperator if keyed else _co_process.CoProcessOperator)(spec.function)
    if spec.kind == "broadcast_process":
        if keyed:
            return _broadcast.KeyedBroadcastProcessOperator(spec.function, spec.broadcast_descriptors)
        return _broadcast.BroadcastProcessOperator(spec.function, spec.broadcast_descriptors)
    raise InvariantError(f"no operator for connected streams of kind {spec.kind!r}")

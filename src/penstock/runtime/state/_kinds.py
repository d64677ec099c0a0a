"""The five kinds of keyed state."""

from __future__ import annotations

from enum import Enum

__all__ = ["StateKind"]


class StateKind(Enum):
    """The kinds of keyed state (Flink's `StateDescriptor.Type`)."""

    VALUE = "value"
    LIST = "list"
    MAP = "map"
    REDUCING = "reducing"
    AGGREGATING = "aggregating"

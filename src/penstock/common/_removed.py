"""Names of Flink 1.x that 2.x no longer has: they work, with a warning."""

from __future__ import annotations

import warnings

__all__ = ["NO_KRYO", "RemovedInFlink2Warning", "warn_removed"]

NO_KRYO = "nothing: values of Python functions are not serialized by Kryo"


class RemovedInFlink2Warning(UserWarning):
    """A program uses a name of Flink 1.x: Penstock runs it, a Flink 2.x cluster refuses it."""


def warn_removed(name: str, instead: str, levels: int = 0) -> None:
    """Warns at the program's line, `levels` calls further up than usual, that a 2.x cluster has no such name."""
    warnings.warn(
        f"{name} is a name of Flink 1.x, which Flink 2.x removed: Penstock accepts it, a 2.x cluster refuses the "
        f"program. Use {instead}.",
        RemovedInFlink2Warning,
        stacklevel=3 + levels,
    )

"""Where Flink is installed (`pyflink.find_flink_home`): programs look there for JARs."""

from __future__ import annotations

import os

from penstock.errors import UnsupportedFeatureError

__all__: list[str] = []


def _find_flink_home() -> str:
    """The directory that `FLINK_HOME` names.

    Raises:
        UnsupportedFeatureError: if it names none; Penstock brings no Flink.
    """
    home = os.environ.get("FLINK_HOME")
    if not home:
        raise UnsupportedFeatureError(
            "There is no Flink installation: Penstock runs without Flink and Java. Set FLINK_HOME if the program "
            "only needs the path."
        )
    return home


def _find_flink_source_root() -> str:
    """Raises UnsupportedFeatureError: there are no sources of Flink."""
    raise UnsupportedFeatureError("There is no source tree of Flink: Penstock runs without Flink and Java.")

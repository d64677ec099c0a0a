"""Input formats (`pyflink.common.io`): wrappers of Java classes in PyFlink."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = ["InputFormat"]


class InputFormat:
    """PyFlink's wrapper of a Java input format; constructing it raises UnsupportedFeatureError."""

    def __init__(self, j_input_format: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            "InputFormat wraps a Java class; there is no JVM in this process. Use from_source() with a FileSource, or "
            "run this program on a Flink cluster."
        )

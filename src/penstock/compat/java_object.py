"""`pyflink.common.utils`: the base of PyFlink's wrappers of Java objects."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = ["JavaObjectWrapper"]


class JavaObjectWrapper:
    """Can be subclassed and named in annotations; constructing it raises UnsupportedFeatureError."""

    def __init__(self, j_object: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            f"{type(self).__name__} wraps a Java object; there is no JVM in this process. Programs that need it run on "
            "Apache Flink."
        )

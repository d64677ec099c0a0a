"""`pyflink.datastream.utils`: sources that know the type of their records; the rest of it is about Java."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NoReturn

from penstock.common.typeinfo import TypeInformation
from penstock.errors import UnsupportedFeatureError

__all__ = ["ResultTypeQueryable", "create_hadoop_configuration", "create_java_properties"]


class ResultTypeQueryable(ABC):
    """Something that knows what type it produces."""

    @abstractmethod
    def get_produced_type(self) -> TypeInformation:
        """The type."""


def create_hadoop_configuration(config: Any) -> NoReturn:  # noqa: ARG001 - as in PyFlink
    """Raises UnsupportedFeatureError: Hadoop's configuration is a Java object."""
    raise UnsupportedFeatureError("create_hadoop_configuration() makes a Java object; there is no JVM in this process.")


def create_java_properties(config: Any) -> NoReturn:  # noqa: ARG001 - as in PyFlink
    """Raises UnsupportedFeatureError: Properties are a Java object."""
    raise UnsupportedFeatureError("create_java_properties() makes a Java object; there is no JVM in this process.")

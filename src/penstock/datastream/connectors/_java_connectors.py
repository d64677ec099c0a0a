"""PyFlink's connectors that are Java classes from JARs: importable, and one clear sentence when they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = ["JavaConnector"]


class JavaConnector:
    """Base of classes that PyFlink wraps around a connector's Java classes.

    Constructing one, or calling one of its factory methods, raises UnsupportedFeatureError. A subclass says so by
    `class X(JavaConnector, jar=…, instead=…, factories=(…))`; what is left out is its base's.
    """

    _jar = ""
    _instead = ""

    def __init_subclass__(cls, jar: str = "", instead: str = "", factories: tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        cls._jar = jar or cls._jar
        cls._instead = instead or cls._instead
        for name in factories:
            setattr(cls, name, staticmethod(_factory(cls, name)))

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        raise self._refusal(type(self).__qualname__)

    @classmethod
    def _refusal(cls, what: str) -> UnsupportedFeatureError:
        return UnsupportedFeatureError(
            f"{what} is a Java connector ({cls._jar} JAR). Penstock runs without a JVM. Run this program on a Flink "
            f"cluster, or replace it: {cls._instead}."
        )


def _factory(owner: type[JavaConnector], name: str) -> Callable[..., NoReturn]:
    def refuse(*_arguments: Any, **_settings: Any) -> NoReturn:
        raise owner._refusal(f"{owner.__qualname__}.{name}")

    refuse.__name__ = name
    refuse.__qualname__ = f"{owner.__qualname__}.{name}"
    refuse.__doc__ = "Raises UnsupportedFeatureError: it needs Java."
    return refuse

"""Stand-ins for connectors that are Java JARs: importable, and one clear sentence when they are used."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = ["jar_connector"]


class _JarConnector(type):
    """The class of the stand-ins: calling one, or reaching for anything in it, raises."""

    jar: str
    instead: str

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise cls._unsupported(cls.__name__)

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise cls._unsupported(f"{cls.__name__}.{name}")

    def _unsupported(cls, what: str) -> UnsupportedFeatureError:
        return UnsupportedFeatureError(
            f"{what} is part of a Java connector ({cls.jar} JAR); Penstock runs without a JVM. Run this program on a "
            f"Flink cluster, or use {cls.instead}."
        )


def jar_connector(module: str, name: str, jar: str, instead: str) -> type:
    """A class of that name that can be imported and named in annotations, but not used.

    Args:
        module: the module it stands in.
        name: the class's name.
        jar: the JAR the connector comes in.
        instead: what to use.
    """
    documentation = f"Part of a Java connector ({jar} JAR): using it raises UnsupportedFeatureError."
    facts = {"__module__": module, "__doc__": documentation, "jar": jar, "instead": instead}
    return _JarConnector(name, (), facts)

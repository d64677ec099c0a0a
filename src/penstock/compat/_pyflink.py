"""The package `pyflink` itself under the alias."""

from penstock.compat.version import __version__

__all__ = ["__version__"]

__path__: list[str] = []

"""The marks PyFlink gives its API (`pyflink.util.api_stability_decorators`), for extensions that mark theirs.

A mark is kept on what it marks; it changes nothing else. `Deprecated` warns where it is applied, as PyFlink's does.
"""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

__all__ = ["Deprecated", "Experimental", "Internal", "Public", "PublicEvolving"]

Marked = TypeVar("Marked", bound=Any)


class _Mark:
    def __call__(self, marked: Marked) -> Marked:
        """Marks a function or class and returns it."""
        marks = vars(marked).get("__stability_decorators", set())
        setattr(marked, "__stability_decorators", {*marks, type(self)})
        return marked


class Public(_Mark):
    """Stable until the next major release."""


class PublicEvolving(_Mark):
    """Public, its signatures not yet stable."""


class Experimental(_Mark):
    """May change or go."""


class Internal(_Mark):
    """Not for users."""


class Deprecated(_Mark):
    """To be removed; `since` a version, with `detail` on what to use."""

    def __init__(self, since: str, detail: str | None = None) -> None:
        self.since = since
        self.detail = detail

    def __call__(self, marked: Marked) -> Marked:
        """Warns, marks and returns it."""
        text = f"{marked.__qualname__} has been deprecated since version {self.since}."
        warnings.warn(f"{text} {self.detail}" if self.detail else text, DeprecationWarning, stacklevel=2)
        return super().__call__(marked)

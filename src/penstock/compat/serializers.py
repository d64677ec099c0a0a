"""PyFlink's serializers of Python objects (`pyflink.serializers`), for programs that pickle with them."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["PickleSerializer"]

PROTOCOL = 3


class PickleSerializer:
    """Python's pickle, the protocol PyFlink uses."""

    def dumps(self, obj: Any) -> bytes:
        """The object's pickle."""
        return pickle.dumps(obj, PROTOCOL)

    def loads(self, obj: bytes) -> Any:
        """The object of a pickle."""
        return pickle.loads(obj)

"""The id of a job (`pyflink.common.job_id`)."""

from __future__ import annotations

import os

__all__ = ["JobID"]


class JobID:
    """128 bits that name a job; its text is 32 hex digits, as in Flink's REST API. Immutable."""

    __slots__ = ("_hex",)

    def __init__(self, hex_digits: str) -> None:
        if len(hex_digits) != 32 or set(hex_digits) - set("0123456789abcdef"):
            raise ValueError(f"A job id is 32 lower-case hex digits, got {hex_digits!r}")
        self._hex = hex_digits

    @staticmethod
    def generate() -> JobID:
        """A random id."""
        return JobID(os.urandom(16).hex())

    def __str__(self) -> str:
        return self._hex

    def __repr__(self) -> str:
        return f"JobID({self._hex!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobID) and self._hex == other._hex

    def __hash__(self) -> int:
        return hash(self._hex)

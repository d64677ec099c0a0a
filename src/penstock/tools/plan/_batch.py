"""A fleet in one process: requests and answers as JSON, one object a line (`_answers.py` says what they contain)."""

from __future__ import annotations

from penstock.tools.plan._answers import answer_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

__all__ = ["answer_batch"]

# What a request of a wrong shape raises where it is taken apart.
_MALFORMED = (ValueError, TypeError, AttributeError, KeyError, RecursionError)


def answer_batch(requests: Iterable[str], answers: TextIO) -> int:
    """Answers each line; returns the exit code: 2 if a line was no request, else 0, whatever the plans said."""
    import json

    exit_code = 0
    decode, encode = json.JSONDecoder().decode, json.JSONEncoder(default=str).encode
    for line in requests:
        if not line or line.isspace():
            continue
        try:
            answer = answer_request(decode(line))
        except _MALFORMED as error:
            exit_code = 2
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            answer = {"id": None, "ok": False, "error_id": "request-invalid", "error": f"not a request: {reason}"}
        answers.write(encode(answer) + "\n")
    return exit_code

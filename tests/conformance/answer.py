"""Answers questions about the memory model: requests on stdin, answers on stdout, one JSON object a line.

The formats are those of the vectors in `tests/data`.

    python tests/conformance/answer.py < requests.jsonl > answers.jsonl
"""

from __future__ import annotations

import sys

from penstock.tools.plan import answer_batch

if __name__ == "__main__":
    sys.exit(answer_batch(sys.stdin, sys.stdout))

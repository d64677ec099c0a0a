"""Which of PyFlink's installed examples run without a service, and how their output is made comparable."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

EXPECTED = Path(__file__).parent / "expected"
CHATTER = re.compile(
    r"^(Printing result to stdout|Executing \w+ example|Use --|WARNING|SLF4J|\[WARN|DEBUG|INFO|ERROR )"
)


@dataclass(frozen=True)
class Example:
    """One example program.

    Attributes:
        path: below `pyflink/examples/datastream`.
        ordered: whether the order of its lines is defined: parallelism 1 and one key at a time.
    """

    path: str
    ordered: bool = False

    @property
    def name(self) -> str:
        return Path(self.path).stem

    @property
    def expected(self) -> list[str]:
        return (EXPECTED / f"{self.name}.txt").read_text().splitlines()


EXAMPLES = (
    Example("basic_operations.py", ordered=True),
    Example("event_time_timer.py"),
    Example("process_json_data.py"),
    Example("state_access.py"),
    Example("word_count.py"),
    Example("windowing/session_with_dynamic_gap_window.py"),
    Example("windowing/session_with_gap_window.py"),
    Example("windowing/sliding_time_window.py"),
    Example("windowing/tumbling_count_window.py"),
    Example("windowing/tumbling_time_window.py"),
)

ENDLESS = ("streaming_word_count.py", "asyncio/remote_model_inference.py")
"""Examples on an unbounded generator of random rows: run for a while, then interrupted."""


def installed_examples() -> Path | None:
    """The examples below PENSTOCK_PYFLINK_HOME (a `pyflink` package), else those of an installed PyFlink."""
    home = os.environ.get("PENSTOCK_PYFLINK_HOME")
    if home:
        package = Path(home)
    else:
        found = importlib.util.find_spec("pyflink")
        if found is None or not found.submodule_search_locations:
            return None
        package = Path(next(iter(found.submodule_search_locations)))
    examples = package / "examples" / "datastream"
    return examples if examples.is_dir() else None


def comparable(example: Example, printed: str) -> list[str]:
    """The lines of the job's results without the subtask prefix, sorted where their order is undefined."""
    lines = [re.sub(r"^\d+> ", "", line) for line in printed.splitlines() if line and not CHATTER.match(line)]
    return lines if example.ordered else sorted(lines)

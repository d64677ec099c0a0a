"""`penstock diagnose`: what a memory report means, and what to change."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

__all__ = ["register", "run"]


def register(subparsers: Any) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "diagnose",
        help="say why memory ran out, and what to change",
        description="Reads a report that a failure left behind (oom-*.json, heap-end-*.json, process-end-*.json) and "
        "names the component, the likely cause, the option to change, and a value that would have sufficed.",
    )
    parser.add_argument("report", metavar="REPORT", help="the JSON file")
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints the diagnosis; returns the exit code."""
    from penstock.tools.diagnose import diagnose, load_report

    diagnosis = diagnose(load_report(arguments.report))
    if arguments.json:
        import json

        print(json.dumps(diagnosis.as_dict(), indent=2))
    else:
        print(diagnosis.text())
    return 0

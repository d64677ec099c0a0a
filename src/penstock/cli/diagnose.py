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
    parser.add_argument("reports", metavar="REPORT", nargs="+", help="the JSON file")
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON: a line a report")


def run(arguments: argparse.Namespace) -> int:
    """Prints the diagnosis of each report; returns the exit code."""
    from penstock.tools.diagnose import diagnose, load_report

    diagnoses = [diagnose(load_report(path)) for path in arguments.reports]
    if arguments.json:
        import json

        indent = 2 if len(diagnoses) == 1 else None
        print(*(json.dumps(diagnosis.as_dict(), indent=indent) for diagnosis in diagnoses), sep="\n")
    elif len(diagnoses) == 1:
        print(diagnoses[0].text())
    else:
        print(*(f"{path}\n{said.text()}" for path, said in zip(arguments.reports, diagnoses, strict=True)), sep="\n\n")
    return 0

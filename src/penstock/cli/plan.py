"""`penstock plan`: what Flink makes of a memory configuration, and why."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from penstock.tools.plan import PlanView

__all__ = ["register", "run"]

_EPILOG = """\
examples:
  penstock plan -D taskmanager.memory.process.size=4g
  penstock plan --conf-dir /opt/flink/conf --role jobmanager --explain
  penstock plan --conf-dir conf --compare taskmanager.memory.process.size=8g
  penstock plan --conf-dir conf --format svg > memory.svg
  penstock plan --batch < requests.jsonl > answers.jsonl
"""


def register(subparsers: Any) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "plan",
        help="size a TaskManager or JobManager as Flink does, and explain it",
        description="Shows exactly how Flink 2.2 divides the memory of a process for a configuration.",
        epilog=_EPILOG,
        formatter_class=_formatter,
    )
    parser.add_argument(
        "--role",
        choices=("taskmanager", "jobmanager", "local"),
        default="taskmanager",
        help="which process; local is the TaskManager inside a client's process (default: %(default)s)",
    )
    parser.add_argument(
        "--conf-dir",
        metavar="DIR",
        help="folder with config.yaml, flink-conf.yaml or appsettings.json, or such a file (default: $FLINK_CONF_DIR)",
    )
    parser.add_argument(
        "-D", dest="flags", action="append", default=[], metavar="KEY=VALUE", help="a configuration value; repeatable"
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "yaml", "svg", "jvm", "dynamic"),
        default="table",
        help="jvm and dynamic print what Flink's start scripts get (default: %(default)s)",
    )
    parser.add_argument("--explain", action="store_true", help="say of each component how it came about")
    parser.add_argument(
        "--compare",
        action="append",
        metavar="OTHER",
        help="show what changes with another folder or file, or with KEY=VALUE laid over this one (repeatable)",
    )
    parser.add_argument("--batch", action="store_true", help="answer requests on standard input, a JSON object a line")


def _formatter(prog: str) -> argparse.HelpFormatter:
    """A help formatter that is told its width; to find it argparse would import shutil, on every call."""
    import argparse

    try:
        width = os.get_terminal_size().columns
    except OSError:
        width = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=width - 2)


def run(arguments: argparse.Namespace) -> int:
    """Prints the plan; returns the exit code."""
    # The tree is drawn with characters that not every locale has.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    if arguments.batch:
        from penstock.tools.plan import answer_batch

        return answer_batch(sys.stdin, sys.stdout)
    from penstock.conf import load_configuration, unknown_key_warnings
    from penstock.tools.plan import compare, other_configuration, planned, render

    loaded = load_configuration(arguments.conf_dir, arguments.flags)
    for warning in (*loaded.warnings, *unknown_key_warnings(loaded.configuration)):
        print(f"penstock: warning: {warning}", file=sys.stderr)
    view = planned(loaded.configuration, arguments.role)
    colour = use_colour()
    if arguments.compare:
        other = other_configuration(loaded.configuration, arguments.compare, arguments.flags)
        print(compare(view, planned(other, arguments.role), arguments.format, colour=colour))
    else:
        if arguments.format not in ("table", "json", "yaml"):  # which show the remarks themselves
            _print_warnings(view)
        print(render(view, arguments.format, explain=arguments.explain, colour=colour))
    if view.start_up_error is not None and arguments.format in ("table", "json", "yaml"):
        raise view.start_up_error
    return 0


def _print_warnings(view: PlanView) -> None:
    remarks = [remark for remark in view.plan.provenance.remarks if remark.startswith("WARN")]
    if remarks:
        from penstock.memory import remark_text

        for remark in remarks:
            print(f"penstock: warning: {remark_text(remark)}", file=sys.stderr)


def use_colour() -> bool:
    """Whether standard output is a terminal that wants colours (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

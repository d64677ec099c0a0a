"""`penstock run`: runs an unmodified PyFlink program in this process, inside its memory plan.

The program's own output goes to standard output untouched; everything Penstock has to say goes to standard error.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.conf import Configuration

__all__ = ["register", "run"]


class _HelpFormatter(argparse.HelpFormatter):
    """argparse makes one to check each option, and would import shutil and four compression modules for its width."""

    def __init__(self, prog: str) -> None:
        try:
            columns = int(os.environ["COLUMNS"])
        except (KeyError, ValueError):
            columns = os.get_terminal_size(2).columns if os.isatty(2) else 80
        super().__init__(prog, width=columns - 2)


def register(subparsers: Any) -> None:
    """Adds the command's parser."""
    parser = subparsers.add_parser(
        "run",
        help="run a PyFlink program without a JVM",
        description="Runs a PyFlink DataStream program, unmodified, in this process and inside its memory plan.",
        formatter_class=_HelpFormatter,
        allow_abbrev=False,  # the child of --isolate gets the same words without that one
    )
    parser.add_argument(
        "-D",
        dest="options",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a configuration option; repeatable",
    )
    parser.add_argument("--conf-dir", metavar="DIR", help="folder of config.yaml (default: $FLINK_CONF_DIR)")
    parser.add_argument(
        "-p", "--parallelism", type=_parallelism, metavar="N", help="parallelism of operators that set none"
    )
    parser.add_argument(
        "--target", choices=["local", "local-processes"], help="one process, or one worker process a slot"
    )
    parser.add_argument("-s", "--from-savepoint", metavar="PATH", help="start from a savepoint or retained checkpoint")
    parser.add_argument(
        "-n",
        "--allow-non-restored-state",
        action="store_true",
        help="skip savepoint state that the program no longer has",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="run tasks in a random order that the seed repeats")
    parser.add_argument("--memory", action="store_true", help="end with budget against peak of each memory component")
    parser.add_argument(
        "--memory-log", metavar="FILE", help="write the memory ledger there as JSON lines while running"
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        help="folder for out-of-memory reports (default: penstock-reports in the temporary directory)",
    )
    parser.add_argument(
        "--trace-memory", action="store_true", help="record allocation sites for out-of-memory reports (slow)"
    )
    parser.add_argument("--isolate", action="store_true", help="run in a child process under the process limit")
    parser.add_argument("program", metavar="job.py", help="the program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="args", help="its arguments")


def _parallelism(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a parallelism is a whole number of at least 1, not {text}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Runs the program; returns its exit code."""
    gc.disable()  # imports make objects that stay; the process's own policy enables it when it is in force
    try:
        return _run(arguments)
    finally:
        gc.enable()


def _run(arguments: argparse.Namespace) -> int:
    from penstock.runtime import ProgramOptions, run_isolated, run_program

    _make_report_folder(arguments.report)
    options = ProgramOptions(
        program=arguments.program,
        arguments=tuple(arguments.arguments),
        configuration=_configuration(arguments),
        show_memory=arguments.memory,
        memory_log=arguments.memory_log,
        report_dir=arguments.report,
        trace_memory=arguments.trace_memory,
    )
    exit_code: int
    if arguments.isolate:
        exit_code = run_isolated(options, _without_isolation())
    else:
        exit_code = run_program(options)
    return exit_code


def _make_report_folder(path: str | None) -> None:
    """Before there is anything to report: a process that has to end at its limit cannot make folders in folders."""
    if path is None:
        return
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        from penstock.errors import ConfigurationError

        raise ConfigurationError(f"--report {path}: no such folder can be made: {error.strerror}.") from None


def _without_isolation() -> list[str]:
    """This command line for the child: all options come before the program's name."""
    words = sys.argv[1:]
    words.remove("--isolate")
    return [sys.executable, "-m", "penstock.cli.main", *words]


def _configuration(arguments: argparse.Namespace) -> Configuration:
    from penstock.conf import load_configuration, unknown_key_warnings

    flags = list(arguments.options)
    for key, value in (
        ("parallelism.default", arguments.parallelism),
        ("execution.target", arguments.target),
        ("penstock.scheduler.seed", arguments.seed),
        ("execution.state-recovery.path", arguments.from_savepoint),
        ("execution.state-recovery.ignore-unclaimed-state", "true" if arguments.allow_non_restored_state else None),
    ):
        if value is not None:
            flags.append(f"{key}={value}")
    loaded = load_configuration(conf_dir=arguments.conf_dir, flags=flags)
    for warning in (*loaded.warnings, *unknown_key_warnings(loaded.configuration)):
        print(f"penstock: warning: {warning}", file=sys.stderr)
    return loaded.configuration

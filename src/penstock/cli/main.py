"""The entry point of the `penstock` command."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": "run a PyFlink program without a JVM",
    "plan": "size a TaskManager or JobManager as Flink does, and explain it",
    "guard": "hold the heap of any Python program to a limit",
    "diagnose": "say why memory ran out, and what to change",
}
"""Command -> what it does. The module of the same name in this package is loaded only when its command is called."""

_USAGE_EXIT_CODE = 2
_INTERRUPTED_EXIT_CODE = 130
_BROKEN_PIPE_EXIT_CODE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0, 1 for a failed job, 2 for a wrong configuration or usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    show_traceback = os.environ.get("PENSTOCK_TRACEBACK", "") not in ("", "0")
    if given[:1] == ["--traceback"]:
        show_traceback = True
        del given[0]
    try:
        exit_code = _dispatch(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has gone; what is still buffered must not fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE_EXIT_CODE
    except KeyboardInterrupt:
        if show_traceback:
            raise
        return _INTERRUPTED_EXIT_CODE
    except Exception as error:
        from penstock.errors import PenstockError

        if show_traceback or not isinstance(error, PenstockError):
            raise
        print(f"penstock: {error}", file=sys.stderr)
        return error.exit_code
    return exit_code


def _dispatch(given: list[str]) -> int:
    if given and given[0] in COMMANDS:
        return _run_command(given[0], given)
    if given[:1] in (["--version"], ["-V"]):
        from penstock import __version__

        print(f"penstock {__version__}")
        return 0
    if given[:1] in (["--help"], ["-h"]):
        print(_help())
        return 0
    problem = f"there is no command '{given[0]}'" if given else "a command is needed"
    print(f"penstock: {problem}\n\n{_help()}", file=sys.stderr)
    return _USAGE_EXIT_CODE


def _run_command(command: str, given: list[str]) -> int:
    import argparse
    from importlib import import_module

    module = import_module(f"penstock.cli.{command}")
    parser = argparse.ArgumentParser(prog="penstock", add_help=False)
    # Given a prog, argparse does not format a usage line here, for which it would import shutil and compression
    # modules.
    module.register(parser.add_subparsers(dest="command", prog="penstock"))
    parsed: argparse.Namespace = parser.parse_args(given)
    exit_code: int = module.run(parsed)
    return exit_code


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        "usage: penstock [--version] [--help] [--traceback] COMMAND ...",
        "",
        "PyFlink DataStream programs in plain CPython, inside Apache Flink's memory model.",
        "",
        "commands:",
        *(f"  {command:<{width}}  {summary}" for command, summary in COMMANDS.items()),
        "",
        "'penstock COMMAND --help' tells more about one. --traceback (or PENSTOCK_TRACEBACK=1) shows where an error "
        "came from.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

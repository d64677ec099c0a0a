"""`penstock guard`: the heap guard for any Python program, without a change to it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

__all__ = ["register", "run"]

WORKER_LIMIT = "_PYTHON_WORKER_MEMORY_LIMIT"
"""What Flink passes to the Python workers of a slot: their managed memory in bytes."""

_NOT_FOUND_EXIT_CODE = 127
_NOT_EXECUTABLE_EXIT_CODE = 126
_PROCESS_MIN_BYTES = 16 << 20
"""An interpreter's data and one thread's stack."""

_DESCRIPTION = """\
Runs a program and holds the heap of every Python interpreter in it to a limit, child processes included, each on its
own. An interpreter that passes the limit gets MemoryError in the thread that passed it; what cannot be stopped ends
with exit code 84 or 85 and a message. Needs no change to the program, and no Penstock in its environment.
"""
_EPILOG = """\
Without --heap the limit is what Flink passes to its Python workers, if it does. As the python.executable of a
PyFlink job, a file with these two lines makes them keep to it:

  #!/bin/sh
  exec penstock guard --report /tmp/penstock-reports -- /path/to/python "$@"

examples:
  penstock guard --heap 512m -- python job.py --input data.csv
  penstock guard --heap 2g --process 3g --report reports -- dask worker tcp://scheduler:8786
"""


def register(subparsers: Any) -> None:
    """Adds the command's parser."""
    import argparse

    parser = subparsers.add_parser(
        "guard",
        help="hold the heap of any Python program to a limit",
        usage="penstock guard [--heap SIZE] [--reserve SIZE] [--process SIZE] [--report DIR] -- COMMAND ...",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--heap", metavar="SIZE", help="the limit of each interpreter's heap, such as 512m")
    parser.add_argument(
        "--reserve", metavar="SIZE", help="its last part, for handling failures (default: 32m, less for small heaps)"
    )
    parser.add_argument(
        "--process", metavar="SIZE", help="the limit of each process's private memory, as a backstop (RLIMIT_DATA)"
    )
    parser.add_argument("--report", metavar="DIR", help="where to describe the heap when its limit is passed")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="COMMAND", help="the program and its arguments")


def run(arguments: argparse.Namespace) -> int:
    """Becomes the program; returns only when it cannot be started.

    Raises:
        ConfigurationError: a size is malformed or too small.
    """
    program = arguments.program[1:] if arguments.program[:1] == ["--"] else arguments.program
    if not program:
        print("penstock guard: a command is needed: penstock guard --heap SIZE -- python program.py", file=sys.stderr)
        return 2
    environment = dict(os.environ)
    heap_bytes = _set_guard(arguments, environment)
    if arguments.process is not None:
        _limit_process(arguments.process, heap_bytes)
    elif heap_bytes is None and sys.stderr.isatty():  # Flink, which calls it for other purposes too, is no terminal
        print("penstock guard: nothing is limited: give --heap SIZE or --process SIZE", file=sys.stderr)
    try:
        os.execvpe(program[0], program, environment)
    except FileNotFoundError:
        print(f"penstock guard: there is no program '{program[0]}'", file=sys.stderr)
        return _NOT_FOUND_EXIT_CODE
    except OSError as error:
        print(f"penstock guard: '{program[0]}' cannot be started: {error.strerror}", file=sys.stderr)
        return _NOT_EXECUTABLE_EXIT_CODE


def _set_guard(arguments: argparse.Namespace, environment: dict[str, str]) -> int | None:
    """Puts limit and bootstrap into the environment that all interpreters of the program inherit; returns the limit."""
    from penstock.conf import MemorySize
    from penstock.memory._guard_main import SITE_DIRECTORY, VARIABLE, GuardSettings
    from penstock.memory._heap_limits import HeapLimits

    worker_limit = environment.get(WORKER_LIMIT, "")
    if arguments.heap is not None:
        heap_bytes, remedy = MemorySize.parse(arguments.heap).bytes, "--heap of penstock guard"
    elif worker_limit.isdigit() and int(worker_limit) > 0:
        # Also called by Flink for other purposes, such as asking for the version: without a limit then.
        heap_bytes, remedy = int(worker_limit), "taskmanager.memory.managed.size, of which Python has its share"
    else:
        return None
    reserve_bytes = MemorySize.parse(arguments.reserve).bytes if arguments.reserve is not None else None
    HeapLimits.of(heap_bytes, reserve_bytes=reserve_bytes)
    directory = os.path.abspath(arguments.report) if arguments.report is not None else ""
    if directory:
        _make_folder(directory)
    environment[VARIABLE] = GuardSettings(heap_bytes, reserve_bytes, remedy, directory).to_text()
    path = [SITE_DIRECTORY, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    return heap_bytes


def _make_folder(directory: str) -> None:
    from penstock.errors import ConfigurationError

    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--report {directory}: no such folder can be made: {error.strerror}.") from None


def _limit_process(size: str, heap_bytes: int | None) -> None:
    """Lowers the soft limit only: a program may raise its own again, its children inherit what it has."""
    import resource

    from penstock.conf import MemorySize
    from penstock.errors import ConfigurationError

    limit_bytes = MemorySize.parse(size).bytes
    if limit_bytes < max(_PROCESS_MIN_BYTES, heap_bytes or 0):
        least = "the heap it is the backstop of" if limit_bytes >= _PROCESS_MIN_BYTES else "an interpreter"
        raise ConfigurationError(f"--process {size} cannot hold {least}; set it well above --heap.")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY and limit_bytes > hard:
        raise ConfigurationError(f"--process {size} is above what this user may set: {hard} bytes (ulimit -H -d).")
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))

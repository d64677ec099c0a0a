"""Runs a PyFlink program as `__main__` of this process, as `python job.py` would, with `pyflink` standing for Penstock."""

from __future__ import annotations

import atexit
import gc
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from penstock import compat
from penstock.conf import Configuration, Record
from penstock.datastream._executor import set_base_configuration
from penstock.errors import ConfigurationError, PenstockError
from penstock.memory import TaskManagerPlan
from penstock.runtime._failure import format_user_traceback
from penstock.runtime._memory_use import memory_plan
from penstock.runtime._process_memory import ProcessMemory, report_folder

__all__ = ["ProgramOptions", "run_isolated", "run_program"]


class ProgramOptions(Record):
    """What `penstock run` was asked for.

    Attributes:
        program: path of the script.
        arguments: its command line.
        configuration: files, environment and flags, merged.
        show_memory: end with the memory summary.
        memory_log: file for the ledger as JSON lines, or None.
        report_dir: folder of out-of-memory reports, or None for the current one.
        trace_memory: whether reports name allocation sites.
    """

    program: str
    arguments: tuple[str, ...]
    configuration: Configuration
    show_memory: bool = False
    memory_log: str | None = None
    report_dir: str | None = None
    trace_memory: bool = False


def run_program(options: ProgramOptions) -> int:
    """Runs the program to its end.

    Returns:
        The exit code: the program's own, 1 if a job or the program failed, 2 for usage and configuration errors.

    Raises:
        ConfigurationError: the script cannot be read or is no Python.
    """
    code = _load(options.program)
    memory = ProcessMemory(
        options.configuration,
        log_path=options.memory_log,
        report_directory=options.report_dir,
        shown=options.show_memory,
    )
    memory.start()
    if options.trace_memory:
        import tracemalloc

        tracemalloc.start(8)
    try:
        return _run_main(options, code, memory)
    finally:
        if options.show_memory:
            sys.stderr.write(f"\n{memory.summary()}\n")
        memory.close()


def run_isolated(options: ProgramOptions, command: Sequence[str]) -> int:
    """Runs a program in a child process under the process limit of its plan, and says what ended it.

    Args:
        options: as for `run_program`.
        command: the words that run the program without isolation.

    Returns:
        The child's exit code, 128 + the signal's number where a signal ended it.
    """
    from penstock.memory import EndCause, ProcessLimits, Supervisor, allocator_environment, data_limit_bytes

    plan = memory_plan(options.configuration)
    total = plan.total_process_bytes if isinstance(plan, TaskManagerPlan) else None
    directory = report_folder(options.configuration, options.report_dir)
    limits = ProcessLimits(
        process_bytes=total,
        data_limit_bytes=None if total is None else data_limit_bytes(total),
        cgroup_bytes=None if total is None else total,
        environment=allocator_environment(),
    )
    supervisor = Supervisor(limits, directory)
    end = supervisor.run(command)
    if end.cause not in (EndCause.FINISHED, EndCause.FAILED):
        sys.stderr.write(f"penstock: {end.text()}\npenstock: {supervisor.backstop}\n")
        sys.stderr.write(f"penstock: report: {end.write(directory)}\n")
    return end.exit_code


def _run_main(options: ProgramOptions, code: types.CodeType, memory: ProcessMemory) -> int:
    """The program as `__main__`."""
    compat.install()
    set_base_configuration(options.configuration)
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=options.program, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    atexit.register(_let_go, module)
    sys.argv = [options.program, *options.arguments]
    sys.path.insert(0, str(Path(options.program).resolve().parent))
    try:
        memory.run_program(code, module.__dict__)
    except PenstockError as error:
        if _lost_its_reader(error):
            raise BrokenPipeError from None
        return _failed(error)
    except SystemExit as error:
        return _exit_code(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.stdout.flush()
        sys.stderr.write(format_user_traceback(error))
        return 1
    finally:
        sys.stdout.flush()
    return 0


def _load(path: str) -> types.CodeType:
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"Cannot read the program '{path}': {error.strerror or error}. Give the path of a Python script: "
            f"penstock run job.py [arguments]."
        ) from None
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"The program '{path}' is not valid Python: {error}") from None


def _let_go(module: types.ModuleType) -> None:
    """After the program's own exit handlers: its names go as any program's, the rest is not looked through for garbage.

    That search, when the interpreter ends, would take a sixth of the time of a small job.
    """
    gc.disable()  # nor may callbacks of the program's run without its names
    gc.freeze()
    for name in [name for name in vars(module) if name != "__builtins__"]:
        setattr(module, name, None)


def _lost_its_reader(error: PenstockError) -> bool:
    """Whether a job failed because nobody reads its standard output any more (`penstock run job.py | head`)."""
    if BrokenPipeError.__name__ not in str(error):  # the causes themselves are let go of, with all their frames hold
        return False
    import select

    output = select.poll()
    output.register(1, 0)
    return any(events & select.POLLERR for _, events in output.poll(0))


def _failed(error: PenstockError) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"penstock: {error}\n")
    return error.exit_code


def _exit_code(error: SystemExit) -> int:
    """What Python makes of `sys.exit(…)`."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    sys.stderr.write(f"{error.code}\n")
    return 1

"""How a semantics program declares its cases, and how a case is run; the same on PyFlink and on Penstock.

A program is a module of functions marked with `case`. Each takes a fresh environment and either returns a stream
(it is executed and collected), or any other value (it ran its jobs itself), or, with `stdout=True`, only builds
sinks (the job is executed and what it printed counts). What came out is turned into one line of text a value, so
that it can be recorded from one engine and compared with the other.
"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "programs"
EXPECTED = Path(__file__).parent / "expected"


@dataclass(frozen=True)
class Case:
    """One question asked of both engines.

    Attributes:
        name: the function's name.
        build: the function.
        order: "exact"; "any" where the order is undefined; "per_key" where it is defined for equal first fields.
        error: a pattern that the text of the expected failure must contain, on both engines.
        stdout: whether the lines printed by the job are the result.
        parallelism: of the environment.
        batch: whether it runs in BATCH mode.
        config: set on the environment on both engines.
        flink_config: set on the environment only while recording (the execution mode, caches).
        better: what Penstock must give where PyFlink's own result is a defect; None where they must agree.
        why: the reason for `better`.
        record: False where PyFlink cannot run the case at all; `better` is then all there is.
    """

    name: str
    build: Callable[[Any], Any]
    order: str = "exact"
    error: str | None = None
    stdout: bool = False
    parallelism: int = 1
    batch: bool = False
    config: dict[str, str] = field(default_factory=dict)
    flink_config: dict[str, str] = field(default_factory=dict)
    better: Any = None
    why: str = ""
    record: bool = True


def case(**options: Any) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Marks a function of a program as a case."""

    def mark(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        function.semantics_case = Case(function.__name__, function, **options)  # type: ignore[attr-defined]
        return function

    return mark


def case_names(path: Path) -> list[str]:
    """The names of a program's cases, without running it."""
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    return [
        each.name for each in functions if any(ast.unparse(mark).startswith("case(") for mark in each.decorator_list)
    ]


def load_program(path: Path) -> dict[str, Case]:
    """Runs a program's module as `__main__` is run, so that its functions travel by value, and returns its cases."""
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    found = [value.semantics_case for value in namespace.values() if hasattr(value, "semantics_case")]
    return {each.name: each for each in found}


def new_environment(this: Case, extra_config: dict[str, str] | None = None) -> Any:
    """An environment as the case wants it."""
    from pyflink.common import Configuration
    from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment

    configuration = Configuration()
    for key, value in {**this.config, **(extra_config or {})}.items():
        configuration.set_string(key, value)
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    env.set_parallelism(this.parallelism)
    if this.batch:
        env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    return env


def run_case(this: Case, env: Any) -> Any:
    """Runs a case; returns its results as text, or None when the result is what it printed."""
    result = this.build(env)
    if this.stdout:
        env.execute(this.name)
        return None
    if hasattr(result, "execute_and_collect"):
        with result.execute_and_collect() as collected:
            result = list(collected)
    if isinstance(result, list):
        return arrange(this, result)
    return text_of(result)


def arrange(this: Case, values: list[Any]) -> list[str]:
    """The text of each value, in the order that is part of the contract."""
    if this.order == "per_key":
        values = sorted(values, key=lambda value: text_of(value[0]))
    texts = [text_of(value) for value in values]
    return sorted(texts) if this.order == "any" else texts


def arrange_lines(this: Case, printed: str) -> list[str]:
    """The lines a job printed, in the order that is part of the contract."""
    lines = printed.splitlines()
    return sorted(lines) if this.order == "any" else lines


def text_of(value: Any) -> str:
    """One value as text that says its type and everything in it, the same on both engines."""
    if hasattr(value, "get_row_kind"):
        return _row_text(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(text_of, value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{text_of(key)}: {text_of(item)}' for key, item in value.items()))}}}"
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(text_of, value)))}}}"
    return re.sub(r" (object )?at 0x[0-9a-f]+", "", repr(value))


def _row_text(row: Any) -> str:
    try:
        fields = [f"{name}={text_of(value)}" for name, value in row.as_dict().items()]
    except TypeError:
        fields = [text_of(value) for value in row]
    return f"{row.get_row_kind()}Row({', '.join(fields)})"


def error_text(error: BaseException) -> str:
    """Everything an error says: its own text, its causes and their tracebacks."""
    return "".join(traceback.format_exception(error))


def root_message(error: BaseException) -> str:
    """The last Python error an error's text reports, else its own first line."""
    reported = re.findall(r"Traceback \(most recent call last\):\n(?:\s+.*\n)+((?:\w+\.)*\w+(?:: .*)?)", str(error))
    if reported:
        return str(reported[-1]).strip()
    causes = re.findall(r"^(?:Caused by)?: (?:\w+\.)*(\w+: .*)", str(error), re.MULTILINE)
    if causes:
        return str(causes[-1]).strip()
    return f"{type(error).__name__}: {error}".splitlines()[0]

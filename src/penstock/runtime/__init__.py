"""The runtime: runs a job graph in this process, inside the memory plan.

Covers tasks and their cooperative scheduler, the chain compiler, exchanges, timers, windows, keyed state, sorting,
checkpoints and restarts. Does not cover: the user API (`penstock.datastream`), the translation of programs
(`penstock.graph`), the memory model and its owners (`penstock.memory`).

Start reading at `_job.py` (a job from start to end), then `_task.py` (one subtask) and `_chain.py` (its loop).
"""

from importlib import import_module
from typing import Any

__all__ = ["LocalExecutor", "LocalProcessesExecutor", "ProgramOptions", "run_isolated", "run_program"]

_PLACES = {
    "LocalExecutor": "_executor",
    "LocalProcessesExecutor": "_processes",
    "ProgramOptions": "_program",
    "run_isolated": "_program",
    "run_program": "_program",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'penstock.runtime' has no attribute {name!r}")
    return getattr(import_module(f"penstock.runtime.{place}"), name)

"""The runtime: runs a job graph in this process, inside the memory plan.

Covers tasks and their cooperative scheduler, the chain compiler, exchanges, timers, windows, keyed state, sorting,
checkpoints and restarts. Does not cover: the user API (`penstock.datastream`), the translation of programs
(`penstock.graph`), the memory model and its owners (`penstock.memory`).

Start reading at `_job.py` (a job from start to end), then `_task.py` (one subtask) and `_chain.py` (its loop).
"""

from typing import Any

__all__ = ["LocalExecutor"]


def __getattr__(name: str) -> Any:
    if name == "LocalExecutor":
        from penstock.runtime._executor import LocalExecutor

        return LocalExecutor
    raise AttributeError(f"module 'penstock.runtime' has no attribute {name!r}")

"""Puts the heap guard into an interpreter that `penstock guard` started, or that such an interpreter started.

`penstock guard` puts this folder first on PYTHONPATH, so that every interpreter below it imports this module when it
starts. The `sitecustomize` it hides, if there is one, is run afterwards.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _start_guard() -> None:
    settings = os.environ.get("PENSTOCK_GUARD")
    if not settings:
        return
    # The interpreter need not have Penstock installed: it is imported from where this file lies.
    source = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
    sys.path.insert(0, source)
    try:
        from penstock.memory._guard_main import start
    finally:
        sys.path.remove(source)
    start(settings)


def _run_hidden_sitecustomize() -> None:
    import importlib.machinery
    import importlib.util

    path = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    _start_guard()
except Exception as error:  # the program is to run all the same; it is told that nothing holds it
    sys.stderr.write(f"penstock guard: not in force in process {os.getpid()}: {error!r}\n")
_run_hidden_sitecustomize()

"""Views of a memory plan: table, JSON, YAML, drawing, what Flink's start scripts print, comparisons, and whole fleets.

Covers how plans are shown. Does not cover how they are derived: that is `penstock.memory`. Start reading at
`_view.py`, which gathers what the views show. Names are loaded when they are first used: a table does not pay for the
drawing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.tools.plan._answers import answer_request as answer_request
    from penstock.tools.plan._batch import answer_batch as answer_batch
    from penstock.tools.plan._compare import compare as compare
    from penstock.tools.plan._compare import other_configuration as other_configuration
    from penstock.tools.plan._view import PlanView as PlanView
    from penstock.tools.plan._view import planned as planned
    from penstock.tools.plan._view import render as render

_MODULE_OF = {
    "PlanView": "_view",
    "answer_batch": "_batch",
    "answer_request": "_answers",
    "compare": "_compare",
    "other_configuration": "_compare",
    "planned": "_view",
    "render": "_view",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'penstock.tools.plan' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"penstock.tools.plan.{module}"), name)
    return value

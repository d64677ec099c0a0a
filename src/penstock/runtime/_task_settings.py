"""What a task is given besides its chain: settings of the job, and what it opens and closes around its life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.runtime._scheduler import Clock
from penstock.runtime.operators.base import NO_TIMESTAMP

if TYPE_CHECKING:
    from penstock.runtime._elements import Barrier
    from penstock.runtime._task import Task

__all__ = ["Lifecycle", "TaskCounters", "TaskSettings"]


@dataclass(slots=True)
class TaskSettings:
    """What a task needs to know of its job.

    Attributes:
        clock: epoch ms.
        auto_watermark_interval_ms: how often watermarks are emitted; 0 switches periodic watermarks off.
        buffer_timeout_ms: how long records may wait in an output of a busy task; negative: until it is full.
        on_snapshot: takes part in a checkpoint: called with the task and the barrier after records before the barrier left.
        is_writing: whether a snapshot of the task is being written: until then the task keeps its state.
        on_running: called with the task when it is open.
        on_finished: called with the task when all its input is processed, before it ends its outputs.
    """

    clock: Clock
    auto_watermark_interval_ms: int = 200
    buffer_timeout_ms: int = 100
    on_snapshot: Callable[[Task, Barrier], None] | None = None
    on_finished: Callable[[Task], None] | None = None
    on_running: Callable[[Task], None] | None = None
    is_writing: Callable[[Task], bool] = lambda task: False


@dataclass(slots=True)
class TaskCounters:
    """Records of this task so far; batches keep it cheap."""

    records_in: int = 0
    batches_in: int = 0
    watermark: int = NO_TIMESTAMP


@dataclass(slots=True)
class Lifecycle:
    """What the task opens and closes around its life: user functions and operators, in chain order.

    `release` gives memory and files back, whatever happened, after everything else.
    """

    open: list[Callable[[], None]] = field(default_factory=list)
    close: list[Callable[[], None]] = field(default_factory=list)
    release: list[Callable[[], None]] = field(default_factory=list)

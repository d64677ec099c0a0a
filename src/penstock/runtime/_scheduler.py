"""The cooperative scheduler: runs the tasks of one process on one thread.

A task is a coroutine that handles one batch or event at a time and yields. Tasks that can go on take turns; under
a seed they are drawn at random, the same way for the same seed. When none can go on, the thread sleeps until a
timer is due or another thread (a source's fetcher, an asynchronous function) wakes a task. No locks, no spinning.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Protocol

__all__ = ["Clock", "Runnable", "Scheduler", "StepClock", "wall_clock_ms"]

Clock = Callable[[], int]
"""Epoch milliseconds; tests pass their own."""

IDLE_WAIT_MAX_S = 1.0
LOOK_AROUND_MS = 5


def wall_clock_ms() -> int:
    """The wall clock in epoch ms."""
    return time.time_ns() // 1_000_000


class StepClock:
    """A clock that counts the scheduler's steps, one ms each: with a seed it makes a run repeat itself exactly.

    Attributes:
        now_ms: epoch ms; begins with the wall clock unless told otherwise.
    """

    def __init__(self, now_ms: int | None = None) -> None:
        self.now_ms = wall_clock_ms() if now_ms is None else now_ms

    def __call__(self) -> int:
        return self.now_ms


class Runnable(Protocol):
    """What the scheduler runs."""

    deadline_ms: int | None
    """When the task wants to go on although nothing woke it, epoch ms."""

    def resume(self) -> Iterator[bool]:
        """The task's life: yields True when it could go on at once, False when it waits; ends when the task has ended."""
        ...


class _Slot:
    """A task's place in the scheduler."""

    __slots__ = ("life", "queued", "task")

    def __init__(self, task: Runnable) -> None:
        self.task = task
        self.life = task.resume()
        self.queued = False


def _next(_: Runnable, life: Iterator[bool]) -> bool:
    return next(life)


class Scheduler:
    """Owned by the thread that runs the job; only `wake` may be called from others.

    Attributes:
        invoke: runs a task for one batch or event: (task, its life) -> what the life yields.
        idle: called before the thread sleeps (garbage collection, progress); returns seconds it may sleep at most, or None.
        between: called between two batches with the task that runs next, or None; must cost nanoseconds.
        periodic: called with the time now and then (checkpoints, logs); returns when it wants to be called again, epoch ms.
    """

    def __init__(self, clock: Clock = wall_clock_ms, random: Random | None = None) -> None:
        self._clock = clock
        self._steps = clock if isinstance(clock, StepClock) else None
        self._random = random
        self._slots: dict[int, _Slot] = {}
        self._ready: deque[_Slot] = deque()  # bounded by the number of tasks: each is queued at most once
        self._woken: deque[int] = deque()  # ids appended by other threads, each drained before the next sleep
        self._calls: deque[Callable[[], None]] = deque()  # from other threads, each run before the next step
        self._closing = threading.Lock()  # guards _wake_fd against a thread that wakes a closing scheduler
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller = select.poll()
        self._poller.register(self._wake_fd, select.POLLIN)
        self._handlers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}
        self.invoke: Callable[[Runnable, Iterator[bool]], bool] = _next
        self.idle: Callable[[], float | None] | None = None
        self.between: Callable[[Runnable], None] | None = None
        self.periodic: Callable[[int], int] | None = None
        self._periodic_due_ms = 0
        self._next_look_ms = 0

    # -- tasks -----------------------------------------------------------------------------------

    def add(self, task: Runnable) -> None:
        """Takes a task; it runs at the next step."""
        slot = _Slot(task)
        self._slots[id(task)] = slot
        self._enqueue(slot)

    def ready(self, task: Runnable) -> None:
        """The task can go on (its thread: a channel got data or credit)."""
        slot = self._slots.get(id(task))
        if slot is not None:
            self._enqueue(slot)

    def wake(self, task: Runnable) -> None:
        """The same from any thread; wakes the scheduler if it sleeps."""
        self._woken.append(id(task))
        self.interrupt()

    def submit(self, call: Callable[[], None]) -> None:
        """Runs a call on this thread between two batches; may be called from any thread."""
        self._calls.append(call)
        self.interrupt()

    def interrupt(self) -> None:
        """Ends the scheduler's sleep, from any thread."""
        with self._closing:
            if self._wake_fd >= 0:
                with contextlib.suppress(BlockingIOError):  # the counter is full: it is awake
                    os.eventfd_write(self._wake_fd, 1)

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Calls `handler` on this thread when a descriptor is readable (exchanges between processes)."""
        self._handlers[fd] = handler
        self._poller.register(fd, select.POLLIN)

    def watch_writable(self, fd: int, handler: Callable[[], None]) -> None:
        """Also calls `handler` when a watched descriptor takes data."""
        if fd in self._handlers and fd not in self._writers:
            self._writers[fd] = handler
            self._poller.modify(fd, select.POLLIN | select.POLLOUT)

    def unwatch_writable(self, fd: int) -> None:
        """Stops that."""
        if self._writers.pop(fd, None) is not None:
            self._poller.modify(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """Stops watching a descriptor."""
        self._writers.pop(fd, None)
        if self._handlers.pop(fd, None) is not None:
            self._poller.unregister(fd)

    @property
    def has_tasks(self) -> bool:
        """Whether any task has not ended."""
        return bool(self._slots)

    # -- running ---------------------------------------------------------------------------------

    def step(self) -> None:
        """Runs one task for one batch or event; sleeps first when none can go on."""
        if self._woken:
            self._drain_woken()
        while self._calls:
            self._calls.popleft()()
        if self._steps is not None:
            self._steps.now_ms += 1
        now = self._clock()
        if now >= self._next_look_ms:
            self._look_around(now)
        if not self._ready:
            self._wait(now)
            return
        slot = self._take()
        if self.between is not None:
            self.between(slot.task)
        try:
            goes_on = self.invoke(slot.task, slot.life)
        except StopIteration:
            self._slots.pop(id(slot.task), None)
            return
        except BaseException:
            self._slots.pop(id(slot.task), None)
            raise
        if goes_on:
            self._enqueue(slot)

    def close(self) -> None:
        """Ends all coroutines (their `finally` parts run) and releases the descriptor."""
        self.close_tasks()
        with self._closing:
            os.close(self._wake_fd)
            self._wake_fd = -1

    def close_tasks(self) -> None:
        """Ends all coroutines; the scheduler can still serve descriptors."""
        for slot in self._slots.values():
            slot.life.close()  # type: ignore[attr-defined]  # lives are generators
        self._slots.clear()
        self._ready.clear()

    def _look_around(self, now: int) -> None:
        """While tasks keep the thread busy: timers of waiting tasks, periodic work, other processes' data."""
        self._next_look_ms = now if self._handlers else now + LOOK_AROUND_MS
        if self.periodic is not None and now >= self._periodic_due_ms:
            self._periodic_due_ms = self.periodic(now)
        self._queue_due(now)
        if self._handlers:
            self._serve(self._poller.poll(0))

    def _take(self) -> _Slot:
        if self._random is not None:
            self._ready.rotate(self._random.randrange(len(self._ready)))
        slot = self._ready.popleft()
        slot.queued = False
        return slot

    def _enqueue(self, slot: _Slot) -> None:
        if not slot.queued:
            slot.queued = True
            self._ready.append(slot)

    def _drain_woken(self) -> None:
        while self._woken:
            slot = self._slots.get(self._woken.popleft())
            if slot is not None:
                self._enqueue(slot)

    def _wait(self, now: int) -> None:
        """Sleeps until the first deadline, a wake-up or a descriptor; then queues the tasks whose time has come."""
        if self._queue_due(now):
            return
        longest = self.idle() if self.idle is not None else None
        timeout_s = IDLE_WAIT_MAX_S if longest is None else min(longest, IDLE_WAIT_MAX_S)
        deadlines = [slot.task.deadline_ms for slot in self._slots.values() if slot.task.deadline_ms is not None]
        if self.periodic is not None:
            deadlines.append(self._periodic_due_ms)
        if deadlines:
            timeout_s = min(timeout_s, max(0.0, (min(deadlines) - now) / 1000))
        events = self._poller.poll(timeout_s * 1000)
        if self._steps is not None and not events and deadlines:
            self._steps.now_ms = max(self._steps.now_ms, min(deadlines))
        self._serve(events)
        self._queue_due(self._clock())

    def _serve(self, events: list[tuple[int, int]]) -> None:
        for fd, event in events:
            if fd == self._wake_fd:
                os.eventfd_read(self._wake_fd)
                self._drain_woken()
                continue
            if event & select.POLLOUT and fd in self._writers:
                self._writers[fd]()
            if event & ~select.POLLOUT and fd in self._handlers:
                self._handlers[fd]()

    def _queue_due(self, now: int) -> bool:
        due = False
        for slot in self._slots.values():
            deadline = slot.task.deadline_ms
            if deadline is not None and deadline <= now:
                slot.task.deadline_ms = None
                self._enqueue(slot)
                due = True
        return due

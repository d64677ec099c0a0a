"""Channels between subtasks of one process, and the gate that a subtask reads them through.

A channel holds a bounded number of batches: each batch in flight takes a credit, and a producer without credit
stops until its consumer takes a batch off. Events (watermarks, barriers, the end) take no credit, so they can
never be what a job waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from penstock.datastream._transformations import PartitioningKind
from penstock.runtime._elements import Barrier, Batch, Element, EndOfData, Watermark, WatermarkStatus
from penstock.runtime.operators.base import NO_TIMESTAMP

if TYPE_CHECKING:
    from penstock.memory import CreditGate

__all__ = ["Channel", "InputGate", "connections"]


class Channel:
    """One producer subtask to one consumer subtask. Owned by the scheduler's thread.

    Attributes:
        credits: batches that may still be put before one must be taken.
        gate: the network memory that its exchange's batches are accounted in, or None.
        on_data: called when an element arrives in an empty channel (wakes the consumer).
        on_credit: called when credit returns to a channel that had none (wakes the producer).
    """

    __slots__ = ("credits", "gate", "input_index", "on_credit", "on_data", "queue")

    def __init__(self, capacity: int, input_index: int) -> None:
        self.queue: deque[Element] = deque()  # bounded by credits: see put
        self.credits = capacity
        self.gate: CreditGate | None = None
        self.input_index = input_index
        self.on_data: Callable[[], None] = _nothing
        self.on_credit: Callable[[], None] = _nothing

    def put(self, element: Element) -> None:
        """Appends an element; a batch takes a credit, into overdraft if its producer could not stop midway."""
        if type(element) is Batch:
            self.credits -= 1
            if self.gate is not None:
                self.gate.charge()
        self.queue.append(element)
        if len(self.queue) == 1:
            self.on_data()

    def take(self) -> Element:
        """Removes the first element and returns its credit."""
        element = self.queue.popleft()
        if type(element) is Batch:
            self.give_credit(1)
        return element

    def give_credit(self, count: int) -> None:
        """Batches were taken: the producer may send as many more."""
        starved = self.credits <= 0
        self.credits += count
        if self.gate is not None:
            starved = starved or not self.gate.available
            self.gate.release(count)
        if starved:
            self.on_credit()

    def discard(self) -> None:
        """The job's attempt is over: gives back what batches in flight hold."""
        if self.gate is not None:
            self.gate.release(sum(type(element) is Batch for element in self.queue))
        self.queue.clear()


def _nothing() -> None:
    return None


class _ChannelState:
    """What the gate knows of one channel."""

    __slots__ = ("blocked", "channel", "ended", "idle", "watermark")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.watermark = NO_TIMESTAMP
        self.idle = False
        self.ended = False
        self.blocked = False


class InputGate:
    """All input channels of a subtask: fair polling, watermark minimum, barrier alignment. Task thread only.

    Attributes:
        watermark: the minimum over the channels that count.
        idle: whether all channels are idle (and none holds the watermark back).
        preferred_input: a logical input to be read to its end before the others, or None.
    """

    def __init__(self, channels: list[Channel], random: Random | None = None) -> None:
        self._states = [_ChannelState(channel) for channel in channels]
        self._random = random
        self._next = 0
        self._aligning: Barrier | None = None
        self._aligned_id = 0  # the latest: barriers up to it that are still on their way are of aborted checkpoints
        self._given_up: set[int] = set()  # later than that: bounded by the checkpoints under way
        self.watermark = NO_TIMESTAMP
        self.idle = False
        self.preferred_input: int | None = None

    @property
    def channels(self) -> list[Channel]:
        """The channels, in order."""
        return [state.channel for state in self._states]

    def poll(self) -> tuple[int, Element] | None:
        """The next element with the index of its logical input; channels take turns, or are drawn at random under a seed.

        Watermarks, statuses and barriers are folded: what comes out is the combined watermark, the gate's status and one
        barrier when all channels delivered it. After the end of a channel the task asks `after_end`.
        """
        states = self._states
        count = len(states)
        start = self._random.randrange(count) if self._random is not None and count > 1 else self._next
        for offset in range(count):
            position = (start + offset) % count
            state = states[position]
            while state.channel.queue and not state.blocked and self._may_read(state):
                self._next = position + 1 if count > 1 else 0
                element = state.channel.take()
                if type(element) is not Batch:
                    folded = self._fold(state, element)
                    if folded is None:
                        continue
                    element = folded
                return state.channel.input_index, element
        return None

    def has_data(self) -> bool:
        """Whether `poll` may return something."""
        return any(s.channel.queue and not s.blocked and self._may_read(s) for s in self._states)

    def input_ended(self, input_index: int) -> bool:
        """Whether all channels of a logical input have ended."""
        return all(state.ended for state in self._states if state.channel.input_index == input_index)

    @property
    def all_ended(self) -> bool:
        """Whether nothing can follow."""
        return all(state.ended for state in self._states)

    def _may_read(self, state: _ChannelState) -> bool:
        """BATCH mode reads the preferred (broadcast) input to its end first."""
        preferred = self.preferred_input
        return preferred is None or state.channel.input_index == preferred or self.input_ended(preferred)

    def _fold(self, state: _ChannelState, element: Element) -> Element | None:
        if isinstance(element, Watermark):
            state.watermark = max(state.watermark, element.timestamp)
            state.idle = False
            return self._combined_watermark()
        if isinstance(element, WatermarkStatus):
            state.idle = element.idle
            return self._combined_watermark() or self._combined_status()
        if isinstance(element, Barrier):
            return self._align(state, element)
        if isinstance(element, EndOfData):
            state.ended = True
        return element

    def _combined_watermark(self) -> Watermark | None:
        counting = [s.watermark for s in self._states if not s.ended and not s.idle]
        if not counting:
            return None
        lowest = min(counting)
        if lowest <= self.watermark:
            return None
        self.watermark = lowest
        return Watermark(lowest)

    def _combined_status(self) -> WatermarkStatus | None:
        alive = [state for state in self._states if not state.ended]
        idle = bool(alive) and all(state.idle for state in alive)
        if idle == self.idle:
            return None
        self.idle = idle
        return WatermarkStatus(idle)

    def _align(self, state: _ChannelState, barrier: Barrier) -> Barrier | None:
        checkpoint_id = barrier.checkpoint_id
        aligning_id = self._aligning.checkpoint_id if self._aligning is not None else 0
        if checkpoint_id <= self._aligned_id or checkpoint_id in self._given_up or checkpoint_id < aligning_id:
            return None  # its checkpoint was aborted while it was on its way
        if aligning_id and aligning_id < checkpoint_id:
            self.cancel_alignment(aligning_id)
        self._aligning = barrier
        state.blocked = True
        return self._aligned()

    def _aligned(self) -> Barrier | None:
        """The barrier, once no channel is left that could still deliver it."""
        barrier = self._aligning
        if barrier is None or any(not s.blocked and not s.ended for s in self._states):
            return None
        self._aligned_id = barrier.checkpoint_id
        self._given_up = {number for number in self._given_up if number > self._aligned_id}
        self._end_alignment()
        return barrier

    def after_end(self) -> Element | None:
        """After the end of a channel: the watermark it held back, or the barrier that waited for it."""
        return self._aligned() or self._combined_watermark()

    def cancel_alignment(self, checkpoint_id: int) -> None:
        """Gives up waiting for a barrier of a checkpoint that was aborted."""
        if self._aligning is not None and self._aligning.checkpoint_id == checkpoint_id:
            self._end_alignment()
        if checkpoint_id > self._aligned_id:
            self._given_up.add(checkpoint_id)

    def _end_alignment(self) -> None:
        self._aligning = None
        for state in self._states:
            state.blocked = False


def connections(kind: PartitioningKind, producers: int, consumers: int) -> list[tuple[int, int]]:
    """(producer, consumer) pairs of an exchange: all to all, or pointwise for FORWARD and RESCALE as Flink connects them."""
    if kind not in (PartitioningKind.FORWARD, PartitioningKind.RESCALE):
        return [(source, target) for source in range(producers) for target in range(consumers)]
    if producers <= consumers:
        return sorted((target * producers // consumers, target) for target in range(consumers))
    return sorted((source, source * consumers // producers) for source in range(producers))

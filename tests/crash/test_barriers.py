"""Orders of barriers, ends and aborts that a schedule meets rarely."""

from __future__ import annotations

from penstock.runtime._channels import Channel, InputGate
from penstock.runtime._elements import END_OF_DATA, Barrier, Batch
from penstock.runtime._results import Collector


def gate_of(*queues: list[object]) -> InputGate:
    channels = [Channel(10, 0) for _ in queues]
    for channel, queue in zip(channels, queues, strict=True):
        for element in queue:
            channel.put(element)  # type: ignore[arg-type]
    return InputGate(channels)


def drained(gate: InputGate) -> list[object]:
    """What a task sees; ends are answered as a task answers them."""
    seen: list[object] = []
    while gate.has_data():
        polled = gate.poll()
        if polled is None:
            continue
        element = polled[1]
        seen.append(element.values if isinstance(element, Batch) else element)
        if element is END_OF_DATA:
            seen.extend(filter(None, [gate.after_end()]))
    return seen


def test_a_late_barrier_of_an_aborted_checkpoint_does_not_align_the_next() -> None:
    first, second = Barrier(1), Barrier(2)
    gate = gate_of([second, Batch([10])], [first, Batch([20]), second, Batch([30])])
    gate.cancel_alignment(1)
    assert drained(gate) == [[20], second, [10], [30]]


def test_a_newer_barrier_ends_the_alignment_of_one_that_will_not_come() -> None:
    first, second = Barrier(1), Barrier(2)
    gate = gate_of([first, Batch([10]), second], [second, Batch([20])])
    assert drained(gate) == [[10], second, [20]]


def test_aborting_a_later_checkpoint_leaves_the_earlier_one_aligning() -> None:
    first, second = Barrier(1), Barrier(2)
    gate = gate_of([first, second], [Batch([20]), first, second])
    gate.cancel_alignment(2)
    assert drained(gate) == [[20], first]


def test_the_end_of_a_channel_completes_an_alignment() -> None:
    barrier = Barrier(1)
    assert drained(gate_of([barrier, Batch([10])], [Batch([20]), END_OF_DATA])) == [[20], END_OF_DATA, barrier, [10]]


def test_results_of_a_subtask_that_ended_come_with_the_next_checkpoint_and_not_with_the_last() -> None:
    collector = Collector(staged=True)
    collector.begin_attempt(4)
    ended, goes_on = collector.stage(0), collector.stage(1)
    ended.add([1])
    ended.end()
    goes_on.add([2])
    collector.commit(4)
    assert collector.records == []
    goes_on.mark(5)
    collector.commit(5)
    assert collector.records == [1, 2]

"""The benchmarked jobs as Bytewax dataflows: `python bytewax_flows.py JOB RECORDS KEYS`, one worker, batched sources."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

sys.path.insert(0, str(Path(__file__).parent))
import programs

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Numbers(DynamicSource):
    def __init__(self, records):
        self.records = records

    def build(self, step_id, worker_index, worker_count):
        return NumbersPartition(self.records)


class NumbersPartition(StatelessSourcePartition):
    def __init__(self, records):
        self.position, self.records = 0, records

    def next_batch(self):
        if self.position >= self.records:
            raise StopIteration
        start, self.position = self.position, min(self.records, self.position + 1000)
        return list(range(start, self.position))


class Counted(DynamicSink):
    def build(self, step_id, worker_index, worker_count):
        return CountedPartition()


class CountedPartition(StatelessSinkPartition):
    def write_batch(self, items):
        pass


def keyed(up, keys):
    pair = programs.Functions(keys).pair()
    return op.key_on("key", op.map("pair", up, pair), lambda p: str(p[0]))


def chain(up, keys):
    doubled = op.filter("odd", op.map("double", up, programs.double), programs.odd_third)
    return op.filter("rare", op.flat_map("spread", doubled, programs.spread), programs.last_digits_zero)


def keyed_sum(up, keys):
    def reduce(state, value):
        total = value if state is None else programs.add(state, value)
        return total, total

    running = op.stateful_map("reduce", keyed(up, keys), reduce)
    return op.filter("rare", running, lambda item: programs.rare(item[1]))


def tumbling(up, keys):
    from bytewax.operators import windowing as win

    event = programs.Functions(keys).event()
    stream = op.key_on("key", op.map("event", up, event), lambda p: str(p[0]))
    clock = win.EventClock(
        ts_getter=lambda p: EPOCH + timedelta(milliseconds=p[1]), wait_for_system_duration=timedelta(milliseconds=50)
    )
    windower = win.TumblingWindower(length=timedelta(seconds=1), align_to=EPOCH)
    counted = win.fold_window("count", stream, clock, windower, lambda: 0, lambda n, value: n + 1, lambda a, b: a + b)
    return counted.down


def main():
    name, records, keys = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    flow = Dataflow(name)
    op.output("out", globals()[name](op.input("in", flow, Numbers(records)), keys), Counted())
    run_main(flow)


if __name__ == "__main__":
    main()

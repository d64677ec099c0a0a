"""Two programs of `job_programs.py` as Bytewax dataflows: `python bytewax_flows.py NAME`."""

from __future__ import annotations

import sys

from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

RECORDS = 50_000_000


class Numbers(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return NumbersPartition()


class NumbersPartition(StatelessSourcePartition):
    def __init__(self):
        self.position = 0

    def next_batch(self):
        if self.position >= RECORDS:
            raise StopIteration
        start, self.position = self.position, self.position + 1000
        return list(range(start, self.position))


class Nothing(DynamicSink):
    def build(self, step_id, worker_index, worker_count):
        return NothingPartition()


class NothingPartition(StatelessSinkPartition):
    def write_batch(self, items):
        pass


def hoarding_map(numbers):
    held = []

    def hoard(value):
        held.append([value] * 10)
        return value

    return op.map("hoard", numbers, hoard)


def ever_new_keys(numbers):
    keyed = op.key_on("key", numbers, lambda x: f"key {x}")

    def add(state, value):
        total = (state or 0) + value
        return total, total

    return op.map("total", op.stateful_map("sum", keyed, add), lambda pair: pair[1])


def main():
    flow = Dataflow("bounded")
    stream = globals()[sys.argv[1]](op.input("numbers", flow, Numbers()))
    op.output("out", op.filter("none", stream, lambda x: False), Nothing())
    run_main(flow)
    print("finished")


if __name__ == "__main__":
    main()

"""A keyed state many times larger than memory, as a program for each engine: `python … ENGINE KEYS`.

Every key is met twice, all keys once before any twice; it keeps a count and the last of its payloads (1,000 bytes that
do not compress). What is printed is how many keys were counted to two, once that is all of them.
"""

from __future__ import annotations

import random
import sys

PAYLOAD_BYTES = 1000
NOISE = random.Random(5).randbytes(1 << 20)


def record(x, keys):
    """(key, count, payload) of the x-th record: neighbours lie far apart."""
    at = x * 7919 % (len(NOISE) - PAYLOAD_BYTES)
    return f"key-{x % keys * 2654435761 % keys}", 1, NOISE[at : at + PAYLOAD_BYTES]


def latest(a, b):
    return a[0], a[1] + b[1], b[2]


def flink(keys, mode):
    """On whatever `pyflink` is."""
    from pyflink.common import Types, WatermarkStrategy
    from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
    from pyflink.datastream.connectors.number_seq import NumberSequenceSource

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    if mode == "batch":
        env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    numbers = env.from_source(
        NumberSequenceSource(0, 2 * keys - 1), WatermarkStrategy.no_watermarks(), "numbers", Types.LONG()
    )
    kind = Types.TUPLE([Types.STRING(), Types.INT(), Types.PICKLED_BYTE_ARRAY()])
    counted = numbers.map(lambda x: record(x, keys), kind).key_by(lambda r: r[0], Types.STRING()).reduce(latest)
    twice = counted.filter(lambda r: r[1] == 2).map(lambda r: ("all", 1), Types.TUPLE([Types.STRING(), Types.LONG()]))
    total = twice.key_by(lambda r: r[0], Types.STRING()).reduce(lambda a, b: (a[0], a[1] + b[1]))
    total.filter(lambda r: r[1] == keys).map(lambda r: f"all {r[1]}", Types.STRING()).print()
    env.execute("state beyond memory")


def bytewax(keys):
    """With Bytewax: state is an object a key, in memory."""
    from bytewax import operators as op
    from bytewax.connectors.stdio import StdOutSink
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSource, run_main

    def keep(state, value):
        state = value if state is None else latest(state, value)
        return state, state[1]

    def total(state, value):
        state = (state or 0) + value
        return state, state

    flow = Dataflow("beyond")
    numbers = op.input("numbers", flow, TestingSource(range(2 * keys), batch_size=1000))
    keyed = op.map("records", numbers, lambda x: ((r := record(x, keys))[0], r))
    counted = op.stateful_map("latest", keyed, keep)
    twice = op.filter("twice", counted, lambda pair: pair[1] == 2)
    totals = op.stateful_map("total", op.map("one", twice, lambda pair: ("all", 1)), total)
    last = op.filter("last", totals, lambda pair: pair[1] == keys)
    op.output("out", op.map("text", last, lambda pair: f"all {pair[1]}"), StdOutSink())
    run_main(flow)


def pathway(keys):
    """With Pathway: a group by with reducers, in memory."""
    import pathway as pw

    class Numbers(pw.io.python.ConnectorSubject):
        def run(self):
            for x in range(2 * keys):
                key, _, payload = record(x, keys)
                self.next(key=key, at=x, payload=payload)

    schema = pw.schema_from_types(key=str, at=int, payload=bytes)
    rows = pw.io.python.read(Numbers(), schema=schema)
    latest_of = rows.groupby(pw.this.key).reduce(
        pw.this.key, count=pw.reducers.count(), payload=pw.reducers.latest(pw.this.payload)
    )
    total = latest_of.filter(pw.this.count == 2).reduce(total=pw.reducers.count())
    found = []
    pw.io.subscribe(total, on_change=lambda key, row, time, is_addition: found.append(row["total"]))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    print("all", max(found))


def main():
    engine, keys = sys.argv[1], int(sys.argv[2])
    {
        "streaming": lambda: flink(keys, "streaming"),
        "batch": lambda: flink(keys, "batch"),
        "bytewax": lambda: bytewax(keys),
        "pathway": lambda: pathway(keys),
    }[engine]()


if __name__ == "__main__":
    main()

"""PyFlink programs that want more memory than they have, or just enough: `python job_programs.py NAME`."""

import gc
import sys
import threading
import time

from pyflink.common import Types, WatermarkStrategy
from pyflink.datastream import MapFunction, StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource

MIB = 1 << 20


def numbers(env, count):
    source = NumberSequenceSource(0, count - 1)
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())


def hoarding_map(env):
    """Every record adds to a list of the function."""
    held = []

    def hoard(value):
        held.append([value] * 10)
        return value

    return numbers(env, 50_000_000).map(hoard)


def ever_new_keys(env):
    """A reduce whose state grows with every record."""
    return numbers(env, 50_000_000).key_by(lambda x: f"key {x}").reduce(lambda a, b: a + b)


def huge_records(env):
    """Records of 100 MB, one at a time; nothing keeps them."""
    return numbers(env, 20).map(lambda x: bytes(100 * MIB)).map(len)


def records_beyond_the_heap(env):
    """One record larger than the heap."""
    return numbers(env, 3).map(lambda x: bytearray(600 * MIB)).map(len)


def numpy_hoarder(env):
    """Arrays outside the CPython heap."""
    import numpy as np

    held = []

    def hoard(value):
        held.append(np.ones(MIB // 8))
        return value

    return numbers(env, 100_000).map(hoard)


def arrow_hoarder(env):
    """Arrow arrays, which no hook sees: looked at after each batch."""
    import pyarrow

    held = []

    def hoard(value):
        held.append(pyarrow.array(range(10_000)))
        return value

    return numbers(env, 100_000).map(hoard)


def threads(env):
    """A function that starts threads, each of which takes memory for a moment."""

    def burst(value):
        def take():
            bytes(2 * MIB)

        started = [threading.Thread(target=take) for _ in range(8)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        return value

    return numbers(env, 200).map(burst)


def cyclic_garbage(env):
    """Makes cycles that only the collector frees: 2 kB each, a million of them."""

    def cycle(value):
        ring = [None] * 250
        ring[0] = ring
        return value

    return numbers(env, 1_000_000).map(cycle)


def slow_sink(env):
    """A fast source in front of a slow consumer."""

    def slow(value):
        time.sleep(0.0002)
        return value

    return numbers(env, 20_000).map(lambda x: (x, "x" * 1000)).rebalance().map(slow).map(lambda pair: pair[0])


def swallows_memory_error(env):
    """Catches MemoryError and goes on hoarding."""
    held = []

    def hoard(value):
        try:
            held.append([value] * 1000)
        except MemoryError:
            pass
        return value

    return numbers(env, 50_000_000).map(hoard)


class WellBehaved(MapFunction):
    """Holds most of the heap's budget and works on."""

    def open(self, runtime_context):
        self.held = [bytes(1000) for _ in range(int(sys.argv[2]))]

    def map(self, value):
        self.held[value % len(self.held)] = bytes(1000)
        return value


def well_behaved(env):
    return numbers(env, 300_000).map(WellBehaved())


def neighbours(env):
    """A job that hoards, in other slots of the process than the job that is left to do its work."""
    failed = []

    def hoard():
        other = StreamExecutionEnvironment.get_execution_environment()
        other.set_parallelism(1)
        hoarding_map(other).filter(lambda x: False).print()
        try:
            other.execute("hoarder")
        except Exception as error:
            failed.append(str(error))

    thread = threading.Thread(target=hoard)
    thread.start()
    largest = numbers(env, 300_000).map(lambda x: (x, str(x))).key_by(lambda x: x[0] % 100).reduce(max)
    with largest.filter(lambda x: x[0] >= 299_900).execute_and_collect("neighbour") as results:
        count = sum(1 for _ in results)
    thread.join()
    print("neighbour", count, "hoarder", "The heap limit was passed" in failed[0])
    return numbers(env, 10).map(lambda x: x)


def main():
    gc.collect()
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    globals()[sys.argv[1]](env).filter(lambda x: False).print()
    env.execute(sys.argv[1])
    print("finished")


if __name__ == "__main__":
    main()

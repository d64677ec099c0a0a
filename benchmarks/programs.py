"""The benchmarked jobs: each as a PyFlink program and as the loop a careful engineer would write by hand.

The loop calls the same user functions, so a ratio of 1 means that the runtime costs nothing. This file is also a plain
PyFlink program: `python programs.py JOB RECORDS KEYS` runs a job on whatever `pyflink` is, and prints the net run time
in ms and a checksum of the results.
"""

from __future__ import annotations

import sys
from collections import defaultdict

# -- user functions ----------------------------------------------------------------------------------


class Functions:
    """The functions of all jobs for a number of keys."""

    def __init__(self, keys):
        self.keys = keys

    def pair(self):
        keys = self.keys
        return lambda x: (x % keys, x)

    def event(self):
        """Five records a millisecond, out of order by up to 50 ms."""
        keys = self.keys
        return lambda x: (x % keys, x // 5 - (x * 7919) % 50)


def first(pair):
    return pair[0]


def add(a, b):
    return a[0], a[1] + b[1]


def rare(pair):
    return pair[1] % 100_003 == 0


def double(x):
    return x * 2


def odd_third(x):
    return x % 3 != 0


def spread(x):
    return (x, x + 1)


def last_digits_zero(x):
    return x % 100_003 == 0


# -- the jobs, by hand -------------------------------------------------------------------------------


def chain_by_hand(records, keys):
    results = []
    for x in range(records):
        y = double(x)
        if odd_third(y):
            for z in spread(y):
                if last_digits_zero(z):
                    results.append(z)
    return results


def keyed_sum_by_hand(records, keys):
    pair, sums, results = Functions(keys).pair(), {}, []
    for x in range(records):
        value = pair(x)
        key = first(value)
        if key in sums:
            total = add(sums[key], value)
        else:
            total = value
        sums[key] = total
        if rare(total):
            results.append(total)
    return results


def tumbling_by_hand(records, keys):
    """Counts a key and second; a watermark every 10,000 records, 50 ms behind the highest timestamp."""
    event, windows, results, highest = Functions(keys).event(), {}, [], -1 << 63
    for start in range(0, records, 10_000):
        for x in range(start, min(records, start + 10_000)):
            value = event(x)
            key, stamp = first(value), value[1]
            if stamp > highest:
                highest = stamp
            window = stamp - stamp % 1000
            counts = windows.get(window)
            if counts is None:
                counts = windows[window] = {}
            counts[key] = count_add(value, counts[key]) if key in counts else count_add(value, 0)
        for window in sorted(w for w in windows if w + 999 <= highest - 51):
            results.extend(windows.pop(window).values())
    for window in sorted(windows):
        results.extend(windows[window].values())
    return results


def count_add(value, accumulator):
    return accumulator + 1


def process_by_hand(records, keys):
    """A timer at the end of each second a key was seen in; the last second seen is the key's state."""
    event, seen, timers, results, highest = Functions(keys).event(), {}, defaultdict(dict), [], -1 << 63
    for start in range(0, records, 10_000):
        for x in range(start, min(records, start + 10_000)):
            value = event(x)
            key, stamp = first(value), value[1]
            if stamp > highest:
                highest = stamp
            end = stamp - stamp % 1000 + 999
            if seen.get(key) != end:
                timers[end][key] = True
                seen[key] = end
        for time in sorted(t for t in timers if t <= highest - 51):
            results.extend((key, time) for key in timers.pop(time))
    for time in sorted(timers):
        results.extend((key, time) for key in timers[time])
    return results


BY_HAND = {
    "chain": chain_by_hand,
    "keyed_sum": keyed_sum_by_hand,
    "tumbling": tumbling_by_hand,
    "process": process_by_hand,
}


# -- the jobs, as PyFlink programs -------------------------------------------------------------------


def build(name, env, records, keys):
    """Builds a job; its stream of results."""
    from pyflink.common import Types, WatermarkStrategy
    from pyflink.datastream.connectors.number_seq import NumberSequenceSource

    source = NumberSequenceSource(0, records - 1)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
    return globals()[f"{name}_stream"](numbers, keys)


def chain_stream(numbers, keys):
    return numbers.map(double).filter(odd_third).flat_map(spread).filter(last_digits_zero)


def keyed_sum_stream(numbers, keys):
    return numbers.map(Functions(keys).pair()).key_by(first).reduce(add).filter(rare)


def timed(numbers, keys):
    from pyflink.common import Duration, WatermarkStrategy
    from pyflink.common.watermark_strategy import TimestampAssigner

    class Second(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return value[1]

    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(50))
    return numbers.map(Functions(keys).event()).assign_timestamps_and_watermarks(
        strategy.with_timestamp_assigner(Second())
    )


def counting():
    from pyflink.datastream import AggregateFunction

    class Count(AggregateFunction):
        def create_accumulator(self):
            return 0

        def add(self, value, accumulator):
            return accumulator + 1

        def get_result(self, accumulator):
            return accumulator

        def merge(self, a, b):
            return a + b

    return Count()


def windowed(numbers, keys, assigner):
    return timed(numbers, keys).key_by(first).window(assigner).aggregate(counting())


def tumbling_stream(numbers, keys):
    from pyflink.common import Time
    from pyflink.datastream.window import TumblingEventTimeWindows

    return windowed(numbers, keys, TumblingEventTimeWindows.of(Time.seconds(1)))


def sliding_stream(numbers, keys):
    from pyflink.common import Time
    from pyflink.datastream.window import SlidingEventTimeWindows

    return windowed(numbers, keys, SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(1)))


def session_stream(numbers, keys):
    from pyflink.common import Time
    from pyflink.datastream.window import EventTimeSessionWindows

    return windowed(numbers, keys, EventTimeSessionWindows.with_gap(Time.milliseconds(100)))


def process_stream(numbers, keys):
    from pyflink.common import Types
    from pyflink.datastream import KeyedProcessFunction
    from pyflink.datastream.state import ValueStateDescriptor

    class SecondsSeen(KeyedProcessFunction):
        def open(self, runtime_context):
            self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.LONG()))

        def process_element(self, value, ctx):
            end = value[1] - value[1] % 1000 + 999
            if self.seen.value() != end:
                ctx.timer_service().register_event_time_timer(end)
                self.seen.update(end)

        def on_timer(self, timestamp, ctx):
            yield ctx.get_current_key(), timestamp

    return timed(numbers, keys).key_by(first).process(SecondsSeen())


def checksum(results):
    """The same for the same results in any order."""
    total = count = 0
    for result in results:
        total += sum(result) if isinstance(result, tuple) else result
        count += 1
    return count, total


def main():
    from pyflink.common import Configuration
    from pyflink.datastream import StreamExecutionEnvironment

    name, records, keys = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    conf = Configuration()
    for setting in sys.argv[4:]:
        key, _, value = setting.partition("=")
        conf.set_string(key, value)
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(1)
    build(name, env, records, keys).print()
    result = env.execute(name)
    print("net runtime", result.get_net_runtime(), file=sys.stderr)


if __name__ == "__main__":
    main()

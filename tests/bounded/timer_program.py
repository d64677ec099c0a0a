"""A PyFlink program with a timer for each of many keys: `python timer_program.py TIMERS`.

A key is 400 bytes; its timer comes long after all records, those of neighbouring keys far apart, and some are deleted
and set anew. What is printed is how many fired, once that is all of them.
"""

import sys

from pyflink.common import Duration, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource

FIRST = 1 << 40


class Ascending(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value


class CalledBack(KeyedProcessFunction):
    def __init__(self, timers):
        self.timers = timers
        self.latest = 0

    def process_element(self, value, ctx):
        timers = ctx.timer_service()
        at = FIRST + value * 7919 % self.timers
        if value % 10 == 0:
            timers.register_event_time_timer(at + self.timers)
            timers.delete_event_time_timer(at + self.timers)
        timers.register_event_time_timer(at)
        return ()

    def on_timer(self, timestamp, ctx):
        assert timestamp >= self.latest, "timers come in the order of their times"
        assert FIRST + int(ctx.get_current_key()) * 7919 % self.timers == timestamp
        self.latest = timestamp
        yield 1


def main():
    timers = int(sys.argv[1])
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1))
    source = NumberSequenceSource(0, timers - 1)
    numbers = env.from_source(source, strategy.with_timestamp_assigner(Ascending()), "numbers", Types.LONG())
    fired = numbers.key_by(lambda x: f"{x:0400}", Types.STRING()).process(CalledBack(timers), Types.LONG())
    total = fired.key_by(lambda _: 0, Types.LONG()).reduce(lambda a, b: a + b)
    total.filter(lambda count: count == timers).map(lambda count: f"all {count}", Types.STRING()).print()
    env.execute("timers beyond memory")


if __name__ == "__main__":
    main()

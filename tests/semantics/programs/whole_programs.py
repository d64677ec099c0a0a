"""Whole programs as users write them, and what functions return that they should not: each against PyFlink's answer."""

import asyncio
import datetime
import json
import threading
from decimal import Decimal

from pyflink.common import Instant, JobStatus, Row, RowKind, Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import (
    AsyncDataStream,
    AsyncFunction,
    OutputTag,
    RuntimeContext,
    RuntimeExecutionMode,
)
from pyflink.datastream.functions import (
    AggregateFunction,
    AllWindowFunction,
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    FilterFunction,
    FlatMapFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    ProcessAllWindowFunction,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    WindowFunction,
)
from pyflink.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from pyflink.datastream.window import (
    ContinuousEventTimeTrigger,
    CountTrigger,
    CountWindow,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindow,
    GlobalWindows,
    PurgingTrigger,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    TimeWindow,
    TimeWindowSerializer,
    Trigger,
    TriggerResult,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    WindowAssigner,
)
from semantics_case import case


class SecondField(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return int(value[1])


def by_second_field():
    return WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(SecondField())


def caught(call):
    try:
        return repr(call())
    except BaseException as error:
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


@case(order="any")
def sessionization(env):
    events = [
        ("u1", 1000, "home"),
        ("u2", 1500, "home"),
        ("u1", 2500, "search"),
        ("u1", 9000, "home"),
        ("u2", 12000, "buy"),
        ("u1", 9500, "buy"),
    ]

    class Sessions(ProcessWindowFunction[tuple, tuple, str, TimeWindow]):
        def process(self, key, context, elements):
            pages = [e[2] for e in sorted(elements, key=lambda e: e[1])]
            return [(key, context.window().start, context.window().end, ">".join(pages))]

    return (
        env.from_collection(events)
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda e: e[0], key_type=Types.STRING())
        .window(EventTimeSessionWindows.with_gap(Time.seconds(5)))
        .process(Sessions(), Types.TUPLE([Types.STRING(), Types.LONG(), Types.LONG(), Types.STRING()]))
    )


@case(order="any")
def fraud_detection(env):
    tx = [
        ("acc1", 1000, 0.5),
        ("acc1", 2000, 600.0),
        ("acc2", 2500, 900.0),
        ("acc2", 3000, 0.2),
        ("acc2", 70000, 800.0),
        ("acc3", 1, 0.9),
        ("acc3", 59999, 700.0),
    ]

    class Detector(KeyedProcessFunction):
        def open(self, ctx: RuntimeContext):
            self.flag = ctx.get_state(ValueStateDescriptor("flag", Types.BOOLEAN()))
            self.timer = ctx.get_state(ValueStateDescriptor("timer", Types.LONG()))

        def process_element(self, value, ctx: KeyedProcessFunction.Context):
            if self.flag.value() is not None:
                if value[2] > 500:
                    yield Row(account=value[0], amount=value[2])
                self.cleanup(ctx)
            if value[2] < 1:
                self.flag.update(True)
                t = ctx.timestamp() + 60000
                ctx.timer_service().register_event_time_timer(t)
                self.timer.update(t)

        def on_timer(self, timestamp, ctx):
            self.timer.clear()
            self.flag.clear()
            yield Row(account="timer-" + ctx.get_current_key(), amount=float(timestamp))

        def cleanup(self, ctx):
            ctx.timer_service().delete_event_time_timer(self.timer.value())
            self.timer.clear()
            self.flag.clear()

    return (
        env.from_collection(tx, Types.TUPLE([Types.STRING(), Types.LONG(), Types.DOUBLE()]))
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda t: t[0])
        .process(Detector(), Types.ROW_NAMED(["account", "amount"], [Types.STRING(), Types.DOUBLE()]))
    )


@case(order="any")
def cdc_dedup_with_ttl(env):
    rows = [
        Row.of_kind(RowKind.INSERT, "a", 1),
        Row.of_kind(RowKind.UPDATE_BEFORE, "a", 1),
        Row.of_kind(RowKind.UPDATE_AFTER, "a", 2),
        Row.of_kind(RowKind.INSERT, "b", 1),
        Row.of_kind(RowKind.DELETE, "b", 1),
        Row.of_kind(RowKind.UPDATE_AFTER, "a", 2),
    ]

    class Dedup(KeyedProcessFunction):
        def open(self, ctx):
            ttl = (
                StateTtlConfig.new_builder(Time.hours(1))
                .set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)
                .set_state_visibility(StateTtlConfig.StateVisibility.NeverReturnExpired)
                .build()
            )
            d = ValueStateDescriptor("last", Types.ROW([Types.STRING(), Types.INT()]))
            d.enable_time_to_live(ttl)
            self.last = ctx.get_state(d)

        def process_element(self, value, ctx):
            kind = value.get_row_kind()
            if kind == RowKind.UPDATE_BEFORE:
                return
            if kind == RowKind.DELETE:
                self.last.clear()
                yield value
                return
            old = self.last.value()
            if old is None or old[1] != value[1]:
                self.last.update(value)
                yield value

    t = Types.ROW([Types.STRING(), Types.INT()])
    return env.from_collection(rows, t).key_by(lambda r: r[0], Types.STRING()).process(Dedup(), t)


@case(order="any")
def interval_join_by_hand(env):
    left = [("k1", 1000, "L1"), ("k1", 5000, "L2"), ("k2", 3000, "L3")]
    right = [("k1", 1500, "R1"), ("k1", 9000, "R2"), ("k2", 2500, "R3"), ("k2", 10000, "R4")]

    class Join(KeyedCoProcessFunction):
        def open(self, ctx):
            self.l = ctx.get_map_state(MapStateDescriptor("l", Types.LONG(), Types.STRING()))
            self.r = ctx.get_map_state(MapStateDescriptor("r", Types.LONG(), Types.STRING()))

        def process_element1(self, value, ctx):
            self.l.put(value[1], value[2])
            for ts, other in self.r.items():
                if abs(ts - value[1]) <= 1000:
                    yield value[0], value[2], other
            ctx.timer_service().register_event_time_timer(value[1] + 1000)

        def process_element2(self, value, ctx):
            self.r.put(value[1], value[2])
            for ts, other in self.l.items():
                if abs(ts - value[1]) <= 1000:
                    yield value[0], other, value[2]
            ctx.timer_service().register_event_time_timer(value[1] + 1000)

        def on_timer(self, timestamp, ctx):
            self.l.remove(timestamp - 1000)
            self.r.remove(timestamp - 1000)
            yield (
                "timer",
                ctx.get_current_key(),
                str((timestamp, sorted(self.l.keys()), sorted(self.r.keys()), str(ctx.time_domain()))),
            )

    a = env.from_collection(left).assign_timestamps_and_watermarks(by_second_field()).key_by(lambda v: v[0])
    b = env.from_collection(right).assign_timestamps_and_watermarks(by_second_field()).key_by(lambda v: v[0])
    return a.connect(b).process(Join(), Types.TUPLE([Types.STRING(), Types.STRING(), Types.STRING()]))


@case(order="any")
def top_n_per_window(env):
    sales = [(f"p{i % 5}", i * 700, float(i * 7 % 11)) for i in range(30)]

    class Agg(AggregateFunction):
        def create_accumulator(self):
            return 0.0, 0

        def add(self, value, acc):
            return acc[0] + value[2], acc[1] + 1

        def get_result(self, acc):
            return acc[0] / acc[1]

        def merge(self, a, b):
            return a[0] + b[0], a[1] + b[1]

    class WithEnd(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield key, context.window().end, next(iter(elements))

    class TopN(KeyedProcessFunction):
        def open(self, ctx):
            self.items = ctx.get_list_state(ListStateDescriptor("items", Types.PICKLED_BYTE_ARRAY()))

        def process_element(self, value, ctx):
            self.items.add(value)
            ctx.timer_service().register_event_time_timer(value[1] + 1)

        def on_timer(self, timestamp, ctx):
            best = sorted(self.items.get(), key=lambda v: (-v[2], v[0]))[:2]
            self.items.clear()
            yield timestamp, [(b[0], round(b[2], 3)) for b in best]

    return (
        env.from_collection(sales)
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(5)))
        .aggregate(Agg(), WithEnd())
        .key_by(lambda v: v[1])
        .process(TopN())
    )


@case(order="any")
def custom_assigner(env):
    class ByDay(WindowAssigner[tuple, TimeWindow]):
        def __init__(self, size):
            self.size = size

        def assign_windows(self, element, timestamp, context):
            return [TimeWindow(timestamp // self.size * self.size, (timestamp // self.size + 1) * self.size)]

        def get_default_trigger(self, env):
            return EventTimeTrigger.create()

        def get_window_serializer(self):
            return TimeWindowSerializer()

        def is_event_time(self):
            return True

    class Show(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield key, context.window().start, [e[2] for e in elements]

        def clear(self, context):
            pass

    return (
        env.from_collection([("a", 1, 1), ("a", 11, 2), ("a", 5, 3)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(ByDay(10))
        .process(Show())
    )


@case(order="any")
def custom_trigger_early_firing(env):
    class Early(Trigger):
        def __init__(self, n):
            self.n = n
            self.d = ReducingStateDescriptor("count", lambda a, b: a + b, Types.LONG())

        def on_element(self, element, timestamp, window, ctx):
            ctx.register_event_time_timer(window.max_timestamp())
            c = ctx.get_partitioned_state(self.d)
            c.add(1)
            if c.get() >= self.n:
                c.clear()
                return TriggerResult.FIRE
            return TriggerResult.CONTINUE

        def on_processing_time(self, time, window, ctx):
            return TriggerResult.CONTINUE

        def on_event_time(self, time, window, ctx):
            return TriggerResult.FIRE_AND_PURGE if time >= window.max_timestamp() else TriggerResult.CONTINUE

        def on_merge(self, window, ctx):
            ctx.merge_partitioned_state(self.d)

        def clear(self, window, ctx):
            ctx.delete_event_time_timer(window.max_timestamp())
            ctx.get_partitioned_state(self.d).clear()

        @staticmethod
        def of(n):
            return Early(n)

    return (
        env.from_collection([("a", i, i) for i in range(7)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(TumblingEventTimeWindows.of(Time.milliseconds(5)))
        .trigger(Early.of(2))
        .reduce(lambda a, b: (a[0], b[1], a[2] + b[2]))
    )


@case(order="any")
def row_reduce_typed(env):
    t = Types.ROW_NAMED(["name", "score", "n"], [Types.STRING(), Types.DOUBLE(), Types.INT()])

    class R(ReduceFunction):
        def reduce(self, a, b):
            return Row(name=a.name, score=a.score + b.score, n=a["n"] + b["n"])

    data = [Row("x", 1.5, 1), Row("y", 2.0, 1), Row("x", 2.5, 1)]
    return (
        env.from_collection(data, t)
        .key_by(lambda r: r.name, Types.STRING())
        .reduce(R())
        .map(lambda r: (r.name, r.score, r.n, type(r).__name__))
    )


@case(order="any")
def rowtypeinfo_class(env):
    from pyflink.common.typeinfo import (
        RowTypeInfo,
    )

    t = RowTypeInfo([Types.STRING(), Types.INT()], ["a", "b"])
    s = env.from_collection([("x", 1), ("y", 2)], type_info=t)
    return s.map(lambda r: Row(r.a, r.b * 2), output_type=RowTypeInfo([Types.STRING(), Types.INT()]))


@case(order="any")
def enrichment_by_broadcast(env):
    rules = [("r1", "alpha"), ("r2", "beta")]
    d = MapStateDescriptor("rules", Types.STRING(), Types.STRING())

    class Enrich(BroadcastProcessFunction):
        def __init__(self, desc):
            self.desc = desc

        def process_element(self, value, ctx):
            yield "el", len(value)

        def process_broadcast_element(self, value, ctx):
            st = ctx.get_broadcast_state(self.desc)
            st.put(value[0], value[1])
            yield "bc", len(list(st.keys()))

    return (
        env.from_collection([("r1", 1), ("r3", 2)]).connect(env.from_collection(rules).broadcast(d)).process(Enrich(d))
    )


@case(order="exact")
def side_outputs_everywhere(env):
    tag = OutputTag("bad", Types.STRING())

    class P(ProcessFunction):
        def process_element(self, value, ctx):
            try:
                yield json.loads(value)["x"]
            except Exception as e:
                yield tag, type(e).__name__ + ":" + value

    m = env.from_collection(['{"x": 1}', "oops", '{"y":2}']).process(P(), Types.INT())
    return m.get_side_output(tag)


@case(order="exact")
def json_pipeline_typed(env):
    def show(data):
        d = json.loads(data.info)
        return data.id, d["tel"]

    rows = [(1, '{"name": "Flink", "tel": 123}'), (2, '{"name": "hello", "tel": 135}')]
    ds = env.from_collection(rows, Types.ROW_NAMED(["id", "info"], [Types.INT(), Types.STRING()]))

    def update_tel(data):
        j = json.loads(data.info)
        j["tel"] += 1
        return data.id, json.dumps(j)

    return ds.map(show)


@case(order="any")
def flat_map_returns_str(env):
    return env.from_collection(["abc"]).flat_map(lambda s: s)


@case(order="any")
def flat_map_returns_dict(env):
    return env.from_collection(["abc"]).flat_map(lambda s: {"k": 1, "v": 2})


@case(order="any", error="'int'\\ object\\ is\\ not\\ iterable")
def flat_map_returns_int(env):
    return env.from_collection(["abc"]).flat_map(lambda s: 1)


@case(order="any", error="'int'\\ object\\ is\\ not\\ iterable")
def process_returns_int(env):
    class P(ProcessFunction):
        def process_element(self, value, ctx):
            return 5

    return env.from_collection(["abc"]).process(P())


@case(order="any")
def keyed_process_returns_str(env):
    class P(KeyedProcessFunction):
        def process_element(self, value, ctx):
            return value

    return env.from_collection(["abc"]).key_by(lambda v: v).process(P())


@case(order="any", error="'NoneType'\\ object\\ is\\ not\\ iterable")
def window_function_returns_none(env):
    class P(ProcessWindowFunction):
        def process(self, key, ctx, elements):
            return None

    return env.from_collection([("a", 1)]).key_by(lambda v: v[0]).count_window(1).process(P())


@case(order="any", error="'int'\\ object\\ is\\ not\\ iterable")
def window_function_returns_int(env):
    class P(WindowFunction):
        def apply(self, key, window, elements):
            return 3

    return env.from_collection([("a", 1)]).key_by(lambda v: v[0]).count_window(1).apply(P())


@case(order="any")
def unhashable_keys(env):
    return (
        env.from_collection([({"a": 1}, 1), ({"a": 1}, 2), ({"b": 1}, 3)])
        .key_by(lambda v: v[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )


@case(order="any")
def key_tuple_typed(env):
    return (
        env.from_collection([("a", 1, 2), ("a", 1, 3), ("b", 1, 3)])
        .key_by(lambda v: (v[0], v[1]), Types.TUPLE([Types.STRING(), Types.INT()]))
        .reduce(lambda a, b: (a[0], a[1], a[2] + b[2]))
    )


@case(order="any")
def key_row_typed(env):
    return (
        env.from_collection([("a", 1, 2), ("a", 1, 3), ("b", 1, 3)])
        .key_by(lambda v: Row(v[0], v[1]), Types.ROW([Types.STRING(), Types.INT()]))
        .reduce(lambda a, b: (a[0], a[1], a[2] + b[2]))
    )


@case(order="any")
def key_row_untyped(env):
    class P(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield ctx.get_current_key(), value

    return env.from_collection([("a", 1, 2), ("a", 1, 3), ("b", 1, 3)]).key_by(lambda v: Row(v[0], v[1])).process(P())


@case(stdout=True, order="any")
def word_count(env):
    def split(line):
        yield from line.split()

    env.from_collection(["To be, or not", "to be or"]).flat_map(split).map(
        lambda i: (i, 1), output_type=Types.TUPLE([Types.STRING(), Types.INT()])
    ).key_by(lambda i: i[0]).reduce(lambda i, j: (i[0], i[1] + j[1])).print()


@case(stdout=True, order="any")
def word_count_rows_batch(env):
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    env.from_collection(["To be, or not", "to be or"], Types.STRING()).flat_map(
        lambda line: line.lower().split(" "), Types.STRING()
    ).map(lambda w: Row(w, 1), Types.ROW([Types.STRING(), Types.LONG()])).key_by(lambda r: r[0], Types.STRING()).reduce(
        lambda a, b: Row(a[0], a[1] + b[1])
    ).print()


@case(order="any")
def side_from_flat_map(env):
    tag = OutputTag("w", Types.STRING())
    r = env.from_collection([("a", 1)]).flat_map(lambda v: [(tag, "x"), v])
    return r.map(lambda v: (type(v[0]).__name__, v[1]))


@case(order="any")
def side_from_keyed_broadcast(env):
    tag = OutputTag("w", Types.STRING())
    d = MapStateDescriptor("d", Types.STRING(), Types.INT())

    class P(KeyedBroadcastProcessFunction):
        def process_element(self, value, ctx):
            yield tag, "el" + value[0]
            ctx.timer_service().register_event_time_timer(5)

        def process_broadcast_element(self, value, ctx):
            yield tag, "bc" + value

        def on_timer(self, timestamp, ctx):
            yield tag, "timer" + ctx.get_current_key() + str(timestamp)

    r = (
        env.from_collection([("a", 1)])
        .key_by(lambda v: v[0])
        .connect(env.from_collection(["b"]).broadcast(d))
        .process(P(), Types.STRING())
    )
    return r.get_side_output(tag)


@case(order="any")
def side_tag_untyped_values(env):
    tag = OutputTag("w")

    class P(ProcessFunction):
        def process_element(self, value, ctx):
            yield tag, {"v": value}
            return

    r = env.from_collection([1, 2]).process(P(), Types.INT())
    return r.get_side_output(tag)


@case(order="any")
def map_state_iteration(env):
    class P(KeyedProcessFunction):
        def open(self, ctx):
            self.m = ctx.get_map_state(MapStateDescriptor("m", Types.STRING(), Types.INT()))

        def process_element(self, value, ctx):
            if value[1] in self.m:
                self.m[value[1]] += 1
            else:
                self.m[value[1]] = 1
            yield (
                value[0],
                sorted(self.m.items()),
                sorted(self.m),
                sorted(self.m.keys()),
                sorted(self.m.values()),
                self.m.is_empty(),
                self.m.contains("zz"),
                self.m["zz"],
            )
            if value[1] == "z":
                del self.m["x"]
                self.m.clear()
                yield self.m.is_empty(), list(self.m.items())

    return (
        env.from_collection([("a", "x"), ("a", "y"), ("a", "x"), ("a", "z"), ("b", "z")])
        .key_by(lambda v: v[0])
        .process(P())
    )


@case(order="any")
def collect_iterator_exhausted(env):
    it = env.from_collection([1]).execute_and_collect()
    out = [next(it)]
    try:
        next(it)
    except BaseException as e:
        out.append(type(e).__name__)
    try:
        it.next()
    except BaseException as e:
        out.append(type(e).__name__)
    it.close()
    it.close()
    return out


@case(stdout=True, order="any")
def every_type_printed(env):
    names = [
        "b",
        "by",
        "s",
        "i",
        "l",
        "f",
        "d",
        "c",
        "str",
        "dec",
        "date",
        "time",
        "ts",
        "arr",
        "marr",
        "m",
        "t",
        "r",
        "li",
    ]
    types = [
        Types.BOOLEAN(),
        Types.BYTE(),
        Types.SHORT(),
        Types.INT(),
        Types.LONG(),
        Types.FLOAT(),
        Types.DOUBLE(),
        Types.STRING(),
        Types.STRING(),
        Types.BIG_DEC(),
        Types.SQL_DATE(),
        Types.SQL_TIME(),
        Types.SQL_TIMESTAMP(),
        Types.PRIMITIVE_ARRAY(Types.LONG()),
        Types.OBJECT_ARRAY(Types.TUPLE([Types.INT(), Types.STRING()])),
        Types.MAP(Types.STRING(), Types.LIST(Types.INT())),
        Types.TUPLE([Types.INT(), Types.ROW([Types.STRING()])]),
        Types.ROW_NAMED(["x"], [Types.INT()]),
        Types.LIST(Types.STRING()),
    ]
    row = [
        True,
        -5,
        300,
        70000,
        1 << 40,
        0.5,
        0.25,
        "c",
        "s",
        Decimal("1.50"),
        datetime.date(2020, 1, 2),
        datetime.time(1, 2, 3, 4000),
        datetime.datetime(2020, 1, 2, 3, 4, 5, 6000),
        [1, 2],
        [(1, "a")],
        {"k": [1, 2]},
        (1, Row("z")),
        Row(x=5),
        ["q"],
    ]
    t = Types.ROW_NAMED(names, types)
    env.from_collection([1]).map(lambda _: Row(*row), t).print()


@case(order="any")
def instants_and_arrays_of_rows(env):
    t = Types.ROW(
        [
            Types.INSTANT(),
            Types.OBJECT_ARRAY(Types.ROW_NAMED(["a"], [Types.INT()])),
            Types.BASIC_ARRAY(Types.STRING()),
            Types.PRIMITIVE_ARRAY(Types.BYTE()),
            Types.PICKLED_BYTE_ARRAY(),
        ]
    )
    return (
        env.from_collection([1])
        .map(lambda _: Row(Instant.of_epoch_milli(1234), [Row(1), Row(a=2)], ["x", None], b"ab", {"any": {1}}), t)
        .rebalance()
        .map(lambda r: [r[0], r[1], r[2], bytes(r[3]), r[4]])
    )


@case(order="any")
def plans(env):
    s = env.from_collection([1, 2, 3], Types.INT()).name("src").uid("u1")
    a = s.map(lambda x: x, Types.INT()).name("A").set_parallelism(2).disable_chaining()
    b = (
        a.filter(lambda x: True)
        .start_new_chain()
        .name("B")
        .slot_sharing_group("g1")
        .set_max_parallelism(4)
        .set_description("desc")
    )
    w = (
        b.key_by(lambda x: x % 2, Types.INT())
        .window(TumblingProcessingTimeWindows.of(Time.seconds(1)))
        .reduce(lambda p, q: p + q)
    )
    w.print().name("P")
    plan = json.loads(env.get_execution_plan())
    ids = {n["id"]: i for i, n in enumerate(plan["nodes"])}
    return [
        (
            n["type"],
            n["pact"],
            n["contents"],
            n["parallelism"],
            [(ids[p["id"]], p["ship_strategy"], p["side"]) for p in n.get("predecessors", [])],
        )
        for n in plan["nodes"]
    ]


@case(order="any")
def plans_async_connect(env):
    class A(AsyncFunction):
        async def async_invoke(self, value):
            return [value]

    s = AsyncDataStream.unordered_wait(env.from_collection([1]), A(), Time.seconds(1))

    class C(CoMapFunction):
        def map1(self, v):
            return v

        def map2(self, v):
            return v

    d = MapStateDescriptor("d", Types.INT(), Types.INT())

    class B(BroadcastProcessFunction):
        def process_element(self, v, ctx):
            yield v

        def process_broadcast_element(self, v, ctx):
            yield v

    c = s.connect(env.from_collection([2])).map(C())
    b = c.connect(env.from_collection([3]).broadcast(d)).process(B())
    b.union(s).key_by(lambda v: v).count_window(2).reduce(lambda x, y: x)
    plan = json.loads(env.get_execution_plan())
    ids = {n["id"]: i for i, n in enumerate(plan["nodes"])}
    return [
        (
            n["type"],
            n["pact"],
            n["contents"],
            n["parallelism"],
            [(ids[p["id"]], p["ship_strategy"], p["side"]) for p in n.get("predecessors", [])],
        )
        for n in plan["nodes"]
    ]


@case()
def collect_twice(env):
    s = env.from_collection([1, 2, 3]).map(lambda x: x + 1)
    return list(s.execute_and_collect()) + list(s.execute_and_collect())


@case()
def arguments_of_from_collection(env):
    return [
        caught(lambda: env.from_collection(5)),
        caught(lambda: env.from_collection(None)),
        caught(lambda: env.from_collection("abc").get_type()),
        caught(lambda: list(env.from_collection("abc").execute_and_collect())),
        caught(lambda: list(env.from_collection({"a": 1}).execute_and_collect())),
        caught(lambda: list(env.from_collection({1}).execute_and_collect())),
        caught(lambda: list(env.from_collection(range(2)).execute_and_collect())),
        caught(lambda: list(env.from_collection((1, 2)).execute_and_collect())),
        caught(lambda: list(env.from_collection(iter([1])).execute_and_collect())),
    ]


@case(error="'<'\\ not\\ supported\\ between\\ instances\\ of\\ 'CountWindow'\\ and\\ 'CountWindow'")
def window_objects(env):
    a, b = TimeWindow(0, 10), TimeWindow(5, 15)
    return [
        repr(a),
        str(a),
        repr(a.cover(b)),
        a.intersects(b),
        a == TimeWindow(0, 10),
        hash(a) == hash(TimeWindow(0, 10)),
        a < b,
        caught(lambda: sorted([b, a])),
        a.max_timestamp(),
        repr(CountWindow(3)),
        str(GlobalWindow()),
        CountWindow(1) == CountWindow(1),
        CountWindow(1) < CountWindow(2),
        caught(lambda: GlobalWindow() < GlobalWindow()),
        GlobalWindow.get() == GlobalWindow(),
        hash(GlobalWindow()),
        hash(CountWindow(4)),
        repr(TriggerResult.FIRE),
        TriggerResult.FIRE_AND_PURGE.value,
        TimeWindow.get_window_start_with_offset(13, 2, 5),
        str(TumblingEventTimeWindows.of(Time.seconds(1))),
        str(SlidingEventTimeWindows.of(Time.seconds(2), Time.seconds(1))),
        str(EventTimeSessionWindows.with_gap(Time.seconds(1))),
        str(GlobalWindows.create()),
        str(CountTrigger.of(3)),
        str(EventTimeTrigger.create()),
        str(TumblingProcessingTimeWindows.of(Time.seconds(1))),
    ]


@case()
def job_client_things(env):
    env.from_collection([1]).map(lambda v: v)
    c = env.execute_async("async job")
    r = c.get_job_execution_result().result()
    return [
        type(c).__name__,
        type(r).__name__,
        len(str(c.get_job_id())),
        str(c.get_job_id()) == str(r.get_job_id()),
        str(c.get_job_status().result() if False else JobStatus.FINISHED),
        repr(JobStatus.RUNNING),
        JobStatus.FINISHED.is_globally_terminal_state(),
        JobStatus.SUSPENDED.is_terminal_state(),
    ]


@case(order="any")
def python_objects_as_keys(env):
    class P(KeyedProcessFunction):
        def open(self, ctx):
            self.n = ctx.get_state(ValueStateDescriptor("n", Types.INT()))

        def process_element(self, value, ctx):
            n = (self.n.value() or 0) + 1
            self.n.update(n)
            yield repr(ctx.get_current_key()), n

    keys = [
        1,
        1,
        "1",
        (1,),
        (1,),
        None,
        None,
        [1],
        [1],
        {"a": 1},
        {"a": 1},
        2.5,
        2.5,
        b"x",
        frozenset([1]),
        Row(1),
        Row(1),
    ]
    return env.from_collection(keys).key_by(lambda v: v).process(P())


@case()
def typed_state_kinds(env):
    class P(KeyedProcessFunction):
        def open(self, ctx):
            self.v = ctx.get_state(ValueStateDescriptor("v", Types.TUPLE([Types.INT(), Types.STRING()])))
            self.r = ctx.get_state(ValueStateDescriptor("r", Types.ROW_NAMED(["a"], [Types.FLOAT()])))
            self.l = ctx.get_list_state(ListStateDescriptor("l", Types.LIST(Types.INT())))
            self.m = ctx.get_map_state(
                MapStateDescriptor("m", Types.TUPLE([Types.INT(), Types.INT()]), Types.MAP(Types.STRING(), Types.INT()))
            )

        def process_element(self, value, ctx):
            self.v.update((1, "x"))
            self.r.update(Row(0.5))
            self.l.add([1, 2])
            self.m.put((1, 2), {"k": 1})
            yield self.v.value()
            yield self.r.value()
            yield list(self.l)
            yield list(self.m.items())
            ctx.timer_service().register_event_time_timer(1)

        def on_timer(self, t, ctx):
            yield self.v.value(), self.r.value(), list(self.l), list(self.m.items())

    return env.from_collection([1]).key_by(lambda v: v).process(P())


@case()
def process_all_in_one(env):
    class P(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ts = ctx.timer_service()
            yield ctx.timestamp(), ts.current_watermark(), ctx.get_current_key()
            ts.register_event_time_timer(10)
            ts.register_event_time_timer(10)
            ts.register_event_time_timer(-5)
            ts.delete_event_time_timer(99)

        def on_timer(self, t, ctx):
            yield (
                t,
                ctx.timestamp(),
                ctx.timer_service().current_watermark(),
                ctx.get_current_key(),
                str(ctx.time_domain()),
            )

    return (
        env.from_collection([("a", 5)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .process(P())
    )


@case(stdout=True, order="any")
def prints(env):
    env.from_collection([1, 2], Types.INT()).print("id").set_parallelism(1)
    env.from_collection([Row(a=1, b=None)], Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])).print().name(
        "x"
    )
    env.from_collection([[1, "a"], {"k": (1, 2)}, "text", 1.0, True]).print("u")
    env.from_collection([(1, 1.0, True, "x")]).key_by(lambda v: v[0]).sum(1).print()


@case(stdout=True)
def prints_untyped_map(env):
    env.from_collection([("a", 1)], Types.TUPLE([Types.STRING(), Types.INT()])).map(
        lambda v: {"w": v[0], "n": v[1], "f": 0.1, "r": Row(a=1)}
    ).print()


@case(order="any")
def async_ordered(env):
    class A(AsyncFunction):
        def open(self, ctx):
            self.n = 0

        async def async_invoke(self, value):
            await asyncio.sleep(0.05 / (value + 1))
            self.n += 1
            return [value, value * 10]

        def timeout(self, value):
            return ["late"]

    return AsyncDataStream.ordered_wait(env.from_collection([0, 1, 2]), A(), Time.seconds(5), 2, Types.INT())


@case(order="any")
def broadcast_rules(env):
    d = MapStateDescriptor("rules", Types.STRING(), Types.INT())

    class P(KeyedBroadcastProcessFunction):
        def open(self, ctx):
            self.seen = ctx.get_list_state(ListStateDescriptor("seen", Types.INT()))

        def process_element(self, value, ctx):
            self.seen.add(value[1])
            ctx.timer_service().register_event_time_timer(value[1])
            yield from []

        def process_broadcast_element(self, value, ctx):
            ctx.get_broadcast_state(d).put(value[0], value[1])

        def on_timer(self, t, ctx):
            st = ctx.get_broadcast_state(d)
            yield (
                ctx.get_current_key(),
                t,
                sorted(st.items()),
                list(self.seen),
                st.contains("r1"),
                "r1" in st,
                st.get("zz"),
            )

    return (
        env.from_collection([("a", 1), ("b", 2)])
        .key_by(lambda v: v[0])
        .connect(env.from_collection([("r1", 5), ("r2", 6)]).broadcast(d))
        .process(P())
    )


@case(order="any")
def global_window_purging(env):
    class P(ProcessWindowFunction):
        def process(self, key, ctx, elements):
            yield key, [e[1] for e in elements], str(type(ctx.window()).__name__), ctx.window().max_timestamp()

    return (
        env.from_collection([("a", i) for i in range(5)])
        .key_by(lambda v: v[0])
        .window(GlobalWindows.create())
        .trigger(PurgingTrigger.of(CountTrigger.of(2)))
        .process(P())
    )


@case(order="any")
def window_all_on_keyed(env):
    class P(ProcessAllWindowFunction):
        def process(self, ctx, elements):
            yield sorted(e[1] for e in elements)

    return (
        env.from_collection([("a", 1), ("b", 2)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window_all(TumblingEventTimeWindows.of(Time.seconds(1)))
        .process(P())
    )


@case(order="any")
def state_created_lazily(env):
    class P(KeyedProcessFunction):
        def open(self, ctx):
            self.ctx = ctx

        def process_element(self, value, ctx):
            s = self.ctx.get_state(ValueStateDescriptor("n", Types.INT()))
            s.update((s.value() or 0) + value)
            yield s.value()

    return env.from_collection([1, 2, 3]).key_by(lambda v: 0).process(P())


@case(order="any")
def descriptor_in_init(env):
    class P(KeyedProcessFunction):
        def __init__(self):
            self.desc = MapStateDescriptor("m", Types.STRING(), Types.INT())

        def open(self, ctx):
            self.m = ctx.get_map_state(self.desc)

        def process_element(self, value, ctx):
            self.m.put("a", value)
            yield list(self.m.items())

    return env.from_collection([1, 2]).key_by(lambda v: 0).process(P())


@case(order="any")
def keyed_map_with_rich_functions(env):
    class Dedup(FilterFunction):
        def open(self, ctx):
            self.seen = ctx.get_state(ValueStateDescriptor("seen", Types.BOOLEAN()))

        def filter(self, value):
            if self.seen.value():
                return False
            self.seen.update(True)
            return True

    class Count(FlatMapFunction):
        def open(self, ctx):
            self.sum = ctx.get_state(ValueStateDescriptor("sum", Types.TUPLE([Types.LONG(), Types.LONG()])))

        def flat_map(self, value):
            cur = self.sum.value() or (0, 0)
            cur = (cur[0] + 1, cur[1] + value[1])
            self.sum.update(cur)
            if cur[0] >= 2:
                self.sum.clear()
                yield value[0], cur[1] / cur[0]

    a = env.from_collection(["x", "y", "x"]).key_by(lambda v: v).filter(Dedup()).map(lambda v: (v, 0.0))
    b = env.from_collection([(1, 3), (1, 5), (1, 7), (1, 4), (1, 2)]).key_by(lambda r: r[0]).flat_map(Count())
    return a.union(b)


@case(order="any")
def window_function_variants(env):
    class AW(AllWindowFunction):
        def apply(self, window, inputs):
            return [("all", len(list(inputs)), window.start)]

    class PW(ProcessWindowFunction):
        def open(self, ctx):
            self.n = 0

        def process(self, key, ctx, elements):
            self.n += 1
            st = ctx.global_state().get_state(ValueStateDescriptor("g", Types.INT()))
            st.update((st.value() or 0) + 1)
            ws_ = ctx.window_state().get_state(ValueStateDescriptor("w", Types.INT()))
            ws_.update((ws_.value() or 0) + 1)
            return [(key, st.value(), ws_.value(), self.n)]

        def clear(self, ctx):
            ctx.window_state().get_state(ValueStateDescriptor("w", Types.INT())).clear()

    s = env.from_collection([("a", 1), ("a", 11), ("a", 12), ("b", 5)]).assign_timestamps_and_watermarks(
        by_second_field()
    )
    x = s.window_all(TumblingEventTimeWindows.of(Time.milliseconds(10))).apply(AW())
    y = s.key_by(lambda v: v[0]).window(TumblingEventTimeWindows.of(Time.milliseconds(10))).process(PW())
    return x.union(y)


@case(order="any")
def aggregate_then_process(env):
    class Agg(AggregateFunction):
        def create_accumulator(self):
            return {"n": 0, "s": 0}

        def add(self, v, acc):
            acc["n"] += 1
            acc["s"] += v[1]
            return acc

        def get_result(self, acc):
            return acc["s"] / acc["n"]

        def merge(self, a, b):
            return {"n": a["n"] + b["n"], "s": a["s"] + b["s"]}

    class PW(ProcessWindowFunction):
        def process(self, key, ctx, elements):
            avg = next(iter(elements))
            yield Row(key, ctx.window().start, ctx.window().end, avg)

    return (
        env.from_collection([("a", 1), ("a", 4), ("a", 100), ("b", 5)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(EventTimeSessionWindows.with_gap(Time.milliseconds(10)))
        .aggregate(
            Agg(),
            PW(),
            accumulator_type=Types.MAP(Types.STRING(), Types.LONG()),
            output_type=Types.ROW([Types.STRING(), Types.LONG(), Types.LONG(), Types.DOUBLE()]),
        )
    )


@case(order="any")
def trigger_with_processing_timer_and_count(env):
    class T(Trigger):
        def on_element(self, element, timestamp, window, ctx):
            return TriggerResult.FIRE_AND_PURGE if element[1] % 2 == 0 else TriggerResult.CONTINUE

        def on_processing_time(self, time, window, ctx):
            return TriggerResult.CONTINUE

        def on_event_time(self, time, window, ctx):
            return TriggerResult.FIRE

        def on_merge(self, window, ctx):
            pass

        def clear(self, window, ctx):
            pass

    class P(ProcessWindowFunction):
        def process(self, key, ctx, elements):
            yield key, [e[1] for e in elements]

    s = env.from_collection([("a", 1), ("a", 2), ("a", 3), ("a", 5), ("a", 6), ("a", 7)])
    return s.key_by(lambda v: v[0]).window(GlobalWindows.create()).trigger(T()).process(P())


@case(order="any")
def dynamic_gap(env):
    class Gap(SessionWindowTimeGapExtractor):
        def extract(self, element):
            return element[2]

    class P(ProcessWindowFunction):
        def process(self, key, ctx, elements):
            yield key, ctx.window().start, ctx.window().end, len(list(elements))

    return (
        env.from_collection([("a", 1, 5), ("a", 4, 3), ("a", 20, 1), ("a", 8, 1)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(EventTimeSessionWindows.with_dynamic_gap(Gap()))
        .process(P())
    )


@case(order="any")
def co_process_with_both_timers(env):
    class C(KeyedCoProcessFunction):
        def open(self, ctx):
            self.s = ctx.get_state(ValueStateDescriptor("s", Types.STRING()))

        def process_element1(self, v, ctx):
            self.s.update("L" + str(v[2]))
            ctx.timer_service().register_event_time_timer(v[1] + 10)
            yield "one", ctx.get_current_key(), ctx.timestamp()

        def process_element2(self, v, ctx):
            yield "two", ctx.get_current_key(), ctx.timestamp()

        def on_timer(self, t, ctx):
            yield "timer", ctx.get_current_key(), t, self.s.value()

    a = env.from_collection([("k", 1, "x"), ("j", 2, "y")]).assign_timestamps_and_watermarks(by_second_field())
    b = env.from_collection([("k", 3, "z")]).assign_timestamps_and_watermarks(by_second_field())
    return a.connect(b).key_by(lambda v: v[0], lambda v: v[0], Types.STRING()).process(C())


@case(order="any")
def stream_of_rows_joined_by_union(env):
    t = Types.ROW_NAMED(["id", "side", "v"], [Types.INT(), Types.STRING(), Types.DOUBLE()])
    a = env.from_collection([(1, "l", 1.5), (2, "l", 2.5)], t)
    b = env.from_collection([(1, "r", 10.0)], t)

    class J(KeyedProcessFunction):
        def open(self, ctx):
            self.st = ctx.get_map_state(MapStateDescriptor("s", Types.STRING(), Types.DOUBLE()))

        def process_element(self, v, ctx):
            self.st.put(v.side, v.v)
            if self.st.contains("l") and self.st.contains("r"):
                yield Row(id=ctx.get_current_key(), total=self.st["l"] + self.st["r"])

    return (
        a.union(b)
        .key_by(lambda r: r.id, Types.INT())
        .process(J(), Types.ROW_NAMED(["id", "total"], [Types.INT(), Types.DOUBLE()]))
    )


@case(order="any")
def row_operations(env):
    t = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])

    def f(r):
        r2 = Row(**r.as_dict())
        r2["a"] += 1
        r.set_row_kind(RowKind.UPDATE_AFTER)
        return [
            str(r),
            repr(r2),
            r == r2,
            len(r),
            list(r),
            "a" in r,
            r.get_field_names() if hasattr(r, "get_field_names") else None,
            tuple(r),
            r[0:2],
            r.a,
            r["b"],
            str(r.get_row_kind()),
        ]

    return env.from_collection([Row(1, "x")], t).map(f)


@case(stdout=True)
def print_tuple_of_everything(env):
    env.from_collection(
        [(1, 1.0, "x", True, [1, 2], {"k": 1.5}, Row(1, None), datetime.date(2020, 1, 2), (1, "z"))],
        Types.TUPLE(
            [
                Types.INT(),
                Types.FLOAT(),
                Types.STRING(),
                Types.BOOLEAN(),
                Types.LIST(Types.INT()),
                Types.MAP(Types.STRING(), Types.DOUBLE()),
                Types.ROW([Types.INT(), Types.STRING()]),
                Types.SQL_DATE(),
                Types.TUPLE([Types.INT(), Types.STRING()]),
            ]
        ),
    ).print()


@case()
def execute_in_a_thread(env):
    out = []

    def run():
        out.extend(env.from_collection([1, 2]).map(lambda v: v * 2).execute_and_collect())

    t = threading.Thread(target=run)
    t.start()
    t.join()
    return out


@case(order="any")
def none_key_typed(env):
    return env.from_collection([("a", 1), (None, 2)]).key_by(lambda v: v[0], Types.STRING()).reduce(lambda a, b: a)


@case(order="any")
def row_kind_through_process_and_state(env):
    t = Types.ROW_NAMED(["k", "v"], [Types.STRING(), Types.INT()])

    class P(KeyedProcessFunction):
        def open(self, ctx):
            self.s = ctx.get_state(ValueStateDescriptor("s", t2()))
            self.l = ctx.get_list_state(ListStateDescriptor("l", t2()))

        def process_element(self, v, ctx):
            old = self.s.value()
            self.s.update(v)
            self.l.add(v)
            yield old if old is not None else Row("none", 0)
            if v.v == 3:
                yield from self.l.get()

    def t2():
        return Types.ROW_NAMED(["k", "v"], [Types.STRING(), Types.INT()])

    rows = [
        Row.of_kind(RowKind.INSERT, "a", 1),
        Row.of_kind(RowKind.DELETE, "a", 2),
        Row.of_kind(RowKind.UPDATE_AFTER, "a", 3),
    ]
    return env.from_collection(rows, t).key_by(lambda r: r.k).process(P(), t2())


@case(order="any")
def state_of_every_type(env):
    class P(KeyedProcessFunction):
        def open(self, ctx):
            def mk(n, t):
                return ctx.get_state(ValueStateDescriptor(n, t))

            self.all = [
                (mk("a", Types.BIG_DEC()), Decimal("1.250")),
                (mk("b", Types.SQL_DATE()), datetime.date(2020, 2, 29)),
                (mk("c", Types.SQL_TIME()), datetime.time(1, 2, 3, 4000)),
                (mk("d", Types.SQL_TIMESTAMP()), datetime.datetime(2020, 1, 2, 3, 4, 5, 6000)),
                (mk("e", Types.PRIMITIVE_ARRAY(Types.BYTE())), b"ab"),
                (mk("f", Types.BASIC_ARRAY(Types.STRING())), ["a", None]),
                (mk("g", Types.OBJECT_ARRAY(Types.INT())), [1, 2]),
                (mk("h", Types.BOOLEAN()), True),
                (mk("i", Types.PICKLED_BYTE_ARRAY()), {"any": (1, {2})}),
                (mk("j", Types.INSTANT()), Instant(5, 6)),
                (mk("k", Types.DOUBLE()), 1.5),
                (mk("l", Types.SHORT()), 7),
            ]

        def process_element(self, v, ctx):
            for s, x in self.all:
                s.update(x)
            ctx.timer_service().register_event_time_timer(1)

        def on_timer(self, t, ctx):
            yield [bytes(s.value()) if isinstance(s.value(), (bytes, bytearray)) else s.value() for s, x in self.all]

    return env.from_collection([1]).key_by(lambda v: v).process(P())


@case(order="any")
def min_max_by_rows(env):
    t = Types.ROW_NAMED(["k", "v", "w"], [Types.STRING(), Types.INT(), Types.STRING()])
    rows = [Row("a", 3, "x"), Row("a", 1, "y"), Row("a", 2, "z")]
    k = env.from_collection(rows, t).key_by(lambda r: r.k)
    return k.min_by("v").union(k.max("v"), k.min("v"), k.max_by("v"), k.sum("v"))


@case(order="any")
def watermark_in_process_function_after_union(env):
    class P(ProcessFunction):
        def process_element(self, v, ctx):
            yield v[0], ctx.timestamp(), ctx.timer_service().current_watermark()

    a = env.from_collection([("a", 5)]).assign_timestamps_and_watermarks(by_second_field())
    b = env.from_collection([("b", 7)])
    return a.union(b).process(P())


@case(order="any")
def keyed_state_in_window_function_open(env):
    class P(ProcessWindowFunction):
        def open(self, ctx):
            self.s = ctx.get_state(ValueStateDescriptor("total", Types.INT()))

        def process(self, key, ctx, elements):
            t = (self.s.value() or 0) + sum(e[1] for e in elements)
            self.s.update(t)
            yield key, t

    return (
        env.from_collection([("a", 1), ("a", 12), ("b", 5)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(TumblingEventTimeWindows.of(Time.milliseconds(10)))
        .process(P())
    )


@case(order="any")
def reduce_then_window_function(env):
    class W(WindowFunction):
        def apply(self, key, window, inputs):
            for i in inputs:
                yield key, window.start, i

    return (
        env.from_collection([("a", 1), ("a", 2), ("a", 15)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(SlidingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(5)))
        .reduce(
            lambda a, b: (a[0], a[1] + b[1]),
            W(),
            Types.TUPLE([Types.STRING(), Types.LONG(), Types.TUPLE([Types.STRING(), Types.INT()])]),
        )
    )


@case(order="any")
def continuous_trigger_with_sessions(env):
    class P(ProcessWindowFunction):
        def process(self, key, ctx, elements):
            yield key, ctx.window().start, ctx.window().end, [e[1] for e in elements]

    return (
        env.from_collection([("a", 1), ("a", 5), ("a", 12), ("a", 100)])
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0])
        .window(EventTimeSessionWindows.with_gap(Time.milliseconds(10)))
        .trigger(ContinuousEventTimeTrigger.of(Time.milliseconds(5)))
        .process(P())
    )


@case(order="any")
def co_map_state_shared(env):
    class C(CoFlatMapFunction):
        def open(self, ctx):
            self.s = ctx.get_map_state(MapStateDescriptor("s", Types.STRING(), Types.INT()))

        def flat_map1(self, v):
            self.s.put("l", v[1])
            yield sorted(self.s.keys())[0] in ("l", "r")

        def flat_map2(self, v):
            self.s.put("r", v[1])
            yield len(list(self.s.values())) in (1, 2)

    return (
        env.from_collection([("a", 1)])
        .key_by(lambda v: v[0])
        .connect(env.from_collection([("a", 2)]).key_by(lambda v: v[0]))
        .flat_map(C(), Types.BOOLEAN())
    )


@case(order="any")
def nested_output_tags(env):
    t1, t2 = OutputTag("one", Types.INT()), OutputTag("two", Types.STRING())

    class P(ProcessFunction):
        def process_element(self, v, ctx):
            yield v
            yield t1, v * 10
            yield t2, str(v)

    a = env.from_collection([1, 2]).process(P(), Types.INT())
    b = a.get_side_output(t1).process(P(), Types.INT())
    return b.get_side_output(t2).union(a.get_side_output(t2), a.map(str, Types.STRING()), b.map(str, Types.STRING()))


@case()
def description_of_parts(env):
    s = env.from_collection([1], Types.INT())
    return [
        str(s.get_type()),
        str(s.map(lambda v: v).get_type()),
        str(s.key_by(lambda v: v, Types.INT()).get_type()),
        str(s.map(lambda v: (v, v), Types.TUPLE([Types.INT(), Types.INT()])).project(1).get_type()),
        str(s.key_by(lambda v: v).window(GlobalWindows.create()).reduce(lambda a, b: a).get_type()),
        str(s.union(s).get_type()),
        str(s.flat_map(lambda v: [v], Types.STRING()).get_type()),
        str(s.filter(lambda v: True).get_type()),
        str(s.process(ProcessNothing(), Types.ROW([Types.INT()])).get_type()),
    ]


class ProcessNothing(ProcessFunction):
    def process_element(self, value, ctx):
        pass


@case(order="any")
def process_window_with_side_late_and_lateness(env):
    tag = OutputTag("late", Types.TUPLE([Types.STRING(), Types.INT()]))
    return (
        env.from_collection([("a", 1), ("a", 50), ("a", 2)], Types.TUPLE([Types.STRING(), Types.INT()]))
        .assign_timestamps_and_watermarks(by_second_field())
        .key_by(lambda v: v[0], Types.STRING())
        .window(TumblingEventTimeWindows.of(Time.milliseconds(10), Time.milliseconds(3)))
        .allowed_lateness(5)
        .side_output_late_data(tag)
        .process(Show(), Types.TUPLE([Types.STRING(), Types.LONG(), Types.LONG(), Types.INT()]))
    )


class Show(ProcessWindowFunction[tuple, tuple, str, TimeWindow]):
    def process(self, key, context, elements):
        yield key, context.window().start, context.window().end, len(list(elements))

    def clear(self, context):
        pass

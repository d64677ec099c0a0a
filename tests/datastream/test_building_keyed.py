"""What programs build on keyed, connected, broadcast and windowed streams."""

import pytest

from penstock.common import Row, Time, Types
from penstock.datastream import AsyncDataStream, AsyncFunction, AsyncRetryStrategy, OutputTag
from penstock.datastream._transformations import (
    AsyncSpec,
    MapSpec,
    PartitioningKind,
    ReduceSpec,
    SinkSpec,
    TwoInputSpec,
    WindowSpec,
)
from penstock.datastream.async_retry_predicates import (
    empty_result_predicate,
    exception_type_predicate,
    has_exception_predicate,
)
from penstock.datastream.connectors.base import Sink
from penstock.datastream.functions import (
    AggregateFunction,
    AllWindowFunction,
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from penstock.datastream.state import MapStateDescriptor
from penstock.datastream.window import (
    CountSlidingWindowAssigner,
    CountTrigger,
    EventTimeSessionWindows,
    EventTimeTrigger,
    NeverTrigger,
    TumblingEventTimeWindows,
)
from penstock.errors import ConfigurationError
from tests.datastream.recording import PIPELINES, operator, operators

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])
RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())


@pytest.fixture
def pairs(env):
    return env.from_collection([("a", 1), ("b", 2)], PAIR)


@pytest.fixture
def keyed(pairs):
    return pairs.key_by(lambda pair: pair[0], Types.STRING())


class Pass(KeyedProcessFunction):
    def process_element(self, value, ctx):
        yield value


def test_operators_on_a_keyed_stream_are_keyed(pairs, keyed):
    for stream in (keyed.map(lambda x: x), keyed.filter(lambda x: x), keyed.process(Pass()), keyed.sum(1)):
        found = operator(stream)
        ((edge,),) = found.inputs
        assert edge.source is operator(pairs)
        assert edge.partitioning.kind is PartitioningKind.HASH
        assert found.key_selectors[0].load()(("a", 1)) == "a"
        assert found.key_type == Types.STRING()
    assert operator(keyed.sum(1)).output_type == PAIR
    assert operator(keyed.filter(lambda x: x)).output_type == PAIR


def test_key_by_replaces_the_key(pairs, keyed):
    again = keyed.key_by(lambda pair: pair[1])
    found = operator(again.map(lambda x: x))
    assert found.inputs[0][0].source is operator(pairs)
    assert found.key_selectors[0].load()(("a", 1)) == 1
    assert found.key_type is None


def test_the_type_of_a_keyed_stream_is_a_row(keyed):
    assert keyed.get_type() == Types.ROW([Types.STRING(), PAIR])


@pytest.mark.parametrize("method", ["shuffle", "rebalance", "rescale", "forward", "broadcast"])
def test_a_keyed_stream_is_partitioned_by_its_key(keyed, method):
    with pytest.raises(Exception, match=r"Cannot override partitioning for KeyedStream\."):
        getattr(keyed, method)()


def test_a_keyed_stream_refuses_custom_partitioning(keyed):
    with pytest.raises(Exception, match="Cannot override partitioning"):
        keyed.partition_custom(lambda key, n: 0, lambda x: x)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("name", ["x"], "Set name for KeyedStream is not supported."),
        ("get_name", [], "Get name of KeyedStream is not supported."),
        ("uid", ["x"], "Set uid for KeyedStream is not supported."),
        ("set_uid_hash", ["0" * 32], "Set uid hash for KeyedStream is not supported."),
        ("set_parallelism", [1], "Set parallelism for KeyedStream is not supported."),
        ("set_max_parallelism", [1], "Set max parallelism for KeyedStream is not supported."),
        ("force_non_parallel", [], "Set force non-parallel for KeyedStream is not supported."),
        ("set_buffer_timeout", [1], "Set buffer timeout for KeyedStream is not supported."),
        ("start_new_chain", [], "Start new chain for KeyedStream is not supported."),
        ("disable_chaining", [], "Disable chaining for KeyedStream is not supported."),
        ("slot_sharing_group", ["g"], "Setting slot sharing group for KeyedStream is not supported."),
        ("cache", [], "Cache for KeyedStream is not supported."),
    ],
)
def test_a_keyed_stream_has_no_operator_to_set_up(keyed, method, arguments, message):
    with pytest.raises(Exception, match=message) as raised:
        getattr(keyed, method)(*arguments)
    assert str(raised.value) == message


class Nowhere(Sink):
    def create_writer(self, context, recovered=()):
        raise NotImplementedError


def test_print_union_and_project_see_plain_elements(env, pairs, keyed):
    keyed.print("id")
    keyed.union(pairs).map(lambda x: x).name("u")
    keyed.project(1).name("p")
    found = operators(env)
    for name in ("Print to Std. Out", "u", "p"):
        source = found[name].inputs[0][0].source
        assert isinstance(source.spec, MapSpec)
        assert source.spec.function.load()(("a", 1)) == ("a", 1)
        assert source.output_type == PAIR
    assert found["Print to Std. Out"].spec.identifier == "id"


def test_collecting_and_sinking_see_rows_of_key_and_element(env, keyed):
    list(keyed.execute_and_collect())
    keyed.sink_to(Nowhere())
    env.execute()
    for pipeline in PIPELINES:
        collector = pipeline.transformations[-1]
        rows = collector.inputs[0][0].source
        assert rows.spec.function.load()(("a", 1)) == Row("a", ("a", 1))
        assert rows.output_type == Types.ROW([Types.STRING(), PAIR])
        assert rows.parallelism == rows.inputs[0][0].source.parallelism
    assert isinstance(PIPELINES[1].transformations[-1].spec, SinkSpec)


ACCUMULATIONS = [
    ("sum", 1, [("a", 1), ("b", 5)], ("a", 6)),
    ("min", 1, [("a", 3), ("b", 2)], ("a", 2)),
    ("max", 1, [("a", 3), ("b", 2)], ("a", 3)),
    ("min_by", 1, [("a", 3), ("b", 2)], ("b", 2)),
    ("min_by", 1, [("a", 2), ("b", 2)], ("a", 2)),
    ("max_by", 1, [("a", 2), ("b", 2)], ("a", 2)),
    ("max_by", 1, [("a", 2), ("b", 3)], ("b", 3)),
    ("sum", 0, [[1, "x"], [2, "y"]], [3, "x"]),
    ("sum", "n", [Row(n=1, t="x"), Row(n=2, t="y")], Row(n=3, t="x")),
    ("max", 0, [Row(1, "x"), Row(2, "y")], Row(2, "x")),
    ("min_by", "n", [Row(n=2, t="x"), Row(n=1, t="y")], Row(n=1, t="y")),
    ("sum", 0, [1, 2], 3),
    ("min", 0, [2, 1], 1),
    ("max", 0, [1, 2], 2),
    ("min_by", 0, [2, 1], 1),
    ("max_by", 0, [1, 2], 2),
]


@pytest.mark.parametrize(("method", "position", "values", "expected"), ACCUMULATIONS)
def test_accumulations(keyed, method, position, values, expected):
    stream = getattr(keyed, method)(position)
    assert operator(stream).name == "Reduce"
    assert isinstance(operator(stream).spec, ReduceSpec)
    before = repr(values)
    assert operator(stream).spec.function.load().reduce(*values) == expected
    assert repr(values) == before


def test_accumulating_a_field_of_a_plain_value(keyed):
    with pytest.raises(TypeError, match="can only select the 0th field"):
        operator(keyed.sum(1)).spec.function.load().reduce(1, 2)


# -- connected streams ---------------------------------------------------------------------------


class BothMap(CoMapFunction):
    def map1(self, value):
        return value

    def map2(self, value):
        return value


class BothFlatMap(CoFlatMapFunction):
    def flat_map1(self, value):
        return [value]

    def flat_map2(self, value):
        return None


class Both(CoProcessFunction):
    def process_element1(self, value, ctx):
        yield value

    def process_element2(self, value, ctx):
        yield value


class KeyedBoth(KeyedCoProcessFunction):
    def process_element1(self, value, ctx):
        yield value

    def process_element2(self, value, ctx):
        yield value


def test_connected_streams(pairs):
    connected = pairs.connect(pairs.map(lambda x: x))
    for stream, name, kind in (
        (connected.map(BothMap(), PAIR), "Co-Map", "map"),
        (connected.flat_map(BothFlatMap()), "Co-Flat Map", "flat_map"),
        (connected.process(Both()), "Co-Process", "process"),
    ):
        found = operator(stream)
        assert found.name == name
        assert isinstance(found.spec, TwoInputSpec)
        assert found.spec.kind == kind
        assert found.key_selectors == (None, None)
        assert [edges[0].source.name for edges in found.inputs] == ["Collection Source", "Map"]


def test_connected_streams_are_keyed_when_both_are(pairs, keyed):
    both = [
        keyed.connect(keyed),
        pairs.connect(pairs).key_by(lambda x: x[0], lambda x: x[1], Types.STRING()),
        keyed.connect(keyed).key_by(lambda x: x[0], lambda x: x[1], Types.STRING()),
    ]
    for connected in both:
        found = operator(connected.process(KeyedBoth()))
        assert found.name == "Keyed Co-Process"
        assert all(edges[0].partitioning.kind is PartitioningKind.HASH for edges in found.inputs)
        assert found.key_selectors[0].load()(("a", 1)) == "a"
        assert found.key_type == Types.STRING()
    assert operator(both[1].process(KeyedBoth())).key_selectors[1].load()(("a", 1)) == 1


def test_with_one_keyed_side_elements_are_plain(pairs, keyed):
    found = operator(keyed.connect(pairs).process(Both()))
    assert found.name == "Co-Process"
    assert found.key_selectors == (None, None)
    assert found.inputs[0][0].source.name == "_keyed_stream_values_operator"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda c: c.map(lambda x: x), "The input function must be a CoMapFunction!"),
        (lambda c: c.flat_map(BothMap()), "The input must be a CoFlatMapFunction!"),
        (lambda c: c.process(BothMap()), "The input must be a CoProcessFunction or KeyedCoProcessFunction!"),
    ],
)
def test_connected_streams_take_their_functions(pairs, build, message):
    with pytest.raises(TypeError, match=message):
        build(pairs.connect(pairs))


class Rules(BroadcastProcessFunction):
    def process_element(self, value, ctx):
        yield value

    def process_broadcast_element(self, value, ctx):
        yield value


class KeyedRules(KeyedBroadcastProcessFunction):
    def process_element(self, value, ctx):
        yield value

    def process_broadcast_element(self, value, ctx):
        yield value


def test_broadcast_streams(pairs, keyed):
    rules = pairs.broadcast(RULES, MapStateDescriptor("more", Types.INT(), Types.INT()))
    plain, by_key = (
        operator(pairs.connect(rules).process(Rules())),
        operator(keyed.connect(rules).process(KeyedRules())),
    )
    assert plain.name == "Co-Process-Broadcast"
    assert by_key.name == "Keyed-Co-Process-Broadcast"
    for found in (plain, by_key):
        assert found.spec.kind == "broadcast_process"
        assert [each.get_name() for each in found.spec.broadcast_descriptors] == ["rules", "more"]
        assert found.inputs[1][0].partitioning.kind is PartitioningKind.BROADCAST
    assert plain.key_selectors == (None, None)
    assert by_key.key_selectors[0].load()(("a", 1)) == "a"
    assert by_key.key_selectors[1] is None


def test_broadcast_functions_fit_their_stream(pairs, keyed):
    rules = pairs.broadcast(RULES)
    for stream, function, message in (
        (keyed, Rules(), "should be applied to non-keyed DataStream"),
        (pairs, KeyedRules(), "should be applied to keyed DataStream"),
        (pairs, Both(), "must be a BroadcastProcessFunction"),
    ):
        with pytest.raises(TypeError, match=message):
            stream.connect(rules).process(function)


# -- windows -------------------------------------------------------------------------------------


class Count(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + 1

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b


class Apply(WindowFunction[tuple, tuple, str, object]):
    def apply(self, key, window, inputs):
        return list(inputs)


class Process(ProcessWindowFunction[tuple, tuple, str, object]):
    def process(self, key, context, elements):
        return list(elements)


class ApplyAll(AllWindowFunction[tuple, tuple, object]):
    def apply(self, window, inputs):
        return list(inputs)


class ProcessAll(ProcessAllWindowFunction[tuple, tuple, object]):
    def process(self, context, elements):
        return list(elements)


TUMBLING = TumblingEventTimeWindows.of(Time.seconds(1))


def test_window_operators(pairs, keyed):
    tag = OutputTag("late", PAIR)
    windowed = keyed.window(TUMBLING).allowed_lateness(5).side_output_late_data(tag).trigger(CountTrigger.of(2))
    everything = pairs.window_all(TUMBLING)
    cases = [
        (windowed.reduce(max), "reduce", PAIR, False),
        (windowed.reduce(max, Process(), Types.INT()), "reduce", Types.INT(), False),
        (windowed.aggregate(Count(), None, Types.LONG(), Types.INT()), "aggregate", Types.INT(), False),
        (windowed.aggregate(Count(), Apply()), "aggregate", None, False),
        (windowed.apply(Apply()), "apply", None, False),
        (windowed.process(Process()), "process", None, False),
        (everything.reduce(max), "reduce", PAIR, True),
        (everything.aggregate(Count(), ApplyAll()), "aggregate", None, True),
        (everything.apply(ApplyAll()), "apply", None, True),
        (everything.process(ProcessAll(), [Types.INT()]), "process", Types.ROW([Types.INT()]), True),
    ]
    for stream, kind, output_type, all_windows in cases:
        found = operator(stream)
        assert isinstance(found.spec, WindowSpec)
        assert (found.name, found.spec.kind, found.output_type) == ("TumblingEventTimeWindows", kind, output_type)
        assert found.spec.all_windows is all_windows
        assert isinstance(found.spec.trigger.load(), EventTimeTrigger if all_windows else CountTrigger)
        assert found.spec.allowed_lateness_ms == (0 if all_windows else 5)
        assert found.key_selectors[0].load()(("a", 1)) == (0 if all_windows else "a")
    assert operator(cases[0][0]).spec.late_tag == tag
    assert operator(cases[2][0]).spec.accumulator_type == Types.LONG()
    description = operator(cases[1][0]).description
    assert description.startswith("Window(TumblingEventTimeWindows(1000, 0), CountTrigger, ")
    assert windowed.get_input_type() == PAIR


def test_count_windows(keyed):
    tumbling, sliding = keyed.count_window(3), keyed.count_window(3, 1)
    assert repr(operator(tumbling.apply(Apply())).spec.assigner.load()) == "CountTumblingWindowAssigner(3)"
    assert isinstance(operator(sliding.apply(Apply())).spec.assigner.load(), CountSlidingWindowAssigner)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda s: s.window(5), TypeError, "needs a WindowAssigner"),
        (lambda s: s.window(TUMBLING).reduce(5), TypeError, "must be a ReduceFunction or a callable"),
        (
            lambda s: s.window(TUMBLING).reduce(max, ApplyAll()),
            TypeError,
            "should be a WindowFunction or Proc",
        ),
        (lambda s: s.window(TUMBLING).aggregate(max), TypeError, "must be a pyflink.datastream.functions.Aggregate"),
        (lambda s: s.window(TUMBLING).aggregate(Count(), 5), TypeError, "should be a WindowFunction or Proc"),
        (lambda s: s.window(TUMBLING).apply(Process()), TypeError, "apply.. takes a WindowFunction"),
        (lambda s: s.window(TUMBLING).process(Apply()), TypeError, "process.. takes a ProcessWindowFunction"),
        (lambda s: s.window(TUMBLING).allowed_lateness(Time.seconds(1)), TypeError, "milliseconds as an int"),
        (lambda s: s.window(TUMBLING).allowed_lateness(-1), ConfigurationError, "cannot be negative"),
        (lambda s: s.window_all(TUMBLING).reduce(max, Apply()), TypeError, "should be a AllWindowFunction or"),
        (
            lambda s: s.window_all(EventTimeSessionWindows.with_gap(Time.seconds(1))).trigger(NeverTrigger()),
            TypeError,
            "A merging window assigner cannot be used with a trigger that does not support merging",
        ),
    ],
)
def test_windows_take_their_functions(keyed, build, error, message):
    with pytest.raises(error, match=message):
        build(keyed)


# -- asynchronous calls --------------------------------------------------------------------------


class Ask(AsyncFunction[tuple, tuple]):
    async def async_invoke(self, value):
        return [value]


class NotAsync(AsyncFunction[tuple, tuple]):
    def async_invoke(self, value):
        return [value]


RETRY = AsyncRetryStrategy.fixed_delay(3, 100, empty_result_predicate, has_exception_predicate)


def test_asynchronous_operators(pairs):
    second = Time.seconds(1)
    cases = [
        (AsyncDataStream.unordered_wait(pairs, Ask(), second), False, None),
        (AsyncDataStream.ordered_wait(pairs, Ask(), second, 7, PAIR), True, None),
        (AsyncDataStream.unordered_wait_with_retry(pairs, Ask(), second, RETRY), False, RETRY),
        (AsyncDataStream.ordered_wait_with_retry(pairs, Ask(), second, RETRY), True, RETRY),
    ]
    for stream, ordered, retry in cases:
        spec = operator(stream).spec
        assert isinstance(spec, AsyncSpec)
        assert operator(stream).name == "async wait operator"
        assert (spec.ordered, spec.timeout_ms, spec.retry is None) == (ordered, 1000, retry is None)
    assert operator(cases[1][0]).spec.capacity == 7
    assert operator(cases[1][0]).output_type == PAIR
    assert cases[2][0]._operator.spec.retry.load().can_retry(3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda s: AsyncDataStream.ordered_wait(s, NotAsync(), Time.seconds(1)), "should be declared as 'async def'"),
        (lambda s: AsyncDataStream.ordered_wait(s, MapFunction, Time.seconds(1)), "must be an AsyncFunction"),
        (lambda s: AsyncDataStream.ordered_wait(s, Ask(), 5), "timeout must be a Time"),
        (lambda s: AsyncDataStream.ordered_wait(s, Ask(), Time.seconds(1), 0), "capacity"),
        (
            lambda s: AsyncDataStream.ordered_wait_with_retry(s, Ask(), Time.seconds(0), RETRY),
            "Timeout should be configured when do async with retry",
        ),
        (
            lambda s: AsyncDataStream.ordered_wait_with_retry(s, Ask(), Time.seconds(1), None),
            "Async retry strategy should not be None",
        ),
    ],
)
def test_asynchronous_operators_refuse(pairs, build, message):
    with pytest.raises(Exception, match=message):
        build(pairs)


def test_retry_strategies():
    fixed = AsyncRetryStrategy.fixed_delay(2, 50, None, None)
    assert [fixed.can_retry(n) for n in (1, 2, 3)] == [True, True, False]
    assert fixed.get_backoff_time_millis(2) == 50
    growing = AsyncRetryStrategy.exponential_backoff(9, 100, 1000, 2.5, None, lambda error: True)
    assert [growing.get_backoff_time_millis(n) for n in (1, 2, 3, 4, 5, 1)] == [100, 250, 625, 1000, 1000, 100]
    assert growing.can_retry(9)
    assert growing.get_retry_predicate().exception_predicate()(ValueError())
    none = AsyncRetryStrategy.no_restart()
    assert not none.can_retry(1)
    assert none.get_backoff_time_millis(1) == -1
    assert none.get_retry_predicate().result_predicate() is None
    with pytest.raises(ValueError, match="max_attempts should be greater than zero"):
        AsyncRetryStrategy.fixed_delay(0, 1, None, None)


def test_retry_predicates():
    assert empty_result_predicate([])
    assert empty_result_predicate(None)
    assert not empty_result_predicate([1])
    assert has_exception_predicate(ValueError())
    assert not has_exception_predicate(None)
    assert exception_type_predicate(ValueError(), ValueError)
    assert not exception_type_predicate(ValueError(), KeyError)


def test_an_asynchronous_function_times_out_with_an_error():
    with pytest.raises(TimeoutError, match="timed out for input: 5"):
        Ask().timeout(5)

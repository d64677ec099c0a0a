"""What programs build: operators with their names, specs, types, edges and settings, and what is refused."""

import pickle

import pytest

from penstock.common import Row, Types, WatermarkStrategy
from penstock.datastream import OutputTag, SlotSharingGroup
from penstock.datastream._collection import CollectionSource
from penstock.datastream._transformations import (
    ChainingStrategy,
    FilterSpec,
    FlatMapSpec,
    MapSpec,
    PartitioningKind,
    ProcessSpec,
    ReduceSpec,
    SinkSpec,
    SourceSpec,
    TimestampsSpec,
)
from penstock.datastream.connectors.base import Sink
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.functions import (
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    Partitioner,
    ProcessFunction,
    ReduceFunction,
    SinkFunction,
)
from penstock.datastream.state import ValueStateDescriptor
from penstock.errors import ConfigurationError, UnsupportedFeatureError
from tests.datastream.recording import PIPELINES, operator, operators

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])


class Double(MapFunction):
    def map(self, value):
        return value * 2


class Twice(FlatMapFunction):
    def flat_map(self, value):
        return [value, value]


class Positive(FilterFunction):
    def filter(self, value):
        return value > 0


class Add(ReduceFunction):
    def reduce(self, value1, value2):
        return value1 + value2


class First(KeySelector):
    def get_key(self, value):
        return value[0]


class Modulo(Partitioner):
    def partition(self, key, num_partitions):
        return key % num_partitions


class Pass(ProcessFunction):
    def process_element(self, value, ctx):
        yield value


class KeyedPass(KeyedProcessFunction):
    def process_element(self, value, ctx):
        yield value


@pytest.fixture
def numbers(env):
    return env.from_collection([1, 2, 3])


@pytest.fixture
def pairs(env):
    return env.from_collection([("a", 1), ("b", 2)], PAIR)


def test_default_names_and_types(numbers):
    streams = {
        "Map": (numbers.map(Double()), MapSpec, None),
        "FlatMap": (numbers.flat_map(Twice(), Types.INT()), FlatMapSpec, Types.INT()),
        "Filter": (numbers.filter(Positive()), FilterSpec, None),
        "PROCESS": (numbers.process(Pass(), [Types.INT()]), ProcessSpec, Types.ROW([Types.INT()])),
        "Reduce": (numbers.key_by(lambda x: x).reduce(Add()), ReduceSpec, None),
        "KEYED PROCESS": (numbers.key_by(lambda x: x).process(KeyedPass()), ProcessSpec, None),
        "Timestamps/Watermarks": (
            numbers.assign_timestamps_and_watermarks(WatermarkStrategy.no_watermarks()),
            TimestampsSpec,
            None,
        ),
    }
    for name, (stream, spec, output_type) in streams.items():
        assert stream.get_name() == name
        assert isinstance(operator(stream).spec, spec)
        assert operator(stream).output_type == output_type
        assert operator(stream).parallelism == 2
    assert numbers.get_name() == "Collection Source"
    assert str(numbers.get_type()) == "PickledByteArrayTypeInfo"


def test_plain_callables_do_as_well(numbers):
    assert operator(numbers.map(lambda x: x + 1)).spec.function.load()(1) == 2
    assert operator(numbers.flat_map(lambda x: [x])).spec.function.load()(1) == [1]
    assert operator(numbers.filter(lambda x: x)).spec.function.load()(0) == 0
    assert operator(numbers.map(Double())).spec.function.load().map(2) == 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda s: s.map(5), "The input must be a MapFunction or a callable function"),
        (lambda s: s.flat_map(5), "The input must be a FlatMapFunction or a callable function"),
        (lambda s: s.filter(5), "The input must be a FilterFunction or a callable function"),
        (lambda s: s.key_by(5), "Parameter key_selector should be type of KeySelector or a callable function"),
        (lambda s: s.key_by(id).reduce(5), "The input must be a ReduceFunction or a callable function"),
        (lambda s: s.key_by(id).process(Pass()), "KeyedProcessFunction is required for KeyedStream"),
        (lambda s: s.process(KeyedPass()), "ProcessFunction is required"),
        (lambda s: s.partition_custom(5, id), "Parameter partitioner should be type of Partitioner"),
        (lambda s: s.partition_custom(id, 5), "Parameter key_selector should be type of KeySelector"),
        (lambda s: s.map(id, 5), "output_type must be None, list or TypeInformation"),
        (lambda s: s.map(id, Types.PRIMITIVE_ARRAY(Types.STRING())), "Invalid element type"),
        (lambda s: s.union(5), "takes DataStreams"),
        (lambda s: s.connect(5), "takes a DataStream"),
        (lambda s: s.add_sink(5), "takes a SinkFunction"),
        (lambda s: s.sink_to(5), "takes a Sink"),
        (lambda s: s.broadcast(ValueStateDescriptor("v", Types.INT())), "must be MapStateDescriptor"),
        (lambda s: s.key_by(id).sum(1.5), "must be of int or str type"),
    ],
)
def test_arguments_of_another_kind_are_refused(numbers, build, message):
    with pytest.raises(TypeError, match=message):
        build(numbers)


def test_what_cannot_be_pickled_fails_while_building(numbers):
    import threading

    lock = threading.Lock()
    with pytest.raises(ConfigurationError, match="cannot be sent to the tasks"):
        numbers.map(lambda x: (lock, x))


def test_functions_are_pickled_when_passed_in(numbers):
    seen = [1]
    stream = numbers.map(lambda x: len(seen))
    seen.append(2)
    assert operator(stream).spec.function.load()(0) == 1


@pytest.mark.parametrize("name", ["shuffle", "rebalance", "rescale", "forward", "broadcast"])
def test_partitionings_are_of_the_next_edge(env, numbers, name):
    stream = getattr(numbers, name)().map(Double())
    ((edge,),) = operator(stream).inputs
    assert edge.partitioning.kind is PartitioningKind[name.upper()]
    assert edge.source is operator(numbers)
    assert operator(numbers.map(Double())).inputs[0][0].partitioning is None


def test_custom_partitioning(numbers):
    for partitioner in (Modulo(), lambda key, n: key % n):
        ((edge,),) = operator(numbers.partition_custom(partitioner, lambda x: x).map(Double())).inputs
        assert edge.partitioning.kind is PartitioningKind.CUSTOM
        assert edge.partitioning.partitioner.load()(5, 3) == 2
        assert edge.partitioning.key_selector.load()(5) == 5


def test_a_partitioning_is_no_operator(numbers):
    for stream in (numbers.rebalance(), numbers.union(numbers)):
        for change in (lambda s: s.name("x"), lambda s: s.uid("x"), lambda s: s.set_parallelism(1)):
            with pytest.raises(ConfigurationError, match="concerns an operator"):
                change(stream)


def test_union_has_the_edges_of_all(env, numbers):
    other = env.from_collection([4]).rebalance()
    ((first, second, third),) = operator(numbers.union(other, numbers).map(Double())).inputs
    assert (first.source, third.source) == (operator(numbers), operator(numbers))
    assert second.partitioning.kind is PartitioningKind.REBALANCE


def test_union_needs_one_type_and_one_environment(env, numbers, pairs):
    with pytest.raises(ConfigurationError, match="Cannot union streams of different types"):
        numbers.union(pairs)
    foreign = type(env).get_execution_environment().from_collection([1])
    with pytest.raises(ConfigurationError, match="one environment"):
        numbers.union(foreign)


def test_projection(pairs):
    stream = pairs.project(1, 0, 1)
    assert str(stream.get_type()) == "TupleTypeInfo(Integer, String, Integer)"
    assert operator(stream).name == "Projection"
    assert operator(stream).spec.function.load()(("a", 1)) == (1, "a", 1)
    for wrong in ((), (2,), (-1,)):
        with pytest.raises(ValueError, match="indexes from 0 to 1"):
            pairs.project(*wrong)


def test_only_tuples_can_be_projected(numbers):
    with pytest.raises(Exception, match=r"Only Tuple DataStreams can be projected\."):
        numbers.project(0)


def test_side_outputs_are_read_from_the_operator(numbers):
    tag = OutputTag("late", Types.INT())
    side = numbers.process(Pass()).get_side_output(tag)
    ((edge,),) = operator(side).inputs
    assert edge.side_output.tag_id == "late"
    assert side.get_type() == Types.INT()
    assert operator(side).spec.function.load()(5) == 5
    with pytest.raises(ConfigurationError, match="get_side_output"):
        numbers.rebalance().get_side_output(tag)


def test_settings_of_an_operator(env, numbers):
    stream = numbers.map(Double())
    returned = (
        stream.name("n")
        .uid("u")
        .set_description("d")
        .set_parallelism(3)
        .set_max_parallelism(7)
        .set_buffer_timeout(5)
        .slot_sharing_group("g")
        .disable_chaining()
    )
    assert returned is stream
    found = operator(stream)
    assert (found.name, found.uid, found.description, found.slot_sharing_group) == ("n", "u", "d", "g")
    assert (found.parallelism, found.max_parallelism, found.buffer_timeout_ms) == (3, 7, 5)
    assert found.chaining is ChainingStrategy.NEVER
    assert operator(stream.start_new_chain()).chaining is ChainingStrategy.HEAD
    assert operator(stream.set_parallelism(-1)).parallelism is None
    assert operator(stream.set_buffer_timeout(-1)).buffer_timeout_ms is None
    assert operator(stream.set_uid_hash("0" * 32)).uid_hash == "0" * 32
    group = SlotSharingGroup.builder("other").build()
    assert operator(stream.slot_sharing_group(group)).slot_sharing_group == "other"
    assert stream.get_execution_environment() is env
    assert stream.get_execution_config().get_parallelism() == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.set_parallelism(0),
        lambda s: s.set_max_parallelism(0),
        lambda s: s.set_max_parallelism(40_000),
        lambda s: s.set_buffer_timeout(-2),
        lambda s: s.set_uid_hash("xyz"),
    ],
)
def test_settings_that_cannot_be(numbers, change):
    with pytest.raises(ConfigurationError):
        change(numbers.map(Double()))


def test_a_collection_has_one_subtask_for_good(numbers):
    assert operator(numbers).non_parallel
    assert numbers.set_parallelism(1) is numbers
    with pytest.raises(ConfigurationError, match="parallelism of non parallel operator must be 1"):
        numbers.set_parallelism(2)
    with pytest.raises(ConfigurationError, match="maximum parallelism of non parallel operator must be 1"):
        numbers.set_max_parallelism(2)
    assert operator(numbers.map(Double()).force_non_parallel()).non_parallel


def test_sinks(env, numbers):
    numbers.print("id").name("p").uid("u").set_parallelism(1).disable_chaining().slot_sharing_group("g")
    found = operators(env)["p"]
    assert found.spec.identifier == "id"
    assert (found.uid, found.parallelism, found.chaining) == ("u", 1, ChainingStrategy.NEVER)
    assert found.inputs[0][0].source is operator(numbers)


class Nowhere(Sink):
    def create_writer(self, context, recovered=()):
        raise NotImplementedError


class NowhereFunction(SinkFunction):
    def __init__(self):
        pass

    def to_sink(self):
        return Nowhere()


def test_sinks_and_sink_functions(env, pairs):
    pairs.sink_to(Nowhere())
    pairs.add_sink(NowhereFunction())
    found = operators(env)
    for name in ("Sink", "Unnamed"):
        assert isinstance(found[name].spec, SinkSpec)
        assert found[name].output_type == PAIR


def test_collecting_asks_one_subtask_for_what_the_stream_needs(env, numbers):
    numbers.map(lambda x: x)
    stream = numbers.map(Double())
    assert list(stream.execute_and_collect("job")) == []
    pipeline = PIPELINES[-1]
    assert [each.name for each in pipeline.transformations] == [
        "Collection Source",
        "Map",
        "Data stream collect sink",
    ]
    assert pipeline.job_name == "job"
    assert pipeline.transformations[-1].spec.limit is None
    assert pipeline.transformations[-1].parallelism == 1
    assert stream.execute_and_collect(limit=3) == []
    assert PIPELINES[-1].transformations[-1].spec.limit == 3
    with pytest.raises(ValueError, match="greater than 0"):
        stream.execute_and_collect(limit=0)


def test_collecting_warns_of_sinks_it_forgets(env, numbers):
    numbers.print()
    with pytest.warns(UserWarning, match=r"Print to Std\. Out will not run"):
        numbers.map(Double()).execute_and_collect()
    with pytest.raises(ConfigurationError, match="No operators defined in streaming topology"):
        env.execute()


def test_types_and_elements_of_a_collection(env):
    stream = env.from_collection([("a", 1)], [Types.STRING(), Types.INT()])
    source = operator(stream).spec.source
    assert isinstance(source, CollectionSource)
    assert source.elements() == [Row(f0="a", f1=1)]
    assert stream.get_type() == Types.ROW([Types.STRING(), Types.INT()])
    with pytest.raises(TypeError, match=r"Element 1 of from_collection\(\) is no Integer: 'x'"):
        env.from_collection([1, "x"], Types.INT())
    with pytest.raises(ConfigurationError, match="cannot be pickled"):
        env.from_collection([(value for value in [1])])
    assert operator(env.from_collection(iter([1, 2]))).spec.source.count == 2
    elements = [[1]]
    stream = env.from_collection(elements)
    elements[0].append(2)
    assert operator(stream).spec.source.elements() == [[1]]


def test_sources_of_other_kinds(env):
    with pytest.raises(TypeError, match="takes a Source"):
        env.from_source(5, WatermarkStrategy.no_watermarks(), "s")
    with pytest.raises(TypeError, match="takes a WatermarkStrategy"):
        env.from_source(CollectionSource([1]), None, "s")
    stream = env.from_source(CollectionSource([1]), WatermarkStrategy.no_watermarks(), "s", Types.INT())
    assert isinstance(operator(stream).spec, SourceSpec)
    assert (operator(stream).name, stream.get_type()) == ("s", Types.INT())


def test_specs_survive_pickling(pairs):
    stream = pairs.key_by(First()).reduce(lambda a, b: b)
    copied = pickle.loads(pickle.dumps(operator(stream).spec.function))
    assert copied.load()(1, 2) == 2


def test_a_function_that_yields_belongs_to_flat_map(numbers):
    class Pairs(MapFunction):
        def map(self, value):
            yield value
            yield value

    def pairs(value):
        yield value

    for function in (Pairs(), pairs):
        with pytest.warns(UserWarning, match=r"Use flat_map\(\) to emit what it yields"):
            numbers.map(function)
    with pytest.raises(UnsupportedFeatureError, match="access to the JVM"):
        NumberSequenceSource(1, 2).get_java_function()

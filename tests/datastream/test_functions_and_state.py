"""Function classes, state descriptors, time-to-live, tags: what must be written, what is optional, what is refused."""

import pickle

import pytest

from penstock.common import Duration, Time, Types
from penstock.datastream import OutputTag, functions
from penstock.datastream.functions import (
    AggregateFunction,
    KeyedProcessFunction,
    MapFunction,
    NullByteKeySelector,
    ProcessWindowFunction,
    ReduceFunction,
    SinkFunction,
    SourceFunction,
)
from penstock.datastream.state import (
    AggregatingStateDescriptor,
    BroadcastState,
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from penstock.datastream.timerservice import TimerService
from penstock.errors import UnsupportedFeatureError

ABSTRACT = {
    "MapFunction": {"map"},
    "FlatMapFunction": {"flat_map"},
    "FilterFunction": {"filter"},
    "ReduceFunction": {"reduce"},
    "AggregateFunction": {"create_accumulator", "add", "get_result", "merge"},
    "KeySelector": {"get_key"},
    "Partitioner": {"partition"},
    "CoMapFunction": {"map1", "map2"},
    "CoFlatMapFunction": {"flat_map1", "flat_map2"},
    "ProcessFunction": {"process_element"},
    "KeyedProcessFunction": {"process_element"},
    "CoProcessFunction": {"process_element1", "process_element2"},
    "KeyedCoProcessFunction": {"process_element1", "process_element2"},
    "BroadcastProcessFunction": {"process_element", "process_broadcast_element"},
    "KeyedBroadcastProcessFunction": {"process_element", "process_broadcast_element"},
    "WindowFunction": {"apply"},
    "AllWindowFunction": {"apply"},
    "ProcessWindowFunction": {"process"},
    "ProcessAllWindowFunction": {"process"},
    "AsyncFunction": {"async_invoke"},
}


@pytest.mark.parametrize("name", ABSTRACT)
def test_the_methods_to_write(name):
    kind = getattr(functions, name)
    assert kind.__abstractmethods__ == ABSTRACT[name]
    with pytest.raises(TypeError, match="abstract"):
        kind()
    written = type(name, (kind,), {method: lambda self, *arguments: None for method in ABSTRACT[name]})()
    assert written.open(None) is None
    assert written.close() is None
    for optional in ("on_timer", "clear"):
        if hasattr(written, optional):
            assert getattr(written, optional)(*([0, None] if optional == "on_timer" else [None])) is None


def test_generic_and_nested_names_can_stand_in_annotations():
    assert ProcessWindowFunction[tuple, tuple, str, object]
    assert ProcessWindowFunction.Context[object]
    assert KeyedProcessFunction.OnTimerContext.__abstractmethods__ >= {"time_domain", "get_current_key", "timestamp"}
    assert functions.BroadcastProcessFunction.ReadOnlyContext
    assert functions.KeyedBroadcastProcessFunction.OnTimerContext
    assert MapFunction[int, int]


def test_java_functions_say_what_to_use_instead():
    with pytest.raises(UnsupportedFeatureError, match=r"SourceFunction\('org\.x\.S'\) wraps a Java.*from_collection"):
        SourceFunction("org.x.S")
    with pytest.raises(UnsupportedFeatureError, match=r"SinkFunction\(object\).*FileSink"):
        SinkFunction(object())


def test_the_key_of_everything():
    assert NullByteKeySelector().get_key("x") == 0


def test_timers_can_be_deleted_only_where_somebody_says_how():
    class Service(TimerService):
        current_processing_time = current_watermark = lambda self: 0
        register_processing_time_timer = register_event_time_timer = lambda self, timestamp: None

    for delete in (Service().delete_event_time_timer, Service().delete_processing_time_timer):
        with pytest.raises(NotImplementedError):
            delete(5)


# -- state ---------------------------------------------------------------------------------------


class Sum(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + value

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b


class Larger(ReduceFunction):
    def reduce(self, value1, value2):
        return max(value1, value2)


def test_descriptors():
    assert ValueStateDescriptor("v", Types.INT()).get_name() == "v"
    assert ListStateDescriptor("l", Types.INT()).type_info == Types.LIST(Types.INT())
    assert MapStateDescriptor("m", Types.INT(), Types.LONG()).type_info == Types.MAP(Types.INT(), Types.LONG())
    assert ReducingStateDescriptor("r", min, Types.INT()).get_reduce_function().reduce(1, 2) == 1
    assert isinstance(ReducingStateDescriptor("r", Larger(), Types.INT()).get_reduce_function(), Larger)
    described = AggregatingStateDescriptor("a", Sum(), Types.INT())
    assert described.get_agg_function().get_result(5) == 5
    assert pickle.loads(pickle.dumps(described)).get_name() == "a"


def test_descriptors_refuse():
    with pytest.raises(TypeError, match="must be a ReduceFunction or a callable"):
        ReducingStateDescriptor("r", 5, Types.INT())
    with pytest.raises(TypeError, match=r"must be a pyflink\.datastream.functions.AggregateFunction"):
        AggregatingStateDescriptor("a", min, Types.INT())
    with pytest.raises(TypeError, match="Invalid element type"):
        ValueStateDescriptor("v", Types.PRIMITIVE_ARRAY(Types.STRING()))


def test_time_to_live():
    config = StateTtlConfig.new_builder(Time.seconds(5)).build()
    assert config.get_ttl() == Time.seconds(5)
    assert config.get_update_type() is StateTtlConfig.UpdateType.OnCreateAndWrite
    assert config.get_state_visibility() is StateTtlConfig.StateVisibility.NeverReturnExpired
    assert config.get_ttl_time_characteristic() is StateTtlConfig.TtlTimeCharacteristic.ProcessingTime
    assert config.is_enabled()
    strategies = config.get_cleanup_strategies()
    assert strategies.is_cleanup_in_background()
    assert strategies.get_incremental_cleanup_strategy().get_cleanup_size() == 5
    assert strategies.get_rocksdb_compact_filter_cleanup_strategy().get_query_time_after_num_entries() == 1000
    assert not strategies.in_full_snapshot()
    descriptor = ValueStateDescriptor("v", Types.INT())
    assert descriptor.ttl_config is None
    descriptor.enable_time_to_live(config)
    assert pickle.loads(pickle.dumps(descriptor)).ttl_config.get_ttl() == Time.seconds(5)
    assert "ttl=5000 ms" in repr(config)


def test_time_to_live_settings():
    builder = StateTtlConfig.new_builder(Time.seconds(5)).set_ttl(Time.seconds(7)).use_processing_time()
    builder.update_ttl_on_read_and_write().return_expired_if_not_cleaned_up().cleanup_full_snapshot()
    builder.cleanup_incrementally(3, True).cleanup_in_rocksdb_compact_filter(9, Duration.of_days(1))
    config = builder.disable_cleanup_in_background().build()
    assert config.get_ttl() == Time.seconds(7)
    assert config.get_update_type() is StateTtlConfig.UpdateType.OnReadAndWrite
    assert config.get_state_visibility() is StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp
    strategies = config.get_cleanup_strategies()
    assert strategies.in_full_snapshot()
    assert not strategies.is_cleanup_in_background()
    incremental = strategies.get_incremental_cleanup_strategy()
    assert (incremental.get_cleanup_size(), incremental.run_cleanup_for_every_record()) == (3, True)
    compaction = strategies.get_rocksdb_compact_filter_cleanup_strategy()
    assert compaction.get_query_time_after_num_entries() == 9
    assert compaction.get_periodic_compaction_time() == Duration.of_days(1)
    disabled = builder.update_ttl_on_create_and_write().set_update_type(StateTtlConfig.UpdateType.Disabled)
    assert not disabled.never_return_expired().build().is_enabled()
    bare = StateTtlConfig.new_builder(Time.seconds(1)).disable_cleanup_in_background().build().get_cleanup_strategies()
    assert bare.get_incremental_cleanup_strategy() is None
    assert bare.get_rocksdb_compact_filter_cleanup_strategy() is None
    with pytest.raises(ValueError, match="positive"):
        StateTtlConfig.new_builder(Time.seconds(0)).build()


def mapping(kind):
    """A state over a dict, of the methods that are abstract alone."""

    class Held(kind):
        def __init__(self):
            self.held = {}

        def get(self, key):
            return self.held.get(key)

        def put(self, key, value):
            self.held[key] = value

        def put_all(self, dict_value):
            self.held.update(dict_value)

        def remove(self, key):
            self.held.pop(key, None)

        def contains(self, key):
            return key in self.held

        def items(self):
            return self.held.items()

        def keys(self):
            return self.held.keys()

        def values(self):
            return self.held.values()

        def is_empty(self):
            return not self.held

        def clear(self):
            self.held.clear()

    return Held()


@pytest.mark.parametrize("kind", [MapState, BroadcastState])
def test_maps_can_be_used_like_dicts(kind):
    state = mapping(kind)
    state["a"] = 1
    assert state["a"] == 1
    assert state["b"] is None
    assert "a" in state
    assert list(state) == ["a"]
    del state["a"]
    del state["a"]
    assert state.is_empty()


def test_lists_can_be_iterated():
    class Held(ListState):
        get = lambda self: [1, 2]  # noqa: E731
        add = add_all = update = clear = lambda self, *arguments: None

    assert list(Held()) == [1, 2]


# -- tags ----------------------------------------------------------------------------------------


def test_tags_are_one_output_when_their_ids_are_equal():
    tag = OutputTag("a", Types.INT())
    assert tag == OutputTag("a")
    assert tag != OutputTag("b")
    assert len({tag, OutputTag("a")}) == 1
    assert OutputTag("a").type_info == Types.PICKLED_BYTE_ARRAY()
    assert OutputTag("a", [Types.INT()]).type_info == Types.ROW([Types.INT()])
    copied = pickle.loads(pickle.dumps(tag))
    assert (copied, copied.type_info) == (tag, Types.INT())
    assert repr(tag) == "OutputTag('a', Integer)"


@pytest.mark.parametrize(("arguments", "error"), [(("",), ValueError), ((None,), ValueError), (("a", 5), TypeError)])
def test_tags_refuse(arguments, error):
    with pytest.raises(error, match="OutputTag"):
        OutputTag(*arguments)


def test_tags_have_no_java_counterpart():
    with pytest.raises(UnsupportedFeatureError):
        OutputTag("a").get_java_output_tag()

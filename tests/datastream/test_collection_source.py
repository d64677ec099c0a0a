"""The source behind from_collection, and the files behind cache()."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.common import Row
from penstock.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from penstock.datastream._collection import CollectionSource
from penstock.datastream._stream_cache import CacheFiles, CacheSink, CacheSource
from penstock.datastream.connectors.base import END_OF_INPUT, Boundedness, ReaderContext, WriterContext
from penstock.errors import ConfigurationError


class Unhandy:
    """Of no plain type."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value


READER = ReaderContext(0, 1, lambda: None, lambda: 0)


def read(reader, batch):
    values, stamps = [], []
    while (found := reader.poll(batch)) is not END_OF_INPUT:
        assert 0 < len(found.values) <= batch
        values += found.values
        stamps += found.timestamps or [None] * len(found.values)
    assert reader.poll(batch) is END_OF_INPUT
    return values, stamps


@given(st.lists(st.one_of(st.integers(), st.text(), st.none(), st.tuples(st.integers()))), st.integers(1, 5))
def test_elements_come_in_order_in_batches(elements, batch):
    source = pickle.loads(pickle.dumps(CollectionSource(elements)))
    assert (source.boundedness, source.always_single) == (Boundedness.BOUNDED, True)
    reader = source.create_reader(source.plan_splits(4), READER)
    assert read(reader, batch)[0] == elements
    assert reader.progress() == (len(elements), len(elements))
    reader.close()
    assert reader.poll(1) is END_OF_INPUT


def test_a_reader_goes_on_where_it_was():
    source = CollectionSource([Unhandy(n) for n in range(5)])
    reader = source.create_reader(source.plan_splits(1), READER)
    reader.poll(2)
    again = source.create_reader(reader.snapshot(), READER)
    assert [each.value for each in read(again, 10)[0]] == [2, 3, 4]
    assert read(source.create_reader([], READER), 1)[0] == []


def test_functions_and_classes_of_the_program_can_be_elements():
    (function,) = CollectionSource([lambda x: x + 1]).elements()
    assert function(1) == 2


@given(st.lists(st.lists(st.integers(), min_size=1), max_size=4), st.booleans(), st.integers(1, 5))
def test_a_cache_gives_back_what_was_written(batches, timed, size):
    files = CacheFiles()
    directory = files.create()
    sink = pickle.loads(pickle.dumps(CacheSink(directory)))
    writers = [sink.create_writer(WriterContext(index, 2, lambda: 0, None)) for index in range(2)]
    for number, batch in enumerate(batches):
        writers[number % 2].write(batch, list(range(len(batch))) if timed else None, 0)
    parts = [part for writer in writers for part in writer.finish()]
    assert CacheSource(directory).plan_splits(2) == []
    committer = sink.create_committer()
    committer.commit(parts)
    committer.commit(parts)
    source = CacheSource(directory)
    found = [read(source.create_reader([split], READER), size) for split in source.plan_splits(2)]
    expected = [[value for batch in batches[index::2] for value in batch] for index in range(2)]
    assert sorted(values for values, _ in found) == sorted(expected)
    if timed:
        stamps = [[i for batch in batches[index::2] for i in range(len(batch))] for index in range(2)]
        assert sorted(stamps) == sorted(stamps for _, stamps in found)
    files.drop()


def calls(path):
    return len(path.read_text()) if path.exists() else 0


def test_a_cached_stream_is_computed_once(tmp_path):
    path = tmp_path / "calls"

    def count(value):
        with open(path, "a") as file:
            file.write("x")
        return Row(value * 2)

    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    cached = env.from_collection(range(5)).map(count).cache()
    expected = sorted(value * 2 for value in range(5))
    for _ in range(2):
        assert sorted(row[0] for row in cached.execute_and_collect()) == expected
        assert calls(path) == 5
    assert sorted(cached.map(lambda row: row[0] + 1).execute_and_collect()) == [value + 1 for value in expected]
    assert calls(path) == 5
    cached.invalidate()
    assert sorted(row[0] for row in cached.execute_and_collect()) == expected
    assert calls(path) == 10
    env.close()
    with pytest.raises(Exception, match="Set name for CachedDataStream is not supported"):
        cached.name("x")


def test_caching_needs_batch_mode(env):
    env.from_collection([1]).map(lambda x: x).cache().print()
    with pytest.raises(ConfigurationError, match=r"cache\(\) of operator 'Map' needs BATCH mode"):
        env.execute()

"""Sequences, generated records, hybrids and sockets: settings, pace, ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock.common.typeinfo import Types
from penstock.datastream.connectors._fetcher import Fetcher
from penstock.datastream.connectors.base import END_OF_INPUT, Boundedness, ReaderContext, Source, SourceReader
from penstock.datastream.connectors.datagen import DataGeneratorSource, RateLimiterStrategy
from penstock.datastream.connectors.hybrid_source import HybridSource
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.connectors.socket_text import SocketTextSource
from penstock.errors import ConfigurationError, JobError

WAIT_S = 20


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def reader_of(source: Source, clock: Clock | None = None, index: int = 0, parallelism: int = 1) -> SourceReader:
    splits = source.deal_out(source.plan_splits(parallelism), parallelism)[index]
    return source.create_reader(splits, ReaderContext(index, parallelism, lambda: None, clock or Clock()))


# -- sequences


def test_a_sequence_is_long_and_bounded() -> None:
    source = NumberSequenceSource(1, 10)
    assert source.boundedness is Boundedness.BOUNDED
    assert source.produced_type == Types.LONG()
    reader = reader_of(source)
    batch = reader.poll(4)
    assert batch is not None
    assert batch is not END_OF_INPUT
    assert batch.values == [1, 2, 3, 4]
    assert reader.progress() == (4, 10)


@pytest.mark.parametrize(
    ("start", "end", "error"), [(2, 1, ValueError), (0, 2**63, ValueError), (0.0, 1, TypeError), ("a", 1, TypeError)]
)
def test_wrong_bounds_are_refused(start: Any, end: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        NumberSequenceSource(start, end)


# -- generated records


def test_a_generator_with_a_map_method_and_a_type() -> None:
    class Generator:
        def map(self, index: int) -> str:
            return f"#{index}"

    source = DataGeneratorSource(Generator(), 3, type_info=Types.STRING())
    assert source.produced_type == Types.STRING()
    batch = reader_of(source).poll(10)
    assert batch is not None
    assert batch is not END_OF_INPUT
    assert batch.values == ["#0", "#1", "#2"]
    with pytest.raises(ValueError, match="count"):
        DataGeneratorSource(Generator(), -1)


def polled(reader: SourceReader) -> int:
    count = 0
    while (batch := reader.poll(7)) is not None:
        if batch is END_OF_INPUT:
            return count
        count += len(batch.values)
    return count


@pytest.mark.parametrize("rate", [0.5, 1, 10, 10_000])
def test_a_rate_a_second_is_kept(rate: float) -> None:
    clock = Clock()
    reader = reader_of(DataGeneratorSource(lambda i: i, 10**6, RateLimiterStrategy.per_second(rate)), clock)
    total = polled(reader)
    for _ in range(200):
        due = reader.next_poll_ms()
        assert due is not None
        assert due > clock.now_ms
        clock.now_ms = due
        total += polled(reader)
    assert abs(total - rate * clock.now_ms / 1000) <= 1.5
    clock.now_ms += 3_600_000
    assert polled(reader) <= max(1, rate) + 1, "a pause is made up for by a second's worth at most"


def test_a_rate_is_shared_by_the_readers() -> None:
    clock = Clock()
    source = DataGeneratorSource(lambda i: i, 10**6, RateLimiterStrategy.per_second(10))
    readers = [reader_of(source, clock, index, 2) for index in range(2)]
    total = 0
    for clock.now_ms in range(0, 10_001, 100):
        total += sum(map(polled, readers))
    assert 98 <= total <= 104


def test_a_number_a_checkpoint() -> None:
    source = DataGeneratorSource(lambda i: i, 10, RateLimiterStrategy.per_checkpoint(3))
    reader = reader_of(source)
    counts = []
    for checkpoint in range(5):
        counts.append(polled(reader))
        reader.notify_checkpoint_complete(checkpoint)
    assert counts == [3, 3, 3, 1, 0]
    assert reader.poll(1) is END_OF_INPUT
    for wrong in (RateLimiterStrategy.per_second, RateLimiterStrategy.per_checkpoint):
        with pytest.raises(ValueError, match="positive"):
            wrong(0)


# -- hybrids


def test_a_hybrid_ends_as_its_last_source_does() -> None:
    unbounded = SocketTextSource("localhost", 1)
    hybrid = HybridSource.builder(NumberSequenceSource(1, 2)).add_source(unbounded).build()
    assert hybrid.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    assert hybrid.produced_type == Types.LONG()
    assert hybrid.always_single
    with pytest.raises(ConfigurationError, match="need to be bounded"):
        HybridSource.builder(unbounded).add_source(NumberSequenceSource(1, 2))
    with pytest.raises(TypeError):
        HybridSource.builder("x")  # type: ignore[arg-type]


# -- sockets


@contextmanager
def server(*connections: list[bytes]) -> Iterator[int]:
    """Sends each connection its pieces, then closes it; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WAIT_S)

        def serve() -> None:
            for pieces in connections:
                connection, _ = listening.accept()
                with connection:
                    for piece in pieces:
                        connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(WAIT_S)


def read_socket(source: SocketTextSource, size: int = 3) -> list[str]:
    wakened = threading.Event()
    reader = source.create_reader(source.plan_splits(1), ReaderContext(0, 1, wakened.set, lambda: 0))
    values: list[str] = []
    try:
        while True:
            batch = reader.poll(size)
            if batch is END_OF_INPUT:
                return values
            if batch is None:
                assert wakened.wait(WAIT_S)
                wakened.clear()
            else:
                values += batch.values
    finally:
        reader.close()


def test_lines_from_a_socket() -> None:
    pieces = [b"one\r\ntw", b"o\n\n\xc3", b"\xbc\n\xff\nlast"]
    with server(pieces) as port:
        source = SocketTextSource("127.0.0.1", port)
        assert source.always_single
        assert source.produced_type == Types.STRING()
        assert read_socket(source) == ["one", "two", "", "ü", "�", "last"]


def test_another_delimiter_keeps_what_is_in_between() -> None:
    with server([b"a\r\n||b|", b"|c"]) as port:
        assert read_socket(SocketTextSource("127.0.0.1", port, "||")) == ["a\r\n", "b", "c"]


def test_a_lost_connection_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.datastream.connectors import socket_text

    monkeypatch.setattr(socket_text, "_RETRY_S", 0.01)
    with server([b"a\nb"], [b"c\nd\n"]) as port:
        assert read_socket(SocketTextSource("127.0.0.1", port, max_retry=2)) == ["a", "bc", "d"]


def test_a_reader_that_waits_for_a_silent_server_can_be_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        source = SocketTextSource("127.0.0.1", listening.getsockname()[1])
        reader = source.create_reader(source.plan_splits(1), ReaderContext(0, 1, lambda: None, lambda: 0))
        connection, _ = listening.accept()
        with connection:
            assert reader.poll(1) is None
            assert reader.snapshot() == source.plan_splits(1)
            reader.close()


def test_no_server_is_an_error_and_no_split_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(JobError, match=f"127.0.0.1:{port}"):
        read_socket(SocketTextSource("127.0.0.1", port))
    source = SocketTextSource("127.0.0.1", port)
    reader = source.create_reader([], ReaderContext(1, 2, lambda: None, lambda: 0))
    assert reader.poll(1) is END_OF_INPUT
    reader.close()


@pytest.mark.parametrize(
    "wrong", [{"port": 0}, {"port": 70_000}, {"port": 1, "delimiter": ""}, {"port": 1, "max_retry": -2}]
)
def test_wrong_addresses_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"port|delimiter|max_retry"):
        SocketTextSource("localhost", **wrong)


# -- the fetching thread


def test_a_fetcher_is_bounded_and_stops_when_told() -> None:
    put: list[int] = []

    def fetch(fetcher: Fetcher[int]) -> None:
        for number in range(100):
            fetcher.put(number)
            put.append(number)

    fetcher: Fetcher[int] = Fetcher("test", fetch, lambda: None, 3)
    taken = []
    while len(taken) < 5:
        item = fetcher.take()
        if item is not None:
            taken.append(item)
    assert len(put) <= len(taken) + 3
    fetcher.close()
    assert taken == [0, 1, 2, 3, 4]


def test_a_fetchers_error_comes_after_what_it_found() -> None:
    wakened = threading.Event()

    def fetch(fetcher: Fetcher[int]) -> None:
        fetcher.put(1)
        raise JobError("broken")

    fetcher: Fetcher[int] = Fetcher("test", fetch, wakened.set, 3)
    while (first := fetcher.take()) is None:
        wakened.wait(WAIT_S)
    assert first == 1
    fetcher._thread.join(WAIT_S)
    with pytest.raises(JobError, match="broken"):
        fetcher.take()
    assert not fetcher.exhausted
    fetcher.close()

"""Text from a socket: Flink's `socketTextStream`, which PyFlink lacks."""

from __future__ import annotations

import codecs
import contextlib
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.common.typeinfo import TypeInformation, Types
from penstock.datastream.connectors._fetcher import Fetcher
from penstock.datastream.connectors.base import (
    END_OF_INPUT,
    Boundedness,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    _EndOfInput,
)
from penstock.errors import JobError

__all__ = ["SocketTextSource"]

_logger = logging.getLogger(__name__)
_RECEIVE_BYTES = 64 * 1024
_BLOCKS_AHEAD = 4  # received blocks a task may be behind; then the socket's own buffers fill
_CONNECT_TIMEOUT_S = 10.0
_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """The one split: where to connect to."""

    hostname: str
    port: int


class SocketTextSource(Source):
    r"""Texts between delimiters, as STRING, read as UTF-8 from a TCP server that the source connects to.

    Always one reader. Nothing is replayed: what was read before a failure and is in no checkpointed state is lost, and
    a restarted job connects anew.

    Args:
        hostname: the server's name or address.
        port: its port, 1 to 65535.
        delimiter: what ends a text; with `\\n`, a `\\r` before it is cut off too.
        max_retry: how often to connect again after the server has closed the connection; -1 without end.

    Raises:
        ValueError: if the port is none, the delimiter is empty or `max_retry` is below -1.
    """

    def __init__(self, hostname: str, port: int, delimiter: str = "\n", max_retry: int = 0) -> None:
        if not 0 < port < 65536:
            raise ValueError(f"port is out of range: {port}")
        if not delimiter:
            raise ValueError("the delimiter must not be empty")
        if max_retry < -1:
            raise ValueError(f"max_retry must be zero or larger, or -1 for infinite retries, got {max_retry}")
        self._address = SocketAddress(hostname, port)
        self._delimiter = delimiter
        self._max_retry = max_retry

    @property
    def boundedness(self) -> Boundedness:
        """CONTINUOUS_UNBOUNDED, although the server may end it."""
        return Boundedness.CONTINUOUS_UNBOUNDED

    @property
    def produced_type(self) -> TypeInformation:
        """STRING."""
        return Types.STRING()

    @property
    def always_single(self) -> bool:
        """True."""
        return True

    def plan_splits(self, parallelism: int) -> list[SocketAddress]:
        """The address."""
        return [self._address]

    def create_reader(self, splits: Sequence[SocketAddress], context: ReaderContext) -> SourceReader:
        """Connects in a thread."""
        return _SocketReader(list(splits), self._delimiter, self._max_retry, context)


class _SocketReader(SourceReader):
    """Hands over what its thread received. Owned by the task thread."""

    def __init__(self, splits: list[SocketAddress], delimiter: str, max_retry: int, context: ReaderContext) -> None:
        self._splits = splits
        self._delimiter = delimiter
        self._max_retry = max_retry
        self._texts: list[str] = []
        self._next = 0
        self._socket: socket.socket | None = None
        self._fetcher: Fetcher[list[str]] | None = None
        if splits:
            name = f"socket {splits[0].hostname}:{splits[0].port}"
            self._fetcher = Fetcher(name, self._fetch, context.wake, _BLOCKS_AHEAD)

    def _fetch(self, fetcher: Fetcher[list[str]]) -> None:
        address = self._splits[0]
        rest = ""
        attempt = 0
        while True:
            rest = self._receive(fetcher, address, rest)
            attempt += 1
            if self._max_retry != -1 and attempt >= self._max_retry:
                break
            _logger.warning("%s:%d closed the connection; trying again", address.hostname, address.port)
            fetcher.wait(_RETRY_S)
        if rest:
            fetcher.put([rest])

    def _receive(self, fetcher: Fetcher[list[str]], address: SocketAddress, rest: str) -> str:
        """Reads one connection to its end; returns the text after the last delimiter."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            with socket.create_connection((address.hostname, address.port), _CONNECT_TIMEOUT_S) as connection:
                connection.settimeout(None)
                self._socket = connection
                while not fetcher.closing:
                    data = connection.recv(_RECEIVE_BYTES)
                    *texts, rest = (rest + decoder.decode(data, final=not data)).split(self._delimiter)
                    if self._delimiter == "\n":
                        texts = [text.removesuffix("\r") for text in texts]
                    if texts:
                        fetcher.put(texts)
                    if not data:
                        break
        except OSError as error:
            if fetcher.closing:
                return ""
            raise JobError(
                f"The socket source cannot read from {address.hostname}:{address.port}: {error}. Start the server "
                "before the job."
            ) from error
        finally:
            self._socket = None
        return rest

    def poll(self, max_records: int) -> SourceBatch | _EndOfInput | None:
        if self._fetcher is None:
            return END_OF_INPUT
        if self._next >= len(self._texts):
            texts = self._fetcher.take()
            if texts is None:
                return END_OF_INPUT if self._fetcher.exhausted else None
            self._texts, self._next = texts, 0
        values = self._texts[self._next : self._next + max_records]
        self._next += len(values)
        return SourceBatch(values)

    def snapshot(self) -> list[SocketAddress]:
        return list(self._splits)

    def close(self) -> None:
        if self._fetcher is not None:
            self._fetcher.close(self._interrupt)

    def _interrupt(self) -> None:
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

"""Exchanges between worker processes: framed messages over Unix sockets, bounded by credits.

Two workers share one socket for all channels between them. A batch is pickled as a whole; its producer spends one
credit and gets it back when the consumer's task takes the batch. Without credit nothing is sent, so what lies in a
socket's outgoing queue is bounded by the credits of its channels. Nothing here blocks.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from penstock.errors import JobError
from penstock.runtime._channels import Channel
from penstock.runtime._elements import Batch, Element
from penstock.runtime._scheduler import Scheduler

__all__ = ["Frame", "IncomingChannel", "OutgoingChannel", "Peer", "PeerLostError", "dumps"]

_HEADER = struct.Struct("<BII")  # kind, channel, payload bytes
_RECEIVE_BYTES = 256 * 1024
CREDITS_RETURNED_AT = 4


class Frame:
    """Kinds of messages."""

    BATCH = 1
    EVENT = 2
    CREDIT = 3
    CONTROL = 4


class PeerLostError(JobError):
    """The process at the other end of a socket has ended."""


def dumps(value: Any) -> bytes:
    """Pickles a value; what plain pickle refuses (classes and functions of a function) goes by value."""
    try:
        return pickle.dumps(value, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):
        import cloudpickle

        data: bytes = cloudpickle.dumps(value, protocol=5)
        return data


class Peer:
    """One end of a socket to another process. Owned by the scheduler's thread.

    Attributes:
        on_frame: called with (kind, channel, payload) for each message.
        on_lost: called when the other end is gone.
    """

    def __init__(self, name: str, connection: socket.socket, scheduler: Scheduler) -> None:
        connection.setblocking(False)
        self.name = name
        self.on_frame: Callable[[int, int, bytes], None] = lambda kind, channel, payload: None
        self.on_lost: Callable[[], None] = self._raise_lost
        self._socket = connection
        self._scheduler = scheduler
        self._incoming = bytearray()
        self._outgoing: deque[memoryview] = deque()  # bounded by the credits of the channels
        self._closed = False
        scheduler.watch(connection.fileno(), self._readable)

    def send(self, kind: int, channel: int, payload: bytes) -> None:
        """Sends a message, now or when the socket takes it."""
        if self._closed:
            return
        data = memoryview(_HEADER.pack(kind, channel, len(payload)) + payload)
        if not self._outgoing:
            data = self._write(data)
        if len(data):
            self._outgoing.append(data)
            self._scheduler.watch_writable(self._socket.fileno(), self._writable)

    def control(self, message: Any) -> None:
        """Sends a control message: any picklable value."""
        self.send(Frame.CONTROL, 0, dumps(message))

    @property
    def is_flushed(self) -> bool:
        """Whether everything that was sent has left this process."""
        return not self._outgoing

    def close(self) -> None:
        """Closes this end."""
        if not self._closed:
            self._closed = True
            self._scheduler.unwatch(self._socket.fileno())
            self._socket.close()

    def _write(self, data: memoryview) -> memoryview:
        try:
            return data[self._socket.send(data) :]
        except BlockingIOError:
            return data
        except (BrokenPipeError, ConnectionResetError):
            self._lost()
            return data[len(data) :]

    def _writable(self) -> None:
        while self._outgoing:
            rest = self._write(self._outgoing[0])
            if self._closed:
                return
            if len(rest):
                self._outgoing[0] = rest
                return
            self._outgoing.popleft()
        self._scheduler.unwatch_writable(self._socket.fileno())

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._lost()
            return
        self._incoming += data
        self._parse()

    def _parse(self) -> None:
        incoming, position = self._incoming, 0
        while len(incoming) - position >= _HEADER.size:
            kind, channel, size = _HEADER.unpack_from(incoming, position)
            end = position + _HEADER.size + size
            if len(incoming) < end:
                break
            payload = bytes(memoryview(incoming)[position + _HEADER.size : end])
            position = end
            self.on_frame(kind, channel, payload)
        if position:
            del incoming[:position]

    def _lost(self) -> None:
        self.close()
        self.on_lost()

    def _raise_lost(self) -> None:
        raise PeerLostError(f"The connection to {self.name} was lost.")


class OutgoingChannel(Channel):
    """The producer's end of a channel to a subtask in another process."""

    __slots__ = ("_capacity", "_number", "_peer")

    def __init__(self, capacity: int, input_index: int, number: int, peer: Peer) -> None:
        super().__init__(capacity, input_index)
        self._capacity = capacity
        self._number = number
        self._peer = peer

    def put(self, element: Element) -> None:
        """Sends an element; a batch takes a credit."""
        if type(element) is Batch:
            self.credits -= 1
            if self.gate is not None:
                self.gate.charge()
            self._peer.send(Frame.BATCH, self._number, dumps((element.values, element.timestamps, element.keys)))
        else:
            self._peer.send(Frame.EVENT, self._number, dumps(element))

    def discard(self) -> None:
        """The attempt is over: what the consumer had not taken is lost with it."""
        if self.gate is not None:
            self.gate.release(self._capacity - self.credits)


class IncomingChannel(Channel):
    """The consumer's end: filled by the peer, drained by the task, which returns credits in groups."""

    __slots__ = ("_number", "_peer", "_returned")

    def __init__(self, capacity: int, input_index: int, number: int, peer: Peer) -> None:
        super().__init__(capacity, input_index)
        self._number = number
        self._peer = peer
        self._returned = 0

    def receive(self, kind: int, payload: bytes) -> None:
        """A message for this channel arrived."""
        element: Element = Batch(*pickle.loads(payload)) if kind == Frame.BATCH else pickle.loads(payload)
        self.put(element)

    def take(self) -> Element:
        """Removes the first element; credits go back four at a time, or when nothing is left."""
        element = self.queue.popleft()
        if type(element) is Batch:
            self._returned += 1
            if self._returned >= CREDITS_RETURNED_AT or not self.queue:
                self._peer.send(Frame.CREDIT, self._number, self._returned.to_bytes(4, "little"))
                self._returned = 0
        return element

"""Local buffer pools: the network buffers of one result partition, input gate or remote channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import InvariantError
from penstock.memory._buffer_share import BufferShare
from penstock.memory._limit_errors import BufferPoolClosedError

if TYPE_CHECKING:
    from penstock.memory._network_pool import NetworkBufferPool

__all__ = ["LocalBufferPool", "NetworkBuffer"]


class NetworkBuffer:
    """A segment handed out. Owned by whoever requested or retained it; goes back when each has released it.

    Attributes:
        view: the segment, writable, unusable once the buffer went back. Slices of it must not outlive the buffer.
        length_bytes: how much of it is filled; for its users to set and read.
        subpartition: what it was requested for, or None.
    """

    __slots__ = ("_index", "_pool", "_references", "length_bytes", "subpartition", "view")

    def __init__(self, pool: LocalBufferPool, index: int, view: memoryview, subpartition: int | None) -> None:
        self._pool = pool
        self._index = index
        self._references = 1
        self.view = view
        self.length_bytes = 0
        self.subpartition = subpartition

    def retain(self) -> NetworkBuffer:
        """One more user, who will release it too (a broadcast record goes to several channels)."""
        with self._pool._network.lock:
            if not self._references:
                raise InvariantError(f"a network buffer of {self._pool.owner} was retained after it went back")
            self._references += 1
        return self

    def release(self) -> None:
        """One user less; with the last the segment goes back to its pool, to whoever waits longest.

        Raises:
            InvariantError: it went back before.
        """
        pool = self._pool
        with pool._network.lock:
            if not self._references:
                raise InvariantError(f"a network buffer of {pool.owner} was released twice")
            self._references -= 1
            if self._references:
                return
            self.view.release()
            pool._recycle(self._index, self.subpartition)
            wake_ups = pool._network.settle()
        for wake_up in wake_ups:
            wake_up()

    def __enter__(self) -> NetworkBuffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __len__(self) -> int:
        return self.view.nbytes


class LocalBufferPool(BufferShare):
    """The buffers of one partition, gate or channel (Flink's `LocalBufferPool`). Any thread may call it.

    Floating buffers of a gate are a pool from `required floating` to `total floating`; the exclusive buffers of a
    remote channel are a pool whose minimum is its maximum, filled when it is created.
    """

    __slots__ = ("_blocked_subpartitions", "_idle", "_in_subpartition", "_per_subpartition")

    def __init__(
        self,
        network: NetworkBufferPool,
        owner: str,
        required: int,
        maximum: int,
        overdraft: int = 0,
        subpartitions: int = 0,
        buffers_per_subpartition: int = 0,
    ) -> None:
        super().__init__(network, owner, required, maximum, overdraft)
        self._idle: list[int] = []
        self._in_subpartition = [0] * subpartitions
        self._per_subpartition = buffers_per_subpartition
        self._blocked_subpartitions = 0

    def try_request(self, subpartition: int | None = None, *, overdraft: bool = True) -> NetworkBuffer | None:
        """A buffer, or None when there is none now.

        Whether to *begin* a record is `available`'s to say: it is False as soon as one subpartition has its fill. A
        request may then still succeed, and take overdraft buffers, so that a record once begun can be finished.

        Args:
            subpartition: what it is for, to count against that subpartition's limit.
            overdraft: whether it may come out of the overdraft.

        Raises:
            BufferPoolClosedError: the pool is closed.
        """
        with self._network.lock:
            if self._closed:
                raise BufferPoolClosedError(self.owner)
            return self._hand_out(subpartition) if self._take(1, overdraft) else None

    def request(self, timeout_s: float | None = None, subpartition: int | None = None) -> NetworkBuffer | None:
        """A buffer; waits for one, in the order of arrival.

        Args:
            timeout_s: how long to wait; None waits until the pool is closed.
            subpartition: what it is for.

        Returns:
            The buffer, None when the time is up.

        Raises:
            BufferPoolClosedError: the pool is closed, or was while this thread waited.
        """
        if not self._network.take_blocking(self, 1, timeout_s):
            return None
        with self._network.lock:
            return self._hand_out(subpartition)

    def fill(self, timeout_s: float | None) -> bool:
        """Takes all guaranteed buffers now, to have them for good; False when they did not come back in time.

        Raises:
            BufferPoolClosedError: the pool is closed, or was while this thread waited.
        """
        missing = self.required - self._held
        if missing > 0:
            if not self._network.take_blocking(self, missing, timeout_s):
                return False
            self._network.put_back(self, missing)
        return True

    @property
    def idle_buffers(self) -> int:
        """Segments that wait in the pool for the next request."""
        return len(self._idle)

    def _is_available(self) -> bool:
        return not self._blocked_subpartitions and super()._is_available()

    def _hand_out(self, subpartition: int | None) -> NetworkBuffer:
        index = self._idle.pop()
        if subpartition is not None and self._in_subpartition:
            self._in_subpartition[subpartition] += 1
            if self._in_subpartition[subpartition] == self._per_subpartition:
                self._blocked_subpartitions += 1
        return NetworkBuffer(self, index, self._network.segment(index), subpartition)

    def _recycle(self, index: int, subpartition: int | None) -> None:
        if subpartition is not None and self._in_subpartition:
            if self._in_subpartition[subpartition] == self._per_subpartition:
                self._blocked_subpartitions -= 1
            self._in_subpartition[subpartition] -= 1
        self._idle.append(index)
        self._put_back(1)

    def _obtain(self, count: int) -> None:
        self._idle += self._network.pop_segments(count)

    def _give_up(self, count: int) -> None:
        self._network.push_segments(self._idle[-count:])
        del self._idle[-count:]

"""What one owner may use of the network buffer pool: the accounting under local buffer pools and credit gates alike.

A share counts buffers in three stages: `size` is what the owner may use now (between `required` and `maximum`,
changed whenever shares come or go), `held_buffers` what it has taken from the network buffer pool, `used_buffers` what
is handed out. Held buffers that nobody uses stay with the share, as in Flink; a share that shrinks gives them back as
they return.

One lock, the network buffer pool's, guards all shares: there is no order of locks to keep and no wake-up to lose.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import InvariantError
from penstock.memory._limit_errors import BufferPoolClosedError

if TYPE_CHECKING:
    from penstock.memory._network_pool import NetworkBufferPool

__all__ = ["BufferShare", "ShareStatistics", "Waiter", "spread_spare_buffers"]

UNLIMITED_BUFFERS = 2**31 - 1
"""The maximum of a share without one."""


@dataclass(frozen=True, slots=True)
class ShareStatistics:
    """One share at one moment; all figures in buffers.

    Attributes:
        owner: whose it is.
        required: what it is guaranteed.
        maximum: what it may ever use, overdraft apart.
        size: what it may use now.
        held: taken from the network buffer pool, used or not.
        used: handed out.
        peak: the most ever handed out.
    """

    owner: str
    required: int
    maximum: int
    size: int
    held: int
    used: int
    peak: int


class Waiter:
    """A thread that waits for buffers of one share. Guarded by the network buffer pool's lock."""

    __slots__ = ("granted", "ready", "share", "wanted")

    def __init__(self, share: BufferShare, wanted: int, lock: threading.Lock) -> None:
        self.share = share
        self.wanted = wanted
        self.granted = False
        self.ready = threading.Condition(lock)

    @property
    def done(self) -> bool:
        """Whether the thread has what it waited for, or never will."""
        return self.granted or self.share.closed


class BufferShare:
    """The counts of one owner. Owned by the network buffer pool, which created it; any thread may call it.

    Attributes:
        owner: whose it is, for messages and leak reports.
        required: buffers it is guaranteed.
        maximum: buffers it may ever use, overdraft apart.
        overdraft: buffers it may take beyond its size when the network buffer pool has any, so that a record once begun
            can be finished.
    """

    __slots__ = (
        "_closed",
        "_held",
        "_listeners",
        "_network",
        "_peak",
        "_size",
        "_used",
        "maximum",
        "overdraft",
        "owner",
        "required",
    )

    def __init__(self, network: NetworkBufferPool, owner: str, required: int, maximum: int, overdraft: int) -> None:
        self._network = network
        self.owner = owner
        self.required = required
        self.maximum = maximum
        self.overdraft = overdraft
        self._size = required
        self._held = 0
        self._used = 0
        self._peak = 0
        self._closed = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def size(self) -> int:
        """Buffers it may use now."""
        return self._size

    @property
    def held_buffers(self) -> int:
        """Buffers taken from the network buffer pool, used or not."""
        return self._held

    @property
    def used_buffers(self) -> int:
        """Buffers handed out."""
        return self._used

    @property
    def closed(self) -> bool:
        """Whether it was closed; its last buffers may still be out."""
        return self._closed

    @property
    def available(self) -> bool:
        """Whether a buffer can be had now without overdraft. A snapshot: another share may be faster."""
        with self._network.lock:
            return self._is_available()

    def when_available(self, callback: Callable[[], None]) -> None:
        """Calls back once, as soon as a buffer can be had, or when the share is closed; at once if that is so already.

        The callback runs on the thread that gave the buffer back, under no lock, and must not block or raise: a
        scheduler marks the task as ready there. It is a hint, not a claim: the buffer may be gone when the task asks.
        """
        with self._network.lock:
            if not (self._closed or self._is_available()):
                self._listeners.append(callback)
                self._network.listening[self] = None
                return
        callback()

    def statistics(self) -> ShareStatistics:
        """The share's counts now."""
        with self._network.lock:
            return ShareStatistics(
                self.owner, self.required, self.maximum, self._size, self._held, self._used, self._peak
            )

    def close(self) -> None:
        """Gives up the guarantee and the unused buffers; those handed out go back as they return.

        Threads that wait for a buffer get a BufferPoolClosedError. Closing twice does nothing.
        """
        self._network.close_share(self)

    # What follows is called by the network buffer pool and by subclasses, under its lock.

    def _is_available(self) -> bool:
        if self._closed:
            return False
        return self._held > self._used or (self._held < self._size and self._network.free_buffers > 0)

    def _take(self, count: int, allow_overdraft: bool) -> bool:
        """Counts buffers as handed out, if there are so many; else nothing changes."""
        network = self._network
        missing = self._used + count - self._held
        if missing > 0:
            ceiling = self._size + (self.overdraft if allow_overdraft and not network.contended else 0)
            if self._held + missing > ceiling or missing > network.free_buffers:
                return False
            network.free_buffers -= missing
            self._held += missing
            self._obtain(missing)
        self._used += count
        if self._used > self._peak:
            self._peak = self._used
        network.count_used(count)
        return True

    def _put_back(self, count: int) -> None:
        """Counts buffers as returned; what exceeds the size goes on to the network buffer pool."""
        if count > self._used:
            raise InvariantError(f"{self.owner} gave back {count} buffers, but has {self._used}")
        self._used -= count
        self._network.count_used(-count)
        self._trim()
        if self._closed and not self._used:
            self._network.forget(self)

    def _take_if_open(self, count: int) -> bool:
        """Takes buffers without overdraft.

        Raises:
            BufferPoolClosedError: the share is closed.
        """
        if self._closed:
            raise BufferPoolClosedError(self.owner)
        return self._take(count, False)

    def _resize(self, size: int) -> None:
        self._size = size
        self._trim()

    def _trim(self) -> None:
        keep = max(self._used, 0 if self._closed else self._size)
        excess = self._held - keep
        if excess > 0:
            self._held = keep
            self._network.free_buffers += excess
            self._give_up(excess)

    def _obtain(self, count: int) -> None:
        """Buffers joined the share: subclasses with real segments fetch them."""

    def _give_up(self, count: int) -> None:
        """Unused buffers left the share: subclasses with real segments return them."""


def spread_spare_buffers(spare: int, limits: list[tuple[int, int]]) -> list[int]:
    """The sizes of shares when `spare` buffers beyond all guarantees are spread over them.

    Each gets its minimum and a part of `spare` in proportion to maximum - minimum, which counts at most as `spare`
    (Flink 2.2's `NetworkBufferPool.redistributeBuffers`); fractions carry over to the next, so that none is lost.

    Args:
        spare: buffers that are guaranteed to nobody, at least 0.
        limits: (minimum, maximum) of each share, in the order in which they were created.
    """
    wishes = [min(spare, maximum - minimum) for minimum, maximum in limits]
    wished = sum(wishes)
    to_spread = min(spare, wished)
    sizes: list[int] = []
    parts = spread = 0
    for (minimum, _), wish in zip(limits, wishes, strict=True):
        parts += wish
        extra = to_spread * parts // wished - spread if wish else 0
        spread += extra
        sizes.append(minimum + extra)
    return sizes

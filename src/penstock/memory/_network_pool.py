"""Network memory: a fixed number of segments, allocated once, shared by all tasks of a TaskManager across its slots.

Flink's `NetworkBufferPool`. Whether a pool fits depends on guarantees alone, never on what others use at the moment.
"""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from penstock.conf import MemorySize
from penstock.errors import ConfigurationError, InvariantError
from penstock.memory._buffer_share import (
    UNLIMITED_BUFFERS,
    BufferShare,
    ShareStatistics,
    Waiter,
    spread_spare_buffers,
)
from penstock.memory._credit_gate import CreditGate
from penstock.memory._limit_errors import (
    NETWORK_MAX_KEY,
    BufferPoolClosedError,
    BufferRequestTimeoutError,
    InsufficientNetworkBuffersError,
    MemoryLeakError,
)
from penstock.memory._local_pool import LocalBufferPool

__all__ = ["NetworkBufferPool", "NetworkStatistics"]

DEFAULT_BUFFER_SIZE_BYTES = 32 * 1024
DEFAULT_REQUEST_TIMEOUT_S = 30.0
USAGE_WARNING_PERCENT = 100
PROCESS_SIZE_KEY = "taskmanager.memory.process.size"


@dataclass(frozen=True, slots=True)
class NetworkStatistics:
    """Network memory at one moment.

    Attributes:
        buffer_size_bytes: the size of a segment.
        total_buffers: how many there are.
        required_buffers: guaranteed to pools.
        free_buffers: held by no pool.
        used_buffers: handed out by pools.
        peak_buffers: the most ever handed out.
        touched_buffers: segments that were ever written to; the kernel has given memory to these only.
        pools: each pool and gate, in the order of creation; closed ones as long as buffers of theirs are out.
    """

    buffer_size_bytes: int
    total_buffers: int
    required_buffers: int
    free_buffers: int
    used_buffers: int
    peak_buffers: int
    touched_buffers: int
    pools: tuple[ShareStatistics, ...]


class NetworkBufferPool:
    """All network buffers of a process. Owned by the TaskManager; any thread may call it.

    Attributes:
        total_buffers: segments.
        buffer_size_bytes: the size of each.
        lock: guards the pool and all its shares; for this package only, as are `free_buffers`, `listening` and the
            methods documented as called under it.
    """

    def __init__(self, total_bytes: int, buffer_size_bytes: int = DEFAULT_BUFFER_SIZE_BYTES) -> None:
        """Maps all segments at once; a remainder smaller than a segment belongs to nobody.

        Raises:
            ConfigurationError: the system does not give as much.
        """
        self.buffer_size_bytes = buffer_size_bytes
        self.total_buffers = total_bytes // buffer_size_bytes
        self.lock = threading.Lock()
        self.free_buffers = self.total_buffers
        self.listening: dict[BufferShare, None] = {}
        # Anonymous and private: in RssAnon as far as it is used, in RLIMIT_DATA as a whole.
        size_bytes = max(self.total_buffers, 1) * buffer_size_bytes
        try:
            self._mapping = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Network memory of {MemorySize(size_bytes).human()} cannot be had from the system ({error}). Lower "
                f"'{NETWORK_MAX_KEY}', or '{PROCESS_SIZE_KEY}' of which it is a fraction."
            ) from None
        self._view = memoryview(self._mapping)
        self._returned_segments: list[int] = []
        self._fresh_segment = 0
        self._required_buffers = 0
        self._used_buffers = 0
        self._peak_buffers = 0
        self._shares: dict[BufferShare, None] = {}
        self._lingering: dict[BufferShare, None] = {}
        self._waiters: list[Waiter] = []
        self._usage_percent = 0

    @property
    def required_buffers(self) -> int:
        """Buffers guaranteed to pools."""
        return self._required_buffers

    @property
    def used_buffers(self) -> int:
        """Buffers handed out."""
        return self._used_buffers

    @property
    def peak_buffers(self) -> int:
        """The most buffers ever handed out."""
        return self._peak_buffers

    @property
    def touched_buffers(self) -> int:
        """Segments that were ever handed out as memory: the kernel has given memory to these only."""
        return self._fresh_segment

    def check(self, owner: str, required_buffers: int) -> None:
        """Whether all that a task or job will ask for fits, before any of it is asked for.

        Raises:
            InsufficientNetworkBuffersError: it does not; the error names the value that would do for all of it.
        """
        with self.lock:
            self._check(owner, required_buffers)

    def create_pool(
        self,
        owner: str,
        required: int,
        maximum: int = UNLIMITED_BUFFERS,
        *,
        overdraft: int = 0,
        subpartitions: int = 0,
        buffers_per_subpartition: int = 0,
    ) -> LocalBufferPool:
        """A pool for a result partition, or for the floating buffers of an input gate.

        Args:
            owner: whose it is.
            required: buffers guaranteed to it.
            maximum: buffers it may use when others leave them.
            overdraft: buffers beyond that, to finish a record.
            subpartitions: how many subpartitions share it; 0 for gates.
            buffers_per_subpartition: in use by one of them, the pool is no longer available.

        Raises:
            InsufficientNetworkBuffersError: the guarantee does not fit; nothing was taken.
        """
        pool = LocalBufferPool(
            self, owner, required, max(maximum, required), overdraft, subpartitions, buffers_per_subpartition
        )
        self._add(pool)
        return pool

    def create_gate(
        self, owner: str, required: int, maximum: int = UNLIMITED_BUFFERS, *, overdraft: int = 0
    ) -> CreditGate:
        """Credits for an exchange inside the process, with the guarantee and maximum its partition would have.

        Raises:
            InsufficientNetworkBuffersError: the guarantee does not fit; nothing was taken.
        """
        if required < 1:
            raise InvariantError(f"{owner} asked for a credit gate of {required} credits")
        gate = CreditGate(self, owner, required, max(maximum, required), overdraft)
        self._add(gate)
        return gate

    def request_exclusive(
        self, owner: str, count: int, timeout_s: float | None = DEFAULT_REQUEST_TIMEOUT_S
    ) -> LocalBufferPool:
        """The exclusive buffers of a remote channel, taken for good: a pool of fixed size that has them already.

        Args:
            owner: the channel.
            count: how many.
            timeout_s: how long to wait for buffers that others hold beyond their guarantee
                (`taskmanager.network.memory.buffers-request-timeout`).

        Raises:
            InsufficientNetworkBuffersError: they do not fit beside the guarantees of others; nothing was taken.
            BufferRequestTimeoutError: they did not come back in time; nothing was taken.
        """
        pool = self.create_pool(owner, count, count)
        try:
            filled = pool.fill(timeout_s)
        except BaseException:
            pool.close()
            raise
        if not filled:
            pool.close()
            raise BufferRequestTimeoutError(owner, count, timeout_s or 0.0, self._describe_use())
        return pool

    def usage_warning(self) -> str | None:
        """A warning when all pools together could use more than there is, whenever the figure changed; else None."""
        with self.lock:
            wanted = sum(
                share.maximum if share.maximum < UNLIMITED_BUFFERS else 2 * share.required for share in self._shares
            )
            percent = 100 * wanted // self.total_buffers if self.total_buffers else 0
            before, self._usage_percent = self._usage_percent, percent
        if percent < USAGE_WARNING_PERCENT or percent == before:
            return None
        missing_bytes = (wanted - self.total_buffers) * self.buffer_size_bytes
        return (
            f"The network buffers that all tasks could use are {percent}% of those there are ({wanted} of "
            f"{self.total_buffers}); throughput may suffer. {missing_bytes} bytes more in "
            f"'taskmanager.memory.network.min' and 'taskmanager.memory.network.max' would give everyone its maximum."
        )

    def statistics(self) -> NetworkStatistics:
        """The counts of the pool and of each share now."""
        with self.lock:
            shares = (*self._shares, *self._lingering)
        pools = tuple(share.statistics() for share in shares)
        with self.lock:
            return NetworkStatistics(
                self.buffer_size_bytes,
                self.total_buffers,
                self._required_buffers,
                self.free_buffers,
                self._used_buffers,
                self._peak_buffers,
                self._fresh_segment,
                pools,
            )

    def verify_empty(self, owner: str | None = None) -> None:
        """Proves that an owner and its parts (`owner/...`), or everybody, closed their pools and returned every buffer.

        Raises:
            MemoryLeakError: somebody did not; the message names whom, and how many buffers are out or guaranteed.
        """
        with self.lock:
            held = {
                share.owner: max(share.used_buffers, 0 if share.closed else share.required)
                for share in (*self._shares, *self._lingering)
                if owner is None or share.owner == owner or share.owner.startswith(owner + "/")
            }
        if held:
            raise MemoryLeakError("network buffer pool", held, "buffers")

    def close(self) -> None:
        """Unmaps the segments.

        Raises:
            MemoryLeakError: not everything was given back; the segments stay.
        """
        self.verify_empty()
        if self.free_buffers != self.total_buffers or self._required_buffers:
            raise InvariantError(f"network buffers without owners: {self.statistics()}")
        self._view.release()
        self._mapping.close()

    # What follows is for the shares.

    def take_blocking(self, share: BufferShare, count: int, timeout_s: float | None) -> bool:
        """Takes buffers for a share, waiting until others gave them back; False when the time is up."""
        waiter = Waiter(share, count, self.lock)
        try:
            with self.lock:
                if share._take_if_open(count):
                    return True
                self._wait(waiter, timeout_s)
        except BaseException:  # an interrupt while waiting: what was granted meanwhile goes to the next
            if waiter.granted:
                self.put_back(share, count)
            raise
        if not waiter.granted and share.closed:
            raise BufferPoolClosedError(share.owner)
        return waiter.granted

    @property
    def contended(self) -> bool:
        """Whether a thread waits for buffers that are guaranteed to it, under the lock: then nobody gets overdraft."""
        return bool(self._waiters)

    def put_back(self, share: BufferShare, count: int) -> None:
        """Gives buffers of a share back and serves who waits."""
        with self.lock:
            share._put_back(count)
            wake_ups = self.settle()
        for wake_up in wake_ups:
            wake_up()

    def close_share(self, share: BufferShare) -> None:
        """Takes a share out: its guarantee ends, and with its last buffer it is forgotten."""
        with self.lock:
            if share._closed:
                return
            share._closed = True
            share._trim()
            del self._shares[share]
            if share.used_buffers:
                self._lingering[share] = None
            self._required_buffers -= share.required
            self._redistribute()
            wake_ups = self.settle()
        for wake_up in wake_ups:
            wake_up()

    def settle(self) -> list[Callable[[], None]]:
        """After any change, under the lock: hands buffers to waiting threads in the order in which they came.

        Returns:
            The callbacks of shares that became available; the caller runs them once it has left the lock.
        """
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done:
                    waiter.granted = waiter.share._take(waiter.wanted, False)
                if waiter.done:
                    waiter.ready.notify()
            self._waiters = [waiter for waiter in self._waiters if not waiter.done]
        if not self.listening:
            return []
        due: list[Callable[[], None]] = []
        for share in list(self.listening):
            if share.closed or share._is_available():
                del self.listening[share]
                due += share._listeners
                share._listeners = []
        return due

    def count_used(self, delta: int) -> None:
        """Keeps the total and its peak, under the lock."""
        self._used_buffers += delta
        if self._used_buffers > self._peak_buffers:
            self._peak_buffers = self._used_buffers

    def forget(self, share: BufferShare) -> None:
        """The last buffer of a closed share came back, under the lock."""
        self._lingering.pop(share, None)

    def segment(self, index: int) -> memoryview:
        """The bytes of a segment."""
        start = index * self.buffer_size_bytes
        return self._view[start : start + self.buffer_size_bytes]

    def pop_segments(self, count: int) -> list[int]:
        """Free segments, under the lock: returned ones first, so that as few as possible are ever touched."""
        reused = self._returned_segments[-count:]
        del self._returned_segments[-count:]
        fresh = range(self._fresh_segment, self._fresh_segment + count - len(reused))
        self._fresh_segment = fresh.stop
        return [*fresh, *reused]

    def push_segments(self, indexes: list[int]) -> None:
        """Segments that came back, under the lock."""
        self._returned_segments += indexes

    def _wait(self, waiter: Waiter, timeout_s: float | None) -> None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._waiters.append(waiter)
        try:
            while not waiter.done:
                remaining_s = None if deadline is None else deadline - time.monotonic()
                if remaining_s is not None and remaining_s <= 0:
                    break
                waiter.ready.wait(remaining_s)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _add(self, share: BufferShare) -> None:
        with self.lock:
            self._check(share.owner, share.required)
            self._required_buffers += share.required
            self._shares[share] = None
            self._redistribute()
            wake_ups = self.settle()
        for wake_up in wake_ups:
            wake_up()

    def _check(self, owner: str, required_buffers: int) -> None:
        available = self.total_buffers - self._required_buffers
        if required_buffers > available:
            raise InsufficientNetworkBuffersError(
                owner, required_buffers, available, self.total_buffers, self.buffer_size_bytes
            )

    def _redistribute(self) -> None:
        growing = [share for share in self._shares if share.maximum > share.required]
        limits = [(share.required, share.maximum) for share in growing]
        for share, size in zip(
            growing, spread_spare_buffers(self.total_buffers - self._required_buffers, limits), strict=True
        ):
            share._resize(size)

    def _describe_use(self) -> str:
        used = sorted(((pool.used, pool.owner) for pool in self.statistics().pools), reverse=True)
        return ", ".join(f"{owner}: {count}" for count, owner in used[:5] if count) or "none"

"""Credits: how an exchange inside one process is bounded by the same network memory as one between processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import InvariantError
from penstock.memory._buffer_share import BufferShare

if TYPE_CHECKING:
    from penstock.memory._network_pool import NetworkBufferPool

__all__ = ["CreditGate"]


class CreditGate(BufferShare):
    """Credits for batches that are handed over by reference, one network buffer each. Any thread may call it.

    A batch in flight holds its credits until the consumer has taken it. Without credits its producer stops, as it would
    without buffers, so that a slow consumer slows its producers and what is in flight stays bounded. No segment is
    touched: the credits keep the account, the batch itself lives on the heap.
    """

    __slots__ = ("_debt",)

    def __init__(self, network: NetworkBufferPool, owner: str, required: int, maximum: int, overdraft: int) -> None:
        super().__init__(network, owner, required, maximum, overdraft)
        self._debt = 0

    @property
    def debt(self) -> int:
        """Credits charged that no buffer stood for."""
        return self._debt

    def try_acquire(self, credit_count: int = 1) -> int:
        """Takes credits for one batch, all or none.

        Args:
            credit_count: how many buffers the batch would fill; counted as at most the gate's size, so that a batch
                larger than the whole gate passes alone.

        Returns:
            The credits taken, to be given to `release` later; 0 when there are not enough now, or the gate is closed.
        """
        network = self._network
        with network.lock:
            if self._closed:
                return 0
            if credit_count > self._size:
                credit_count = self._size
            if credit_count < 1:
                raise InvariantError(f"{self.owner} asked for {credit_count} credits")
            return credit_count if self._take(credit_count, False) else 0

    def acquire(self, credit_count: int = 1, timeout_s: float | None = None) -> int:
        """Takes credits, waiting for them in the order of arrival; 0 when the time is up.

        Raises:
            BufferPoolClosedError: the gate is closed, or was while this thread waited.
        """
        credit_count = min(credit_count, self.required)
        return credit_count if self._network.take_blocking(self, credit_count, timeout_s) else 0

    def charge(self, credit_count: int = 1) -> None:
        """Takes credits for a batch whose producer cannot stop midway: out of the overdraft, then as debt.

        Until the debt is paid by returning credits, the gate has none to give.
        """
        with self._network.lock:
            for _ in range(credit_count):
                if self._debt or self._closed or not self._take(1, True):
                    self._debt += 1

    def release(self, credit_count: int = 1) -> None:
        """Gives credits back, to whoever waits longest; debt is paid first.

        Raises:
            InvariantError: more than are out.
        """
        if self._debt:
            with self._network.lock:
                paid = min(self._debt, credit_count)
                self._debt -= paid
            credit_count -= paid
        self._network.put_back(self, credit_count)

    def _is_available(self) -> bool:
        return not self._debt and super()._is_available()

    def _take(self, count: int, allow_overdraft: bool) -> bool:
        return not self._debt and super()._take(count, allow_overdraft)

"""What the owners of memory say when a budget is exhausted, misconfigured or not given back."""

from __future__ import annotations

from penstock.conf import MemorySize
from penstock.errors import ConfigurationError, InvariantError, JobError

__all__ = [
    "BufferPoolClosedError",
    "BufferRequestTimeoutError",
    "ContainerLimitError",
    "InsufficientNetworkBuffersError",
    "ManagedFractionError",
    "ManagedMemoryExhaustedError",
    "MemoryLeakError",
]

MANAGED_SIZE_KEY = "taskmanager.memory.managed.size"
CONSUMER_WEIGHTS_KEY = "taskmanager.memory.managed.consumer-weights"
NETWORK_MIN_KEY = "taskmanager.memory.network.min"
NETWORK_MAX_KEY = "taskmanager.memory.network.max"
REQUEST_TIMEOUT_KEY = "taskmanager.network.memory.buffers-request-timeout"


def _human(size_bytes: int) -> str:
    return MemorySize(size_bytes).human()


class MemoryLeakError(InvariantError):
    """Memory was not given back at the end of a task, slot or process: a defect of the owners named.

    Attributes:
        pool: what the memory belongs to.
        owners: owner to what it still holds (bytes, or buffers for the network pool).
    """

    def __init__(self, pool: str, owners: dict[str, int], unit: str = "bytes") -> None:
        held = ", ".join(f"{owner} holds {amount} {unit}" for owner, amount in sorted(owners.items()))
        super().__init__(f"Memory of the {pool} was not given back: {held}.")
        self.pool = pool
        self.owners = owners


class ManagedMemoryExhaustedError(JobError):
    """A reservation of managed memory that does not fit; nothing was reserved.

    Attributes:
        owner: who asked.
        consumer: the consumer type it asked as.
        requested_bytes: how much it asked for.
        available_bytes: what was free.
        total_bytes: the slot's managed memory.
        changes: (key, value) pairs with which the request would have fitted.
    """

    def __init__(
        self, owner: str, consumer: str, requested_bytes: int, available_bytes: int, total_bytes: int, slots: int
    ) -> None:
        needed_bytes = (total_bytes - available_bytes + requested_bytes) * slots
        of_slots = "" if slots == 1 else f" (its share of {slots} slots)"
        super().__init__(
            f"{owner} asked for {_human(requested_bytes)} of managed memory as {consumer}, but "
            f"{_human(available_bytes)} of the slot's {_human(total_bytes)}{of_slots} are free. Nothing was reserved. "
            f"Set '{MANAGED_SIZE_KEY}' to at least {needed_bytes}b, or lower the parallelism in the slot."
        )
        self.owner = owner
        self.consumer = consumer
        self.requested_bytes = requested_bytes
        self.available_bytes = available_bytes
        self.total_bytes = total_bytes
        self.changes: tuple[tuple[str, str | None], ...] = ((MANAGED_SIZE_KEY, f"{needed_bytes}b"),)


class ManagedFractionError(ConfigurationError):
    """A fraction of managed memory that no memory can be had for (Flink's `MemoryManager.validateFraction`).

    Attributes:
        error_id: `fraction-zero` or `fraction-out-of-range`.
        owner: who asked.
        consumer: the consumer type it asked as.
        fraction: the fraction.
        changes: (key, value) pairs that give the consumer type a share; empty for `fraction-out-of-range`.
    """

    def __init__(self, owner: str, consumer: str, fraction: float, weights: dict[str, int]) -> None:
        self.owner = owner
        self.consumer = consumer
        self.fraction = fraction
        self.changes: tuple[tuple[str, str | None], ...] = ()
        if fraction == 0:
            self.error_id = "fraction-zero"
            fixed = dict(weights)
            fixed[consumer] = 30 if consumer == "PYTHON" else 70
            value = ",".join(f"{name}:{weight}" for name, weight in fixed.items())
            self.changes = ((CONSUMER_WEIGHTS_KEY, value),)
            now = ",".join(f"{name}:{weight}" for name, weight in weights.items()) or "nothing"
            message = (
                f"{owner} needs managed memory as {consumer}, but that consumer type has no weight: "
                f"'{CONSUMER_WEIGHTS_KEY}' gives {now}, and what it leaves out has weight 0. Set it to '{value}'."
            )
        else:
            self.error_id = "fraction-out-of-range"
            message = (
                f"{owner} asked for the fraction {fraction!r} of managed memory as {consumer}; fractions lie in (0, 1]."
            )
        super().__init__(message)


class InsufficientNetworkBuffersError(JobError):
    """A pool or channel whose guaranteed buffers do not fit beside those already guaranteed; nothing was taken.

    Attributes:
        owner: who asked.
        required_buffers: what it needs for certain.
        available_buffers: what is not yet guaranteed to others.
        total_buffers: the size of the network memory in buffers.
        buffer_size_bytes: the size of one.
        changes: (key, value) pairs with which the request would have fitted.
    """

    def __init__(
        self, owner: str, required_buffers: int, available_buffers: int, total_buffers: int, buffer_size_bytes: int
    ) -> None:
        needed_bytes = (total_buffers - available_buffers + required_buffers) * buffer_size_bytes
        super().__init__(
            f"Insufficient number of network buffers: {owner} required {required_buffers}, but only "
            f"{available_buffers} available. The total number of network buffers is {total_buffers} of "
            f"{buffer_size_bytes} bytes each. "
            f"Set '{NETWORK_MIN_KEY}' and '{NETWORK_MAX_KEY}' to at least {needed_bytes}b, or lower the parallelism."
        )
        self.owner = owner
        self.required_buffers = required_buffers
        self.available_buffers = available_buffers
        self.total_buffers = total_buffers
        self.buffer_size_bytes = buffer_size_bytes
        self.changes: tuple[tuple[str, str | None], ...] = (
            (NETWORK_MIN_KEY, f"{needed_bytes}b"),
            (NETWORK_MAX_KEY, f"{needed_bytes}b"),
        )


class BufferRequestTimeoutError(JobError):
    """Guaranteed buffers that others hold did not come back in time; nothing was taken.

    Attributes:
        owner: who asked.
        requested_buffers: how many.
        timeout_s: how long it waited.
    """

    def __init__(self, owner: str, requested_buffers: int, timeout_s: float, in_use: str) -> None:
        super().__init__(
            f"{owner} waited {timeout_s:g} s for {requested_buffers} network buffers that are guaranteed to it, but "
            f"they did not come back. In use: {in_use}. Set '{REQUEST_TIMEOUT_KEY}' higher, or find the consumer "
            f"that does not read."
        )
        self.owner = owner
        self.requested_buffers = requested_buffers
        self.timeout_s = timeout_s


class BufferPoolClosedError(JobError):
    """A buffer was asked of a pool that is closed, or was closed meanwhile: the task is being cancelled.

    Attributes:
        owner: whose pool it is.
    """

    def __init__(self, owner: str) -> None:
        super().__init__(f"The buffer pool of {owner} is closed.")
        self.owner = owner


class ContainerLimitError(ConfigurationError):
    """A planned process larger than the container it runs in.

    Attributes:
        planned_bytes: total process memory of the plan.
        limit_bytes: the container's limit.
        limit_source: the file the limit was read from.
        option: the option that sets the planned size.
        changes: (key, value) pairs that make the plan fit.
    """

    def __init__(self, planned_bytes: int, limit_bytes: int, limit_source: str, option: str) -> None:
        mebibytes = limit_bytes >> 20
        super().__init__(
            f"The plan needs {_human(planned_bytes)} of process memory, but the container is limited to "
            f"{_human(limit_bytes)} ({limit_source}): the kernel would kill the process before the plan is used up. "
            f"Set '{option}' to {mebibytes}m or less, or raise the container's limit to at least {planned_bytes} bytes."
        )
        self.planned_bytes = planned_bytes
        self.limit_bytes = limit_bytes
        self.limit_source = limit_source
        self.option = option
        self.changes: tuple[tuple[str, str | None], ...] = ((option, f"{mebibytes}m"),)

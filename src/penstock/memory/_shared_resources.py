"""Resources that several tasks of a slot or process share: the first to ask creates one, the last to leave frees it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from penstock.errors import InvariantError

__all__ = ["SharedLease", "SharedResources"]

T = TypeVar("T")


@dataclass(slots=True)
class _Entry:
    """A living resource and who leases it."""

    resource: Any
    size_bytes: int
    unreserve: Callable[[], None] | None
    dispose: Callable[[Any], None] | None = None
    usage: Callable[[Any], int] | None = None
    owners: list[str] = field(default_factory=list)


class SharedLease(Generic[T]):
    """One owner's share in a resource; a context manager that gives it up. Owned by the task that asked.

    Attributes:
        name: the resource's name.
        owner: who holds this lease.
        resource: what was created by the first lease.
        size_bytes: the bytes the resource was created with, whatever this owner asked for.
    """

    __slots__ = ("_held", "_resources", "name", "owner", "resource", "size_bytes")

    def __init__(self, resources: SharedResources, name: str, owner: str, resource: T, size_bytes: int) -> None:
        self._resources = resources
        self._held = True
        self.name = name
        self.owner = owner
        self.resource = resource
        self.size_bytes = size_bytes

    def release(self) -> None:
        """Gives the share up; the last one disposes of the resource and frees its reservation.

        Raises:
            InvariantError: it was given up before.
        """
        if not self._held:
            raise InvariantError(f"{self.owner} gave up its lease of '{self.name}' twice")
        self._held = False
        self._resources._leave(self.name, self.owner)

    def __enter__(self) -> SharedLease[T]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self.release()


class SharedResources:
    """Shared resources by name, with reference counts (Flink's `SharedResources`).

    Owned by a slot or a process; any thread may call it.
    """

    def __init__(self) -> None:
        # Held while a resource is created: who asks for it meanwhile waits and then shares it.
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def lease(
        self,
        name: str,
        owner: str,
        size_bytes: int,
        create: Callable[[int], T],
        dispose: Callable[[T], None] | None = None,
        reserve: Callable[[int], Callable[[], None]] | None = None,
        usage: Callable[[T], int] | None = None,
    ) -> SharedLease[T]:
        """A share in the resource called `name`, which is created if nobody has one yet.

        Args:
            name: what all who share it call it.
            owner: who asks, for messages and leak reports.
            size_bytes: the bytes to create it with; later askers get it at the size it has.
            create: makes the resource from its size in bytes. May not ask for shared resources itself.
            dispose: frees the resource when the last lease is given up.
            reserve: takes `size_bytes` from a budget before `create` is called, and returns how to give them back.
            usage: reads how many bytes the resource really uses, from any thread.

        Raises:
            Exception: whatever `reserve` or `create` raises; nothing stays reserved.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                entry = self._create(size_bytes, create, reserve)
                entry.dispose = dispose
                entry.usage = usage
                self._entries[name] = entry
            entry.owners.append(owner)
            return SharedLease(self, name, owner, entry.resource, entry.size_bytes)

    def owners(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Name of each living resource to its size in bytes and the owners of its leases."""
        with self._lock:
            return {name: (entry.size_bytes, tuple(entry.owners)) for name, entry in self._entries.items()}

    def idle_bytes(self) -> int:
        """What the living resources were given and do not use now, of those that tell."""
        with self._lock:
            entries = [(entry.size_bytes, entry.usage, entry.resource) for entry in self._entries.values()]
        return sum(max(0, size_bytes - usage(resource)) for size_bytes, usage, resource in entries if usage is not None)

    @staticmethod
    def _create(
        size_bytes: int,
        create: Callable[[int], T],
        reserve: Callable[[int], Callable[[], None]] | None,
    ) -> _Entry:
        unreserve = reserve(size_bytes) if reserve is not None else None
        try:
            resource = create(size_bytes)
        except BaseException:
            if unreserve is not None:
                unreserve()
            raise
        return _Entry(resource, size_bytes, unreserve)

    def _leave(self, name: str, owner: str) -> None:
        with self._lock:
            entry = self._entries[name]
            entry.owners.remove(owner)
            if entry.owners:
                return
            del self._entries[name]
            try:
                if entry.dispose is not None:
                    entry.dispose(entry.resource)
            finally:
                if entry.unreserve is not None:
                    entry.unreserve()

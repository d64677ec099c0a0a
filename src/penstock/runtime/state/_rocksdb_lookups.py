"""Looking up many keys of a store at once: on a thread of its own and on the task's, which writes meanwhile.

rocksdict gives up the interpreter during a multi-get of many keys, and only then. So a thread takes half of a batch's keys;
the task's thread first does what it would have to do anyway, then looks up the other half itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from penstock.common.execution_config import available_cores

__all__ = ["Lookups"]

_SHARED_FROM: Final = 256
"""Keys below which handing half of them over costs more than it saves: about 30 us."""

Values = list[bytes | None]


class Store(Protocol):
    """What is looked into."""

    def get_many(self, keys: list[bytes]) -> Values:
        """The values of keys, given in their order."""
        ...


class Lookups:
    """Owned by the task's thread; its own thread starts with the first large batch and ends with `close`."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._thread: threading.Thread | None = None
        self._may_share = available_cores() > 1
        self._keys: list[bytes] | None = None
        self._values: Values = []
        self._error: BaseException | None = None
        self._asked, self._begun, self._done = (_held_lock() for _ in range(3))

    def get_many(self, keys: list[bytes], meanwhile: Callable[[], None] | None = None) -> Values:
        """The values of keys, given in their order.

        Args:
            keys: in the store.
            meanwhile: what the task's thread has to do besides; it may change other keys of the store.

        Raises:
            Exception: whatever the store or `meanwhile` raised.
        """
        if len(keys) < _SHARED_FROM or not self._may_share:
            if meanwhile is not None:
                meanwhile()
            return self._store.get_many(keys)
        # More for the thread where this one has something else to do first.
        split = len(keys) * (5 if meanwhile is None else 6) // 10
        self._begin(keys[:split])
        try:
            if meanwhile is not None:
                meanwhile()
            rest = self._store.get_many(keys[split:])
        finally:
            self._done.acquire()
        values, self._values = self._values, []
        error, self._error = self._error, None
        if error is not None:
            raise error
        return values + rest

    def _begin(self, keys: list[bytes]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"rocksdb-lookups {self._name}", daemon=True)
            self._thread.start()
        self._keys = keys
        self._asked.release()
        # Until the thread runs: else it could not begin before this one gives up the interpreter.
        self._begun.acquire()

    def _run(self) -> None:
        while True:
            self._asked.acquire()
            keys = self._keys
            if keys is None:
                return
            self._begun.release()
            try:
                self._values = self._store.get_many(keys)
            except BaseException as error:
                self._error = error
            self._done.release()

    def close(self) -> None:
        """Ends the thread."""
        if self._thread is not None:
            self._keys = None
            self._asked.release()
            self._thread.join()
            self._thread = None


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock

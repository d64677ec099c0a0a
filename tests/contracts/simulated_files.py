"""A file system in memory that fails where it is told to, and loses what a real one may lose."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator
from random import Random
from typing import BinaryIO

from penstock.datastream.connectors._output_files import OutputFiles, OutputStream


class Crash(BaseException):
    """The process dies here."""


class _Node:
    """A file's contents: what a process sees, and what a power loss leaves for certain."""

    def __init__(self) -> None:
        self.data = b""
        self.durable = b""


class SimulatedFiles(OutputFiles):
    """One file system over many attempts of a job.

    Names are durable when their directory is synced, contents when their file is. `fail_at` counts operations down: at
    zero the operation fails as `kind` says: `before` or `after` it takes effect the process dies, `torn` a part of a
    write takes effect first, `error` the operation refuses with a full disk and the process lives.
    """

    def __init__(self, resumable: bool = True) -> None:
        self.resumable = resumable
        self.names: dict[str, _Node] = {}
        self.durable_names: dict[str, _Node] = {}
        self.operations = 0
        self.fail_at = -1
        self.kind = "before"
        self.streams: list[_SimulatedStream] = []
        self.journal: list[dict[str, _Node | None]] = []  # changes not yet durable: what paths name then, None nothing

    # -- faults

    def step(self, act: Callable[[], None], torn: Callable[[], None] | None = None) -> None:
        self.operations += 1
        failing = self.fail_at == 0
        self.fail_at -= 1
        if not failing:
            act()
            return
        if self.kind == "error":
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.kind == "torn" and torn is not None:
            torn()
        elif self.kind == "after":
            act()
        raise Crash

    def process_died(self, random: Random) -> None:
        """Buffers of the process are gone, but for a part that may have been written."""
        for stream in self.streams:
            stream.lose_buffer(random)
        self.streams = []

    def power_lost(self, random: Random) -> None:
        """What was not synced is gone, but for a part that may have been written."""
        self.process_died(random)
        names = dict(self.durable_names)
        for change in self.journal[: random.randint(0, len(self.journal))]:
            _apply(change, names)
        for node in set(names.values()) | set(self.names.values()):
            more = node.data[len(node.durable) :] if node.data.startswith(node.durable) else b""
            node.data = node.durable + more[: random.randint(0, len(more))]
            node.durable = node.data
        self.names = names
        self.durable_names = dict(names)
        self.journal = []

    # -- what the sink asks for

    def join(self, base: str, *names: str) -> str:
        return "/".join(filter(None, (base, *names)))

    def create(self, path: str) -> OutputStream:
        if path in self.names:
            raise FileExistsError(errno.EEXIST, "exists", path)
        node = _Node()

        def act() -> None:
            self.names[path] = node
            self.journal.append({path: node})

        self.step(act)
        return self._stream(path, node)

    def resume(self, path: str, size_bytes: int) -> OutputStream:
        node = self.names[path]
        assert size_bytes <= len(node.data), "the length at the checkpoint was not durable"

        def act() -> None:
            node.data = node.data[:size_bytes]
            node.durable = node.durable[:size_bytes]

        self.step(act)
        return self._stream(path, node)

    def _stream(self, path: str, node: _Node) -> OutputStream:
        stream = _SimulatedStream(self, path, node)
        self.streams.append(stream)
        return stream

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self.names[path].data)

    def size(self, path: str) -> int | None:
        node = self.names.get(path)
        return None if node is None else len(node.data)

    def truncate(self, path: str, size_bytes: int) -> None:
        node = self.names[path]

        def act() -> None:
            node.data = node.durable = node.data[:size_bytes]

        self.step(act)

    def rename(self, source: str, target: str) -> None:
        assert target not in self.names, "a file is overwritten"

        def act() -> None:
            self.names[target] = self.names.pop(source)
            self.journal.append({target: self.names[target], source: None})

        self.step(act)

    def sync_names(self, paths: set[str]) -> None:
        for directory in sorted({path.rpartition("/")[0] for path in paths}):
            self.step(lambda directory=directory: self.sync_directory(directory))

    def sync_directory(self, directory: str) -> None:
        rest = []
        for change in self.journal:
            if all(path.rpartition("/")[0] == directory for path in change):
                _apply(change, self.durable_names)
            else:
                rest.append(change)
        self.journal = rest

    def remove(self, path: str) -> None:
        def act() -> None:
            if self.names.pop(path, None) is not None:
                self.journal.append({path: None})

        self.step(act)

    def hidden_files(self, base: str) -> Iterator[str]:
        for path in list(self.names):
            if path.startswith(base) and path.rpartition("/")[2].startswith("."):
                yield path

    # -- what a reader of the output sees

    def visible(self) -> dict[str, bytes]:
        return {path: node.data for path, node in self.names.items() if not path.rpartition("/")[2].startswith(".")}


def _apply(change: dict[str, _Node | None], names: dict[str, _Node]) -> None:
    for path, node in change.items():
        if node is None:
            names.pop(path, None)
        else:
            names[path] = node


class _SimulatedStream(OutputStream):
    def __init__(self, files: SimulatedFiles, path: str, node: _Node) -> None:
        self.files = files
        self.path = path
        self.node = node
        self.buffer = b""
        self.size_bytes = len(node.data)
        self.open = True

    def write(self, data: bytes) -> None:
        assert self.open
        self.buffer += data
        self.size_bytes += len(data)
        if len(self.buffer) > 20:
            self._flush()

    def _flush(self) -> None:
        data, self.buffer = self.buffer, b""

        def put(part: bytes) -> None:
            self.node.data += part

        self.files.step(lambda: put(data), lambda: put(data[: len(data) // 2]))

    def lose_buffer(self, random: Random) -> None:
        if self.open:
            self.node.data += self.buffer[: random.randint(0, len(self.buffer))]
            self.open = False

    def tell(self) -> int:
        return self.size_bytes

    def sync(self) -> None:
        self._flush()

        def act() -> None:
            self.node.durable = self.node.data
            self.files.sync_directory(self.path.rpartition("/")[0])

        self.files.step(act)

    def finish(self) -> None:
        try:
            self.sync()
        finally:
            self._end()

    def close(self) -> None:
        if self.open and self.buffer:
            self.node.data += self.buffer
            self.buffer = b""
        self._end()

    def _end(self) -> None:
        self.open = False
        if self in self.files.streams:
            self.files.streams.remove(self)

"""Pages of managed memory: anonymous private mappings outside the CPython heap, given back to the kernel on release."""

from __future__ import annotations

import mmap

from penstock.errors import InvariantError

__all__ = ["MemoryPage"]

# MAP_PRIVATE, so that a page counts as anonymous memory: in RssAnon and RLIMIT_DATA, and not as shared memory. The
# kernel merges neighbouring pages into one mapping, so a gigabyte of them does not come near `vm.max_map_count`.
_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class MemoryPage:
    """One zeroed page. Owned by the lease it belongs to; once unmapped it cannot be read or written.

    Attributes:
        view: the bytes, writable. Whoever slices it releases the slice before the page is given back.
    """

    __slots__ = ("_mapping", "view")

    def __init__(self, size_bytes: int) -> None:
        """Maps a page.

        Raises:
            OSError: the kernel refuses the mapping.
        """
        self._mapping = mmap.mmap(-1, size_bytes, flags=_FLAGS)
        self.view = memoryview(self._mapping)

    def unmap(self) -> None:
        """Gives the memory back.

        Raises:
            InvariantError: a slice of the view is still in use, or the page was unmapped before.
        """
        if self._mapping.closed:
            raise InvariantError("a page of managed memory was released twice")
        self.view.release()
        try:
            self._mapping.close()
        except BufferError as error:
            self.view = memoryview(self._mapping)
            raise InvariantError("a page of managed memory was released while a slice of it is in use") from error

    def __len__(self) -> int:
        return len(self._mapping)

"""glibc's allocator: how much it keeps free, and giving it back.

It serves blocks from 512 bytes to 128 kB (smaller ones are pymalloc's, larger ones mappings of their own) and keeps what
is freed. Fewer arenas or lower thresholds do not change that for Python's loads, giving back does: docs/memory.md has the
measurements (`benchmarks/allocator_settings.py`).
"""

from __future__ import annotations

from typing import Any

__all__ = ["retained_bytes", "trim"]


def trim() -> bool:
    """Gives free memory back to the kernel, at about 0.5 ms a MiB; False where there was none."""
    guard = _guard()
    if guard is not None:
        return bool(guard.trim())
    libc = _libc()
    return libc is not None and bool(libc.malloc_trim(0))


def retained_bytes() -> int | None:
    """What is free in the allocator's arenas, but still held by the process; None where the allocator is another one.

    Walks the free lists: 0.3 µs when there is little, half a millisecond with 50,000 free chunks. Not for every batch.
    """
    libc = _libc()
    if libc is None or not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = _mallinfo2_type()
    return int(libc.mallinfo2().fordblks)


def _guard() -> Any:
    try:
        from penstock.memory import _heapguard
    except ImportError:
        return None
    return _heapguard


_loaded: list[Any] = []


def _libc() -> Any:
    """The C library if it is glibc; loaded once, since ctypes costs 2.5 ms."""
    if not _loaded:
        import ctypes

        library = ctypes.CDLL(None)
        _loaded.append(library if hasattr(library, "gnu_get_libc_version") else None)
    return _loaded[0]


def _mallinfo2_type() -> Any:
    if len(_loaded) < 2:
        import ctypes

        names = (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
        fields = [(name, ctypes.c_size_t) for name in names]
        _loaded.append(type("Mallinfo2", (ctypes.Structure,), {"_fields_": fields}))
    return _loaded[1]

"""Decompression of input files by the suffix of their names (Flink's `StandardDeCompressors`)."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from penstock.errors import ConfigurationError

__all__ = ["COMPRESSED_SUFFIXES", "decompressed", "is_compressed", "read_errors"]

_BUFFER_BYTES = 128 * 1024


def _deflate(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_InflatedStream(raw), _BUFFER_BYTES))


def _gzip(raw: BinaryIO) -> BinaryIO:
    import gzip

    return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))


def _bzip2(raw: BinaryIO) -> BinaryIO:
    import bz2

    return cast(BinaryIO, bz2.BZ2File(raw, mode="rb"))


def _xz(raw: BinaryIO) -> BinaryIO:
    import lzma

    return cast(BinaryIO, lzma.LZMAFile(raw, mode="rb"))


def _zstandard(raw: BinaryIO) -> BinaryIO:
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigurationError(
            "Reading .zst files needs pyarrow: install penstock[parquet], or compress with gzip, bzip2 or xz."
        ) from error
    return cast(BinaryIO, pyarrow.CompressedInputStream(raw, "zstd"))


_BY_SUFFIX: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "deflate": _deflate,
    "gz": _gzip,
    "gzip": _gzip,
    "bz2": _bzip2,
    "xz": _xz,
    "zst": _zstandard,
}
COMPRESSED_SUFFIXES = tuple(_BY_SUFFIX)


def _suffix(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[2]


def read_errors() -> tuple[type[Exception], ...]:
    """What reading a file raises that is not there, broken, or not of its format."""
    lzma = sys.modules.get("lzma")  # loaded when an .xz file was opened
    errors = (OSError, EOFError, ValueError, zlib.error)
    return errors if lzma is None else (*errors, lzma.LZMAError)


def is_compressed(path: str) -> bool:
    """Whether a file is decompressed while it is read, so that it cannot be split; suffixes are case-sensitive."""
    return _suffix(path) in _BY_SUFFIX


def decompressed(path: str, raw: BinaryIO) -> BinaryIO:
    """A stream of the file's contents; `raw` itself where the name says it is not compressed. Closing is the caller's.

    Raises:
        ConfigurationError: if the compression needs a package that is not installed.
    """
    opener = _BY_SUFFIX.get(_suffix(path))
    return opener(raw) if opener is not None else raw


class _InflatedStream(io.RawIOBase):
    """A zlib stream (`.deflate`, Java's `InflaterInputStream`) as a readable file. Owned by its reader."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._inflater = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = len(buffer)
        data = self._inflater.decompress(self._inflater.unconsumed_tail, wanted)
        while not data and not self._inflater.eof:
            block = self._raw.read(_BUFFER_BYTES)
            if not block:
                raise EOFError("the compressed file ends before its end-of-stream marker")
            data = self._inflater.decompress(block, wanted)
        buffer[: len(data)] = data
        return len(data)

"""Keys as bytes: one deterministic, self-delimiting, reversible encoding, and wrappers for keys that cannot be hashed.

The encoding is the same in every process and on every Python version. It addresses state on disk, decides the key
group, and orders the records of a BATCH sort. Integers, strings and bytes of one length sort as their values do;
beyond that the order means nothing. No encoding is a prefix of another, so encodings can be concatenated.

| tag | type | payload |
| --- | --- | --- |
| 00 | None | |
| 01, 02 | False, True | |
| 03 | int of 64 bits | 8 bytes, big endian, sign bit flipped |
| 04 | larger int | 4 bytes length, two's complement |
| 05 | float | 8 bytes, IEEE 754, order preserving |
| 06, 07 | str, bytes | 4 bytes length, UTF-8 (surrogates passed) or the bytes |
| 08, 09 | tuple, list | 4 bytes count, elements |
| 0a | dict | 4 bytes count, encoded (key, value) pairs in their order as bytes |
| 0b, 0c | set, frozenset | 4 bytes count, encoded elements in their order as bytes |
| 0d | TimeWindow | start and end, each as 03's payload |
| 0e | date | 4 bytes proleptic ordinal |
| 0f | anything else | 4 bytes length, pickle without memo (equal values built differently still pickle equally) |
"""

from __future__ import annotations

import datetime
import io
import pickle
import struct
import sys
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final

from penstock.errors import InvariantError, JobError

__all__ = [
    "PLAIN_KEY_TYPES",
    "FrozenKey",
    "KeyEncodingError",
    "decode_key",
    "encode_key",
    "encode_keys",
    "freeze_key",
    "thaw_key",
]

PLAIN_KEY_TYPES: Final = frozenset({int, str, bytes, float, bool, type(None)})
"""Types whose values `freeze_key` returns as they are: a caller may skip the call."""

_SIGN: Final = 1 << 63
_MASK: Final = (1 << 64) - 1
_PICKLE_PROTOCOL: Final = 4  # fixed: the bytes must not change with the Python version

_pack_int = struct.Struct(">BQ").pack
_pack_length = struct.Struct(">BI").pack
_pack_window = struct.Struct(">BQQ").pack
_pack_double = struct.Struct(">d").pack
_unpack_double = struct.Struct(">d").unpack
_unpack_bits = struct.Struct(">Q").unpack


class KeyEncodingError(JobError):
    """A key that has no stable bytes: it cannot be pickled, or contains itself."""


class FrozenKey:
    """Stands in for a key that cannot be hashed (a list, a dict, a tuple of lists). Immutable; equal by encoding."""

    __slots__ = ("_hash", "encoded")

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        self._hash = hash(encoded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenKey) and self.encoded == other.encoded

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[FrozenKey], tuple[bytes]]:
        return FrozenKey, (self.encoded,)  # the hash of bytes differs from process to process

    def __repr__(self) -> str:
        return f"FrozenKey({thaw_key(self)!r})"


def freeze_key(key: Any) -> Any:
    """Returns `key` itself where it can be hashed, else a `FrozenKey` that can.

    Raises:
        KeyEncodingError: if the key can be neither hashed nor encoded.
    """
    try:
        hash(key)
    except TypeError:
        return FrozenKey(encode_key(key))
    return key


def thaw_key(key: Any) -> Any:
    """The key as the key selector returned it: a fresh equal object for a `FrozenKey`, else `key` itself."""
    return decode_key(key.encoded)[0] if type(key) is FrozenKey else key


def encode_key(key: Any) -> bytes:
    """Encodes a key, a namespace or a map key; see the module's table.

    Raises:
        KeyEncodingError: if the value cannot be pickled or contains itself.
    """
    encoder = _ENCODERS.get(type(key))
    if encoder is not None:
        return encoder(key)
    return _encode_other(key)


def encode_keys(keys: Sequence[Any]) -> list[bytes]:
    """Encodes many; ints, if there is nothing else, in one go.

    Raises:
        KeyEncodingError: as `encode_key`.
    """
    if set(map(type, keys)) == {int}:
        try:
            return list(map(_pack_int, repeat(3), [key + _SIGN for key in keys]))
        except struct.error:  # one of more than 64 bits
            pass
    return list(map(encode_key, keys))


def _encode_int(key: int) -> bytes:
    shifted = key + _SIGN
    if 0 <= shifted <= _MASK:
        return _pack_int(3, shifted)
    data = key.to_bytes((key.bit_length() + 8) // 8, "big", signed=True)
    return _pack_length(4, len(data)) + data


def _encode_float(key: float) -> bytes:
    (bits,) = _unpack_bits(_pack_double(key))
    return _pack_int(5, bits ^ _MASK if bits & _SIGN else bits | _SIGN)


def _encode_str(key: str) -> bytes:
    data = key.encode("utf-8", "surrogatepass")
    return _pack_length(6, len(data)) + data


def _encode_bytes(key: bytes) -> bytes:
    return _pack_length(7, len(key)) + key


def _sequence_encoder(tag: int) -> Callable[[Any], bytes]:
    def encode(key: Any) -> bytes:
        try:
            return _pack_length(tag, len(key)) + b"".join([encode_key(element) for element in key])
        except RecursionError:
            raise KeyEncodingError(_too_deep(key)) from None

    return encode


def _set_encoder(tag: int) -> Callable[[Any], bytes]:
    def encode(key: Any) -> bytes:
        return _pack_length(tag, len(key)) + b"".join(sorted(map(encode_key, key)))

    return encode


def _encode_dict(key: dict[Any, Any]) -> bytes:
    try:
        pairs = sorted(encode_key(name) + encode_key(value) for name, value in key.items())
    except RecursionError:
        raise KeyEncodingError(_too_deep(key)) from None
    return _pack_length(10, len(key)) + b"".join(pairs)


def _encode_frozen(key: FrozenKey) -> bytes:
    return key.encoded


def _encode_date(key: datetime.date) -> bytes:
    return _pack_length(14, key.toordinal())


def _encode_other(key: Any) -> bytes:
    kind = type(key)
    if kind.__module__ == "penstock.datastream.window" and kind.__name__ == "TimeWindow":
        return _pack_window(13, (key.start + _SIGN) & _MASK, (key.end + _SIGN) & _MASK)
    if kind.__module__ == "numpy" and hasattr(key, "item") and getattr(key, "shape", None) == ():
        return encode_key(key.item())  # numpy.int64(1) == 1, so it has to be the same key
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, _PICKLE_PROTOCOL)
    pickler.fast = True
    try:
        pickler.dump(key)
        data = buffer.getvalue()
    except (pickle.PicklingError, AttributeError, TypeError, ValueError, RecursionError):
        data = _pickle_by_value(key)
    return _pack_length(15, len(data)) + data


def _pickle_by_value(key: Any) -> bytes:
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(key, _PICKLE_PROTOCOL)
    except Exception as error:
        raise KeyEncodingError(
            f"The key {key!r} of type {type(key).__qualname__} cannot be pickled ({error}), so it has no stable "
            "identity across processes. Let the key selector return plain values: int, str, bytes, or tuples of them."
        ) from error
    return data


def _too_deep(key: Any) -> str:
    return (
        f"A key of type {type(key).__qualname__} contains itself or is nested too deeply to be encoded. "
        "Let the key selector return plain values: int, str, bytes, or tuples of them."
    )


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\x00",
    bool: lambda key: b"\x02" if key else b"\x01",
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    bytes: _encode_bytes,
    tuple: _sequence_encoder(8),
    list: _sequence_encoder(9),
    dict: _encode_dict,
    set: _set_encoder(11),
    frozenset: _set_encoder(12),
    datetime.date: _encode_date,
    FrozenKey: _encode_frozen,
}


def decode_key(data: bytes, position: int = 0) -> tuple[Any, int]:
    """Decodes one value from `data` at `position`.

    Returns:
        The value, and the position after it.
    """
    tag = data[position]
    position += 1
    if tag == 6:  # the commonest
        start = position + 4
        end = start + int.from_bytes(data[position:start], "big")
        return data[start:end].decode("utf-8", "surrogatepass"), end
    if tag <= 2:
        return (None, False, True)[tag], position
    if tag in (3, 5, 13):
        return _decode_fixed(tag, data, position)
    length = int.from_bytes(data[position : position + 4], "big")
    position += 4
    if tag == 14:
        return datetime.date.fromordinal(length), position
    if 8 <= tag <= 12:
        return _decode_container(tag, length, data, position)
    end = position + length
    payload = data[position:end]
    if tag == 4:
        return int.from_bytes(payload, "big", signed=True), end
    if tag == 7:
        return bytes(payload), end
    if tag == 15:
        return pickle.loads(payload), end
    raise InvariantError(f"unknown key tag {tag} at byte {position - 5} of {bytes(data[:64])!r}")


def _decode_fixed(tag: int, data: bytes, position: int) -> tuple[Any, int]:
    end = position + 8
    bits = int.from_bytes(data[position:end], "big")
    if tag == 3:
        return bits - _SIGN, end
    if tag == 5:
        bits = bits ^ _SIGN if bits & _SIGN else bits ^ _MASK
        return _unpack_double(bits.to_bytes(8, "big"))[0], end
    window_type = sys.modules["penstock.datastream.window"].TimeWindow if _window_loaded() else _load_window()
    return window_type(bits - _SIGN, int.from_bytes(data[end : end + 8], "big") - _SIGN), end + 8


def _window_loaded() -> bool:
    return "penstock.datastream.window" in sys.modules


def _load_window() -> Any:
    import importlib

    return importlib.import_module("penstock.datastream.window").TimeWindow


def _decode_container(tag: int, count: int, data: bytes, position: int) -> tuple[Any, int]:
    elements: list[Any] = []
    for _ in range(count * 2 if tag == 10 else count):
        element, position = decode_key(data, position)
        elements.append(element)
    if tag == 8:
        return tuple(elements), position
    if tag == 9:
        return elements, position
    if tag == 10:
        return dict(zip(elements[::2], elements[1::2], strict=True)), position
    return (set(elements) if tag == 11 else frozenset(elements)), position

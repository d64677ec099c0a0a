"""Values as bytes on disk: compact where their type is declared and they are what it says, pickled otherwise.

A stored value is a tag byte, the stamp in epoch ms (8 bytes, little endian) where the tag's high bit is set, and the
payload. The low seven bits say how the payload is encoded: 0 is pickle, n the n-th codec in the state's schema. A codec
is described by a *code*, plain data that goes into the schema, so that values can be read without their declaration:

| code | value | payload |
| --- | --- | --- |
| `q` | int of 64 bits | 8 bytes, little endian |
| `d` | float | 8 bytes |
| `?` | bool | 1 byte |
| `s` | str | UTF-8 |
| `b` | bytes | as they are |
| `["T", …]` | tuple of the above | fixed parts and the lengths of the others packed together, then the others |
| `["R", [names], …]` | Row of INSERT kind with these field names | as the tuple |
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import InvariantError
from penstock.runtime.state._errors import StateBackendError

if TYPE_CHECKING:
    from penstock.common.typeinfo import TypeInformation

__all__ = ["STAMPED", "ValueCodec", "code_of"]

STAMPED: Final = 0x80
"""The bit of the tag that says that a stamp follows."""

_STAMP: Final = struct.Struct("<q")
_PICKLED: Final = b"\x00"
_FIXED_TYPES: Final[dict[str, type]] = {"q": int, "d": float, "?": bool}

Code = str | list[Any]
Encode = Callable[[Any], bytes]
Decode = Callable[[bytes, int], Any]
"""(stored bytes, where the payload begins) -> value."""


class NotOfTheType(Exception):
    """A value its declared type cannot hold exactly; it is pickled instead."""


def code_of(type_info: TypeInformation | None) -> Code | None:
    """The code of a declared type, None where its values are pickled."""
    from penstock.common import typeinfo

    if isinstance(type_info, typeinfo.BasicTypeInfo):
        return _BASIC_CODES.get(type_info.basic_type.name)
    if isinstance(type_info, typeinfo.PrimitiveArrayTypeInfo):
        return "b" if str(type_info.element_type) == "Byte" else None
    if isinstance(type_info, typeinfo.TupleTypeInfo):
        parts = [code_of(part) for part in type_info.get_field_types()]
        return ["T", *parts] if all(isinstance(part, str) for part in parts) else None
    if isinstance(type_info, typeinfo.RowTypeInfo):
        parts = [code_of(part) for part in type_info.get_field_types()]
        return ["R", type_info.get_field_names(), *parts] if all(isinstance(part, str) for part in parts) else None
    return None


_BASIC_CODES: Final[dict[str, Code]] = {
    "STRING": "s",
    "CHAR": "s",
    "BYTE": "q",
    "SHORT": "q",
    "INT": "q",
    "LONG": "q",
    "FLOAT": "d",
    "DOUBLE": "d",
    "BOOLEAN": "?",
}


def _make(code: Code) -> tuple[Encode, Decode]:
    """Encoder and decoder of payloads for a code."""
    if isinstance(code, list):
        return _make_row(code[1], code[2:]) if code[0] == "R" else _make_tuple(code[1:])
    if code == "s":
        return _encode_str, lambda data, start: data[start:].decode("utf-8", "surrogatepass")
    if code == "b":
        return _encode_bytes, lambda data, start: data[start:]
    return _make_fixed(code)


def _make_fixed(code: str) -> tuple[Encode, Decode]:
    layout, kind = struct.Struct("<" + code), _FIXED_TYPES[code]
    pack, unpack = layout.pack, layout.unpack_from

    def encode(value: Any) -> bytes:
        if type(value) is not kind:
            raise NotOfTheType
        try:
            return pack(value)
        except struct.error:  # an int of more than 64 bits
            raise NotOfTheType from None

    return encode, lambda data, start: unpack(data, start)[0]


def _encode_str(value: Any) -> bytes:
    if type(value) is not str:
        raise NotOfTheType
    return value.encode("utf-8", "surrogatepass")


def _encode_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise NotOfTheType
    return value


def _make_tuple(parts: list[str]) -> tuple[Encode, Decode]:
    pack_fields, unpack_fields = _make_fields(parts)
    count = len(parts)

    def encode(value: Any) -> bytes:
        if type(value) is not tuple or len(value) != count:
            raise NotOfTheType
        return pack_fields(value)

    return encode, lambda data, start: tuple(unpack_fields(data, start))


def _make_row(names: list[str], parts: list[str]) -> tuple[Encode, Decode]:
    from penstock.common.types import Row, RowKind

    pack_fields, unpack_fields = _make_fields(parts)
    count = len(parts)

    def encode(value: Any) -> bytes:
        if type(value) is not Row or len(value) != count or value.get_row_kind() is not RowKind.INSERT:
            raise NotOfTheType
        if getattr(value, "_fields", None) != names:
            raise NotOfTheType
        return pack_fields(tuple(value))

    def decode(data: bytes, start: int) -> Any:
        row = Row(*unpack_fields(data, start))
        row.set_field_names(list(names))
        return row

    return encode, decode


def _make_fields(parts: list[str]) -> tuple[Callable[[tuple[Any, ...]], bytes], Callable[[bytes, int], list[Any]]]:
    """Encoder and decoder of the fields of a tuple or row."""
    layout = struct.Struct("<" + "".join("I" if part in "sb" else part for part in parts))
    pack, unpack, size = layout.pack, layout.unpack_from, layout.size
    kinds = tuple({"s": str, "b": bytes}.get(part) or _FIXED_TYPES[part] for part in parts)
    variable = [index for index, part in enumerate(parts) if part in "sb"]
    texts = frozenset(index for index, part in enumerate(parts) if part == "s")

    def encode(fields: tuple[Any, ...]) -> bytes:
        if tuple(map(type, fields)) != kinds:
            raise NotOfTheType
        packed = list(fields)
        tail = []
        for index in variable:
            data = packed[index].encode("utf-8", "surrogatepass") if index in texts else packed[index]
            packed[index] = len(data)
            tail.append(data)
        try:
            return pack(*packed) + b"".join(tail)
        except struct.error:
            raise NotOfTheType from None

    def decode(data: bytes, start: int) -> list[Any]:
        fields = list(unpack(data, start))
        position = start + size
        for index in variable:
            end = position + fields[index]
            part = data[position:end]
            fields[index] = part.decode("utf-8", "surrogatepass") if index in texts else part
            position = end
        return fields

    return encode, decode


class ValueCodec:
    """Encodes and decodes the values of one state. Owned by one thread.

    Attributes:
        codes: every code its values may be stored in; tag n is `codes[n - 1]`.
        encode: value, or (value, stamp) pair with a time to live -> stored bytes.
        decode: stored bytes -> value, or (value, stamp) pair with a time to live.
    """

    def __init__(
        self,
        state: str,
        codes: list[Code],
        current: Code | None,
        *,
        ttl: bool,
        born_ms: int = 0,
        convert: Callable[[Any], Any] | None = None,
    ) -> None:
        """The codec of a state.

        Args:
            state: its name, for messages.
            codes: the codes of the schema that was restored.
            current: the code of the declared type, None to pickle.
            ttl: whether values are (value, stamp) pairs.
            born_ms: the stamp of values that were stored without one.
            convert: applied to pickled values that are read, when the declared type changed.
        """
        self.codes = list(codes)
        if current is not None and current not in self.codes:
            self.codes.append(current)
        self._state = state
        self._ttl = ttl
        self._born_ms = born_ms
        self._convert = convert
        self._decoders = [_make(code)[1] for code in self.codes]
        self._tag = 0 if current is None else self.codes.index(current) + 1
        self._encode_payload = None if current is None else _make(current)[0]
        self.encode: Encode = self._encoder()
        self.decode: Callable[[bytes], Any] = self._decode
        if not ttl and convert is None and isinstance(current, str) and current in _FIXED_TYPES:
            self.encode, self.decode = self._fixed(current)

    def _fixed(self, code: str) -> tuple[Encode, Callable[[bytes], Any]]:
        """Both directions in one call each for numbers and bools: large batches consist of them."""
        layout, kind, own = struct.Struct("<B" + code), _FIXED_TYPES[code], self._tag
        pack, unpack, size = layout.pack, layout.unpack, layout.size
        encode_any, decode_any = self.encode, self._decode

        def encode(value: Any) -> bytes:
            if type(value) is kind:
                try:
                    return pack(own, value)
                except struct.error:  # an int of more than 64 bits
                    pass
            return encode_any(value)

        def decode(data: bytes) -> Any:
            return unpack(data)[1] if data[0] == own and len(data) == size else decode_any(data)

        return encode, decode

    def _encoder(self) -> Encode:
        dumps, encode_payload, pack_stamp = self._dumps, self._encode_payload, _STAMP.pack
        tag = bytes([self._tag])
        stamped_tag, stamped_pickle = bytes([self._tag | STAMPED]), bytes([STAMPED])
        if self._ttl:

            def encode_stamped(pair: Any) -> bytes:
                value, stamp = pair
                if encode_payload is not None:
                    try:
                        return stamped_tag + pack_stamp(stamp) + encode_payload(value)
                    except NotOfTheType:
                        pass
                return stamped_pickle + pack_stamp(stamp) + dumps(value)

            return encode_stamped
        if encode_payload is None:
            return lambda value: _PICKLED + dumps(value)

        def encode_typed(value: Any) -> bytes:
            try:
                return tag + encode_payload(value)
            except NotOfTheType:
                return _PICKLED + dumps(value)

        return encode_typed

    def _dumps(self, value: Any) -> bytes:
        try:
            return pickle.dumps(value, 5)
        except Exception:
            return dumps_by_value(self._state, value)

    def _decode(self, data: bytes) -> Any:
        tag = data[0]
        start, stamp = 1, self._born_ms
        if tag & STAMPED:
            stamp = _STAMP.unpack_from(data, 1)[0]
            start, tag = 9, tag & ~STAMPED
        if tag == 0:
            value = self._loads(data[start:])
        elif tag <= len(self._decoders):
            value = self._decoders[tag - 1](data, start)
        else:
            raise InvariantError(f"state '{self._state}' holds a value of codec {tag}, which its schema does not have")
        return (value, stamp) if self._ttl else value

    def encode_list(self, elements: list[Any]) -> bytes:
        """The elements of a list, or a part of them: an array of a fixed code, else one pickle."""
        code = self.codes[self._tag - 1] if self._tag else None
        kind = _FIXED_TYPES.get(code) if isinstance(code, str) else None
        if kind in (int, float) and not self._ttl and set(map(type, elements)) == {kind}:
            layout = "q" if kind is int else "d"
            try:
                return bytes([self._tag]) + struct.pack(f"<{len(elements)}{layout}", *elements)
            except struct.error:
                pass  # an int of more than 64 bits
        return bytes([STAMPED if self._ttl else 0]) + self._dumps(elements)

    def decode_list(self, data: bytes) -> list[Any]:
        """What `encode_list` made, in today's form: with or without stamps."""
        tag = data[0]
        if tag not in (0, STAMPED):
            code = self.codes[tag - 1]
            elements = list(struct.unpack_from(f"<{(len(data) - 1) // 8}{code}", data, 1))
        else:
            elements = self._unpickle(data[1:])
        stamped = tag == STAMPED
        if stamped == self._ttl and self._convert is None:
            return elements
        pairs = elements if stamped else [(element, self._born_ms) for element in elements]
        if self._convert is not None:
            pairs = [(self._convert(element), stamp) for element, stamp in pairs]
        return pairs if self._ttl else [element for element, _ in pairs]

    def _loads(self, data: bytes) -> Any:
        value = self._unpickle(data)
        return value if self._convert is None else self._convert(value)

    def _unpickle(self, data: bytes) -> Any:
        try:
            return pickle.loads(data)
        except Exception as error:
            raise StateBackendError(
                f"A value of state '{self._state}' cannot be read: {error}. It was pickled: the modules and classes it "
                "is made of must be importable under the names they had."
            ) from error


def stamp_of(data: bytes) -> int | None:
    """The stamp of stored bytes without decoding the rest."""
    return _STAMP.unpack_from(data, 1)[0] if data[0] & STAMPED else None


def dumps_by_value(state: str, value: Any) -> bytes:
    """Pickles what plain pickle refuses.

    Raises:
        StateBackendError: if cloudpickle refuses it too.
    """
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(value, 5)
    except Exception as error:
        raise StateBackendError(
            f"State '{state}' holds a value that cannot be pickled ({error}), so it can neither be kept on disk nor "
            "checkpointed. Keep plain values in state, and create connections, locks and open files in open()."
        ) from error
    return data

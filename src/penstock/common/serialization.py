"""How values become bytes and back, for message queues and files (`pyflink.common.serialization`)."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from typing import Any

from penstock.common._text import java_text
from penstock.common.typeinfo import PrimitiveArrayTypeInfo, TypeInformation, Types
from penstock.errors import ConfigurationError, UnsupportedFeatureError

__all__ = [
    "BulkWriterFactory",
    "ByteArraySchema",
    "DeserializationSchema",
    "Encoder",
    "SerializationSchema",
    "SimpleStringSchema",
]


class SerializationSchema:
    """Turns a value into the bytes of a message. Immutable and picklable; subclasses write `serialize`."""

    def __init__(self, j_serialization_schema: Any = None) -> None:
        _refuse_java(self, "j_serialization_schema", j_serialization_schema)

    def serialize(self, element: Any) -> bytes:
        """The message."""
        raise NotImplementedError(f"{type(self).__name__} has no serialize()")


class DeserializationSchema:
    """Turns the bytes of a message into a value. Immutable and picklable; subclasses write `deserialize`."""

    def __init__(self, j_deserialization_schema: Any = None) -> None:
        _refuse_java(self, "j_deserialization_schema", j_deserialization_schema)

    def deserialize(self, message: bytes) -> Any:
        """The value; None drops the message."""
        raise NotImplementedError(f"{type(self).__name__} has no deserialize()")

    @property
    def produced_type(self) -> TypeInformation | None:
        """The type of the values, None where the schema does not say."""
        return None


class SimpleStringSchema(SerializationSchema, DeserializationSchema):
    """A message is a text.

    Raises:
        ConfigurationError: for an unknown charset.
    """

    def __init__(self, charset: str = "UTF-8") -> None:
        self._charset = _codec(charset)

    def serialize(self, element: str) -> bytes:
        """Encodes the text."""
        return element.encode(self._charset)

    def deserialize(self, message: bytes) -> str:
        """Decodes the text; bytes that are none become replacement characters, as in Java."""
        return message.decode(self._charset, "replace")

    @property
    def produced_type(self) -> TypeInformation:
        """STRING."""
        return Types.STRING()


class ByteArraySchema(SerializationSchema, DeserializationSchema):
    """A message is its bytes."""

    def __init__(self) -> None:
        pass

    def serialize(self, element: bytes) -> bytes:
        """The bytes."""
        return bytes(element)

    def deserialize(self, message: bytes) -> bytes:
        """The bytes."""
        return message

    @property
    def produced_type(self) -> TypeInformation:
        """PRIMITIVE_ARRAY(BYTE)."""
        return PrimitiveArrayTypeInfo(Types.BYTE())


class Encoder:
    """Writes elements to the files of a file sink. Immutable and picklable.

    Args:
        charset_name: the charset; `Encoder(<java object>)` is PyFlink's, which needs the JVM.
    """

    def __init__(self, charset_name: Any) -> None:
        if not isinstance(charset_name, str):
            raise UnsupportedFeatureError(
                "Encoder(<java object>) wraps a Java object; there is no JVM in this process. "
                "Use Encoder.simple_string_encoder()."
            )
        self._charset = _codec(charset_name)

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> Encoder:
        """One line per element: its Java text and a line feed.

        Raises:
            ConfigurationError: for an unknown charset.
        """
        return Encoder(charset_name)

    def encode_for(self, type_info: TypeInformation | None) -> Callable[[Any], bytes]:
        """The function that makes the bytes of an element of a stream of that type."""
        text, charset = java_text(type_info), self._charset

        def encode(value: Any) -> bytes:
            return (text(value) + "\n").encode(charset, "replace")

        return encode

    def encode_batch_for(self, type_info: TypeInformation | None) -> Callable[[Sequence[Any]], bytes]:
        """The function that makes the bytes of several elements, one after the other."""
        if type(self).encode_for is not Encoder.encode_for or not self._charset.startswith(
            ("utf-8", "ascii", "iso8859")
        ):
            encode = self.encode_for(type_info)
            return lambda values: b"".join(map(encode, values))
        text, charset = java_text(type_info), self._charset
        return lambda values: ("\n".join(map(text, values)) + "\n").encode(charset, "replace") if values else b""


class BulkWriterFactory:
    """Base of the writers of whole files; PyFlink's wraps a Java object, which raises UnsupportedFeatureError."""

    def __init__(self, j_bulk_writer_factory: Any = None) -> None:
        _refuse_java(self, "j_bulk_writer_factory", j_bulk_writer_factory)


class RowDataBulkWriterFactory(BulkWriterFactory):
    """PyFlink's wrapper of a Java factory for rows; constructing it raises UnsupportedFeatureError."""

    def __init__(self, j_bulk_writer_factory: Any, row_type: Any) -> None:
        raise UnsupportedFeatureError(
            f"RowDataBulkWriterFactory of {row_type!r} wraps a Java object; there is no JVM in this process. "
            "Use CsvBulkWriters or ParquetBulkWriters."
        )

    def get_row_type(self) -> Any:
        """Raises UnsupportedFeatureError in effect: there is no instance."""
        raise NotImplementedError


def _codec(charset: str) -> str:
    try:
        return codecs.lookup(charset).name
    except LookupError:
        raise ConfigurationError(f"There is no charset {charset!r}; use UTF-8, ISO-8859-1, UTF-16, …") from None


def _refuse_java(holder: object, parameter: str, value: Any) -> None:
    if value is not None:
        raise UnsupportedFeatureError(
            f"{type(holder).__name__}({parameter}=…) wraps a Java object; there is no JVM in this process. "
            "Use SimpleStringSchema, JsonRowSerializationSchema or a subclass of your own."
        )

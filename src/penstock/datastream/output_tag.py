"""Names of side outputs (`pyflink.datastream.output_tag`)."""

from __future__ import annotations

from typing import NoReturn

from penstock.common.typeinfo import PickledBytesTypeInfo, RowTypeInfo, TypeInformation
from penstock.errors import UnsupportedFeatureError

__all__ = ["OutputTag"]


class OutputTag:
    """Names a side output and its type. Two tags are the same output when their ids are equal. Immutable by use.

    Args:
        tag_id: the name, not empty.
        type_info: the type of the elements; a list of types means ROW, None untyped.

    Raises:
        ValueError: for an empty id.
        TypeError: for a `type_info` of another kind.
    """

    def __init__(self, tag_id: str, type_info: TypeInformation | list[TypeInformation] | None = None) -> None:
        if not tag_id:
            raise ValueError("OutputTag tag_id cannot be None or empty string")
        self.tag_id = tag_id
        self.type_info: TypeInformation
        if type_info is None:
            self.type_info = PickledBytesTypeInfo()
        elif isinstance(type_info, list):
            self.type_info = RowTypeInfo(type_info)
        elif isinstance(type_info, TypeInformation):
            self.type_info = type_info
        else:
            raise TypeError("OutputTag type_info must be None, list or TypeInformation")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputTag) and self.tag_id == other.tag_id

    def __hash__(self) -> int:
        return hash(self.tag_id)

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r}, {self.type_info})"

    def get_java_output_tag(self) -> NoReturn:
        """PyFlink's access to the Java tag.

        Raises:
            UnsupportedFeatureError: always; there is no JVM.
        """
        raise UnsupportedFeatureError(
            "OutputTag.get_java_output_tag is PyFlink's internal access to the JVM; Penstock has none."
        )

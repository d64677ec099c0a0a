"""Types from JSON schemas, as flink-json's `JsonRowSchemaConverter` reads them."""

from __future__ import annotations

import json
from typing import Any

from penstock.common.typeinfo import TypeInformation, Types
from penstock.errors import ConfigurationError

__all__ = ["type_of_json_schema"]

_STRING_FORMATS = {"date": Types.SQL_DATE, "time": Types.SQL_TIME, "date-time": Types.SQL_TIMESTAMP}
_COMBINATIONS = ("allOf", "anyOf", "not", "extends", "disallow")


def type_of_json_schema(json_schema: str) -> TypeInformation:
    """The type of what a JSON schema describes.

    Objects are named rows, arrays object arrays, arrays of fixed items rows; numbers and integers BIG_DEC, strings by
    their `format` and `contentEncoding`. A union may only add null. References are those of one step in the document.

    Raises:
        ConfigurationError: if the text is no JSON, or the schema uses more than that.
    """
    try:
        root = json.loads(json_schema)
    except ValueError as error:
        raise ConfigurationError(f"Invalid JSON schema: {error}") from error
    return _Converter(root).convert("<root>", root, ())


class _Converter:
    def __init__(self, root: Any) -> None:
        self._root = root

    def convert(self, place: str, node: Any, references: tuple[str, ...]) -> TypeInformation:
        """The type of one node; `references` are those followed on the way to it."""
        if not isinstance(node, dict):
            raise ConfigurationError(f"JSON schema: {place} must be an object, got {node!r}")
        for combination in _COMBINATIONS:
            if combination in node:
                raise ConfigurationError(
                    f"JSON schema: unions such as 'allOf' and 'anyOf' are not supported, {place} has {combination!r}"
                )
        if "$ref" in node:
            reference = node["$ref"]
            if reference in references:
                raise ConfigurationError(f"JSON schema: {place} refers to itself by {reference!r}")
            return self.convert(place, self._resolve(reference), (*references, reference))
        if "oneOf" in node:
            return self._union(place, node["oneOf"], references)
        types = node.get("type")
        if types is None:
            raise ConfigurationError(f"JSON schema: no type could be found in node {place}")
        if isinstance(types, list):
            return self._union(place, [{**node, "type": one} for one in types], references)
        return self._single(place, types, node, references)

    def _resolve(self, reference: Any) -> Any:
        node = self._root
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise ConfigurationError(
                f"JSON schema: only references within the document are supported, got {reference!r}"
            )
        for step in reference[2:].split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
        if node is None:
            raise ConfigurationError(f"JSON schema: the reference {reference!r} leads nowhere")
        return node

    def _union(self, place: str, options: Any, references: tuple[str, ...]) -> TypeInformation:
        others = [option for option in options if not (isinstance(option, dict) and option.get("type") == "null")]
        if len(others) != 1:
            raise ConfigurationError(f"JSON schema: a union may have one type and null, {place} has {options!r}")
        return self.convert(place, others[0], references)

    def _single(self, place: str, kind: Any, node: dict[str, Any], references: tuple[str, ...]) -> TypeInformation:
        if kind in ("number", "integer"):
            return Types.BIG_DEC()
        if kind == "boolean":
            return Types.BOOLEAN()
        if kind == "string":
            if node.get("contentEncoding") == "base64":
                return Types.PRIMITIVE_ARRAY(Types.BYTE())
            return _STRING_FORMATS.get(node.get("format", ""), Types.STRING)()
        if kind == "object":
            fields = {
                name: self.convert(f"{place}/{name}", field, references)
                for name, field in node.get("properties", {}).items()
            }
            return Types.ROW_NAMED(list(fields), list(fields.values()))
        if kind == "array":
            return self._array(place, node, references)
        raise ConfigurationError(f"JSON schema: unsupported type {kind!r} in node {place}")

    def _array(self, place: str, node: dict[str, Any], references: tuple[str, ...]) -> TypeInformation:
        items = node.get("items")
        if isinstance(items, list):
            types = [self.convert(f"{place}[{index}]", item, references) for index, item in enumerate(items)]
            return Types.ROW(types)
        if items is None:
            raise ConfigurationError(f"JSON schema: arrays must specify 'items', {place} does not")
        return Types.OBJECT_ARRAY(self.convert(f"{place}/items", items, references))

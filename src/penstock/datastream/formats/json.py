"""JSON messages and files (`pyflink.datastream.formats.json`)."""

from penstock.common._json_rows import JsonRowDeserializationSchema, JsonRowSerializationSchema

__all__ = ["JsonRowDeserializationSchema", "JsonRowSerializationSchema"]

"""Streams and what programs build with them (`pyflink.datastream.data_stream`). Start reading at `_data_stream.py`."""

from penstock.datastream._cached_stream import CachedDataStream
from penstock.datastream._closeable_iterator import CloseableIterator
from penstock.datastream._connected_streams import BroadcastConnectedStream, BroadcastStream, ConnectedStreams
from penstock.datastream._data_stream import DataStream, DataStreamSink
from penstock.datastream._keyed_stream import KeyedStream
from penstock.datastream._windowed_streams import AllWindowedStream, WindowedStream

__all__ = [
    "AllWindowedStream",
    "BroadcastConnectedStream",
    "BroadcastStream",
    "CachedDataStream",
    "CloseableIterator",
    "ConnectedStreams",
    "DataStream",
    "DataStreamSink",
    "KeyedStream",
    "WindowedStream",
]

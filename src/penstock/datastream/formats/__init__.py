"""File and message formats (`pyflink.datastream.formats`): CSV, JSON, Avro, Parquet, ORC.

Covers the readers and writers for FileSource and FileSink, and the row schemas for messages (implemented in
`penstock.common`). Does not cover finding, splitting and committing files (`penstock.datastream.connectors`).
Start reading at `csv.py`. Each format is a module of its own; avro needs fastavro, parquet and orc need pyarrow.
"""

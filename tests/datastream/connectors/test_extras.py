"""Without an extra its connector says in one sentence what to install."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from penstock.common.serialization import SimpleStringSchema
from penstock.datastream.connectors.kafka import KafkaSource
from penstock.datastream.formats.avro import AvroSchema
from penstock.datastream.formats.orc import OrcBulkWriters
from penstock.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat
from penstock.errors import ConfigurationError
from penstock.table import DataTypes

ROW = DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT())])
USES: list[tuple[str, str, Callable[[], Any]]] = [
    (
        "confluent_kafka",
        "kafka",
        lambda: (
            KafkaSource.builder()
            .set_bootstrap_servers("a:1")
            .set_topics("t")
            .set_value_only_deserializer(SimpleStringSchema())
            .build()
        ),
    ),
    ("fastavro", "avro", lambda: AvroSchema.parse_string('"int"')),
    ("pyarrow", "parquet", lambda: ParquetBulkWriters.for_row_type(ROW)),
    ("pyarrow", "parquet", lambda: ParquetColumnarRowInputFormat(ROW)),
    ("pyarrow", "parquet", lambda: OrcBulkWriters.for_row_type(ROW)),
]


@pytest.mark.parametrize(("package", "extra", "use"), USES)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str, use: Callable[[], Any]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError) as caught:
        use()
    assert f"install penstock[{extra}]" in str(caught.value)
    assert str(caught.value).count(". ") == 0

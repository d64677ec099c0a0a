from __future__ import annotations

import logging

import pytest

from penstock.runtime._metrics import DistributionStatistics, MetricRegistry


def test_values_by_identifier() -> None:
    registry = MetricRegistry()
    group = registry.group("Map")
    group.counter("seen").inc(3)
    group.counter("seen").dec()
    group.gauge("level", lambda: 7)
    group.add_group("disk").distribution("size").update(4)
    assert dict(registry.values()) == {
        "Map.seen": 2,
        "Map.level": 7,
        "Map.disk.size.count": 1,
        "Map.disk.size.sum": 4,
        "Map.disk.size.min": 4,
        "Map.disk.size.max": 4,
        "Map.disk.size.mean": 4.0,
    }


def test_key_value_groups_define_a_variable() -> None:
    registry = MetricRegistry()
    registry.group("Map").add_group("table", "orders").counter("rows").inc()
    assert dict(registry.values()) == {"Map.table.orders.rows": 1}
    assert registry.variables("Map.table.orders.rows") == {"<table>": "orders"}
    assert registry.variables("Map.other") == {}


def test_a_name_of_another_kind_works_but_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    registry = MetricRegistry()
    group = registry.group("Map")
    group.counter("x").inc(5)
    with caplog.at_level(logging.WARNING):
        group.meter("x").mark_event()
    assert "Name collision" in caplog.text
    assert dict(registry.values()) == {"Map.x": 5}


def test_a_meter_averages_over_its_time_span() -> None:
    registry = MetricRegistry()
    meter = registry.group("Map").meter("events", 10)
    registry.update(0)
    meter.mark_event(50)
    assert meter.get_count() == 50
    registry.update(4_000)
    assert dict(registry.values())["Map.events.rate"] == 0.0
    registry.update(5_000)
    assert dict(registry.values())["Map.events.rate"] == 5.0
    registry.update(10_000)
    assert dict(registry.values())["Map.events.rate"] == 5.0
    registry.update(15_000)
    assert dict(registry.values())["Map.events.rate"] == 0.0
    meter.mark_event(20)
    registry.update(10**12)
    assert dict(registry.values())["Map.events.rate"] == 0.0


def test_a_failing_gauge_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    registry = MetricRegistry()
    group = registry.group("Map")
    group.gauge("broken", lambda: 1 // 0)
    group.counter("seen")
    with caplog.at_level(logging.WARNING):
        assert dict(registry.values()) == {"Map.broken": None, "Map.seen": 0}
    assert "ZeroDivisionError" in caplog.text


def test_the_latest_gauge_of_a_name_counts() -> None:
    registry = MetricRegistry()
    group = registry.group("Map")
    group.gauge("level", lambda: 1)
    group.gauge("level", lambda: 2)
    assert dict(registry.values()) == {"Map.level": 2}


def test_an_empty_distribution() -> None:
    assert DistributionStatistics(0, 0, None, None).mean is None

"""Metrics as user functions see them (`pyflink.metrics`); the runtime implements the group.

Covers the abstract group and metric classes. Does not cover reporting: `penstock.runtime` does.
Start reading at `metricbase.py`.
"""

from penstock.metrics.metricbase import Counter, Distribution, Meter, Metric, MetricGroup

__all__ = ["Counter", "Distribution", "Meter", "Metric", "MetricGroup"]

"""Options of containers on Kubernetes."""

from __future__ import annotations

from penstock.conf._option import ConfigOption
from penstock.conf._types import DOUBLE

__all__ = ["KubernetesOptions"]


class KubernetesOptions:
    """Kubernetes: memory of containers (Flink's `KubernetesConfigOptions`)."""

    TASK_MANAGER_MEMORY_LIMIT_FACTOR = ConfigOption(
        "kubernetes.taskmanager.memory.limit-factor",
        DOUBLE,
        1.0,
        "Memory limit of a TaskManager's container as a multiple of its request; at least 1.",
    )
    JOB_MANAGER_MEMORY_LIMIT_FACTOR = ConfigOption(
        "kubernetes.jobmanager.memory.limit-factor",
        DOUBLE,
        1.0,
        "Memory limit of the JobManager's container as a multiple of its request; at least 1.",
    )

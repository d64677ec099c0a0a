"""When a task of Flink 1.x may be scheduled (`pyflink.common.input_dependency_constraint`)."""

from enum import Enum

__all__ = ["InputDependencyConstraint"]


class InputDependencyConstraint(Enum):
    """Whether any input or all must have data; a value only, nothing takes it."""

    ANY = 0
    ALL = 1

"""What can be wrong with state: its type, its store, its memory."""

from __future__ import annotations

from penstock.errors import ConfigurationError, JobError

__all__ = ["StateBackendError", "StateMigrationError"]


class StateMigrationError(ConfigurationError):
    """State was written as one kind or type and is now declared as another."""


class StateBackendError(JobError):
    """A state backend that cannot be opened, read or written."""

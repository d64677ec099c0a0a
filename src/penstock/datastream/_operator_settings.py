"""What can be set on the operator that produces a stream, or on a sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from penstock.datastream._transformations import ChainingStrategy, Transformation
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from penstock.datastream.slot_sharing_group import SlotSharingGroup
    from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["OperatorSettings"]

MAX_PARALLELISM_LIMIT = 1 << 15
"""Flink's `KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM`."""


class OperatorSettings:
    """Names, ids, parallelism and chaining of one operator; every setter returns the stream itself."""

    _kind: str
    _env: StreamExecutionEnvironment
    _operator: Transformation | None

    def get_name(self) -> str:
        """The operator's name."""
        return self._own_operator("get_name").name

    def name(self, name: str) -> Self:
        """Names the operator."""
        self._own_operator("name").name = name
        return self

    def uid(self, uid: str) -> Self:
        """Gives the operator an id by which a savepoint finds its state; unique in the job."""
        self._own_operator("uid").uid = uid
        return self

    def set_uid_hash(self, uid_hash: str) -> Self:
        """Sets the operator's 32 hex digits outright.

        Raises:
            ConfigurationError: if these are not 32 hex digits.
        """
        operator = self._own_operator("set_uid_hash")
        if len(uid_hash) != 32 or set(uid_hash.lower()) - set("0123456789abcdef"):
            raise ConfigurationError(
                f"set_uid_hash() takes 32 characters between 0-9, a-f and A-F, got {uid_hash!r}. "
                "To give an operator a name of your own, use uid()."
            )
        operator.uid_hash = uid_hash
        return self

    def set_parallelism(self, parallelism: int) -> Self:
        """Sets the number of the operator's subtasks; -1 means the environment's.

        Raises:
            ConfigurationError: below 1, or other than 1 for an operator that is not parallel.
        """
        operator = self._own_operator("set_parallelism")
        if parallelism < 1 and parallelism != -1:
            raise ConfigurationError(
                f"The parallelism of an operator must be at least 1, or -1 (use the environment's); "
                f"'{operator.name}' was given {parallelism}."
            )
        if operator.non_parallel and parallelism not in (1, -1):
            raise ConfigurationError(
                f"The parallelism of non parallel operator must be 1; '{operator.name}' was given {parallelism}."
            )
        operator.parallelism = None if parallelism == -1 else parallelism
        return self

    def set_max_parallelism(self, max_parallelism: int) -> Self:
        """Sets the number of key groups, 1 to 32768.

        Raises:
            ConfigurationError: outside of that, or other than 1 for an operator that is not parallel.
        """
        operator = self._own_operator("set_max_parallelism")
        if not 0 < max_parallelism <= MAX_PARALLELISM_LIMIT:
            raise ConfigurationError(
                f"The maximum parallelism must be between 1 and {MAX_PARALLELISM_LIMIT}; "
                f"'{operator.name}' was given {max_parallelism}."
            )
        if operator.non_parallel and max_parallelism != 1:
            raise ConfigurationError(
                f"The maximum parallelism of non parallel operator must be 1; "
                f"'{operator.name}' was given {max_parallelism}."
            )
        operator.max_parallelism = max_parallelism
        return self

    def force_non_parallel(self) -> Self:
        """Gives the operator one subtask for good."""
        operator = self._own_operator("force_non_parallel")
        operator.parallelism = operator.max_parallelism = 1
        operator.non_parallel = True
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> Self:
        """How long a result may wait in a batch that is not full, in ms; -1 means the environment's.

        Raises:
            ConfigurationError: below -1.
        """
        if timeout_millis < -1:
            raise ConfigurationError(f"The timeout of a buffer must not be negative, got {timeout_millis}")
        operator = self._own_operator("set_buffer_timeout")
        operator.buffer_timeout_ms = None if timeout_millis == -1 else timeout_millis
        return self

    def start_new_chain(self) -> Self:
        """Does not chain the operator to its input."""
        self._own_operator("start_new_chain").chaining = ChainingStrategy.HEAD
        return self

    def disable_chaining(self) -> Self:
        """Chains the operator neither to its input nor to what reads it."""
        self._own_operator("disable_chaining").chaining = ChainingStrategy.NEVER
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> Self:
        """Puts the operator into a slot sharing group, and its consumers unless they choose another."""
        operator = self._own_operator("slot_sharing_group")
        if isinstance(slot_sharing_group, str):
            operator.slot_sharing_group = slot_sharing_group
        else:
            self._env.register_slot_sharing_group(slot_sharing_group)
            operator.slot_sharing_group = slot_sharing_group.get_name()
        return self

    def set_description(self, description: str) -> Self:
        """Describes the operator at more length than its name, for plans."""
        self._own_operator("set_description").description = description
        return self

    def _own_operator(self, method: str) -> Transformation:
        if self._operator is None:
            raise ConfigurationError(
                f"{method}() concerns an operator, and this {self._kind} is not what one operator returned but a "
                f"partitioning, a union or a source shared by several. Call {method}() on the stream that map(), "
                "process() or another operator returned."
            )
        return self._operator

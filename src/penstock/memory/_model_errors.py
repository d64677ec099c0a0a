"""Errors of the memory model: what contradicts what, with all numbers, and what to change."""

from __future__ import annotations

from penstock.conf import OptionValueError, Record, Source, human_readable
from penstock.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.conf import Configuration

__all__ = ["COMPONENT_NAMES", "Input", "MemoryPlanError", "Suggestion", "listed"]

COMPONENT_NAMES = {
    "total_process": "total process memory",
    "total_flink": "total Flink memory",
    "jvm_heap": "heap",
    "off_heap": "off-heap",
    "framework_heap": "framework heap",
    "framework_off_heap": "framework off-heap",
    "task_heap": "task heap",
    "task_off_heap": "task off-heap",
    "network": "network memory",
    "managed": "managed memory",
    "jvm_direct": "direct memory",
    "jvm_metaspace": "metaspace",
    "jvm_overhead": "overhead",
}
"""Components as sentences call them."""


def listed(sizes: Mapping[str, int]) -> str:
    """Components with their sizes, for messages: `task heap (1 ...), managed memory (...) and overhead (...)`."""
    parts = [f"{COMPONENT_NAMES[component]} ({human_readable(size)})" for component, size in sizes.items()]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


class Input(Record):
    """A configured value that went into a plan.

    Attributes:
        option: the option's proper key.
        key: the key that held the value: the proper one, an older or a foreign one.
        value: the value as configured.
        source: where it came from; None when nobody said.
    """

    option: str
    key: str
    value: object
    source: Source | None = None

    def __str__(self) -> str:
        where = f" ({self.source})" if self.source is not None else ""
        plain = not isinstance(self.value, str) or (self.value and self.value.strip() == self.value)
        return f"{self.key}: {self.value if plain else repr(self.value)}{where}"


class Suggestion(Record):
    """A change of the configuration that resolves an error.

    Attributes:
        changes: (key, value) pairs to set together; value None removes the key.
        reason: why, one clause.
    """

    changes: tuple[tuple[str, str | None], ...]
    reason: str

    def __str__(self) -> str:
        parts = [f"remove {key}" if value is None else f"set {key}: {value}" for key, value in self.changes]
        return f"{' and '.join(parts)} ({self.reason})"

    def apply_to(self, configuration: Configuration) -> Configuration:
        """A copy of the configuration with the changes made."""
        changed = configuration.copy()
        for key, value in self.changes:
            if value is None:
                changed.remove(key)
            else:
                changed.set(key, value)
        return changed


class MemoryPlanError(ConfigurationError):
    """A configuration that the memory model refuses.

    `str()` gives the message, the configured values that took part, and what would resolve it.

    Attributes:
        error_id: the rule that was broken, such as `tm-derived-parts-exceed-flink`; `size-unreadable` and
            `value-unparsable` for values that cannot be converted.
        option: the key at fault where there is one, else None.
        detail: for unreadable sizes why, such as `size-unknown-unit`; else None.
        summary: the message alone.
        inputs: the configured values that took part.
        remarks: what the model remarked on before it failed.
        changes: a first try at a remedy, (key, value) pairs; `suggestions` has those that are known to work.
        numbers: the sizes that were compared, in bytes, by name.
    """

    def __init__(
        self,
        error_id: str,
        summary: str,
        option: str | None = None,
        *,
        detail: str | None = None,
        changes: tuple[tuple[str, str | None], ...] = (),
        numbers: dict[str, int] | None = None,
    ) -> None:
        super().__init__(summary)
        self.error_id = error_id
        self.option = option
        self.detail = detail
        self.summary = summary
        self.changes = changes
        self.numbers = numbers or {}
        self.inputs: tuple[Input, ...] = ()
        self.remarks: tuple[str, ...] = ()
        self._configuration: Configuration | None = None
        self._planner: Callable[[Configuration], object] | None = None

    @classmethod
    def of_value(cls, error: OptionValueError) -> MemoryPlanError:
        """The error for a value that cannot be converted."""
        return cls(error.error_id, str(error), error.option, detail=error.detail, changes=error.changes)

    def complete(
        self,
        inputs: tuple[Input, ...],
        remarks: tuple[str, ...],
        configuration: Configuration,
        planner: Callable[[Configuration], object],
    ) -> None:
        """Notes where the error happened; `planner` is the function that raised it, for finding suggestions."""
        self.inputs = tuple([each for each in inputs if each.source is None or each.source.kind != "derived"])
        self.remarks = remarks
        self._configuration = configuration.copy()
        self._planner = planner

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """Changes each of which makes the configuration valid, the one to prefer first; searched for on each access."""
        if self._configuration is None or self._planner is None:
            return ()
        from penstock.memory._suggestions import find_suggestions

        return find_suggestions(self, self._configuration, self._planner)

    def __str__(self) -> str:
        lines = [self.summary]
        if self.inputs:
            lines += ["Configured:", *(f"  {configured}" for configured in self.inputs)]
        suggestions = self.suggestions
        if suggestions:
            lines += ["To resolve it:" if len(suggestions) == 1 else "To resolve it, one of:"]
            lines += [f"  {suggestion}" for suggestion in suggestions]
        return "\n".join(lines)

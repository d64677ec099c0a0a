"""How the memory model looks options up: each look-up may leave a remark, and each value read is kept as an input."""

from __future__ import annotations

from penstock.conf import MAP, human_readable, parse_bytes, size_bytes
from penstock.memory._arithmetic import fraction_of, inverse_ratio
from penstock.memory._model_errors import Input, MemoryPlanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypeVar

    from penstock.conf import ConfigOption, Configuration, MemorySize

    T = TypeVar("T")

__all__ = ["OptionReader", "Range"]

_MISSING = object()

Range = tuple[int, int, float]
"""Least size, greatest size, fraction."""


class OptionReader:
    """Reads options for one plan and collects remarks and inputs on the way. Used by one call of one `plan_…` function.

    Attributes:
        configuration: what is read.
        remarks: `LEVEL id`, each once, in the order of occurrence.
        inputs: option key -> (key that held it, raw value), for each configured value that was read.
        steps: what the plan's components came from, see `_provenance.Step`.
    """

    __slots__ = ("_values", "configuration", "inputs", "remarks", "steps")

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._values = configuration.raw_values()
        self.remarks: dict[str, None] = {}
        self.inputs: dict[str, tuple[str, object]] = {}
        self.steps: list[tuple[Any, ...]] = []

    def remark(self, text: str) -> None:
        """Notes a remark, `LEVEL id`."""
        self.remarks[text] = None

    def is_set(self, option: ConfigOption[Any]) -> bool:
        """Whether the option is set, readable or not."""
        return self._find(option) is not _MISSING

    def _find(self, option: ConfigOption[Any]) -> object:
        values = self._values
        if option.key in values:
            self.inputs[option.key] = option.key, values[option.key]
            return values[option.key]
        for key in option.fallback_keys:
            if key in values:
                kind = "deprecated" if key in option.older_keys else "foreign"
                self.remarks[f"WARN {kind}-key:{key}"] = None
                self.inputs[option.key] = key, values[key]
                return values[key]
        if option.type is MAP:
            found = self.configuration.lookup(option)
            if found is not None:
                self.inputs[option.key] = found
                return found[1]
        return _MISSING

    def size(self, option: ConfigOption[Any], error_id: str = "size-unreadable") -> int:
        """Reads a size that has a default, or is known to be set, in bytes.

        Raises:
            MemoryPlanError: `error_id`, with the reason as detail.
        """
        raw = self._find(option)
        if raw is _MISSING:
            default: MemorySize = option.default
            return default.bytes
        try:
            return parse_bytes(raw) if type(raw) is str else size_bytes(raw)
        except ValueError as error:
            self._refuse(option, error, error_id)

    def plain_size(self, option: ConfigOption[Any]) -> int:
        """Reads a size where Flink reads it plainly: unreadable, it is `value-unparsable`."""
        return self.size(option, "value-unparsable")

    def value(self, option: ConfigOption[T]) -> T:
        """Reads an option of any type but size, or its default.

        Raises:
            MemoryPlanError: `value-unparsable`.
        """
        raw = self._find(option)
        if raw is _MISSING:
            return option.default
        try:
            return option.type.convert(raw)
        except ValueError as error:
            self._refuse(option, error, "value-unparsable")

    def _refuse(self, option: ConfigOption[Any], error: ValueError, error_id: str) -> NoReturn:
        raise MemoryPlanError.of_value(self.configuration.value_error(option, error, error_id)) from None

    def range(self, least: ConfigOption[Any], greatest: ConfigOption[Any], fraction: ConfigOption[float]) -> Range:
        """Reads a fraction with its limits: minimum, maximum, fraction, and then checks them.

        Raises:
            MemoryPlanError: `size-unreadable`, `value-unparsable` or `range-inconsistent`.
        """
        bounds = self.size(least), self.size(greatest), self.value(fraction)
        if bounds[0] > bounds[1] or not 0 <= bounds[2] < 1:
            raise MemoryPlanError(
                "range-inconsistent",
                f"'{fraction.key}' ({bounds[2]!r}) must be at least 0 and less than 1, and its minimum '{least.key}' "
                f"({human_readable(bounds[0])}) at most its maximum '{greatest.key}' ({human_readable(bounds[1])}).",
                fraction.key,
            )
        return bounds

    def capped(self, base: int, bounds: Range, component: str, *, inverse: bool = False) -> int:
        """A fraction of a base within its limits, remarked on where a limit holds.

        Args:
            base: bytes.
            bounds: as `range` reads them.
            component: what the remark names.
            inverse: the fraction is not of the base but of the base and the result together.
        """
        least, greatest, fraction = bounds
        exact = fraction_of(base, inverse_ratio(fraction) if inverse else fraction)
        size, clamped = exact, None
        if exact > greatest:
            size, clamped = greatest, "capped-to-max"
        elif exact < least:
            size, clamped = least, "raised-to-min"
        if clamped is not None:
            self.remarks[f"INFO {clamped}:{component}"] = None
        rule = "inverse-fraction" if inverse else "fraction"
        self.steps.append((component, size, rule, (base, fraction, exact, least, greatest, clamped)))
        return size

    def run(self, plan: Callable[[OptionReader], T], planner: Callable[[Configuration], object]) -> T:
        """Runs a derivation and completes the error it may raise; `planner` is the public function that was called."""
        try:
            return plan(self)
        except MemoryPlanError as error:
            error.complete(self.configured_inputs(), tuple(self.remarks), self.configuration, planner)
            raise

    def configured_inputs(self) -> tuple[Input, ...]:
        """The configured values read so far, with their sources."""
        source = self.configuration.source
        return tuple([Input(option, key, value, source(key)) for option, (key, value) in self.inputs.items()])

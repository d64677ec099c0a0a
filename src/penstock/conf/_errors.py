"""Errors of the configuration floor; each carries its machine-readable id beside the message."""

from __future__ import annotations

from penstock.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf._configuration import Source

__all__ = ["ConfigurationFileError", "MemorySizeError", "OptionValueError"]


class MemorySizeError(ConfigurationError, ValueError):
    """A text that is no memory size.

    Attributes:
        error_id: `size-empty`, `size-no-number`, `size-number-overflow`, `size-unknown-unit` or `size-bytes-overflow`.
        text: what was to be read.
    """

    def __init__(self, error_id: str, text: str, message: str) -> None:
        super().__init__(message)
        self.error_id = error_id
        self.text = text


class OptionValueError(ConfigurationError):
    """The value of an option cannot be converted to the option's type.

    Attributes:
        error_id: `value-unparsable`, or `size-unreadable` for a size the memory model reads.
        option: the option's proper key, also where an older key held the value.
        detail: for sizes, why: the `error_id` of a `MemorySizeError`; else None.
        key: the key that held the value.
        value: the value as configured.
        source: where it came from, None when unknown.
        reason: what is wrong with it, in words.
        hint: an example of a value that would do.
        changes: (key, value) pairs which, applied together, replace the value by one that can be read; value None
            removes the key.
    """

    def __init__(
        self,
        option: str,
        key: str,
        value: object,
        reason: str,
        *,
        error_id: str = "value-unparsable",
        detail: str | None = None,
        source: Source | None = None,
        hint: str = "",
        changes: tuple[tuple[str, str | None], ...] = (),
    ) -> None:
        where = f" ({source})" if source is not None else ""
        held_by = f", set by its older key '{key}'" if key != option else ""
        then = f" {hint}" if hint else ""
        super().__init__(f"The value {value!r} of '{option}'{held_by}{where} cannot be used: {reason}.{then}")
        self.error_id = error_id
        self.option = option
        self.detail = detail
        self.key = key
        self.value = value
        self.source = source
        self.reason = reason
        self.hint = hint
        self.changes = changes


class ConfigurationFileError(ConfigurationError):
    """A configuration file that cannot be read or parsed.

    Attributes:
        error_id: `yaml-invalid`, `json-invalid`, `properties-invalid` or `file-unreadable`.
        path: the file, or the name of the variable that held the text.
        line: from 1, None when unknown.
        column: from 1, None when unknown.
    """

    def __init__(
        self, error_id: str, path: str, reason: str, line: int | None = None, column: int | None = None
    ) -> None:
        place = path if line is None else f"{path}, line {line}" + ("" if column is None else f", column {column}")
        super().__init__(f"{place}: {reason}")
        self.error_id = error_id
        self.path = path
        self.line = line
        self.column = column
        self.reason = reason

"""The declaration of an option."""

from __future__ import annotations

from penstock.conf._types import GenericBase, OptionType, T_co

__all__ = ["ConfigOption"]


class ConfigOption(GenericBase[T_co]):
    """One configuration option. Declared once, in a module `penstock.conf._*_options`, and never changed.

    Attributes:
        key: the proper key.
        type: an `OptionType`; decides the Python type of the value.
        default: the value when nothing is set, None when there is none (declare it `ConfigOption[int | None]` then).
        description: one or more sentences for the reference; Markdown.
        older_keys: keys it had before, looked up in this order when the proper key is not set; their use is remarked
            on.
        foreign_keys: keys another project gave it, looked up last; their use is remarked on.
        default_text: the default as the reference prints it, where that differs from the value's own text.
    """

    __slots__ = (
        "all_keys",
        "default",
        "default_text",
        "description",
        "fallback_keys",
        "foreign_keys",
        "key",
        "older_keys",
        "type",
    )

    def __init__(
        self,
        key: str,
        type: OptionType[T_co] | OptionType[object],  # noqa: A002 - the field's name in Flink and here
        default: T_co,
        description: str,
        older_keys: tuple[str, ...] = (),
        *,
        foreign_keys: tuple[str, ...] = (),
        default_text: str | None = None,
    ) -> None:
        self.key = key
        self.type: OptionType[T_co] = type  # type: ignore[assignment]  # an option without default has a type wider than its values
        self.default = default
        self.description = description
        self.older_keys = older_keys
        self.foreign_keys = foreign_keys
        self.fallback_keys = older_keys + foreign_keys
        self.all_keys = (key, *self.fallback_keys)
        self.default_text = default_text

    def __repr__(self) -> str:
        return f"ConfigOption({self.key!r})"

    def __reduce__(self) -> str | tuple[object, ...]:
        # Declarations are shared: an unpickled option is the declared one.
        return _declared, (self.key,)


def _declared(key: str) -> ConfigOption[object]:
    from penstock.conf._registry import find_option

    option = find_option(key)
    if option is None:
        raise LookupError(f"no option with the key '{key}' is declared")
    return option

"""Row and RowKind (`pyflink.common.types`).

A row is a fixed number of values, with names for them or without, and the kind of change it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, NoReturn

__all__ = ["Row", "RowKind"]


class RowKind(Enum):
    """The kind of change a row describes (Flink's `org.apache.flink.types.RowKind`)."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return _SHORT_NAMES[self.value]

    def to_j_row_kind(self) -> NoReturn:
        """PyFlink's bridge to the Java enum.

        Raises:
            UnsupportedFeatureError: always; there is no JVM.
        """
        from penstock.errors import UnsupportedFeatureError

        raise UnsupportedFeatureError(
            "RowKind.to_j_row_kind is PyFlink's internal access to the JVM; Penstock has none. Use the RowKind itself."
        )


_SHORT_NAMES = ("+I", "-U", "+U", "-D")
_INSERT = RowKind.INSERT


class Row:
    """Values by position, and by name where the row has names.

    Made of values (`Row(1, 'x')`) or of named values (`Row(a=1, b='x')`). Reads by index, slice, name in brackets,
    and attribute; writes by index, slice or name in brackets. Calling a row of names makes a row of those names:
    `Row('a', 'b')(1, 'x')`.

    Two rows are equal when both have names or neither has, their kinds are equal, and so are their values: those of
    named rows by name whatever the order. The hash is that of the values by position, so equal named rows whose
    order differs have different hashes, as in PyFlink.

    Not thread-safe; owned by whoever made it.
    """

    __slots__ = ("_names", "_row_kind", "_values")

    _names: list[str] | None
    _row_kind: RowKind
    _values: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            if args:
                raise ValueError("A Row is made of values or of named values, can not use both args and kwargs.")
            _set_names(self, list(kwargs))
            _set_values(self, list(kwargs.values()))
        else:
            _set_names(self, None)
            _set_values(self, list(args))
        _set_kind(self, _INSERT)

    @staticmethod
    def of_kind(row_kind: RowKind, *args: Any, **kwargs: Any) -> Row:
        """A row of the given kind; the other arguments are the constructor's."""
        row = Row(*args, **kwargs)
        row.set_row_kind(row_kind)
        return row

    def as_dict(self, recursive: bool = False) -> dict[str, Any]:
        """Values by name.

        Args:
            recursive: also turns rows inside the values, and inside lists and dicts among them, into dicts.

        Raises:
            TypeError: if the row has no names.
        """
        if self._names is None:
            raise TypeError(f"{self!r} has no field names, so it cannot be turned into a dict; use Row(name=value, …)")
        values = [_plain(value) for value in self._values] if recursive else self._values
        return dict(zip(self._names, values, strict=False))

    def get_row_kind(self) -> RowKind:
        """The kind of change, INSERT unless set."""
        return self._row_kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        """Changes the kind."""
        object.__setattr__(self, "_row_kind", row_kind)

    def set_field_names(self, field_names: list[str]) -> None:
        """Names the values, replacing earlier names; the list is kept, not copied."""
        object.__setattr__(self, "_names", field_names)

    def get_fields_by_names(self, names: Sequence[str]) -> list[Any]:
        """The values in the order of `names`; a row without names gives its values as they are.

        Raises:
            Exception: if the row has names and one of `names` is not among them.
        """
        own = self._names
        if own is None or names == own:
            return self._values
        missing = [name for name in names if name not in own]
        if missing:
            raise Exception(f"Field names {missing} not exist in {own}.")
        return [self._values[own.index(name)] for name in names]

    def _is_retract_msg(self) -> bool:
        return self._row_kind is RowKind.UPDATE_BEFORE or self._row_kind is RowKind.DELETE

    def _is_accumulate_msg(self) -> bool:
        return not self._is_retract_msg()

    @property
    def _fields(self) -> list[str]:
        """PyFlink's attribute: present on named rows only."""
        if self._names is None:
            raise AttributeError("_fields")
        return self._names

    def __contains__(self, item: object) -> bool:
        return item in (self._values if self._names is None else self._names)

    def __call__(self, *args: Any) -> Row:
        """A row of these values, named by the values of this one."""
        if len(args) > len(self._values):
            raise ValueError(f"Can not create Row with fields {self}, expected {len(self)} values but got {args}")
        return _create_row(self._values, args, self._row_kind)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, slice)):
            return self._values[item]
        return self._values[self._position(item)]

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, (int, slice)):
            self._values[key] = value
            return
        if self._names is None:
            raise KeyError(key)
        self._values[self._position(key)] = value

    def _position(self, name: Any) -> int:
        if self._names is None:
            raise AttributeError(f"{self!r} has no field names, so it has no field {name!r}")
        try:
            return self._names.index(name)
        except ValueError:
            raise ValueError(name) from None

    def __getattr__(self, item: str) -> Any:
        if item[:1] != "_" and self._names is not None:
            try:
                return self._values[self._names.index(item)]
            except ValueError:
                pass
        raise AttributeError(item)

    def __setattr__(self, key: str, value: Any) -> None:
        if key == "_fields":
            self.set_field_names(value)
        elif key in ("_values", "_row_kind", "_names"):
            object.__setattr__(self, key, value)
        else:
            raise AttributeError(f"a Row's fields are not set as attributes; write row[{key!r}] = …")

    def __reduce__(self) -> tuple[Any, ...]:
        return _create_row, (self._names, tuple(self._values), self._row_kind)

    def __repr__(self) -> str:
        if self._names is None:
            return f"<Row({', '.join(map(repr, self._values))})>"
        return f"Row({', '.join(f'{n}={v!r}' for n, v in zip(self._names, self._values, strict=False))})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row) or type(self) is not type(other) or self._row_kind is not other._row_kind:
            return False
        names, other_names = self._names, other._names
        if names == other_names:
            return self._values == other._values
        if names is None or other_names is None or sorted(names) != sorted(other_names):
            return False
        return all(self[name] == other[name] for name in names)

    def __hash__(self) -> int:
        return hash(tuple(self._values))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _create_row(fields: Sequence[str] | None, values: Sequence[Any], row_kind: RowKind | None = None) -> Row:
    """Rebuilds a pickled row; the name and shape are PyFlink's, so that its pickles load."""
    row = Row(*values)
    if fields is not None:
        row.set_field_names(fields if isinstance(fields, list) else list(fields))
    if row_kind is not None:
        row.set_row_kind(row_kind)
    return row


_set_names: Callable[[Row, list[str] | None], None] = vars(Row)["_names"].__set__
_set_values: Callable[[Row, list[Any]], None] = vars(Row)["_values"].__set__
_set_kind: Callable[[Row, RowKind], None] = vars(Row)["_row_kind"].__set__


def made_row(names: list[str] | None, values: list[Any], row_kind: RowKind) -> Row:
    """A row of these very lists, several times faster than the constructor and its setters."""
    row = Row.__new__(Row)
    _set_names(row, names)
    _set_values(row, values)
    _set_kind(row, row_kind)
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.as_dict(True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value

from __future__ import annotations

import pickle

import pytest

from penstock.conf import Record


class Point(Record):
    """A point."""

    x: int
    y: int = 0

    @property
    def total(self) -> int:
        return self.x + self.y


class Named(Point):
    """A point with a name."""

    name: str = "p"


def test_fields_are_given_by_position_or_by_name() -> None:
    assert Point(1, 2) == Point(x=1, y=2) == Point(1, y=2)
    assert Point(1).y == 0
    assert Named(1, 2, "a").name == "a"
    assert Named(1).total == 1
    assert repr(Named(1)) == "Named(x=1, y=0, name='p')"
    assert Named(1).as_dict() == {"x": 1, "y": 0, "name": "p"}


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 1})])
def test_wrong_fields(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        Point(*values, **named)


def test_records_are_frozen_values() -> None:
    point = Point(1, 2)
    with pytest.raises(AttributeError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 1  # type: ignore[attr-defined]
    assert point.replace(y=5) == Point(1, 5)
    assert point != Point(2, 1)
    assert point != (1, 2)
    assert Point(1) != Named(1)
    assert {point, Point(1, 2)} == {point}
    assert pickle.loads(pickle.dumps(Named(1, 2, "a"))) == Named(1, 2, "a")

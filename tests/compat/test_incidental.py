"""Names that PyFlink's modules have because they import them."""

from __future__ import annotations

import importlib

import pytest

import penstock.compat
from penstock.compat._incidental import HOMES, VISIBLE


@pytest.fixture(autouse=True)
def alias() -> None:
    penstock.compat.install()


@pytest.mark.parametrize("module", VISIBLE)
def test_each_incidental_name_is_the_object_of_its_home(module: str) -> None:
    homes = {name: home for home, names in HOMES.items() for name in names.split()}
    found = importlib.import_module(f"pyflink.{module}")
    for name in VISIBLE[module].split():
        assert getattr(found, name) is getattr(importlib.import_module(f"penstock.{homes[name]}"), name)


def test_other_names_are_missing_as_ever() -> None:
    with pytest.raises(ImportError, match="nothing_of_the_kind"):
        from pyflink.datastream.functions import nothing_of_the_kind  # type: ignore # noqa: F401, PGH003

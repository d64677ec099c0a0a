"""PyFlink's names: each is there, its parameters are called the same, and the page says how it stands."""

import importlib
import inspect
from pathlib import Path

import pytest

from penstock.compat import compatibility_table
from penstock.compat._standing import Standing, recorded_modules, standings
from penstock.errors import UnsupportedFeatureError

VERSION, MODULES = recorded_modules()
PAGE = Path(__file__).parents[2] / "docs/compatibility.md"


def ours(module):
    return importlib.import_module(module.replace("pyflink", "penstock", 1))


def test_the_record_is_that_of_one_version():
    assert VERSION == "2.2.1"
    assert {"pyflink.common", "pyflink.datastream", "pyflink.datastream.functions", "pyflink.metrics"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_there(module):
    entries = standings()[module]
    missing = [entry.name for entry in entries if entry.standing is Standing.MISSING]
    missing += [
        f"{entry.name}.{member}"
        for entry in entries
        for member, standing in entry.members.items()
        if standing is Standing.MISSING and entry.standing is Standing.WORKS
    ]
    assert missing == []


@pytest.mark.parametrize("module", MODULES)
def test_every_name_can_be_imported_from_where_it_was(module):
    for name in MODULES[module]:
        assert getattr(ours(module), name) is not None


def callables(owner, path, names):
    """Triples of a dotted name, PyFlink's parameters and Penstock's callable."""
    for name, record in names.items():
        value = getattr(owner, name, None) if inspect.getattr_static(owner, name, None) is not None else None
        if isinstance(record, dict) and isinstance(value, type):
            yield from callables(value, f"{path}.{name}", record["names"])
        elif isinstance(record, list) and callable(value) and not is_bridge(name, record):
            yield f"{path}.{name}", record, inspect.getattr_static(owner, name)


def is_bridge(name, parameters):
    """Constructors that take Java objects, and conversions to and from them, are PyFlink's own affair."""
    if name == "__init__":
        return any(parameter.startswith("j_") or parameter in ("source", "sink") for parameter in parameters[:1])
    return name in ("to_internal_type", "from_internal_type")


def parameters_of(value, owned):
    function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    found = list(inspect.signature(function).parameters.values())
    return found[1:] if owned and not isinstance(value, staticmethod) and found and found[0].name == "self" else found


PROGRAMS_NEVER_CONSTRUCT = {"CachedDataStream", "CloseableIterator", "DataStream", "DataStreamSink", "KeyedStream"}


@pytest.mark.parametrize("module", MODULES)
def test_parameters_have_pyflinks_names_and_order(module):
    different = []
    for path, recorded, value in callables(ours(module), "", MODULES[module]):
        found = parameters_of(value, path.count(".") > 1)
        takes_anything = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in found)
        if takes_anything and not any(parameter.startswith("*") for parameter in recorded):
            continue  # to refuse it with a sentence
        names = [parameter.name for parameter in found]
        wanted = [parameter.strip("*=") for parameter in recorded]
        optional = {parameter.name for parameter in found if parameter.default is not parameter.empty}
        demanded = [p.strip("*=") for p in recorded if p.endswith("=") and p.strip("*=") not in optional]
        if names[: len(wanted)] != wanted or demanded:
            different.append(f"{path}: PyFlink {recorded}, Penstock {names}")
    assert different == []


@pytest.mark.parametrize("module", MODULES)
def test_what_needs_java_raises_when_it_is_used(module):
    for entry in standings()[module]:
        value = getattr(ours(module), entry.name)
        if entry.standing is not Standing.NEEDS_JAVA or not isinstance(value, type):
            continue
        count = len(inspect.signature(value.__init__).parameters) - 1 if "__init__" in vars(value) else 0
        with pytest.raises(UnsupportedFeatureError, match=r"JVM|Java|JAR|removed from Flink 2"):
            value(*["x"] * max(count, 0))


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text() == compatibility_table(), "run `make docs`"


def test_the_page_knows_every_module_and_its_words():
    page = compatibility_table()
    for module in MODULES:
        assert f"\n## {module}\n" in page
    assert "| `DataStream` | works |" in page
    assert "| `CustomStateBackend` | needs Java |" in page
    assert "accepted, no effect: " in page

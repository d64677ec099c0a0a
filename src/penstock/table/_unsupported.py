"""Stand-ins for the Table API that needs Flink's planner: importable, and one clear sentence when used."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = ["lacks_planner", "module_stand_ins", "stand_in"]


def lacks_planner(name: str) -> UnsupportedFeatureError:
    """The error for a name of the Table API."""
    return UnsupportedFeatureError(
        f"{name} needs Flink's SQL planner (Java), which Penstock does not have. Use the DataStream API, or run this "
        "program on a Flink cluster. Of the Table API Penstock has StreamTableEnvironment.create, "
        "create_temporary_table with the datagen connector, from_path and to_data_stream."
    )


class _StandIn(type):
    """The class of the stand-ins: calling one, or reaching for anything in it, raises."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise lacks_planner(cls.__name__)

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise lacks_planner(f"{cls.__name__}.{name}")


def stand_in(name: str, module: str) -> type:
    """A class of that name that can be imported, named in annotations and derived from, but not used."""
    documentation = f"{name} needs Flink's SQL planner (Java); using it raises UnsupportedFeatureError."
    return _StandIn(name, (), {"__module__": module, "__doc__": documentation})


def module_stand_ins(namespace: dict[str, Any]) -> Any:
    """A module's `__getattr__` that has a stand-in for every public name."""
    module = namespace["__name__"]

    def __getattr__(name: str) -> type:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        created = stand_in(name, module)
        namespace[name] = created
        return created

    return __getattr__

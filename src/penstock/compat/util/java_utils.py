"""PyFlink's bridge to Java objects (`pyflink.util.java_utils`): importable, and says that there is no JVM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = [
    "add_jars_to_context_class_loader",
    "create_url_class_loader",
    "from_j_duration",
    "get_field",
    "get_field_value",
    "get_j_env_configuration",
    "invoke_method",
    "is_instance_of",
    "is_local_deployment",
    "load_java_class",
    "to_j_duration",
    "to_j_explain_detail_arr",
    "to_jarray",
]


def _bridge(name: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise UnsupportedFeatureError(
            f"{name}() is PyFlink's internal access to the JVM; Penstock has none. For configuration use "
            "env.configure(Configuration), and env.get_configuration() to read it."
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Raises UnsupportedFeatureError: there is no JVM."
    return refuse


def get_j_env_configuration(j_env: Any) -> Any:
    """The configuration of an environment, given its `_j_stream_execution_environment`: to be read and changed.

    Raises:
        UnsupportedFeatureError: for anything else; there is no JVM.
    """
    from penstock.datastream._java_environment import JavaEnvironment

    if isinstance(j_env, JavaEnvironment):
        return j_env.getConfiguration()
    return _bridge("get_j_env_configuration")()


add_jars_to_context_class_loader = _bridge("add_jars_to_context_class_loader")
create_url_class_loader = _bridge("create_url_class_loader")
from_j_duration = _bridge("from_j_duration")
get_field = _bridge("get_field")
get_field_value = _bridge("get_field_value")
invoke_method = _bridge("invoke_method")
is_instance_of = _bridge("is_instance_of")
is_local_deployment = _bridge("is_local_deployment")
load_java_class = _bridge("load_java_class")
to_j_duration = _bridge("to_j_duration")
to_j_explain_detail_arr = _bridge("to_j_explain_detail_arr")
to_jarray = _bridge("to_jarray")

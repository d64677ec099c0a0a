"""PyFlink's access to the JVM (`pyflink.java_gateway`): importable, and says that there is none."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock.errors import UnsupportedFeatureError

__all__ = ["get_gateway", "is_launch_gateway_disabled", "launch_gateway"]


def is_launch_gateway_disabled() -> bool:
    """True: there is no gateway to launch."""
    return True


def get_gateway() -> NoReturn:
    """Raises UnsupportedFeatureError: there is no JVM."""
    raise UnsupportedFeatureError(
        "get_gateway() is PyFlink's internal access to the JVM; Penstock has none. For configuration use "
        "env.configure(Configuration); connectors from JARs run on a Flink cluster."
    )


def launch_gateway() -> NoReturn:
    """Raises UnsupportedFeatureError: there is no JVM."""
    get_gateway()


def import_flink_view(gateway: Any) -> NoReturn:  # noqa: ARG001  (PyFlink's signature)
    """Raises UnsupportedFeatureError: there is no JVM."""
    get_gateway()

"""The import alias: modules `pyflink.…` are the very modules `penstock.…`, so objects and pickles are the same.

Installed by `penstock run`, or by a program with `penstock.compat.install()`. It wins over an installed apache-flink.

Programs catch `py4j.protocol.Py4JJavaError`. Where py4j is not installed a stand-in gives them Penstock's error under
that name; where it is, Penstock's errors become subclasses of the real one as soon as the program imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock.compat._incidental import show_incidental_names
from penstock.errors import PenstockError, _Root

if TYPE_CHECKING:
    from importlib.abc import Loader as _Loader
else:
    _Loader = object  # importlib.abc imports a dozen modules, and the import system asks for the methods only

__all__ = ["install", "is_installed", "uninstall"]

ALIAS = "pyflink"

SHARED = ("common", "datastream", "metrics", "table")
"""Packages of PyFlink that Penstock has under the same name."""

STAND_INS = {
    "pyflink": "penstock.compat._pyflink",
    "pyflink.common.utils": "penstock.compat.java_object",
    "pyflink.datastream.utils": "penstock.compat.result_types",
    "pyflink.find_flink_home": "penstock.compat.find_flink_home",
    "pyflink.java_gateway": "penstock.compat.java_gateway",
    "pyflink.serializers": "penstock.compat.serializers",
    "pyflink.util": "penstock.compat.util",
    "pyflink.util.api_stability_decorators": "penstock.compat.util.api_stability_decorators",
    "pyflink.util.exceptions": "penstock.compat.util.exceptions",
    "pyflink.util.java_utils": "penstock.compat.util.java_utils",
    "pyflink.version": "penstock.compat.version",
}
"""Modules of PyFlink that stand elsewhere in Penstock."""

PY4J_ERRORS = "py4j.protocol"

PY4J_STAND_INS = {
    "py4j": "penstock.compat.py4j",
    "py4j.java_gateway": "penstock.compat.py4j.java_gateway",
    "py4j.protocol": "penstock.compat.py4j.protocol",
}


class _AliasLoader(_Loader):
    """Gives an import the module of another name. Used by the import system under its locks."""

    def __init__(self, real_name: str) -> None:
        self._real_name = real_name
        self._real_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The real module, imported if need be."""
        module = importlib.import_module(self._real_name)
        show_incidental_names(module)
        self._real_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Undoes what the import system did to a module that it takes for a new one."""
        module.__spec__ = self._real_spec


class _Py4JLoader(_Loader):
    """Loads the real `py4j.protocol` and makes Penstock's errors its own. Used by the import system under its locks."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the real loader does."""
        return self._real.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """Executes the module, then gives PenstockError its new base."""
        self._real.exec_module(module)
        PenstockError.__bases__ = (module.Py4JJavaError,)


class _AliasFinder:
    """Finds the aliased modules; stands first on `sys.meta_path`."""

    def __init__(self, stand_ins: dict[str, str]) -> None:
        self._stand_ins = stand_ins

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an aliased module, None for all others.

        Raises:
            ModuleNotFoundError: for modules of PyFlink that Penstock does not have.
        """
        real_name = self._real_name(fullname)
        if real_name is None:
            return self._real_py4j(path) if fullname == PY4J_ERRORS else None
        real = importlib.util.find_spec(real_name) if real_name else None
        if real is None:
            raise ModuleNotFoundError(
                f"No module named '{fullname}': Penstock has PyFlink's DataStream API, and this module is not part "
                f"of it. Programs that need it run on Apache Flink.",
                name=fullname,
            )
        is_package = real.submodule_search_locations is not None
        return ModuleSpec(fullname, _AliasLoader(real_name), origin=real.origin, is_package=is_package)

    def _real_py4j(self, path: Sequence[str] | None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(PY4J_ERRORS, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Py4JLoader(spec.loader)
        return spec

    def _real_name(self, fullname: str) -> str | None:
        """The module an alias stands for; "" where PyFlink may have one and Penstock has none; None for no alias."""
        if fullname in self._stand_ins:
            return self._stand_ins[fullname]
        top, _, rest = fullname.partition(".")
        if top != ALIAS:
            return None
        return f"penstock.{rest}" if rest.split(".", 1)[0] in SHARED else ""


_finder: _AliasFinder | None = None
_replaced: dict[str, ModuleType] = {}


def install() -> None:
    """Makes `import pyflink` mean Penstock in this process, whatever else is installed; a second call does nothing.

    Modules of a real PyFlink that were imported already are set aside until `uninstall`.
    """
    global _finder
    if _finder is not None:
        return
    stand_ins = dict(STAND_INS)
    if "py4j" not in sys.modules and importlib.util.find_spec("py4j") is None:
        stand_ins |= PY4J_STAND_INS
    _finder = _AliasFinder(stand_ins)
    for name in _loaded(ALIAS):
        _replaced[name] = sys.modules.pop(name)
    sys.meta_path.insert(0, _finder)
    if PY4J_ERRORS in sys.modules:
        PenstockError.__bases__ = (sys.modules[PY4J_ERRORS].Py4JJavaError,)


def uninstall() -> None:
    """Undoes `install`; for tests. Objects that were imported stay usable."""
    global _finder
    if _finder is None:
        return
    sys.meta_path.remove(_finder)
    PenstockError.__bases__ = (_Root,)
    for name in _loaded(ALIAS):
        del sys.modules[name]
    if "py4j" in _finder._stand_ins:
        for name in _loaded("py4j"):
            del sys.modules[name]
    sys.modules.update(_replaced)
    _replaced.clear()
    _finder = None


def is_installed() -> bool:
    """Whether the alias is in place."""
    return _finder is not None


def _loaded(top: str) -> list[str]:
    return [name for name in sys.modules if name == top or name.startswith(top + ".")]

"""Penstock: PyFlink DataStream programs in plain CPython, inside Apache Flink's memory model.

Start reading at `docs/architecture.md`; each package's docstring says what it covers and which file to open first.
Importing this package is cheap: names are loaded when they are first used.
"""

TYPE_CHECKING = False  # spares the commands that start fast the import of `typing`
if TYPE_CHECKING:
    from penstock.conf import MemorySize
    from penstock.errors import PenstockError

__version__ = "0.1.0"

__all__ = ["MemorySize", "PenstockError", "__version__"]


def __getattr__(name: str) -> object:
    if name == "MemorySize":
        from penstock.conf import MemorySize

        return MemorySize
    if name == "PenstockError":
        from penstock.errors import PenstockError

        return PenstockError
    raise AttributeError(f"module 'penstock' has no attribute {name!r}")

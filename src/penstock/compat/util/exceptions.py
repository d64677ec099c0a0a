"""The exceptions of PyFlink's Table API (`pyflink.util.exceptions`), for programs that catch them."""

from penstock.errors import PenstockError

__all__ = ["CatalogException", "JavaException", "TableException"]

JavaException = PenstockError
"""Programs that catch PyFlink's error catch Penstock's."""


class TableException(JavaException):
    """PyFlink's error of the Table API; Penstock never raises it."""


class CatalogException(JavaException):
    """PyFlink's error of catalogs; Penstock never raises it."""

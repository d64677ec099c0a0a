"""`py4j.protocol`: the errors PyFlink raises for what fails in the JVM are Penstock's own errors here."""

from penstock.errors import PenstockError

__all__ = ["Py4JError", "Py4JJavaError", "Py4JNetworkError"]

Py4JError = PenstockError
Py4JJavaError = PenstockError
Py4JNetworkError = PenstockError

"""The version of PyFlink whose API Penstock has (`pyflink.version`)."""

__all__ = ["__version__"]

__version__ = "2.2.1"

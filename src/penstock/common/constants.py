"""Constants of PyFlink's `pyflink.common.constants`."""

__all__ = ["MAX_LONG_VALUE", "MIN_LONG_VALUE"]

MIN_LONG_VALUE = -(1 << 63)
MAX_LONG_VALUE = (1 << 63) - 1

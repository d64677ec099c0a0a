"""`pyflink.util`: what programs import of PyFlink's internals; see `java_utils.py` and `exceptions.py`."""

"""Stand-in for py4j where it is not installed: programs that catch `py4j.protocol.Py4JJavaError` run unchanged."""

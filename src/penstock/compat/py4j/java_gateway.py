"""`py4j.java_gateway`: the classes programs name in annotations and checks; nothing is ever one of them."""

__all__ = ["JavaClass", "JavaGateway", "JavaObject"]


class JavaObject:
    """An object in the JVM, of which there is none."""


class JavaClass:
    """A class in the JVM, of which there is none."""


class JavaGateway:
    """The way to the JVM, of which there is none."""

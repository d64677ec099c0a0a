"""Builds the heap guard, the project's only native code; everything else is declared in pyproject.toml.

The extension is optional: where no C compiler is at hand the install still succeeds, and every run says
that the heap limit is held by polling and the process limit alone.
"""

from setuptools import Extension, setup

PARTS = ("", "_end", "_hooks", "_limit", "_numpy", "_tasks")

setup(
    ext_modules=[
        Extension(
            "penstock.memory._heapguard",
            sources=[f"src/penstock/memory/_heapguard{part}.c" for part in PARTS],
            depends=["src/penstock/memory/_heapguard.h"],
            extra_compile_args=["-O2", "-std=c11", "-fvisibility=hidden"],
            optional=True,
        )
    ]
)

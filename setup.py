"""Builds the heap guard, the project's only native code; everything else is declared in pyproject.toml.

The extension is optional: where no C compiler is at hand the install still succeeds, and every run says
that the heap limit is held by polling and the process limit alone.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "penstock.memory._heapguard",
            sources=["src/penstock/memory/_heapguard.c", "src/penstock/memory/_heapguard_numpy.c"],
            depends=["src/penstock/memory/_heapguard.h"],
            extra_compile_args=["-O2", "-std=c11", "-fvisibility=hidden"],
            optional=True,
        )
    ]
)

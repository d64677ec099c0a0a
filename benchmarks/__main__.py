"""`python -m benchmarks [NAME …]`: runs the benchmarks and prints tables; all of them without a name."""

from __future__ import annotations

import importlib
import pkgutil
import platform
import sys
from pathlib import Path

import benchmarks

NOT_BENCHMARKS = {"__main__", "measure", "programs", "bytewax_flows", "beyond_memory_programs"}


def names() -> list[str]:
    """Modules of this folder with a `main`."""
    return sorted(
        m.name for m in pkgutil.iter_modules([str(Path(benchmarks.__file__).parent)]) if m.name not in NOT_BENCHMARKS
    )


def main() -> int:
    """Runs what was asked for."""
    wanted = sys.argv[1:] or names()
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(names())}.", file=sys.stderr)
        return 2
    print(f"CPython {platform.python_version()}, {platform.machine()}, {platform.system()} {platform.release()}")
    for name in wanted:
        print(f"\n## {name}")
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())

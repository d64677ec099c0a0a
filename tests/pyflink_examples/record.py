"""Records what PyFlink's installed examples print when real PyFlink runs them.

Needs Java and `pip install apache-flink==2.2.1`, in a Python whose `bin` directory is first on the PATH:

    python tests/pyflink_examples/record.py
"""

from __future__ import annotations

import subprocess
import sys

from examples import EXAMPLES, EXPECTED, comparable, installed_examples


def main() -> None:
    folder = installed_examples()
    if folder is None:
        raise SystemExit("PyFlink is not installed here: pip install apache-flink==2.2.1")
    EXPECTED.mkdir(exist_ok=True)
    for example in EXAMPLES:
        ran = subprocess.run(
            [sys.executable, str(folder / example.path)], capture_output=True, text=True, check=True, timeout=300
        )
        lines = comparable(example, ran.stdout)
        (EXPECTED / f"{example.name}.txt").write_text("".join(f"{line}\n" for line in lines))
        print(example.name, len(lines))


if __name__ == "__main__":
    main()

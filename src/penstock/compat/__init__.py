"""Lets programs written for PyFlink import Penstock: `import pyflink` becomes `import penstock`.

Covers the import alias (`install`, `uninstall`), the few modules PyFlink has beside `pyflink.common`, `.datastream`,
`.metrics` and `.table`, a stand-in for `py4j.protocol` where py4j is not installed, and the table of the API's
standing (`compatibility_table`). Does not cover the API itself. Start reading at `_alias.py`.
"""

from __future__ import annotations

from penstock.compat._alias import install, is_installed, uninstall

__all__ = ["compatibility_table", "install", "is_installed", "uninstall"]


def compatibility_table() -> str:
    """The page `docs/compatibility.md`: each public name of PyFlink's DataStream API and its standing; Markdown."""
    from penstock.compat._standing import compatibility_page

    return compatibility_page()
